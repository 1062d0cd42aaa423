"""An act on many sessions is done one session after the other, and what takes long of each in the background."""

import itertools
import json
import select
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.guard.large import long_work
from hermesguard.guard.requests import requests
from hermesguard.guard.requests.operations import Operations, begin
from hermesguard.repair import merge
from hermesguard.store import history
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
