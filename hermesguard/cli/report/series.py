"""How sessions, incidents and the store came to be what they are, as series over time: what `report` draws."""

import bisect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final

from hermesguard.clock import local, moment
from hermesguard.lookup.library import Library
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident
from hermesguard.store.inventory import ShadowEntry, shadow_entries
from hermesguard.webui import session

_MOST_TICKS: Final = 60
_STEPS: Final = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=7),
    timedelta(days=30),
    timedelta(days=91),
    timedelta(days=365),
)
_REPAIRED: Final = frozenset({"restored", "merged"})
KINDS: Final = ("repaired", "uncertain", "missing", "not repaired")


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one kind of bar: a name, and a value for each tick of its chart."""

    name: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A value at each of `ticks`; where `is_counted_between`, what happened since the tick before."""

    name: str
    title: str
    explanation: str
    ticks: tuple[datetime, ...]
    series: tuple[Series, ...]
    is_counted_between: bool = False
    is_size: bool = False


@dataclass(frozen=True, slots=True)
class _Life:
    """When a session began and, if it is gone, ended; and the size of its newest copy."""

    began: datetime
    ended: datetime | None
    size_bytes: int


def charts(library: Library, now: datetime) -> list[Chart]:
    """Return the charts of a store: its sessions, its incidents and its size, from the oldest to `now`."""
    shadows = {shadow.session: shadow for shadow in shadow_entries(library.store)}
    versions = {name: library.store.versions(name) for name in library.sessions}
    lives = [
        life
        for name in library.sessions
        if (life := _life(library, name, shadows.get(name), versions[name], now))
    ]
    kept = [version for found in versions.values() for version in found]
    log = [incident for incident in library.incidents if not incident.is_by_user]
    times = [life.began for life in lives] + [version.time for version in kept] + [_time(it) for it in log]
    times_shown = ticks(min(times, default=now), now)
    return [_sessions(times_shown, lives), _incidents(times_shown, log), _growth(times_shown, lives, kept)]


def _sessions(ticks: Sequence[datetime], lives: Iterable[_Life]) -> Chart:
    changes = [(life.began, 1) for life in lives]
    changes += [(life.ended, -1) for life in lives if life.ended]
    return Chart(
        "sessions",
        "Sessions",
        "How many sessions there were; a session that was deleted counts until then.",
        tuple(ticks),
        (Series("sessions", running(ticks, changes)),),
    )


def _incidents(ticks: Sequence[datetime], log: Sequence[Incident]) -> Chart:
    counts = {kind: [0] * len(ticks) for kind in KINDS}
    for incident in log:
        place = min(bisect.bisect_left(ticks, _time(incident)), len(ticks) - 1)
        counts[kind_of(incident)][place] += 1
    return Chart(
        "incidents",
        "Incidents",
        "What was lost, and what became of it, in each span of time.",
        tuple(ticks),
        tuple(Series(kind, tuple(counts[kind])) for kind in KINDS),
        is_counted_between=True,
    )


def _growth(ticks: Sequence[datetime], lives: Iterable[_Life], kept: Iterable[Version]) -> Chart:
    newest = [(life.began, life.size_bytes) for life in lives]
    history = [(version.time, version.size_bytes) for version in kept]
    return Chart(
        "store",
        "The store",
        "What it holds today, by age: newest copies since their session began, versions since they were kept.",
        tuple(ticks),
        (Series("newest copies", running(ticks, newest)), Series("history", running(ticks, history))),
        is_size=True,
    )


def kind_of(incident: Incident) -> str:
    """Return the kind of an incident, one of KINDS."""
    if incident.event in _REPAIRED:
        return "repaired"
    words = {"uncertain": "uncertain", "missing": "missing"}
    return words.get(incident.event, "not repaired")


def _life(
    library: Library, name: str, shadow: ShadowEntry | None, versions: Sequence[Version], now: datetime
) -> _Life | None:
    """Return the life of a session; None when it is not known when it began."""
    created = library.head(name, session.CREATED).get(session.CREATED)
    known = [version.time for version in versions]
    if shadow:
        known.append(moment(shadow.mtime_ns))
    if not known:
        return None
    began = _as_time(created) if isinstance(created, int | float) else None
    ended = None if shadow else known[-1]
    return _Life(min([*known, *([began] if began else []), now]), ended, shadow.size_bytes if shadow else 0)


def _as_time(timestamp: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(timestamp, UTC) if timestamp > 0 else None
    except (OverflowError, OSError, ValueError):
        return None


def _time(incident: Incident) -> datetime:
    return datetime.fromisoformat(incident.time)


def ticks(first: datetime, now: datetime) -> list[datetime]:
    """Return at most sixty-one times from `first` to `now`, evenly spaced but for the last, on the reader's full hours."""
    for step in (*_STEPS, (now - first) / (_MOST_TICKS - 1)):
        start = _full(first, step)
        if (now - start) / step <= _MOST_TICKS:
            break
    ticks = []
    while start < now:
        ticks.append(start)
        start += step
    return [*ticks, now]


def _full(first: datetime, step: timedelta) -> datetime:
    """Return the reader's full minute, hour or day in which something began, as the step asks for."""
    start = local(first).replace(second=0, microsecond=0)
    if step >= _STEPS[2]:
        start = start.replace(minute=0)
    return start.replace(hour=0) if step >= _STEPS[3] else start


def running(ticks: Sequence[datetime], changes: Iterable[tuple[datetime, int]]) -> tuple[int, ...]:
    """Return the sum of all changes up to each tick."""
    ordered = sorted(changes, key=_when)
    sums = [0, *accumulate(amount for _, amount in ordered)]
    return tuple(sums[bisect.bisect_right(ordered, tick, key=_when)] for tick in ticks)


_when: Callable[[tuple[datetime, int]], datetime] = lambda change: change[0]  # noqa: E731 - a key, said once
