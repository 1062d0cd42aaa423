"""Whatever is written into the control socket: an answer or a refusal, and nothing outside the store and the sessions changes."""

import json
import random
import socket
from pathlib import Path
from selectors import DefaultSelector
from typing import Any

from hermesguard.daemon.control import ControlServer
from hermesguard.demo import losses
from hermesguard.demo.eras import Era
from hermesguard.guard.requests.operations import Operations, begin
from tests.fuzz import grammar
from tests.fuzz.budget import rounds
from tests.helpers.world import World

VERBS = (
    "undo",
    "accept",
    "restore",
    "restore_all_missing",
    "purge",
    "prune",
    "rebuild",
    "verified",
    "status",
    "",
    "x",
    "__class__",
)
KEYS = ("name", "incident", "version", "replace", "merge", "dry_run", "files", "damaged", "self", "path", "")


def any_value(chance: random.Random, sid: str) -> Any:
    return chance.choice(
        (
            sid,
            f"../{sid}",
            "../../victim",
            "../../victim.json",
            "..",
            ".",
            "",
            "/etc/passwd",
            "a/b",
            "\x00",
            "é",
            "-x",
            "_index",
            "1",
            "2",
            "9" * 30,
            "²",
            "latest",
            "-1",
            True,
            False,
            None,
            5,
            -1,
            2**70,
            1.5,
            [],
            {},
            ["x"],
            "x" * 300,
            *grammar.ODD_TEXTS,
        )
    )


def request(chance: random.Random, sid: str) -> bytes:
    arguments = {chance.choice(KEYS): any_value(chance, sid) for _ in range(chance.randrange(4))}
    if chance.random() < 0.6:
        arguments |= {"name": any_value(chance, sid)}
    value: Any = {"verb": chance.choice(VERBS), "arguments": arguments}
    if chance.random() < 0.1:
        value = chance.choice(
            ([], 5, None, {"verb": "undo"}, {"arguments": {}}, {"verb": {}, "arguments": []})
        )
    data = json.dumps(value).encode()
    return (grammar.mutated(chance, data) if chance.random() < 0.2 else data).replace(b"\n", b" ") + b"\n"


def test_no_request_stops_the_guard_or_leaves_the_store(tmp_path: Path) -> None:
    world = World(tmp_path / "room")
    chat = world.app(Era.NEW).create(turns=3)
    world.scan()
    victims = [tmp_path / "victim.json", tmp_path / "victim.delta", tmp_path / "room" / "victim.json"]
    for victim in victims:
        victim.write_text(json.dumps(grammar.document(random.Random(1), 5)))
    before = [victim.read_bytes() for victim in victims]
    outside = {path for path in tmp_path.rglob("*") if not inside(path, world)}
    operations = Operations(world.guard)
    selector = DefaultSelector()
    server = ControlServer(
        world.store_path,
        selector,
        lambda verb, arguments: begin(operations, verb, arguments),
        world.guard.shield,
    )
    for chance in rounds("request", 1200):
        asked = request(chance, chat.session_id)
        print(asked)
        answer = ask(world, server, selector, asked)
        assert answer is None or set(answer) <= {"answer", "error"}, answer
        assert [victim.read_bytes() for victim in victims] == before
        if not chat.path.exists():
            chat.save()
        world.scan()
        world.guard.shield.run("test", "", lambda: None, None)
        assert [name for name in world.ear.names() if name == "internal_error"] == []
    assert {path for path in tmp_path.rglob("*") if not inside(path, world)} == outside
    good = json.loads(chat.path.read_bytes())["messages"]
    chat.send("unsent")
    world.scan()
    losses.wipe(chat)
    world.guard.visit(chat.session_id, 1)
    assert json.loads(chat.path.read_bytes())["messages"][: len(good)] == good
    server.close()


def inside(path: Path, world: World) -> bool:
    return path.is_relative_to(world.store_path) or path.is_relative_to(world.sessions)


def ask(world: World, server: ControlServer, selector: DefaultSelector, asked: bytes) -> Any:
    """Send a request, let the loop turn until there is an answer, and return it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(world.store_path / "control"))
        connection.setblocking(False)
        connection.sendall(asked)
        reply = b""
        for _ in range(5000):
            for key, events in selector.select(0):
                key.data(events)
            server.go_on(0.01)
            try:
                part = connection.recv(1 << 20)
            except BlockingIOError:
                continue
            if not part:
                break
            reply += part
    return json.loads(reply) if reply else None
