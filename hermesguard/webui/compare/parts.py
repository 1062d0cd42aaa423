"""What hangs on messages, and what stands beside them: what a save took away of it though every message is there. Pure."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from hermesguard.webui import benign, session
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


def taken(
    before: Document, after: Document, comparison: Comparison, may_be_several: bool = False
) -> Iterator[str]:
    """Yield the name of each part that is gone; `comparison` is that of the messages.

    What a user sets counts only where one save took away more than one of them: each has an act of its own.
    """
    gone = Counter(
        part
        for old, new in comparison.pairs
        if comparison.old[old].text != comparison.new[new].text
        for part in stripped(comparison.old[old], comparison.new[new])
    )
    yield from (part for part in PARTS if part in gone)
    if before.tool_calls and not after.tool_calls and _belongs(before, comparison):
        yield session.TOOL_CALLS
    if _lacks_context(before, after, comparison):
        yield session.CONTEXT
    if comparison.moved:
        yield "order"
    went = [key for key in SETTINGS if _says(before, key) and key in after and not _says(after, key)]
    if len(went) > 1 and not may_be_several:
        yield from went


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


def _says(document: Document, key: str) -> bool:
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
    there = {old for old, _ in comparison.pairs}
    return any(call.get("assistant_msg_idx") in there for call in before.tool_calls) or bool(
        comparison.pairs and comparison.old[0].count > 1
    )


def _lacks_context(before: Document, after: Document, comparison: Comparison) -> bool:
    """Return whether the model sees less of messages that are still there, without a compression."""
    if not before.context or is_compressed_since(before, after):
        return False
    there = {old for old, _ in comparison.pairs}
    gone = {message.identity[:2] for old, message in enumerate(comparison.old) if old not in there}
    missing = compare(before.context, after.context).missing
    lost = [index for index in missing if before.context[index].identity[:2] not in gone]
    size = sum(message.count for message in before.context)
    return bool(lost) and sum(message.count for message in after.context) < size
