"""What hangs on messages, and what stands beside them: what a save took away of it though every message is there. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

from hermesguard.webui import benign, session
from hermesguard.webui.compare.alignment import Pair
from hermesguard.webui.compare.alike import alike
from hermesguard.webui.compare.diff import Comparison, compare, placed
from hermesguard.webui.document import PARTS, SETTINGS
from hermesguard.webui.session import Document, Message

REASONING: Final = ("reasoning", "reasoning_content", "reasoning_details", "thinking")
# What of a message is compared as its words and its tool ids, or is no part of what it says.
_COMPARED: Final = frozenset({"role", "content", "timestamp", "tool_calls", "tool_call_id"})
# A shorter text in a message, beside its words, is an id or a kind.
_LONG_CHARACTERS: Final = 40
# Who takes a password out of a conversation, or a message, leaves most of the others as they are.
_REPLACED_SHARE: Final = 0.5
_NOTHING: Final[tuple[object, ...]] = (None, "", [], {})
_MANY_KEYS: Final = 256
_DRAFT: Final = "composer_draft"
_PLACEHOLDER: Final = "[screenshot]"
_PICTURES: Final = ("image", "image_url", "input_image")


class Gone(NamedTuple):
    """A part that is gone, and the messages (old, new) that it hung on; of what stands beside the messages none."""

    part: str
    pairs: tuple[Pair, ...] = ()


def taken(
    before: Document, after: Document, comparison: Comparison, may_be_several: bool = False
) -> tuple[tuple[str, ...], bool]:
    """Return the name of each part that one save took away, and whether it took away anything; `comparison` is of the messages.

    What a user sets counts only where one save took away more than one of them: each has an act of its own.
    """
    rewritten = _rewritten(comparison, comparison.pairs)
    names = [part for part, _ in _gone(before, after, comparison._replace(shortened=()), rewritten)]
    are_set = sum(name in SETTINGS for name in names) > 1 and not may_be_several
    parts = tuple(name for name in names if are_set or name not in SETTINGS)
    return parts, bool(parts) or _lessened(before, after, comparison, rewritten)


def gone(before: Document, after: Document, comparison: Comparison) -> Iterator[Gone]:
    """Yield each part that `before` has and `after` lacks, in the order of `PARTS`, whoever took it away and why.

    What went with messages that are missing does not count.
    """
    there = chain(comparison.pairs, comparison.shortened)
    return _gone(before, after, comparison, _rewritten(comparison, there))


def _rewritten(comparison: Comparison, pairs: Iterable[Pair]) -> list[Pair]:
    """Return those of the pairs that are not written alike: what is has lost nothing."""
    old, new = comparison.old, comparison.new
    return [(index, now) for index, now in pairs if old[index].text != new[now].text]


def _gone(
    before: Document, after: Document, comparison: Comparison, rewritten: Iterable[Pair]
) -> Iterator[Gone]:
    hung: dict[str, list[Pair]] = {}
    for old, new in rewritten:
        for part in stripped(comparison.old[old], comparison.new[new]):
            hung.setdefault(part, []).append((old, new))
    if "words" in hung and len(hung["words"]) < _REPLACED_SHARE * sum(m.count for m in comparison.old):
        del hung["words"]
    yield from (Gone(part, tuple(sorted(hung[part]))) for part in PARTS if part in hung)
    if before.tool_calls and not after.tool_calls and _belongs(before, comparison):
        yield Gone(session.TOOL_CALLS)
    if _lacks_context(before, after, comparison):
        yield Gone(session.CONTEXT)
    if comparison.moved:
        yield Gone("order", comparison.moved)
    for key in SETTINGS:
        if _is_unset(key, before, after):
            yield Gone(key)


def _lessened(before: Document, after: Document, comparison: Comparison, rewritten: Iterable[Pair]) -> bool:
    """Return whether a save took away less than a part: nobody is told of it, but the state before is worth a version.

    That is a value of a message that is there, the end of its reasoning, one of several attachments, the text of an error that
    gave way to an answer or to another error, the summary that the model's context began with, and a title, a project or a
    draft alone, which an act of a user takes away, or an older memory.
    """
    return (
        any(_is_unset(key, before, after) for key in (session.TITLE, "project_id"))
        or _lacks_draft(before, after)
        or (_lessens_context(before, after) and not is_compressed_since(before, after))
        or forgets_compression(
            *({key: side.get(key) for key in anchors(tuple(side.keys))} for side in (before, after))
        )
        or any(_lessens(comparison.old[old], comparison.new[new]) for old, new in rewritten)
    )


def _is_unset(key: str, before: Document, after: Document) -> bool:
    """Return whether a setting says nothing any more; not every release knows a draft."""
    return says(before, key) and (key in after or key != _DRAFT) and not says(after, key)


def empties_draft(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether the text or the files of a draft are gone, in the members of a file."""
    draft, now = before.get(_DRAFT), after.get(_DRAFT)
    if not isinstance(draft, dict):
        return False
    return any(value and not (isinstance(now, dict) and now.get(key)) for key, value in draft.items())


def _lacks_draft(before: Document, after: Document) -> bool:
    """Return whether a draft is gone that was not sent."""
    draft = before.get(_DRAFT)
    if _DRAFT not in after or not empties_draft({_DRAFT: draft}, {_DRAFT: after.get(_DRAFT)}):
        return False
    words = " ".join(str(draft.get("text") or "").split())
    sent = {" ".join(after.prompt.split()), *(message.identity[1] for message in after.messages[-4:])}
    return not words or words not in sent


def _lessens_context(before: Document, after: Document) -> bool:
    """Return whether what the model sees lost its summary, or stands in another order."""
    cards, now = (sum(map(benign.is_compaction_marker, side)) for side in _apart(before, after))
    return cards > now or bool(placed(before.context, after.context).moved)


def _apart(before: Document, after: Document) -> tuple[Sequence[Message], Sequence[Message]]:
    """Return what the model sees, from where it is not written alike: before that there is the same in both."""
    old, new = before.context, after.context
    parted = (place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a.text != b.text)
    place = next(parted, min(len(old), len(new)))
    return old[place:], new[place:]


def _lessens(before: Message, after: Message) -> bool:
    """Return whether a value of a message is gone, or a text or a list of it is shorter, and it has no other name now."""
    if not isinstance(before.value, dict) or not isinstance(after.value, dict):
        return False
    if benign.is_interruption_marker(before):
        return before.identity[1] not in after.identity[1]
    if before.get("_partial"):
        return False
    for key, value in before.value.items():
        is_said = isinstance(value, list | dict) or (
            isinstance(value, str) and len(value) >= _LONG_CHARACTERS
        )
        if not value or not is_said or key.startswith("_") or key in _COMPARED:
            continue
        now = after.get(key)
        is_shorter = isinstance(value, str | list) and isinstance(now, str | list) and len(now) < len(value)
        if (not now or is_shorter) and value not in after.value.values():
            return True
    return False


def is_compressed_since(before: Document, after: Document) -> bool:
    """Return whether the context of `after` was compressed since `before`: other anchors, or a card that was not there."""
    anchors = [key for key in after.keys if key.startswith(session.ANCHOR_PREFIX)]
    if any(after.get(key) not in (None, "", before.get(key)) for key in anchors):
        return True
    now = [message for message in _apart(before, after)[1] if benign.is_compaction_marker(message)]
    cards = {
        message.identity[1] for message in before.context if now and benign.is_compaction_marker(message)
    }
    return any(message.identity[1] not in cards for message in now)


def anchors(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the keys that are anchors of a compression."""
    # The same keys come with each save; those of a file that nobody would call a session are not held in memory.
    return _anchors(keys) if len(keys) <= _MANY_KEYS else _anchors.__wrapped__(keys)


@lru_cache(maxsize=16)
def _anchors(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in keys if key.startswith(session.ANCHOR_PREFIX))


def forgets_compression(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether the members of a file have anchors of a compression, and those of the later one have none any more."""
    said, says_now = (
        any(values.get(key) not in _NOTHING for key in anchors(tuple(values))) for values in (before, after)
    )
    return said and not says_now


def settings(values: dict[str, Any]) -> frozenset[str]:
    """Return which of the settings say something, in the members of a file."""
    return frozenset(key for key in SETTINGS if _value_says(key, values.get(key)))


def says(document: Document, key: str) -> bool:
    """Return whether one of the settings says something."""
    return _value_says(key, document.get(key))


def _value_says(key: str, value: Any) -> bool:
    if key == session.TITLE:
        return isinstance(value, str) and value not in session.UNTITLED
    if isinstance(value, dict):
        return any(map(bool, value.values()))
    return bool(value)


def stripped(before: Message, after: Message) -> Iterator[str]:
    """Yield what is gone of one message."""
    if before.get("_partial") or benign.is_interruption_marker(before):
        return
    if _says_other(before, after):
        yield "words"
    if any(map(before.get, REASONING)) and not any(map(after.get, REASONING)):
        yield "reasoning"
    if before.get("attachments") and not after.get("attachments"):
        yield "attachments"
    if before.role != "tool" and _pictures(before) > _pictures(after):
        yield "pictures"
    if len(after.identity[2]) < len(before.identity[2]):  # another provider gives other ids to the same calls
        yield "calls"


def _says_other(before: Message, after: Message) -> bool:
    """Return whether hardly one word is left of what somebody said, where no act of the application changes so much."""
    is_said = before.role != "tool" and bool(before.identity[1]) and not benign.unsaid(before)
    return is_said and bool(after.identity[1]) and not alike(before, after)


def _pictures(message: Message) -> int:
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    return sum(
        isinstance(part, dict) and part.get("type") in _PICTURES and _PLACEHOLDER not in str(part)
        for part in parts
    )


def _belongs(before: Document, comparison: Comparison) -> bool:
    """Return whether a message is still there to which one of the tool calls belongs."""
    there = {old for old, _ in chain(comparison.pairs[comparison.lead :], comparison.shortened)}
    asked = (call.get("assistant_msg_idx") for call in before.tool_calls)
    return any(_is_in(place, comparison.lead, there) for place in asked) or bool(
        comparison.pairs and comparison.old[0].count > 1
    )


def _is_in(place: Any, lead: int, behind: set[int]) -> bool:
    return isinstance(place, int | float) and ((0 <= place < lead and place == int(place)) or place in behind)


def _lacks_context(before: Document, after: Document, comparison: Comparison) -> bool:
    """Return whether the model sees less of messages that are still there, without a compression."""
    size, size_now = (sum(message.count for message in side.context) for side in (before, after))
    if size_now >= size or is_compressed_since(before, after):
        return False
    went = chain(comparison.missing, (old for old, _ in comparison.harmless))
    without = {comparison.old[old].said[:2] for old in went}
    missing = compare(before.context, after.context).missing
    # The application keeps one of several messages that say the same.
    without |= {message.said[:2] for message in after.context} if missing else set()
    return any(before.context[index].said[:2] not in without for index in missing)
