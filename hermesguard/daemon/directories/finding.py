"""Which sessions directories a guard is to guard, by its settings and what is there."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hermesguard.config.paths import found_sessions, may_be_sessions
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.store.directories import parts
from hermesguard.store.place import Place
from hermesguard.store.store import Store
from hermesguard.watcher.mounts import hears_every_change, type_by_name


def first_directory(settings: Settings) -> Settings:
    """Return the settings with the directory that the top of the store is for as the first one, if it is one of those guarded.

    Whatever the rules name first now: a store goes on with the directory that it began with.
    """
    noted = Place(settings.store).guarded()
    if noted is None or noted == settings.sessions:
        return settings
    if settings.is_auto:
        is_one = noted.is_dir() or may_be_sessions(noted, settings.environment)
    else:
        is_one = len(settings.directories) > 1 and noted in settings.directories
    return replace(settings, sessions=noted) if is_one else settings


class Parts:
    """The parts of a store, its own first: read when they are asked for, and anew after `forget`."""

    def __init__(self, store: Path, first: Path) -> None:
        """`first` is the directory that the top of the store is for."""
        self._store, self._first = store, first
        self._known: list[parts.Part] = []

    def all(self) -> list[parts.Part]:
        """Return them; there is at least one."""
        self._known = self._known or parts.parts_of(self._store, self._first)
        return self._known

    def forget(self) -> None:
        """Let them be read anew: there may be others now."""
        self._known = []


def wanted(settings: Settings, found_parts: Parts, known: frozenset[Path]) -> list[Path]:
    """Return the directories that are to be guarded, as far as that can be known now; `known` ones are not touched."""
    if not settings.is_auto:
        return list(settings.directories)
    environment = settings.environment
    found = found_sessions(environment, known)
    default = found[0]
    if default not in known and identity(default) is None:
        del found[0]
    for part in found_parts.all()[1:]:
        if part.sessions not in known and (
            os.path.isdir(part.sessions)
            or (may_be_sessions(part.sessions, environment) and Store(part.root).sessions())
        ):
            found.append(part.sessions)
    return list(dict.fromkeys(found))


def orphan(known: list[parts.Part], sessions: Path, environment: Mapping[str, str]) -> parts.Part | None:
    """Return the part of the same name whose directory is no more, when the home was moved; `known` begins with the first."""
    name = parts.name_for(sessions)
    for part in known[1:]:
        is_gone = not os.path.lexists(part.sessions)
        if part.name == name and is_gone and not may_be_sessions(part.sessions, environment):
            return part
    return None


def identity(sessions: Path) -> tuple[int, int] | None:
    """Return device and inode of a directory; None when it is none, or may not be seen."""
    try:
        found = os.stat(sessions)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def identity_by_name(sessions: Path) -> tuple[int, int] | None:
    """As `identity`; None too of a directory that may not answer, which is not touched."""
    return identity(sessions) if hears_every_change(type_by_name(sessions)) else None


class Owners:
    """The sessions directories that other guards have, each with its store; asked for one directory after the other."""

    def __init__(self, others: Mapping[Path, Path]) -> None:
        self._others = others
        self._stores = {found: store for other, store in others.items() if (found := _which(other))}

    def of(self, sessions: Path, itself: tuple[int, int] | None = None) -> Path | None:
        """Return the store of the guard that has a sessions directory, by whatever name; None when none has it.

        By its name alone where one of the two may not answer, for such a directory is not touched. `itself`: which directory
        it is, where that is known.
        """
        found = itself or _which(sessions)
        return self._others.get(sessions) or (self._stores.get(found) if found else None)


def _which(sessions: Path) -> tuple[int, int] | str | None:
    """Return which directory it is; of one that is not there its name without links; None when it may not answer."""
    is_near = hears_every_change(type_by_name(sessions))
    return (identity(sessions) or os.path.realpath(sessions)) if is_near else None


def broken_name(sessions: Path) -> GuardError:
    """Return the error that a store cannot note whose it is."""
    name = str(sessions).replace("\n", "\\n")
    return GuardError(f"The name of {name} has a line break in it", "Rename it, without one")


def none_of_that_name(name: str) -> GuardError:
    """Return the error that a guard has no such directory."""
    return GuardError(
        f"The running guard has no directory {name}",
        "See what it has: hermesguard status",
        ExitCode.NOT_FOUND,
    )


def of_another(sessions: Path, store: Path) -> GuardError:
    """Return the error that a directory is guarded already."""
    return GuardError(
        f"{sessions} is guarded by another hermesguard already, with the store {store}",
        "Stop that one to have it guarded here; or name what is to be guarded here: `sessions` in the configuration",
    )
