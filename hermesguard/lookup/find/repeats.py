"""Which versions of a session say something that its newer copies do not: noted from one search to the next (module notes).

Most versions repeat what the newest copy says, for a repair has put it back. A search that has read them all notes which ones
it must read again, and of what state of the session that is true.
"""

import re
from pathlib import Path
from typing import Any, Final

from hermesguard.lookup.find.notes import Notes

_LONGEST_COMPARED_BYTES: Final = 4 * 1024 * 1024
# Lines of a session file that hold nothing that people read or search: brackets, switches, counters and times.
_TEXTLESS: Final = re.compile(
    rb'[\s\[\]{},]*(?:"\w+": (?:null|true|false|[\[{]+[\]}]*),?|"(?:\w+_at|\w+_count|\w+_tokens|timestamp)": [-\d.e+]+,?)?'
)

State = list[int]


class Repeats(Notes):
    """What was noted of the sessions of one store."""

    def __init__(self, store: Path) -> None:
        super().__init__("find", store, _is_note)

    def versions(self, session: str, state: State) -> list[str] | None:
        """Return the versions that must be read, the newest first, of a session in this state; None when it is not known."""
        known = self.known.get(session)
        return known[1] if known and known[0] == state else None


def _is_note(one: list[Any]) -> bool:
    return len(one) == 2 and type(one[0]) is type(one[1]) is list and set(map(type, one[1])) <= {str}


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
