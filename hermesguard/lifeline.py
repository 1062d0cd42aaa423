"""The life of a session as a line: how many messages it had when, each loss and each repair marked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from hermesguard.incidents import Incident
from hermesguard.screen import Screen, Style
from hermesguard.session import Row
from hermesguard.versions import Version
from hermesguard.view import counted, moment

Mark = Literal["", "loss", "repair", "meant"]

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS: Final = "_.:-=+*#"
_MARKS: Final[dict[Mark, tuple[str, str, Style]]] = {
    "loss": ("✗", "x", Style.RED),
    "repair": ("✓", "+", Style.GREEN),
    "meant": ("•", "o", Style.YELLOW),
}
_WIDEST: Final = 100
_INSTANT: Final = timedelta(microseconds=1)
# Reasons of versions that a person's act, not a loss, put into the history.
_MEANT: Final = frozenset({"meant", "clear", "deleted", "accepted"})


@dataclass(frozen=True, slots=True)
class Point:
    """From this time on the session had so many messages; and what happened then."""

    time: datetime
    rows: int
    mark: Mark = ""


def points(rows: Sequence[Row], versions: Iterable[Version], log: Iterable[Incident]) -> list[Point]:
    """Return what is known of a session's message count, in the order of time.

    `rows` of the newest copy say when it grew; versions and incidents say when something was taken away and came back.
    """
    found = [
        Point(when, number)
        for number, row in enumerate(rows, 1)
        if (when := _moment(row.timestamp)) is not None
    ]
    for version in versions:
        if version.reason in _MEANT:
            found.append(Point(version.time - _INSTANT, version.rows))
            found.append(Point(version.time, _count_at(rows, version.time), "meant"))
    for incident in log:
        when = datetime.fromisoformat(incident.time)
        if incident.settles or incident.rows_before is None:
            continue
        found.append(Point(when - 2 * _INSTANT, incident.rows_before))
        if incident.rows_live is not None:
            found.append(Point(when - _INSTANT, incident.rows_live, "loss"))
        if incident.rows_after is not None and incident.rows_after != incident.rows_live:
            found.append(Point(when, incident.rows_after, "repair"))
    return sorted(found, key=lambda point: point.time)


def _moment(timestamp: float | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(timestamp, UTC) if timestamp else None
    except (OverflowError, OSError, ValueError):
        return None


def _count_at(rows: Sequence[Row], when: datetime) -> int:
    seconds = when.timestamp()
    return sum(row.timestamp is not None and row.timestamp <= seconds for row in rows)


def drawn(screen: Screen, found: Sequence[Point]) -> str:
    """Return the points as a line for the screen: heights, marks below, and the times of both ends; "" for nothing."""
    if not found:
        return ""
    width = max(8, min(screen.width - 12, _WIDEST))
    first, last = found[0].time, found[-1].time
    span = (last - first).total_seconds() or 1.0
    highest = max(point.rows for point in found) or 1
    levels = _ASCII_LEVELS if screen.is_ascii else _LEVELS
    heights: list[int | None] = [None] * width
    marks: list[set[Mark]] = [set() for _ in range(width)]
    for point in found:
        place = min(width - 1, int((point.time - first).total_seconds() / span * width))
        heights[place] = point.rows
        if point.mark:
            marks[place].add(point.mark)
    line, current = "", 0
    for height in heights:
        current = current if height is None else height
        line += levels[min(len(levels) - 1, current * len(levels) // (highest + 1))] if current else " "
    signs = "".join(_sign(screen, here) for here in marks)
    lines = [f"{highest:>9,}  {screen.paint(line, Style.CYAN)}".rstrip()]
    if any(marks):
        lines.append(f"{'':11}{signs}".rstrip())
    begin, end = moment(first), moment(last)
    lines.append(f"{'':11}{begin}{end.rjust(max(len(end) + 2, width - len(begin)))}")
    if any(marks):
        lines.append(f"{'':11}{_legend(screen, found)}")
    return "\n".join(lines)


def _sign(screen: Screen, here: set[Mark]) -> str:
    for mark in ("loss", "meant", "repair"):  # a repair goes without saying where a loss is shown with it
        if mark in here:
            sign, ascii_sign, style = _MARKS[mark]
            if mark == "loss" and "repair" not in here:
                style = Style.RED
            return screen.paint(ascii_sign if screen.is_ascii else sign, style)
    return " "


def _legend(screen: Screen, found: Sequence[Point]) -> str:
    words = {
        "loss": ("loss", "losses"),
        "repair": ("repair", "repairs"),
        "meant": ("shortened on purpose",) * 2,
    }
    parts = []
    for mark, (sign, ascii_sign, style) in _MARKS.items():
        number = sum(point.mark == mark for point in found)
        if number:
            parts.append(
                screen.paint(ascii_sign if screen.is_ascii else sign, style)
                + " "
                + counted(number, *words[mark])
            )
    return "   ".join(parts)
