"""What a user reads in a message, and what became of each message of one version in another."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from hermesguard.webui.compare.diff import Comparison
from hermesguard.webui.session import Message
from hermesguard.webui.text import text_of

LABELS: Final = {"_error": "error", "_partial": "partial", "_recovered": "recovered"}


def said_in(message: Message) -> str:
    """Return the text that a user reads in succession: what was said, not what tools were asked or answered."""
    content = message.get("content")
    if message.role == "tool":
        return ""
    if isinstance(content, list):
        said = text_of([part for part in content if not _is_tool_part(part)])
    else:
        said = text_of(content)
    return said if said.strip() else text_of(message.get("reasoning"))


def _is_tool_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in ("tool_use", "tool_result")


def tools_of(message: Message) -> Iterator[tuple[str, str]]:
    """Yield (what it is, its text) of each tool call, tool result and attachment of a message."""
    if message.role == "tool":
        yield "result", text_of(message.get("content"))
    calls, content, attachments = (
        message.get("tool_calls"),
        message.get("content"),
        message.get("attachments"),
    )
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            inner = call.get("function")
            function = inner if isinstance(inner, dict) else call
            yield _called(function.get("name"), function.get("arguments", function.get("input")))
    for part in content if isinstance(content, list) else ():
        if _is_tool_part(part) and part["type"] == "tool_use":
            yield _called(part.get("name"), part.get("input"))
        elif _is_tool_part(part):
            yield "result", text_of(part.get("content"))
    for attachment in attachments if isinstance(attachments, list) else ():
        name = (
            attachment.get("name") or attachment.get("filename")
            if isinstance(attachment, dict)
            else attachment
        )
        yield "attachment", str(name)


def _called(name: object, arguments: object) -> tuple[str, str]:
    text = (
        arguments
        if isinstance(arguments, str)
        else json.dumps(arguments, ensure_ascii=False)
        if arguments
        else ""
    )
    return f"tool {name or '?'}", text


# Differences.


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one message: its number (from 1) in A and in B, None where it is not."""

    kind: Literal["gone", "cut short", "changed", "new", "dropped", "same"]
    in_a: int | None
    in_b: int | None
    why: str = ""


def changes(comparison: Comparison) -> list[Change]:
    """Return what became of every message, in the order of the conversation. "dropped" is gone without loss."""
    harmless = dict(comparison.harmless)
    shortened = set(comparison.shortened)
    missing = {*comparison.missing, *harmless}
    added = set(comparison.added)
    found: list[Change] = []
    at_a = at_b = 0
    ends = (len(comparison.old), len(comparison.new))
    for index_a, index_b in (*sorted({*comparison.pairs, *shortened}), ends):
        gone = [index for index in range(at_a, index_a) if index in missing]
        new = [index for index in range(at_b, index_b) if index in added]
        rewritten = _rewritten(comparison, gone, new)
        for index in gone:
            if index in rewritten:
                found.append(Change("changed", index + 1, rewritten[index] + 1))
            elif index in harmless:
                found.append(Change("dropped", index + 1, None, harmless[index]))
            else:
                found.append(Change("gone", index + 1, None))
        found.extend(Change("new", None, index + 1) for index in new if index not in rewritten.values())
        if (index_a, index_b) != ends:
            found.append(_pair(comparison, index_a, index_b, (index_a, index_b) in shortened))
        at_a, at_b = index_a + 1, index_b + 1
    return found


def _pair(comparison: Comparison, index_a: int, index_b: int, is_cut: bool) -> Change:
    a, b = comparison.old[index_a], comparison.new[index_b]
    is_changed = a.text != b.text and _content(a) != _content(b)
    return Change("cut short" if is_cut else "changed" if is_changed else "same", index_a + 1, index_b + 1)


def _rewritten(comparison: Comparison, gone: Sequence[int], new: Sequence[int]) -> dict[int, int]:
    """Return the messages whose words are others now: same place, same role, same time."""
    stamps = {(comparison.new[index].role, comparison.new[index].timestamp): index for index in new}
    keys = {index: (comparison.old[index].role, comparison.old[index].timestamp) for index in gone}
    return {index: stamps.pop(key) for index, key in keys.items() if key[1] is not None and key in stamps}


def _content(message: Message) -> tuple[str, str, list[tuple[str, str]]]:
    return message.role, said_in(message), list(tools_of(message))
