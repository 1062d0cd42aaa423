"""Whatever stands in the store: the guard starts, each command answers in a sentence, and no session is harmed."""

import contextlib
import io
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from hermesguard.cli.main import _dispatch
from hermesguard.demo import acts, losses
from hermesguard.demo.eras import Era
from hermesguard.errors import GuardError
from hermesguard.store.place import is_strange
from tests.fuzz import grammar
from tests.fuzz.budget import rounds
from tests.helpers.world import World

JUNK = (
    b"",
    b"{",
    b"null",
    b"5",
    b'"x"',
    b"[]",
    b"[5]",
    b"[null]",
    b'["../../x"]',
    b'{"a":1}',
    b"[" * 100_000,
    b"\xff\xfe\x00",
    b'{"sessions": 5}',
    b"9" * 5000,
    b'{"format":99}',
    b'{"messages":[]}',
    b"\n\n\n",
    b"\x00" * 5000,
    b'{"id":"1"}',
)
NAMES = (
    "held",
    "verified.json",
    "format",
    "incidents.jsonl",
    "lock",
    "control",
    "shadows/.json",
    "shadows/a b.json",
    "shadows/x.delta",
    "shadows/x.tail",
    "shadows/../y.json",
    "history/file",
    "history/..x/z.json.gz",
    "shadows/s9.json",
    "shadows/.s9.json.tmp",
    ".held.tmp",
    "history/\x1b[31m/20260101T000000.000000Z-5-loss-0123456789abcdef.json.gz",
    "set-aside",
    "shadows/\udcff.json",
    "history/{sid}/29990101T000000.000000Z-999999999999-loss-0123456789abcdef.json.gz",
    "history/{sid}/x.json.gz",
    "shadows/{sid}.delta",
    "shadows/{sid}.tail",
    "shadows/{sid}.json",
)
COMMANDS = (
    "status",
    "status --json",
    "list",
    "list --json",
    "log",
    "log --json",
    "explain 1",
    "history {sid}",
    "history {sid} --json",
    "show {sid}",
    "diff {sid}",
    "verify",
    "drill",
    "prune --dry-run",
    "prune",
    "scan --check",
    "scan",
    "report -o -",
    "undo 1 --dry-run",
    "restore {sid} --dry-run",
    "restore {sid}@-1",
    "accept {sid}",
    "restore --all-missing",
    "purge {sid} --dry-run",
    "purge {sid} --yes",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A directory with a store that has seen a little of everything."""
    root = tmp_path_factory.mktemp("made")
    world = World(root)
    chats = [world.app(era).create(turns=4, answer_characters=6000) for era in (Era.OLD, Era.NEW)]
    for chat in chats:
        world.scan()
        chat.send("unsent")
        world.scan()
        losses.wipe(chat)
        world.guard.visit(chat.session_id, 1)
        chat = type(chat)(chat.app, json.loads(chat.path.read_bytes()))
        acts.undo(chat)
        world.guard.visit(chat.session_id, 1)
    world.guard.scrub.save()
    (root / "store" / "held").write_text("gone\n")
    return root, [chat.session_id for chat in chats]


def damage(chance: random.Random, store: Path, sid: str) -> list[str]:
    """Change some files of the store, or put something else in their place."""
    done = []
    for _ in range(chance.choice((1, 1, 2, 4))):
        files = sorted(path for path in store.rglob("*") if path.is_file() and path.name != "lock")
        if chance.random() < 0.5 and files:
            path = chance.choice(files)
        else:
            path = store / chance.choice(NAMES).replace("{sid}", sid)
        kind = chance.randrange(8)
        done.append(f"{path.relative_to(store)!s} {kind}".encode("utf-8", "backslashreplace").decode())
        with contextlib.suppress(OSError):
            plant(chance, path, kind)
    return done


def plant(chance: random.Random, path: Path, kind: int) -> None:
    data = path.read_bytes() if path.is_file() else b""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind < 5 and is_strange(path) and not path.is_dir():
        path.unlink()  # a pipe would hold the test itself up
    if kind < 3:
        path.write_bytes(grammar.mutated(chance, data or b"{}"))
    elif kind == 3:
        path.write_bytes(chance.choice(JUNK))
    elif kind == 4:
        path.write_bytes(data + chance.choice(JUNK) + b"\n" + data[: chance.randrange(300)])
    else:
        if path.is_dir():
            path.rename(path.with_name(f"{path.name}.away"))
        else:
            path.unlink(missing_ok=True)
        if kind == 5:
            os.mkfifo(path)
        elif kind == 6:
            path.symlink_to(chance.choice(("/etc/hostname", "/nowhere", "/", ".")))
        else:
            path.mkdir()


def test_nothing_in_the_store_stops_the_guard_or_a_command(
    tmp_path: Path, made: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    base, sids = made
    for number, chance in enumerate(rounds("store")):
        root = tmp_path / str(number)
        shutil.copytree(base, root, symlinks=True)
        before = {path.name: path.read_bytes() for path in (root / "webui/sessions").iterdir()}
        done = damage(chance, root / "store", chance.choice(sids))
        print(done)
        world = started(root)
        if isinstance(world, str):
            assert world.startswith("The store") or world.endswith(
                ("is a symbolic link", "is no directory")
            ), world
            continue
        now = {path.name: path.read_bytes() for path in (root / "webui/sessions").iterdir()}
        for name, data in before.items():
            assert json.loads(now[name]) == json.loads(data) or longer(now[name], data), name
        errors = [fields for name, fields in world.ear.heard if name in ("internal_error", "failed")]
        assert errors == []
        world.scan()
        world.pass_time(15)
        broken = [fields for name, fields in world.ear.heard if name == "store_broken"]
        assert len(broken) <= 3, broken
        for command in chance.sample(COMMANDS, 6):
            run([word.replace("{sid}", chance.choice(sids)) for word in command.split()], root)
        shutil.rmtree(root)


def started(root: Path) -> World | str:
    """A guard on that store, or why it refuses it."""
    try:
        return World(root)
    except GuardError as error:
        return error.what


def longer(now: bytes, before: bytes) -> bool:
    """Whether a file still has all that it had."""
    return len(json.loads(now)["messages"]) >= len(json.loads(before)["messages"])


def run(command: list[str], root: Path) -> None:
    """Run a command in this process: whatever it raises that is no sentence for a user is raised here."""
    print(command)
    places = ["--sessions", str(root / "webui/sessions"), "--store", str(root / "store")]
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        contextlib.suppress(GuardError, OSError),
    ):
        _dispatch([command[0], *places, *command[1:]])
