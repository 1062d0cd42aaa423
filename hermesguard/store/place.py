"""The directories of a store: whose they are, that they are still the same ones, and what in them is none of ours.

A store that was moved away or unmounted while the guard runs must not be written beside: nothing is written before the
directory was compared with the one that was opened. What is refused meanwhile is a pending write.
"""

import errno
import os
import pwd
import re
import shlex
import stat
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final

from hermesguard import files
from hermesguard.config.paths import OUTSIDE_VARIABLE, volume_given
from hermesguard.errors import ExitCode, GuardError

FORMAT: Final = 2
"""Of the layout, and of the delta logs in it; 1 had delta logs without a number."""
FORMAT_FILE: Final = "format"
GUARDED_FILE: Final = "sessions"
"""Holds the path of the sessions directory that the store is for, and that of the store: a copy of a store is for no one's."""
DIRECTORIES: Final = "directories"
"""Holds the parts of a store that are for further sessions directories (module directories.parts)."""
SET_ASIDE: Final = "set-aside"
_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_LONGEST_FORMAT_BYTES: Final = 4096
_LONGEST_PATH_BYTES: Final = 64 * 1024

Identity = tuple[int, int]


class Place:
    """The directory `root` and its two parts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shadows = root / "shadows"
        self.history = root / "history"
        self.relock: Callable[[], bool] = lambda: True
        """Takes the lock of a store that was mounted again; returns whether it could."""
        self._known: dict[str, Identity] = {}
        """By path; a string, for one is looked up at each save."""

    @property
    def _all(self) -> tuple[Path, ...]:
        return (self.root, self.shadows, self.history)

    # -- opening

    def make(self) -> None:
        """Make the directories that are not there. Raises OSError; GuardError when they are not ours, or newer."""
        for directory in self._all:
            if not os.path.lexists(directory):
                files.make_directory(directory)
        self.require_own(writes=True)
        if stat.S_IMODE(os.lstat(self.root).st_mode) & 0o077:
            self.root.chmod(0o700)
        if self.format() is None:
            self.note_format()
        self.remember()

    def require_own(self, writes: bool) -> None:
        """Raise GuardError when a part of the store is a link, or, for who writes it, another user's."""
        for directory in self._all:
            found = os.lstat(directory)
            if not stat.S_ISDIR(found.st_mode):
                kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "no directory"
                raise GuardError(
                    f"{directory} is {kind}",
                    "The store must be a directory of its own: name it where it really is, with --store DIR",
                    ExitCode.REFUSED,
                )
            user = os.geteuid()
            if writes and found.st_uid != user:
                remedy = f"{typed_by(found.st_uid)}; a store of your own is named with --store DIR"
                if os.environ.get(OUTSIDE_VARIABLE):
                    remedy = volume_given(self.root)
                raise GuardError(
                    f"{directory} belongs to uid {found.st_uid}, and this is uid {user}",
                    remedy,
                    ExitCode.REFUSED,
                )

    def format(self) -> int | None:
        """Return the number of the store's layout, None when there is none. GuardError when it is not known here."""
        try:
            data = files.read(self.root / FORMAT_FILE, _LONGEST_FORMAT_BYTES)[0]
        except FileNotFoundError:
            return None
        text = data.decode("ascii", "replace").strip()
        if not _NUMBER.fullmatch(text) or int(text) > FORMAT:
            raise GuardError(
                f"The store {self.root} has format {text[:20]!r}, this hermesguard knows {FORMAT}",
                "Install the newer hermesguard again; nothing was changed",
                ExitCode.REFUSED,
            )
        return int(text)

    def note_format(self) -> None:
        """Write the number of today's layout. Raises OSError."""
        files.write_durably(self.root / FORMAT_FILE, f"{FORMAT}\n".encode())

    # -- whose sessions

    def guarded(self) -> Path | None:
        """Return the sessions directory that the store is for; None when it does not say, or may not be read."""
        lines = self._notes()
        return lines[0] if lines and is_same_directory(lines[1], self.root) else None

    def noted(self) -> Path | None:
        """As `guarded`, of a copy of the store too: the sessions directory that it was for."""
        lines = self._notes()
        return lines[0] if lines else None

    def _notes(self) -> tuple[Path, Path] | None:
        try:
            data = files.read(self.root / GUARDED_FILE, _LONGEST_PATH_BYTES)[0]
        except OSError:
            return None
        lines = [os.fsdecode(line) for line in data.split(b"\n")[:2]]
        if len(lines) != 2 or not all(line.startswith("/") and "\0" not in line for line in lines):
            return None
        return Path(lines[0]), Path(lines[1])

    def note_guarded(self, sessions: Path) -> None:
        """Note which sessions directory the store is for; for the holder of the lock. Raises OSError.

        GuardError as `require_for`.
        """
        if self.guarded() == sessions or b"\n" in os.fsencode(sessions):
            return
        self.require_for(sessions)
        lines = (sessions, self.root.absolute())
        files.write_durably(self.root / GUARDED_FILE, b"".join(os.fsencode(line) + b"\n" for line in lines))

    def require_for(self, sessions: Path) -> None:
        """Raise GuardError when the store is for another directory that is still there: copies of two applications must not mix.

        A directory without any conversation that is kept here is not there any more, whatever has its name: it was emptied,
        moved, or never the right one.
        """
        before = self.guarded()
        if before and not is_same_directory(before, sessions) and self._keeps_any_of(before):
            raise GuardError(
                f"The store {self.root} is that of {before}, not of {sessions}",
                f"Choose another store with --store DIR; or, if the conversations have moved, remove {self.root / GUARDED_FILE}",
                ExitCode.REFUSED,
            )

    def _keeps_any_of(self, sessions: Path) -> bool:
        """Return whether a conversation of that directory is kept here; True too where it cannot be looked at."""
        try:
            with os.scandir(sessions) as found:
                return any(os.path.lexists(self.shadows / entry.name) for entry in found)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    # -- the same one

    def remember(self) -> None:
        """Take the directories as they are now for the store. Raises OSError."""
        self._known = {str(directory): _identity(directory) for directory in self._all}

    def check(self, directory: Path | None = None) -> None:
        """Raise OSError when a directory of the store (its root) is not the one that was opened."""
        path = str(directory or self.root)
        known = self._known.get(path)
        if known is None:
            return
        found = _identity(path)
        if found != known and not self._is_mounted_again():
            raise OSError(errno.ESTALE, "the store is not there any more", str(self.root))

    def _is_mounted_again(self) -> bool:
        """Return whether it is the same store on a file system that was mounted anew, and the lock is ours again."""
        now = {str(directory): _identity(directory) for directory in self._all}
        is_same = all(found[1] == self._known[path][1] for path, found in now.items())
        if not is_same or len({device for device, _ in now.values()}) != 1 or not self.relock():
            return False
        self._known = now
        return True

    # -- what is none of ours

    def set_aside(self, path: Path, data: bytes | None = None) -> Path:
        """Move what stands at `path` out of the way, or, when given, keep `data` there; return where.

        Nothing is removed: a newer hermesguard may have written it. Raises OSError.
        """
        self.check()
        directory = self.root / SET_ASIDE
        files.make_directory(directory)
        free = (directory / f"{path.name}.{number}" for number in count(1))
        target = next(name for name in free if not os.path.lexists(name))
        if data is not None:
            files.write_durably(target, data)
            return target
        os.rename(path, target)
        files.sync_directory(path.parent)
        files.sync_directory(directory)
        return target


def top_of(store: Path) -> Path:
    """Return the store that a part belongs to; of what is no part, itself."""
    top = store.parent.parent
    return top if store.parent.name == DIRECTORIES and (top / "shadows").is_dir() else store


def user_name(uid: int) -> str:
    """Return a user's name, as `sudo -u` takes it also for one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def typed_by(uid: int) -> str:
    """Return the advice that this user is to do what another may not, as words without a full stop."""
    return f"Type the same with sudo -u {shlex.quote(user_name(uid))} before it"


def is_same_directory(one: Path, other: Path) -> bool:
    """Return whether two paths lead to the same directory; of one that is not there, whether they are the same in words."""
    if one == other or os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.samestat(os.stat(one), os.stat(other))
    except OSError:
        return False


def _identity(directory: Path | str) -> Identity:
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.ESTALE, "the store is not there any more", str(directory))
    return found.st_dev, found.st_ino


def is_strange(path: Path) -> bool:
    """Return whether something stands at `path` that is no regular file. Raises OSError."""
    try:
        return not stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
