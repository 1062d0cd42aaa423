"""A conversation for reading, and what two of them differ in."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from hermesguard.cli.output.tables import counted, moment
from hermesguard.cli.output.terminal import UNBOUNDED, Screen, Style, columns_of, cut
from hermesguard.config.units import about_size
from hermesguard.lookup.changes import LABELS, Change, said_in, tools_of
from hermesguard.lookup.typed import unbroken
from hermesguard.webui.compare.diff import Comparison
from hermesguard.webui.compare.parts import Gone
from hermesguard.webui.session import Message

_FOLDED_COLUMNS: Final = 120
# Of the private use area: as wide as a space, and no line ends there.
_SPACE_IN_COMMAND: Final = "\ue000"
_ROLE_STYLES: Final = {
    "user": Style.CYAN,
    "assistant": Style.GREEN,
    "tool": Style.FAINT,
    "system": Style.FAINT,
}


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
        if said := said_in(message):
            parts.append(said)
        for name, text in tools_of(message):
            parts.append(f"```{name}\n{text}\n```" if full else f"*{_folded(name, text)}*")
    return "\n\n".join(parts)


def _block(screen: Screen, number: int, message: Message, full: bool) -> str:
    who, *rest = _heading(message)
    heading = f"{screen.paint(screen.cell(who), _ROLE_STYLES.get(message.role, Style.BOLD))}"
    lines = [
        f"{screen.paint(f'#{number}', Style.FAINT)} {heading} "
        + screen.paint(screen.cell(" ".join(rest)), Style.FAINT)
    ]
    lines += wrapped(screen, said_in(message), "  ")
    for name, text in tools_of(message):
        if full:
            lines.append("  " + screen.drawn("▸ ") + screen.cell(name))
            lines += wrapped(screen, text, "    ")
        else:
            width = min(screen.width - 4, _FOLDED_COLUMNS)
            lines.append("  " + screen.drawn("▸ " + cut(screen.cell(_folded(name, text)), width)))
    return "\n".join(line.rstrip() for line in lines)


def wrapped(screen: Screen, text: str, indent: str) -> list[str]:
    """Return safe lines of `text` that fit the screen, each behind `indent`; lines that fit stay as they are."""
    width = max(10, screen.width - len(indent))
    lines: list[str] = []
    for line in text.expandtabs(4).splitlines():
        line = screen.safe(line)
        if screen.width >= UNBOUNDED or columns_of(line) <= width:
            lines.append(line)
        elif line.isascii():
            whole = unbroken(line, _SPACE_IN_COMMAND)
            wrapped_lines = textwrap.wrap(
                whole,
                width,
                break_on_hyphens=False,
                # A command that is longer than a line is for the terminal to fold: so it can be copied.
                break_long_words=_SPACE_IN_COMMAND not in whole,
                subsequent_indent=_leading(line, width),
            )
            lines += [one.replace(_SPACE_IN_COMMAND, " ") for one in wrapped_lines]
        else:
            lines += _wrapped_wide(line, width)
    return [indent + line if line.strip() else "" for line in lines]


def _leading(line: str, width: int) -> str:
    spaces = len(line) - len(line.lstrip())
    return " " * spaces if spaces < width // 2 else ""


def _wrapped_wide(line: str, width: int) -> list[str]:
    from rich.console import Console, OverflowMethod
    from rich.text import Text

    whole = Text(unbroken(line, _SPACE_IN_COMMAND))
    overflow: OverflowMethod = "ignore" if _SPACE_IN_COMMAND in whole.plain else "fold"
    parts = whole.wrap(Console(width=width), width, overflow=overflow)
    return [part.plain.rstrip().replace(_SPACE_IN_COMMAND, " ") for part in parts]


def _heading(message: Message) -> list[str]:
    labels = [f"({label})" for key, label in LABELS.items() if message.get(key)]
    return [message.role or "nobody", moment(message.timestamp), *labels]


def _folded(name: str, text: str) -> str:
    if name == "result":
        first = next((line for line in text.splitlines() if line.strip()), "")
        return f"result, {counted(len(text.splitlines()), 'line')}, {about_size(len(text.encode(errors='replace')))}: {first}"
    return f"{name}: {text}" if text else name


# Differences.


_MARKS: Final = {
    "gone": ("-", Style.RED),
    "cut short": ("-", Style.RED),
    "changed": ("~", Style.YELLOW),
    "new": ("+", Style.GREEN),
    "dropped": (" ", Style.FAINT),
}


def summary(found: Iterable[Change], is_repair: bool = False) -> str:
    """Return the changes as one sentence: "2 gone, 1 new, 997 the same"; what a repair has added came back."""
    counts: dict[str, int] = {}
    for change in found:
        counts[change.kind] = counts.get(change.kind, 0) + 1
    words = {"dropped": "dropped without loss", "same": "the same"} | (
        {"new": "came back"} if is_repair else {}
    )
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
    said = " ".join(said_in(message).split())
    return said or "; ".join(_folded(name, text) for name, text in tools_of(message))


def _first_difference(a: str, b: str) -> int:
    """Return where two texts begin to differ, a little before it."""
    length = next(
        (index for index, (x, y) in enumerate(zip(a, b, strict=False)) if x != y),
        min(len(a), len(b)),
    )
    return max(0, length - 20) if length > 30 else 0


# In words what hangs on messages, or stands beside them.
_PARTS: Final = {
    "words": "the words of messages, in whose place others stand",
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
