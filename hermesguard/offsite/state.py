"""What this machine knows of its copies: which object holds which file, and how many requests were made.

An SQLite file beside the store; losing it costs a full copy, nothing else. What an object holds is written down before the
object leaves the machine, so that no crash leaves one behind that is not known.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError
from hermesguard.offsite.batch import Item
from hermesguard.offsite.upload import budget

FILE_NAME: Final = "state.sqlite"
LOCK: Final = "lock"
SPOOL: Final = "spool"
_FORMAT: Final = 1
_TABLES: Final = """
CREATE TABLE objects (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created_ns INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL DEFAULT 0, sha256 TEXT NOT NULL DEFAULT '', stage TEXT NOT NULL);
CREATE TABLE entries (
  id INTEGER PRIMARY KEY, object INTEGER NOT NULL REFERENCES objects, path TEXT NOT NULL, is_removal INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, mtime_ns INTEGER NOT NULL, signature TEXT NOT NULL,
  superseded_ns INTEGER, must_go INTEGER NOT NULL DEFAULT 0);
CREATE INDEX entries_by_object ON entries (object);
CREATE INDEX entries_by_path ON entries (path);
CREATE TABLE held (path TEXT PRIMARY KEY, is_accepted INTEGER NOT NULL DEFAULT 0);
CREATE TABLE requests (hour INTEGER PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Object(NamedTuple):
    """An object: "making" (not whole here yet), "ready" (whole here), "stored" (the storage took it), "leaving"."""

    id: int
    name: str
    created_ns: int
    size_bytes: int
    sha256: str
    stage: str


class Entry(NamedTuple):
    """A file in an object, or a note that the store had it no longer."""

    object: int
    path: str
    is_removal: bool
    size_bytes: int
    sha256: str
    mtime_ns: int
    superseded_ns: int | None
    must_go: bool


class Known(NamedTuple):
    """A file that is safe: its state in the store as it was copied (`survey`), and its content."""

    signature: str
    sha256: str


def _connected(directory: Path, path: Path) -> sqlite3.Connection:
    files.make_directory(directory)
    files.make_directory(directory / SPOOL)
    os.chmod(directory, 0o700)
    return sqlite3.connect(path, timeout=30, isolation_level=None)


def _connected_to_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{_quoted(path)}?mode=ro", timeout=5, uri=True)


class State:
    """The state in a directory. Raises OSError when the disk refuses (`sqlite3.Error` never leaves)."""

    def __init__(self, directory: Path, writes: bool = True) -> None:
        self.directory = directory
        path = directory / FILE_NAME
        try:
            self._database = _connected(directory, path) if writes else _connected_to_read(path)
            try:
                if writes:
                    os.chmod(path, 0o600)
                    self._prepare()
                self._is_made = bool(self._version())
            except BaseException:
                self.close()
                raise
        except sqlite3.Error as error:
            raise GuardError(
                f"The state {path} cannot be used: {error}",
                "If it is damaged, move it away: everything is then copied once more, and nothing is lost",
                ExitCode.FAILED,
            ) from None

    @classmethod
    def to_read(cls, directory: Path) -> "State | None":
        """Open it to be read; None where nothing was copied yet, a state that is being made too. Raises GuardError."""
        if not (directory / FILE_NAME).exists():
            return None
        state = cls(directory, writes=False)
        # The file is there a moment before its tables are.
        if not state._is_made:
            state.close()
            return None
        return state

    def _version(self) -> int:
        return int(self._database.execute("PRAGMA user_version").fetchone()[0])

    def _prepare(self) -> None:
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA secure_delete = ON")
        number = self._version()
        if number > _FORMAT:
            raise GuardError(
                f"The state {self.directory / FILE_NAME} is of a newer hermesguard", "Install that one again"
            )
        if not number:
            self._database.executescript(f"BEGIN;{_TABLES}PRAGMA user_version = {_FORMAT};COMMIT;")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Do what the block does whole or not at all; durable when it ends. Raises OSError when the disk refuses."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise OSError(f"the state {self.directory / FILE_NAME} cannot be written: {error}") from None

    def _all(self, query: str, *values: Any) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise OSError(f"the state {self.directory / FILE_NAME} cannot be read: {error}") from None

    # -- facts

    def facts(self) -> dict[str, str]:
        """Return what was noted (`note`)."""
        return dict(self._all("SELECT key, value FROM facts"))

    def note(self, **values: object) -> None:
        """Note facts, durably. Raises OSError."""
        with self.changing() as database:
            database.executemany(
                "INSERT INTO facts VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                [(key, str(value)) for key, value in values.items()],
            )

    def count_requests(self, count: int, now_seconds: float) -> None:
        """Count requests that are about to be made, durably. Raises OSError."""
        hour = budget.hour_of(now_seconds)
        with self.changing() as database:
            database.execute(
                "INSERT INTO requests VALUES (?, ?) ON CONFLICT (hour) DO UPDATE SET count = count + excluded.count",
                (hour, count),
            )
            database.execute("DELETE FROM requests WHERE hour < ?", (hour - 48,))

    def requests(self) -> dict[int, int]:
        """Return the requests by hour."""
        return dict(self._all("SELECT hour, count FROM requests"))

    # -- objects

    def objects(self, stage: str = "") -> list[Object]:
        """Return the objects, in the order of their names; only those of one stage when it is given."""
        query = "SELECT id, name, created_ns, size_bytes, sha256, stage FROM objects"
        found = (
            self._all(f"{query} WHERE stage = ? ORDER BY name", stage)
            if stage
            else self._all(f"{query} ORDER BY name")
        )
        return [Object(*row) for row in found]

    def spooled(self, found: Object | str) -> Path:
        """Return where an object lies until the storage has it."""
        name = found if isinstance(found, str) else found.name
        return self.directory / SPOOL / name.rpartition("/")[2]

    def last_name(self) -> str:
        """Return the name of the newest object; empty without one."""
        return str(self._all("SELECT coalesce(max(name), '') FROM objects")[0][0])

    def begin(self, name: str, created_ns: int) -> int:
        """Note that an object will be made; return its id. Raises OSError."""
        with self.changing() as database:
            done = database.execute(
                "INSERT INTO objects (name, created_ns, stage) VALUES (?, ?, 'making')", (name, created_ns)
            )
            return int(done.lastrowid or 0)

    def made(
        self,
        number: int,
        size_bytes: int,
        sha256: str,
        items: Iterable[tuple[Item, str]],
        removals: Iterable[tuple[str, int]],
    ) -> None:
        """Note what an object holds (each file with its signature), now that it is whole here. Raises OSError."""
        rows = [(number, i.path, 0, i.size_bytes, i.sha256, i.mtime_ns, signature) for i, signature in items]
        rows += [(number, path, 1, 0, "", time_ns, "") for path, time_ns in removals]
        with self.changing() as database:
            database.execute(
                "UPDATE objects SET stage = 'ready', size_bytes = ?, sha256 = ? WHERE id = ?",
                (size_bytes, sha256, number),
            )
            database.executemany(
                "INSERT INTO entries (object, path, is_removal, size_bytes, sha256, mtime_ns, signature)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def stored(self, found: Object, now_ns: int) -> None:
        """Note that the storage has an object: what older objects hold of the same files is superseded. Raises OSError."""
        with self.changing() as database:
            database.execute("UPDATE objects SET stage = 'stored' WHERE id = ?", (found.id,))
            # What is the same in a newer object need not be kept for its own sake.
            database.execute(
                "UPDATE entries SET superseded_ns = CASE WHEN is_removal OR EXISTS (SELECT 1 FROM entries AS new"
                " WHERE new.object = ?1 AND new.path = entries.path AND new.sha256 = entries.sha256) THEN 0 ELSE ?2 END"
                " WHERE superseded_ns IS NULL AND object != ?1"
                " AND object IN (SELECT id FROM objects WHERE stage IN ('stored', 'leaving'))"
                " AND path IN (SELECT path FROM entries WHERE object = ?1)",
                (found.id, now_ns),
            )
            database.execute(
                "INSERT INTO facts VALUES ('stored_ns', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (str(now_ns),),
            )
        files.remove(self.spooled(found))

    def set_stage(self, objects: Iterable[Object], stage: str) -> None:
        """Note another stage of objects. Raises OSError."""
        with self.changing() as database:
            database.executemany(
                "UPDATE objects SET stage = ? WHERE id = ?", [(stage, one.id) for one in objects]
            )

    def forget(self, objects: Iterable[Object]) -> None:
        """Forget objects that the storage has no longer, and what they held. Raises OSError."""
        for one in objects:
            with self.changing() as database:
                database.execute("DELETE FROM entries WHERE object = ?", (one.id,))
                database.execute("DELETE FROM objects WHERE id = ?", (one.id,))
            files.remove(self.spooled(one))

    # -- files

    def known(self) -> dict[str, Known]:
        """Return the files that the storage has as they were last copied, by path."""
        found = self._all(
            "SELECT path, signature, entries.sha256 FROM entries JOIN objects ON objects.id = object"
            " WHERE superseded_ns IS NULL AND NOT is_removal AND stage = 'stored'"
        )
        return {path: Known(signature, sha256) for path, signature, sha256 in found}

    def entries(self, number: int | None = None) -> list[Entry]:
        """Return what objects hold, or what one holds."""
        query = "SELECT object, path, is_removal, size_bytes, sha256, mtime_ns, superseded_ns, must_go FROM entries"
        found = self._all(f"{query} WHERE object = ?", number) if number is not None else self._all(query)
        return [Entry(*row[:2], bool(row[2]), *row[3:7], bool(row[7])) for row in found]  # type: ignore[call-arg]

    def resigned(self, signatures: Iterable[tuple[str, str]]) -> None:
        """Note new signatures of files whose content is still what was copied: (path, signature). Raises OSError."""
        with self.changing() as database:
            database.executemany(
                "UPDATE entries SET signature = ?2 WHERE path = ?1 AND superseded_ns IS NULL AND NOT is_removal",
                signatures,
            )

    def let_go(self, paths: Iterable[str], superseded: Iterable[str] = ()) -> None:
        """Note that every copy of these files must go, and of others those that are superseded. Raises OSError."""
        query = "UPDATE entries SET must_go = 1 WHERE path = ? AND NOT is_removal"
        with self.changing() as database:
            database.executemany(query, [(path,) for path in paths])
            database.executemany(f"{query} AND superseded_ns IS NOT NULL", [(path,) for path in superseded])

    # -- what vanished without a reason

    def held(self) -> set[str]:
        """Return the files whose copies are held although the store has them no longer."""
        return {path for (path,) in self._all("SELECT path FROM held WHERE NOT is_accepted")}

    def accepted(self) -> set[str]:
        """Return the files of which a user said that they were meant to go."""
        return {path for (path,) in self._all("SELECT path FROM held WHERE is_accepted")}

    def accept(self) -> int:
        """Let go of all that is held, and of what an earlier state has made; return how many files. Raises OSError."""
        self.note(let_go=1)
        with self.changing() as database:
            return int(database.execute("UPDATE held SET is_accepted = 1 WHERE NOT is_accepted").rowcount)

    def hold(self, paths: Iterable[str], no_longer: Iterable[str] = ()) -> None:
        """Hold the copies of some files, and of others no longer. Raises OSError."""
        with self.changing() as database:
            database.executemany("INSERT OR IGNORE INTO held (path) VALUES (?)", [(path,) for path in paths])
            database.executemany("DELETE FROM held WHERE path = ?", [(path,) for path in no_longer])


def time_in_words(ns: str | int) -> str:
    """Return a time of a fact as UTC, ISO 8601."""
    return datetime.fromtimestamp(int(ns) / 1e9, UTC).isoformat(timespec="seconds")


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path.absolute()))
