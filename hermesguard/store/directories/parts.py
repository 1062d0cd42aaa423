"""The parts of a store for several sessions directories: the first directory's is the store itself, the others' lie in it.

    <store>/shadows, history, incidents.jsonl, ...            of the first directory, as in a store that is for one alone
    <store>/directories/<name>/shadows, history, ...          of each other one, laid out in the same way

So each part is a store: whatever reads a store reads a part. The numbers of incidents are unique in all parts together.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from hermesguard import files
from hermesguard.config.paths import PROFILES, found_sessions
from hermesguard.config.settings import Settings
from hermesguard.store.place import DIRECTORIES, Place, is_same_directory

FIRST_NAME: Final = "default"
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST: Final = 64


class Part(NamedTuple):
    """A part of a store: its name, where it is, and the sessions directory that it is for."""

    name: str
    root: Path
    sessions: Path


def parts_of(store: Path, first: Path) -> list[Part]:
    """Return the parts of a store whose own sessions directory is `first`, that one first, the others sorted by name."""
    others = sorted(_others(store))
    own = name_for(first, (part.name for part in others))
    return [Part(own, store, first), *others]


def meant(settings: Settings) -> list[Part]:
    """Return the parts of the store that settings are about: all of them, but for settings that name one directory."""
    if settings.profile or len(settings.directories) == 1:
        return [Part(settings.profile or name_for(settings.sessions), settings.store, settings.sessions)]
    return parts_of(settings.store, settings.sessions)


def planned(settings: Settings) -> list[Part]:
    """As `meant`, with the parts that are still to be made for directories that are there."""
    found = meant(settings)
    if settings.profile or len(settings.directories) == 1:
        return found
    for sessions in found_sessions(settings.environment) if settings.is_auto else settings.directories:
        if "\n" not in str(sessions) and sessions.is_dir() and part_for(found, sessions) is None:
            name = name_for(sessions, (part.name for part in found))
            found.append(Part(name, root_of(settings.store, name), sessions))
    return found


def part_settings(settings: Settings, part: Part) -> Settings:
    """Return the settings for one part of the store."""
    return replace(settings, store=part.root, sessions=part.sessions, profile=part.name)


def names(store: Path) -> list[str]:
    """Return the names of what stands among the further parts of a store, ours or not."""
    try:
        return os.listdir(store / DIRECTORIES)
    except OSError:
        return []


def _others(store: Path) -> Iterator[Part]:
    directories = store / DIRECTORIES
    for name in names(store):
        root = directories / name
        sessions = Place(root).noted()
        if sessions is not None and (root / "shadows").is_dir():
            yield Part(name, root, sessions)


def root_of(store: Path, name: str) -> Path:
    """Return where a further part of that name is, or would be."""
    return store / DIRECTORIES / name


def make_room(store: Path) -> None:
    """Make the directory for further parts. Raises OSError."""
    files.make_directory(store / DIRECTORIES)


def name_for(sessions: Path, taken: Iterable[str] = ()) -> str:
    """Return a name for the part of a sessions directory that no other has: that of its profile, else of its home."""
    state = sessions.parent if sessions.name == "sessions" else sessions
    home = state.parent if state.name == "webui" else state
    if home.parent.name == PROFILES:
        name = home.name
    else:
        name = FIRST_NAME if home.name == ".hermes" else home.name
    name = _STRANGE.sub("-", name).strip("-")[:_LONGEST] or "directory"
    others = set(taken)
    candidate, number = name, 1
    while candidate in others:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def part_for(parts: Iterable[Part], sessions: Path) -> Part | None:
    """Return the part that is for a sessions directory, None when there is none."""
    by_name = {part.sessions: part for part in parts}
    if sessions in by_name:  # no other needs to be looked at
        return by_name[sessions]
    return next((part for part in by_name.values() if is_same_directory(part.sessions, sessions)), None)
