"""An act on many sessions is done one session after the other, and what takes long of each in the background."""

import errno
import itertools
import json
import os
import select
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hermesguard.demo import losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.errors import GuardError
from hermesguard.guard.large import long_work
from hermesguard.guard.requests import requests
from hermesguard.guard.requests.operations import Operations, begin, perform
from hermesguard.repair import merge
from hermesguard.store import history
from hermesguard.store.store import Store
from hermesguard.store.upkeep.pruning import finished
from hermesguard.webui import session
from hermesguard.webui.long import reading
from tests.helpers.world import World

COUNT = 12
SHORT_BYTES = 20_000


def rolled_back(world: World) -> list[Chat]:
    """A backup is put over long sessions, after each has had some turns more; the guard repairs them."""
    app = world.app(Era.OLD)
    chats = [app.create(turns=30, answer_characters=500) for _ in range(COUNT)]
    before = {chat: chat.path.read_bytes() for chat in chats}
    for chat in chats:
        for number in range(3):
            chat.turn(f"and {number}", "so on")
    world.scan()
    for chat, data in before.items():
        chat.path.write_bytes(data)
        world.guard.visit(chat.session_id)
    world.seconds += 2.0
    world.guard.rolled_back.report(world.seconds)
    return chats


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the loop itself read, compared or packed of long files from now on."""
    done: list[str] = []

    def listen(module: Any, name: str) -> None:
        real = getattr(module, name)

        def listening(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                done.append(name)
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, listening)

    listen(reading, "parse")
    listen(history, "packed")
    listen(merge, "compare")
    return done


def become_long(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (session, long_work, requests):
        monkeypatch.setattr(module, "LONG_BYTES", SHORT_BYTES)


def count(chat: Chat) -> int:
    return len(json.loads(chat.path.read_bytes())["messages"])


def steps(
    world: World, work: Generator[bool | None, None, dict[str, Any]], wakeup: int
) -> Generator[None, None, None]:
    """Do the steps as the loop does; yields behind each."""
    for waits in work:
        if waits:
            assert select.select([wakeup], [], [], 60)[0]
            world.guard.background.finish()
        yield


def test_an_undo_of_many_long_sessions_leaves_the_loop_to_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch, here: list[str]
) -> None:
    chats = rolled_back(world)
    incident = world.incidents()[-1]
    assert len(incident.members) == COUNT
    become_long(monkeypatch)
    wakeup = world.guard.background.open()
    here.clear()
    work = begin(Operations(world.guard), "undo", {"incident": incident.id})
    assert isinstance(work, Generator)
    assert all(count(chat) == 66 for chat in chats)  # nothing is done before the loop asks
    undone = []
    for _ in steps(world, work, wakeup):
        undone.append(sum(count(chat) == 60 for chat in chats))
    assert all(after - before <= 1 for before, after in itertools.pairwise(undone))
    assert all(count(chat) == 60 for chat in chats)
    assert here == []
    assert incident.id in world.guard.recorder.incidents.resolved


def asked(world: World) -> tuple[list[Chat], str, tuple[str, ...]]:
    """Return sessions that were rolled back, the incident that names them all, and those of each."""
    chats = rolled_back(world)
    incident = world.incidents()[-1]
    assert len(incident.members) == COUNT
    return chats, incident.id, incident.members


def undoing(world: World, incident: str) -> Generator[bool | None, None, dict[str, Any]]:
    work = begin(Operations(world.guard), "undo", {"incident": incident})
    assert isinstance(work, Generator)
    return work


def test_an_undo_of_many_goes_on_when_one_of_them_is_undone_meanwhile(world: World) -> None:
    chats, incident, members = asked(world)
    work = undoing(world, incident)
    for number in (0, 5):
        next(work)
        perform(Operations(world.guard), "undo", {"incident": members[number]})
    answer = finished(work)
    assert all(count(chat) == 60 for chat in chats)
    assert answer["messages_gone"] == 6 * (COUNT - 2)
    assert {incident, *members} <= world.guard.recorder.incidents.resolved


def test_an_undo_of_many_that_is_asked_for_twice_at_once_is_done_once(world: World) -> None:
    chats, incident, _ = asked(world)
    works = [undoing(world, incident) for _ in range(2)]
    for work in works:
        next(work)
        next(work)
    finished(works[0])
    with pytest.raises(GuardError, match="resolved already"):
        finished(works[1])
    assert all(count(chat) == 60 for chat in chats)
    assert [entry.resolves for entry in world.incidents()].count(incident) == 1


def test_an_undo_of_many_that_a_guard_did_not_live_to_end_can_be_asked_for_again(world: World) -> None:
    chats, incident, members = asked(world)
    work = undoing(world, incident)
    for _ in range(4):
        next(work)
    work.close()
    world.start()
    world.pass_time(120)
    assert sorted(map(count, chats)) == [60] * 3 + [66] * (COUNT - 3)
    answer = finished(undoing(world, incident))
    assert answer["messages_gone"] == 6 * (COUNT - 3)
    assert [count(chat) for chat in chats] == [60] * COUNT
    assert {incident, *members} <= world.guard.recorder.incidents.resolved


def test_what_repairs_have_yet_to_write_down_is_not_put_over_what_an_undo_of_many_reversed(
    world: World,
) -> None:
    chats, incident, _ = asked(world)
    work = undoing(world, incident)
    next(work)
    world.guard.unfinished.is_burst = True
    for chat in chats:
        chat.send("unsent")
        world.guard.visit(chat.session_id)
        losses.wipe(chat)
        world.guard.visit(chat.session_id)
    assert world.guard.unfinished.repairs
    finished(work)
    world.guard.finish_repairs()
    world.pass_time(120)
    world.scan()
    assert [count(chat) for chat in chats] == [60] * COUNT


def test_nor_over_what_an_undo_of_a_long_session_reversed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    chats, _, (member, *_) = asked(world)
    chat = min(chats, key=lambda one: one.session_id)
    chat.send("unsent")
    world.guard.visit(chat.session_id)
    become_long(monkeypatch)
    wakeup = world.guard.background.open()
    work = begin(Operations(world.guard), "undo", {"incident": member})
    assert isinstance(work, Generator)
    assert next(work), "it waits for the background"
    world.guard.unfinished.is_burst = True
    losses.wipe(chat)
    world.guard.visit(chat.session_id)
    for _ in steps(world, work, wakeup):
        pass
    world.guard.finish_repairs()
    world.scan()
    while not world.guard.background.is_idle():
        assert select.select([wakeup], [], [], 60)[0]
        world.guard.background.finish()
        world.pass_time(120)
    assert count(chat) == 60


def test_what_the_disk_refuses_between_two_steps_is_told_in_a_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> Iterator[object]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Store, "shadows", refused)
    with pytest.raises(GuardError, match="could not be done"):
        perform(Operations(world.guard), "restore_all_missing", {})
