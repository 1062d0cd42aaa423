"""Which objects go, and which are made anew because something in them must. Pure: knows neither storage nor clock.

The store decides what is kept (`store.upkeep.retention`), and the copies follow: a file that left the store leaves the copies
at the next upkeep. A shadow that a newer one replaced stays for keep_deleted, so that the day before can be restored.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Final, NamedTuple

from hermesguard.offsite.batch import session_of
from hermesguard.offsite.settings import OffsiteSettings
from hermesguard.offsite.state import Entry, Object
from hermesguard.store.history import WITHDRAWN

MOST_AT_ONCE: Final = 20
MOST_SHARE: Final = 0.05
"""More files than these, vanished at one look without a reason, are a fault rather than what a user wants."""
_WASTE_SHARE: Final = 0.5


def earlier_seconds(options: OffsiteSettings) -> float:
    """Return how long objects stay that a state before the present one has made: as long as the store keeps anything."""
    return max(options.keep_deleted_seconds, options.keep_history_seconds)


class Rules(NamedTuple):
    """The settings of those names."""

    keep_deleted_seconds: float
    keep_history_seconds: float
    lifetime_seconds: float | None


class Need(Enum):
    """Whether an entry of an object is needed."""

    CURRENT = auto()
    RECENT = auto()
    """It is superseded, and may be wanted for the day before."""
    NONE = auto()
    MUST_GO = auto()


class Plan(NamedTuple):
    """What is to be done: objects to remove, and files to copy anew because their objects are to go."""

    remove: list[Object]
    renew: set[str]


def need_of(entry: Entry, has_older: bool, rules: Rules, now_ns: int) -> Need:
    """Return whether an entry is needed; `has_older` says, of a removal, that an older object still has the file."""
    if entry.is_removal:
        return Need.CURRENT if entry.superseded_ns is None and has_older else Need.NONE
    if entry.must_go:
        return Need.MUST_GO
    if entry.superseded_ns is None:
        return Need.CURRENT
    if not entry.superseded_ns:
        return Need.NONE  # a newer object has the same
    age_seconds = (now_ns - entry.superseded_ns) / 1e9
    if age_seconds < rules.keep_deleted_seconds:
        return Need.RECENT
    if age_seconds >= rules.keep_history_seconds:
        return Need.MUST_GO
    return Need.NONE


def plan(objects: Sequence[Object], entries: Iterable[Entry], rules: Rules, now_ns: int) -> Plan:
    """Return what is to be done with the objects that the storage has (given in the order of their names)."""
    of: dict[int, list[Entry]] = {one.id: [] for one in objects}
    holders: Counter[str] = Counter()
    for entry in entries:
        holders[entry.path] += not entry.is_removal  # in whatever object: one that is leaving is still there
        if entry.object in of:
            of[entry.object].append(entry)
    remove: list[Object] = []
    renew: set[str] = set()
    for one in objects:
        needs = [(entry, need_of(entry, holders[entry.path] > 0, rules, now_ns)) for entry in of[one.id]]
        current = [entry for entry, need in needs if need is Need.CURRENT]
        must_go = any(need is Need.MUST_GO for _, need in needs)
        recent = any(need is Need.RECENT for _, need in needs)
        total = sum(entry.size_bytes for entry in of[one.id])
        waste = sum(entry.size_bytes for entry, need in needs if need in (Need.NONE, Need.MUST_GO))
        is_old = (
            rules.lifetime_seconds is not None
            and (now_ns - one.created_ns) / 1e9 >= rules.lifetime_seconds / 2
        )
        if not current and (must_go or not recent):
            remove.append(one)
        elif must_go or is_old or (total and waste > total * _WASTE_SHARE):
            renew.update(entry.path for entry in current)
    return Plan(remove, renew)


def unexplained(
    gone: Iterable[str], still: Mapping[str, object], rules: Rules, keep_versions: int, now: datetime
) -> list[str]:
    """Return the files that left the store although no rule of its retention says that they should."""
    gone = list(gone)
    per_session = Counter(session_of(path) for path in [*gone, *still] if path.startswith("history/"))
    found = []
    for path in gone:
        session = session_of(path)
        if path.startswith("shadows/") and session and per_session[session]:
            continue  # deleted or renamed: what it was is in the history
        if path.startswith("history/"):
            time, _, rest = path.rpartition("/")[2].partition("-")
            reason = rest.split("-")[1]
            age_seconds = (now - datetime.fromisoformat(time)).total_seconds()
            kept_seconds = rules.keep_deleted_seconds if reason in WITHDRAWN else rules.keep_history_seconds
            if age_seconds >= kept_seconds or per_session[session] > keep_versions:
                continue
        found.append(path)
    return found


def is_too_many(count: int, known: int) -> bool:
    """Return whether so many unexplained files, of so many, are held back."""
    return count > max(MOST_AT_ONCE, known * MOST_SHARE)
