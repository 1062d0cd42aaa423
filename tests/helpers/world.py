"""A small world for tests of the guard without a daemon: a directory, a stand-in application, a guard, and a clock to turn.

Every save of the application is visited at once, as the daemon does when it keeps up.
"""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hermesguard.clock import Clock
from hermesguard.config import settings as config
from hermesguard.config.settings import Settings
from hermesguard.demo import app as app_module
from hermesguard.demo import chat as chat_module
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import replace_file
from hermesguard.events.catalog import BY_NAME
from hermesguard.events.reporter import Reporter
from hermesguard.guard.context import Context
from hermesguard.guard.guard import Guard
from hermesguard.guard.requests.operations import Operations
from hermesguard.store import incidents
from hermesguard.store.incidents import Incident, IncidentLog
from hermesguard.store.store import Store
from hermesguard.webui import session
from hermesguard.webui.lists.index import INDEX
from hermesguard.webui.session import Document


class Ear(Reporter):
    """A reporter that writes nowhere and remembers what it was told; an undeclared field fails the test."""

    def __init__(self) -> None:
        super().__init__([])
        self.heard: list[tuple[str, dict[str, object]]] = []
        self.listen(
            lambda record: self.heard.append((record.event.name, dict(record.values))), frozenset(BY_NAME)
        )

    def names(self) -> list[str]:
        """The names of all events so far."""
        return [name for name, _ in self.heard]


class World:
    """One sessions directory with everything around it."""

    def __init__(self, root: Path, *, store: Path | None = None, **settings: object) -> None:
        self.sessions = root / "webui" / "sessions"
        self.sessions.mkdir(parents=True, exist_ok=True)
        self.store_path = store or root / "store"
        flags = {"sessions": str(self.sessions), "store": str(self.store_path)}
        self.settings: Settings = replace(config.load(flags, {}, []), **settings)  # type: ignore[arg-type]
        self.seconds = 1000.0
        self.clock_error_seconds = 0.0
        self.clock = Clock(
            lambda: self.seconds,
            lambda: (
                datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds + self.clock_error_seconds)
            ),
            lambda: self.seconds,
        )
        self.ear = Ear()
        self.watching = True
        self.guard: Guard
        self.start()

    def start(self) -> None:
        """Start the guard, as if for the first time or again: only the disk is remembered."""
        self.seconds += 0.001  # a start takes time, and versions are named by it
        store = Store(self.store_path)
        store.create()
        self.guard = Guard(
            Context.furnish(self.settings, store, IncidentLog(self.store_path), self.ear, self.clock)
        )
        self.guard.begin()
        self.guard.finish_interrupted_repairs()
        self.scan()

    def scan(self) -> None:
        """Look at everything once."""
        for _ in self.guard.scan():
            pass

    def app(self, era: Era = Era.NEW, **more: object) -> App:
        """A server of that era on the directory; its clock runs on its own."""
        ticks = itertools.count(1_760_000_000.0, 1.5).__next__
        return App(self.sessions, era, clock=ticks, **more)  # type: ignore[arg-type]

    def pass_time(self, seconds: float) -> None:
        """Let time go by, with every question asked when it is due."""
        until = self.seconds + seconds
        while (wait := self.guard.run_deferred()) is not None and self.seconds + wait <= until:
            self.seconds += max(wait, 0.001)
        self.seconds = until
        self.guard.run_deferred()

    def live(self, chat: Chat | str) -> Document:
        """What the session's file says now."""
        name = chat if isinstance(chat, str) else chat.session_id
        return session.parse((self.sessions / f"{name}.json").read_bytes())

    def shadow(self, chat: Chat) -> Document:
        """What the session's shadow says now."""
        return session.parse(self.guard.copies.store.read_shadow(chat.session_id))

    def incidents(self) -> list[Incident]:
        """All incidents in the log."""
        return incidents.read(self.store_path)

    def operations(self) -> Operations:
        """What a user can do."""
        return Operations(self.guard)

    def words(self, chat: Chat) -> list[str]:
        """The texts of live's messages."""
        return [message.words for message in self.live(chat).messages]

    @contextlib.contextmanager
    def unwatched(self) -> Iterator[None]:
        """The guard is down meanwhile, and starts again."""
        self.watching = False
        yield
        self.watching = True
        self.start()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which every save is visited at once."""
    built = World(tmp_path)
    watch_saves(built, monkeypatch)
    return built


def watch_saves(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visit after every rename of the stand-in."""

    def saved(path: Path, text: str, process_id: int) -> int:
        result = replace_file(path, text, process_id)
        name = session.session_id(path.name)
        if name and built.watching:
            built.guard.visit(name, process_id, saves=1)
        elif path.name == INDEX and built.watching:
            built.guard.index_changed()
        return result

    for module in (chat_module, app_module):
        monkeypatch.setattr(module, "replace_file", saved)
