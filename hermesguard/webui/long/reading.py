"""Reading a long session file, a window at a time. Pure.

Each value is read by Python's `json`: what is good there is good here. What cannot be read so is told by `TooDense`: a value
that takes many times its size even alone, or so many messages that the places of them take more than the file.
"""

import codecs
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from hermesguard.pieces import Piece, Pieces
from hermesguard.webui.document import LISTS, MESSAGES
from hermesguard.webui.grammar import (
    FOLLOW,
    KEY,
    SHALLOW_BYTES,
    TOO_DEEP,
    Broken,
    TooDense,
    Unreadable,
    decode,
    require_shallow,
    scan,
    skip,
)
from hermesguard.webui.long.document import LongDocument, Places
from hermesguard.webui.text import said_of

WINDOW_BYTES: Final = 256 * 1024
KEPT_VALUE_BYTES: Final = 64 * 1024
"""A member that is longer is read again when somebody asks for it."""
ALLOWANCE_BYTES: Final = 64 * 1024 * 1024
"""So much may be taken beside what a file's size gives, however small the file."""
MESSAGE_BYTES: Final = 256
"""What a message takes while two files are compared, where its text is not counted."""
# An error so near to the end of what is in view may come from its being cut there: the longest word is "-Infinity".
_CUT_CHARACTERS: Final = 16
_CUT_NUMBER: Final = re.compile(r"[0-9](?:\.|[eE][+-]?)?\Z")
_FOUR_BYTES = re.compile(rb"[\xf0-\xf4]")
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


def parse(pieces: Sequence[Piece]) -> LongDocument:
    """Return the session that a long file holds. Raises Unreadable, `TooDense` when it takes too much memory to read."""
    reading = _Reading(Pieces(pieces))
    document = reading.document()
    if rest := reading.rest():
        raise Broken(f"not JSON at byte {rest}: Extra data")
    return document


def whole_beginning(pieces: Sequence[Piece]) -> tuple[int, LongDocument] | None:
    """Return the session that a long file begins with where something follows it, and its size in bytes; None without one."""
    reading = _Reading(Pieces(pieces))
    try:
        document = reading.document()
    except Unreadable:
        return None
    return (reading.end_bytes, document) if MESSAGES in document.lists() else None


class _Reading:
    """A long file, of which a window is in view at a time."""

    def __init__(self, file: Pieces) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._base_bytes = 0
        self._known = (0, 0)
        self._used_bytes = 0
        self._is_last = False
        self._broken_at = -1
        self._messages = 0
        self.end_bytes = 0
        """Where the document ended."""
        self._look(0, WINDOW_BYTES)

    # -- the window

    def _look(self, begin: int, size_bytes: int) -> None:
        raw = self._file.part(begin, min(begin + size_bytes, self._file.size_bytes))
        if len(raw) > WINDOW_BYTES:
            self._require_thin(raw)
        self._is_last = begin + len(raw) >= self._file.size_bytes
        try:
            self._text, self._used_bytes = codecs.utf_8_decode(raw, "strict", self._is_last)
        except UnicodeDecodeError as error:
            # A whole session may stand before it; nothing behind it is looked at.
            self._text, self._used_bytes = raw[: error.start].decode("utf-8"), error.start
            self._is_last, self._broken_at = True, begin + error.start
        self._base_bytes, self._at, self._known = begin, 0, (0, 0)

    def _require_thin(self, raw: bytes) -> None:
        """Raise TooDense when one value of these bytes would take too much memory: its text twice, and its parts."""
        characters = len(raw) if raw.isascii() else (4 if _FOUR_BYTES.search(raw) else 2) * len(raw)
        allowed = ALLOWANCE_BYTES + self._file.size_bytes // 2 - 2 * characters
        if _parts_bytes(raw) > allowed and _parts_bytes(_STRINGS.sub(b"", raw)) > allowed:
            raise self._dense("one value in it takes many times its size in memory")

    def _dense(self, said: str) -> Unreadable:
        """Return what is to be raised of a file that takes too much memory: one that breaks off, nobody can read."""
        size_bytes = self._file.size_bytes
        ending = self._file.part(max(0, size_bytes - WINDOW_BYTES), size_bytes).rstrip(b" \t\n\r")
        if not ending or ending.endswith(b"}"):
            return TooDense(said)
        return Broken("not JSON: it breaks off")

    def _offset(self, at: int) -> int:
        """Return where in the file a character in view stands; asked in rising order."""
        if len(self._text) == self._used_bytes:
            return self._base_bytes + at
        known, known_bytes = self._known
        self._known = (at, known_bytes + len(self._text[known:at].encode("utf-8")))
        return self._base_bytes + self._known[1]

    def _further(self) -> None:
        """Have what follows from here on in view; more of it than now, if it began here."""
        begin = self._offset(self._at)
        self._look(begin, WINDOW_BYTES if self._at else 2 * max(self._used_bytes, WINDOW_BYTES))

    def _read(self, read: Callable[[str, int], tuple[Any, int]]) -> tuple[Any, int, int]:
        """Return what `read` gives from here on, and where in the file that begins and ends. Raises Unreadable."""
        while True:
            try:
                found, end = read(self._text, self._at)
                if self._is_last or end < len(self._text) - _CUT_CHARACTERS:
                    begin = self._offset(self._at)
                    self._at = end
                    return found, begin, self._offset(end)
            except json.JSONDecodeError as error:
                if self._is_certain(error.pos, error.msg):
                    raise self._wrong(error.pos, error.msg) from None
            except StopIteration as stopped:
                if self._is_certain(stopped.value, ""):
                    raise self._wrong(stopped.value, "Expecting value") from None
            except RecursionError:
                raise Broken(TOO_DEEP) from None
            except ValueError as error:
                if isinstance(error, Unreadable):
                    raise
                # An integer of more digits than can be read; where the view ends in one, it may be no integer.
                if self._is_last or not _CUT_NUMBER.search(
                    self._text, max(0, len(self._text) - _CUT_CHARACTERS)
                ):
                    raise Broken(said_of(error)) from None
            self._further()

    def _is_certain(self, at: int, said: str) -> bool:
        """Return whether an error does not come from where the view ends."""
        is_cut = at >= len(self._text) - _CUT_CHARACTERS or said.startswith("Unterminated string")
        return self._is_last or not is_cut

    def _wrong(self, at: int, said: str) -> Broken:
        if self._broken_at >= 0:
            return self._not_text()
        self._known = (0, 0)
        return Broken(f"not JSON at byte {self._offset(min(at, len(self._text)))}: {said}")

    def _not_text(self) -> Broken:
        return Broken(f"not UTF-8 at byte {self._broken_at}")

    def _mark(self) -> str:
        """Return the next character that is no white space, and go there; empty at the end."""
        while True:
            self._at = skip(self._text, self._at)
            if self._at < len(self._text) or self._is_last:
                return self._text[self._at : self._at + 1]
            self._further()

    # -- what it says

    def document(self) -> LongDocument:
        if self._mark() != "{":
            if self._broken_at >= 0:
                raise self._not_text()
            raise Broken("JSON, but not an object" if self._mark() else "empty")
        self._at += 1
        spans: dict[str, tuple[int, int]] = {}
        values: dict[str, Any] = {}
        lists: dict[str, Places] = {}
        if self._mark() == "}":
            self._at += 1
        else:
            self._members(spans, values, lists)
        self.end_bytes = self._offset(self._at)
        return LongDocument(self._file, spans, values, lists)

    def _members(
        self, spans: dict[str, tuple[int, int]], values: dict[str, Any], lists: dict[str, Places]
    ) -> None:
        while True:
            key, _, _ = self._read(read_key)
            for known in (lists, values, spans):  # the last of several counts
                known.pop(key, None)
            if key in LISTS and self._mark() == "[":
                lists[key], spans[key] = self._list()
            else:
                self._mark()
                value, begin, end = self._read(_value)
                spans[key] = (begin, end)
                if end - begin <= KEPT_VALUE_BYTES:
                    values[key] = value
            if self._follows("}"):
                return
            if self._mark() != '"':
                raise self._wrong(self._at, "Expecting property name enclosed in double quotes")

    def _list(self) -> tuple[Places, tuple[int, int]]:
        base = Places(self._file)
        start = self._offset(self._at)
        self._at += 1
        if self._mark() == "]":
            self._at += 1
            return base, (start, self._offset(self._at))
        while True:
            value, begin, end = self._read(_value)
            base.add(value, begin, end)
            self._messages += 1
            if self._messages * MESSAGE_BYTES > ALLOWANCE_BYTES + self._file.size_bytes:
                raise self._dense(
                    "its messages are so many that to compare them takes more memory than they do"
                )
            if (match := FOLLOW.match(self._text, self._at)) and match.end() < len(self._text):
                self._at = match.end() if match[1] == "," else match.end(1)
                if match[1] == "]":
                    return base, (start, self._offset(self._at))
            elif self._follows("]"):
                return base, (start, self._offset(self._at))

    def _follows(self, closing: str) -> bool:
        """Go over the comma, or the closing bracket, that must stand here; return whether it was that. Raises Unreadable."""
        mark = self._mark()
        if mark not in (",", closing) or not mark:
            raise self._wrong(self._at, "Expecting ',' delimiter")
        self._at += 1
        if mark == closing:
            return True
        if self._mark() == closing:
            raise self._wrong(self._at, "Illegal trailing comma")
        return False

    def rest(self) -> int:
        """Return where in the file something follows what was read; 0 when nothing does. Raises Unreadable."""
        if self._mark():
            return self._offset(self._at)
        if self._broken_at >= 0:
            raise self._not_text()
        return 0


def _parts_bytes(raw: bytes) -> int:
    """Return about how much memory the lists, objects and members in a value take."""
    return 96 * (raw.count(b"{") + raw.count(b"[")) + 64 * raw.count(b",")


def read_key(text: str, position: int) -> tuple[str, int]:
    """Return a key, and where its value begins; says what is wrong if there is none."""
    if simple := KEY.match(text, position):
        return simple[1], simple.end()
    if text[position : position + 1] != '"':
        raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, position)
    key, position = decode(text, position)
    position = skip(text, position)
    if text[position : position + 1] != ":":
        raise json.JSONDecodeError("Expecting ':' delimiter", text, position)
    return key, skip(text, position + 1)


def _value(text: str, position: int) -> tuple[Any, int]:
    value, end = scan(text, position)
    if end - position > SHALLOW_BYTES:
        require_shallow(text, position, end)
    return value, end
