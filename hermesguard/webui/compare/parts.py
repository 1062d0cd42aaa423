"""What hangs on messages, and what stands beside them: what a save took away of it though every message is there. Pure."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

from hermesguard.webui import benign, session
from hermesguard.webui.compare.alignment import Pair
from hermesguard.webui.compare.diff import Comparison, compare
from hermesguard.webui.session import Document, Message

REASONING: Final = ("reasoning", "reasoning_content", "reasoning_details", "thinking")
# What a user sets, each by an act of its own: two of them in one save are no act.
SETTINGS: Final = (session.TITLE, "project_id", "pinned", "archived", "composer_draft")
PARTS: Final = (
    "reasoning",
    "attachments",
    "pictures",
    "calls",
    session.TOOL_CALLS,
    session.CONTEXT,
    "order",
    *SETTINGS,
)
"""The names of all parts that can be taken away alone, and brought back alone."""


class Gone(NamedTuple):
    """A part that is gone, and the messages (old, new) that it hung on; of what stands beside the messages none."""

    part: str
    pairs: tuple[Pair, ...] = ()


def taken(
    before: Document, after: Document, comparison: Comparison, may_be_several: bool = False
) -> Iterator[str]:
    """Yield the name of each part that one save took away; `comparison` is that of the messages.

    What a user sets counts only where one save took away more than one of them: each has an act of its own.
    """
    names = [part for part, _ in gone(before, after, comparison._replace(shortened=()))]
    are_set = sum(name in SETTINGS for name in names) > 1 and not may_be_several
    yield from (name for name in names if are_set or name not in SETTINGS)


def gone(before: Document, after: Document, comparison: Comparison) -> Iterator[Gone]:
    """Yield each part that `before` has and `after` lacks, in the order of `PARTS`, whoever took it away and why.

    What went with messages that are missing does not count.
    """
    hung: dict[str, list[Pair]] = {}
    for old, new in chain(comparison.pairs, comparison.shortened):
        if comparison.old[old].text != comparison.new[new].text:
            for part in stripped(comparison.old[old], comparison.new[new]):
                hung.setdefault(part, []).append((old, new))
    yield from (Gone(part, tuple(sorted(hung[part]))) for part in PARTS if part in hung)
    if before.tool_calls and not after.tool_calls and _belongs(before, comparison):
        yield Gone(session.TOOL_CALLS)
    if _lacks_context(before, after, comparison):
        yield Gone(session.CONTEXT)
    if comparison.moved:
        yield Gone("order", comparison.moved)
    for key in SETTINGS:
        if says(before, key) and key in after and not says(after, key):
            yield Gone(key)


def is_compressed_since(before: Document, after: Document) -> bool:
    """Return whether the context of `after` was compressed since `before`: other anchors, or a card that was not there."""
    anchors = [key for key in after.keys if key.startswith(session.ANCHOR_PREFIX)]
    if any(after.get(key) not in (None, "", before.get(key)) for key in anchors):
        return True
    cards = {message.identity[1] for message in before.context if benign.is_compaction_marker(message)}
    return any(
        benign.is_compaction_marker(message) and message.identity[1] not in cards for message in after.context
    )


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
    if any(map(before.get, REASONING)) and not any(map(after.get, REASONING)):
        yield "reasoning"
    if before.get("attachments") and not after.get("attachments"):
        yield "attachments"
    if before.role == "user" and _pictures(before) > _pictures(after):
        yield "pictures"
    if set(before.identity[2]) - set(after.identity[2]):
        yield "calls"


def _pictures(message: Message) -> int:
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    kinds = ("image", "image_url", "input_image")
    return sum(isinstance(part, dict) and part.get("type") in kinds for part in parts)


def _belongs(before: Document, comparison: Comparison) -> bool:
    """Return whether a message is still there to which one of the tool calls belongs."""
    there = {old for old, _ in chain(comparison.pairs[comparison.lead :], comparison.shortened)}
    asked = (call.get("assistant_msg_idx") for call in before.tool_calls)
    return any(place in there or _is_in(place, comparison.lead) for place in asked) or bool(
        comparison.pairs and comparison.old[0].count > 1
    )


def _is_in(place: Any, lead: int) -> bool:
    return isinstance(place, int | float) and 0 <= place < lead and place == int(place)


def _lacks_context(before: Document, after: Document, comparison: Comparison) -> bool:
    """Return whether the model sees less of messages that are still there, without a compression."""
    if not before.context or is_compressed_since(before, after):
        return False
    went = chain(comparison.missing, (old for old, _ in comparison.harmless))
    without = {comparison.old[old].said[:2] for old in went}
    missing = compare(before.context, after.context).missing
    lost = any(before.context[index].said[:2] not in without for index in missing)
    size = sum(message.count for message in before.context)
    return lost and sum(message.count for message in after.context) < size
