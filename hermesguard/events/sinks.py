"""Where log entries leave the process, without ever waiting: the standard error as JSON lines or as readable text.

(The journal is a sink too: `journald.py`.) Whatever stands at the other end may hang, be full or be gone.
"""

import errno
import os
import select
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import orjson

from hermesguard import files
from hermesguard.clock import local
from hermesguard.events.event import Event, Priority, Value

SCHEMA_VERSION: Final = 2
STDERR: Final = 2


def iso_time(time: datetime | None = None) -> str:
    """Return `time`, or now, in UTC with microseconds."""
    return (time or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Record(NamedTuple):
    """One event that happened: when (UTC), its sentence, and its fields."""

    event: Event
    time: datetime
    message: str
    values: Mapping[str, Value]

    @property
    def iso_time(self) -> str:
        """When it happened, UTC, with microseconds."""
        return iso_time(self.time)

    def to_object(self) -> dict[str, object]:
        """Return the documented object: a JSON line on stderr, and what an alert command reads."""
        return {
            "schema_version": SCHEMA_VERSION,
            "event": self.event.name,
            "message_id": self.event.message_id,
            "time": self.iso_time,
            "priority": int(self.event.priority),
            "level": self.event.priority.name.lower(),
            "message": self.message,
            **self.values,
        }


class Offer(Enum):
    """What became of an entry that was offered: taken, to be offered again later, or lost for good."""

    TAKEN = 1
    LATER = 2
    LOST = 3


class Sink(Protocol):
    """A way out. Nothing here waits or raises."""

    def encode(self, record: Record) -> bytes: ...
    def offer(self, payload: bytes) -> Offer: ...

    def finish(self) -> bool:
        """Send the rest of an entry that was taken in part; return whether nothing of it is left."""
        ...

    def close(self) -> None: ...


class Stream:
    """The standard error, written to without blocking and without changing how others use the same terminal or pipe."""

    def __init__(self, descriptor: int = STDERR) -> None:
        """Take a descriptor of our own for what `descriptor` is; OSError when it is closed."""
        self._socket: socket.socket | None = None
        self._descriptor = -1
        self._rest = b""
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(kind):
            self._socket = socket.socket(fileno=os.dup(descriptor))
            return
        # O_NONBLOCK belongs to the open description, which the shell and hermes-webui may share; so open it anew. A
        # regular file is not: it does not block, and a new description would begin to write at its start.
        if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            with suppress(OSError):  # another user's pipe
                self._descriptor = os.open(f"/proc/self/fd/{descriptor}", flags)
        self._opened_anew = self._descriptor >= 0
        if not self._opened_anew:
            self._descriptor = os.dup(descriptor)

    def offer(self, payload: bytes) -> Offer:
        if not self.finish():
            return Offer.LATER
        try:
            written = self._write(payload)
        except OSError:
            return Offer.LOST
        if written == 0:
            return Offer.LATER
        self._rest = payload[written:]
        return Offer.TAKEN

    def finish(self) -> bool:
        if self._rest:
            try:
                self._rest = self._rest[self._write(self._rest) :]
            except OSError:
                self._rest = b""
        return not self._rest

    def _write(self, data: bytes) -> int:
        try:
            if self._socket:
                return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            if self._opened_anew:
                return os.write(self._descriptor, data)
            return self._write_when_ready(data)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR, errno.ENOBUFS):
                return 0
            raise

    def _write_when_ready(self, data: bytes) -> int:
        # A pipe that polls as writable has room for PIPE_BUF bytes, so that a write of no more than that cannot block.
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(0):
            return 0
        return os.write(self._descriptor, data[: select.PIPE_BUF])

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        else:
            os.close(self._descriptor)


class JsonLines(Stream):
    """One JSON object a line, for containers and pipes."""

    def encode(self, record: Record) -> bytes:
        return orjson.dumps(record.to_object(), option=orjson.OPT_APPEND_NEWLINE)


class Text(Stream):
    """Sentences for a user at a terminal."""

    _COLOURS: Final = {
        Priority.CRITICAL: "1;31",
        Priority.ERROR: "31",
        Priority.WARNING: "33",
        Priority.NOTICE: "32",
        Priority.DEBUG: "2",
    }

    def __init__(self, descriptor: int = STDERR, environment: Mapping[str, str] = os.environ) -> None:
        super().__init__(descriptor)
        self._encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        self._coloured = (
            os.isatty(descriptor) and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        )

    def encode(self, record: Record) -> bytes:
        level = f"{record.event.priority.name.lower():<8}"
        colour = self._COLOURS.get(record.event.priority)
        if self._coloured and colour:
            level = f"\x1b[{colour}m{level}\x1b[0m"
        line = f"{local(record.time):%H:%M:%S} {level} {record.message}\n"
        return line.encode(self._encoding, "backslashreplace")


class JournalText(Stream):
    """Lines on a standard error that is the journal, their priority in front as sd-daemon(3) says."""

    def encode(self, record: Record) -> bytes:
        return f"<{record.event.priority:d}>{record.message}\n".encode()


# ---- a file, for a process whose words no journal may keep

_LARGEST_LOG_BYTES: Final = 1024 * 1024
_LARGEST_LOG_READ_BYTES: Final = 16 * 1024 * 1024
_KEPT_LINES: Final = 500


class FileLog:
    """A file of JSON lines, each with a `number` that only rises; only the newest 500 stay when it becomes long.

    Waits for the disk, so it is not for the guard.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError when there is a file that cannot be read."""
        self._path = path
        self._last = max((number for number, _ in read_log(path)), default=0)

    def encode(self, record: Record) -> bytes:
        # By the clock, so that a log that was lost uses no number again.
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return orjson.dumps({"number": self._last, **record.to_object()}, option=orjson.OPT_APPEND_NEWLINE)

    def offer(self, payload: bytes) -> Offer:
        try:
            files.append_durably(self._path, payload)
            if self._path.stat().st_size > _LARGEST_LOG_BYTES:
                lines = files.read(self._path)[0].splitlines(keepends=True)
                files.write_durably(self._path, b"".join(lines[-_KEPT_LINES:]))
        except OSError:
            return Offer.LATER
        return Offer.TAKEN

    def finish(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held."""


def read_log(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the lines of a `FileLog` by their numbers, the oldest first; none without a file. Raises OSError."""
    try:
        data = files.read(path, _LARGEST_LOG_READ_BYTES)[0]
    except FileNotFoundError:
        return []
    found = []
    for line in data.splitlines():
        with suppress(ValueError):  # a torn line
            value = orjson.loads(line)
            if isinstance(value, dict) and isinstance(number := value.get("number"), int):
                found.append((number, value))
    return found


# ---- a bounded queue before a sink: what cannot be said now is said later, and what cannot be kept is counted

MOST_BYTES: Final = 4 * 1024 * 1024
_MOST_AT_ONCE: Final = 64
_SHORTEST_DELAY_SECONDS: Final = 0.02
_LONGEST_DELAY_SECONDS: Final = 1.0


class Outbox:
    """Entries on their way to one sink, in order. When there is no room, the oldest bookkeeping goes first."""

    def __init__(self, sink: Sink, notice: Callable[[int], bytes], most_bytes: int = MOST_BYTES) -> None:
        """`notice` makes the entry that says how many were dropped, sent once the sink takes entries again."""
        self.sink = sink
        self.dropped = 0
        self._notice = notice
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._number = 0
        self._important: deque[tuple[int, bytes]] = deque()
        self._bookkeeping: deque[tuple[int, bytes]] = deque()
        self._delay_seconds = _SHORTEST_DELAY_SECONDS

    def __len__(self) -> int:
        return len(self._important) + len(self._bookkeeping)

    def put(self, payload: bytes, important: bool) -> None:
        """Queue an entry; never refuses, but may drop an older one."""
        self._number += 1
        (self._important if important else self._bookkeeping).append((self._number, payload))
        self._size_bytes += len(payload)
        while self._size_bytes > self._most_bytes:
            self._size_bytes -= len((self._bookkeeping or self._important).popleft()[1])
            self.dropped += 1

    def pump(self) -> float | None:
        """Send what is taken now, at most a few at once; return seconds until the next call, None when all is said."""
        for _ in range(_MOST_AT_ONCE):
            if not (self._important or self._bookkeeping):
                return None if self.sink.finish() else self._later()
            queue = self._oldest()
            offer = self.sink.offer(queue[0][1])
            if offer is Offer.LATER:
                return self._later()
            self._size_bytes -= len(queue.popleft()[1])
            self._delay_seconds = _SHORTEST_DELAY_SECONDS
            if offer is Offer.LOST:
                self.dropped += 1
            elif self.dropped and self.sink.offer(self._notice(self.dropped)) is Offer.TAKEN:
                self.dropped = 0
        return 0.0

    def _oldest(self) -> deque[tuple[int, bytes]]:
        if not self._bookkeeping:
            return self._important
        if not self._important:
            return self._bookkeeping
        return min(self._important, self._bookkeeping, key=lambda queue: queue[0][0])

    def _later(self) -> float:
        delay_seconds = self._delay_seconds
        self._delay_seconds = min(2 * delay_seconds, _LONGEST_DELAY_SECONDS)
        return delay_seconds
