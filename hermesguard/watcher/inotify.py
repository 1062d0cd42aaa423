"""watchdog's inotify, read by the loop itself.

What is taken from watchdog, and from where. Public: `watchdog.utils.dirsnapshot.DirectorySnapshot`, for polling. From its
insides, here and nowhere else: of `watchdog.observers.inotify_c` the calls `inotify_init`, `inotify_add_watch`,
`inotify_rm_watch` and the class `InotifyConstants`, which have stood there since before 2.2 but are promised to nobody; so
pyproject.toml allows no watchdog of the next major version, and one that lacks them is named at start (`Watch.start`).

Why not its observer, emitter and event classes: each event passes two threads, two queues and an object, and waits in a
grouper that holds a file moved out of the directory, and all that follows it, for half a second. Why not its `InotifyFD`
without the threads, which costs no more: a loop needs the descriptor, which it keeps to itself, and to read what is there
without waiting, which it does not do; that would be more of its insides, and younger ones. By `bench/watch_cost.py`, CPU of a
save over the least that Python can do, and, with a file moved out before each tenth save, how many were seen later than 100 ms:

    ours 1.20, 0 of 300    InotifyFD 1.22, 0 of 300    observer 3.6 (moves alone) to 4.8 (everything), 291 of 300
"""

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from struct import Struct

from watchdog.observers.inotify_c import (
    InotifyConstants,
    WatchDescriptor,
    inotify_add_watch,
    inotify_init,
    inotify_rm_watch,
)

from hermesguard.watcher.change import SUFFIX, Change, Pending, note

_MOVED_FROM = int(InotifyConstants.IN_MOVED_FROM)
_CLOSE_WRITE = int(InotifyConstants.IN_CLOSE_WRITE)
_MOVED_TO = int(InotifyConstants.IN_MOVED_TO)
_DELETE = int(InotifyConstants.IN_DELETE)
_ISDIR = int(InotifyConstants.IN_ISDIR)
_ATTRIB = int(InotifyConstants.IN_ATTRIB)

# Nothing that reading causes (open, access, close without write), or the guard would feed itself. No IN_MODIFY:
# each write() to each temporary file would wake the loop, to show it a half-written file. An in-place writer is
# heard when it closes, also when it dies; one that keeps the file open is found by the scan. No IN_CREATE: it would
# wake the loop at the birth of each temporary file, a third of what seeing a save costs; the one thing that only it
# tells is a hard link, and that never takes the place of anything. The application makes one, of a temporary file that
# it deletes at once, where it writes a missing file again: that deletion is the hint. IN_ATTRIB is for the self-test
# alone. That the directory is gone, IN_IGNORED says unasked.
_MASK = int(
    InotifyConstants.IN_MOVE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_ONLYDIR
)
_NO_NEWS = _ATTRIB | _ISDIR
_IS_NEW = 0x10000000
"""IN_MASK_CREATE (Linux 4.18): a directory has one watch under all its names, and who asks second must not take it away."""
_SCOUT_MASK = int(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)

# struct inotify_event (inotify(7)): watch, mask, cookie, bytes of the name that follows, zeros included
_header = Struct("iIII").unpack_from
_HEADER_BYTES = 16
_LARGEST_EVENT_BYTES = _HEADER_BYTES + 256
_BUFFER_BYTES = 65536
_MOVES_REMEMBERED = 64
_PID_DIGITS = 10  # more than any kernel gives

_SUFFIX = SUFFIX.encode()
_PROBE = ".hermesguard-canary"
_PROBE_BYTES = _PROBE.encode()
# What the guard puts in place itself is no save of the application's.
_OURS = b".hermesguard-"


class Queue:
    """One instance of inotify: the kernel's queue of events for one or more directories; readable (`fileno`) when there are some.

    Instances are counted for each user, so a guard of many directories needs but one. OSError when the kernel has none to give.
    """

    def __init__(self) -> None:
        self.was_read = False
        """Somebody read it for a directory of his own: others may have news of which nobody is woken; set back by who looks."""
        self._sources: dict[int, Inotify | Scout] = {}
        self._descriptor = inotify_init()
        if self._descriptor == -1:
            raise _last_error()
        os.set_inheritable(self._descriptor, False)
        os.set_blocking(self._descriptor, False)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if self._descriptor != -1:
            os.close(self._descriptor)
            self._descriptor = -1

    def add(self, directory: Path, mask: int, source: "Inotify | Scout") -> int:
        """Let `source` hear of a directory; return the number of the watch. OSError, EEXIST when it is heard of already."""
        watch = inotify_add_watch(self._descriptor, os.fsencode(directory), mask | _IS_NEW)
        if watch == -1:
            raise _last_error()
        if watch in self._sources:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), str(directory))
        self._sources[watch] = source
        return int(watch)

    def remove(self, watch: int) -> None:
        """Let nobody hear of it any more; what is still in the queue about it means nothing."""
        self._sources.pop(watch, None)
        if self._descriptor != -1:
            inotify_rm_watch(self._descriptor, WatchDescriptor(watch))

    def read(self) -> None:
        """Give each source what the kernel has for it; never waits."""
        # The one place that costs something at every save, run with cold caches: few calls, few objects.
        self.was_read = True
        while self._descriptor != -1:
            try:
                events = os.read(self._descriptor, _BUFFER_BYTES)
            except BlockingIOError:
                return
            size, offset = len(events), 0
            while offset < size:
                watch, mask, cookie, name_bytes = _header(events, offset)
                start = offset + _HEADER_BYTES
                offset = start + name_bytes
                source = self._sources.get(watch)
                if source is None:
                    if mask & InotifyConstants.IN_Q_OVERFLOW:
                        for other in self._sources.values():
                            other.hear_of_directory(mask)
                elif not name_bytes:
                    source.hear_of_directory(mask)
                else:
                    source.hear(mask, cookie, events[start : events.index(b"\0", start)])
            if size < _BUFFER_BYTES - _LARGEST_EVENT_BYTES:
                return


class Scout:
    """Looks out for directories that come into being in some others; whoever asks looks for himself what has come."""

    def __init__(self, queue: Queue, stir: Callable[[], None]) -> None:
        """`stir` is called when something may have come."""
        self._stir = stir
        self._queue = queue
        self._watches: dict[Path, int] = {}

    def look_out(self, places: Iterable[Path]) -> bool:
        """Look out in these directories from now on, and in no others; return whether one of them is new.

        One that is not there, or may not be read, is left out. What came before is not heard of.
        """
        has_new = False
        wanted = dict.fromkeys(places)
        for gone in self._watches.keys() - wanted.keys():
            self._queue.remove(self._watches.pop(gone))
        for place in wanted:
            if place not in self._watches:
                with suppress(OSError):
                    self._watches[place] = self._queue.add(place, _SCOUT_MASK, self)
                    has_new = True
        return has_new

    def hear(self, mask: int, cookie: int, name: bytes) -> None:
        if mask & _ISDIR:
            self._stir()

    def hear_of_directory(self, mask: int) -> None:
        self._stir()
        if mask & InotifyConstants.IN_IGNORED:
            there = {place for place in self._watches if place.is_dir()}
            self._watches = {place: watch for place, watch in self._watches.items() if place in there}


class Inotify:
    """One directory, heard of by a queue of its own, or by one that is shared.

    Raises OSError when the kernel has no instance or no watch to give; `limit_reason` makes a sentence of it.
    Holds the directory by its inode, never by an open descriptor, so that its file system can be unmounted.

    overflowed: events were lost (IN_Q_OVERFLOW); the owner sets it back.
    trouble: why nothing more will be seen, as a sentence; None while all is well.
    """

    answers = True

    def __init__(self, directory: Path, queue: Queue | None = None) -> None:
        self.overflowed = False
        self.trouble: str | None = None
        self._directory = directory
        self._pending: Pending = {}
        self._probe_seen = False
        self._moving: dict[int, bytes] = {}  # cookie -> the name that moved away, until the other half comes
        self._is_own = queue is None
        self._queue = queue or Queue()
        try:
            self._watch = self._queue.add(directory, _MASK, self)
        except OSError:
            if self._is_own:
                self._queue.close()
            raise

    def fileno(self) -> int:
        return self._queue.fileno()

    def close(self) -> None:
        if self._is_own:
            self._queue.close()
        else:
            self._queue.remove(self._watch)

    @property
    def has_news(self) -> bool:
        return bool(self._pending)

    def take(self, is_read: bool = False) -> list[Change]:
        """Return all that changed since the last time; never waits. `is_read`: the queue was read just now."""
        if not is_read:
            self._queue.read()
        pending, self._pending = self._pending, {}
        return list(pending.values())

    def prove(self) -> str | None:
        """Make a change that must be seen; None when it was, else a sentence. OSError when none can be made.

        The change is the directory's mode set to what it is, or, where that is not ours to do, a file that the
        application ignores, made and removed at once. The kernel queues the event before the call returns, so
        the answer is exact and needs no waiting.
        """
        for _ in range(2):  # a full queue swallows the first one
            self._probe_seen = False
            self._write_probe()
            self._queue.read()
            if self._probe_seen:
                break
        if self._pending:
            self._write_probe()  # keeps the descriptor readable: the loop comes for the names that were read here
        return (
            None if self._probe_seen else f"A change made in {self._directory} to try the watch was not seen."
        )

    def _write_probe(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            # chmod(2): an owner who is not in the directory's group would clear its setgid bit by this.
            if not mode & stat.S_ISGID:
                with suppress(PermissionError):
                    os.fchmod(descriptor, mode)
                    return
            flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(_PROBE, flags, 0o600, dir_fd=descriptor))
            os.unlink(_PROBE, dir_fd=descriptor)
        finally:
            os.close(descriptor)

    def hear(self, mask: int, cookie: int, name: bytes) -> None:
        """Note what happened to a name."""
        source = None
        if mask & _MOVED_FROM:
            self._moving[cookie] = name
            if len(self._moving) > _MOVES_REMEMBERED:
                del self._moving[next(iter(self._moving))]
        elif mask & _MOVED_TO:
            source = self._moving.pop(cookie, None)
        if not name.endswith(_SUFFIX):
            if name == _PROBE_BYTES:
                self._probe_seen = True
            elif mask & _DELETE and (writer_pid := _writer_pid(name)):
                note(self._pending, _decoded(name.rsplit(b".", 3)[0] + _SUFFIX), writer_pid)
        elif mask & _NO_NEWS:
            pass
        elif source is None:
            note(self._pending, _decoded(name), saves=int(bool(mask & _CLOSE_WRITE)))
        elif source.endswith(_SUFFIX):
            note(self._pending, _decoded(name), None, _decoded(source))
        else:
            saves = int(not source.startswith(_OURS))
            note(self._pending, _decoded(name), _writer_pid(source), saves=saves)

    def hear_of_directory(self, mask: int) -> None:
        """Note what happened to the directory itself, or to the queue."""
        if mask & _ATTRIB:
            self._probe_seen = True
        elif mask & InotifyConstants.IN_Q_OVERFLOW:
            self.overflowed = True
            self._moving.clear()
        elif self.trouble is None:
            what = "was deleted"
            if mask & InotifyConstants.IN_MOVE_SELF:
                what = "was renamed or moved away"
            elif mask & InotifyConstants.IN_UNMOUNT:
                what = "is gone, its file system was unmounted"
            self.trouble = f"The directory {self._directory} {what}."


@lru_cache(maxsize=512)
def _decoded(name: bytes) -> str:
    """As `os.fsdecode`; the same few names come again and again."""
    return os.fsdecode(name)


@lru_cache(maxsize=64)
def _writer_pid(temporary: bytes) -> int | None:
    parts = temporary.rsplit(b".", 3)
    is_named = len(parts) == 4 and parts[1] == b"tmp" and parts[2].isdigit() and len(parts[2]) <= _PID_DIGITS
    return int(parts[2]) if is_named else None


def limit_reason(error: OSError) -> str:
    """Return in a sentence why there is no inotify: the limit, its present value, the command that raises it."""
    if error.errno == errno.EMFILE:
        return _limit("instances", "max_user_instances", "max_inotify_instances", 1024)
    if error.errno == errno.ENOSPC:
        return _limit("watches", "max_user_watches", "max_inotify_watches", 524288)
    return f"inotify cannot be had: {error.strerror}."


def _limit(what: str, kernel_name: str, namespace_name: str, enough: int) -> str:
    """The smaller of two limits counts: the kernel's, and that of our user namespace (namespaces(7))."""
    values: dict[str, int] = {}
    for name in (f"fs.inotify.{kernel_name}", f"user.{namespace_name}"):
        with suppress(OSError, ValueError):  # a sandbox may hide them
            values[name] = int(Path("/proc/sys", name.replace(".", "/")).read_text())
    name = min(values, key=lambda key: values[key], default=f"fs.inotify.{kernel_name}")
    value = values.get(name)
    setting = f"{name}={max(enough, 4 * (value or 0))}"
    return (
        f"This user has no inotify {what} left ({name} is {'unknown' if value is None else value}): raise the "
        f"limit with `sysctl -w {setting}`, for good with that setting in /etc/sysctl.d/90-hermesguard.conf."
    )


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
