"""Shadows and history: plain files that `cp`, `rsync`, `zcat` and a tired administrator can use without us.

    <store>/format                              the number of this layout
    <store>/shadows/<sid>.json                  newest good copy; its mtime is live's
    <store>/shadows/<sid>.tail                  what the newest saves changed of it, while they come fast (module tails)
    <store>/history/<sid>/<UTC time>-<rows>-<reason>-<digest>.json.gz
    <store>/incidents.jsonl, lock, control      (modules incidents, files, control)

Everything is written under another name first, synced, and renamed; a crash leaves the old state or the new one. Every file
carries its digest (a version in its name, a shadow in an extended attribute), so rot is found. Raises OSError as it comes:
what a full disk means is for the guard to decide.
"""

import contextlib
import gzip
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hermesguard import files, tails
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lock import Lock, lock_holder
from hermesguard.tails import Change

FORMAT = 1
DIGEST_CHARACTERS = 16
COMPRESSION_LEVEL = 3

_VERSION_NAME = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-(\d+)-([a-z]+)-([0-9a-f]{16})\.json\.gz")
_TIME_FORMAT = "%Y%m%dT%H%M%S.%fZ"


def digest(data: bytes) -> str:
    """Return the digest by which the store knows a content: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_CHARACTERS]


def version_name(time: datetime) -> str:
    """Return the name by which people call the version of that time."""
    return time.astimezone(UTC).strftime(_TIME_FORMAT)


@dataclass(frozen=True, slots=True)
class Shadow:
    """A shadow as the directory shows it, without opening it."""

    session: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Version:
    """An older copy of a session."""

    session: str
    path: Path
    time: datetime
    rows: int
    reason: str
    digest: str
    size_bytes: int

    @property
    def name(self) -> str:
        """The name to type after `SID@`: its time."""
        return self.path.name.split("-", 1)[0]


class Store:
    """The store at `root`. Reading needs no lock; whoever writes holds it (`lock`)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shadows_directory = root / "shadows"
        self.history_directory = root / "history"
        self.lock = Lock(root / "lock")

    # -- opening

    def create(self) -> None:
        """Make the store if it is not there; GuardError when it cannot be, or is of a newer hermesguard."""
        try:
            for directory in (self.root, self.shadows_directory, self.history_directory):
                if not directory.is_dir():
                    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                    files.sync_directory(directory.parent)
            if stat.S_IMODE(self.root.stat().st_mode) & 0o077:
                self.root.chmod(0o700)
            self._check_format()
            if not (self.root / "format").exists():
                files.write_durably(self.root / "format", f"{FORMAT}\n".encode())
        except OSError as error:
            raise GuardError(
                f"The store {self.root} cannot be made: {error.strerror}",
                "Make room or give the right to write there, or choose another place with --store DIR",
                ExitCode.FAILED,
            ) from None

    def open(self) -> None:
        """Check that there is a store that this hermesguard understands; GuardError when not."""
        if not self.shadows_directory.is_dir():
            raise GuardError(
                f"There is no store at {self.root}",
                "Start the guard (hermesguard run), or name the store with --store DIR",
                ExitCode.NO_STORE,
            )
        self._check_format()

    def _check_format(self) -> None:
        try:
            text = (self.root / "format").read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return
        if not text.isdecimal() or int(text) > FORMAT:
            raise GuardError(
                f"The store {self.root} has format {text[:20]!r}, this hermesguard knows {FORMAT}",
                "Install the newer hermesguard again; nothing was changed",
                ExitCode.REFUSED,
            )

    def take_lock(self) -> None:
        """Take the store's lock; GuardError that names the holder when another guard has it."""
        try:
            taken = self.lock.take()
        except OSError as error:
            raise GuardError(
                f"The store {self.root} cannot be locked: {error.strerror}", "Give the right to write there"
            ) from None
        if not taken:
            pid = lock_holder(self.lock.path)
            raise GuardError(
                f"The store {self.root} is guarded by another hermesguard"
                + (f" (process {pid})" if pid else ""),
                "Stop that one first, or choose another store with --store DIR",
                ExitCode.LOCKED,
            )

    # -- shadows

    def shadow_path(self, session: str) -> Path:
        """Return where the shadow of a session is, or would be."""
        return self.shadows_directory / f"{session}.json"

    def tail_path(self, session: str) -> Path:
        """Return where the tail of a session's shadow is, or would be (module tails)."""
        return self.shadows_directory / f"{session}{tails.SUFFIX}"

    def shadows(self) -> Iterator[Shadow]:
        """Yield all shadows, by stat alone."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.shadows_directory) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    found = entry.stat(follow_symlinks=False)
                    yield Shadow(entry.name.removesuffix(".json"), found.st_size, found.st_mtime_ns)

    def sessions(self) -> list[str]:
        """Return all sessions that the store knows, sorted: with a shadow, or with versions only."""
        known = {shadow.session for shadow in self.shadows()}
        with contextlib.suppress(FileNotFoundError), os.scandir(self.history_directory) as entries:
            known.update(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        return sorted(known)

    def has_shadow(self, session: str) -> bool:
        """Return whether the session has a shadow."""
        return self.shadow_path(session).is_file()

    def read_shadow(self, session: str) -> bytes:
        """Return the newest good copy, its tail applied; OSError when there is none, or when it is damaged."""
        data, stamp = files.read(self.shadow_path(session))
        if not self.tail_path(session).exists():
            return data
        return tails.apply(self.tail_path(session), data, digest(data), stamp.mtime_ns)

    def keep(self, session: str, data: bytes, mtime_ns: int, rows: int) -> None:
        """Make `data` the shadow; durable when this returns. `mtime_ns` is live's, so that a restart can compare by stat."""
        noted = f"{digest(data)} {rows}".encode()
        files.write_durably(self.shadow_path(session), data, mtime_ns, noted)
        self._drop_tail(session)

    def keep_change(self, session: str, change: Change) -> int:
        """Add what a save changed to the shadow's tail; durable when this returns. Returns the bytes written.

        The state before must be in the store: shadow and tail as `read_shadow` gives it.
        """
        path = self.tail_path(session)
        if not path.exists():
            data, stamp = files.read(self.shadow_path(session))
            noted = self.shadow_note(session)
            tails.begin(path, noted[0] if noted else digest(data), stamp.mtime_ns)
        return tails.append(path, change)

    def fold(self, session: str) -> None:
        """Make shadow and tail one plain copy again."""
        newest = tails.newest(self.tail_path(session))
        if newest:
            _, mtime_ns, rows, _ = newest
            self.keep(session, self.read_shadow(session), mtime_ns, rows)
        self._drop_tail(session)

    def tailed(self) -> list[str]:
        """Return the sessions whose shadow has a tail."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.shadows_directory) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(tails.SUFFIX)]
            return [name.removesuffix(tails.SUFFIX) for name in names if not name.startswith(".")]
        return []

    def _drop_tail(self, session: str) -> None:
        if files.remove(self.tail_path(session)):
            files.sync_directory(self.shadows_directory)

    def touch(self, session: str, mtime_ns: int) -> None:
        """Let the shadow say that live, with the same content, has a new mtime."""
        if self.tail_path(session).exists():
            self.fold(session)
        os.utime(self.shadow_path(session), ns=(mtime_ns, mtime_ns), follow_symlinks=False)

    def shadow_note(self, session: str) -> tuple[str, int] | None:
        """Return (digest, rows) as recorded when the shadow was kept; None where nothing could be recorded."""
        words = (files.note(self.shadow_path(session)) or b"").split()
        return (words[0].decode(), int(words[1])) if len(words) == 2 and words[1].isdigit() else None

    def forget(self, session: str) -> None:
        """Remove the shadow, its tail first; its history stays."""
        self._drop_tail(session)
        if files.remove(self.shadow_path(session)):
            files.sync_directory(self.shadows_directory)

    def rename(self, session: str, new_session: str) -> None:
        """Let shadow and history follow a session to its new id, unless that id has its own."""
        self.fold(session)
        if not self.has_shadow(new_session):
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.shadow_path(session), self.shadow_path(new_session))
                files.sync_directory(self.shadows_directory)
        else:
            self.forget(session)
        old, new = self.history_directory / session, self.history_directory / new_session
        if old.is_dir() and not new.exists():
            os.rename(old, new)
            files.sync_directory(self.history_directory)

    # -- history

    def versions(self, session: str) -> list[Version]:
        """Return the versions of a session, oldest first."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.history_directory / session) as entries:
            for entry in entries:
                if match := _VERSION_NAME.fullmatch(entry.name):
                    time = datetime.strptime(match[1], _TIME_FORMAT).replace(tzinfo=UTC)
                    size = entry.stat(follow_symlinks=False).st_size
                    found.append(
                        Version(session, Path(entry.path), time, int(match[2]), match[3], match[4], size)
                    )
        return sorted(found, key=lambda version: version.path.name)

    def add_version(self, session: str, data: bytes, rows: int, reason: str, time: datetime) -> Version:
        """Keep `data` in the history, once; durable when this returns. Returns the version that holds it."""
        directory = self.history_directory / session
        known = digest(data)
        for version in reversed(self.versions(session)):
            if version.digest == known:
                return version
        if not directory.is_dir():
            directory.mkdir(mode=0o700)
            files.sync_directory(self.history_directory)
        name = f"{version_name(time)}-{rows}-{reason}-{known}.json.gz"
        packed = gzip.compress(data, COMPRESSION_LEVEL, mtime=0)
        files.write_durably(directory / name, packed)
        return Version(session, directory / name, time, rows, reason, known, len(packed))

    def read_version(self, version: Version) -> bytes:
        """Return a version's content; OSError when it cannot be read or is not what was kept (bit rot)."""
        try:
            data = gzip.decompress(files.read(version.path)[0])
        except (gzip.BadGzipFile, EOFError, ValueError) as error:
            raise OSError(f"{version.path.name} is damaged: {error}") from None
        except Exception as error:  # zlib.error has no common ancestor with the others
            if isinstance(error, OSError):
                raise
            raise OSError(f"{version.path.name} is damaged: {error}") from None
        if digest(data) != version.digest:
            raise OSError(f"{version.path.name} is damaged: its content has another digest")
        return data

    def remove_version(self, version: Version) -> None:
        """Remove a version, and the session's history directory with its last one."""
        files.remove(version.path)
        with contextlib.suppress(OSError):
            version.path.parent.rmdir()

    def purge(self, session: str) -> tuple[int, int]:
        """Remove shadow and history of a session; return (files, bytes) that are gone."""
        count = size_bytes = 0
        paths = [self.tail_path(session), self.shadow_path(session)]
        with contextlib.suppress(FileNotFoundError):
            paths += list((self.history_directory / session).iterdir())
        for path in paths:
            if found := files.stamp(path):
                size_bytes += found.size_bytes
                count += files.remove(path)
        with contextlib.suppress(OSError):
            (self.history_directory / session).rmdir()
        files.sync_directory(self.shadows_directory)
        files.sync_directory(self.history_directory)
        return count, size_bytes

    def size_bytes(self) -> int:
        """Return the sum of the sizes of all files in the store; a person waits for it, so it opens none."""
        total = 0
        directories = [str(self.root)]
        while directories:
            with contextlib.suppress(FileNotFoundError), os.scandir(directories.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
                    else:
                        with contextlib.suppress(FileNotFoundError):
                            total += entry.stat(follow_symlinks=False).st_size
        return total
