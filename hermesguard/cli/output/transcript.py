"""A conversation for reading, and what two of them differ in."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from hermesguard.cli.output.tables import counted, moment
from hermesguard.cli.output.terminal import UNBOUNDED, Screen, Style, columns_of, cut
from hermesguard.config.units import about_size
from hermesguard.webui.compare.diff import Comparison
from hermesguard.webui.compare.parts import Gone
from hermesguard.webui.session import Message
from hermesguard.webui.text import text_of

_FOLDED_COLUMNS: Final = 120
_ROLE_STYLES: Final = {
    "user": Style.CYAN,
    "assistant": Style.GREEN,
    "tool": Style.FAINT,
    "system": Style.FAINT,
}
_LABELS: Final = {"_error": "error", "_partial": "partial", "_recovered": "recovered"}


def conversation(
    screen: Screen, messages: Sequence[Message], *, last: int | None = None, full: bool = False
) -> str:
    """Return the conversation as lines for the screen; of tools only that they were called, unless `full`."""
    first = max(0, len(messages) - last) if last else 0
    blocks = [
        _block(screen, number, message, full) for number, message in enumerate(messages[first:], first + 1)
    ]
    return "\n\n".join(blocks)


def markdown(title: str, messages: Sequence[Message], *, last: int | None = None, full: bool = False) -> str:
    """Return the conversation as Markdown, the text of each message as it is."""
    first = max(0, len(messages) - last) if last else 0
    parts = [f"# {' '.join(title.split()) or 'Untitled'}"]
    for message in messages[first:]:
        parts.append(f"## {' - '.join(_heading(message))}")
        if said := _said(message):
            parts.append(said)
        for name, text in _tools(message):
            parts.append(f"```{name}\n{text}\n```" if full else f"*{_folded(name, text)}*")
    return "\n\n".join(parts)


def _block(screen: Screen, number: int, message: Message, full: bool) -> str:
    who, *rest = _heading(message)
    heading = f"{screen.paint(screen.cell(who), _ROLE_STYLES.get(message.role, Style.BOLD))}"
    lines = [
        f"{screen.paint(f'#{number}', Style.FAINT)} {heading} "
        + screen.paint(screen.cell(" ".join(rest)), Style.FAINT)
    ]
    lines += wrapped(screen, _said(message), "  ")
    for name, text in _tools(message):
        if full:
            lines.append("  " + screen.drawn("▸ ") + screen.cell(name))
            lines += wrapped(screen, text, "    ")
        else:
            width = min(screen.width - 4, _FOLDED_COLUMNS)
            lines.append("  " + screen.drawn("▸ " + cut(screen.cell(_folded(name, text)), width)))
    return "\n".join(line.rstrip() for line in lines)


def wrapped(screen: Screen, text: str, indent: str) -> list[str]:
    """Return safe lines of `text` that fit the screen, each behind `indent`; lines that fit stay as they are."""
    width = max(20, screen.width - len(indent))
    lines: list[str] = []
    for line in text.expandtabs(4).splitlines():
        line = screen.safe(line)
        if screen.width >= UNBOUNDED or columns_of(line) <= width:
            lines.append(line)
        elif line.isascii():
            lines += textwrap.wrap(
                line,
                width,
                break_on_hyphens=False,
                subsequent_indent=_leading(line, width),
            )
        else:
            lines += _wrapped_wide(line, width)
    return [indent + line if line.strip() else "" for line in lines]


def _leading(line: str, width: int) -> str:
    spaces = len(line) - len(line.lstrip())
    return " " * spaces if spaces < width // 2 else ""


def _wrapped_wide(line: str, width: int) -> list[str]:
    from rich.console import Console
    from rich.text import Text

    return [part.plain.rstrip() for part in Text(line).wrap(Console(width=width), width)]


def _heading(message: Message) -> list[str]:
    labels = [f"({label})" for key, label in _LABELS.items() if message.get(key)]
    return [message.role or "nobody", moment(message.timestamp), *labels]


def _said(message: Message) -> str:
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


def _tools(message: Message) -> Iterator[tuple[str, str]]:
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


def _folded(name: str, text: str) -> str:
    if name == "result":
        first = next((line for line in text.splitlines() if line.strip()), "")
        return f"result, {counted(len(text.splitlines()), 'line')}, {about_size(len(text.encode(errors='replace')))}: {first}"
    return f"{name}: {text}" if text else name


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
    return message.role, _said(message), list(_tools(message))


_MARKS: Final = {
    "gone": ("-", Style.RED),
    "cut short": ("-", Style.RED),
    "changed": ("~", Style.YELLOW),
    "new": ("+", Style.GREEN),
    "dropped": (" ", Style.FAINT),
}


def summary(found: Iterable[Change]) -> str:
    """Return the changes as one sentence: "2 messages gone, 1 new, 997 the same"."""
    counts: dict[str, int] = {}
    for change in found:
        counts[change.kind] = counts.get(change.kind, 0) + 1
    words = {"dropped": "dropped without loss", "same": "the same"}
    parts = [f"{counts[kind]:,} {words.get(kind, kind)}" for kind in (*_MARKS, "same") if kind in counts]
    return ", ".join(parts) or "no messages on either side"


def difference(screen: Screen, comparison: Comparison, found: Sequence[Change]) -> str:
    """Return the changes as lines for the screen, one or two for each message; what is the same only as a number."""
    lines: list[str] = []
    same = 0
    for change in (*found, None):
        if change and change.kind == "same":
            same += 1
            continue
        if same:
            lines.append(screen.paint(f"  {counted(same, 'message')} the same", Style.FAINT))
            same = 0
        if change:
            lines += _change_lines(screen, comparison, change)
    return "\n".join(lines)


def _change_lines(screen: Screen, comparison: Comparison, change: Change) -> Iterator[str]:
    mark, style = _MARKS[change.kind]
    a = comparison.old[change.in_a - 1] if change.in_a else None
    b = comparison.new[change.in_b - 1] if change.in_b else None
    message = a or b
    assert message is not None
    number = f"#{change.in_a or change.in_b}"
    what = "" if change.kind in ("gone", "new") else f" ({change.why or change.kind})"
    heading = f"{mark} {number} {screen.cell(message.role or 'nobody')} {moment(message.timestamp)}{what}  "
    if a and b:
        yield screen.paint(heading.rstrip(), style)
        start = _first_difference(_one_line(a), _one_line(b))
        for word, side in (("was", a), ("now", b)):
            text = _one_line(side)[start:]
            shown = ("…" if start else "") + (text or "(nothing)")
            yield screen.paint(f"    {word}: " + _fitting(screen, shown, 9), style)
    else:
        yield screen.paint(heading + _fitting(screen, _one_line(message), columns_of(heading)), style)


def _fitting(screen: Screen, text: str, used: int) -> str:
    width = max(10, min(screen.width, used + _FOLDED_COLUMNS) - used)
    return screen.drawn(cut(screen.cell(text), width))


def _one_line(message: Message) -> str:
    said = " ".join(_said(message).split())
    return said or "; ".join(_folded(name, text) for name, text in _tools(message))


def _first_difference(a: str, b: str) -> int:
    """Return where two texts begin to differ, a little before it."""
    length = next(
        (index for index, (x, y) in enumerate(zip(a, b, strict=False)) if x != y),
        min(len(a), len(b)),
    )
    return max(0, length - 20) if length > 30 else 0


# In words what hangs on messages, or stands beside them.
_PARTS: Final = {
    "reasoning": "reasoning",
    "attachments": "attachments",
    "pictures": "a user's pictures",
    "calls": "tool calls",
    "tool_calls": "the list of tool calls",
    "context_messages": "what the model sees of the conversation (the context)",
    "order": "the order of messages",
    "title": "title",
    "project_id": "project",
    "pinned": "pin",
    "archived": "archive mark",
    "composer_draft": "draft",
}
_NUMBERS_SHOWN: Final = 8


def part_lines(hung: Sequence[Gone], command: str) -> list[str]:
    """Return lines about the parts that are gone, each with what brings it back where `command` does so."""
    if not hung:
        return []
    lines = ["", "Gone, though no message is gone with it:"]
    for part, pairs in hung:
        numbers = [f"#{index + 1}" for index, _ in pairs[:_NUMBERS_SHOWN]]
        more = [f"{len(pairs) - _NUMBERS_SHOWN:,} more"] if len(pairs) > _NUMBERS_SHOWN else []
        of = f": {', '.join([*numbers, *more])}" if pairs else ""
        lines.append(f"- {_PARTS[part]}{of}")
        lines += [f"    {command} {part}"] if command else []
    return lines
