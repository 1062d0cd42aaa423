"""What is known of each session at a glance: title, size, change, versions, incidents, state."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from hermesguard.cli.library import Library
from hermesguard.store import incidents
from hermesguard.store.incidents import Incident
from hermesguard.store.inventory import holdings, messages_of
from hermesguard.webui import session


@dataclass(frozen=True, slots=True)
class Entry:
    """One session. `state` is one of `arguments.LIST_STATES`; `messages` is None when no copy can be read."""

    session: str
    title: str
    messages: int | None
    changed: datetime | None
    versions: int
    incident: Incident | None
    state: str


def entries(library: Library) -> list[Entry]:
    """Return what is known of all sessions in the store, sorted by id."""
    store = library.store
    held = {holding.session: holding for holding in holdings(store)}
    live = live_sessions(library)
    by_session = of_session(library.incidents)
    is_resolved = incidents.resolved(library.incidents)
    found = []
    for name in library.sessions:
        holding = held.get(name)
        if holding:
            changed: datetime | None = datetime.fromtimestamp(holding.mtime_ns / 1e9, UTC)
            messages = messages_of(store, holding)
        else:
            last_version = next(reversed(store.versions(name)), None)
            changed = last_version.time if last_version else None
            messages = last_version.messages if last_version else None
        state = state_of(
            by_session[name], is_resolved, has_shadow=bool(holding), is_live=live is None or name in live
        )
        last = by_session[name][-1] if by_session[name] else None
        found.append(
            Entry(
                name,
                library.titles[name],
                messages,
                changed,
                library.version_count(name),
                last,
                state,
            )
        )
    return found


def of_session(log: Iterable[Incident]) -> defaultdict[str, list[Incident]]:
    """Return the incidents of each session, oldest first."""
    found: defaultdict[str, list[Incident]] = defaultdict(list)
    for incident in log:
        found[incident.session].append(incident)
    return found


def state_of(log: Iterable[Incident], resolved: Collection[str], *, has_shadow: bool, is_live: bool) -> str:
    """Return the state of a session with these incidents."""
    if not has_shadow:
        return "deleted"
    if not is_live:
        return "missing"
    open_ones = [incident for incident in log if not incident.is_by_user and incident.id not in resolved]
    if any(incident.event in ("uncertain", "missing") for incident in open_ones):
        return "uncertain"
    if open_ones and open_ones[-1].event == "unrepaired":
        return "unrepaired"
    return "restored" if open_ones else "fine"


def live_sessions(library: Library) -> set[str] | None:
    """Return the sessions that have a file in the sessions directory; None when it cannot be read."""
    try:
        with os.scandir(library.settings.sessions) as found:
            return {name for entry in found if (name := session.session_id(entry.name))}
    except OSError:
        return None
