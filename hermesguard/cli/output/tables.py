"""Tables, times and sentences for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from hermesguard.cli.output.terminal import Screen, Style, columns_of, cut
from hermesguard.config.units import counted as counted
from hermesguard.config.units import moment as moment

_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Column:
    """One column. On a narrow screen a column with `least` gives up width down to that many columns; then the columns
    with the highest `rank` are left out, one by one; those of rank 0 always stay."""

    title: str
    is_right: bool = False
    least: int | None = None
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of text and how it stands out. The text need not be safe: the table makes it so."""

    text: str
    style: Style = Style.PLAIN


def table(screen: Screen, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]]) -> str:
    """Return a table that fits the screen, a header above it; no line ends in spaces."""
    texts = [[screen.cell(cell if isinstance(cell, str) else cell.text) for cell in row] for row in rows]
    taken = [[columns_of(text) for text in line] for line in texts]
    heads = [column.title for column in columns]
    natural = [max(of_column) for of_column in zip([len(head) for head in heads], *taken, strict=True)]
    widths = _fit(columns, natural, screen.width)
    lines = [
        _line(screen, columns, widths, heads, [len(head) for head in heads], [Style.BOLD] * len(columns))
    ]
    for row, line, of_line in zip(rows, texts, taken, strict=True):
        styles = [Style.PLAIN if isinstance(cell, str) else cell.style for cell in row]
        lines.append(_line(screen, columns, widths, line, of_line, styles))
    return "\n".join(lines)


def _fit(columns: Sequence[Column], natural: Sequence[int], width: int) -> list[int | None]:
    """Return the width of each column, None for one that is left out."""
    shown = set(range(len(columns)))
    while True:
        excess = sum(natural[index] for index in shown) + _GAP * (len(shown) - 1) - width
        least = {index: min(natural[index], columns[index].least or natural[index]) for index in shown}
        droppable = [index for index in shown if columns[index].rank]
        if excess <= sum(natural[index] - least[index] for index in shown) or not droppable:
            break
        shown.remove(max(droppable, key=lambda index: columns[index].rank))
    widths: list[int | None] = [None] * len(columns)
    for index in sorted(shown, reverse=True):  # what stands last is read last, and gives first
        given = max(0, min(excess, natural[index] - least[index]))
        excess -= given
        widths[index] = natural[index] - given
    return widths


def _line(
    screen: Screen,
    columns: Sequence[Column],
    widths: Sequence[int | None],
    texts: Sequence[str],
    taken: Sequence[int],
    styles: Sequence[Style],
) -> str:
    pieces = []
    for column, width, text, of_text, style in zip(columns, widths, texts, taken, styles, strict=True):
        if width is None:
            continue
        if of_text > width:
            text = screen.drawn(cut(text, width))
            of_text = columns_of(text)
        space = " " * (width - of_text)
        painted = screen.paint(text, style)
        pieces.append(space + painted if column.is_right else painted + space)
    return (" " * _GAP).join(pieces).rstrip()


def facts(screen: Screen, pairs: Sequence[tuple[str, Cell | str]]) -> str:
    """Return lines of a name and its value, the values below each other; values are safe, and never cut."""
    width = max((len(name) for name, _ in pairs), default=0)
    lines = []
    for name, value in pairs:
        cell = Cell(value) if isinstance(value, str) else value
        lines.append(
            f"{screen.paint(name.ljust(width), Style.FAINT)}  {screen.paint(screen.cell(cell.text), cell.style)}"
        )
    return "\n".join(line.rstrip() for line in lines)


def ago(when: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago that was, in words: "12 s ago", "3 h ago", "never" for None."""
    if when is None:
        return "never"
    from hermesguard.config.units import about_duration

    seconds = ((now or datetime.now(UTC)) - when).total_seconds()
    return "just now" if seconds < 1 else f"{about_duration(seconds)} ago"


def moment_of(text: str) -> datetime | None:
    """Return a time as the JSON objects have it; None for the empty text, which is none."""
    return datetime.fromisoformat(text) if text else None
