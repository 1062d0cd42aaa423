"""Which versions of the history stay and which go, each with its reason. Pure: knows neither disk nor clock.

No rule touches a shadow, the only copy of a session, or a version that an unresolved incident needs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from hermesguard.config.settings import Settings
from hermesguard.config.units import about_duration, exact_duration, exact_size
from hermesguard.store.history import DELETED, LEFT_AWAY, WITHDRAWN, Version
from hermesguard.store.incidents import Incident, resolved

# Clocks of one machine differ by less than this from one moment to the next, unless someone set them.
CLOCK_TOLERANCE: Final = timedelta(seconds=60)


class Rules(NamedTuple):
    """How long versions are kept: the settings of those names."""

    keep_history_seconds: float
    keep_versions: int
    keep_deleted_seconds: float
    max_store_bytes: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """Return the rules in the settings."""
        return cls(
            settings.keep_history_seconds,
            settings.keep_versions,
            settings.keep_deleted_seconds,
            settings.max_store_bytes,
        )


class Decision(NamedTuple):
    """What becomes of a version, and why."""

    version: Version
    goes: bool
    why: str
    is_dispensable: bool = False
    """It stays, but may go when space is short."""


def needed(log: Iterable[Incident]) -> dict[str, str]:
    """Return the names of the versions that open incidents need, each with the incident's id.

    By name alone, for a version follows its session when that gets a new id, and the incident keeps the old one.
    """
    entries = list(log)
    done = resolved(entries)
    return {
        name: entry.id
        for entry in entries
        if entry.is_open and not entry.resolves and entry.id not in done
        for name in (entry.version, entry.displaced)
        if name
    }


def decisions(
    versions: Sequence[Version], has_shadow: bool, needed_by: Mapping[str, str], rules: Rules, now: datetime
) -> Iterator[Decision]:
    """Yield what becomes of each version of one session (given oldest first), newest first, by age and number."""
    deleted = next((entry for entry in reversed(versions) if entry.reason == DELETED), None)
    if has_shadow:
        deleted = None  # it came back
    withdrawn = {entry.digest: entry for entry in versions if entry.reason in WITHDRAWN}
    for number, version in enumerate(reversed(versions), 1):
        yield _decision(
            version,
            deleted or withdrawn.get(version.digest),
            number,
            needed_by.get(version.name),
            number == 1 and not has_shadow and deleted is None and version.reason != LEFT_AWAY,
            rules,
            now,
        )


def _decision(
    version: Version,
    withdrawn: Version | None,
    number: int,
    incident: str | None,
    is_only_copy: bool,
    rules: Rules,
    now: datetime,
) -> Decision:
    if incident:
        return Decision(version, False, f"incident {incident} is not resolved")
    if is_only_copy:
        return Decision(version, False, "it is the only copy")
    if withdrawn:
        # What a user took away must not be recoverable from disk for long (hermes-webui #3802).
        age_seconds = (now - withdrawn.time).total_seconds()
        act = "deleted" if withdrawn.reason == DELETED else "cleared"
        if age_seconds >= rules.keep_deleted_seconds:
            kept = exact_duration(rules.keep_deleted_seconds)
            return Decision(
                version, True, f"{act} {about_duration(age_seconds)} ago, and keep_deleted is {kept}"
            )
        return Decision(version, False, f"{act}, {_until(withdrawn.time, rules.keep_deleted_seconds)}", True)
    if (now - version.time).total_seconds() >= rules.keep_history_seconds:
        return Decision(
            version, True, f"older than keep_history, {exact_duration(rules.keep_history_seconds)}"
        )
    if number > rules.keep_versions:
        return Decision(version, True, f"one of more than keep_versions, {rules.keep_versions}")
    return Decision(version, False, _until(version.time, rules.keep_history_seconds), True)


def _until(since: datetime, seconds: float) -> str:
    try:
        end = (since + timedelta(seconds=seconds)).astimezone(UTC)
    except OverflowError:
        return "for good"
    return f"until {end:%Y-%m-%d %H:%M} UTC"


def clock_is_behind(newest: datetime | None, now: datetime) -> bool:
    """Return whether the clock went back: what it says is earlier than what it once said."""
    return newest is not None and now + CLOCK_TOLERANCE < newest


def kept_by_clock(decision: Decision) -> Decision:
    """Return the decision about a version while the clock cannot be trusted."""
    return decision._replace(
        goes=False, why="the clock cannot be trusted, so that nothing goes", is_dispensable=False
    )


def dropped_for_space(dispensable: Iterable[Decision], excess_bytes: int, why: str) -> list[Decision]:
    """Return the oldest of the standby file versions, as many as must go to gain `excess_bytes`."""
    chosen = []
    for decision in sorted(dispensable, key=lambda entry: (entry.version.time, entry.version.session)):
        if excess_bytes <= 0:
            break
        excess_bytes -= decision.version.size_bytes
        chosen.append(decision._replace(goes=True, why=why, is_dispensable=False))
    return chosen


def over_limit(limit_bytes: int) -> str:
    """Return why a version goes for `max_store_bytes`."""
    return f"the store is larger than max_store_bytes, {exact_size(limit_bytes)}"
