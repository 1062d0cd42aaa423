"""Which versions of a session say something that its newer copies do not: noted from one search to the next.

Most versions repeat what the newest copy says, for a repair has put it back. A search that has read them all notes which ones
it must read again, and of what state of the session that is true, in the user's cache directory (`$XDG_CACHE_HOME`, else
`~/.cache`), in a file that only the user may read. No text is in it: ids, numbers and file names. It can be removed at any time.
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from hermesguard import files
from hermesguard.config.paths import absolute_variable

FORMAT: Final = 1
_LONGEST_COMPARED_BYTES: Final = 4 * 1024 * 1024
_LONGEST_NOTES_BYTES: Final = 256 * 1024 * 1024
_SETTLED_NS: Final = 2_000_000_000
"""A change within one tick of the file system's clock leaves no trace in the time: what is this old has seen none."""
# Lines of a session file that hold nothing that people read or search: brackets, switches, counters and times.
_TEXTLESS: Final = re.compile(
    rb'[\s\[\]{},]*(?:"\w+": (?:null|true|false|[\[{]+[\]}]*),?|"(?:\w+_at|\w+_count|\w+_tokens|timestamp)": [-\d.e+]+,?)?'
)

State = list[int]
Notes = dict[str, tuple[State, list[str]]]


class Repeats:
    """What was noted of the sessions of one store. `began_ns` is when the search began."""

    def __init__(self, store: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._store = os.path.realpath(store)
        self._path = _path(self._store, environment)
        self._began_ns = time.time_ns()
        self._known: dict[str, Any] = _read(self._path, self._store) if self._path else {}

    def versions(self, session: str, state: State) -> list[str] | None:
        """Return the versions that must be read, the newest first, of a session in this state; None when it is not known."""
        known = self._known.get(session)
        return known[1] if known and known[0] == state else None

    def is_settled(self, changed_ns: int) -> bool:
        """Return whether what was last changed then cannot have changed again in the very moment in which it was looked at."""
        return changed_ns < self._began_ns - _SETTLED_NS

    def write(self, found: Notes) -> None:
        """Keep what a search has found out besides; where that is not possible, the next search is slower."""
        if not found or self._path is None:
            return
        notes = self._known | {name: list(note) for name, note in found.items()}
        data = orjson.dumps({"format": FORMAT, "store": self._store, "sessions": notes})
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.write_privately(self._path, data)


def _path(store: str, environment: Mapping[str, str]) -> Path | None:
    """Return where the notes of a store are kept; None where this user has no directory of his own for them."""
    own = absolute_variable(environment, "XDG_CACHE_HOME")
    base = own or absolute_variable(environment, "HOME")
    try:
        # As root with the home of somebody else, what is written there would be in that user's way.
        if base is None or os.stat(base).st_uid != os.geteuid():
            return None
    except OSError:
        return None
    name = hashlib.sha256(os.fsencode(store)).hexdigest()[:16]
    return (own or base / ".cache") / "hermesguard" / f"find-{name}.json"


def _read(path: Path, store: str) -> dict[str, Any]:
    """Return what was noted; nothing when it cannot be read, is of somebody else, or is not what was written."""
    try:
        data, stamp = files.read(path, _LONGEST_NOTES_BYTES)
        if stamp.uid != os.geteuid() or stamp.mode & 0o022:
            return {}
        said = orjson.loads(data)
        if (said["format"], said["store"]) != (FORMAT, store):
            return {}
        sessions = said["sessions"]
        return sessions if all(_is_note(one) for one in sessions.values()) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_note(one: Any) -> bool:
    state, names = one
    return type(state) is list and type(names) is list and set(map(type, names)) <= {str}


def adds_text(data: bytes, other: bytes) -> bool:
    """Return whether a session file has a line with text that another does not have. Pure; if in doubt it has."""
    if max(len(data), len(other)) > _LONGEST_COMPARED_BYTES:
        return True
    at, at_other = data.find(b'"messages"'), other.find(b'"messages"')
    lines = _different(data[:at], other[:at_other]) + _different(data[at:], other[at_other:])
    fresh = [line for line in lines if not _TEXTLESS.fullmatch(line)]
    if not fresh:
        return False
    known = {line.rstrip(b",") for line in other.split(b"\n")}
    return any(line.rstrip(b",") not in known for line in fresh)


def _different(data: bytes, other: bytes) -> list[bytes]:
    """Return the lines of `data` between what both begin with and what both end with."""
    if data == other:
        return []
    begin = data.rfind(b"\n", 0, _common(data, other)) + 1
    end = len(data) - _common_end(data, other, min(len(data), len(other)) - begin)
    end = data.find(b"\n", end)
    return data[begin : len(data) if end < 0 else end].split(b"\n")


def _common(a: bytes, b: bytes) -> int:
    """Return how many bytes two contents have in common at their beginning."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:  # low of them are the same, high are not
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _common_end(a: bytes, b: bytes, most: int) -> int:
    """Return how many bytes, at most so many, two contents have in common at their end."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        if a[len(a) - middle : len(a) - low] == b[len(b) - middle : len(b) - low]:
            low = middle
        else:
            high = middle
    return low
