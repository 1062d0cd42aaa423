"""What all requests of users share: reading both sides, making the result live, writing it down."""

from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple, TypeVar

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError
from hermesguard.guard.guard import Guard
from hermesguard.guard.large.large import REMEDY
from hermesguard.guard.large.long_work import LONG_BYTES
from hermesguard.guard.make_live import Target, make_live
from hermesguard.guard.requests.ahead import Ahead, waiting_for
from hermesguard.guard.requests.excerpts import excerpts
from hermesguard.pieces import Content, are_equal, pieces_of
from hermesguard.repair.merge import merged_file
from hermesguard.store import incidents
from hermesguard.store.cache import Copy
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident
from hermesguard.webui import session
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.session import Broken, Document, TooDense

T = TypeVar("T")
_LONG = frozenset({"undo", "accept", "restore", "salvage"})
# So many times its size the content of a version may have.
_PACKED = 8


class Live(NamedTuple):
    """The live file as a request found it; `document` is None when it is no session."""

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
        self.guard = self._guard = guard
        self._context = guard.context
        self._store = guard.context.copies.store
        self._ahead: Ahead | None = None
        """What was found out before, of a request about a long session."""

    def _once(self, what: str, work: Callable[[], T], *of: object) -> T:
        """Return what `work` gives of these objects, or gave when the same was found out before."""
        return self._ahead.once(what, work, of) if self._ahead else work()

    def long_session(self, verb: str, arguments: dict[str, Any]) -> str:
        """Return the session that a request is about, if to do it takes longer than a turn of the loop; else nothing."""
        if verb not in _LONG or not self._guard.background.is_threaded:
            return ""
        try:
            name = self._session_of(verb, arguments)
            return name if name and max(self._sizes_bytes(name, arguments)) > LONG_BYTES else ""
        except OSError:
            return ""  # the act meets it again, and says so

    def _session_of(self, verb: str, arguments: dict[str, Any]) -> str:
        if verb != "undo":
            return str(arguments.get("name", ""))
        log = incidents.read_all(self._store.root)
        return next((entry.session for entry in log if entry.id == arguments["incident"]), "")

    def _sizes_bytes(self, name: str, arguments: dict[str, Any]) -> Iterator[int]:
        """Yield the sizes of all that a request may work with, a packed version's as it may be unpacked."""
        live = files.stamp(self._context.directory.file(name))
        yield live.size_bytes if live else 0
        yield self._store.shadow_bytes(name)
        if "file" in arguments and (handed := files.stamp(self._store.root / arguments["file"])):
            yield handed.size_bytes
        yield from (_PACKED * version.size_bytes for version in self._store.versions(name))

    def find_out(self, name: str, dry: Callable[[], object], writes: bool) -> Generator[bool, None, None]:
        """Find out in the background what takes long of an act, by what it does when it is `dry`; yields True until then."""
        try:
            ahead = self._ahead = Ahead(self._shadow(name), self._context.copies.version_time, writes=writes)
        except GuardError:
            return  # the act meets it again

        def work() -> None:
            with ahead.in_background():
                dry()

        yield from waiting_for(self._guard.background, name, work)

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
        copy = self._once("copy", lambda: Copy(wanted), wanted)
        after = copy.document
        before = live.document.messages if live and live.document else ()
        comparison = self._once("comparison", lambda: compare(before, after.messages), before, after)
        result = {
            "session": name,
            "action": action,
            "messages_live": len(before),
            "messages_after": len(after.messages),
            "messages_gone": len(comparison.missing) + len(comparison.shortened),
            "messages_back": len(comparison.added),
            "dry_run": dry_run,
        }
        if self._ahead:
            self._ahead.write_for(self._store, name, copy, live.copy if live else None)
        if dry_run:
            return result | (excerpts(comparison) if details else {})
        shadow = self._shadow(name)
        known = (wanted, live.content if live else b"")
        if shadow and not any(are_equal(shadow.content, content) for content in known):
            self._context.keep_version(name, shadow.content, "displaced", shadow.count)
        like = live.stamp if live else self._context.directory.like(reversed(self._context.notes.seen))
        try:
            target = Target(name, None, like)
            if live:
                target = Target(name, live.copy.data, like, count_of(live.document) or 0, live.content)
            made = make_live(self._context, target, pieces_of(copy.content), expected=copy)
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
        if self._ahead and self._ahead.is_in_background:
            return self._ahead.shadow
        try:
            return self._context.copies.shadow(name)
        except OSError as error:
            raise GuardError(
                f"The copy of {name} cannot be read: {error.strerror or error}", "Fix the cause and retry"
            ) from None

    def _live(self, name: str) -> Live | None:
        stamp = files.stamp(self._context.directory.file(name)) if self._ahead else None
        return self._once(f"live {stamp}", lambda: self._read_live(name))

    def _read_live(self, name: str) -> Live | None:
        try:
            data, stamp = files.read(self._context.directory.file(name), self._context.limit_bytes)
        except FileNotFoundError:
            return None
        except files.TooLarge as error:
            raise GuardError(
                f"The file of {name} is too large to be read: {error.stamp.size_bytes} bytes", REMEDY
            ) from None
        except OSError as error:
            raise GuardError(
                f"The file of {name} cannot be read: {error.strerror}", "Give the right to read it"
            ) from None
        copy = Copy(data)
        try:
            return Live(copy, stamp, copy.document)
        except TooDense as error:
            raise GuardError(f"The file of {name} is too large to be read: {error}", REMEDY) from None
        except Broken:
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

    def many(self, number: str) -> Incident | None:
        """Return the incident if it is one of many sessions. Raises GuardError when there is none, or it is resolved."""
        found = self._incident(number)
        return found if found.members else None

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
        return self._once(version.path.name, lambda: self._read_version(version))

    def _read_version(self, version: Version) -> bytes:
        try:
            return self._store.read_version(version)
        except OSError as error:
            raise GuardError(str(error), "hermesguard verify shows what else is damaged") from None

    def _read(self, version: Version) -> Document:
        return self._parsed(self._bytes(version))

    def _merged(self, good: Document, live: Document | None) -> Content:
        return self._once("merged", lambda: merged_file(good, live), good, live)

    def _parsed(self, content: Content) -> Document:
        return self._once("document", lambda: session.parse_pieces(pieces_of(content)), content)


def count_of(document: Document | None) -> int | None:
    """Return how many messages a file has; None where there is none."""
    return len(document.messages) if document else None
