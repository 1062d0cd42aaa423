"""What the sessions directory says beside the sessions themselves: the application's index and its tombstones."""

import os
import re
import stat
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Set
from pathlib import Path
from typing import NamedTuple

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.webui import header, session
from hermesguard.webui.lists.index import INDEX, Index
from hermesguard.webui.lists.tombstones import TOMBSTONES, Tombstones
from hermesguard.webui.session import Document, Unreadable, is_session_id, session_id

BACKUP_SUFFIX = ".json.bak"
ENTRIES_AT_ONCE = 512

# What the guard itself writes here, for an instant; a name that the application neither reads nor removes.
_STAGED_PREFIX = ".hermesguard-"
_STAGED_SUFFIX = ".repair"
_STANDBY_SUFFIX = ".standby"
_STAGED_NAME = re.compile(r"\.hermesguard-([0-9A-Za-z_-]+)\.[0-9]{1,9}(?:\.displaced)?\.repair")


def staged(directory: Path) -> Iterator[tuple[Path, str]]:
    """Yield (path, stem of the repaired file) of what a crash left behind in the middle of a repair, oldest first."""
    for name in sorted(filter(is_staged, os.listdir(directory))):
        yield directory / name, name.removeprefix(_STAGED_PREFIX).split(".", 1)[0]


def is_staged(name: str) -> bool:
    """Return whether a name is that of something that `stage` made for a session, or what it was exchanged for."""
    if not name.startswith(_STAGED_PREFIX):
        return False
    match = _STAGED_NAME.fullmatch(name)
    return match is not None and is_session_id(match[1])


def standby_name(path: Path) -> Path:
    """Return the name of the standby file for a file (module standby)."""
    return path.with_name(f"{_STAGED_PREFIX}{path.stem}{_STANDBY_SUFFIX}")


def standby_for(name: str) -> str | None:
    """Return the stem of the file that a name is the standby file for; None when it is no standby file's."""
    if name.startswith(_STAGED_PREFIX) and name.endswith(_STANDBY_SUFFIX):
        stem = name.removeprefix(_STAGED_PREFIX).removesuffix(_STANDBY_SUFFIX)
        return stem if is_session_id(stem) else None
    return None


def staged_name(path: Path, number: int, kind: str = "") -> Path:
    """Return the staged name of that number for a file; `kind` distinguishes what stands there."""
    return path.with_name(f"{_STAGED_PREFIX}{path.stem}.{number}{kind}{_STAGED_SUFFIX}")


class DirectoryState(NamedTuple):
    """Which directory it is, and when names in it last came or went."""

    device: int
    inode: int
    mtime_ns: int

    @classmethod
    def of(cls, directory: Path) -> "DirectoryState":
        """Return the state of a directory now. Raises OSError."""
        found = os.stat(directory)
        return cls(found.st_dev, found.st_ino, files.kept_ns(found.st_mtime_ns))


class Listing(NamedTuple):
    """One look at the whole directory."""

    changed: list[str]
    """Sessions whose file is not as it was, or was not known; of a look at names alone, those that were not known."""
    gone: Set[str]
    """Sessions that were known and have no file."""
    backups: Set[str]
    """Sessions of which the application has a `.json.bak`."""
    has_leftovers: bool
    """Something of an interrupted repair is there."""
    standby: Set[str]
    """Sessions beside which a standby file stands (module standby)."""
    is_another: bool
    """Another directory has taken the place of the one before, so that nothing can be said of what is not in it."""


class Release(NamedTuple):
    """What the application does at a deletion, as far as the keys of its saves show."""

    leaves_tombstones: bool = False
    """Of every session but those of messengers (v0.51.850 and later; the key that shows it came with v0.51.875)."""
    unlinks_index: bool = True
    """The whole index goes, not the entry alone (before v0.51.139)."""

    @classmethod
    def with_keys(cls, keys: Collection[str]) -> "Release":
        """Return what a release does whose saves have these keys."""
        return cls(session.CLEAR_GENERATION in keys, session.MESSAGE_COUNT not in keys)


class SessionsDirectory:
    """The directory at `path`; only reads, but for removing an index that is wrong."""

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.prefix = os.path.join(path, "")
        """A Path for each of 10,000 sessions takes as long as looking at all of them."""
        self.index = Index(path / INDEX, monotonic)
        self.tombstones = Tombstones(path / TOMBSTONES)

    def file(self, name: str) -> Path:
        """Return the path of a session's file."""
        return self.path / f"{name}.json"

    def file_name(self, name: str) -> str:
        """Return that path as a string: at each save, a Path takes as long as opening the file."""
        return f"{self.prefix}{name}.json"

    def backup(self, name: str) -> Path:
        """Return the path of the application's own copy of a session."""
        return self.path / f"{name}{BACKUP_SUFFIX}"

    def state(self) -> DirectoryState:
        """Return which directory it is, and when names in it last came or went. Raises OSError."""
        return DirectoryState.of(self.path)

    def states(self) -> dict[str, tuple[int, int]]:
        """Return (size in bytes, mtime_ns) of each session's file. Raises OSError when the directory cannot be read."""
        found: dict[str, tuple[int, int]] = {}

        def note(name: str, size_bytes: int, mtime_ns: int) -> bool:
            found[name] = (size_bytes, mtime_ns)
            return True

        for _ in self.look((), note):
            pass
        return found

    def look(
        self, known: Collection[str], is_as_seen: Callable[[str, int, int], bool] | None
    ) -> Generator[None, None, Listing]:
        """Return what is there now, yielding now and then for what is more urgent; what changes meanwhile is in it or not.

        `known` are the sessions that were there. `is_as_seen` is asked of each session's file, with its size in bytes and
        its mtime_ns; without it, names alone are looked at. Raises OSError when the directory cannot be read. Of a file that
        is as it was nothing is kept, so that a directory of any size is looked at in little memory.
        """
        gone = set(known)
        changed: list[str] = []
        backups = set()
        standby = set()
        has_leftovers = False
        with os.scandir(self.path) as entries:
            for number, entry in enumerate(entries, 1):
                name = entry.name
                if number % ENTRIES_AT_ONCE == 0:
                    yield
                if name.endswith(".json"):
                    if not (session := session_id(name)):
                        continue
                    if is_as_seen is not None:
                        try:
                            found = entry.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue
                        if not stat.S_ISREG(found.st_mode):
                            continue
                        if not is_as_seen(session, found.st_size, found.st_mtime_ns):
                            changed.append(session)
                    elif session not in gone:
                        changed.append(session)
                    gone.discard(session)
                elif name.endswith(BACKUP_SUFFIX) and (session := session_id(name.removesuffix(".bak"))):
                    backups.add(session)
                elif is_staged(name):
                    has_leftovers = True
                elif session := standby_for(name):
                    standby.add(session)
        is_another = self.index.is_elsewhere()
        self.index.note(read=True)
        return Listing(changed, gone, backups, has_leftovers, standby, is_another)

    def is_as(self, name: str, is_as_seen: Callable[[str, int, int], bool]) -> bool:
        """Return whether a session's file is there, and is as `is_as_seen` says."""
        try:
            found = os.lstat(f"{self.prefix}{name}.json")
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and is_as_seen(name, found.st_size, found.st_mtime_ns)

    def has_tombstone(self, name: str) -> bool:
        """Return whether the application noted that a user deleted the session; OSError when that cannot be read."""
        return name in self.tombstones

    def correct_index(self, name: str, messages: int) -> bool:
        """Remove the index when its entry for the session has another count; return whether it did."""
        return self.index.correct(name, messages)

    def release_of(self, name: str) -> Release:
        """Return what the release does that wrote a session's file. Raises OSError when it cannot be read."""
        return Release.with_keys(
            header.read(self.file(name), session.MESSAGE_COUNT, session.CLEAR_GENERATION)
        )

    def successor(self, gone: Document, other: str, limit_bytes: int | None = None) -> Document | None:
        """Return another session if the application made it of the one that is gone; None if not, or if it cannot be read.

        It has the new id inside; a copy that a user made has not.
        """
        path = self.file(other)
        wanted = {session.CREATED: gone.get(session.CREATED), session.SESSION_ID: other}
        try:
            if not gone.messages or header.read(path, *wanted) != wanted:
                return None
            return session.parse(files.read(path, limit_bytes)[0])
        except (OSError, Unreadable):
            return None

    def like(self, sessions: Iterable[str]) -> Stamp | None:
        """Return a stamp whose owner, group and mode fit a file of the application.

        Those of the first of `sessions` that is there; without one, the directory's, as far as they suit a file.
        """
        for name in sessions:
            if found := files.stamp(self.file(name)):
                return found
        try:
            directory = Stamp.of(self.path.stat())
        except OSError:
            return None
        return directory._replace(mode=directory.mode & 0o666)

    def is_lost(self) -> str:
        """Return in words whether the directory itself is gone or empty, so that nothing can be said of a session; else "".

        Raises OSError when it cannot be read now.
        """
        try:
            with os.scandir(self.path) as entries:
                names = [entry.name for entry in entries if entry.name.endswith(".json")]
        except (FileNotFoundError, NotADirectoryError):
            return "The directory itself is gone"
        is_empty = INDEX not in names and not any(map(session_id, names))
        return "The directory has neither sessions nor an index" if is_empty else ""


def signature(stamp: Stamp) -> tuple[int, int]:
    """Return what a listing shows of a file with this stamp."""
    return stamp.size_bytes, stamp.mtime_ns
