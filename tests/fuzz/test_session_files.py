"""Whatever stands in a session file: it is read as the application reads it, or not at all, and nothing seen is lost."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from hermesguard.demo import losses
from hermesguard.demo.eras import Era
from hermesguard.demo.files import dumps
from hermesguard.webui import session
from hermesguard.webui.abridged import abridge, follow
from hermesguard.webui.session import Unreadable
from tests.fuzz import grammar
from tests.fuzz.budget import rounds
from tests.helpers.world import World

NAME = "fuzzed"


def read_as_the_application_does(data: bytes) -> dict[str, Any] | None:
    """What Python's own `json` makes of a file; None when it is no session to the application."""
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def any_file(chance: random.Random, value: dict[str, Any]) -> bytes:
    data = grammar.text(chance, value)
    return grammar.mutated(chance, data) if chance.random() < 0.5 else data


def test_reading_agrees_with_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    for chance in rounds("read", 600):
        monkeypatch.setattr(session, "_LONG_CHARACTERS", chance.choice((0, 2**20)))
        data = any_file(chance, grammar.document(chance))
        theirs = read_as_the_application_does(data)
        ours = read(data)
        if isinstance(ours, str):
            assert theirs is None or "nested deeper" in ours, ours
            continue
        assert theirs is not None
        messages = theirs.get(session.MESSAGES)
        assert repr([one.value for one in ours.messages]) == repr(
            messages if isinstance(messages, list) else []
        )
        for one in (*ours.messages, *ours.context):
            assert isinstance(one.identity, tuple)
            assert one.timestamp is None or isinstance(one.timestamp, float)
        known = abridge(data, ours)
        assert known.data == data
        later = any_file(chance, grammar.rewritten(chance, grammar.document(chance)))
        if found := follow(known, later):
            assert session.parse(later).count == found.count


def read(data: bytes) -> session.Document | str:
    """What we make of a file, or why that is nothing."""
    try:
        return session.parse(data)
    except Unreadable as error:
        return str(error)


def test_nothing_in_a_file_stops_the_guard_or_hides_another_session(tmp_path: Path) -> None:
    for number, chance in enumerate(rounds("guard")):
        play(World(tmp_path / str(number)), chance)


def play(world: World, chance: random.Random) -> None:
    """Let a session be written again and again, in odd ways, while its neighbour is wiped."""
    world.watching = False
    neighbour = world.app(chance.choice(list(Era))).create(turns=3)
    neighbour.send("unsent")
    path = world.sessions / f"{NAME}.json"
    value = grammar.document(chance)
    seen: set[session.Identity] = set()
    for _ in range(chance.randrange(2, 6)):
        data = any_file(chance, value)
        path.write_bytes(data)
        if is_seen(world, path, data, chance):
            seen |= identities(path.read_bytes()) & identities(data)
        if chance.random() < 0.3:
            world.pass_time(chance.choice((0.1, 1.5, 5.0, 70.0)))
            world.guard.get_ready()
        if chance.random() < 0.2:
            world.start()
        if chance.random() < 0.7:
            value = grammar.rewritten(chance, value)
    world.scan()
    world.pass_time(15)
    good = json.loads(neighbour.path.read_bytes())["messages"]
    # Not by the stand-in's own save, whose index reads every other file too.
    neighbour.path.write_text(dumps(losses._stub(neighbour)), encoding="utf-8")
    world.guard.visit(neighbour.session_id, 1)
    assert json.loads(neighbour.path.read_bytes())["messages"][: len(good)] == good
    complaints = [
        fields for name, fields in world.ear.heard if name in ("internal_error", "store_broken", "failed")
    ]
    assert complaints == []
    assert all_kept(seen, kept(world, path))
    world.start()


def is_seen(world: World, path: Path, data: bytes, chance: random.Random) -> bool:
    world.guard.visit(NAME, chance.choice((None, 1, 2**31)))
    return path.exists() and path.read_bytes() == data and world.guard.notes.seen.get(NAME) is not None


def identities(data: bytes) -> set[session.Identity]:
    """The messages in a file; none when it is no session."""
    try:
        return {one.identity for one in session.parse(data).messages if one.words.strip()}
    except Unreadable:
        return set()


def all_kept(seen: set[session.Identity], kept: set[session.Identity]) -> bool:
    """Whether all messages stand among those that are kept, each as it was or as a part of one that went on, or got an id."""
    return all(
        any(role == also and text.startswith(words) and calls <= set(ids) for also, text, ids in kept)
        for role, words, calls in ((role, words, set(ids)) for role, words, ids in seen)
    )


def kept(world: World, path: Path) -> set[session.Identity]:
    """All messages of the session in live, shadow and history."""
    store = world.guard.copies.store
    found = identities(path.read_bytes()) if path.exists() else set()
    if store.has_shadow(NAME):
        found |= identities(store.read_shadow(NAME))
    for version in store.versions(NAME):
        found |= identities(gzip.decompress(version.path.read_bytes()))
    return found
