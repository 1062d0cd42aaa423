"""A trace: messages of one conversation, as one place on the disk still has them. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from hermesguard.webui import benign
from hermesguard.webui.session import Document, Message
from hermesguard.webui.text import text_of

# What hermes-webui and hermes-agent put in the place of a secret: "***", "sk-ab1...wxyz", "[REDACTED PRIVATE KEY]".
_MASK: Final = re.compile(r"\*{3,}|\S{4,6}\.\.\.\S{4}|\[REDACTED[^\]\n]{0,40}\]")
_MOST_MASKED: Final = 1_000_000
_SPACES: Final = re.compile(r"\s+")


class Kind(StrEnum):
    """What sort of place a trace is; the value is what people read."""

    FILE = "the file"
    COPY = "copy of the file"
    SNAPSHOT = "run journal"
    GUARD = "hermesguard's own copy"
    LOG = "session log"
    CONTEXT = "model context"
    DATABASE = "state.db"
    DUMP = "request dump"
    FORK = "other session"
    UNFINISHED = "unfinished run"
    PROMPTS = "turn journal"


WRITTEN_BY_WEBUI: Final = frozenset({Kind.FILE, Kind.COPY, Kind.SNAPSHOT, Kind.GUARD})
"""Traces that hold the conversation as its page showed it at one moment, so that what they lack was not there then."""

BEFORE_A_SAVE: Final = frozenset({Kind.UNFINISHED, Kind.PROMPTS})
"""Traces that are written before the session file is."""

BEST_FIRST: Final = (
    Kind.FILE,
    Kind.COPY,
    Kind.GUARD,
    Kind.SNAPSHOT,
    Kind.LOG,
    Kind.CONTEXT,
    Kind.DATABASE,
    Kind.FORK,
    Kind.DUMP,
    Kind.UNFINISHED,
    Kind.PROMPTS,
)
"""Whose form of a message is taken: the first that has it."""


@dataclass(frozen=True, eq=False, slots=True)
class Trace:
    """The messages that one place has of a conversation."""

    kind: Kind
    place: str
    """Where, for people: a file's name, or a path."""
    messages: tuple[Message, ...]
    taken_at: float | None = None
    """When this was the state of the conversation, in seconds since the epoch."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What it says of the conversation beside the messages, under the names that the session file has for it."""
    context: tuple[Message, ...] = ()
    """What the model saw, where that is kept apart."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    """Entries of `tool_calls`, each with its `assistant_msg_idx` into `messages`."""
    withdrawn: frozenset[int] = frozenset()
    """Messages that it knows to have been taken back, by index."""
    compacted: frozenset[int] = frozenset()
    """Messages that left the model's context by a compression and are still shown."""
    is_whole: bool = False
    """It has every message that the conversation had at that time."""
    document: Document | None = field(default=None, repr=False)

    @property
    def user_turns(self) -> int:
        """How many turns of the user it has."""
        return sum(map(benign.is_user_turn, self.messages))


def message_of(value: Mapping[str, Any]) -> Message:
    """Return the message as hermes-webui would write it into the `messages` of a session file."""
    return Message(value, dumped(value, level=2))


def dumped(value: Any, level: int) -> str:
    """Return `value` as hermes-webui writes it at that depth; escaped where it holds what UTF-8 cannot."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    return text.replace("\n", "\n" + "  " * level)


def messages_of(values: Any) -> tuple[Message, ...]:
    """Return the messages in a list, whatever stands in it: what is no message is left out."""
    if not isinstance(values, list | tuple):
        return ()
    return tuple(message_of(value) for value in values if is_message(value))


def is_message(value: Any) -> bool:
    """Return whether this is something that the page shows: system prompts and the agent's own notes are not."""
    if not isinstance(value, dict):
        return False
    role = value.get("role")
    return isinstance(role, str) and role not in ("", "system", "session_meta", "developer")


def worth_keeping(message: Message) -> bool:
    """Return whether anybody said something in it: markers, control messages and empty ones may be gone for good."""
    if benign.is_compaction_marker(message) or benign.is_control_message(message):
        return False
    if benign.is_interruption_marker(message):
        return False
    return bool(message.words.strip() or message.identity[2] or message.get("attachments"))


def masks(message: Message) -> int:
    """Return how many secrets look masked in a message."""
    text = text_of(message.get("content"))
    return len(_MASK.findall(text)) if _may_be_masked(text) else 0


def _may_be_masked(text: str) -> bool:
    """Return whether a mask may stand in a text: to look for the pattern itself takes seconds for some megabytes."""
    return len(text) <= _MOST_MASKED and ("..." in text or "***" in text or "[REDACTED" in text)


def is_masked_form(masked: str, other: str) -> bool:
    """Return whether `masked` is `other` with some of it masked."""
    if not _may_be_masked(masked):
        return False
    pieces = _MASK.split(masked)
    if len(pieces) == 1 or not other.startswith(pieces[0]) or not other.endswith(pieces[-1]):
        return False
    place = 0
    for piece in pieces:
        place = other.find(piece, place)
        if place < 0:
            return False
        place += len(piece)
    return True


def words(message: Message) -> str:
    """Return what was said in a message, its spaces normalised and what only the model was given left out."""
    return message.identity[1] if not message.identity[2] else _SPACES.sub(" ", message.words).strip()


def user_turns(messages: Sequence[Message]) -> int:
    """Return how many of the messages are turns of the user."""
    return sum(map(benign.is_user_turn, messages))
