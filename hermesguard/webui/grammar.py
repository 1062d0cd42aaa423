"""JSON as Python's `json` reads it, a value at a time: what the application can read back is what counts. Pure."""

import json
import re
import sys
from collections.abc import Callable
from json.decoder import JSONDecoder
from typing import Any, Final

import orjson

# The application writes with the interpreter's default limit of 1000 frames; ours must read all that from deeper down.
RECURSION_LIMIT: Final = 5000
sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
DEEPEST: Final = 1024
"""How deep a value may be nested: as deep as orjson reads, and somewhat deeper than the application does."""
TOO_DEEP: Final = "nested deeper than the application can read"

SPACE: Final = re.compile(r"[ \t\n\r]*")
FOLLOW: Final = re.compile(r"[ \t\n\r]*([],])[ \t\n\r]*")
"""What follows an element of a list."""
KEY: Final = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
"""A key without escapes, and the colon."""
NEXT_MEMBER: Final = re.compile(r'[ \t\n\r]*(?:,[ \t\n\r]*(?=")|(?=\}))')
SHALLOW_BYTES: Final = 2 * DEEPEST
"""What is shorter cannot be nested deeper."""
# A string is gone over at once: what could be taken back of it would be kept, a hundred bytes for each of its characters.
_NESTING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{]|[\]}]', re.DOTALL)
# What each of these takes at most, with what belongs to it, in Python 3.11 as orjson makes it; an empty one takes as much.
_TAKEN_BY: Final = {b"{": 240, b"[": 64, b",": 64}
decode: Final = JSONDecoder().raw_decode
scan: Callable[[str, int], tuple[Any, int]] = vars(JSONDecoder())["scan_once"]
"""Read the JSON value at a position: (value, end). StopIteration where none is."""


class Unreadable(ValueError):
    """The bytes are not read as a session; str() says why, without quoting them. One of the two below."""


class Broken(Unreadable):
    """They are no session that the application could read."""


class TooDense(Unreadable):
    """The application may read them, but it would take many times their size in memory: they are not to be read here."""


def require_shallow(text: str, begin: int = 0, end: int | None = None) -> None:
    """Raise Broken when the JSON value in `text[begin:end]` is nested deeper than `DEEPEST`."""
    end = len(text) if end is None else end
    if end - begin <= SHALLOW_BYTES or text.count("[", begin, end) + text.count("{", begin, end) <= DEEPEST:
        return
    depth = 0
    for match in _NESTING.finditer(text, begin, end):
        mark = text[match.start()]
        if mark in "[{":
            depth += 1
            if depth > DEEPEST:
                raise Broken(TOO_DEEP)
        elif mark in "]}":
            depth -= 1


def members(data: bytes) -> Any:
    """Return what an abridged file says; ValueError when it is no JSON. Only its shape and its words are asked for.

    orjson is the faster one, and stricter: what it refuses may still be a file that the application reads. It makes floats
    of integers beyond 64 bits, which nobody looks at here.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        text = data.decode("utf-8")
        value = json.loads(text)
        require_shallow(text)
        return value


def memory_bytes(data: bytes) -> int:
    """Return about how many bytes of memory it takes at most to read JSON, the text itself among them.

    What stands in texts is counted as if it were JSON; but for that an index of sessions takes four times its size, and
    empty objects eighty times theirs.
    """
    return len(data) + sum(data.count(mark) * each for mark, each in _TAKEN_BY.items())


def skip(text: str, position: int) -> int:
    """Return where the white space at a position ends."""
    match = SPACE.match(text, position)
    return match.end() if match else position
