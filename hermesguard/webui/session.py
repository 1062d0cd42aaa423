"""What a session file of hermes-webui says: its members, its messages, its markers.

Pure: no disk, no clock. A good file is what the application can read back: `json.loads(data.decode("utf-8"))` is an object.
Values are taken with Python's `json`, so integers beyond 64 bits, NaN, Infinity, lone surrogates mean here what they mean there.
"""

import codecs
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from hermesguard.pieces import Piece, size_of
from hermesguard.webui.document import (
    ANCHOR_PREFIX,
    BOUNDARY,
    CLEAR_GENERATION,
    CONTEXT,
    CREATED,
    GENERATION,
    LISTS,
    MESSAGE_COUNT,
    MESSAGES,
    PENDING_ATTACHMENTS,
    PENDING_MESSAGE,
    PENDING_PREFIX,
    PENDING_STARTED,
    SESSION_ID,
    STREAM,
    TEMPORARY,
    TITLE,
    TOKEN_COUNTERS,
    TOOL_CALLS,
    UNTITLED,
    UPDATED,
    WATERMARK,
    WRITERS,
    Document,
    Identity,
    Message,
    Run,
    Slice,
    number,
)
from hermesguard.webui.grammar import (
    FOLLOW,
    KEY,
    NEXT_MEMBER,
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
from hermesguard.webui.long import reading
from hermesguard.webui.text import said_of

__all__ = [
    "ANCHOR_PREFIX",
    "BOUNDARY",
    "CLEAR_GENERATION",
    "CONTEXT",
    "CREATED",
    "GENERATION",
    "LISTS",
    "LONG_BYTES",
    "MESSAGES",
    "MESSAGE_COUNT",
    "PENDING_ATTACHMENTS",
    "PENDING_MESSAGE",
    "PENDING_PREFIX",
    "PENDING_STARTED",
    "SESSION_ID",
    "STREAM",
    "TEMPORARY",
    "TITLE",
    "TOKEN_COUNTERS",
    "TOOL_CALLS",
    "UNTITLED",
    "UPDATED",
    "WATERMARK",
    "WRITERS",
    "Broken",
    "Document",
    "Identity",
    "Message",
    "Run",
    "TooDense",
    "Unreadable",
    "is_session_id",
    "number",
    "parse",
    "parse_anyhow",
    "parse_pieces",
    "require_shallow",
    "scan",
    "session_id",
    "whole_beginning",
]

# No longer than what the application could save: the names of its temp files, and of ours, hold this and about 30 more.
_SESSION_NAME = re.compile(r"([0-9A-Za-z-][0-9A-Za-z_-]{0,221})\.json")
_LONG_CHARACTERS: Final = 1024 * 1024
LONG_BYTES: Final = 4 * 1024 * 1024
"""What is longer is read piece by piece (package long)."""


def session_id(name: str) -> str | None:
    """Return the session that the file `name` holds, or None when it is none of the application's sessions.

    Names that start with `_` are the application's own lists; `.bak`, temp and dot files are no sessions.
    """
    match = _SESSION_NAME.fullmatch(name)
    return match[1] if match else None


def is_session_id(text: object) -> bool:
    """Return whether `text` can be the id of a session: nothing else may become part of a path."""
    return isinstance(text, str) and _SESSION_NAME.fullmatch(f"{text}.json") is not None


def parse(data: bytes) -> Document:
    """Return the session that `data` holds.

    Raises Unreadable when the application could not read it either: not UTF-8, not JSON, not an object; `TooDense` when it is
    long, and would take many times its size in memory.
    """
    return reading.parse((data,)) if len(data) > LONG_BYTES else _parsed_at_once(data)


def parse_anyhow(data: bytes) -> Document:
    """As `parse`, however much memory it takes: for who asks for one session, and has no others to guard meanwhile."""
    try:
        return parse(data)
    except TooDense:
        return _parsed_at_once(data)


def _parsed_at_once(data: bytes) -> Document:
    try:
        return _parse(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Broken(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        said = f"not JSON at character {error.pos}: {error.msg.removesuffix(' starting at')}"
        raise Broken(said if data.strip() else "empty") from None
    except RecursionError:
        raise Broken(TOO_DEEP) from None
    except ValueError as error:
        if isinstance(error, Unreadable):
            raise
        raise Broken(said_of(error)) from None


def parse_pieces(pieces: Sequence[Piece]) -> Document:
    """Return the session that the file of these pieces holds; raises as `parse` does."""
    if size_of(pieces) > LONG_BYTES:
        return reading.parse(pieces)
    return parse(bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces))


def whole_beginning(data: bytes) -> bytes:
    """Return the session that `data` begins with where something stands around it, as after a crash; empty when there is none.

    A save may be followed by zeros (blocks that were allocated and never written), or, where a writer in place wrote less
    than there was, by the end of what it wrote over. An editor may put a byte order mark before it, which the application does
    not read.
    """
    if data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
        return whole_beginning(data) or _whole(data)
    if len(data) > LONG_BYTES:
        found = reading.whole_beginning((data,))
        return data[: found[0]] if found and found[0] < len(data) else b""
    text = data.decode("utf-8", "surrogateescape")
    try:
        value, end = decode(text, skip(text, 0))
    except (ValueError, RecursionError):
        return b""
    whole = text[:end].encode("utf-8", "surrogateescape")
    is_session = isinstance(value, dict) and isinstance(value.get(MESSAGES), list)
    return whole if is_session and len(whole) < len(data) else b""


def _whole(data: bytes) -> bytes:
    """Return `data` if it is a session with messages, and nothing else; else empty."""
    try:
        return data if MESSAGES in parse(data).lists() else b""
    except Unreadable:
        return b""


def _parse(text: str) -> Document:
    start = skip(text, 0)
    if text[start : start + 1] != "{":
        json.loads(text)  # says where it is broken, if it is
        raise Broken("JSON, but not an object")
    spans: dict[str, tuple[int, int]] = {}
    values: dict[str, Any] = {}
    messages: dict[str, list[Message]] = {}
    position = skip(text, start + 1)
    try:
        while text[position : position + 1] != "}":
            if simple := KEY.match(text, position):
                key, begin = simple[1], simple.end()
            else:
                key, begin = reading.read_key(text, position)
            if key in spans:  # the last of several counts
                messages.pop(key, None)
                values.pop(key, None)
                del spans[key]
            if key in LISTS and text[begin : begin + 1] == "[":
                messages[key], end = _messages(text, begin)
            else:
                values[key], end = scan(text, begin)
                require_shallow(text, begin, end)
            spans[key] = (begin, end)
            follower = NEXT_MEMBER.match(text, end)
            position = follower.end() if follower else _next(text, end, "}")
    except StopIteration as stopped:
        raise json.JSONDecodeError("Expecting value", text, stopped.value) from None
    if (end := skip(text, position + 1)) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return Document(text, spans, values, messages)


def _messages(text: str, position: int) -> tuple[list[Message], int]:
    found: list[Message] = []
    is_short = len(text) < _LONG_CHARACTERS
    append, follow = found.append, FOLLOW.match
    begin = skip(text, position + 1)
    if text[begin : begin + 1] == "]":
        return found, begin + 1
    while True:
        value, end = scan(text, begin)
        if end - begin > SHALLOW_BYTES:
            require_shallow(text, begin, end)
        append(Message(value, text[begin:end], begin) if is_short else Slice(value, text, begin, end))
        match = follow(text, end)
        if match is None:
            raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
        begin = match.end()
        if match[1] == "]":
            return found, end + match[0].index("]") + 1


def _next(text: str, position: int, closing: str) -> int:
    """Return where the next element begins, or where `closing` stands."""
    position = skip(text, position)
    mark = text[position : position + 1]
    if mark == closing:
        return position
    if mark != ",":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, position)
    position = skip(text, position + 1)
    if text[position : position + 1] == closing:
        raise json.JSONDecodeError("Illegal trailing comma", text, position)
    return position
