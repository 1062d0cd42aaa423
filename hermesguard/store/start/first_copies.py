"""The first copies of many sessions, made durable together: at a first start, syncing each of them would take most of the time.

Each is written under a temporary name of its own. When there are enough of them, the whole file system is synced once
(syncfs(2)), all get their names, and the directory is synced: a crash leaves a shadow whole or not at all. That is done in the
background; meanwhile a copy that is needed is made durable alone.
"""

import contextlib
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from hermesguard import files
from hermesguard.store.history import digest
from hermesguard.store.store import Store

LARGEST_BYTES: Final = 1024 * 1024
"""What is larger is kept alone."""
MOST_BYTES: Final = 32 * 1024 * 1024
MOST_FILES: Final = 1000
_SUFFIX: Final = ".first.tmp"


class _Copy(NamedTuple):
    temporary: Path
    path: Path
    messages: int
    kept: Callable[[], None]


Batch = dict[str, _Copy]


class FirstCopies:
    """First copies that are not durable yet; one owner, the loop."""

    def __init__(
        self,
        store: Store,
        start: Callable[[Callable[[], OSError | None], Callable[[OSError | None], None]], None],
        refused: Callable[[OSError], None],
    ) -> None:
        """`start` does something in the background, and then calls with what it returned; `refused` hears of a fault."""
        self._store = store
        self._start = start
        self._refused = refused
        self._batch: Batch = {}
        self._size_bytes = 0
        self._waiting: Batch = {}
        """All that is not durable yet."""
        self.is_open = False
        """There are many to come; set by who knows."""

    def __contains__(self, session: str) -> bool:
        return session in self._waiting

    def messages_of(self, session: str) -> int | None:
        """Return how many messages a copy has that is not durable yet; None when there is none."""
        copy = self._waiting.get(session)
        return copy.messages if copy else None

    def add(self, session: str, data: bytes, mtime_ns: int, messages: int, kept: Callable[[], None]) -> None:
        """Write a copy; `kept` is called when it is the shadow, durably. Raises OSError, and then nothing is left."""
        self._store.place.check(self._store.shadows_directory)
        path = self._store.shadow_path(session)
        temporary = first_name(path)
        noted = f"{digest(data)} {messages}".encode()
        files.write_new(temporary, data, mtime_ns, noted)
        self._batch[session] = self._waiting[session] = _Copy(temporary, path, messages, kept)
        self._size_bytes += len(data)
        if len(self._batch) >= MOST_FILES or self._size_bytes >= MOST_BYTES:
            self.finish()

    def finish(self) -> None:
        """Make durable what was added."""
        batch, self._batch, self._size_bytes = self._batch, {}, 0
        if batch:
            self._start(lambda: self._commit(batch), lambda error: self._ended(batch, error))

    def _commit(self, batch: Batch) -> OSError | None:
        """Make a batch durable; return why that could not be done. In the background."""
        try:
            _sync_file_system(self._store.shadows_directory)
            for copy in batch.values():
                with contextlib.suppress(FileNotFoundError):  # it was made durable, or forgotten
                    os.rename(copy.temporary, copy.path)
            files.sync_directory(self._store.shadows_directory)
        except OSError as error:
            return error
        return None

    def _ended(self, batch: Batch, error: OSError | None) -> None:
        waiting = [session for session, copy in batch.items() if self._waiting.get(session) is copy]
        for session in waiting:
            copy = self._waiting.pop(session)
            if error is None:
                copy.kept()
            else:
                with contextlib.suppress(OSError):
                    files.remove(copy.temporary)
        if error is not None:
            # They are not noted as in order, so that the next scan looks at them one by one.
            self.is_open = False
            self._refused(error)

    def make_durable(self, session: str) -> None:
        """Make the copy of one session durable, if it is not yet. Raises OSError; then it counts as not there."""
        copy = self._take(session)
        if copy is None:
            return
        try:
            with contextlib.suppress(FileNotFoundError):  # the background was faster
                files.sync_file(copy.temporary)
                os.rename(copy.temporary, copy.path)
            files.sync_directory(self._store.shadows_directory)
        except OSError:
            with contextlib.suppress(OSError):
                files.remove(copy.temporary)
            raise
        copy.kept()

    def forget(self, session: str) -> None:
        """Let go of the copy of a session that is purged."""
        if copy := self._take(session):
            with contextlib.suppress(OSError):
                files.remove(copy.temporary)

    def _take(self, session: str) -> _Copy | None:
        self._batch.pop(session, None)
        return self._waiting.pop(session, None)

    def end(self) -> None:
        """Make all durable at once, because the guard ends; what cannot be is copied at the next start."""
        self.is_open = False
        for batch in (self._waiting.copy(),) if self._waiting else ():
            self._batch = {}
            self._ended(batch, self._commit(batch))


def first_name(path: Path) -> Path:
    """Return the name under which the first copy at `path` is written."""
    return path.with_name(f".{path.name}{_SUFFIX}")


def _sync_file_system(directory: Path) -> None:
    """Make all that was written to a file system survive a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(directory))
    finally:
        os.close(descriptor)


_libc = ctypes.CDLL(None, use_errno=True)
