"""What the store has now, by its directories alone: each file with a signature that changes when its content may have.

The guard writes meanwhile. Every file of the store is replaced by rename, and a version never changes, so names and stamps
are enough; content is read by the store's own functions (`read`), which apply a delta log and check digests.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from hermesguard import files
from hermesguard.offsite.batch import PLAIN_FILES, Item, Writing, is_path, session_of
from hermesguard.store.history import version_of
from hermesguard.store.store import Store

WHOLE_BYTES: Final = 32 * 1024 * 1024
"""Shadows above this size are not read into memory: they are copied as they stand, without a delta log."""
_SETTLED_NS: Final = 2_000_000_000
VERSION: Final = "version"
"""The signature of every version: its content is in its name."""


class File(NamedTuple):
    """A file of the store."""

    path: str
    signature: str
    size_bytes: int
    changed_ns: int
    """When it got this content, as far as its times say."""


class Survey:
    """Looks at a store again and again; a history that has not changed is not read twice. Raises OSError, GuardError."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self._histories: dict[str, tuple[int, dict[str, File]]] = {}

    def look(self) -> dict[str, File]:
        """Return all files of the store, by path; of a store that is not there, an error and never nothing."""
        self.store.open()
        found = {file.path: file for file in self._plain()}
        found |= {file.path: file for file in self._shadows()}
        before, self._histories = self._histories, {}
        for session in self.store.histories():
            versions = self._versions(session, before.get(session))
            found |= versions
        self.store.place.check()
        return found

    def _plain(self) -> Iterator[File]:
        for name in PLAIN_FILES:
            if found := files.stamp(self.store.root / name):
                yield File(name, _signature(found), found.size_bytes, found.mtime_ns)

    def _shadows(self) -> Iterator[File]:
        logs = {}
        for session in self.store.with_delta_logs():
            if log := files.stamp(self.store.delta_log_path(session)):
                logs[session] = log
        with os.scandir(self.store.shadows_directory) as entries:
            for entry in entries:
                path = f"shadows/{entry.name}"
                if not is_path(path):
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if not stat.S_ISREG(status.st_mode):
                        continue
                    found = files.Stamp.of(status)
                    log = logs.get(entry.name[:-5])
                    signature = _signature(found) + (f"+{_signature(log)}" if log else "")
                    changed_ns = max(found.mtime_ns, log.mtime_ns) if log else found.mtime_ns
                    yield File(path, signature, found.size_bytes, changed_ns)

    def _versions(self, session: str, before: tuple[int, dict[str, File]] | None) -> dict[str, File]:
        directory = self.store.history_directory / session
        try:
            changed_ns = os.lstat(directory).st_mtime_ns
            if before and before[0] == changed_ns:
                self._histories[session] = before
                return before[1]
            found = {}
            with os.scandir(directory) as entries:
                for entry in entries:
                    path = f"history/{session}/{entry.name}"
                    with suppress(FileNotFoundError):
                        if is_path(path) and (version := version_of(session, entry)):
                            time_ns = int(version.time.timestamp() * 1e9)
                            found[path] = File(path, VERSION, version.size_bytes, time_ns)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        # Two changes within one tick of the clock have the same time: a young one is looked at again.
        if time.time_ns() - changed_ns > _SETTLED_NS:
            self._histories[session] = (changed_ns, found)
        return found

    # -- content

    def add(self, writing: Writing, file: File) -> Item:
        """Add the content of a file, as it is now, to an object.

        Raises FileNotFoundError when it is gone, `files.Damaged` when it is not what was kept: a copy of rot is no copy.
        """
        room = file.path.partition("/")[0]
        session = session_of(file.path)
        path = self.store.root / file.path
        if room == "shadows" and session and file.size_bytes <= WHOLE_BYTES:
            newest = self.store.newest(session)
            return writing.add(file.path, newest.data, newest.mtime_ns, newest.messages)
        if room == "shadows" and session:
            noted = self.store.shadow_note(session)
            with _opened(path) as descriptor:
                return writing.add_open(file.path, descriptor, noted[1] if noted else None)
        if room == "history" and session:
            self._require_sound(session, path)
        with _opened(path) as descriptor:
            return writing.add_open(file.path, descriptor)

    def _require_sound(self, session: str, path: Path) -> None:
        from hermesguard.store.history import rot_of

        for _ in rot_of(path, path.name.rpartition("-")[2].removesuffix(".json.gz")):
            pass


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor, _ = files.opened(path, None)
    except OSError as error:
        if error.errno == errno.EIO:
            raise files.Damaged(errno.EIO, f"{path.name}: the disk does not give it back") from None
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _signature(found: files.Stamp) -> str:
    return f"{found.size_bytes}.{found.mtime_ns}.{found.inode}.{found.ctime_ns}"
