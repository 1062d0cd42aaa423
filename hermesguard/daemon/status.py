"""The state of the guard as one plain object: from the running guard, or read from the store when none runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hermesguard import __version__
from hermesguard.clock import local, moment
from hermesguard.config.settings import Settings
from hermesguard.store import incidents
from hermesguard.store.directories.parts import meant, part_settings
from hermesguard.store.incidents import Incident
from hermesguard.store.inventory import messages_of, shadow_entries
from hermesguard.store.lock import lock_holder
from hermesguard.store.store import Store
from hermesguard.store.upkeep.scrub_progress import progress_of

if TYPE_CHECKING:
    from hermesguard.guard.guard import Guard

SCHEMA_VERSION = 2


def status_of(guard: Guard) -> dict[str, Any]:
    """Return what the running guard knows. Times are UTC, ISO 8601; empty when there has been none."""
    notes, settings = guard.notes, guard.settings
    return _common(settings, guard.copies.store) | {
        "since": notes.totals.started,
        "sessions": len(notes.seen),
        "messages": notes.seen.messages,
        "last_scan": notes.totals.last_scan,
        "last_save": _time(notes.last_save_ns),
        "repairs": notes.totals.restored,
        "store_error": guard.copies.broken,
        "unreadable": dict(notes.unreadable),
        "held": sorted(guard.missing_files.held),
        "waiting": sorted(notes.deferred.keys() | guard.long_work.sessions),
    }


def _time(time_ns: int) -> str:
    return moment(time_ns).isoformat() if time_ns else ""


Opened = tuple[Store, Iterable[Incident] | None]


def resting_status(settings: Settings, opened: Sequence[Opened] = ()) -> dict[str, Any]:
    """Return what is known from the store alone when no guard runs. GuardError when there is no store.

    `opened` are the stores that the caller has opened, and what he has read of their logs: one for each part that is meant.
    """
    parts = meant(settings)
    if not opened:
        opened = [(Store(part.root), None) for part in parts]
        for store, _ in opened:
            store.open()
    found = [
        OfOne(part.name, _resting(part_settings(settings, part), store, log), False)
        for part, (store, log) in zip(parts, opened, strict=True)
    ]
    return merged(found)


def _resting(settings: Settings, store: Store, log: Iterable[Incident] | None) -> dict[str, Any]:
    shadows = list(shadow_entries(store))
    newest_ns = max((shadow.mtime_ns for shadow in shadows), default=0)
    return _common(settings, store, log) | {
        "running": False,
        "pid": lock_holder(store.lock.path),
        "ready": False,
        "since": "",
        "sessions": len(shadows),
        "messages": sum(messages_of(store, shadow) or 0 for shadow in shadows),
        "last_scan": "",
        "last_save": _time(newest_ns),
        "repairs": 0,
        "watch": "none",
        "watch_reason": "no guard runs on this store",
        "watch_lost": True,
        "store_error": "",
        "unreadable": {},
        "held": [],
        "waiting": [],
    }


def _common(settings: Settings, store: Store, everything: Iterable[Incident] | None = None) -> dict[str, Any]:
    if everything is None:
        everything = incidents.read_all(store.root)
    log = [one for one in everything if not one.is_note]
    done = incidents.resolved(log)
    losses = [entry for entry in log if not entry.is_by_user]
    verified = progress_of(store.root)
    midnight = local(datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "schema_version": SCHEMA_VERSION,
        "version": __version__,
        "sessions_directory": str(settings.sessions),
        "store": str(settings.store),
        "incidents": len(losses),
        "incidents_today": sum(datetime.fromisoformat(entry.time) >= midnight for entry in losses),
        "verified": verified.finished,
        "damaged_files": verified.finished_damaged,
        "last_incident": losses[-1].time if losses else "",
        "unresolved": [entry.id for entry in losses if entry.id not in done and entry.is_open],
    }


OF_EACH: Final = (
    *("sessions_directory", "store", "ready", "sessions", "messages", "last_scan", "last_save", "repairs"),
    *("incidents", "incidents_today", "last_incident", "unresolved", "watch", "watch_reason", "watch_lost"),
    *("store_error", "damaged_files", "verified", "unreadable", "held", "waiting"),
)
"""What is told of each of several directories, and of all together."""
_SUMS: Final = ("sessions", "messages", "repairs", "incidents", "incidents_today", "damaged_files")


class OfOne(NamedTuple):
    """How one of several directories stands; `is_missing`: there is no such directory."""

    name: str
    status: dict[str, Any]
    is_missing: bool


def merged(found: Sequence[OfOne], refused: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
    """Return how things stand in all directories together, the first one's first, with a line for each in `directories`.

    `refused` are those that cannot be guarded. What is missing is told of its own line alone, unless it is the only one.
    """
    first = found[0].status
    each = [one.status for one in found]
    there = [one.status for one in found if not one.is_missing] or each[:1]
    worst = next((one for one in there if one["watch_lost"]), there[0])
    known = dict(first)
    known |= {key: sum(one[key] for one in each) for key in _SUMS}
    known |= {
        "ready": any(one["ready"] for one in there)
        and all(one["ready"] or one["watch_reason"] for one in there),
        "last_scan": min((one["last_scan"] for one in there if one["last_scan"]), default=""),
        "last_save": max(one["last_save"] for one in each),
        "last_incident": max(one["last_incident"] for one in each),
        "verified": min(one["verified"] for one in each if one["sessions"] or len(each) == 1)
        if any(one["sessions"] for one in each) or len(each) == 1
        else "",
        "unresolved": sorted((number for one in each for number in one["unresolved"]), key=int),
        "unreadable": {name: why for one in each for name, why in one["unreadable"].items()},
        "held": sorted(name for one in each for name in one["held"]),
        "waiting": sorted(name for one in each for name in one["waiting"]),
        "store_error": next((one["store_error"] for one in each if one["store_error"]), ""),
        **{key: worst[key] for key in ("watch", "watch_reason", "watch_lost")},
    }
    known["directories"] = [
        {"name": one.name, "missing": one.is_missing, **{key: one.status[key] for key in OF_EACH}}
        for one in found
    ]
    known["refused"] = list(refused)
    return known
