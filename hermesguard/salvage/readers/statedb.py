"""The agent's database, `state.db`: read as it stands, by the columns that are there, without a byte of it or beside it changed.

SQLite in WAL mode wants to make or write `-shm` even to read. So: with a WAL and its index, the index is opened read-only
(`readonly_shm`); without a WAL the file is opened as immutable; everything else (a WAL whose index is gone, a hot rollback
journal) is copied to a private directory first, if it is not too large. Sources: sqlite.org/wal.html ("Read-Only Databases"),
sqlite.org/uri.html, sqlite.org/fileformat2.html.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote

from hermesguard import files
from hermesguard.salvage.readers.compressed import Row, batches, once, repeated
from hermesguard.salvage.readers.copies import Unusable, reason
from hermesguard.salvage.trace import Kind, Trace, is_message, message_of
from hermesguard.webui import benign
from hermesguard.webui.session import Message, number

_MAGIC: Final = b"SQLite format 3\0"
_WAIT_SECONDS: Final = 2.0
# A copy touches nothing at all; SQLite run by root sets the owner of -wal and -shm anew.
_SMALL_BYTES: Final = 64 * 1024 * 1024
_MOST_COPIED_BYTES: Final = 1024**3
_COPY_ATTEMPTS: Final = 3
_MOST_PARENTS: Final = 20
_COLUMNS: Final = (
    "tool_call_id",
    "tool_calls",
    "tool_name",
    "timestamp",
    "finish_reason",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "codex_reasoning_items",
    "codex_message_items",
)
_JSON_COLUMNS: Final = frozenset(
    {"tool_calls", "reasoning_details", "codex_reasoning_items", "codex_message_items"}
)
_CONTENT_MARKS: Final = ("\0json:", "\1json:")
_FORKS: Final = ("_branched_from", "_delegate_from", "_reset_from")
_Result = TypeVar("_Result")


class Session(NamedTuple):
    """A row of `sessions`, as far as its columns are there."""

    id: str
    source: str
    title: str
    model: str
    started_at: float | None
    parent: str
    end_reason: str
    is_fork: bool


class Database:
    """One state.db, open for reading. Raises Unusable when nothing can be read of it; close it in any case."""

    def __init__(self, path: Path, profile: str, limit_bytes: int) -> None:
        self.path = path
        self.profile = profile
        self.notes: list[str] = []
        self._limit_bytes = limit_bytes
        self._stack = contextlib.ExitStack()
        self._connection = self._opened()
        try:
            if not self._learn_columns() and _size(path, "-wal"):
                # A log that lies beside it and is not its own: of a database that was put back, or of another one.
                self._connection.close()
                self._connection = self._without_newest("-wal")
                self._learn_columns()
            if not self._is_known:
                raise Unusable(f"{path} is a database of another program. It is left out.")
            self.sessions = self._read(self._sessions)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the database, and remove what was copied of it."""
        self._connection.close()
        self._stack.close()

    def _learn_columns(self) -> bool:
        """Return whether it has the tables of the agent, and note their columns."""
        self._columns = self._read(lambda: self._columns_of("messages"))
        self._session_columns = self._read(lambda: self._columns_of("sessions"))
        self._is_known = {"session_id", "role", "content"} <= self._columns and "id" in self._session_columns
        return self._is_known

    # -- opening

    def _opened(self) -> sqlite3.Connection:
        try:
            # As a link may lead to it, but a pipe would be waited for.
            descriptor, _ = files.opened(os.path.realpath(self.path), None)
            with open(descriptor, "rb") as file:
                start = file.read(len(_MAGIC))
        except OSError as error:
            raise Unusable(f"{self.path} cannot be read: {reason(error)}. It is left out.") from None
        if start != _MAGIC:
            what = "empty" if not start else "zeroed" if not start.strip(b"\0") else "no SQLite database"
            raise Unusable(f"{self.path} is {what}. It is left out.")
        if _size(self.path, "-wal"):
            if _size(self.path, "") <= _SMALL_BYTES and (copy := self._copied("-wal")):
                return copy
            if _size(self.path, "-shm"):
                with contextlib.suppress(sqlite3.Error):
                    return self._connected(self.path, "mode=ro&readonly_shm=1")
            return self._copied("-wal") or self._without_newest("-wal")
        if _size(self.path, "-journal"):
            return self._copied("-journal") or self._without_newest("-journal")
        return self._connected(self.path, "mode=ro&immutable=1")

    def _copied(self, beside: str) -> sqlite3.Connection | None:
        """Return a private copy, opened; None when it is too large to copy, or written faster than it can be copied."""
        size = _size(self.path, "") + _size(self.path, beside)
        try:
            directory = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="hermesguard-"))
        except OSError:
            return None  # a container whose whole file system is read-only
        if size > _MOST_COPIED_BYTES or size > shutil.disk_usage(directory).free // 2:
            return None
        target = Path(directory) / "state.db"
        try:
            for _ in range(_COPY_ATTEMPTS):
                before = self._stamps(beside)
                for ending in ("", beside):
                    shutil.copyfile(f"{self.path}{ending}", f"{target}{ending}")
                if self._stamps(beside) == before:
                    return self._connected(target, "mode=rw")
        except FileNotFoundError:
            return None  # the agent has just put everything into one file
        except OSError as error:
            raise Unusable(f"{self.path} cannot be copied: {error.strerror}. It is left out.") from None
        return None

    def _stamps(self, beside: str) -> list[tuple[int, int]]:
        found = [os.stat(f"{self.path}{ending}") for ending in ("", beside)]
        return [(one.st_size, one.st_mtime_ns) for one in found]

    def _without_newest(self, beside: str) -> sqlite3.Connection:
        if _size(self.path, beside):
            self.notes.append(
                f"{self.path} cannot be read together with its newest writes ({beside[1:]}): these are left out. "
                "Stop the agent, and try once more."
            )
        return self._connected(self.path, "mode=ro&immutable=1")

    def _connected(self, path: Path, parameters: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?{parameters}",
            uri=True,
            timeout=_WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _read(self, work: Callable[[], _Result]) -> _Result:
        """Return what `work` reads; Unusable, in a sentence, when the database does not give it."""
        try:
            return work()
        except (sqlite3.Error, OverflowError, MemoryError) as error:
            raise Unusable(f"{self.path}: {error}. What is behind that is left out.") from None

    def _columns_of(self, table: str) -> frozenset[str]:
        return frozenset(str(row[1]) for row in self._connection.execute(f"PRAGMA table_info({table})"))

    # -- sessions

    def _sessions(self) -> dict[str, Session]:
        wanted = ("source", "title", "model", "started_at", "parent_session_id", "end_reason", "model_config")
        selected = ", ".join(name if name in self._session_columns else "NULL" for name in wanted)
        found = {}
        for row in self._connection.execute(f"SELECT id, {selected} FROM sessions"):
            identity, source, title, model, started, parent, ended, configured = row
            is_fork = isinstance(configured, str) and any(f'"{mark}"' in configured for mark in _FORKS)
            found[str(identity)] = Session(
                str(identity),
                str(source or ""),
                str(title or ""),
                str(model or ""),
                float(started) if isinstance(started, int | float) else None,
                str(parent or ""),
                str(ended or ""),
                is_fork,
            )
        return found

    def counts(self) -> dict[str, int]:
        """Return how many rows each session has, its continued ones included; raises Unusable."""
        own: dict[str, int] = dict(
            self._read(
                lambda: self._connection.execute(
                    "SELECT session_id, count(*) FROM messages GROUP BY session_id"
                ).fetchall()
            )
        )
        return {name: sum(own.get(part, 0) for part in self.chain(name)) for name in {*own, *self.sessions}}

    def chain(self, name: str) -> list[str]:
        """Return the sessions whose messages are one conversation that ends in this one, oldest first.

        Until autumn 2026 the agent went on under a new id when it compressed a context.
        """
        found = [name]
        while len(found) < _MOST_PARENTS and (current := self.sessions.get(found[0])) and current.parent:
            parent = self.sessions.get(current.parent)
            if parent is None or parent.end_reason != "compression" or parent.id in found or current.is_fork:
                break
            found.insert(0, parent.id)
        return found

    def is_continued(self, name: str) -> bool:
        """Return whether the conversation went on under another id."""
        row = self.sessions.get(name)
        return bool(row and row.end_reason == "compression") and any(
            other.parent == name and not other.is_fork for other in self.sessions.values()
        )

    # -- messages

    def trace(self, name: str) -> Trace | None:
        """Return what the database has of a conversation, None when it knows nothing of it; raises Unusable."""
        row = self.sessions.get(name)
        if row is None:
            return None
        size = self._read(lambda: self._size_bytes(name))
        if size > self._limit_bytes:
            raise Unusable(
                f"{self.path}: the messages of {name} have {size:,} bytes, more than may be held in memory "
                f"({self._limit_bytes:,}). They are left out; raise cache_bytes to use them."
            )
        messages: list[Message] = []
        withdrawn: set[int] = set()
        compacted: set[int] = set()
        context: list[Message] = []
        is_compressed = False
        for part in self.chain(name):
            own = self._read(lambda part=part: list(self._rows(part)))  # type: ignore[misc]
            # Nothing of what a continuation goes on from is in its context, but for what it repeats.
            compacted |= set(range(len(messages)))
            active = [one for one in own if not one.is_withdrawn and not one.is_compacted]
            context = [one.message for one in once(active)]
            is_compressed = any(one.is_compacted or one.is_summary for one in own)
            for batch in map(once, batches(own)):
                again = repeated(messages, batch)
                for index, one in enumerate(batch):
                    if index in again or one.is_summary:
                        continue
                    if one.is_withdrawn:
                        withdrawn.add(len(messages))
                    if one.is_compacted:
                        compacted.add(len(messages))
                    messages.append(one.message)
        known: Mapping[str, Any] = {
            "title": row.title,
            "model": row.model,
            "created_at": row.started_at,
            "profile": self.profile if self.profile != "default" else None,
            "parent_session_id": row.parent,
        }
        return Trace(
            Kind.DATABASE,
            str(self.path),
            tuple(messages),
            max((message.timestamp or 0.0 for message in messages), default=None),
            {key: value for key, value in known.items() if value not in (None, "")},
            # A continuation without its summary is not all that the model knew.
            tuple(context) if is_compressed else (),
            withdrawn=frozenset(withdrawn),
            compacted=frozenset(compacted),
        )

    def _size_bytes(self, name: str) -> int:
        total = 0
        for part in self.chain(name):
            columns = " + ".join(
                f"coalesce(length({column}), 0)"
                for column in ("content", "tool_calls", "reasoning", "reasoning_content")
                if column in self._columns
            )
            query = f"SELECT coalesce(sum({columns}), 0) FROM messages WHERE session_id = ?"
            total += int(self._connection.execute(query, (part,)).fetchone()[0])
        return total

    def _rows(self, name: str) -> Iterator[Row]:
        """Yield the messages of one session in the order in which they were written."""
        others: list[str] = [column for column in _COLUMNS if column in self._columns]
        extra = [
            column if column in self._columns else default
            for column, default in (
                ("active", "1"),
                ("compacted", "0"),
                ("display_kind", "NULL"),
                ("_compressed_summary", "0"),
            )
        ]
        order = "id" if "id" in self._columns else "rowid"
        query = f"SELECT role, content, {', '.join(extra + others)} FROM messages WHERE session_id = ? ORDER BY {order}"
        for role, content, active, compacted, display, summary, *values in self._connection.execute(
            query, (name,)
        ):
            value = _value(role, content, dict(zip(others, values, strict=True)))
            if display == "hidden" or not is_message(value):
                continue
            message = message_of(value)
            yield Row(
                message,
                is_withdrawn=active == 0 and not compacted,
                is_compacted=bool(compacted),
                is_summary=bool(summary) or benign.is_compaction_marker(message),
            )


def _value(role: Any, content: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = {"role": role, "content": _content(content)}
    for key, stored in columns.items():
        if stored in (None, ""):
            continue
        if key in _JSON_COLUMNS and isinstance(stored, str):
            with contextlib.suppress(ValueError, RecursionError):
                stored = json.loads(stored)
        if key == "timestamp" and number(stored) is None:
            continue
        value[key] = stored
    if role == "tool" and value.get("tool_name"):
        value.setdefault("name", value["tool_name"])
    return value


def _content(content: Any) -> Any:
    if isinstance(content, bytes):
        content = content.decode("utf-8", "replace")
    if isinstance(content, str) and content.startswith(_CONTENT_MARKS):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(content[len(_CONTENT_MARKS[0]) :])
    return "" if content is None else content


def _size(path: Path, ending: str) -> int:
    try:
        return os.stat(f"{path}{ending}").st_size
    except OSError:
        return 0
