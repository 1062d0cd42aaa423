"""A first start on many sessions: their copies become durable together, and none is worse off for that."""

import errno
import json
import os
from pathlib import Path

import pytest

from hermesguard.demo import losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.guard.first_look import LOOKED_BACK_FILE
from hermesguard.guard.scans import scan as scans
from hermesguard.store.start import first_copies
from hermesguard.webui.lists import lost_before
from hermesguard.webui.session import Document
from tests.helpers.world import World

SESSIONS = 40


@pytest.fixture
def chats(world: World) -> list[Chat]:
    world.watching = False
    app = world.app(Era.OLD)
    return [app.create(turns=3) for _ in range(SESSIONS)]


def shadows(world: World) -> list[str]:
    return sorted(os.listdir(world.store_path / "shadows"))


def all_kept(world: World, chats: list[Chat]) -> bool:
    store = world.guard.copies.store
    return all(store.read_shadow(chat.session_id) == chat.path.read_bytes() for chat in chats)


def test_all_have_copies_after_one_sync(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(first_copies, "_sync_file_system", synced.append)
    world.start()
    assert synced == [world.store_path / "shadows"]
    assert all_kept(world, chats)
    assert len(shadows(world)) == SESSIONS
    assert world.guard.notes.seen.messages == 6 * SESSIONS
    assert not world.guard.notes.to_visit


def test_they_have_no_name_before_they_are_durable(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    monkeypatch.setattr(first_copies, "_sync_file_system", lambda _: names.extend(shadows(world)))
    world.start()
    assert len(names) == SESSIONS
    assert all(name.startswith(".") and name.endswith(".first.tmp") for name in names)


def test_a_disk_that_refuses_the_sync_costs_nothing(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(first_copies, "_sync_file_system", refuse)
        world.start()
        assert "store_broken" in world.ear.names()
        assert shadows(world) == []
    world.scan()
    assert all_kept(world, chats)
    assert "store_recovered" in world.ear.names()


def test_one_that_is_needed_before_is_durable_at_once(world: World, chats: list[Chat]) -> None:
    scan = iter(world.guard.scan())
    chat = chats[7]
    while chat.session_id not in world.guard.first_copies:
        next(scan)
    chat.turn("one more", "indeed")
    world.guard.visit(chat.session_id)
    assert world.guard.copies.store.read_shadow(chat.session_id) == chat.path.read_bytes()
    chat.send("unsent")
    world.guard.visit(chat.session_id)
    losses.wipe(chat)
    world.guard.visit(chat.session_id)
    assert len(world.live(chat).messages) == 9
    for _ in scan:
        pass
    assert all_kept(world, chats)
    assert len(world.incidents()) == 1


def test_a_guard_that_ends_before_makes_them_durable(world: World, chats: list[Chat]) -> None:
    scan = iter(world.guard.scan())
    while chats[-1].session_id not in world.guard.first_copies:
        next(scan)
    list(world.guard.end())
    assert len(shadows(world)) >= 1
    assert not any(name.startswith(".") for name in shadows(world))


def test_one_that_is_purged_before_stays_away(world: World, chats: list[Chat]) -> None:
    scan = iter(world.guard.scan())
    chat = chats[3]
    while chat.session_id not in world.guard.first_copies:
        next(scan)
    chat.path.unlink()
    world.operations().purge(chat.session_id)
    for _ in scan:
        pass
    assert not any(chat.session_id in name for name in shadows(world))


def test_a_few_are_kept_one_by_one(world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "MANY", SESSIONS + 1)
    monkeypatch.setattr(first_copies, "_sync_file_system", lambda _: pytest.fail("all was synced"))
    world.start()
    assert all_kept(world, chats)


def emptied(chat: Chat) -> None:
    """Leave an empty file where the conversation is in a temporary file that was never renamed."""
    left = json.loads(chat.path.read_bytes())
    chat.path.with_name(f"{chat.session_id}.tmp.99.1").write_text(json.dumps(left))
    chat.path.write_text(json.dumps(left | {"messages": [], "context_messages": [], "message_count": 0}))


def test_what_was_lost_before_is_told_of_those_too(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_copies.FirstCopies, "finish", lambda _: None)  # the background takes its time
    for chat in chats[3:8]:
        emptied(chat)
    (world.store_path / LOOKED_BACK_FILE).unlink()
    world.start()
    [told] = [values for name, values in world.ear.heard if name == "lost_before"]
    assert told["count"] == 5


def test_the_look_back_gives_way_between_what_it_reads(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = lost_before._document

    def reading(path: Path) -> Document | None:
        read.append(path)
        return real(path)

    for chat in chats:
        emptied(chat)
    at_once: list[int] = []

    def scan() -> None:
        for _ in world.guard.scan():
            at_once.append(len(read) - sum(at_once))
        at_once.append(len(read) - sum(at_once))

    monkeypatch.setattr(lost_before, "_document", reading)
    monkeypatch.setattr(world, "scan", scan)
    (world.store_path / LOOKED_BACK_FILE).unlink()
    world.start()
    assert len(read) >= 2 * len(chats)
    assert max(at_once) <= 2  # those of one session
