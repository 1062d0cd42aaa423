"""All traces of one conversation, gathered, put together and judged."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from hermesguard import files
from hermesguard.salvage.finding import Finding, State, gave_of, reasons
from hermesguard.salvage.merge import in_order, merged
from hermesguard.salvage.places import Places
from hermesguard.salvage.readers import copies, journals
from hermesguard.salvage.readers.archives import Archive
from hermesguard.salvage.readers.copies import Unusable
from hermesguard.salvage.readers.home import Listing
from hermesguard.salvage.readers.statedb import Database
from hermesguard.salvage.standing import Identity, Judged, Situation, Standing, judged
from hermesguard.salvage.trace import Kind, Trace, user_turns, worth_keeping
from hermesguard.store.history import DELETED, SALVAGED, WITHDRAWN
from hermesguard.store.store import Store
from hermesguard.webui import session
from hermesguard.webui.session import Document, Unreadable

_MOST_VERSIONS: Final = 20
_TAKEN_BACK: Final = frozenset({*WITHDRAWN, "intended", "accepted"})


class Surroundings(NamedTuple):
    """What the sessions directory says beside the conversations themselves."""

    listed: Mapping[str, Mapping[str, Any]]
    tombstones: frozenset[str]


class Traces(Protocol):
    """What was found in a home (class Survey)."""

    places: Places
    listing: Listing
    around: Surroundings
    databases: list[Database]
    store: Store | None

    @property
    def archives(self) -> list[Archive]:
        """The backups."""


class Gatherer:
    """Looks at one conversation after another."""

    def __init__(self, survey: Traces) -> None:
        self._survey = survey
        self._template: Document | None = None
        self._knows_template = False

    def examine(self, name: str) -> Finding:
        """Return what all traces say of one conversation."""
        notes: list[str] = []
        found: list[Trace] = []
        document, torn = self._file(name, notes)
        for one in self._traces(name, document or torn):
            if isinstance(one, str):
                notes.append(one)
            else:
                found.append(one)
        withdrawn, guarded = self._guarded(name, notes)
        found += guarded
        file = document and copies.document_trace(Kind.FILE, f"{name}.json", document, None)
        is_there = name in self._survey.listing.files
        if file:
            found.append(file)
        elif torn:
            found.append(torn)
        traces = in_order(found)
        metadata = self._metadata(name, found, document)
        title = str(metadata.get("title") or "")
        now = document.count if document else None
        if not is_there and (why := self._deleted(name, found, title)):
            return Finding(name, title, State.DELETED, now, (why,), tuple(notes))
        entries = merged(traces)
        situation = self._situation(name, document, torn, is_there, found, withdrawn)
        standings = [
            Judged(Standing.TAKEN_BACK, "nothing was said in it")
            if one.standing in (Standing.LOST, Standing.UNCERTAIN)
            and not worth_keeping(entry.any)
            and not any(traces[number].kind is Kind.FILE for number in entry.forms)
            else one
            for entry, one in zip(entries, judged(entries, traces, situation), strict=True)
        ]
        return Finding(
            name,
            title,
            _state(standings),
            now,
            reasons(entries, standings),
            tuple(notes),
            gave_of(traces, entries, standings),
            entries,
            traces,
            standings,
            document,
            metadata,
            None if document else self.template(),
        )

    # -- the file

    def _file(self, name: str, notes: list[str]) -> tuple[Document | None, Trace | None]:
        path = self._survey.listing.files.get(name)
        if path is None:
            return None, None
        try:
            # The application reads through a link.
            data, stamp = copies.read_limited(Path(os.path.realpath(path)), self._survey.places.limit_bytes)
        except Unusable as error:
            notes.append(str(error))
            return None, None
        try:
            return session.parse(data), None
        except Unreadable as error:
            notes.append(f"{path.name} is no session file any more: {error}.")
        try:
            return None, copies.torn(data, Kind.FILE, path.name, stamp.mtime_ns / 1e9)
        except Unusable:
            return None, None

    def _situation(
        self,
        name: str,
        document: Document | None,
        torn: Trace | None,
        is_there: bool,
        found: list[Trace],
        withdrawn: frozenset[Identity],
    ) -> Situation:
        row = self._survey.around.listed.get(name, {})
        count = row.get("message_count")
        if document:
            metadata: dict[str, Any] = {
                key: document.get(key) for key in document.keys if key not in session.LISTS
            }
        else:
            metadata = dict(torn.metadata) if torn else {}
        saved_at = copies.saved_at(document) if document else None
        return Situation(
            "whole" if document else "torn" if is_there else "missing",
            metadata,
            count if isinstance(count, int) and not isinstance(count, bool) else None,
            session.number(row.get("updated_at")),
            saved_at,
            withdrawn,
            "" if is_there else self._doubt(name, found),
        )

    # -- the traces

    def _traces(self, name: str, file: Document | Trace | None) -> Iterator[Trace | str]:
        look, limit = self._survey, self._survey.places.limit_bytes
        for path in look.listing.copies.get(name, ()):
            yield from _tried(lambda path=path: copies.copy(path, name, limit))
        if directory := look.listing.runs.get(name):
            yield from journals.runs(directory, name, limit)
        if paths := look.listing.prompts.get(name):
            yield from journals.prompts(paths, name, limit)
        for path in look.listing.logs.get(name, ()):
            yield from _tried(lambda path=path: copies.log(path, name, limit))
        for path in look.listing.dumps.get(name, ()):
            yield from _tried(lambda path=path: copies.dump(path, name, limit))
        context = file.context if file else ()
        if context:
            yield Trace(Kind.CONTEXT, f"context of {name}.json", tuple(context))
        for database in look.databases:
            yield from _tried(lambda database=database: database.trace(name))
        for archive in look.archives:
            yield from archive.traces(name)
        yield from self._relatives(name)

    def _relatives(self, name: str) -> Iterator[Trace]:
        """Yield the beginnings that other sessions share: snapshots from before a compression, and forks."""
        for other, row in self._survey.around.listed.items():
            path = self._survey.listing.files.get(other)
            if row.get("parent_session_id") != name or other == name or path is None:
                continue
            try:
                document = session.parse(copies.read_limited(path, self._survey.places.limit_bytes)[0])
            except (Unusable, Unreadable):
                continue
            row_time = self._survey.around.listed.get(name, {}).get("updated_at")
            created = document.get(session.CREATED)
            limit = session.number(created) or session.number(row_time)
            shared = tuple(
                message
                for message in document.messages
                if limit is not None and message.timestamp is not None and message.timestamp <= limit
            )
            if shared:
                yield Trace(Kind.FORK, f"{other}.json", shared, limit)

    def _guarded(self, name: str, notes: list[str]) -> tuple[frozenset[Identity], list[Trace]]:
        """Return what the guard saw being taken back, and its own copies."""
        store = self._survey.store
        if store is None:
            return frozenset(), []
        found: list[Trace] = []
        withdrawn: set[Identity] = set()
        try:
            if store.has_shadow(name):
                document = session.parse(store.read_shadow(name))
                found.append(copies.document_trace(Kind.GUARD, "newest copy", document, None))
        except (OSError, Unreadable) as error:
            notes.append(f"hermesguard's copy of {name} cannot be read: {error}.")
        kept = {message.identity for trace in found for message in trace.messages}
        for version in store.versions(name)[-_MOST_VERSIONS:]:
            try:
                document = session.parse(store.read_version(version))
            except (OSError, Unreadable) as error:
                notes.append(f"{name}@{version.name} cannot be read: {error}.")
                continue
            if version.reason in _TAKEN_BACK:
                withdrawn |= {message.identity for message in document.messages} - kept
            elif version.reason not in ("displaced", SALVAGED):
                trace = copies.document_trace(
                    Kind.GUARD, f"version {version.name}", document, version.time.timestamp()
                )
                found.append(trace)
        return frozenset(withdrawn), found

    # -- a conversation whose file is gone

    def _deleted(self, name: str, found: list[Trace], title: str) -> str:
        """Return why a conversation without a file is one that was deleted, or that never was one; empty when it is not."""
        look = self._survey
        if name in look.around.tombstones:
            return "hermes-webui noted that it was deleted"
        store = look.store
        if (
            store
            and any(version.reason == DELETED for version in store.versions(name))
            and not store.has_shadow(name)
        ):
            return "the guard saw that it was deleted"
        if title.casefold().startswith(session.TEMPORARY) or any(
            trace.metadata.get("ephemeral") for trace in found
        ):
            return "it was a side question, whose session is removed at its end"
        if name in look.around.listed:
            return ""
        if any(database.is_continued(name) for database in look.databases):
            return "it goes on under another id"
        known = [row for database in look.databases if (row := database.sessions.get(name))]
        is_child = bool(known) and all(row.parent and not row.is_fork for row in known)
        is_chained = any(len(database.chain(name)) > 1 for database in look.databases)
        if is_child and not is_chained and not self._was_shown(found):
            return "it is an agent's own errand, which hermes-webui never showed"
        if not known and look.databases:
            return "neither the index nor state.db knows it, as a deletion leaves it"
        return ""

    def _was_shown(self, found: list[Trace]) -> bool:
        return any(trace.kind in (Kind.COPY, Kind.SNAPSHOT, Kind.PROMPTS, Kind.GUARD) for trace in found)

    def _doubt(self, name: str, found: list[Trace]) -> str:
        """Return why it is not certain that a conversation whose file is gone was lost."""
        look = self._survey
        if name in look.around.listed or any(trace.kind is Kind.GUARD for trace in found):
            return ""
        known = [row for database in look.databases if (row := database.sessions.get(name))]
        if not known:
            return "neither an index nor a database says whether it was deleted"
        if any(row.source != "webui" for row in known) and not self._was_shown(found):
            return "it is no conversation of hermes-webui"
        turns = max((user_turns(trace.messages) for trace in found), default=0)
        if turns < 2 and not self._was_shown(found):
            return "only state.db knows it, and a side question of one turn leaves the same"
        return ""

    # -- what is known beside the messages

    def _metadata(self, name: str, found: list[Trace], document: Document | None) -> dict[str, Any]:
        sources: list[Any] = [self._survey.around.listed.get(name, {})]
        sources += [trace.metadata for trace in in_order(found)] + [
            trace.metadata for trace in found if not trace.messages
        ]
        known: dict[str, Any] = {}
        for source in sources:
            for key, value in source.items():
                if value not in (None, "") and not (key == "title" and not _is_title(value)):
                    known.setdefault(key, value)
        if document and document.title not in session.UNTITLED:
            known["title"] = document.title
        for key in (
            "message_count",
            session.WATERMARK,
            session.BOUNDARY,
            session.GENERATION,
            session.CLEAR_GENERATION,
        ):
            known.pop(key, None)
        return known

    def template(self) -> Document | None:
        """Return the session file that was saved last: its keys are those that the release in use writes."""
        if not self._knows_template:
            self._knows_template = True
            newest: list[tuple[int, Path]] = []
            for path in self._survey.listing.files.values():
                if (stamp := files.stamp(path)) and stamp.size_bytes <= self._survey.places.limit_bytes:
                    newest.append((stamp.mtime_ns, path))
            for _, path in sorted(newest, reverse=True)[:20]:
                try:
                    self._template = session.parse(files.read(path)[0])
                    break
                except (OSError, Unreadable):
                    continue
        return self._template


def _is_title(value: Any) -> bool:
    return isinstance(value, str) and value not in session.UNTITLED


def _tried(work: Any) -> Iterator[Trace | str]:
    try:
        if (trace := work()) is not None:
            yield trace
    except Unusable as error:
        yield str(error)


def _state(standings: list[Judged]) -> State:
    if any(one.standing is Standing.LOST for one in standings):
        return State.LOST
    if any(one.standing is Standing.UNCERTAIN for one in standings):
        return State.UNCERTAIN
    return State.WHOLE
