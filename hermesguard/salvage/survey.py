"""Looks through a home for conversations that some trace knows better than their file does. Reads; writes nothing."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import orjson

from hermesguard import files
from hermesguard.salvage.finding import Finding, State
from hermesguard.salvage.gather import Gatherer, Surroundings
from hermesguard.salvage.places import Places
from hermesguard.salvage.readers import home, journals
from hermesguard.salvage.readers.archives import Archive
from hermesguard.salvage.readers.copies import Unusable
from hermesguard.salvage.readers.home import Listing
from hermesguard.salvage.readers.statedb import Database
from hermesguard.store.store import Store
from hermesguard.webui.lists.index import INDEX, load_if_readable
from hermesguard.webui.lists.tombstones import TOMBSTONES
from hermesguard.webui.session import session_id

_WEBUI: Final = "webui"
_SMALL_BYTES: Final = 16 * 1024
_FEW: Final = 5
Progress = Callable[[int, int, str], None]


def survey(
    places: Places,
    sessions: Collection[str] = (),
    progress: Progress = lambda done, total, what: None,
    notes: list[str] | None = None,
) -> Iterator[Finding]:
    """Yield what was found of each conversation that looks shorter than some trace says; of those named, whatever was found.

    `notes` takes sentences about traces that serve no conversation (a database that cannot be read). Nothing is raised for
    a trace, however broken.
    """
    with contextlib.closing(Survey(places)) as look:
        names = sorted(sessions) or look.suspects(progress)
        for number, name in enumerate(names):
            progress(number, len(names), name)
            finding = look.examine(name)
            if sessions or finding.state in (State.LOST, State.UNCERTAIN):
                yield finding
            elif finding.state is State.WHOLE and (why := look.beyond_recovery(finding)):
                look.notes += [why, *finding.notes]
        progress(len(names), len(names), "")
        if notes is not None:
            notes += look.notes


def glance(places: Places, store: Store) -> int:
    """Return how many conversations look lost, by a look at small and missing files alone: quick enough for each `status`.

    One that is missing, and of which the store has the shadow, was there when the guard came.
    """
    guarded = frozenset(store.shadow_names())
    with contextlib.closing(Survey(places, store)) as look:
        return sum(
            look.examine(name).state is State.LOST
            for name in look.suspects(only_small=True)
            if name in look.listing.files or name not in guarded
        )


class Survey:
    """One look through a home. Close it at the end."""

    def __init__(self, places: Places, store: Store | None = None) -> None:
        self.places = places
        self.listing: Listing = home.listed(places.sessions, places.agent)
        self.around = _surroundings(places.sessions)
        self.notes = list(self.listing.notes)
        self.databases = [
            found for path, profile in self.listing.databases if (found := self._opened(path, profile))
        ]
        self._archives: list[Archive] | None = None
        self.store = store
        if store is None and places.store and places.store.is_dir():
            self.store = Store(places.store)
        self._gatherer = Gatherer(self)

    def close(self) -> None:
        """Let go of everything."""
        for one in (*self.databases, *(self._archives or ())):
            one.close()

    def examine(self, name: str) -> Finding:
        """Return what all traces say of one conversation."""
        return self._gatherer.examine(name)

    def beyond_recovery(self, finding: Finding) -> str:
        """Return in a sentence that a conversation looks lost and no trace has more of it; empty when it does not look lost."""
        listed = self.around.listed.get(finding.session, {}).get("message_count")
        once = listed if isinstance(listed, int) and not isinstance(listed, bool) else 0
        if finding.messages_now is None and (finding.session in self.listing.files or once):
            state = "the file is broken" if finding.session in self.listing.files else "the file is gone"
        elif finding.messages_now is not None and once > finding.messages_now:
            state = f"the index counts {once:,} messages, the file has {finding.messages_now:,}"
        else:
            return ""
        title = f' "{finding.title}"' if finding.title else ""
        return f"{finding.session}{title}: {state}, and no trace has any more of it."

    @property
    def archives(self) -> list[Archive]:
        """The backups, opened when they are first asked for."""
        if self._archives is None:
            self._archives = []
            for path in self.listing.archives:
                try:
                    self._archives.append(Archive(path, self.places.limit_bytes))
                    self.notes += self._archives[-1].notes
                except Unusable as error:
                    self.notes.append(str(error))
        return self._archives

    def _opened(self, path: Path, profile: str) -> Database | None:
        import sqlite3  # what the daemon imports of this must not need it

        try:
            found = Database(path, profile, self.places.limit_bytes)
            self.notes += found.notes
        except Unusable as error:
            self.notes.append(str(error))
        except sqlite3.Error as error:
            self.notes.append(f"{path} cannot be read as a database: {error}. It is left out.")
        else:
            return found
        return None

    def known(self) -> dict[str, str]:
        """Return every conversation of which there is any trace, with its title as far as an index or a database knows it."""
        titles = dict.fromkeys(self.listing.sessions() | set(self.around.listed), "")
        for database in self.databases:
            titles |= {
                row.id: row.title for row in database.sessions.values() if session_id(f"{row.id}.json")
            }
        for name, row in self.around.listed.items():
            titles[name] = str(row.get("title") or titles[name])
        return titles

    # -- which look shorter

    def suspects(
        self, progress: Progress = lambda done, total, what: None, only_small: bool = False
    ) -> list[str]:
        """Return the conversations that look shorter than some trace says, by counting alone.

        `only_small` asks only files that are missing, or so small that they can hold hardly any message.
        """
        counted = self._counted()
        names = sorted(self.listing.sessions() | self._listed_by_others(counted))
        found = []
        for number, name in enumerate(names):
            if number % 50 == 0:
                progress(number, len(names), "")
            if path := self.listing.files.get(name):
                if only_small and self._is_large_or_as_kept(name, path, counted):
                    continue
                if self._looks_shorter(name, counted.get(name, 0)):
                    found.append(name)
            elif self._may_be_lost(name):
                found.append(name)
        return found

    def _is_large_or_as_kept(self, name: str, path: Path, counted: Mapping[str, int]) -> bool:
        """Return whether a file is large, or as the guard counted it, with more than a few messages, and no trace counts more.

        So it need not be opened. (Of a file with hardly any message the model's context may know more: that one is.)
        """
        try:
            found = os.lstat(path)
        except OSError:
            return False
        if found.st_size > _SMALL_BYTES:
            return True
        stamp = self._shadows.get(name)
        if self.store is None or stamp is None:
            return False
        note = self.store.shadow_note(name) if (found.st_size, found.st_mtime_ns) == stamp else None
        listed = self.around.listed.get(name, {}).get("message_count")
        most = max(counted.get(name, 0), listed if isinstance(listed, int) else 0)
        others = (self.listing.copies, self.listing.runs, self.listing.prompts, self.listing.logs)
        return note is not None and note[1] >= max(most, _FEW) and not any(name in other for other in others)

    @cached_property
    def _shadows(self) -> dict[str, tuple[int, int]]:
        if self.store is None:
            return {}
        try:
            return {one.session: (one.size_bytes, one.mtime_ns) for one in self.store.shadows()}
        except OSError:
            return {}

    def _counted(self) -> dict[str, int]:
        counted: dict[str, int] = {}
        for database in self.databases:
            try:
                for name, count in database.counts().items():
                    counted[name] = max(count, counted.get(name, 0))
            except Unusable as error:
                self.notes.append(str(error))
        return counted

    def _listed_by_others(self, counted: Mapping[str, int]) -> set[str]:
        """Return the conversations of hermes-webui without a file of their own that an index or a database lists."""
        found = {name for name in self.around.listed if session_id(f"{name}.json")}
        for database in self.databases:
            for row in database.sessions.values():
                is_root = not row.parent or row.is_fork or database.chain(row.id)[0] != row.id
                if row.source == _WEBUI and is_root and counted.get(row.id):
                    found.add(row.id)
        return {name for name in found if session_id(f"{name}.json")}

    def _may_be_lost(self, name: str) -> bool:
        if name in self.around.tombstones:
            return False
        return name in self.around.listed or not any(
            database.is_continued(name) for database in self.databases
        )

    def _looks_shorter(self, name: str, counted: int) -> bool:
        path = self.listing.files[name]
        try:
            value = orjson.loads(files.read(Path(os.path.realpath(path)), self.places.limit_bytes)[0])
        except files.TooLarge:
            return False  # it is told below, by whoever asks for it by name
        except (OSError, ValueError):
            return True
        if not isinstance(value, dict):
            return True
        messages, context = value.get("messages"), value.get("context_messages")
        count = len(messages) if isinstance(messages, list) else 0
        if counted > count or (isinstance(context, list) and len(context) > count):
            return True
        listed = self.around.listed.get(name, {}).get("message_count")
        if isinstance(listed, int) and listed > count:
            return True
        return self._has_more(name, count, messages if isinstance(messages, list) else [])

    def _has_more(self, name: str, count: int, messages: list[Any]) -> bool:
        copies = self.listing.copies.get(name, ())
        if any(not path.name.endswith(".bak") for path in copies):
            return True
        size = _size_bytes(self.listing.files[name])
        if any(_size_bytes(path) > size for path in copies):
            return True
        if directory := self.listing.runs.get(name):
            last = journals.last_count(directory)
            if last is not None and (last < 0 or last > count):
                return True
        if paths := self.listing.prompts.get(name):
            asked = sum(isinstance(one, dict) and one.get("role") == "user" for one in messages)
            traces = journals.prompts(paths, name, self.places.limit_bytes)
            if any(not isinstance(trace, str) and len(trace.messages) > asked for trace in traces):
                return True
        logs = self.listing.logs.get(name, ())
        limit = self.places.limit_bytes
        return any(_size_bytes(path) > 0 and _log_count(path, limit) > count for path in logs)


def _log_count(path: Path, limit_bytes: int) -> int:
    try:
        value = orjson.loads(files.read(path, limit_bytes)[0])
    except (OSError, ValueError):
        return 0
    messages = value.get("messages") if isinstance(value, dict) else None
    return len(messages) if isinstance(messages, list) else 0


def _surroundings(sessions: Path) -> Surroundings:
    index: Any = load_if_readable(sessions / INDEX)
    tombstones: Any = load_if_readable(sessions / TOMBSTONES)
    rows = (
        {
            row["session_id"]: row
            for row in index
            if isinstance(row, dict) and isinstance(row.get("session_id"), str)
        }
        if isinstance(index, list)
        else {}
    )
    ids = tombstones.get("ids") if isinstance(tombstones, dict) else None
    return Surroundings(
        rows,
        frozenset(one for one in ids if isinstance(one, str)) if isinstance(ids, list) else frozenset(),
    )


def _size_bytes(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
