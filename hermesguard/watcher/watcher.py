"""Which names of the sessions directory changed, and whether the watch still delivers. Knows names, not sessions.

How a loop uses it:

    watch = Watch(directory)
    watch.start()                                  # from here on every change is seen; then scan
    selector.register(watch, EVENT_READ)           # there is no other wake-up
    # readable:
    for change in watch.take(): ...
    if watch.alarmed:                              # not names: the directory itself, or the queue
        if watch.overflowed(): ...                 # events were lost: scan
        if reason := watch.watch_lost(): ...            # report, unregister, stop(), a new Watch, scan
    # at each scan:         watch.watch_lost()
    # about once a minute:   watch.self_test()

Events are hints and the scan is the truth: a loss is found without any of this, but not at once. A `Watch` that
is lost stays so; to establish it again is a new `Watch`.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from hermesguard.errors import GuardError
from hermesguard.watcher.change import Change
from hermesguard.watcher.mounts import filesystem_type, hears_every_change

if TYPE_CHECKING:
    from hermesguard.watcher.inotify import Queue

__all__ = ["Change", "Watch"]

_NO_INOTIFY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM, errno.ENOSYS, errno.EPERM})
_CHOSEN = 'Polling was chosen; with watch = "auto" changes are seen at once where that is possible.'
_NAME_IT = "Name the sessions directory of hermes-webui with --sessions"
_GIVE_RIGHTS = "Run the guard as the user of hermes-webui, or give its user the right to read and write there"


class Source(Protocol):
    overflowed: bool

    @property
    def trouble(self) -> str | None: ...
    @property
    def has_news(self) -> bool: ...
    @property
    def answers(self) -> bool: ...
    def fileno(self) -> int: ...
    def take(self, is_read: bool = False) -> list[Change]: ...
    def prove(self) -> str | None: ...
    def close(self) -> None: ...


class Watch:
    """A watch over the `*.json` names in one directory, by inotify, or by polling where that cannot be had.

    Seen are files that come or go by rename, creation or deletion, and files written in place, once their writer
    closes them. A hard link is seen when the temporary file that it was made of is deleted, else left to the scan.
    Reading is not seen. All methods are for one thread: the loop's.

    mode: "inotify" or "polling"; what `start` found possible.
    reason: why it is polling, in a sentence that names the remedy; "" with inotify.
    """

    def __init__(
        self,
        directory: Path,
        *,
        watch: Literal["auto", "polling"] = "auto",
        polling_interval_seconds: float = 1.0,
        queue: "Callable[[], Queue] | None" = None,
    ) -> None:
        """`queue` returns the queue of the kernel that this watch shares with others; without it, it has its own."""
        self.mode: Literal["inotify", "polling"] = "inotify"
        self.reason = ""
        self._directory = directory
        self._watch = watch
        self._polling_interval_seconds = polling_interval_seconds
        self._queue = queue
        self.source: Source | None = None
        """What is heard by, while it is; to be asked at each save without a call between."""
        self._identity = (0, 0)

    def start(self) -> None:
        """Begin to watch; when this returns, every later change will be taken.

        With inotify a change is made to try whether it is seen (`self_test`); if not, polling takes over.
        Raises GuardError when the directory is missing, is none, or may not be read, and when the installed
        watchdog lacks what is needed here.
        """
        self._identity = self._present_identity()
        try:
            self.reason = self._listen() if self._watch == "auto" else _CHOSEN
            if self.reason:
                from hermesguard.watcher.polling import Polling  # where inotify works nothing of it is needed

                self.mode = "polling"
                self.source = Polling(self._directory, self._identity, self._polling_interval_seconds)
        except OSError as error:
            what = f"The directory {self._directory} cannot be watched: {error.strerror}"
            raise GuardError(what, _GIVE_RIGHTS) from error
        if watch_lost := self.watch_lost():
            self.stop()
            raise GuardError(watch_lost.removesuffix("."), "Start again once it stays in its place")

    def fileno(self) -> int:
        """Return the descriptor, for a selector, that is readable when `take` has something to give.

        Take it out of the selector before `stop`.
        """
        return self._running().fileno()

    def take(self, is_read: bool = False) -> list[Change]:
        """Return what changed since the last call, each name once, in the order in which they first changed.

        Never waits. A renamed session gives two changes: its old name, then its new one with `moved_from`. `is_read`: a queue
        that is shared was read just now, by whoever waits for it.
        """
        return (self.source or self._running()).take(is_read)

    @property
    def answers(self) -> bool:
        """Whether the directory may be touched: one that is polled has to have answered not long ago. Costs nothing."""
        return (self.source or self._running()).answers

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the directory, as it was at the start."""
        return self._identity

    @property
    def has_news(self) -> bool:
        """Whether `take` would give something without reading, for that was read on behalf of another watch of the same queue."""
        source = self.source or self._running()
        return source.has_news or source.overflowed or source.trouble is not None

    @property
    def alarmed(self) -> bool:
        """Whether `overflowed` or `watch_lost` has something to report; costs nothing."""
        source = self.source or self._running()
        return source.overflowed or source.trouble is not None

    def overflowed(self) -> bool:
        """Return True once after the kernel's queue was full and events were lost: scan."""
        source = self._running()
        overflowed, source.overflowed = source.overflowed, False
        return overflowed

    def watch_lost(self) -> str | None:
        """Return None while the watch should see, else why not, in a sentence. Costs one stat.

        Reports a directory deleted, moved, unmounted, replaced by another (device and inode), out of reach;
        a thread that ended.
        """
        if self.source is None:
            return f"The directory {self._directory} is not being watched."
        if self.source.trouble:
            return self.source.trouble
        try:
            there = os.stat(self._directory)
        except OSError as error:
            return f"The directory {self._directory} cannot be reached: {error.strerror}."
        if (there.st_dev, there.st_ino) != self._identity:
            return f"Another directory has taken the place of {self._directory}."
        return None

    def self_test(self) -> str | None:
        """As `watch_lost`, and more: with inotify, change something and see it; with polling, see that looks go on.

        No file is touched. The change is the directory's own mode set to what it is, which moves no time but its
        ctime; where that is refused (another user's directory) or unsafe (a setgid one), a file
        `.hermesguard-canary`, which the application ignores, is made and removed, which moves the directory's
        mtime. Where neither can be done, as on a read-only file system, the sentence says so.
        Names that were read on the way are not lost: the descriptor stays readable until `take`.
        """
        if (reason := self.watch_lost()) or self.source is None:
            return reason
        try:
            return self.source.prove()
        except OSError as error:
            return f"Whether changes in {self._directory} are seen cannot be tried: {error.strerror}."

    def stop(self) -> None:
        """End the watch, and its thread where there is one. May be called again, and before `start`."""
        if self.source:
            self.source.close()
            self.source = None

    def _running(self) -> Source:
        if self.source is None:
            raise RuntimeError("the watch is not running")
        return self.source

    def _present_identity(self) -> tuple[int, int]:
        try:
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise GuardError(f"There is no directory {self._directory}", _NAME_IT) from error
        except NotADirectoryError as error:
            raise GuardError(f"{self._directory} is not a directory", _NAME_IT) from error
        except OSError as error:
            what = f"The directory {self._directory} cannot be read: {error.strerror}"
            raise GuardError(what, _GIVE_RIGHTS) from error
        try:
            itself = os.fstat(descriptor)
            return itself.st_dev, itself.st_ino
        finally:
            os.close(descriptor)

    def _listen(self) -> str:
        """Open inotify; return "" when it works, else why it does not."""
        filesystem = filesystem_type(self._directory)
        if not hears_every_change(filesystem):
            return (
                f"{self._directory} is on {filesystem}, where the kernel does not report all changes; keep "
                "the sessions on a local file system to have losses repaired at once."
            )
        try:
            from hermesguard.watcher.inotify import Inotify, limit_reason  # polling does without watchdog

            source = Inotify(self._directory, self._queue() if self._queue else None)
        except (ImportError, AttributeError, TypeError) as error:
            raise GuardError(
                f"The installed watchdog is none that hermesguard can use ({error})",
                "Install one that it knows: pip install 'watchdog>=7.1,<8'",
            ) from error
        except OSError as error:
            if error.errno in _NO_INOTIFY:
                return limit_reason(error)
            raise
        try:
            unseen = source.prove()
        except OSError:
            unseen = None  # no reason to poll; self_test() reports it
        if unseen:
            source.close()
            return (
                f"A change in {self._directory}, on {filesystem or 'an unknown file system'}, was not seen by "
                "inotify; keep the sessions on a local file system to have losses repaired at once."
            )
        self.source = source
        return ""
