"""Proof that the store can be relied on: every file read and checked, every session repaired as a repair would repair it.

Reading needs no lock; what is found to be damaged is rebuilt by the holder of the lock. A file that goes while it is being
checked is none that is missing.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from hermesguard import files
from hermesguard.store.history import Version, rot_of
from hermesguard.store.store import Store
from hermesguard.webui import session
from hermesguard.webui.session import Broken, TooDense, is_session_id

_BEGINNING_BYTES: Final = 4096
Progress = Callable[[int, int], None]
"""Called with how many sessions are done, and how many there are."""


def no_progress(done: int, total: int) -> None:
    """Show no progress."""


@dataclass(slots=True)
class Damage:
    """A file that is not what was kept."""

    session: str
    path: Path
    error: str
    version: str = ""
    rebuilt: bool = False
    is_strange: bool = False
    """Something of no kind that the store has stands in its place."""


@dataclass(slots=True)
class Tally:
    """What was checked, and what was found to be damaged."""

    sessions: int = 0
    files: int = 0
    versions: int = 0
    size_bytes: int = 0
    damaged: list[Damage] = field(default_factory=list)

    def add(self, other: "Tally", called: Callable[[str], str]) -> None:
        """Add what was found in another part of the store; `called` returns how a session of it is called."""
        self.sessions += other.sessions
        self.files += other.files
        self.versions += other.versions
        self.size_bytes += other.size_bytes
        self.damaged += [replace(one, session=called(one.session)) for one in other.damaged]

    def as_dict(self) -> dict[str, Any]:
        """Return it as the answer to the verb `verify`."""
        return {
            "sessions": self.sessions,
            "files": self.files,
            "versions": self.versions,
            "size_bytes": self.size_bytes,
            "damaged": [
                {
                    "session": entry.session,
                    "path": str(entry.path),
                    "version": entry.version,
                    "error": entry.error,
                    "rebuilt": entry.rebuilt,
                }
                for entry in self.damaged
            ],
        }


def verify(store: Store, rebuild: Callable[[str], bool], progress: Progress = no_progress) -> Tally:
    """Read, unpack and parse every shadow and version, and check it against its digest.

    What is larger than the store reads into memory is checked in pieces, by its digest alone.
    `rebuild` is asked to make a damaged shadow again from what is good, and returns whether it did. Raises OSError when the
    store itself cannot be listed, or this user may not read what is in it.
    """
    tally = Tally()
    names = store.sessions()
    for done, name in enumerate(names):
        progress(done, len(names))
        if damage := _checked(store, name, tally):
            damage.rebuilt = rebuild(name)
        for version in store.versions(name):
            _check_version(store, version, tally)
        tally.sessions += 1
    tally.damaged += _strange(store, {damage.path for damage in tally.damaged})
    progress(len(names), len(names))
    return tally


def _strange(store: Store, told: Collection[Path]) -> Iterator[Damage]:
    """Yield what stands under a name of the store's and is no file, or, in the history, no directory; not what was told."""
    for directory, is_good, error in (
        (store.shadows_directory, stat.S_ISREG, "not a regular file"),
        (store.history_directory, stat.S_ISDIR, "not a directory"),
    ):
        for name in sorted(files.names(directory)):
            path = directory / name
            session = path.stem if directory == store.shadows_directory else name
            with suppress(FileNotFoundError):
                if path not in told and is_session_id(session) and not is_good(os.lstat(path).st_mode):
                    yield Damage(session, path, error, is_strange=True)


def _checked(store: Store, name: str, tally: Tally) -> Damage | None:
    checked = _checked_large_shadow if store.is_too_large(name) else _checked_shadow
    return checked(store, name, tally)


def _checked_shadow(store: Store, name: str, tally: Tally) -> Damage | None:
    try:
        newest = store.newest(name)
        document = session.parse(newest.data)
        if newest.messages is not None and document.count != newest.messages:
            raise files.Damaged(f"it has {document.count} messages, and {newest.messages} were kept")
    except (FileNotFoundError, files.TooLarge):
        return None
    except TooDense:
        pass  # it was kept unread too, and has the digest that it had then
    except (OSError, Broken) as error:
        _require_rights(store, error)
        damage = Damage(name, store.shadow_path(name), said(error))
        tally.damaged.append(damage)
        tally.files += 1
        return damage
    tally.files += 1
    tally.size_bytes += len(newest.data)
    return None


def _checked_large_shadow(store: Store, name: str, tally: Tally) -> Damage | None:
    path, known = store.shadow_path(name), len(tally.damaged)
    if noted := store.shadow_note(name):
        for _ in _rot(name, path, noted[0], tally):
            pass
    else:
        with suppress(FileNotFoundError):  # all that is known of one without a note: it is an object
            if next(files.pieces(path, _BEGINNING_BYTES), b"").lstrip()[:1] != b"{":
                tally.damaged.append(Damage(name, path, "it is no session"))
            tally.files += 1
    return tally.damaged[-1] if len(tally.damaged) > known else None


def _check_version(store: Store, version: Version, tally: Tally) -> None:
    try:
        data = store.read_version(version)
        # What could not be read as a session when it was kept (a torn file, a damaged copy) need not be one now.
        if version.messages and (count := session.parse(data).count) != version.messages:
            raise files.Damaged(f"it has {count} messages, and {version.messages} were kept")
    except FileNotFoundError:
        return
    except files.TooLarge:
        tally.versions += 1
        for _ in _rot(version.session, version.path, version.digest, tally, version.name):
            pass
        return
    except TooDense:
        pass
    except (OSError, Broken) as error:
        _require_rights(store, error)
        tally.damaged.append(Damage(version.session, version.path, said(error), version.name))
    tally.files += 1
    tally.versions += 1
    tally.size_bytes += version.size_bytes


def _require_rights(store: Store, error: Exception) -> None:
    """Raise the error when it only says that this user may not read what is somebody else's: that is no damage."""
    if isinstance(error, PermissionError) and os.stat(store.root).st_uid != os.geteuid():
        raise error


def damage_of_shadow(store: Store, name: str) -> Damage | None:
    """Return how a session's shadow is damaged, None when it is good, or gone; in pieces where it is too large."""
    return _checked(store, name, Tally())


def damage_of_unread(store: Store, name: str) -> Damage | None:
    """As `damage_of_shadow`, of one that is not read into memory, whatever its size."""
    return _checked_large_shadow(store, name, Tally())


def said(error: Exception) -> str:
    """Return what is wrong with a file, in words."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def little_by_little(store: Store, name: str, tally: Tally) -> Iterator[None]:
    """Check the files of one session in little pieces, yielding between them.

    By digest where there is one: what has the digest of a session that was read is that session.
    """
    noted = store.shadow_note(name)
    if noted is None or files.stamp(store.delta_log_path(name)):
        _checked_shadow(store, name, tally)
    else:
        yield from _rot(name, store.shadow_path(name), noted[0], tally)
    yield
    for version in store.versions(name):
        tally.versions += 1
        yield from _rot(name, version.path, version.digest, tally, version.name)
    tally.sessions += 1


def _rot(name: str, path: Path, known: str, tally: Tally, version: str = "") -> Iterator[None]:
    found = files.stamp(path)
    if found is None:
        return
    tally.files += 1
    tally.size_bytes += found.size_bytes
    try:
        yield from rot_of(path, known)
    except OSError as error:
        # A shadow that was written meanwhile is another file with another digest.
        now = files.stamp(path)
        if now is not None and (now.inode, now.ctime_ns) == (found.inode, found.ctime_ns):
            tally.damaged.append(Damage(name, path, said(error), version))
