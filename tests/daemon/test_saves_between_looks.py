"""How many saves lie between two looks is known, whenever their events are read: so a chain of acts is told from a loss.

The loop is turned by hand, so that a save falls where the test wants it: within a visit, or between a look and its events.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hermesguard.config import settings as config
from hermesguard.daemon.loop import Daemon
from hermesguard.demo import acts
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.store.store import Store
from tests.helpers.world import Ear


class Turned:
    """A daemon that stands still between two turns."""

    def __init__(self, root: Path) -> None:
        sessions = root / "sessions"
        sessions.mkdir()
        flags = {"sessions": str(sessions), "store": str(root / "store")}
        self.app = App(sessions, Era.OLD, clock=itertools.count(1_760_000_000.0, 1.5).__next__)
        self.chat = self.app.create("A title", turns=5)
        store = Store(root / "store")
        store.create()
        self.ear = Ear()
        self.daemon = Daemon(config.load(flags, {}, []), store, self.ear)
        self.daemon.guard.begin()
        while not self.daemon.is_ready:
            self.daemon._turn()

    def turn(self) -> None:
        """Follow what the watch has seen by now."""
        self.daemon._watch_on(time.monotonic())

    def within_the_next_visit(self, meanwhile: Callable[[], object]) -> None:
        """Do something when the file was read, and before it is judged."""
        reader = self.daemon.guard._reader
        read = reader.read

        def reading(*arguments: object) -> object:
            found = read(*arguments)  # type: ignore[arg-type]
            reader.read = read  # type: ignore[method-assign]
            meanwhile()
            return found

        reader.read = reading  # type: ignore[method-assign, assignment]

    @property
    def told(self) -> list[str]:
        return [name for name in self.ear.names() if name in ("intended", "uncertain", "restored", "merged")]


@pytest.fixture
def turned(tmp_path: Path) -> Iterator[Turned]:
    made = Turned(tmp_path)
    yield made
    made.daemon._disarm()
    made.daemon.guard.background.close()


def count(chat: Chat) -> int:
    return len(chat.on_disk()["messages"])


def test_undos_whose_events_are_read_at_different_times_stand(turned: Turned) -> None:
    chat = turned.chat
    acts.undo(chat)
    turned.within_the_next_visit(lambda: acts.undo(chat))
    turned.turn()  # sees the first, and has read the event of the second
    acts.undo(chat)
    turned.turn()
    assert (turned.told, count(chat)) == (["intended", "intended"], 4)


def test_a_file_that_is_newer_than_its_event_is_no_riddle(turned: Turned) -> None:
    chat, changes = turned.chat, turned.daemon._changes
    assert turned.daemon.watch
    acts.undo(chat)
    changes.add(turned.daemon.watch.take())
    acts.undo(chat)
    acts.undo(chat)
    turned.daemon._follow_changes()
    assert (turned.told, count(chat)) == (["intended"], 4)


def test_a_save_after_the_look_explains_nothing_before_it(turned: Turned) -> None:
    """Two turns go at once (#5096), and a pin falls into the moment in which that is looked at: two saves, but not two undos."""
    chat = turned.chat
    acts.truncate(chat, 6)
    turned.within_the_next_visit(chat.pin)
    turned.turn()
    assert turned.told == ["uncertain"]
