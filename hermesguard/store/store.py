"""Shadows and history: plain files that `cp`, `rsync`, `zcat` and a tired administrator can use without us.

    <store>/format                              the number of this layout
    <store>/shadows/<sid>.json                  newest good copy; its mtime is live's
    <store>/shadows/<sid>.delta                 what the newest saves changed of it, while they come fast (module delta_log)
    <store>/history/<sid>/<UTC time>-<messages>-<reason>-<digest>.json.gz
    <store>/incidents.jsonl, lock, control      (modules incidents, files, control)

Everything is written under another name first, synced, and renamed; a crash leaves the old state or the new one. Every file
carries its digest (a version in its name, a shadow in an extended attribute), so rot is found. Raises OSError as it comes:
what a full disk means is for the guard to decide.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError
from hermesguard.pieces import Content, pieces_of
from hermesguard.store import delta_log as delta_logs
from hermesguard.store import earlier
from hermesguard.store.history import History, digest
from hermesguard.store.lock import Lock, lock_holder
from hermesguard.store.place import FORMAT, Place, is_strange
from hermesguard.store.upkeep.written_before import SUFFIX, WrittenBefore
from hermesguard.webui.session import is_session_id, session_id

_TEMPORARY_SUFFIX = ".tmp"
_UNFINISHED = (f".large{_TEMPORARY_SUFFIX}", SUFFIX)


class Shadow(NamedTuple):
    """A shadow as the directory shows it, without opening it."""

    session: str
    size_bytes: int
    mtime_ns: int


class Newest(NamedTuple):
    """The newest good copy of a session, its delta log applied."""

    data: bytes
    mtime_ns: int
    messages: int | None
    """Messages, as noted when it was kept; None where nothing could be noted."""
    has_delta_log: bool


class Store(History):
    """The store at `root`. Reading needs no lock; a writer holds it (`lock`)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shadows_directory = root / "shadows"
        self.history_directory = root / "history"
        self.lock = Lock(root / "lock")
        self.place = Place(root)
        self.place.relock = self._relock
        self.limit_bytes: int | None = None
        """No shadow or version that is larger is read into memory: `files.TooLarge`."""
        self.too_dense: set[str] = set()
        """Sessions whose shadow would take many times its size in memory: it is not read either."""
        self.written_before = WrittenBefore(self.shadows_directory)
        self.set_aside: Callable[[Path, str], None] = self._set_aside
        """Moves what is none of ours out of the way (`Place.set_aside`), and reports why. Raises OSError."""
        self._delta_logs = delta_logs.DeltaLogs(self.delta_log_path)
        """Sessions whose delta log this process began: it is known to belong to the shadow."""
        self.is_taken_over = False
        """It was of an earlier format until this process locked it."""
        self._earlier_suffix = ""

    # -- opening

    def create(self) -> None:
        """Make the store if it is not there; GuardError when it cannot be, is not ours, or is of a newer hermesguard."""
        try:
            self.place.make()
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
        try:
            self.place.require_own(writes=False)
            if self.place.format() == earlier.FORMAT:
                self._earlier_suffix = earlier.DELTA_SUFFIX
            self.place.remember()
        except OSError as error:
            raise GuardError(
                f"The store {self.root} cannot be read: {error.strerror}",
                "Run the command as the store's owner, or with sudo",
            ) from None

    def take_lock(self) -> None:
        """Take the store's lock; GuardError that names the holder when another guard has it, or when it is not ours."""
        try:
            self.place.require_own(writes=True)
            taken = self.lock.take()
        except OSError as error:
            raise GuardError(
                f"The store {self.root} cannot be locked: {error.strerror}", "Give the right to write there"
            ) from None
        if not taken:
            pid = lock_holder(self.lock.path)
            where = f" (process {pid})" if pid else " (in another container, or on another machine)"
            raise GuardError(
                f"The store {self.root} is guarded by another hermesguard{where if pid is not None else ''}",
                "Stop that one first, or choose another store with --store DIR",
                ExitCode.LOCKED,
            )
        with contextlib.suppress(OSError):  # a store that is read-only is as good as it was
            known = self.place.format()
            if known == earlier.FORMAT:
                earlier.take_over(self.root, self.place.set_aside)
                self.is_taken_over = True
            if known != FORMAT:
                self.place.note_format()

    def _relock(self) -> bool:
        self.lock.release()
        return self.lock.take()

    def _set_aside(self, path: Path, reason: str) -> None:
        self.place.set_aside(path)

    # -- shadows

    def shadow_path(self, session: str) -> Path:
        """Return where the shadow of a session is, or would be."""
        return self.shadows_directory / f"{session}.json"

    def delta_log_path(self, session: str) -> Path:
        """Return where the delta log of a session's shadow is, or would be (module delta_log)."""
        path = self.shadows_directory / f"{session}{delta_logs.SUFFIX}"
        if self._earlier_suffix and not files.stamp(path):
            return self.shadows_directory / f"{session}{self._earlier_suffix}"
        return path

    def shadows(self) -> Iterator[Shadow]:
        """Yield all shadows, by stat alone."""
        for name, entry in self._shadow_entries():
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # it has gone meanwhile; the others have not
                continue
            if stat.S_ISREG(found.st_mode):
                yield Shadow(name, found.st_size, found.st_mtime_ns)

    def _shadow_entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self.shadows_directory) as entries:
            for entry in entries:
                if name := session_id(entry.name):
                    yield name, entry

    def shadow_names(self) -> list[str]:
        """Return the sessions that have a shadow, by their names alone, as the directory lists them."""
        return [name[:-5] for name in files.names(self.shadows_directory) if session_id(name)]

    def take_stock(self) -> Iterator[tuple[str, tuple[int, int], int | None]]:
        """Yield of each shadow its session, (size in bytes, mtime_ns), and the messages noted when it was kept (`shadow_note`).

        No file is opened; None stands where nothing could be noted.
        """
        directory = os.path.join(self.shadows_directory, "")
        for session in self.shadow_names():
            path = f"{directory}{session}.json"
            with contextlib.suppress(FileNotFoundError):
                found = os.lstat(path)
                if not stat.S_ISREG(found.st_mode):
                    self.set_aside(Path(path), "it is no regular file")
                    continue
                noted = _noted(files.note(path))
                yield session, (found.st_size, found.st_mtime_ns), noted[1] if noted else None

    def sessions(self) -> list[str]:
        """Return all sessions that the store knows, sorted: with a shadow, or with versions only."""
        known = set(self.histories())
        known.update(name for name, entry in self._shadow_entries() if entry.is_file(follow_symlinks=False))
        return sorted(known)

    def has_shadow(self, session: str) -> bool:
        """Return whether the session has a shadow."""
        if files.stamp(self.shadow_path(session)):
            return True
        self.place.check(self.shadows_directory)
        return False

    def shadow_bytes(self, session: str) -> int:
        """Return how many bytes the shadow of a session has; 0 when there is none."""
        found = files.stamp(self.shadow_path(session))
        return found.size_bytes if found else 0

    def is_too_large(self, session: str) -> bool:
        """Return whether the shadow of a session is too large to be read into memory."""
        found = files.stamp(self.shadow_path(session)) if self.limit_bytes is not None else None
        return found is not None and (found.size_bytes > (self.limit_bytes or 0) or session in self.too_dense)

    def read_shadow(self, session: str) -> bytes:
        """Return the newest good copy, its delta log applied.

        Raises FileNotFoundError when there is none, `files.Damaged` when it is not what was kept, OSError when it cannot
        be read now.
        """
        return self.newest(session).data

    def newest(self, session: str) -> "Newest":
        """Return the newest good copy and what is known of it; raises as `read_shadow` does.

        Read again where a running guard wrote the shadow anew meanwhile: it and its delta log belong together.
        """
        path = self.shadow_path(session)
        for _ in range(16):  # a guard writes a shadow anew once a minute at most
            before = files.stamp(path)
            found = self._newest(session)
            if files.stamp(path) == before:
                return found
        raise OSError(errno.EBUSY, "it changes all the time", str(path))

    def _newest(self, session: str) -> "Newest":
        data, stamp, noted = self._read_base(session)
        known = digest(data)
        if noted and known != noted[0]:
            raise files.Damaged(f"{session}.json is damaged: its content has another digest")
        log = self.delta_log_path(session)
        if files.stamp(log) and (found := delta_logs.apply(log, data, known, stamp.mtime_ns)):
            return Newest(found.data, found.mtime_ns, found.messages, True)
        return Newest(data, stamp.mtime_ns, noted[1] if noted else None, False)

    def _read_base(self, session: str) -> tuple[bytes, files.Stamp, tuple[str, int] | None]:
        try:
            limit_bytes = 0 if session in self.too_dense else self.limit_bytes
            data, stamp, note = files.read_noted(self.shadow_path(session), limit_bytes)
        except FileNotFoundError:
            self.place.check(self.shadows_directory)
            raise
        except OSError as error:
            if error.errno == errno.EIO:
                raise files.Damaged(
                    errno.EIO, f"{session}.json is damaged: the disk does not give it back"
                ) from None
            raise
        return data, stamp, _noted(note)

    def salvage(self, session: str) -> bytes | None:
        """Return what is left of a damaged shadow: all that its delta log gives for certain, else the file as it is."""
        try:
            data, stamp, noted = self._read_base(session)
        except OSError:
            return None
        return delta_logs.salvage(
            self.delta_log_path(session), data, noted[0] if noted else digest(data), stamp.mtime_ns
        )

    def keep(self, session: str, data: Content, mtime_ns: int, messages: int) -> None:
        """Make `data` the shadow; durable when this returns. `mtime_ns` is live's, so that a restart can compare by stat."""
        self.place.check(self.shadows_directory)
        noted = f"{digest(data)} {messages}".encode()
        if not self.written_before.install(session, data, mtime_ns, self.shadow_path(session)):
            files.write_durably(self.shadow_path(session), pieces_of(data), mtime_ns, noted)
        self.too_dense.discard(session)
        self._drop_delta_log(session)

    def replace_shadow(self, session: str, path: Path) -> None:
        """Make a file that stands in the directory of shadows already, synced, the shadow. Raises OSError."""
        self.place.check(self.shadows_directory)
        files.move(path, self.shadow_path(session))
        self._drop_delta_log(session)

    def keep_change(self, session: str, change: bytes) -> None:
        """Add what a save changed (`delta_logs.change`) to the shadow's delta log; durable when this returns. Raises OSError.

        The state before must be in the store: shadow and delta log as `read_shadow` gives it.
        """
        if session not in self._delta_logs.begun:
            self.place.check(self.shadows_directory)
            self.fold(session)  # one of a guard before us, if it still counts, must not be lost
            noted, stamp = self.shadow_note(session), files.stamp(self.shadow_path(session))
            if not noted or not stamp:
                data, stamp, _ = self._read_base(session)
                noted = (digest(data), 0)
            self._delta_logs.begin(session, noted[0], stamp.mtime_ns)
        self._delta_logs.append(session, change)  # where its path leads, so that the store is where it was

    def fold(self, session: str) -> None:
        """Make shadow and delta log one plain copy again; a delta log that belongs to no shadow goes."""
        self.place.check(self.shadows_directory)
        path = self.delta_log_path(session)
        is_ours = session in self._delta_logs.begun or not self._strangeness(path)
        if is_ours and files.stamp(path) and self.has_shadow(session):
            newest = self.newest(session)
            if newest.has_delta_log and newest.messages is not None:
                self.keep(session, newest.data, newest.mtime_ns, newest.messages)
        self._drop_delta_log(session)

    def with_delta_logs(self) -> list[str]:
        """Return the sessions whose shadow has a delta log."""
        suffixes = (delta_logs.SUFFIX, self._earlier_suffix) if self._earlier_suffix else (delta_logs.SUFFIX,)
        stems = (
            name.rpartition(".")[0] for name in files.names(self.shadows_directory) if name.endswith(suffixes)
        )
        return [stem for stem in stems if is_session_id(stem)]

    def _drop_delta_log(self, session: str) -> None:
        is_ours = session in self._delta_logs.begun
        self._delta_logs.drop(session)
        path = self.delta_log_path(session)
        if not is_ours and (reason := self._strangeness(path)):
            self.set_aside(path, reason)
        elif files.remove(path):
            files.sync_directory(self.shadows_directory)

    def _strangeness(self, path: Path) -> str:
        """Return why what stands at a delta log's name is none; empty when it is one, or nothing is there."""
        return "it is no regular file" if is_strange(path) else delta_logs.strangeness(path)

    def touch(self, session: str, mtime_ns: int) -> None:
        """Let the shadow say that live, with the same content, has a new mtime."""
        self.fold(session)
        files.set_mtime(self.shadow_path(session), mtime_ns)

    def shadow_note(self, session: str) -> tuple[str, int] | None:
        """Return (digest, messages) as recorded when the shadow was kept; None where nothing could be recorded."""
        return _noted(files.note(f"{self.shadows_directory}/{session}.json"))

    def forget(self, session: str) -> None:
        """Remove the shadow, its delta log first; its history stays."""
        self.place.check(self.shadows_directory)
        self._drop_delta_log(session)
        if files.remove(self.shadow_path(session)):
            files.sync_directory(self.shadows_directory)

    def rename(self, session: str, new_session: str) -> None:
        """Let history and shadow follow a session to its new id; a shadow that this id has already stays.

        What a crash leaves is the same session in two parts, which the next call makes whole.
        """
        self.fold(session)
        old, new = self.history_of(session), self.history_of(new_session)
        for name in files.names(old):
            files.make_directory(new)
            files.move(old / name, new / name)
        files.remove_directory(old)
        if self.has_shadow(new_session):
            self.forget(session)
        else:
            files.move(self.shadow_path(session), self.shadow_path(new_session))

    # -- all of it

    def purge(self, session: str) -> tuple[int, int]:
        """Remove every trace of a session: shadow, delta log, history, what a crash left; return (files, bytes) gone."""
        self.place.check(self.shadows_directory)
        self.place.check(self.history_directory)
        count = size_bytes = 0
        for path in self.traces(session):
            if found := files.stamp(path):
                size_bytes += found.size_bytes
                count += files.remove(path)
        self._delta_logs.drop(session)
        files.remove_directory(self.history_directory / session)
        files.sync_directory(self.shadows_directory)
        files.sync_directory(self.history_directory)
        return count, size_bytes

    def traces(self, session: str) -> list[Path]:
        """Return the paths of all files in the store that can hold text of a session; some need not be there."""
        kept = [self.delta_log_path(session), self.shadow_path(session)]
        history = self.history_directory / session
        names = files.names(history) if history.is_dir() and not history.is_symlink() else []
        return (
            kept
            + [path.with_name(f".{path.name}{_TEMPORARY_SUFFIX}") for path in kept]
            + [self.shadow_path(session).with_name(f".{session}.json{ending}") for ending in _UNFINISHED]
            + [history, *(history / name for name in names)]
        )


def _noted(note: bytes | None) -> tuple[str, int] | None:
    known, _, messages = (note or b"").partition(b" ")
    return (
        (known.decode("ascii", "replace"), int(messages))
        if messages.isdigit() and len(messages) < 16
        else None
    )
