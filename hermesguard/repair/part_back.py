"""One part of a version brought back into the live file, and nothing else of it. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from hermesguard.pieces import Content, Piece
from hermesguard.repair.splice import dump, file_of, list_parts, object_parts
from hermesguard.webui import session
from hermesguard.webui.compare import parts
from hermesguard.webui.compare.diff import Comparison, compare
from hermesguard.webui.session import Document, Message
from hermesguard.webui.text import tool_ids

_KEYS = {
    "words": ("content",),
    "reasoning": parts.REASONING,
    "attachments": ("attachments",),
    "pictures": ("content",),
    "calls": ("tool_calls", "tool_call_id"),
}


def with_part(live: Document, version: Document, part: str) -> Content:
    """Return the live file with that part (one of `document.PARTS`) as the version has it; every other byte of a value stays."""
    members: dict[str, Iterable[str | Piece]] = {key: live.raw_parts(key) for key in live.keys}
    if part in (*_KEYS, "order"):
        comparison = compare(version.messages, live.messages)
        messages = _in_order(comparison) if part == "order" else _whole(comparison, part)
        members[session.MESSAGES] = list_parts(messages)
    elif part in version:
        members[part] = version.raw_parts(part)
    return file_of(object_parts(members.items()))


def _whole(comparison: Comparison, part: str) -> Iterator[Message]:
    """Yield live's messages, each with that part of its own form in the version, if it lacks it."""
    there = (*comparison.pairs, *comparison.shortened, *comparison.moved)
    before = {new: old for old, new in there}
    for index, message in enumerate(comparison.new):
        known = comparison.old[before[index]] if index in before else message
        yield _with_keys(message, known, part)


def _with_keys(message: Message, known: Message, part: str) -> Message:
    if known is message or part not in parts.stripped(known, message):
        return message
    more = {key: known.get(key) for key in _KEYS[part] if known.get(key)}
    if part == "calls" and (calls := _lacking(known, {**message.value, **more})):
        said = message.get("content")  # some providers have the calls among the words
        text = [{"type": "text", "text": said}] if isinstance(said, str) and said else []
        more["content"] = [*(said if isinstance(said, list) else text), *calls]
    value = {**message.value, **more}
    return Message(value, dump(value, level=2))


def _lacking(known: Message, value: dict[str, Any]) -> list[Any]:
    """Return the pieces of a message's content that carry tool ids which `value` has not."""
    have, content = set(tool_ids(value)), known.get("content")
    pieces = content if isinstance(content, list) else ()
    return [piece for piece in pieces if not set(tool_ids({"content": [piece]})) <= have]


def _in_order(comparison: Comparison) -> Iterator[Message]:
    """Yield live's messages in the order of the version; what only live has comes last."""
    now = dict((*comparison.pairs, *comparison.moved))
    known = set(now.values())
    for index in range(len(comparison.old)):
        if index in now:
            yield comparison.new[now[index]]
    yield from (message for index, message in enumerate(comparison.new) if index not in known)
