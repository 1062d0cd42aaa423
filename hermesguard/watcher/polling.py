"""Polling: a directory listed again and again, where the kernel does not report changes."""

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from watchdog.utils.dirsnapshot import DirectorySnapshot

from hermesguard.watcher.change import SUFFIX, Change, Pending, note

_SHARE_OF_TIME = 0.05  # a directory that takes long to look at is looked at less often
_PATIENCE_SECONDS = 30.0
_SILENCE_SECONDS = 3.0  # so long a look lasts only where the other side does not answer, or hardly
_STOP_SECONDS = 2.0
_CLOCK_TICK_NS = 50_000_000

Look = dict[str, "Signature"]


class Signature(NamedTuple):
    """What stat says of a file; the same for a file that was not touched."""

    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    is_final: bool
    """False: so new that it could change again within one tick of its clock and look the same."""


class Polling:
    """A thread that looks at each `*.json` of a directory by stat; readable (`fileno`) when something changed.

    The constructor takes the first look, so every change after it is found; OSError when it cannot look.
    It is a thread because on a network file system that has gone away a look does not return.

    overflowed: always False, for polling loses only what lasted less than one interval.
    trouble: why nothing is seen at present, as a sentence; None when the last look went well.
    """

    overflowed = False

    def __init__(self, directory: Path, identity: tuple[int, int], interval_seconds: float) -> None:
        self._trouble: str | None = None
        self._directory = directory
        self._identity = identity
        self._interval_seconds = interval_seconds
        self._stopped = threading.Event()
        self._found: deque[Change] = deque()
        self._last = self._look()
        self._looked_seconds = time.monotonic()
        self._began_seconds = self._looked_seconds
        self._is_looking = False
        self._pause_seconds = interval_seconds
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="hermesguard-polling", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the limit of tasks
            os.close(self._descriptor)
            raise OSError(errno.EAGAIN, "no thread can be started") from error

    @property
    def trouble(self) -> str | None:
        if not self._thread.is_alive():
            return f"The thread that looks at {self._directory} has ended."
        return self._trouble

    @property
    def has_news(self) -> bool:
        return bool(self._found)

    @property
    def answers(self) -> bool:
        waited_seconds = time.monotonic() - self._began_seconds
        return not self._is_looking or waited_seconds < _SILENCE_SECONDS

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """End the thread; one that hangs in a dead file system is left behind, and ends with the process."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        if self._descriptor != -1 and not self._thread.is_alive():
            os.close(self._descriptor)
            self._descriptor = -1

    def take(self, is_read: bool = False) -> list[Change]:
        """Return what changed since the last time; never waits."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)
        pending: Pending = {}
        while self._found:
            note(pending, *self._found.popleft())
        return list(pending.values())

    def prove(self) -> str | None:
        """None when the last good look is recent, else a sentence."""
        seconds = time.monotonic() - self._looked_seconds
        if seconds > _PATIENCE_SECONDS + 2 * self._pause_seconds:
            return f"{self._directory} could not be looked at for {seconds:.0f} s."
        return None

    def _run(self) -> None:
        while not self._stopped.wait(self._pause_seconds):
            begun_seconds = self._began_seconds = time.monotonic()
            self._is_looking = True
            try:
                look = self._look()
            except OSError as error:
                trouble: str | None = f"{self._directory} cannot be looked at: {error.strerror}."
            else:
                trouble = None
                self._found.extend(differences(self._last, look))
                self._last = look
                self._looked_seconds = time.monotonic()
            self._is_looking = False
            if self._found or trouble != self._trouble:
                self._trouble = trouble
                os.eventfd_write(self._descriptor, 1)
            self._pause_seconds = max(
                self._interval_seconds, (time.monotonic() - begun_seconds) / _SHARE_OF_TIME
            )

    def _look(self) -> Look:
        # By watchdog's public class: 1.4 times what a loop over os.scandir takes, a millisecond more for 1000 sessions.
        root = os.fspath(self._directory)
        now_ns = time.time_ns()
        snapshot = DirectorySnapshot(
            root,
            recursive=False,
            stat=lambda path: os.stat(path, follow_symlinks=path == root),
            listdir=_files_in,
        )
        # Asked again at the end, for watchdog takes a directory that goes meanwhile for an empty one.
        for itself in (snapshot.stat_info(root), os.stat(root)):
            if (itself.st_dev, itself.st_ino) != self._identity:
                raise OSError(0, "another directory has taken its place")
        look: Look = {}
        for path in snapshot.paths - {root}:
            info = snapshot.stat_info(path)
            is_final = not 0 <= now_ns - info.st_ctime_ns < _CLOCK_TICK_NS
            look[os.path.basename(os.fsdecode(path))] = Signature(
                info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, is_final
            )
        return look


def _files_in(directory: str | None) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX) and not entry.is_dir(follow_symlinks=False):
                yield entry


def differences(before: Look, after: Look) -> Iterator[Change]:
    """Yield what happened between two looks: what is gone first, then what is new, renamed or changed.

    A rename is recognised by inode, size and mtime together. `watchdog.utils.dirsnapshot.DirectorySnapshotDiff` uses the
    inode alone, which ext4 gives to the next file that is written: it would take the next save of any session for a rename.
    """
    gone = {was[:3]: name for name, was in before.items() if name not in after}
    for name in gone.values():
        yield Change(name)
    for name, now in after.items():
        was = before.get(name)
        if was is None:
            yield Change(name, moved_from=gone.get(now[:3]))
        elif was[:4] != now[:4] or not was.is_final:
            yield Change(name)
