"""The life of a session as a line: how many messages it had when, each loss and each repair marked."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from hermesguard.cli.output.tables import counted, moment
from hermesguard.cli.output.terminal import Screen, Style
from hermesguard.lookup.points import Mark, Point

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS: Final = "_.:-=+*#"
_MARKS: Final[dict[Mark, tuple[str, str, Style]]] = {
    "loss": ("✗", "x", Style.RED),
    "repair": ("✓", "+", Style.GREEN),
    "intended": ("•", "o", Style.YELLOW),
}
_WIDEST: Final = 100
# What happened within one look belongs into one column, also where the line ends with it.
_TOGETHER: Final = timedelta(microseconds=10)


def drawn(screen: Screen, found: Sequence[Point]) -> str:
    """Return the points as a line for the screen: heights, marks below, and the times of both ends; "" for nothing.

    A column in which something was taken away shows what was left by a loss, and what there was before a user's act; the
    last column is what there is now.
    """
    if not found:
        return ""
    width = max(8, min(screen.width - 12, _WIDEST))
    first, last = found[0].time, found[-1].time
    span = (last - first).total_seconds() or 1.0
    highest = max(point.messages for point in found) or 1
    levels = _ASCII_LEVELS if screen.is_ascii else _LEVELS
    columns: list[list[Point]] = [[] for _ in range(width)]
    for point in found:
        share = (point.time - first + _TOGETHER).total_seconds() / span
        columns[min(width - 2, int(share * (width - 1)))].append(point)
    line, current = "", 0
    for here in columns:
        shown = _height(here, current)
        line += levels[max(0, shown * len(levels) - 1) // highest] if shown else " "
        current = here[-1].messages if here else current
    lines = [f"{highest:>9,}  {screen.paint(line, Style.CYAN)}".rstrip()]
    lines += _signs(screen, columns)
    begin, end = moment(first), moment(last)
    lines.append(f"{'':11}{begin}{end.rjust(max(len(end) + 2, width - len(begin)))}")
    if any(point.mark for point in found):
        lines.append(f"{'':11}{_legend(screen, found)}")
    return "\n".join(lines)


def _height(here: Sequence[Point], before: int) -> int:
    if not here:
        return before
    marks = {point.mark for point in here}
    if "loss" in marks:
        return min(point.messages for point in here)
    return max(point.messages for point in here) if "intended" in marks else here[-1].messages


def _signs(screen: Screen, columns: Sequence[Sequence[Point]]) -> Iterator[str]:
    """Yield a line of what was taken away when, and one of what came back."""
    messages: tuple[tuple[Mark, ...], ...] = (("loss", "intended"), ("repair",))
    for kinds in messages:
        line = ""
        for here in columns:
            found = [kind for kind in kinds if any(point.mark == kind for point in here)]
            line += _sign(screen, found[0]) if found else " "
        if line.strip():
            yield f"{'':11}{line}".rstrip()


def _sign(screen: Screen, mark: Mark) -> str:
    sign, ascii_sign, style = _MARKS[mark]
    return screen.paint(ascii_sign if screen.is_ascii else sign, style)


def _legend(screen: Screen, found: Sequence[Point]) -> str:
    words = {
        "loss": ("loss", "losses"),
        "repair": ("repair", "repairs"),
        "intended": ("taken away on purpose",) * 2,
    }
    parts = []
    for mark in _MARKS:
        number = sum(point.mark == mark for point in found)
        if number:
            parts.append(f"{_sign(screen, mark)} {counted(number, *words[mark])}")
    return "   ".join(parts)
