"""Versions: what the name of an older copy says, and how its content is packed and proved."""

import contextlib
import errno
import os
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from hermesguard import files
from hermesguard.digests import sha256
from hermesguard.pieces import Content, Pieces, pieces_of
from hermesguard.store import earlier
from hermesguard.store.place import Place
from hermesguard.webui.session import LONG_BYTES, is_session_id

DIGEST_CHARACTERS = 16
COMPRESSION_LEVEL = 3
CLEARED = "clear"
DELETED = "deleted"
SALVAGED = "salvaged"
"""Reason of a version that was put together from other traces (package salvage); the application never wrote it."""
LEFT_AWAY = "gone"
"""The reason of a version that holds a session of which nobody knows whether it was deleted or lost."""
WITHDRAWN = frozenset({CLEARED, DELETED})
"""Reasons of versions that a user took away on purpose: they go sooner than the rest."""
LONG_COMPRESSION_LEVEL = 1
"""Of a long file: half the time, and a quarter more room."""
_GZIP = zlib.MAX_WBITS | 16
# Deflate makes nothing shorter than this (https://zlib.net/zlib_tech.html).
_MOST_TIMES = 1032
_PIECE_BYTES = 1024 * 1024
_SURELY_FITS_BYTES = 64 * 1024 * 1024
"""What cannot be longer when it is unpacked need not be counted first."""
_VERSION_NAME = re.compile(
    r"([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)-([0-9]{1,12})-([a-z]{1,32})-([0-9a-f]{16})\.json\.gz"
)
_TIME_FORMAT = "%Y%m%dT%H%M%S.%fZ"


def digest(data: Content) -> str:
    """Return the digest by which the store knows a content: the first 16 hex digits of its SHA-256."""
    whole = data.sha256 if isinstance(data, Pieces) else sha256(data).hexdigest()
    return whole[:DIGEST_CHARACTERS]


def version_name(time: datetime) -> str:
    """Return the name by which people call the version of that time."""
    return time.astimezone(UTC).strftime(_TIME_FORMAT)


class Version(NamedTuple):
    """An older copy of a session."""

    session: str
    path: Path
    time: datetime
    messages: int
    reason: str
    digest: str
    size_bytes: int

    @property
    def name(self) -> str:
        """The name to type after `SID@`: its time."""
        return self.path.name.split("-", 1)[0]


def version_of(session: str, entry: os.DirEntry[str]) -> Version | None:
    """Return the version that a directory entry of a session's history is, None when it is none; OSError when it is gone."""
    match = _VERSION_NAME.fullmatch(entry.name)
    if match is None:
        return None
    try:
        time = datetime.fromisoformat(match[1])
    except ValueError:
        return None
    size_bytes = entry.stat(follow_symlinks=False).st_size
    return Version(
        session,
        Path(entry.path),
        time,
        int(match[2]),
        earlier.REASONS.get(match[3], match[3]),
        match[4],
        size_bytes,
    )


def packed(data: Content) -> Iterator[bytes]:
    """Yield the content of a version's file, the same for the same data."""
    is_long = pieces_of(data).size_bytes > LONG_BYTES
    packing = zlib.compressobj(LONG_COMPRESSION_LEVEL if is_long else COMPRESSION_LEVEL, wbits=_GZIP)
    for piece in pieces_of(data):
        for begin in range(0, len(piece), _PIECE_BYTES):
            if found := packing.compress(piece[begin : begin + _PIECE_BYTES]):
                yield found
    yield packing.flush()


def unpacked(version: Version, limit_bytes: int | None = None) -> bytes:
    """Return a version's content; `files.Damaged` when it is not what was kept, OSError when it cannot be read.

    `files.TooLarge` when it has more than `limit_bytes`.
    """
    try:
        packed_data, stamp = files.read(version.path, limit_bytes)
        # All of it into memory of the size that it says it has: otherwise it is there twice, in pieces and put together.
        size_bytes = int.from_bytes(packed_data[-4:], "little")
        if limit_bytes is not None and size_bytes > limit_bytes:
            raise files.TooLarge(version.path, stamp, limit_bytes)
        if _MOST_TIMES * len(packed_data) > _SURELY_FITS_BYTES:
            _require_size(packed_data, size_bytes, version.path.name)
        data = zlib.decompress(packed_data, _GZIP, min(size_bytes, _MOST_TIMES * len(packed_data)) or 1)
    except zlib.error as error:
        raise files.Damaged(f"{version.path.name} is damaged: {error}") from None
    except OSError as error:
        if error.errno == errno.EIO:
            raise files.Damaged(errno.EIO, f"{version.path.name}: the disk does not give it back") from None
        raise
    if digest(data) != version.digest:
        raise files.Damaged(f"{version.path.name} is damaged: its content has another digest")
    return data


def _require_size(packed_data: bytes, size_bytes: int, name: str) -> None:
    """Raise `files.Damaged` when more is packed than so many bytes: it is counted before it is all in memory."""
    unpack, rest, found_bytes = zlib.decompressobj(wbits=_GZIP), packed_data, 0
    while not unpack.eof and found_bytes <= size_bytes:
        piece = unpack.decompress(rest, _PIECE_BYTES)
        found_bytes += len(piece)
        rest = unpack.unconsumed_tail
        if not piece and not rest:
            break
    if found_bytes > size_bytes:
        raise files.Damaged(f"{name} is damaged: it holds more than it says")


def rot_of(path: Path, known: str) -> Iterator[None]:
    """Read a shadow or a version in little pieces, yielding between them; `files.Damaged` when its digest is another.

    Raises OSError when it cannot be read.
    """
    hashed = sha256()
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if path.suffix == ".gz" else None
    try:
        for piece in files.pieces(path):
            while piece:
                hashed.update(unpack.decompress(piece, _PIECE_BYTES) if unpack else piece)
                piece = unpack.unconsumed_tail if unpack else b""
                yield
    except zlib.error as error:
        raise files.Damaged(f"{path.name} is damaged: {error}") from None
    except OSError as error:
        if error.errno == errno.EIO:
            raise files.Damaged(f"{path.name}: the disk does not give it back") from None
        raise
    if hashed.hexdigest()[:DIGEST_CHARACTERS] != known:
        raise files.Damaged(f"{path.name} is damaged: its content has another digest")


class History:
    """The older copies of all sessions, below `history_directory`."""

    history_directory: Path
    place: Place
    limit_bytes: int | None = None
    """No version that is larger is read into memory: `files.TooLarge`."""
    set_aside: Callable[[Path, str], None]

    def versions(self, session: str, ending: str = "") -> list[Version]:
        """Return the versions of a session whose files' names end so, oldest first."""
        found = []
        directory = self.history_directory / session
        if os.path.islink(directory):
            return []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.name.endswith(ending) and (version := version_of(session, entry)):
                        found.append(version)
        return sorted(found, key=lambda version: version.path.name)

    def history_of(self, session: str) -> Path:
        """Return the directory of a session's versions, for writing; what stands there and is none is set aside.

        Raises OSError when it is a link, or the store is gone.
        """
        self.place.check(self.history_directory)
        directory = self.history_directory / session
        if os.path.islink(directory):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(directory))
        if os.path.lexists(directory) and not directory.is_dir():
            self.set_aside(directory, "it is no directory")
        return directory

    def histories(self) -> list[str]:
        """Return the sessions that have a history, sorted."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.history_directory) as entries:
            return sorted(
                entry.name
                for entry in entries
                if is_session_id(entry.name) and entry.is_dir(follow_symlinks=False)
            )
        return []

    def add_version(self, session: str, data: Content, messages: int, reason: str, time: datetime) -> Version:
        """Keep `data` in the history, once; durable when this returns. Returns the version that holds it.

        What was taken away on purpose gets a name that says so, even when the content is there already (a hard link).
        """
        directory = self.history_of(session)
        known = digest(data)
        ending = f"-{known}.json.gz"
        twin = next(reversed(self.versions(session, ending)), None)
        if twin and (reason not in WITHDRAWN or twin.reason == reason):
            return twin
        path = directory / f"{version_name(time)}-{messages}-{reason}{ending}"
        if twin and files.link_durably(twin.path, path):
            return Version(session, path, time, messages, reason, known, twin.size_bytes)
        files.make_directory(directory)
        files.write_durably(path, packed(data))
        return Version(session, path, time, messages, reason, known, os.stat(path).st_size)

    def read_version(self, version: Version) -> bytes:
        """Return a version's content; `files.Damaged` when it is not what was kept, OSError when it cannot be read."""
        return unpacked(version, self.limit_bytes)

    def remove_leftovers(self, directory: Path) -> None:
        """Remove the temp files that a crash left in a directory of the store. Only for the holder of the lock."""
        for name in files.names(directory):
            if name.startswith(".") and name.endswith(".tmp"):
                files.remove(directory / name)

    def remove_version(self, version: Version) -> bool:
        """Remove a version, and the session's history directory with its last one; return whether it was there."""
        self.place.check(self.history_directory)
        was_there = files.remove(version.path)
        files.remove_directory(version.path.parent)
        return was_there
