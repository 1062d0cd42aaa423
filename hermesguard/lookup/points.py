"""The life of a session as points in time: how many messages it had when, each loss and each repair marked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident
from hermesguard.webui.session import Message

Mark = Literal["", "loss", "repair", "intended"]

INSTANT: Final = timedelta(microseconds=1)
"""What one incident was before, when it was found, and afterwards lie so far apart."""
# Reasons of versions that a user's act, not a loss, put into the history.
_MEANT: Final = frozenset({"intended", "clear", "deleted", "accepted"})


@dataclass(frozen=True, slots=True)
class Point:
    """From this time on the session had so many messages; and what happened then."""

    time: datetime
    messages: int
    mark: Mark = ""


def points(messages: Sequence[Message], versions: Iterable[Version], log: Iterable[Incident]) -> list[Point]:
    """Return what is known of a session's message count, in the order of time.

    Timestamps of the newest copy say when it grew; versions and incidents say when something was taken away and came back.
    """
    found = [
        Point(when, number)
        for number, message in enumerate(messages, 1)
        if (when := _moment(message.timestamp)) is not None
    ]
    for version in versions:
        if version.reason in _MEANT:
            found.append(Point(version.time - INSTANT, version.messages))
            found.append(Point(version.time, _count_at(messages, version.time), "intended"))
    for incident in log:
        when = datetime.fromisoformat(incident.time)
        if incident.messages_before is None:
            continue
        if incident.is_by_user and incident.messages_after is not None:
            change = incident.messages_after - incident.messages_before
            found.append(Point(when - INSTANT, incident.messages_before))
            found.append(
                Point(when, incident.messages_after, "intended" if change < 0 else "repair" if change else "")
            )
        if incident.resolves or incident.is_by_user:
            continue
        found.append(Point(when - 2 * INSTANT, incident.messages_before))
        if incident.messages_live is not None:
            found.append(Point(when - INSTANT, incident.messages_live, "loss"))
        if incident.messages_after is not None and incident.messages_after != incident.messages_live:
            found.append(Point(when, incident.messages_after, "repair"))
    return sorted(found, key=lambda point: point.time)


def _moment(timestamp: float | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(timestamp, UTC) if timestamp else None
    except (OverflowError, OSError, ValueError):
        return None


def _count_at(messages: Sequence[Message], when: datetime) -> int:
    seconds = when.timestamp()
    return sum(message.timestamp is not None and message.timestamp <= seconds for message in messages)
