"""The state of the guard as one plain object: from the running guard, or read from the store when none runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hermesguard import __version__
from hermesguard.config.settings import Settings
from hermesguard.store import incidents
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
        "last_save": _time(notes.totals.last_save_ns),
        "repairs": notes.totals.restored,
        "store_error": guard.copies.broken,
        "unreadable": dict(notes.unreadable),
        "held": sorted(guard.missing_files.held),
        "waiting": sorted(notes.deferred),
    }


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat() if time_ns else ""


def resting_status(
    settings: Settings, store: Store | None = None, log: Iterable[Incident] | None = None
) -> dict[str, Any]:
    """Return what is known from the store alone when no guard runs. GuardError when there is no store.

    `store` and `log` are what the caller has opened and read of it already.
    """
    if store is None:
        store = Store(settings.store)
        store.open()
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
    midnight = datetime.now(UTC).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
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
