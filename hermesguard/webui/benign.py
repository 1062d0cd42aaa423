"""The harmless ways in which hermes-webui itself changes or drops messages (docs/hermes-webui.md, section 4).

Each kind is one small predicate; none of them takes words away that a user or the model said and that stand nowhere else.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Final

from hermesguard.webui.document import Message
from hermesguard.webui.text import words_of

# Tool calls that the model wrote as text, cut out of answers (hermes-webui #702); an unclosed one reaches to the end.
_CALLS = re.compile(
    r"<(?P<tag>(?:｜DSML｜)?function_calls)\b.*?(?:</(?P=tag)\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
# Thoughts, cut out of answers that are still being written.
_THOUGHTS = re.compile(r"<(?P<tag>think|thinking)\b.*?(?:</(?P=tag)\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_PICTURE = re.compile(r"data:image/[\w.+-]+;base64,[A-Za-z0-9+/=]+|[A-Za-z0-9+/]{512,}={0,2}")
_PICTURE_LEFT: Final = "[screenshot]"
_PROMPT_NOTES = re.compile(r"\A\s*\[Workspace(?:::v1)?:(?:\\.|[^\]\\])+\]|\[Attached files: [^\]]+\]\s*\Z")

_COMPACTION_OPENINGS = (
    "[context compaction",
    "[context summary",
    "[session arc summary",
    "[prior context",
    "[your active task list was preserved across context compression]",
)
_CONTROL_OPENINGS = (
    "[important: background process ",
    "continue from the compressed conversation context above.",
    "you've reached the maximum number of tool-calling iterations allowed.",
)
_UNSPOKEN = frozenset({"system", "developer", "session_meta"})
_CONTROL_FLAGS = ("_verification_stop_synthetic", "_pre_verify_synthetic")
_INTERRUPTION_OPENINGS = ("**response interrupted.**", "**previous turn did not complete.**")
# So many messages beside one that is gone may have to do with it.
WINDOW_MESSAGES = 64
_INTERRUPTIONS = frozenset({"*task cancelled.*", "task cancelled."})
# So many characters tell what a message begins with: the rest of a long one is not looked at.
_OPENING_CHARACTERS: Final = max(
    map(len, (*_COMPACTION_OPENINGS, *_CONTROL_OPENINGS, *_INTERRUPTION_OPENINGS, *_INTERRUPTIONS))
)


def _words(message: Message) -> str:
    return words_of(message.words)


def _opening(message: Message) -> str:
    """Return how a message begins, in small letters and without blanks before it; empty when it says nothing."""
    return message.words.lstrip()[:_OPENING_CHARACTERS].lower()


def is_compaction_marker(message: Message) -> bool:
    """A card that says that the context was compacted; nobody said it."""
    return message.role != "tool" and _opens_as_marker(message, _opening(message))


def _opens_as_marker(message: Message, opening: str) -> bool:
    return opening.startswith(_COMPACTION_OPENINGS) or (
        opening.startswith("context compaction") and bool(message.get("_compressed_summary"))
    )


def is_control_message(message: Message) -> bool:
    """A message that the agent speaks to itself: instructions, wake-ups, the iteration limit, hidden messages."""
    role = message.role
    if role in _UNSPOKEN or _is_flagged(message):
        return True
    return role == "user" and _opening(message).startswith(_CONTROL_OPENINGS)


def _is_flagged(message: Message) -> bool:
    return any(map(message.get, _CONTROL_FLAGS)) or message.get("_source") == "delegation_wakeup"


def is_interruption_marker(message: Message) -> bool:
    """The mark that a turn was broken off or failed; replaced when the turn is finished after all."""
    return message.role == "assistant" and _is_broken_off(message, _opening(message))


def _is_broken_off(message: Message, opening: str) -> bool:
    if opening.startswith(_INTERRUPTION_OPENINGS) or message.get("_error"):
        return True
    return opening.rstrip() in _INTERRUPTIONS and message.words.lower().strip() in _INTERRUPTIONS


def is_user_turn(message: Message) -> bool:
    """Return whether a reader sees this message as something that a user said."""
    if message.role != "user":
        return False
    # Asked of each message that comes: once for all, and without a call.
    opening = message.words.lstrip()[:_OPENING_CHARACTERS].lower()
    if opening.startswith(_CONTROL_OPENINGS) or _opens_as_marker(message, opening) or _is_flagged(message):
        return False
    return bool(opening or message.get("attachments"))


def user_turns(message: Message) -> int:
    """Return how many user turns the message stands for: one or none, but in an abridged document."""
    turns = message.turns
    return int(is_user_turn(message)) if turns is None else turns


# ---- messages that vanish ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """Some messages of today."""

    messages: Sequence[Message]

    @cached_property
    def answers(self) -> list[tuple[Message, str]]:
        """Those of the model, each with its words."""
        return [(message, _words(message)) for message in self.messages if message.role == "assistant"]

    @cached_property
    def words(self) -> str:
        """All that the model says in them."""
        return "\n".join(words for _, words in self.answers)


@dataclass(slots=True)
class Gone:
    """A message that is gone, with what was around it and what is there now."""

    message: Message
    """The message that is gone."""
    messages: Sequence[Message]
    """The messages before."""
    index: int
    beside: tuple[int, int]
    """The nearest messages before it and behind it that are still there, by index; one beyond the ends where there are none."""
    now: Window
    """The messages of today from about where the two lists part."""
    beside_now: tuple[Message | None, Message | None] = (None, None)
    """What those two say today."""
    is_repeated: bool = False
    """It stood there more than once, with its time stamp or among the same others, and one of them still does."""
    is_half_said_later: bool = False
    """It is a `_partial` message, and one of today that is no earlier says the same (`half_said`)."""

    def repeats(self, same: Callable[[Message, Message], bool]) -> bool:
        """Return whether the message said `same` as one beside it that is still there, perhaps over others that went too."""
        before, behind = self.beside
        runs = range(max(before, 0), self.index), range(self.index + 1, min(behind + 1, len(self.messages)))
        is_there = before >= 0, behind < len(self.messages)
        return any(
            there and len(run) <= WINDOW_MESSAGES and all(same(self.messages[i], self.message) for i in run)
            for there, run in zip(is_there, runs, strict=True)
        )


def duplicate_partial(gone: Gone) -> bool:
    """A `_partial` message like another: collapsed when the session is loaded (54 -> 5 seen), or when a later turn ends."""
    return gone.is_half_said_later


def half_said(message: Message) -> Hashable:
    """Return all that a `_partial` message says."""
    return message.identity, *(str(message.get(key)) for key in ("reasoning", "_partial_tool_calls"))


def superseded_partial(gone: Gone) -> bool:
    """A `_partial` message whose text stands whole in an answer that is there now: the turn ended and that took its place."""
    message = gone.message
    if message.role != "assistant" or not (words := _words(message)) or words not in gone.now.words:
        return False
    if message.get("_recovered_from_run_journal"):
        # Half an answer only if its turn was taken for dead, and was not; else it is all that there is, however short.
        turn = takewhile(lambda other: not is_user_turn(other), gone.now.messages[1:])
        return any(other.role == "assistant" and words in _words(other) for other in turn)
    return bool(message.get("_partial")) and any(
        words in said and not (other.get("_partial") and words == said) for other, said in gone.now.answers
    )


def stopped_answer(gone: Gone) -> bool:
    """What a stopped turn had said so far, beside the mark of the stop: both gave way to the answer, which came after all."""
    if not is_stopped(gone.messages, gone.index):
        return False
    calls = gone.message.get("_partial_tool_calls") or ()
    if calls and len(calls) > sum(
        len(other.identity[2]) for other, _ in gone.now.answers if _is_new(gone, other)
    ):
        return False
    answer = next(
        (other for other in gone.now.messages[:3] if other.role == "assistant" and _is_new(gone, other)), None
    )
    return answer is not None and not empty(answer) and not is_interruption_marker(answer)


def is_stopped(messages: Sequence[Message], index: int) -> bool:
    """Return whether a message is what a stopped turn had said so far: a `_partial` one beside the mark of the stop."""
    message = messages[index]
    if not message.get("_partial") or message.role != "assistant":
        return False
    beside = (messages[i] for i in (index - 1, index + 1) if 0 <= i < len(messages))
    return any(is_interruption_marker(other) for other in beside)


def _is_new(gone: Gone, message: Message) -> bool:
    """Return whether a message of today is an answer that was not there before."""
    return not message.get("_partial") and all(
        message.text != other.text for other in gone.messages[-WINDOW_MESSAGES:]
    )


def duplicate_user(gone: Gone) -> bool:
    """The same user message twice, side by side: one is dropped when the turn is resolved."""
    return gone.message.role == "user" and gone.repeats(
        lambda one, other: (
            one.identity == other.identity and one.get("attachments") == other.get("attachments")
        )
    )


def replay(gone: Gone) -> bool:
    """A message that stood there twice, at one time or among the same others: the history was replayed; one stays."""
    return gone.is_repeated


def folded(gone: Gone) -> bool:
    """A message whose words the one beside it, of the same role, has taken in: two were made one."""
    message = gone.message
    if gone.beside_now == (None, None) or message.role not in ("assistant", "user"):
        return False
    if message.identity[2] or not (words := _words(message)):
        return False
    for place, now in zip(gone.beside, gone.beside_now, strict=True):
        low, high = sorted((place, gone.index))
        between = gone.messages[low + 1 : high][:WINDOW_MESSAGES]
        if now is None or any(other.role != message.role for other in (now, *between)):
            continue
        if words in _words(now) and words not in _words(gone.messages[place]):
            return True
    return False


def compaction_marker(message: Message, role: str, opening: str) -> bool:
    """A card about compacted context, dropped when a turn ends."""
    return role != "tool" and _opens_as_marker(message, opening)


def control_message(message: Message, role: str, opening: str) -> bool:
    """A synthetic control message, dropped when a turn ends."""
    return (
        role in _UNSPOKEN
        or (role == "user" and opening.startswith(_CONTROL_OPENINGS))
        or _is_flagged(message)
    )


def interruption_marker(message: Message, role: str, opening: str) -> bool:
    """An "interrupted" or `_error` marker, dropped when the turn is finished after all."""
    return role == "assistant" and _is_broken_off(message, opening)


def empty_message(message: Message, role: str, opening: str) -> bool:
    """A message in which nobody said anything and no tool was called."""
    return not opening and empty(message)


def empty(message: Message) -> bool:
    """Return whether nobody said anything in a message, and no tool was called."""
    return not (
        message.words.strip()
        or message.identity[2]
        or message.get("attachments")
        or message.get("_partial_tool_calls")
    )


# Something that is there stands for it: where nothing is, they need not be asked.
SUPERSEDED: list[Callable[[Gone], bool]] = [
    duplicate_partial,
    superseded_partial,
    stopped_answer,
    duplicate_user,
    replay,
    folded,
]

# Nobody said it, whatever is there: (message, its role, how it begins).
UNSAID: list[Callable[[Message, str, str], bool]] = [
    compaction_marker,
    control_message,
    interruption_marker,
    empty_message,
]

# Their content stands in succession that stays, so the shadow before them is worth no version.
REPEATED = frozenset({"duplicate_partial", "superseded_partial", "duplicate_user", "replay", "folded"})

# What would stand beside itself if it were put back beside what took its place.
STANDING = frozenset({"replay", "folded"})


# ---- messages that change where they stand -------------------------------------------------------------------------------


def streamed_on(old: Message, new: Message) -> bool:
    """The answer that was still being written went on: the old text begins the new one."""
    if old.role != "assistant" or new.role != "assistant":
        return False
    return _words(new).startswith(_words(old)) and set(old.identity[2]) <= set(new.identity[2])


def pictures_replaced(old: Message, new: Message) -> bool:
    """Image bytes in a tool's message were replaced by `[screenshot]`."""
    if not old.role == new.role == "tool" or _PICTURE_LEFT not in new.words:
        return False
    return old.identity[2] == new.identity[2] and (
        " ".join(_PICTURE.sub(_PICTURE_LEFT, old.words).split()) == _words(new)
    )


def markup_stripped(old: Message, new: Message) -> bool:
    """Tool calls that the model wrote as text were taken out of an answer; out of an unfinished one, its thoughts too."""
    if old.role != "assistant" or new.role != "assistant" or "<" not in old.words:
        return False
    left = _CALLS.sub("", old.words)
    if old.get("_partial"):
        left = _THOUGHTS.sub("", left)
    return " ".join(left.split()) == _words(new)


def marker_replaced(old: Message, new: Message) -> bool:
    """An "interrupted" or `_error` marker gave way to the answer, or to another such marker."""
    return is_interruption_marker(old) and new.role == "assistant"


def notes_removed(old: Message, new: Message) -> bool:
    """What was written around a prompt for the model, its workspace and the names of attached files, was taken out of it."""
    if old.role != "user" or new.role != "user" or "[" not in old.words:
        return False
    return words_of(_PROMPT_NOTES.sub("", old.words)) == _words(new) != ""


CHANGING: list[Callable[[Message, Message], bool]] = [
    streamed_on,
    notes_removed,
    pictures_replaced,
    markup_stripped,
    marker_replaced,
]


def change(old: Message, new: Message) -> str:
    """Return the name of the harmless change that made `new` out of `old`; empty when there is none."""
    return next((kind.__name__ for kind in CHANGING if kind(old, new)), "")


def says_more(old: Message, new: Message) -> bool:
    """Return whether the same message has got words of the model that it did not have."""
    if old.text == new.text or is_interruption_marker(new):
        return False
    return marker_replaced(old, new) or (streamed_on(old, new) and _words(old) != _words(new))


def vanishing(gone: Gone) -> str:
    """Return the name of the harmless reason for which a message may be missing; empty when there is none."""
    for kind in SUPERSEDED:
        if kind(gone):
            return kind.__name__
    return unsaid(gone.message)


def unsaid(message: Message) -> str:
    """As `vanishing`, where nothing is there that could stand for the message."""
    role, opening = message.role, _opening(message)
    for kind in UNSAID:
        if kind(message, role, opening):
            return kind.__name__
    return ""
