"""What all requests of users share: reading both sides, making the result live, writing it down."""

from typing import Any, NamedTuple

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError
from hermesguard.guard.guard import Guard
from hermesguard.guard.make_live import Target, make_live
from hermesguard.guard.requests.excerpts import excerpts
from hermesguard.pieces import Content, are_equal, pieces_of
from hermesguard.store import incidents
from hermesguard.store.cache import Copy
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident
from hermesguard.webui import session
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.session import Document, Unreadable


class Live(NamedTuple):
    copy: Copy
    stamp: files.Stamp
    document: Document | None

    @property
    def content(self) -> Content:
        """The file's bytes, of a long file in pieces."""
        return self.copy.content


class Requests:
    """Acts of a user on one guard's sessions. Every method returns what it did (or, dry, would do) as a plain dict."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._context = guard.context
        self._store = guard.context.copies.store

    # -- parts

    def _make_live(
        self,
        name: str,
        wanted: Content,
        live: Live | None,
        dry_run: bool,
        event: str,
        action: str,
        why: str,
        resolves: str = "",
        salvaged: str = "",
        details: bool = False,
    ) -> dict[str, Any]:
        after = session.parse_pieces(pieces_of(wanted))
        before = live.document.messages if live and live.document else []
        comparison = compare(before, after.messages)
        result = {
            "session": name,
            "action": action,
            "messages_live": len(before),
            "messages_after": len(after.messages),
            "messages_gone": len(comparison.missing) + len(comparison.shortened),
            "messages_back": len(comparison.added),
            "dry_run": dry_run,
        }
        if dry_run:
            return result | (excerpts(comparison) if details else {})
        shadow = self._shadow(name)
        if shadow and not any(
            are_equal(shadow.content, known) for known in (wanted, live.content if live else b"")
        ):
            self._context.keep_version(name, shadow.content, "displaced", shadow.count)
        like = live.stamp if live else self._context.directory.like(reversed(self._context.notes.seen))
        try:
            target = Target(name, live.copy.data if live else None, like)
            made = make_live(self._context, target, pieces_of(wanted))
        except OSError as error:
            what = f"{name} cannot be written: {error.strerror or error}"
            raise GuardError(what, "Fix the cause and retry; nothing was changed") from None
        self._guard.missing_files.is_here(name)
        messages, version = made.copy.count, made.first_displaced
        incident = self._record(event, action, name, len(before), messages, version, resolves, why, salvaged)
        return {**result, "messages_after": messages, "version": version, "incident": incident}

    def _record(
        self,
        event: str,
        action: str,
        name: str,
        before: int | None,
        after: int | None,
        version: str = "",
        resolves: str = "",
        why: str = "",
        salvaged: str = "",
    ) -> str:
        """Write down and report what a user did; return the number of the incident."""
        entry = Incident(
            "",
            "",
            name,
            event,
            action,
            evidence=(why,) if why else (),
            messages_before=before,
            messages_after=after,
            version=salvaged or version,
            displaced=version if salvaged else "",
            resolves=resolves,
        )
        return self._context.recorder.record(entry).id

    def require_seen(self, name: str, seen: str) -> None:
        """Raise GuardError unless the live file is the one that a preview showed: `seen` is its digest, empty for no file."""
        live = self._live(name)
        if (live.copy.digest if live else "") != seen:
            raise GuardError(
                f"{name} has changed since it was looked at, and nothing was done",
                "Look at it again",
                ExitCode.REFUSED,
            )

    def _shadow(self, name: str) -> Copy | None:
        try:
            return self._context.copies.shadow(name)
        except OSError as error:
            raise GuardError(
                f"The copy of {name} cannot be read: {error.strerror or error}", "Fix the cause and retry"
            ) from None

    def _live(self, name: str) -> Live | None:
        try:
            data, stamp = files.read(self._context.directory.file(name))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise GuardError(
                f"The file of {name} cannot be read: {error.strerror}", "Give the right to read it"
            ) from None
        copy = Copy(data)
        try:
            return Live(copy, stamp, copy.document)
        except Unreadable:
            return Live(copy, stamp, None)

    def _incident(self, number: str) -> Incident:
        log = incidents.read_all(self._store.root)
        found = next((entry for entry in log if entry.id == number), None)
        if found is None or not (found.session or found.members):
            raise GuardError(
                f"There is no incident {number}", "hermesguard log lists them", ExitCode.NOT_FOUND
            )
        if number in incidents.resolved(log):
            raise GuardError(
                f"Incident {number} is resolved already",
                f"hermesguard explain {number} shows how",
                ExitCode.REFUSED,
            )
        return found

    def _open(self, name: str) -> list[str]:
        log = incidents.read_all(self._store.root)
        done = incidents.resolved(log)
        return [
            entry.id for entry in log if entry.session == name and not entry.resolves and entry.id not in done
        ]

    def _close(self, name: str, event: str, action: str) -> list[str]:
        """Write down that a user's act answers what is open about a session; return the ids of what it answers."""
        log = incidents.read_all(self._store.root)
        done = incidents.resolved(log)
        answered = [
            entry.id
            for entry in log
            if entry.session == name
            and not entry.resolves
            and not entry.is_by_user
            and entry.id not in done
            and (entry.is_open or entry.event == incidents.LOST_BEFORE)
        ]
        for number in answered:
            self._context.recorder.note(Incident("", "", name, event, action, resolves=number))
        return answered

    def _version(self, name: str, version: str) -> Version:
        found = next(
            (entry for entry in self._store.versions(name) if version in (entry.name, entry.path.name)), None
        )
        if found is None:
            what = f"The history of {name} has no version {version}"
            raise GuardError(what, f"hermesguard history {name} lists what there is", ExitCode.NOT_FOUND)
        return found

    def _bytes(self, version: Version) -> bytes:
        try:
            return self._store.read_version(version)
        except OSError as error:
            raise GuardError(str(error), "hermesguard verify shows what else is damaged") from None

    def _read(self, version: Version) -> Document:
        return session.parse(self._bytes(version))


def count_of(document: Document | None) -> int | None:
    return len(document.messages) if document else None
