"""The life of a session as points in time: how many messages it had when, each loss and each repair marked."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
    version: str | None = ""
    """The version that holds what it was then, empty for the newest copy, None where none is kept."""
    incident: str = ""
    """The line of the log that it belongs to."""


def points(
    messages: Sequence[Message],
    versions: Sequence[Version],
    log: Iterable[Incident],
    acts: Mapping[str, str] | None = None,
) -> list[Point]:
    """Return what is known of a session's message count, in the order of time.

    Timestamps of the newest copy say when it grew; versions and incidents say when something was taken away and came back.
    `acts` gives the line of the log that tells of the act before which a version was kept.
    """
    found = [
        Point(when, number)
        for number, message in enumerate(messages, 1)
        if (when := _moment(message.timestamp)) is not None
    ]
    kept = {version.name for version in versions}
    for version in versions:
        if version.reason in _MEANT:
            found.append(Point(version.time - INSTANT, version.messages, version=version.name))
            number = (acts or {}).get(version.name, "")
            found.append(Point(version.time, _count_at(messages, version.time), "intended", incident=number))
    for incident in log:
        found += _of_incident(incident, kept)
    return sorted(found, key=lambda point: point.time)


def _of_incident(incident: Incident, kept: Collection[str]) -> Iterator[Point]:
    when, number = datetime.fromisoformat(incident.time), incident.id
    before = incident.version if incident.version in kept else None
    if incident.messages_before is None:
        return
    if incident.is_by_user and incident.messages_after is not None:
        change = incident.messages_after - incident.messages_before
        if not change and not incident.version:
            before = ""  # nothing had to be kept, for nothing was displaced
        yield Point(when - INSTANT, incident.messages_before, version=before, incident=number)
        mark: Mark = "intended" if change < 0 else "repair" if change else ""
        yield Point(when, incident.messages_after, mark, incident=number)
    if incident.resolves or incident.is_by_user:
        return
    yield Point(when - 2 * INSTANT, incident.messages_before, version=before, incident=number)
    if incident.messages_live is not None:
        displaced = incident.displaced if incident.displaced in kept else None
        yield Point(when - INSTANT, incident.messages_live, "loss", version=displaced, incident=number)
    if incident.messages_after is not None and incident.messages_after != incident.messages_live:
        yield Point(when, incident.messages_after, "repair", incident=number)


def _moment(timestamp: float | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(timestamp, UTC) if timestamp else None
    except (OverflowError, OSError, ValueError):
        return None


def _count_at(messages: Sequence[Message], when: datetime) -> int:
    seconds = when.timestamp()
    return sum(message.timestamp is not None and message.timestamp <= seconds for message in messages)
