"""What commands read: the store, without its lock, and the live files beside it. Nothing here changes anything."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from hermesguard import files
from hermesguard.config.memory import session_limit_bytes
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.find.notes import Notes
from hermesguard.lookup.find.processes import share_out
from hermesguard.lookup.selectors import (
    LATEST,
    LIVE,
    Chosen,
    find_session,
    find_version,
    reigns,
    split_version,
)
from hermesguard.store import incidents
from hermesguard.store.incidents import Incident
from hermesguard.store.store import Shadow, Store
from hermesguard.store.upkeep.size import size_bytes
from hermesguard.webui import header as head
from hermesguard.webui import session
from hermesguard.webui.session import Document, Unreadable

_MOST_READ_BYTES = 64 * 1024 * 1024
_MANY = 500
"""So many histories are looked into quickly enough; only of more it is noted how large they are."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a session, read: which one, and what it says."""

    session: str
    chosen: Chosen
    document: Document


class StoreSeenOnce(Store):
    """A store as one command sees it: what takes a look at every shadow is asked of the disk once."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._listed: list[Shadow] | None = None
        self._noted: dict[str, tuple[str, int] | None] = {}

    def shadows(self) -> Iterator[Shadow]:
        """Yield all shadows, by stat alone."""
        if self._listed is None:
            self._listed = list(super().shadows())
        return iter(self._listed)

    def shadow_note(self, session: str) -> tuple[str, int] | None:
        """Return (digest, messages) as recorded when the shadow was kept; None where nothing could be recorded."""
        if session not in self._noted:
            self._noted[session] = super().shadow_note(session)
        return self._noted[session]


class Library:
    """The store that `settings` name, open for reading.

    Raises GuardError (exit code 10) when there is no store, (14) when it is of a newer hermesguard, (1) when this user may
    not read it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store: Store = StoreSeenOnce(settings.store)
        try:
            os.scandir(settings.store).close()
            self.store.open()
        except FileNotFoundError:
            raise no_store(settings.store) from None
        except GuardError as error:
            raise (no_store(settings.store) if error.exit_code is ExitCode.NO_STORE else error) from None
        except NotADirectoryError:
            raise GuardError(
                f"The store {settings.store} is a file, not a directory",
                "Name the store with --store DIR",
                ExitCode.NO_STORE,
            ) from None
        except OSError as error:
            raise GuardError(
                f"The store {settings.store} cannot be read: {error.strerror}",
                "Ask as the user that the guard runs as: hermesguard status",
            ) from None

    # -- of several sessions directories (module together); one has no name

    @property
    def libraries(self) -> "list[Library]":
        """The parts of the store, the first directory's first."""
        return [self]

    def place(self, name: str) -> "tuple[Library, str]":
        """Return the part that a session is in, and its id there."""
        return self, name

    def name_in(self, one: "Library", name: str) -> str:
        """Return how a session of a part is called here."""
        return name

    def directory_of(self, name: str) -> str:
        """Return the name of the directory that a session is in; empty when there is but one."""
        return ""

    def of_incident(self, number: str) -> "Library":
        """Return the part whose log has an incident, the first one when none has."""
        return self

    @cached_property
    def sessions(self) -> list[str]:
        """All sessions that the store has, those that it only noted as lost, and those whose file is broken; sorted."""
        noted = {note.session for note in self.everything if note.event == incidents.LOST_BEFORE}
        return sorted(noted.union(self.kept, self.broken) - {""})

    @cached_property
    def broken(self) -> frozenset[str]:
        """The sessions of which there is a file that cannot be read, and no copy."""
        strangers = (self.live or frozenset()) - self.kept
        return frozenset(name for name in strangers if not self._is_readable(name))

    def _is_readable(self, name: str) -> bool:
        try:
            session.parse(files.read(self.live_path(name), _MOST_READ_BYTES)[0])
        except files.TooLarge:
            return True  # nobody can tell; the guard keeps a copy of it all the same
        except FileNotFoundError:
            return True  # it has gone meanwhile
        except (OSError, Unreadable):
            return False
        return True

    @cached_property
    def kept(self) -> frozenset[str]:
        """The sessions of which the store has a copy."""
        return frozenset(self.store.sessions())

    @cached_property
    def live(self) -> frozenset[str] | None:
        """The sessions that have a file in the sessions directory; None when it cannot be read."""
        try:
            with os.scandir(self.settings.sessions) as found:
                return frozenset(name for entry in found if (name := session.session_id(entry.name)))
        except OSError:
            return None

    @cached_property
    def _with_delta_logs(self) -> frozenset[str]:
        return frozenset(self.store.with_delta_logs())

    @cached_property
    def everything(self) -> list[Incident]:
        """The incidents and the notes of the log, oldest first."""
        return incidents.read_all(self.store.root)

    @cached_property
    def incidents(self) -> list[Incident]:
        """The incidents, oldest first."""
        return [incident for incident in self.everything if not incident.is_note]

    @cached_property
    def resolved(self) -> set[str]:
        """The ids of what a later line of the log put an end to."""
        return incidents.resolved(self.everything)

    def log(self, name: str) -> list[Incident]:
        """The incidents of a session, oldest first."""
        return [incident for incident in self.incidents if incident.session == name]

    def size_bytes(self) -> int:
        """Return how large the store is; what takes a look at every version is noted for the next time."""
        notes = Notes("sizes", self.store.root, lambda one: set(map(type, one)) == {int} and len(one) == 3)
        seen: dict[str, list[int]] = {}

        def share(paths: Sequence[str], look: Callable[[Sequence[str]], Any]) -> list[Any]:
            is_long = len(paths) - len(notes.known) >= _MANY
            return share_out(paths, look) if is_long else [look(paths)]

        total = size_bytes(self.store.root, notes.known, seen, share)
        if len(seen) >= _MANY:
            notes.write({name: note for name, note in seen.items() if notes.is_settled(note[1])}, seen)
        return total

    @cached_property
    def titles(self) -> dict[str, str]:
        """The title of each session, or the last that it had where a clear took it away."""
        return {name: self.title_once(name) for name in self.sessions}

    def title(self, name: str) -> str:
        """Return the title of a session: of its newest copy, else of the live file, else as the index of the application has it.

        Empty when it has none.
        """
        return head.title(self.head(name, session.TITLE)) or self._titles_elsewhere(name)

    def title_once(self, name: str) -> str:
        """Return the title of a session, or the last that it had where a clear took it away."""
        now = self.title(name)
        if now not in session.UNTITLED:
            return now
        before = map(head.title, self._older_heads(name, session.TITLE))
        return next((title for title in before if title not in session.UNTITLED), now)

    def _titles_elsewhere(self, name: str) -> str:
        if name not in self.kept and name in (self.live or ()):
            with contextlib.suppress(OSError):
                if title := head.title(head.read(self.live_path(name), session.TITLE)):
                    return title
        return self._index_titles.get(name) or self._noted_titles.get(name, "")

    @cached_property
    def _noted_titles(self) -> dict[str, str]:
        return {note.session: note.title for note in self.everything if note.title}

    @cached_property
    def _index_titles(self) -> dict[str, str]:
        from hermesguard.webui.lists.lost_before import titles  # few need it

        return titles(self.settings.sessions)

    def live_path(self, name: str) -> Path:
        """Return where the application keeps the session."""
        return self.settings.sessions / f"{name}.json"

    def head(self, name: str, *keys: str) -> dict[str, Any]:
        """Return the metadata of a session's newest copy, of these only `keys`, if given; empty when there is no copy."""
        try:
            if name in self._with_delta_logs:
                return head.metadata(self.store.read_shadow(name)[: head.HEAD_BYTES], *keys)
            one, own = self.place(name)
            return head.read(f"{one.store.shadows_directory}/{own}.json", *keys)
        except OSError:
            pass
        return next(self._older_heads(name, *keys), {})

    def _older_heads(self, name: str, *keys: str) -> Iterator[dict[str, Any]]:
        """Yield the metadata of the versions that this user can read, the newest first."""
        with contextlib.suppress(PermissionError):
            for version in reversed(self.store.versions(name)):
                with contextlib.suppress(OSError):
                    yield head.metadata(self.store.read_version(version)[: head.HEAD_BYTES], *keys)

    def find(self, text: str) -> str:
        """Return the session that `text` means; GuardError (exit code 13) when it means none, or several."""
        return find_session(text, self.sessions, lambda: self.titles)

    def choose(self, text: str) -> tuple[str, Chosen | None]:
        """Return session and copy that "SID@VERSION" means, None for the copy when no version is named.

        GuardError (exit code 13) when there is no such session, or no such version of it.
        """
        asked, version = split_version(text)
        try:
            found = self.find(asked)
        except GuardError:
            before, _, version = text.rpartition("@")
            known = [name for name in self.sessions if before and name.startswith(before)]
            if len(known) != 1:
                raise
            found = known[0]  # so it is the version that makes no sense
        return found, None if version is None else self.version(found, version)

    def version(self, name: str, text: str) -> Chosen:
        """Return the copy of a session that `text` means (without the @); GuardError (exit code 13) when there is none."""
        return find_version(
            text, name, self.store.versions(name), self.log(name), datetime.now(UTC), self._began(name)
        )

    def _began(self, name: str) -> datetime | None:
        """Return when a session began, as it says itself; None when it does not."""
        try:
            return datetime.fromtimestamp(self.head(name, "created_at")["created_at"], UTC)
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            return None

    def before(self, name: str) -> Chosen:
        """Return what was the newest good copy before something was taken away; the newest one when nothing ever was."""
        known = reigns(self.store.versions(name), self.log(name))
        return Chosen("version", known[-1][1]) if known else LATEST

    def newest(self, name: str) -> Chosen:
        """Return the newest copy in the store: the shadow, or of a session without one its newest version.

        The live file when the store has nothing of it.
        """
        if self.store.has_shadow(name):
            return LATEST
        if versions := self.store.versions(name):
            return Chosen("version", versions[-1])
        return LIVE if name in (self.live or ()) else LATEST

    def read(self, name: str, chosen: Chosen) -> bytes:
        """Return the bytes of a copy; GuardError when it is not there (exit code 13) or damaged (1)."""
        try:
            if chosen.version:
                return self.store.read_version(chosen.version)
            if chosen.kind == "latest":
                return self.store.read_shadow(name)
            return files.read(self.live_path(name), session_limit_bytes(None))[0]
        except FileNotFoundError:
            if name not in self.kept and name not in (self.live or ()):
                raise self.nothing_left(name) from None
            what = (
                "has no file in the sessions directory" if chosen.kind == "live" else f"has no @{chosen.name}"
            )
            raise GuardError(
                f"Session {name} {what}",
                f"See what there is: hermesguard history {name}",
                ExitCode.NOT_FOUND,
            ) from None
        except OSError as error:
            raise GuardError(
                f"{name}@{chosen.name} cannot be read: {error.strerror or error}",
                f"Try another version: hermesguard history {name}",
            ) from None

    def last_repair(self, name: str) -> tuple[Incident, Chosen] | None:
        """Return the newest repair and what it displaced, when nothing was taken away on purpose or decided by a user since."""
        versions = {version.name: version for version in self.store.versions(name)}
        log = [
            one
            for one in self.everything
            if one.session == name and one.event not in ("resolved", incidents.LOST_BEFORE)
        ]
        if not log or log[-1].is_by_user or log[-1].is_note:
            return None
        displaced = versions.get(log[-1].displaced)
        return (log[-1], Chosen("version", displaced)) if displaced else None

    def copy_or_nothing(self, name: str, chosen: Chosen, is_displaced: bool) -> Copy:
        """Return a copy; of what a repair displaced and nobody can read, one without messages."""
        try:
            return self.copy(name, chosen)
        except GuardError:
            if not is_displaced:
                raise
            return Copy(name, chosen, session.parse(b"{}"))

    def copy(self, name: str, chosen: Chosen) -> Copy:
        """Return a copy, read; GuardError when it is not there (exit code 13), damaged or no session (1)."""
        try:
            return Copy(name, chosen, session.parse_anyhow(self.read(name, chosen)))
        except Unreadable as error:
            if name not in self.kept:
                raise GuardError(
                    f"The file of {self.named(name)} is broken, and the store has no copy of it: {error}",
                    f"See what can be done: hermesguard explain {name}",
                ) from None
            raise GuardError(
                f"{name}@{chosen.name} is not a session: {error}",
                f"See what there is: hermesguard history {name}",
            ) from None

    def named(self, name: str) -> str:
        """Return a session's id, with its title behind it where it has one."""
        title = self.title(name)
        return f'{name} "{title}"' if title else name

    def nothing_left(self, name: str) -> GuardError:
        """Return the error that a session of the log or the index has neither a file nor a copy."""
        return GuardError(
            f"Of {self.named(name)} there is neither a file nor a copy",
            f"What other files still have of it: hermesguard salvage {name} --show; what is known: hermesguard explain {name}",
            ExitCode.NOT_FOUND,
        )


def no_store(store: Path) -> GuardError:
    """Return the error that there is no store, with what makes one here."""
    from hermesguard.lookup.guards import install_command  # only a mistake needs it

    return GuardError(
        f"There is no store at {store}",
        f"Start the guard ({install_command()}), or name the store with --store DIR; "
        "to see what looks lost already: hermesguard scan --check",
        ExitCode.NO_STORE,
    )
