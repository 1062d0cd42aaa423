"""Which of the sessions that changed at once is visited first: one for whose wipe a repair stands ready waits for no other.

The loop is turned by hand, one visit in each turn, and the watch is the real one.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermesguard.config import settings as config
from hermesguard.daemon.directories import supervisor
from hermesguard.daemon.loop import Daemon
from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.store.store import Store
from hermesguard.webui.directory import standby_name
from tests.helpers.waiting import until
from tests.helpers.world import Ear

TURNS = 12


class Standing:
    """A daemon that stands still between two visits."""

    def __init__(self, root: Path) -> None:
        sessions = root / "sessions"
        sessions.mkdir()
        app = App(sessions, Era.OLD)
        self.others = [app.create(turns=TURNS) for _ in range(supervisor.BURST + 4)]
        self.awaited = app.create(turns=TURNS)
        store = Store(root / "store")
        store.create()
        flags = {"sessions": str(sessions), "store": str(store.root)}
        self.daemon = Daemon(config.load(flags, {}, []), store, Ear())
        self.daemon.directories.begin()
        self.one = self.daemon.directories.first
        until(self._is_ready)
        self.awaited.send("unsent")
        until(self._is_armed)

    def _is_ready(self) -> bool:
        self.daemon._turn()
        return self.daemon.is_ready

    def _is_armed(self) -> bool:
        self.visit()
        return standby_name(self.awaited.path).exists()

    def visit(self) -> None:
        """Hear what the watch has seen by now, and visit one session."""
        self.daemon._watch_on(time.monotonic())

    def lose(self, chats: list[Chat]) -> None:
        """Cut conversations as no user does."""
        for chat in chats:
            losses.stale_process(chat, messages_behind=TURNS)

    @property
    def right(self) -> int:
        """How many of the others have all of their messages."""
        return sum(len(chat.on_disk()["messages"]) == 2 * TURNS for chat in self.others)

    @property
    def is_awaited_right(self) -> bool:
        return len(self.awaited.on_disk()["messages"]) == 2 * TURNS + 1


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    made = Standing(tmp_path)
    monkeypatch.setattr(supervisor, "TURN_SECONDS", 0.0)
    yield made
    made.daemon.close()


def test_an_awaited_wipe_waits_for_no_other_loss(standing: Standing) -> None:
    standing.lose(standing.others)
    losses.wipe(standing.awaited)
    standing.visit()
    assert (standing.is_awaited_right, standing.right) == (True, 0)


def test_an_awaited_wipe_that_comes_while_others_are_repaired_is_next(standing: Standing) -> None:
    standing.lose(standing.others)
    standing.visit()
    standing.visit()
    assert standing.right == 2
    losses.wipe(standing.awaited)
    standing.visit()
    assert (standing.is_awaited_right, standing.right) == (True, 2)
    while standing.one.changes:
        standing.visit()
    assert (standing.is_awaited_right, standing.right) == (True, len(standing.others))


def test_a_session_that_was_not_made_ready_yet_is_one_too(standing: Standing) -> None:
    late = standing.others.pop()
    late.send("unsent too")
    standing.visit()
    assert not standby_name(late.path).exists()
    standing.lose(standing.others)
    losses.wipe(late)
    standing.visit()
    assert (len(late.on_disk()["messages"]), standing.right) == (2 * TURNS + 1, 0)


def test_a_few_are_visited_as_they_came(standing: Standing) -> None:
    """In which order some were saved and others went is evidence."""
    standing.lose(standing.others[:2])
    losses.wipe(standing.awaited)
    standing.visit()
    assert (standing.is_awaited_right, len(standing.others[0].on_disk()["messages"])) == (False, 2 * TURNS)
