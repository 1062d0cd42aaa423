"""What a session file of hermes-webui says: its members, its messages, its markers.

Pure: no disk, no clock. A good file is what the application can read back: `json.loads(data.decode("utf-8"))` is an object.
Values are taken with Python's `json`, so integers beyond 64 bits, NaN, Infinity, lone surrogates mean here what they mean there.
"""

import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from json.decoder import JSONDecoder
from typing import Any, Final

from hermesguard.webui.text import said_of, text_of, tool_ids

# The application writes with the interpreter's default limit of 1000 frames; ours must read all that from deeper down.
RECURSION_LIMIT: Final = 5000
sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
DEEPEST: Final = 1024
"""How deep a value may be nested: as deep as orjson reads, and somewhat deeper than the application does."""

SESSION_ID = "session_id"
UPDATED = "updated_at"
MESSAGES = "messages"
CONTEXT = "context_messages"
TOOL_CALLS = "tool_calls"
LISTS = frozenset({MESSAGES, CONTEXT, TOOL_CALLS})
STREAM = "active_stream_id"
PENDING_MESSAGE = "pending_user_message"
PENDING_STARTED = "pending_started_at"
PENDING_ATTACHMENTS = "pending_attachments"
PENDING_PREFIX = "pending_"
MESSAGE_COUNT = "message_count"
GENERATION = "intentional_shrink_generation"
CLEAR_GENERATION = "clear_generation"
WATERMARK = "truncation_watermark"
BOUNDARY = "truncation_boundary"
TITLE = "title"
CREATED = "created_at"
ANCHOR_PREFIX = "compression_anchor_"
UNTITLED = frozenset({"", "Untitled", "New Chat"})
TOKEN_COUNTERS = ("input_tokens", "output_tokens")

# What shows which release wrote a file: keys that all its saves carry, and the first release that writes them, latest first
# (docs/hermes-webui.md, section 2). What a missing or an unchanged key proves depends on it.
WRITERS: Final = (
    (GENERATION, "exp-v0.52.216"),
    ("anchor_scene_index", "exp-v0.52.19"),
    (CLEAR_GENERATION, "v0.51.875"),
    (BOUNDARY, "v0.51.628"),
    (MESSAGE_COUNT, "v0.51.139"),
    (WATERMARK, "v0.51.137"),
    ("pre_compression_snapshot", "v0.51.66"),
    ("compression_anchor_summary", "v0.51.37"),
    ("compression_anchor_visible_idx", "v0.50.82"),
)

# No longer than what the application could save: the names of its temp files, and of ours, hold this and about 30 more.
_SESSION_NAME = re.compile(r"([0-9A-Za-z-][0-9A-Za-z_-]{0,221})\.json")
# What the application puts before a prompt for the model.
_WORKSPACE = re.compile(r"\A\[Workspace(?:::v\d+)?: [^\n]*\]\n")
_SPACE = re.compile(r"[ \t\n\r]*")
_FOLLOW = re.compile(r"[ \t\n\r]*([],])[ \t\n\r]*")
_KEY = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_NEXT_MEMBER = re.compile(r'[ \t\n\r]*(?:,[ \t\n\r]*(?=")|(?=\}))')
_LONG_CHARACTERS: Final = 1024 * 1024
_SHALLOW_BYTES: Final = 2 * DEEPEST  # what is shorter cannot be nested deeper
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')
_decode = JSONDecoder().raw_decode
scan: Callable[[str, int], tuple[Any, int]] = vars(JSONDecoder())["scan_once"]
"""Read the JSON value at a position: (value, end). StopIteration where none is."""


def session_id(name: str) -> str | None:
    """Return the session that the file `name` holds, or None when it is none of the application's sessions.

    Names that start with `_` are the application's own lists; `.bak`, temp and dot files are no sessions.
    """
    match = _SESSION_NAME.fullmatch(name)
    return match[1] if match else None


Identity = tuple[str, str, tuple[str, ...]]
"""Role, words of the text, tool ids: what makes two messages the same one, whatever their dress."""


def is_session_id(text: object) -> bool:
    """Return whether `text` can be the id of a session: nothing else may become part of a path."""
    return isinstance(text, str) and _SESSION_NAME.fullmatch(f"{text}.json") is not None


def number(value: object) -> float | None:
    """Return a JSON number as a float; None when it is none, or none to reckon with (NaN, Infinity, 400 digits)."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    try:
        return float(value) if type(value) is int else None  # a bool is no number
    except OverflowError:
        return None


class Unreadable(ValueError):
    """The bytes are not a session that the application could read; str() says why, without quoting them."""


@dataclass(eq=False, slots=True)
class Message:
    """One message: its value, and its text exactly as it stands in the file."""

    value: Any
    text: str
    start: int = 0
    """Where the text begins in the document's, in characters."""
    count: int = 1
    """How many messages this stands for: one, but in an abridged document (module abridge)."""
    _identity: Identity | None = field(default=None, init=False)

    @property
    def identity(self) -> Identity:
        """(role, words of the text, tool ids): what makes two messages the same message, whatever their dress."""
        if self._identity is None:
            tools = tool_ids(self.value)
            said = text_of(self.get("content"))
            said = _WORKSPACE.sub("", said) if said.startswith("[") else said
            if not tools and not said.strip():
                said = text_of(self.get("reasoning"))
            self._identity = (self.role, " ".join(said.split()), tools)
        return self._identity

    @property
    def role(self) -> str:
        """The message's role; empty when it has none."""
        return str(self.get("role") or "")

    @property
    def words(self) -> str:
        """The text that a user reads in it; of a message without any, its reasoning."""
        said = text_of(self.get("content"))
        return said if said.strip() else text_of(self.get("reasoning"))

    @property
    def timestamp(self) -> float | None:
        """Seconds since the epoch, or None when the message is not stamped."""
        value = self.value
        if not isinstance(value, dict) or not (stamp := value.get("timestamp") or value.get("_ts")):
            return None
        return number(stamp) or None

    def get(self, key: str) -> Any:
        """Return the message's value for `key`, None when it has none (or is no object at all)."""
        return self.value.get(key) if isinstance(self.value, dict) else None


class _Slice(Message):
    """A message of a long file: its text is not kept beside the file's."""

    __slots__ = ("_end", "_source")

    def __init__(self, value: Any, source: str, start: int, end: int) -> None:
        self.value = value
        self.start = start
        self.count = 1
        self._identity = None
        self._source = source
        self._end = end

    @property
    def text(self) -> str:  # type: ignore[override]
        return self._source[self.start : self._end]


@dataclass(eq=False, slots=True)
class Run(Message):
    """The messages from the first to one of the last, standing as one in an abridged document."""

    turns: int = 0
    """Turns of a user among them."""
    latest: float = 0.0
    """The latest timestamp among them, in seconds; infinite when one is not stamped."""


class Document:
    """A session file, read. `text` is the whole file; members and messages are spans of it."""

    def __init__(
        self,
        text: str,
        spans: dict[str, tuple[int, int]],
        values: dict[str, Any],
        messages: dict[str, list[Message]],
    ):
        self.text = text
        self._spans = spans
        self._values = values
        self.messages = messages.get(MESSAGES, [])
        self.context = messages.get(CONTEXT, [])
        self.tool_calls = messages.get(TOOL_CALLS, [])

    def __contains__(self, key: str) -> bool:
        return key in self._spans

    @property
    def count(self) -> int:
        """How many messages it holds."""
        return sum(message.count for message in self.messages)

    @property
    def keys(self) -> list[str]:
        """The top-level keys in their order."""
        return list(self._spans)

    def get(self, key: str) -> Any:
        """Return the value of a top-level member other than the message lists; None when it is missing."""
        return self._values.get(key)

    def lists(self) -> "dict[str, list[Message]]":
        """Return the lists whose elements are kept apart, those that are there, by key, in the order of the file."""
        found = {MESSAGES: self.messages, TOOL_CALLS: self.tool_calls, CONTEXT: self.context}
        return {key: found[key] for key in self._spans if key in found and key not in self._values}

    def raw(self, key: str) -> str:
        """Return the text of a member's value as it stands in the file; KeyError when it is missing."""
        start, end = self._spans[key]
        return self.text[start:end]

    @property
    def stream(self) -> Any:
        """The id of the stream that the application believes to be running; None or empty when there is none."""
        return self._values.get(STREAM)

    @property
    def prompt(self) -> str:
        """The prompt that was sent but stands in no message yet; empty when there is none."""
        value = self._values.get(PENDING_MESSAGE)
        return value if isinstance(value, str) else ""

    @property
    def title(self) -> str:
        """The title; empty when there is none."""
        value = self._values.get(TITLE)
        return value if isinstance(value, str) else ""

    @cached_property
    def end(self) -> float | None:
        """The latest timestamp of its messages, in seconds; None when none is stamped."""
        return max(
            (message.timestamp for message in self.messages if message.timestamp is not None), default=None
        )

    @property
    def writer(self) -> str:
        """Which releases may have written it, by its keys (WRITERS)."""
        first = next((release for key, release in WRITERS if key in self._spans), None)
        return f"{first} or later" if first else f"before {WRITERS[-1][1]}"


def parse(data: bytes) -> Document:
    """Return the session that `data` holds.

    Raises Unreadable when the application could not read it either: not UTF-8, not JSON, not an object.
    """
    try:
        return _parse(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        said = f"not JSON at character {error.pos}: {error.msg.removesuffix(' starting at')}"
        raise Unreadable(said if data.strip() else "empty") from None
    except RecursionError:
        raise Unreadable(_TOO_DEEP) from None
    except ValueError as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(said_of(error)) from None


_TOO_DEEP: Final = "nested deeper than the application can read"


def require_shallow(text: str, begin: int = 0, end: int | None = None) -> None:
    """Raise Unreadable when the JSON value in `text[begin:end]` is nested deeper than `DEEPEST`."""
    end = len(text) if end is None else end
    if end - begin <= _SHALLOW_BYTES or text.count("[", begin, end) + text.count("{", begin, end) <= DEEPEST:
        return
    depth = 0
    for match in _NESTING.finditer(text, begin, end):
        mark = match[0]
        if mark in "[{":
            depth += 1
            if depth > DEEPEST:
                raise Unreadable(_TOO_DEEP)
        elif mark in "]}":
            depth -= 1


def whole_beginning(data: bytes) -> bytes:
    """Return the session that `data` begins with where something follows its end, as after a crash; empty when there is none.

    A save may be followed by zeros (blocks that were allocated and never written), or, where a writer in place wrote less
    than there was, by the end of what it wrote over.
    """
    text = data.decode("utf-8", "surrogateescape")
    try:
        value, end = _decode(text, _skip(text, 0))
    except (ValueError, RecursionError):
        return b""
    whole = text[:end].encode("utf-8", "surrogateescape")
    is_session = isinstance(value, dict) and isinstance(value.get(MESSAGES), list)
    return whole if is_session and len(whole) < len(data) else b""


def _parse(text: str) -> Document:
    start = _skip(text, 0)
    if text[start : start + 1] != "{":
        json.loads(text)  # says where it is broken, if it is
        raise Unreadable("JSON, but not an object")
    spans: dict[str, tuple[int, int]] = {}
    values: dict[str, Any] = {}
    messages: dict[str, list[Message]] = {}
    position = _skip(text, start + 1)
    try:
        while text[position : position + 1] != "}":
            if simple := _KEY.match(text, position):
                key, begin = simple[1], simple.end()
            else:
                key, begin = _key(text, position)
            if key in spans:  # the last of several counts
                messages.pop(key, None)
                values.pop(key, None)
            if key in LISTS and text[begin : begin + 1] == "[":
                messages[key], end = _messages(text, begin)
            else:
                values[key], end = scan(text, begin)
                require_shallow(text, begin, end)
            spans[key] = (begin, end)
            follower = _NEXT_MEMBER.match(text, end)
            position = follower.end() if follower else _next(text, end, "}")
    except StopIteration as stopped:
        raise json.JSONDecodeError("Expecting value", text, stopped.value) from None
    if (end := _skip(text, position + 1)) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return Document(text, spans, values, messages)


def _key(text: str, position: int) -> tuple[str, int]:
    """Return a key with escapes in it, and where its value begins; says what is wrong if it is none."""
    if text[position : position + 1] != '"':
        raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, position)
    key, position = _decode(text, position)
    position = _skip(text, position)
    if text[position : position + 1] != ":":
        raise json.JSONDecodeError("Expecting ':' delimiter", text, position)
    return key, _skip(text, position + 1)


def _messages(text: str, position: int) -> tuple[list[Message], int]:
    found: list[Message] = []
    is_short = len(text) < _LONG_CHARACTERS
    append, follow = found.append, _FOLLOW.match
    begin = _skip(text, position + 1)
    if text[begin : begin + 1] == "]":
        return found, begin + 1
    while True:
        value, end = scan(text, begin)
        if end - begin > _SHALLOW_BYTES:
            require_shallow(text, begin, end)
        append(Message(value, text[begin:end], begin) if is_short else _Slice(value, text, begin, end))
        match = follow(text, end)
        if match is None:
            raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
        begin = match.end()
        if match[1] == "]":
            return found, end + match[0].index("]") + 1


def _next(text: str, position: int, closing: str) -> int:
    """Return where the next element begins, or where `closing` stands."""
    position = _skip(text, position)
    mark = text[position : position + 1]
    if mark == closing:
        return position
    if mark != ",":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, position)
    position = _skip(text, position + 1)
    if text[position : position + 1] == closing:
        raise json.JSONDecodeError("Illegal trailing comma", text, position)
    return position


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
