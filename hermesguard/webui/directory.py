"""What the sessions directory says beside the sessions themselves: the application's index and its tombstones."""

import os
import re
import stat
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.webui.session import is_session_id, session_id

INDEX = "_index.json"
TOMBSTONES = "_deleted_webui_sessions.json"
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
    """Return the staged name of that number for a file; `kind` tells what stands there apart."""
    return path.with_name(f"{_STAGED_PREFIX}{path.stem}.{number}{kind}{_STAGED_SUFFIX}")


class Listing(NamedTuple):
    """One look at the whole directory, by stat alone."""

    sessions: dict[str, tuple[int, int]]
    """(size in bytes, mtime_ns) of each session's file."""
    backups: frozenset[str]
    """Sessions of which the application has a `.json.bak`."""
    has_leftovers: bool = False
    """Something of an interrupted repair is there."""
    standby: frozenset[str] = frozenset()
    """Sessions beside which a standby file stands (module standby)."""


class SessionsDirectory:
    """The directory at `path`; only reads, but for removing an index that is wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._prefix = os.path.join(path, "")
        self._looks_without_index: int | None = None
        """How many listings found no index since it was last there; None when it never was, or the guard removed it."""
        self._ids: dict[str, tuple[Stamp, frozenset[Any] | None]] = {}

    def file(self, session: str) -> Path:
        """Return the path of a session's file."""
        return files.child(self.path, f"{session}.json")

    def file_name(self, session: str) -> str:
        """As `file`, for the calls at every save: a path that is no object of its own."""
        return f"{self._prefix}{session}.json"

    def backup(self, session: str) -> Path:
        """Return the path of the application's own copy of a session."""
        return self.path / f"{session}{BACKUP_SUFFIX}"

    def listing(self) -> Listing:
        """Return what is there now. Raises OSError when the directory cannot be read."""
        look = self.look()
        while True:
            try:
                next(look)
            except StopIteration as ended:
                found: Listing = ended.value
                return found

    def look(self) -> Generator[None, None, Listing]:
        """As `listing`, yielding now and then for what is more urgent; what changes meanwhile is in it or not."""
        sessions: dict[str, tuple[int, int]] = {}
        backups = set()
        standby = set()
        has_leftovers = False
        for number, name in enumerate(os.listdir(self.path), 1):
            if number % ENTRIES_AT_ONCE == 0:
                yield
            if name.endswith(".json"):
                if session := session_id(name):
                    try:
                        found = os.lstat(self.file_name(session))
                    except FileNotFoundError:
                        continue
                    if stat.S_ISREG(found.st_mode):
                        sessions[session] = (found.st_size, found.st_mtime_ns)
            elif name.endswith(BACKUP_SUFFIX) and (session := session_id(name.removesuffix(".bak"))):
                backups.add(session)
            elif is_staged(name):
                has_leftovers = True
            elif session := standby_for(name):
                standby.add(session)
        if not self.note_index() and self._looks_without_index is not None:
            self._looks_without_index += 1
        return Listing(sessions, frozenset(backups), has_leftovers, frozenset(standby))

    def has_tombstone(self, session: str) -> bool:
        """Return whether the application noted that a user deleted the session; OSError when that cannot be read."""
        return session in (self._listed(TOMBSTONES) or ())

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

    def note_index(self) -> bool:
        """Note whether the index is there, for its going is evidence; return that."""
        is_there = (self.path / INDEX).exists()
        if is_there:
            self._looks_without_index = 0
        return is_there

    def index_says(self, session: str) -> Literal["lists", "omits", "unlinked", "unknown"]:
        """Return what the index says of a session; "unlinked" when the index itself went since the last look.

        Raises OSError when it cannot be read: that is no evidence of anything.
        """
        ids = self._listed(INDEX)
        if ids is not None:
            self._looks_without_index = 0
            return "lists" if session in ids else "omits"
        went_just_now = self._looks_without_index in (0, 1) and not (self.path / INDEX).exists()
        return "unlinked" if went_just_now else "unknown"

    def correct_index(self, session: str, messages: int) -> bool:
        """Remove the index when its message for the session has another count; return whether it did.

        The application builds it anew (webui-contract, section 5); patching the message would race with that.
        """
        try:
            value = self._load(INDEX)
        except OSError:
            return False
        if not isinstance(value, list):
            return False
        message = next((message for message in value if _message_id(message) == session), None)
        if message is not None and message.get("message_count", messages) == messages:
            return False
        self._looks_without_index = None  # its absence is our doing, no evidence of a deletion
        try:
            return files.remove(self.path / INDEX)
        except OSError:
            return False

    def _listed(self, name: str) -> frozenset[Any] | None:
        """Return the ids in one of the application's lists, read again only when it has changed; None when there is none."""
        stamp = files.stamp(self.path / name)
        if stamp is None:
            return None
        known = self._ids.get(name)
        if known is None or known[0] != stamp:
            known = self._ids[name] = stamp, _ids_in(self._load(name))
        return known[1]

    def forget_lists(self) -> None:
        """Give back the memory that the application's lists take, while nobody asks for them."""
        self._ids.clear()

    def _load(self, name: str) -> Any:
        try:
            return orjson.loads(files.read(self.path / name)[0])
        except (FileNotFoundError, ValueError):
            return None


def _ids_in(value: Any) -> frozenset[Any] | None:
    """Return the session ids in an index (a list of messages) or in tombstones (an object with a list of ids)."""
    if isinstance(value, list):
        return frozenset(found for message in value if isinstance(found := _message_id(message), str))
    ids = value.get("ids") if isinstance(value, dict) else None
    return frozenset(found for found in ids if isinstance(found, str)) if isinstance(ids, list) else None


def _message_id(message: Any) -> Any:
    return message.get("session_id") if isinstance(message, dict) else None


def signature(stamp: Stamp) -> tuple[int, int]:
    """Return what a listing shows of a file with this stamp."""
    return stamp.size_bytes, stamp.mtime_ns


def sessions_among(names: Iterator[str]) -> Iterator[str]:
    """Yield the sessions whose files are among `names`."""
    for name in names:
        if session := session_id(name):
            yield session
