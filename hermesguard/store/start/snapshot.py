"""What a guard that ended in order knew of each session: `<store>/snapshot`, so that the next start need not ask each file.

It counts only as long as the directory of shadows is the one that it was written for, with not a name come or gone since. The
state of the sessions directory is noted too: if that is the same, no session was saved since by rename, and the start
need not look at each file before it is ready. A first line of JSON, the names, and three columns of 64-bit numbers; it
can be removed at any time.
"""

from __future__ import annotations

import re
import sys
import zlib
from array import array
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from hermesguard import files
from hermesguard.webui.directory import DirectoryState
from hermesguard.webui.session import is_session_id

FILE_NAME: Final = "snapshot"
FORMAT: Final = 1
LONGEST_BYTES: Final = 256 * 1024 * 1024
_NAMES: Final = re.compile(rb"(?:[0-9A-Za-z-][0-9A-Za-z_-]{0,221}\n)*")
_COLUMNS: Final = 3
_NUMBER_BYTES: Final = 8


class Snapshot(NamedTuple):
    """What was known of each session."""

    names: list[str]
    sizes_bytes: array[int]
    times_ns: array[int]
    messages: array[int]
    to_visit: list[str]
    """Those of which it was not known whether they are in order."""
    sessions: DirectoryState | None
    """The sessions directory then; None when that proves nothing."""


def write(store: Path, found: Snapshot) -> None:
    """Write the snapshot of a store whose shadows will not change any more, if it says something new. Raises OSError."""
    names = "".join(f"{name}\n" for name in found.names).encode("ascii")
    columns = [_little(column) for column in (found.sizes_bytes, found.times_ns, found.messages)]
    payload = b"".join((names, *columns))
    header: dict[str, Any] = {
        "format": FORMAT,
        "count": len(found.names),
        "names_bytes": len(names),
        "shadows": list(DirectoryState.of(store / "shadows")),
        "sessions": list(found.sessions) if found.sessions else None,
        "to_visit": found.to_visit,
        "crc32": zlib.crc32(payload),
    }
    data = orjson.dumps(header) + b"\n" + payload
    path = store / FILE_NAME
    stamp = files.stamp(path)
    if stamp is None or stamp.size_bytes != len(data) or files.read(path)[0] != data:
        files.write_durably(path, data)


def read(store: Path) -> Snapshot | str | None:
    """Return the snapshot if it still counts, None if not; in words why it is none of ours. Raises OSError."""
    try:
        data = files.read(store / FILE_NAME, LONGEST_BYTES)[0]
    except FileNotFoundError:
        return None
    line, _, payload = data.partition(b"\n")
    try:
        header = orjson.loads(line)
    except ValueError:
        return "it is not what hermesguard writes"
    if not isinstance(header, dict) or not _is_header(header):
        return "it is not what hermesguard writes"
    count, names_bytes = header["count"], header["names_bytes"]
    if (
        len(payload) != names_bytes + count * _COLUMNS * _NUMBER_BYTES
        or zlib.crc32(payload) != header["crc32"]
    ):
        return "it is damaged: its content has another checksum"
    if DirectoryState(*header["shadows"]) != DirectoryState.of(store / "shadows"):
        return None
    names = payload[:names_bytes]
    if not _NAMES.fullmatch(names) or names.count(b"\n") != count:
        return "it holds what is no session id"
    columns = []
    for number in range(_COLUMNS):
        start = names_bytes + number * count * _NUMBER_BYTES
        columns.append(_native(payload[start : start + count * _NUMBER_BYTES]))
    sizes, times_ns, messages = columns
    if count and (min(sizes) < 0 or min(messages) < 0):
        return "it holds a number that is none"
    state = header.get("sessions")
    sessions = DirectoryState(*state) if state else None
    return Snapshot(
        names.decode("ascii").split("\n")[:-1], sizes, times_ns, messages, header["to_visit"], sessions
    )


def _is_header(header: dict[str, Any]) -> bool:
    numbers = [header.get(key) for key in ("count", "names_bytes", "crc32")]
    to_visit, sessions = header.get("to_visit"), header.get("sessions")
    return (
        header.get("format") == FORMAT
        and all(type(number) is int and number >= 0 for number in numbers)
        and _is_state(header.get("shadows"))
        and (sessions is None or _is_state(sessions))
        and isinstance(to_visit, list)
        and all(map(is_session_id, to_visit))
    )


def _is_state(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == len(DirectoryState._fields)
        and all(type(number) is int for number in value)
    )


def _little(column: array[int]) -> bytes:
    if sys.byteorder == "big":
        column = array("q", column)
        column.byteswap()
    return column.tobytes()


def _native(data: bytes) -> array[int]:
    column = array("q")
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
