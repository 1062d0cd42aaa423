"""Words of a conversation, looked for in live files, shadows and versions, by their bytes: nothing is parsed that does not fit.

A session is looked through from its newest copy to its oldest, and no further than to the first copy that has the phrase.
Live files that are as their shadow are not opened, and a content that is kept twice is read once. The sessions are shared
out among processes, one for each processor; each holds one file at a time.
"""

import json
import marshal
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from hermesguard import files
from hermesguard.lookup.library import Library
from hermesguard.lookup.overview import version_names
from hermesguard.lookup.selectors import LATEST, LIVE, Chosen
from hermesguard.webui.session import Document, Message

PHRASE: Final = 0
WORDS: Final = 1
_LEAST_SHARE: Final = 500
"""So many sessions are looked through sooner than a process is made."""
_MOST_PROCESSES: Final = 8
_GZIP_HEADER_BYTES: Final = 10
_LARGEST_VERSION_BYTES: Final = 1024 * 1024 * 1024
_MOST_AT_ONCE_BYTES: Final = 64 * 1024
_SPACE: Final = rb"(?:\\[nrt]|\s)+"
_EXCERPT_CHARACTERS: Final = 60
Source = Literal["live", "latest", "version"]


class Hit(NamedTuple):
    """The newest copy of a session that has the words; `rank` is PHRASE or WORDS, `version` the file of a version."""

    rank: int
    session: str
    source: Source
    version: str = ""


class Passage(NamedTuple):
    """Where the words stand: the number of the message, 0 for the title or what is no message; who; a piece of the text."""

    number: int
    role: str
    text: str


class Query:
    """What is looked for: words, in one run if possible, whatever their case and the white space between them."""

    def __init__(self, text: str) -> None:
        self.words = text.casefold().split()
        self._is_ascii = text.isascii()
        self._needles = [_needles(word) for word in self.words]
        self._phrase = re.compile(
            _SPACE.join(b"(?:" + b"|".join(map(re.escape, it)) + b")" for it in self._needles)
        )

    def rank(self, data: bytes) -> int | None:
        """Return how well the bytes of a session file fit; None when a word is missing."""
        if self._is_ascii:
            folded = data.lower()
        else:
            folded = data.decode("utf-8", "replace").casefold().encode("utf-8", "replace")
        for needles in self._needles:
            if needles[0] not in folded and not (len(needles) > 1 and needles[1] in folded):
                return None
        return PHRASE if len(self.words) == 1 or self._phrase.search(folded) else WORDS

    def passage(self, document: Document, rank: int) -> Passage | None:
        """Return where the words stand in a session; None when they stand in nothing that people read."""
        if self._fits(document.title, rank):
            return Passage(0, "", "")
        for fits in (self._fits, self._fits_any):
            for number, message in enumerate(document.messages, 1):
                if fits(message.words, rank):
                    return Passage(number, message.role, self._excerpt(message.words))
        for number, message in enumerate(document.messages, 1):
            if self.rank(message.text.encode("utf-8", "replace")) is not None:
                return Passage(number, message.role, self._excerpt(_flat(message)))
        if self._fits(document.prompt, rank):
            return Passage(0, "unsent", self._excerpt(document.prompt))
        return None

    def passage_of_torn(self, title: str, data: bytes) -> Passage | None:
        """As `passage`, of a file that breaks off: what stands before its messages is not looked through, but for the title."""
        said = data.partition(b'"messages"')[2]
        if self._fits(title, WORDS) or (said and self.rank(said) is not None):
            return Passage(0, "", "")
        return None

    def _fits(self, text: str, rank: int) -> bool:
        folded = " ".join(text.casefold().split())
        return " ".join(self.words) in folded or (
            rank == WORDS and all(word in folded for word in self.words)
        )

    def _fits_any(self, text: str, rank: int) -> bool:
        folded = text.casefold()
        return rank == WORDS and any(word in folded for word in self.words)

    def _excerpt(self, text: str) -> str:
        flat = " ".join(text.split())
        folded = flat.casefold()
        start = folded.find(" ".join(self.words))
        if start < 0:
            start = max(0, min((at for word in self.words if (at := folded.find(word)) >= 0), default=0))
        begin = max(0, start - _EXCERPT_CHARACTERS // 3)
        end = begin + 2 * _EXCERPT_CHARACTERS
        return ("…" if begin else "") + flat[begin:end] + ("…" if end < len(flat) else "")


def _needles(word: str) -> list[bytes]:
    """Return a word as a session file may have it: as it is, or with escapes."""
    forms = (json.dumps(word, ensure_ascii=False), json.dumps(word))
    return list(dict.fromkeys(form[1:-1].encode("utf-8", "replace") for form in forms))


def _flat(message: Message) -> str:
    return message.text.replace("\\n", " ")


def search(library: Library, query: Query) -> list[Hit]:
    """Return the sessions that have the words, in no order."""
    names = library.sessions
    look = looking(library, query)
    count = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES, 1 + len(names) // _LEAST_SHARE)
    return look(names) if count == 1 else _shared_out(look, names, count)


def looking(library: Library, query: Query) -> Callable[[Sequence[str]], list[Hit]]:
    """Return what looks for the words in the sessions that it is given, within this process."""
    shadows = {shadow.session: (shadow.size_bytes, shadow.mtime_ns) for shadow in library.store.shadows()}
    deltas = frozenset(library.store.with_delta_logs())
    live = library.live or frozenset()

    def look(some: Sequence[str]) -> list[Hit]:
        found = (
            _look(library, query, name, shadows.get(name), name in live, name in deltas) for name in some
        )
        return [hit for hit in found if hit]

    return look


def _shared_out(look: Callable[[Sequence[str]], list[Hit]], names: Sequence[str], count: int) -> list[Hit]:
    """Return what `look` finds in all `names`, each of `count` processes having a part of them."""
    children: list[tuple[int, int]] = []
    for number in range(1, count):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(reader)
                with os.fdopen(writer, "wb") as file:
                    marshal.dump([tuple(hit) for hit in look(names[number::count])], file)
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        children.append((pid, reader))
    found = look(names[0::count])
    for number, (pid, reader) in enumerate(children, 1):
        with os.fdopen(reader, "rb") as file:
            data = file.read()
        if os.waitpid(pid, 0)[1] == 0:
            found += [Hit(*hit) for hit in marshal.loads(data)]
        else:
            found += look(names[number::count])
    return found


def _look(
    library: Library,
    query: Query,
    name: str,
    shadow: tuple[int, int] | None,
    is_live: bool,
    has_delta: bool,
) -> Hit | None:
    best: Hit | None = None
    for source, version, data in _copies(library, name, shadow, is_live, has_delta):
        rank = query.rank(data)
        if rank == PHRASE:
            return Hit(PHRASE, name, source, version)
        if rank is not None and best is None:
            best = Hit(rank, name, source, version)
    if (
        best is None
        and not is_live
        and (rank := query.rank(json.dumps(library.title(name)).encode())) is not None
    ):
        return Hit(rank, name, "live")
    return best


def _copies(
    library: Library, name: str, shadow: tuple[int, int] | None, is_live: bool, has_delta: bool
) -> Iterator[tuple[Source, str, bytes]]:
    """Yield the copies of a session, the live file first, then the newest; what cannot be read is left out."""
    directory = str(library.settings.sessions)
    stamp = _stamp(f"{directory}/{name}.json") if is_live else None
    is_same = stamp is not None and stamp == shadow and not has_delta
    if is_live and not is_same and (data := _read(f"{directory}/{name}.json")):
        yield "live", "", data
    if shadow:
        data = (
            _newest(library, name) if has_delta else _read(f"{library.store.shadows_directory}/{name}.json")
        )
        if data:
            yield ("live" if is_same else "latest"), "", data
    seen = set()
    folder = f"{library.store.history_directory}/{name}"
    for version in reversed(version_names(library, name)):
        digest = version[-24:-8]
        if digest in seen:
            continue
        seen.add(digest)
        if packed := _read(f"{folder}/{version}"):
            try:
                yield "version", version, _unpacked(packed)
            except zlib.error:
                continue


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


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        # Most files are small. To have 256 KiB made ready for each took most of the time.
        data = os.read(descriptor, _MOST_AT_ONCE_BYTES)
        return data if len(data) < _MOST_AT_ONCE_BYTES else files.read(Path(path))[0]
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
