"""Many alerts as one message: how many of each kind, which incidents, and the first few in words. Pure.

A digest stays small however many alerts go into it, and none of them goes uncounted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from hermesguard.clock import local
from hermesguard.events.event import Priority, paragraphs, plain
from hermesguard.notify.alerts import KNOWN, Alert

MOST_LINES: Final = 5
"""So many alerts of a kind are told one by one."""
_MOST_RANGES: Final = 200
_MOST_RANGES_TOLD: Final = 12
_LONGEST_LINE: Final = 300
LONGEST_BODY_BYTES: Final = 1900
"""What every service takes in one piece: Discord's limit is the lowest, 2000 characters."""
_NOT_TOLD: Final = frozenset({"evidence", "against", "undo"})
_HIGHEST_INCIDENT: Final = 2**53

Range = tuple[int, int]


class Message(NamedTuple):
    """What is sent, once for each address. `number` counts the messages to it, so that one that came twice can be told."""

    number: int
    title: str
    body: str
    kind: str
    """ "failure", "warning" or "info", as Apprise calls them."""


@dataclass
class Kind:
    """What is known of the alerts of one kind."""

    count: int = 0
    incidents: list[Range] = field(default_factory=list)
    """From and to, in order; more than there is room for are counted only."""
    lines: list[str] = field(default_factory=list)

    def add(self, alert: Alert, line: str) -> None:
        """Count an alert."""
        count = alert.values.get("count") if alert.name == "suppressed" else None
        self.count += count if isinstance(count, int) and 0 < count < _HIGHEST_INCIDENT else 1
        incident = alert.values.get("incident")
        if isinstance(incident, str) and incident.isdecimal() and len(incident) < 16:
            self.incidents = with_number(self.incidents, int(incident))
        if len(self.lines) < MOST_LINES:
            self.lines.append(line)


def with_number(ranges: list[Range], number: int) -> list[Range]:
    """Return sorted ranges with a number in them, those that touch made one."""
    merged: list[Range] = []
    for begin, end in sorted([*ranges, (number, number)]):
        if merged and begin <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    if len(merged) > _MOST_RANGES:
        merged[_MOST_RANGES - 1 :] = merged[-1:]
    return merged


@dataclass
class Digest:
    """What waits to become a message. Times are UTC, ISO 8601; empty when nothing waits."""

    first: str = ""
    last: str = ""
    kinds: dict[str, Kind] = field(default_factory=dict)
    advice: str = ""
    """What to do, as long as it is about one alert only."""

    @property
    def count(self) -> int:
        """Return how many alerts are in it."""
        return sum(kind.count for kind in self.kinds.values())

    def add(self, alert: Alert, title: str) -> None:
        """Take an alert in; `title` is that of its conversation, if it may be told."""
        is_first = not self.kinds
        self.first = min(filter(None, (self.first, alert.time)))
        self.last = max(self.last, alert.time)
        self.kinds.setdefault(alert.name, Kind()).add(alert, in_words(alert, title))
        self.advice = "\n".join(paragraphs(alert.event, dict(alert.values))) if is_first else ""

    def message(self, number: int, host: str, sender: str) -> Message:
        """Return it as a message, the worst first, with the local time of `host`."""
        names = sorted(self.kinds, key=lambda name: (KNOWN[name].priority, -self.kinds[name].count))
        worst = KNOWN[names[0]]
        more = self.count - 1
        title = f"hermesguard on {host}: {worst.title}" + (f", and {more:,} more" if more else "")
        parts = [self._part(name) for name in names]
        closing = (
            self.advice or f"To see all of it: hermesguard log --since {_local(self.first):%Y-%m-%dT%H:%M}"
        )
        mark = f"{_when(self.first, self.last)}. Message {number} of {sender}."
        return Message(
            number, plain(title), _fitted(parts, [closing, mark], LONGEST_BODY_BYTES), _kind(worst.priority)
        )

    def _part(self, name: str) -> list[str]:
        kind = self.kinds[name]
        if self.count == 1:
            return kind.lines
        head = f"{kind.count:,} x {KNOWN[name].title}{_which(kind.incidents)}"
        return [head, *(f"- {line}" for line in kind.lines)]

    def to_object(self) -> dict[str, Any]:
        """Return it for the state file."""
        kinds = {
            name: {"count": kind.count, "incidents": kind.incidents, "lines": kind.lines}
            for name, kind in self.kinds.items()
        }
        return {"first": self.first, "last": self.last, "advice": self.advice, "kinds": kinds}

    @classmethod
    def from_object(cls, value: Mapping[str, Any]) -> "Digest":
        """Return the digest of a state file; KeyError, TypeError, ValueError when it is none."""
        kinds = {
            str(name): Kind(
                int(kind["count"]),
                [(int(begin), int(end)) for begin, end in kind["incidents"]],
                [str(line) for line in kind["lines"]],
            )
            for name, kind in value["kinds"].items()
            if name in KNOWN
        }
        for moment in (value["first"], value["last"]):
            if kinds:
                datetime.fromisoformat(moment)
        return cls(str(value["first"]), str(value["last"]), kinds, str(value["advice"]))


def in_words(alert: Alert, title: str) -> str:
    """Return one line about an alert: the conversation by its id, or by its title if that is given."""
    values = {name: value for name, value in alert.values.items() if name not in _NOT_TOLD}
    session = values.get("session")
    if not session or "messages_before" not in alert.event.fields:
        return plain(alert.event.text(values))[:_LONGEST_LINE]
    who = f'"{title[:60]}" ({session})' if title else str(session)
    counts = [
        f"{values[name]} {words}"
        for name, words in (
            ("messages_before", "messages before"),
            ("messages_live", "found"),
            ("messages_after", "now"),
        )
        if name in values
    ]
    number = f", incident {values['incident']}" if "incident" in values else ""
    error = f"; {values['error']}" if "error" in values else ""
    told = f"{alert.event.title}: {who}{number}" + (f": {', '.join(counts)}" if counts else "") + error
    return plain(told)[:_LONGEST_LINE]


def _which(ranges: list[Range]) -> str:
    if not ranges:
        return ""
    if len(ranges) > _MOST_RANGES_TOLD:
        return f" (incidents from {ranges[0][0]} to {ranges[-1][1]}, not all of these)"
    words = ", ".join(f"{one}" if one == two else f"{one} to {two}" for one, two in ranges)
    return f" (incident{'s' * (words.count(' ') > 0)} {words})"


def _local(moment: str) -> datetime:
    return local(datetime.fromisoformat(moment))


def _when(first: str, last: str) -> str:
    begin, end = _local(first), _local(last)
    if (end - begin).total_seconds() < 1:
        return f"{begin:%Y-%m-%d %H:%M:%S}"
    until = f"{end:%H:%M:%S}" if begin.date() == end.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return f"{begin:%Y-%m-%d %H:%M:%S} to {until}"


def _kind(priority: Priority) -> str:
    if priority <= Priority.ERROR:
        return "failure"
    return "warning" if priority is Priority.WARNING else "info"


def _fitted(parts: list[list[str]], closing: list[str], most_bytes: int) -> str:
    """Return the parts and what closes them, lines taken from the end of parts until all of it fits."""

    def text() -> str:
        return "\n".join([*("\n".join(part) for part in parts), "", *closing])

    def size() -> int:
        return len(text().encode("utf-8"))

    while size() > most_bytes and (longest := max(parts, key=len)) and len(longest) > 1:
        longest.pop()
    while size() > most_bytes and len(parts) > 1:
        parts.pop()
    if size() > most_bytes and len(closing) > 1:
        closing = closing[1:]
    for part in parts:
        excess = size() - most_bytes
        if excess > 0:
            part[0] = part[0].encode("utf-8")[: -excess - 4].decode("utf-8", "ignore") + " ..."
    return text()
