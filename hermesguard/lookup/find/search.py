"""Words of a conversation, looked for in live files, shadows and versions, by their bytes: nothing is parsed that does not fit.

A session is looked through from its newest copy to its oldest, and no further than to the first copy that has the phrase.
Live files that are as their shadow are not opened, and a content that is kept twice is read once. In a large store, versions
that only repeat what a newer copy says are read once and then no more (module repeats). The sessions are shared out among
processes, one for each processor (module processes); each holds three files at a time.
"""

import json
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from hermesguard import files
from hermesguard.config.memory import session_limit_bytes
from hermesguard.lookup.find.processes import share_out
from hermesguard.lookup.find.query import PHRASE, Query
from hermesguard.lookup.find.repeats import Repeats, State, adds_text
from hermesguard.lookup.library import Library
from hermesguard.lookup.overview import names_in
from hermesguard.lookup.selectors import LATEST, LIVE, Chosen

_LEAST_NOTED: Final = 500
"""So many sessions are looked through quickly enough without notes of the last time."""
_GZIP_HEADER_BYTES: Final = 10
_LARGEST_VERSION_BYTES: Final = 1024 * 1024 * 1024
_MOST_AT_ONCE_BYTES: Final = 64 * 1024
_LARGEST_NUMBER: Final = 2**63 - 1
_READ_ONLY: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
Source = Literal["live", "latest", "version"]


class Hit(NamedTuple):
    """The newest copy of a session that has the words; `rank` is PHRASE or WORDS, `version` the file of a version."""

    rank: int
    session: str
    source: Source
    version: str = ""


def search(library: Library, query: Query) -> list[Hit]:
    """Return the sessions that have the words, in no order."""
    if len(library.libraries) > 1:
        return [
            hit._replace(session=library.name_in(one, hit.session))
            for one in library.libraries
            for hit in search(one, query)
        ]
    names = library.sessions
    repeats = Repeats(library.store.root) if len(names) >= _LEAST_NOTED else None
    look = _Look(library, query, repeats)
    hits: list[Hit] = []
    notes: dict[str, list[Any]] = {}
    for found, noted in share_out(names, look.through):
        hits += [Hit(*hit) for hit in found]
        notes |= noted
    if repeats:
        repeats.write(notes, frozenset(names))
    return hits


def looking(library: Library, query: Query) -> Callable[[Sequence[str]], list[Hit]]:
    """Return what looks for the words in the sessions that it is given, within this process."""
    if len(library.libraries) > 1:
        looks = [(one, looking(one, query)) for one in library.libraries]

        def look_in_each(some: Sequence[str]) -> list[Hit]:
            places = [library.place(name) for name in some]
            return [
                hit._replace(session=library.name_in(one, hit.session))
                for one, look_there in looks
                for hit in look_there([name for owner, name in places if owner is one])
            ]

        return look_in_each
    look = _Look(library, query, None)
    return lambda some: [Hit(*hit) for hit in look.through(some)[0]]


def elsewhere(library: Library, query: Query) -> Callable[[Hit], list[Hit]]:
    """Return what finds the other copies of a hit's session that have the words, the best first, of equal ones the newest."""
    looks: dict[Library, _Look] = {}

    def look(hit: Hit) -> list[Hit]:
        one, name = library.place(hit.session)
        if one not in looks:
            looks[one] = _Look(one, query, None)
        found = (other._replace(session=hit.session) for other in looks[one].every(name))
        return sorted((other for other in found if other != hit), key=lambda other: other.rank)

    return look


class _Look:
    """One search of the sessions of one part of a store."""

    def __init__(self, library: Library, query: Query, repeats: Repeats | None) -> None:
        self._notes: dict[str, list[Any]] = {}
        self._library, self._query, self._repeats = library, query, repeats
        self._deltas = frozenset(library.store.with_delta_logs())
        self._live = library.live or frozenset()
        self._live_directory = str(library.settings.sessions)
        self._shadow_directory = str(library.store.shadows_directory)
        self._history = str(library.store.history_directory)

    def through(self, names: Sequence[str]) -> tuple[list[tuple[Any, ...]], dict[str, list[Any]]]:
        """Look through these sessions; return the hits, and what is to be noted of each."""
        self._notes = {}
        return [tuple(hit) for name in names if (hit := self._session(name))], self._notes

    def every(self, name: str) -> Iterator[Hit]:
        """Yield each copy of a session that has the words, the newest first."""
        for source, version, data in self._copies(name):
            rank = self._query.rank(data)
            if rank is not None:
                yield Hit(rank, name, source, version)

    def _session(self, name: str) -> Hit | None:
        best: Hit | None = None
        for source, version, data in self._copies(name):
            rank = self._query.rank(data)
            if rank == PHRASE:
                return Hit(PHRASE, name, source, version)
            if rank is not None and best is None:
                best = Hit(rank, name, source, version)
        if best is None and name not in self._live:
            rank = self._query.rank(json.dumps(self._library.title(name)).encode())
            if rank is not None:
                return Hit(rank, name, "live")
        return best

    def _copies(self, name: str) -> Iterator[tuple[Source, str, bytes]]:
        """Yield the copies of a session, the live file first, then the newest; what cannot be read is left out."""
        live_path = f"{self._live_directory}/{name}.json"
        shadow_path = f"{self._shadow_directory}/{name}.json"
        live = _stat(live_path) if name in self._live else None
        shadow = _stat(shadow_path)
        has_delta = name in self._deltas
        is_same = False
        newer: list[bytes] = []
        if live:
            is_same = shadow is not None and not has_delta and _looks_as(live, shadow)
            if not is_same and (data := _read(live_path)):
                newer.append(data)
                yield "live", "", data
        kept = b""
        if shadow and stat.S_ISREG(shadow.st_mode):
            kept = _newest(self._library, name) if has_delta else _read(shadow_path)
            if is_same and not kept:
                kept = _read(live_path)
        if kept:
            newer.append(kept)
            yield ("live" if is_same else "latest"), "", kept
        versions = names_in(f"{self._history}/{name}")
        state = None if has_delta or not self._repeats else self._state(name, live, shadow, versions)
        known = self._repeats.versions(name, state) if self._repeats and state else None
        if known is None:
            noted = self._library.store.shadow_note(name) if versions and kept and not has_delta else None
            yield from self._versions(name, versions, state, newer, noted[0] if noted else "")
            return
        for version in known:
            if data := self._unpack(name, version):
                yield "version", version, data

    def _versions(
        self, name: str, versions: list[str], state: State | None, newer: list[bytes], known_by: str
    ) -> Iterator[tuple[Source, str, bytes]]:
        """Yield these versions of a session, the newest first, no content twice, and none with the digest `known_by`.

        In a `state` that can be told from others, those that only repeat what is newer are left out; which others there are is
        noted at the end.
        """
        digests = {known_by}
        fresh: list[str] = []
        is_whole = True
        for version in reversed(versions):
            if (known_by := _digest_in(version)) in digests:
                continue
            data = self._unpack(name, version)
            if not data:
                is_whole = False
                continue
            digests.add(known_by)
            if state is None:
                yield "version", version, data
            elif all(adds_text(data, other) for other in newer):
                yield "version", version, data
                fresh.append(version)
                newer = [*newer[:1], data]
        if state is not None and is_whole:
            self._notes[name] = [state, fresh]

    def _state(
        self, name: str, live: os.stat_result | None, shadow: os.stat_result | None, versions: list[str]
    ) -> State | None:
        """Return what tells one state of a session's copies from another; None while it may change unnoticed."""
        directory = f"{self._history}/{name}"
        state: State = []
        for one in (live, shadow, _stat(directory)):
            state += (one.st_ino, one.st_ctime_ns) if one else (0, 0)
        # What is written over, as from a backup, has a new time; what comes or goes gives one to the directory.
        times = [one.st_ctime_ns for version in versions if (one := _stat(f"{directory}/{version}"))]
        changed_ns = max(state[1], state[3], state[5], *times)
        state.append(sum(times) & _LARGEST_NUMBER)
        return state if self._repeats and self._repeats.is_settled(changed_ns) else None

    def _unpack(self, name: str, version: str) -> bytes:
        """Return the content of a version; of one that cannot be read an empty one."""
        try:
            return _unpacked(_read(f"{self._history}/{name}/{version}"))
        except zlib.error:
            return b""


def _looks_as(live: os.stat_result, shadow: os.stat_result) -> bool:
    return live.st_mtime_ns == shadow.st_mtime_ns and live.st_size == shadow.st_size


def _digest_in(version: str) -> str:
    """Return the digest of a version's content, as its file's name has it."""
    return version[-24:-8]


def _unpacked(packed: bytes) -> bytes:
    """Return what a version holds, at most so much of it as may be held. Raises zlib.error.

    Its checksum is not asked for, where nothing but the plain header of gzip stands before it: that takes a sixth of the time,
    and whoever shows or restores the version asks for its digest.
    """
    if packed[3:4] == b"\0" and len(packed) > _GZIP_HEADER_BYTES:
        return zlib.decompressobj(-15).decompress(
            memoryview(packed)[_GZIP_HEADER_BYTES:], _LARGEST_VERSION_BYTES
        )
    return zlib.decompressobj(31).decompress(packed, _LARGEST_VERSION_BYTES)


def _newest(library: Library, name: str) -> bytes:
    try:
        return library.store.read_shadow(name)
    except OSError:
        return b""


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, _READ_ONLY)
    except OSError:
        return b""
    try:
        # Most files are small. To have 256 KiB made ready for each took most of the time.
        data = os.read(descriptor, _MOST_AT_ONCE_BYTES)
        return (
            data if len(data) < _MOST_AT_ONCE_BYTES else files.read(Path(path), session_limit_bytes(None))[0]
        )
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def chosen(library: Library, hit: Hit) -> Chosen:
    """Return the copy that a hit is in."""
    if hit.source == "version":
        versions = library.store.versions(hit.session)
        found = next((one for one in versions if one.path.name == hit.version), None)
        if found:
            return Chosen("version", found)
    return LIVE if hit.source == "live" else LATEST
