"""A store with copies of it: a world, an uploader with a clock to turn, and the way back."""

import dataclasses
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage

from hermesguard.clock import Clock
from hermesguard.offsite.back.restore import Restored, Restoring
from hermesguard.offsite.bucket import Bucket
from hermesguard.offsite.settings import OffsiteSettings
from hermesguard.offsite.state import State
from hermesguard.offsite.upload.uploader import Uploader
from hermesguard.store.store import Store

DAY = 86400.0
STARTED: list[State] = []
"""The states of the test that runs: they are closed after it, by the thread that opened them."""


class Copies:
    """The copies of the store at `store`, in `url`."""

    def __init__(
        self, store: Path, root: Path, url: str = "", make: Callable[[], Bucket] | None = None, **wished: Any
    ) -> None:
        self.root = root
        (root / "disk").mkdir(parents=True, exist_ok=True)
        self.identity = pyrage.x25519.Identity.generate()
        self.options = OffsiteSettings(
            store=store,
            state=root / "state",
            url=url or f"file://{root / 'disk'}",
            recipients=(str(self.identity.to_public()),),
            endpoint="",
            region="us-east-1",
            credentials=None,
            interval_seconds=30.0,
            requests_per_day=100_000,
            lifetime_seconds=None,
            keep_deleted_seconds=DAY,
            keep_history_seconds=30 * DAY,
            keep_versions=50,
        )
        self.options = dataclasses.replace(self.options, **wished)
        self.make = make or (lambda: Bucket(self.options.url))
        self.began, self.seconds = datetime.now(UTC), 0.0
        self.clock = Clock(lambda: self.seconds, lambda: self.began + timedelta(seconds=self.seconds))
        self.reports: list[tuple[str, dict[str, object]]] = []
        self._numbers = itertools.count()
        self.uploader: Uploader
        self.state: State
        self.start()

    def start(self) -> None:
        """Start the uploader, as a new process does: only the disk is remembered."""
        self.state = State(self.options.state)
        STARTED.append(self.state)
        self.bucket = self.make()
        self.uploader = Uploader(
            self.options,
            self.state,
            self.bucket,
            [self.identity.to_public()],
            self.clock,
            lambda name, **fields: self.reports.append((name, fields)),
        )

    def turn(self, seconds: float = 30.0) -> None:
        """Let time go by, and do what is due."""
        self.seconds += seconds
        while self.uploader.turn() == 0.0:
            pass

    def upkeep(self) -> None:
        """Let an hour go by, copy, keep up, and copy what that asks for; again, for what that made needless."""
        for _ in range(3):
            self.turn(3601)
            self.turn(31)

    def back(self, *sessions: str, at: datetime | None = None) -> tuple[Restored, Store]:
        """Restore; return what came of it, and the store."""
        into = self.root / f"back-{next(self._numbers)}"
        found = Restoring(self.make(), [self.identity], into, sessions, at).run()
        store = Store(into)
        store.open()
        return found, store

    def safe(self) -> set[str]:
        """The files that the state calls safe, as they are in the store now."""
        here = self.uploader._survey.look()
        return {
            path
            for path, known in self.state.known().items()
            if path in here and known.signature == here[path].signature
        }

    def plain(self) -> bytes:
        """Everything in the storage, decrypted."""
        paths = sorted((self.root / "disk").rglob("*.age"))
        import gzip

        return b"".join(gzip.decompress(pyrage.decrypt(path.read_bytes(), [self.identity])) for path in paths)


def same(one: Store, other: Store) -> None:
    """Two stores hold the same sessions, versions and messages."""
    assert one.sessions() == other.sessions()
    for session in one.sessions():
        assert one.has_shadow(session) == other.has_shadow(session)
        if one.has_shadow(session):
            first, second = one.newest(session), other.newest(session)
            assert (first.data, first.mtime_ns, first.messages) == (
                second.data,
                second.mtime_ns,
                second.messages,
            )
        versions = [
            [(it.path.name, store.read_version(it)) for it in store.versions(session)]
            for store in (one, other)
        ]
        assert versions[0] == versions[1]
