"""What commands read: the store, without its lock, and the live files beside it. Nothing here changes anything."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from json.decoder import JSONDecoder
from pathlib import Path
from typing import Any, Final

from hermesguard import files, incidents, session
from hermesguard.config import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.incidents import Incident
from hermesguard.selection import (
    LATEST,
    Chosen,
    find_session,
    find_version,
    split_version,
)
from hermesguard.session import Document, Unreadable
from hermesguard.store import Store, Version

# The application itself needs a session's metadata inside this much of its file (webui-contract, section 1).
_HEAD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a session, read: which one, and what it says."""

    session: str
    chosen: Chosen
    document: Document


class Library:
    """The store that `settings` name, open for reading.

    Raises GuardError (exit code 10) when there is no store, (14) when it is of a newer hermesguard, (1) when this user may
    not read it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.store)
        try:
            os.scandir(settings.store).close()
            self.store.open()
        except FileNotFoundError:
            self.store.open()
        except NotADirectoryError:
            raise GuardError(
                f"The store {settings.store} is a file, not a directory",
                "Name the store with --store DIR",
                ExitCode.NO_STORE,
            ) from None
        except OSError as error:
            raise GuardError(
                f"The store {settings.store} cannot be read: {error.strerror}",
                "Ask as the user that the guard runs as, or as root",
            ) from None

    @cached_property
    def sessions(self) -> list[str]:
        """All sessions that the store knows, sorted."""
        return self.store.sessions()

    @cached_property
    def incidents(self) -> list[Incident]:
        """The incident log, oldest first."""
        return incidents.read(self.store.root)

    @cached_property
    def titles(self) -> dict[str, str]:
        """The title of each session, from the beginning of its newest copy."""
        return {name: title(self.head(name)) for name in self.sessions}

    def live_path(self, name: str) -> Path:
        """Return where the application keeps the session."""
        return self.settings.sessions / f"{name}.json"

    def head(self, name: str) -> dict[str, Any]:
        """Return the metadata that stands before the messages in a session's newest copy; empty when there is none."""
        try:
            with open(self.store.shadow_path(name), "rb") as file:
                return metadata(file.read(_HEAD_BYTES))
        except OSError:
            pass
        for version in reversed(self.store.versions(name)):
            try:
                return metadata(self.store.read_version(version)[:_HEAD_BYTES])
            except OSError:
                continue
        return {}

    def find(self, text: str) -> str:
        """Return the session that `text` means; GuardError (exit code 13) when it means none, or several."""
        return find_session(text, self.sessions, lambda: self.titles)

    def choose(self, text: str) -> tuple[str, Chosen | None]:
        """Return session and copy that "SID@VERSION" means, None for the copy when no version is named.

        GuardError (exit code 13) when there is no such session, or no such version of it.
        """
        asked, version = split_version(text)
        found = self.find(asked)
        return found, None if version is None else self.version(found, version)

    def version(self, name: str, text: str) -> Chosen:
        """Return the copy of a session that `text` means (without the @); GuardError (exit code 13) when there is none."""
        log = [incident for incident in self.incidents if incident.session == name]
        return find_version(text, name, self.store.versions(name), log, datetime.now(UTC))

    def newest(self, name: str) -> Chosen:
        """Return the newest copy in the store: the shadow, or of a session without one its newest version."""
        if not self.store.has_shadow(name) and (versions := self.store.versions(name)):
            return Chosen("version", versions[-1])
        return LATEST

    def read(self, name: str, chosen: Chosen) -> bytes:
        """Return the bytes of a copy; GuardError when it is not there (exit code 13) or damaged (1)."""
        try:
            if chosen.version:
                return self.store.read_version(chosen.version)
            if chosen.kind == "latest":
                return self.store.read_shadow(name)
            return files.read(self.live_path(name))[0]
        except FileNotFoundError:
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

    def copy(self, name: str, chosen: Chosen) -> Copy:
        """Return a copy, read; GuardError when it is not there (exit code 13), damaged or no session (1)."""
        try:
            return Copy(name, chosen, session.parse(self.read(name, chosen)))
        except Unreadable as error:
            raise GuardError(
                f"{name}@{chosen.name} is not a session: {error}",
                f"See what there is: hermesguard history {name}",
            ) from None

    def rows(self, name: str) -> int | None:
        """Return how many messages the newest copy has, by what was recorded with it; None when it cannot be read."""
        if note := self.store.shadow_note(name):
            return note[1]
        try:
            return len(session.parse(self.store.read_shadow(name)).rows)
        except (OSError, Unreadable):
            versions: list[Version] = self.store.versions(name)
            return versions[-1].rows if versions else None


def metadata(data: bytes) -> dict[str, Any]:
    """Return the top-level members that stand before the messages in the beginning of a session file.

    What is no session, or cut off, gives what could be read until there.
    """
    found: dict[str, Any] = {}
    try:
        for key, value in _members(data.decode("utf-8", "ignore")):
            found[key] = value
    except (ValueError, IndexError, RecursionError):
        pass
    return found


def _members(text: str) -> Iterator[tuple[str, Any]]:
    decode = JSONDecoder().raw_decode
    position = text.index("{") + 1
    while True:
        key, position = decode(text, _skip(text, position))
        if key == session.MESSAGES:
            return
        position = _skip(text, position)
        value, position = decode(text, _skip(text, position + 1))
        yield key, value
        position = _skip(text, position)
        if text[position] != ",":
            return
        position += 1


def _skip(text: str, position: int) -> int:
    while text[position] in " \t\n\r":
        position += 1
    return position


def title(head: dict[str, Any]) -> str:
    """Return the title in a session's metadata; empty when there is none."""
    value = head.get(session.TITLE)
    return value if isinstance(value, str) else ""
