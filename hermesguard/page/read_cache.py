"""What the page has read of the store and may read again: as long as stamps say that nothing changed, nothing is read twice."""

import contextlib
import os
import threading
import time
from collections import OrderedDict, defaultdict
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from hermesguard import files
from hermesguard.clock import moment
from hermesguard.config.settings import Settings
from hermesguard.daemon.control import ask_running_guard
from hermesguard.daemon.status import resting_status
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.directories.together import library_of
from hermesguard.lookup.library import Copy, Library
from hermesguard.lookup.missed import Missed, missed
from hermesguard.lookup.overview import Entry, entry_of, of_session, state_of, time_of, version_names
from hermesguard.lookup.selectors import LATEST, LIVE, Chosen
from hermesguard.page.answers import clipped
from hermesguard.store.directories.parts import meant
from hermesguard.store.history import digest
from hermesguard.store.incidents import FILE_NAME, Incident
from hermesguard.store.inventory import ShadowEntry, messages_of, shadow_entries
from hermesguard.store.lock import lock_holder

LARGEST_BYTES: Final = 40 * 1024 * 1024
"""Larger sessions are not shown: read whole they take many times their size."""
_MOST_DOCUMENTS: Final = 6
_VIEW_SECONDS: Final = 10.0
"""Delta logs grow without a trace in the stamps of a view."""
_MOST_DOCUMENT_BYTES: Final = 48 * 1024 * 1024

_Stamp = tuple[object, ...]


class Row(NamedTuple):
    """One session, as far as it is known without opening a file of it."""

    session: str
    changed: datetime | None
    state: str
    versions: int
    incident: Incident | None
    shadow: ShadowEntry | None
    stamp: _Stamp


class Read(NamedTuple):
    """One copy, read, and the digest of its content."""

    copy: Copy
    digest: str


class ReadCache:
    """The store of `settings`, read on demand by several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._known: tuple[_Stamp, View, float] | None = None
        self._documents: OrderedDict[tuple[str, str], tuple[_Stamp, Read, int]] = OrderedDict()
        self._titles: dict[str, tuple[_Stamp, str]] = {}
        self._rows: dict[str, Row] = {}
        self._status: tuple[_Stamp, dict[str, Any], float] | None = None

    def view(self) -> "View":
        """Return the store as it is now. Raises GuardError as Library does."""
        with self._lock:
            stamp = self._stamp()
            now = time.monotonic()
            if self._known is None or self._known[:1] != (stamp,) or now - self._known[2] > _VIEW_SECONDS:
                self._known = (stamp, View(self, library_of(self.settings)), now)
            return self._known[1]

    def prepare(self) -> None:
        """Read what the first page needs, before anybody asks for it. Raises nothing that a request would not say."""
        import hermesguard.judge.judge  # noqa: F401 - tells what a rule means; a request would wait for it

        with contextlib.suppress(GuardError, OSError):
            view = self.view()
            view.answers  # noqa: B018
            view.status(1.0)
            view.missed_quickly  # noqa: B018

    def warm(self) -> None:
        """Read what the list of sessions needs, before anybody asks for it. Raises nothing that a request would not say."""
        with contextlib.suppress(GuardError, OSError):
            view = self.view()
            for row in view.rows.values():
                self.title(view.library, row)

    def _stamp(self) -> _Stamp:
        places: list[Path] = []
        for part in meant(self.settings):
            store = part.root
            places += (store, store / "shadows", store / "history", store / FILE_NAME, part.sessions)
        found: list[object] = []
        for place in places:
            try:
                seen = os.stat(place)
                found += (seen.st_mtime_ns, seen.st_ino, seen.st_size)
            except OSError:
                found.append(None)
        return tuple(found)

    def read(self, library: Library, name: str, chosen: Chosen) -> Read:
        """Return a copy, read; GuardError when it is not there (exit code 13), damaged, no session, or too large (1)."""
        stamp = _stamp_of(library, name, chosen)
        key = (name, chosen.name)
        with self._lock:
            found = self._documents.get(key)
            if found and found[0] == stamp:
                self._documents.move_to_end(key)
                return found[1]
        _require_fitting(library, name, chosen)
        copy = library.copy(name, chosen)
        data = copy.document.text.encode("utf-8", "surrogatepass")
        known = chosen.version.digest if chosen.version else digest(data)
        read = Read(copy, known)
        with self._lock:
            self._documents[key] = (stamp, read, len(data))
            self._documents.move_to_end(key)
            while len(self._documents) > 1 and (
                len(self._documents) > _MOST_DOCUMENTS
                or sum(size for _, _, size in self._documents.values()) > _MOST_DOCUMENT_BYTES
            ):
                self._documents.popitem(last=False)
        return read

    def status(self, at_most_seconds: float) -> dict[str, Any]:
        """Return what the guard says of itself; asked again when older, when the log grew, or by another guard."""
        store = self.settings.store
        logs = tuple(files.stamp(part.root / FILE_NAME) for part in meant(self.settings))
        stamp = (logs, lock_holder(store / "lock"))
        with self._lock:
            known, now = self._status, time.monotonic()
            if known is None or known[0] != stamp or now - known[2] > at_most_seconds:
                said = ask_running_guard(store, "status", {}, self.settings.profile) or resting_status(
                    self.settings
                )
                known = self._status = (stamp, {**said, "last_guard": "", "last_guard_seen": ""}, now)
            return known[1]

    def title(self, library: Library, row: Row) -> str:
        """Return the title of a session."""
        known = self._titles.get(row.session)
        if known is None or known[0] != row.stamp:
            known = self._titles[row.session] = (row.stamp, library.title_once(row.session))
        return known[1]

    def rows(self, library: Library) -> dict[str, Row]:
        """Return all sessions, with their states."""
        shadows = {shadow.session: shadow for shadow in shadow_entries(library.store)}
        histories = _histories(library)
        logs: defaultdict[str, list[Incident]] = of_session(library.everything)
        resolved = len(library.resolved)
        rows = {}
        for name in library.sessions:
            shadow, log = shadows.get(name), logs[name]
            is_live = library.live is None or name in library.live
            stamp = (shadow, histories.get(name), is_live, log[-1].id if log else "", resolved)
            row = self._rows.get(name)
            if row is None or row.stamp != stamp:
                row = _row(library, name, shadow, log, stamp, is_live)
            rows[name] = row
        self._rows = rows
        return rows


class View:
    """The store at one moment: what two requests ask for with nothing between them is found out once."""

    def __init__(self, cache: ReadCache, library: Library) -> None:
        self._cache = cache
        self.library = library

    @cached_property
    def rows(self) -> dict[str, Row]:
        """All sessions by id."""
        with self._cache._lock:
            return self._cache.rows(self.library)

    @cached_property
    def answers(self) -> dict[str, str]:
        """By id of a line of the log that is answered: the id of the line that answers it."""
        return {one.resolves: one.id for one in reversed(self.library.everything) if one.resolves}

    def status(self, at_most_seconds: float) -> dict[str, Any]:
        """Return what the guard, or without one its store, says of itself, no older than that. Raises GuardError."""
        return self._cache.status(at_most_seconds)

    @cached_property
    def missed_quickly(self) -> list[Missed]:
        """What users may miss, as far as the log tells, newest first."""
        return missed(self.library, is_quick=True)

    @cached_property
    def missed(self) -> list[Missed]:
        """All that users may miss, newest first."""
        return missed(self.library)

    def title(self, name: str) -> str:
        """Return the title of a session, or the last that it had where a clear took it away; empty when it is not known."""
        row = self.__dict__.get("rows", {}).get(name)
        return clipped(self._cache.title(self.library, row) if row else self.library.title_once(name))

    def state(self, name: str) -> str:
        """Return the state of a session; empty when it is not known."""
        if "rows" in self.__dict__:
            row = self.rows.get(name)
            return row.state if row else ""
        return entry_of(self.library, name).state if self.knows(name) else ""

    def knows(self, name: str) -> bool:
        """Return whether there is such a session, by its exact id."""
        return name in self.library.sessions or name in (self.library.live or ())

    def require(self, name: str) -> None:
        """Raise GuardError (exit code 13) when there is no such session."""
        if not self.knows(name):
            raise GuardError(
                f'No session is called "{name[:80]}"',
                "See what there is: hermesguard list",
                ExitCode.NOT_FOUND,
            )

    def entry(self, row: Row) -> Entry:
        """Return all that the list says of a session."""
        title = self.title(row.session)
        messages = (
            messages_of(self.library.store, row.shadow)
            if row.shadow
            else entry_of(self.library, row.session).messages
        )
        return Entry(row.session, title, messages, row.changed, row.versions, row.incident, row.state)

    def chosen(self, name: str, version: str) -> Chosen:
        """Return the copy that a VERSION of the API names; GuardError (exit code 13) when there is none."""
        self.require(name)
        if version in ("live", "latest"):
            return LIVE if version == "live" else LATEST
        found = next((one for one in self.library.store.versions(name) if one.name == version), None)
        if found is None:
            raise GuardError(
                f"There is no version {version[:40]} of {name}",
                f"See what there is: hermesguard history {name}",
                ExitCode.NOT_FOUND,
            )
        return Chosen("version", found)

    def read(self, name: str, chosen: Chosen) -> Read:
        """Return a copy, read; raises as `ReadCache.read`."""
        return self._cache.read(self.library, name, chosen)

    def newest(self, name: str) -> Chosen:
        """Return the newest good copy of a session: what is shown first."""
        return self.library.newest(name)


def _row(
    library: Library,
    name: str,
    shadow: ShadowEntry | None,
    log: list[Incident],
    stamp: _Stamp,
    is_live: bool,
) -> Row:
    names = version_names(library, name) if stamp[1] else []
    losses = [one for one in log if not one.is_note]
    if name in library.kept:
        state = state_of(log, library.resolved, has_shadow=bool(shadow), is_live=is_live, names=names)
        changed = moment(shadow.mtime_ns) if shadow else time_of(names[-1]) if names else None
    else:
        entry = entry_of(library, name)
        state, changed = entry.state, entry.changed
    return Row(name, changed, state, len(names), losses[-1] if losses else None, shadow, stamp)


def _histories(library: Library) -> dict[str, int]:
    """Return when the history of each session that has one was last changed."""
    found = {}
    for part in library.libraries:
        with contextlib.suppress(FileNotFoundError), os.scandir(part.store.history_directory) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    name = library.name_in(part, entry.name)
                    found[name] = entry.stat(follow_symlinks=False).st_mtime_ns
    return found


def _stamp_of(library: Library, name: str, chosen: Chosen) -> _Stamp:
    if chosen.version:
        return (chosen.version.path.name,)
    if chosen.kind == "live":
        return (files.stamp(library.live_path(name)),)
    return (files.stamp(library.store.shadow_path(name)), files.stamp(library.store.delta_log_path(name)))


def _require_fitting(library: Library, name: str, chosen: Chosen) -> None:
    path = (
        chosen.version.path
        if chosen.version
        else library.live_path(name)
        if chosen.kind == "live"
        else library.store.shadow_path(name)
    )
    found = files.stamp(path)
    most = LARGEST_BYTES // 8 if chosen.version else LARGEST_BYTES
    if found and found.size_bytes > most:
        raise GuardError(
            f"This version of {name} is too large to be shown here",
            f"Read it with: hermesguard show {name}@{chosen.name}",
        )
