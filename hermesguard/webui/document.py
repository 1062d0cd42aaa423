"""What a session file of hermes-webui says: its members, its messages, its markers. Pure."""

import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from hermesguard.digests import blake2b
from hermesguard.pieces import Piece
from hermesguard.webui.text import text_of, tool_ids, words_of

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
# So begins the title of a side question, whose session the application removes at its end.
TEMPORARY = ("btw:", "bg:")
TOKEN_COUNTERS = ("input_tokens", "output_tokens")

# What a user sets, each by an act of its own: two of them in one save are no act.
SETTINGS: Final = (TITLE, "project_id", "pinned", "archived", "composer_draft")
PARTS: Final = (
    "words",
    "reasoning",
    "attachments",
    "pictures",
    "calls",
    TOOL_CALLS,
    CONTEXT,
    "order",
    *SETTINGS,
)
"""The names of all parts that can be taken away alone, and brought back alone."""

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

_WORKSPACE = re.compile(
    r"\A\[Workspace(?:::v\d+)?: [^\n]*\]\n"
)  # what the application puts before a prompt for the model

_FEW_CHARACTERS: Final = 256

Identity = tuple[str, str, tuple[str, ...]]
"""Role, words of the text, tool ids: what makes two messages the same one, whatever their dress."""


def number(value: object) -> float | None:
    """Return a JSON number as a float; None when it is none, or none to reckon with (NaN, Infinity, 400 digits)."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    try:
        return float(value) if type(value) is int else None  # a bool is no number
    except OverflowError:
        return None


def identity_of(value: Any) -> Identity:
    """Return (role, words of the text, tool ids) of a message's value."""
    said: Any = value.get("content") if isinstance(value, dict) else None
    is_plain = type(said) is str and not (
        said.startswith("[") or value.get("tool_call_id") or value.get("tool_calls")
    )
    if is_plain and (words := words_of(said)):  # so are nearly all
        return str(value.get("role") or ""), words, ()
    message = Message(value, "")
    tools = tool_ids(value)
    said = text_of(message.get("content"))
    said = _WORKSPACE.sub("", said) if said.startswith("[") else said
    if not tools and not said.strip():
        said = text_of(message.get("reasoning"))
    return message.role, words_of(said), tools


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
            self._identity = identity_of(self.value)
        return self._identity

    @property
    def said(self) -> Identity:
        """Its identity in short, for sets of many: a digest in the place of many words."""
        role, words, tools = self.identity
        if len(words) > _FEW_CHARACTERS:
            words = blake2b(words.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return role, words, tools

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

    @property
    def turns(self) -> int | None:
        """How many user turns it stands for, where that is known."""
        return None

    @property
    def mark(self) -> Hashable:
        """What no other message has."""
        return id(self)

    @property
    def parts(self) -> Iterable[str | Piece]:
        """The text, in parts as they lie in memory."""
        return (self.text,)

    @property
    def digest(self) -> bytes:
        """Equal where the text is equal, and short."""
        return blake2b(self.text.encode("utf-8"), digest_size=16).digest()

    def get(self, key: str) -> Any:
        """Return the message's value for `key`, None when it has none (or is no object at all)."""
        return self.value.get(key) if isinstance(self.value, dict) else None


class Slice(Message):
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
    """A session file, read; members and messages are spans of its text."""

    def __init__(
        self,
        text: str,
        spans: dict[str, tuple[int, int]],
        values: dict[str, Any],
        messages: Mapping[str, Sequence[Message]],
    ):
        self._text = text
        self._spans = spans
        self._values = values
        self.messages: Sequence[Message] = messages.get(MESSAGES, [])
        self.context: Sequence[Message] = messages.get(CONTEXT, [])
        self.tool_calls: Sequence[Message] = messages.get(TOOL_CALLS, [])

    @property
    def text(self) -> str:
        """The whole file."""
        return self._text

    def replace(self, key: str, messages: Sequence[Message]) -> None:
        """Have other messages stand for those of a list, at the same places of the text."""
        if key == MESSAGES:
            self.messages = messages
        elif key == CONTEXT:
            self.context = messages
        else:
            self.tool_calls = messages

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

    def lists(self) -> dict[str, Sequence[Message]]:
        """Return the lists whose elements are kept apart, those that are there, by key, in the order of the file."""
        found = {MESSAGES: self.messages, TOOL_CALLS: self.tool_calls, CONTEXT: self.context}
        return {key: found[key] for key in self._spans if key in found and key not in self._values}

    def raw(self, key: str) -> str:
        """Return the text of a member's value as it stands in the file; KeyError when it is missing."""
        start, end = self._spans[key]
        return self._text[start:end]

    def raw_parts(self, key: str) -> Iterator[str | Piece]:
        """Yield that text in parts as they lie in memory; KeyError when it is missing."""
        yield self.raw(key)

    @property
    def stream(self) -> Any:
        """The id of the stream that the application believes to be running; None or empty when there is none."""
        return self.get(STREAM)

    @property
    def prompt(self) -> str:
        """The prompt that was sent but stands in no message yet; empty when there is none."""
        value = self.get(PENDING_MESSAGE)
        return value if isinstance(value, str) else ""

    @property
    def title(self) -> str:
        """The title; empty when there is none."""
        value = self.get(TITLE)
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
