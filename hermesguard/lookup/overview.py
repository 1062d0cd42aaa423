"""What is known of each session at a glance: title, size, change, versions, incidents, state."""

import contextlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hermesguard import files
from hermesguard.clock import moment
from hermesguard.config.memory import session_limit_bytes
from hermesguard.lookup.library import Library
from hermesguard.store.incidents import LOST_BEFORE, Incident
from hermesguard.store.inventory import ShadowEntry, messages_of, shadow_entries, shadow_entry
from hermesguard.webui import session
from hermesguard.webui.session import Unreadable

_SHORTENED = frozenset({"intended", "clear", "meant"})
"""Reasons of versions that hold what a user's act took away."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_ENDS_SHORTENING = frozenset({"restored_by_user", "accepted", "undone"})


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
    """Return what is known of all sessions, sorted by id."""
    shadows = {shadow.session: shadow for shadow in shadow_entries(library.store)}
    by_session = of_session(library.everything)
    return [_entry(library, name, shadows.get(name), by_session[name]) for name in library.sessions]


def entry_of(library: Library, name: str) -> Entry:
    """Return what is known of one session."""
    log = [one for one in library.everything if one.session == name]
    return _entry(library, name, shadow_entry(library.store, name), log)


def _entry(library: Library, name: str, shadow: ShadowEntry | None, log: list[Incident]) -> Entry:
    names = version_names(library, name)
    is_live = library.live is None or name in library.live
    if shadow:
        changed: datetime | None = moment(shadow.mtime_ns)
        messages = messages_of(library.store, shadow)
    else:
        changed, messages = _last_version(names)
    if name in library.kept:
        state = state_of(log, library.resolved, has_shadow=bool(shadow), is_live=is_live, names=names)
    else:
        changed, messages, state = _without_copy(library, name, is_live)
    losses = [one for one in log if not one.is_note]
    incident = losses[-1] if losses else None
    title = library.title_once(name) if state == "shortened" else library.title(name)
    return Entry(name, title, messages, changed, len(names), incident, state)


def version_names(library: Library, name: str) -> list[str]:
    """Return the names of the files in a session's history, oldest first, without opening any."""
    one, own = library.place(name)
    return names_in(f"{one.store.history_directory}/{own}")


def names_in(history: str) -> list[str]:
    """Return the names of the versions in the directory of a session's history, oldest first."""
    try:
        names = os.listdir(history)
    except OSError:
        return []
    return sorted([file for file in names if file.endswith(".json.gz") and file[0] != "."])


def _last_version(names: list[str]) -> tuple[datetime | None, int | None]:
    return (time_of(names[-1]), count_of(names[-1])) if names else (None, None)


def time_of(version: str) -> datetime | None:
    """Return the time in the name of a version's file."""
    try:
        return datetime.fromisoformat(version.split("-")[0])
    except ValueError:
        return None


def count_of(version: str) -> int | None:
    """Return the number of messages in the name of a version's file."""
    try:
        return int(version.split("-")[1])
    except (IndexError, ValueError):
        return None


def reason_of(version: str) -> str:
    """Return the reason in the name of a version's file; empty when there is none."""
    parts = version.split("-", 3)
    return parts[2] if len(parts) > 3 else ""


def _without_copy(library: Library, name: str, is_live: bool) -> tuple[datetime | None, int | None, str]:
    """Return (changed, messages, state) of a session of which the store has nothing."""
    if not is_live:
        return None, None, "lost"
    path = library.live_path(name)
    changed = None
    with contextlib.suppress(OSError):
        stamp = files.stamp(path)
        changed = moment(stamp.mtime_ns) if stamp else None
    messages = live_count(path)
    return changed, messages, "unreadable" if messages is None else "lost"


def live_count(path: Path) -> int | None:
    """Return how many messages a session file holds; None when it cannot be read."""
    try:
        return len(session.parse(files.read(path, session_limit_bytes(None))[0]).messages)
    except (OSError, Unreadable):
        return None


def of_session(log: Iterable[Incident]) -> defaultdict[str, list[Incident]]:
    """Return the incidents of each session, oldest first."""
    found: defaultdict[str, list[Incident]] = defaultdict(list)
    for incident in log:
        found[incident.session].append(incident)
    return found


def state_of(
    log: Iterable[Incident],
    resolved: Collection[str],
    *,
    has_shadow: bool,
    is_live: bool,
    names: Iterable[str] = (),
) -> str:
    """Return the state of a session that the store has, with these incidents and notes, and versions of these file names."""
    log = list(log)
    open_ones = [one for one in log if not one.is_by_user and one.id not in resolved]
    losses = [one for one in open_ones if not one.is_note]
    if not has_shadow:
        return "missing" if losses and losses[-1].event == "not_known" else "deleted"
    if not is_live:
        return "missing"
    if any(one.event in ("uncertain", "missing") and one.is_open for one in losses):
        return "uncertain"
    if losses and losses[-1].event == "unrepaired":
        return "unrepaired"
    if any(one.event == LOST_BEFORE for one in open_ones):
        return "lost"
    taken = shortened(log, names)
    if taken and (not losses or losses[-1].time < (time_of(taken) or _NEVER).isoformat()):
        return "shortened"
    return "restored" if losses else "fine"


def shortened(log: Iterable[Incident], names: Iterable[str]) -> str:
    """Return the file name of the newest version that an act took away and that nobody has asked back since; else ""."""
    taken = [name for name in names if reason_of(name) in _SHORTENED]
    if not taken:
        return ""
    ended = max((one.time for one in log if one.event in _ENDS_SHORTENING), default="")
    if ended:
        time = time_of(taken[-1])
        if time is None or time <= datetime.fromisoformat(ended):
            return ""
    return taken[-1]


def order(entry: Entry, sort: str) -> tuple[Any, ...]:
    """Return what sessions are sorted by; `sort` is one of `arguments.LIST_ORDERS`."""
    changed = -entry.changed.timestamp() if entry.changed else 0.0
    first: dict[str, Any] = {
        "changed": changed,
        "title": entry.title.casefold(),
        "messages": -(entry.messages or 0),
        "versions": -entry.versions,
        "incident": -int(entry.incident.id) if entry.incident and entry.incident.id.isdecimal() else 0,
    }
    return first[sort], changed, entry.session
