"""One object of the copies: a compressed tar of files of the store, encrypted by age. docs/offsite.md describes it.

`age --decrypt -i KEY OBJECT | tar --extract --gzip` reads one. Its members are named as in the store, so that all objects,
extracted one after another in the order of their names, make a store. The last two members are `removed.txt`, the paths
that the store had no longer, and `index.json`, which says of every file what it must be.
"""

import gzip
import hashlib
import io
import os
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import orjson

from hermesguard import files
from hermesguard.store.history import version_name
from hermesguard.webui.session import is_session_id

FORMAT: Final = 1
INDEX: Final = "index.json"
REMOVED: Final = "removed.txt"
SUFFIX: Final = ".age"
_COMPRESSION_LEVEL: Final = 3
_LONGEST_INDEX_BYTES: Final = 256 * 1024 * 1024
_NAME: Final = re.compile(r"[0-9a-f]{16}/[0-9]{4}-[0-9]{2}/([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)-[0-9a-f]{16}\.age")
_VERSION_FILE: Final = re.compile(
    r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9]{1,12}-[a-z]{1,32}-[0-9a-f]{16}\.json\.gz"
)
PLAIN_FILES: Final = ("format", "incidents.jsonl")
"""Files of the store beside shadows and history that are copied."""


class ForAnother(files.Damaged):
    """An object that was encrypted for other keys than those that are there."""


def _unreadable(failure: object) -> files.Damaged:
    kind = ForAnother if "matching keys" in str(failure) else files.Damaged
    return kind(f"it cannot be read: {failure}")


class Item(NamedTuple):
    """One file in an object."""

    path: str
    size_bytes: int
    sha256: str
    mtime_ns: int
    messages: int | None = None
    """Of a shadow: as noted when it was kept."""


class Removal(NamedTuple):
    """A file that the store had no longer, as of that time."""

    path: str
    time_ns: int


@dataclass
class Index:
    """What an object says of itself."""

    items: list[Item] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)

    def packed(self, name: str) -> bytes:
        """Return the content of `index.json`."""
        value = {
            "format": FORMAT,
            "name": name,
            "files": [item._asdict() for item in self.items],
            "removed": [removal._asdict() for removal in self.removals],
        }
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def parsed(cls, data: bytes) -> "Index":
        """Return the index in `data`; `files.Damaged` when it is none of ours."""
        try:
            value: Any = orjson.loads(data)
            if value["format"] != FORMAT:
                raise files.Damaged(
                    f"it has the format {value['format']!r:.20}, this hermesguard knows {FORMAT}"
                )
            items = [Item(**{key: entry.get(key) for key in Item._fields}) for entry in value["files"]]
            removals = [Removal(entry["path"], entry["time_ns"]) for entry in value["removed"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise files.Damaged("its index is none of hermesguard") from None
        for path in [item.path for item in items] + [removal.path for removal in removals]:
            if not is_path(path):
                raise files.Damaged("its index names a file that no store has")
        if not all(isinstance(item.mtime_ns, int) and isinstance(item.sha256, str) for item in items):
            raise files.Damaged("its index is none of hermesguard")
        return cls(items, removals)


def is_path(path: object) -> bool:
    """Return whether `path` can be that of a file in a store: nothing else is ever written."""
    if not isinstance(path, str):
        return False
    if path in PLAIN_FILES:
        return True
    room, _, rest = path.partition("/")
    if room == "shadows":
        return rest.endswith(".json") and is_session_id(rest[:-5])
    session, _, name = rest.partition("/")
    return room == "history" and is_session_id(session) and _VERSION_FILE.fullmatch(name) is not None


def session_of(path: str) -> str | None:
    """Return the session that a file of the store belongs to; None when to none."""
    if path.startswith("shadows/"):
        return path[len("shadows/") : -len(".json")]
    return path.split("/", 2)[1] if path.startswith("history/") else None


def object_name(machine: str, now: datetime, last: str) -> str:
    """Return the name of the next object, which sorts behind `last`. It says when it was made, and nothing else."""
    time = now.astimezone(UTC)
    if last and (was := time_of(last)) and time <= was:
        time = was.fromtimestamp(was.timestamp() + 0.001, UTC)
    return f"{machine}/{time:%Y-%m}/{version_name(time)}-{os.urandom(8).hex()}{SUFFIX}"


def time_of(name: str) -> datetime | None:
    """Return when an object was made, by its name; None when the name is none of ours."""
    match = _NAME.fullmatch(name)
    try:
        return datetime.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


class _Digesting(io.RawIOBase):
    """Passes on what is written to a file, and remembers its digest and size."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hashed = hashlib.sha256()
        self.size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._file.write(data)
        self.hashed.update(data)
        self.size_bytes += len(data)
        return len(data)


class _Measured:
    """A file to be read by tarfile, whose digest is known afterwards."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.hashed = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = os.read(self._descriptor, size)
        self.hashed.update(data)
        return data


class Writing:
    """An object that is being made, in a file on this machine, which never holds plain text."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.index = Index()
        self.plain_bytes = 0
        self.size_bytes = 0
        self.sha256 = ""

    def add(self, path: str, data: bytes, mtime_ns: int, messages: int | None = None) -> Item:
        """Add a file with this content; return what the index says of it."""
        item = Item(path, len(data), hashlib.sha256(data).hexdigest(), mtime_ns, messages)
        self._tar.addfile(_member(path, len(data), mtime_ns), io.BytesIO(data))
        return self._added(item)

    def add_open(self, path: str, descriptor: int, messages: int | None = None) -> Item:
        """Add an open file piece by piece; return what the index says of it. OSError when it becomes shorter meanwhile."""
        found = os.fstat(descriptor)
        source = _Measured(descriptor)
        self._tar.addfile(_member(path, found.st_size, found.st_mtime_ns), source)  # type: ignore[arg-type]
        return self._added(Item(path, found.st_size, source.hashed.hexdigest(), found.st_mtime_ns, messages))

    def _added(self, item: Item) -> Item:
        self.index.items.append(item)
        self.plain_bytes += item.size_bytes
        return item

    def close(self, name: str) -> None:
        removed = "".join(f"{removal.path}\n" for removal in self.index.removals).encode()
        for path, data in ((REMOVED, removed), (INDEX, self.index.packed(name))):
            self._tar.addfile(_member(path, len(data), 0), io.BytesIO(data))


def _member(path: str, size_bytes: int, mtime_ns: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.size, member.mtime, member.mode = size_bytes, mtime_ns // 1_000_000_000, 0o600
    return member


@contextmanager
def writing(target: Path, name: str, recipients: Sequence[Any]) -> Iterator[Writing]:
    """Make an object in the file `target`; when the block ends it is whole and durable, and its size and digest are known.

    Raises OSError when the disk refuses; then there is no file.
    """
    import pyrage

    descriptor = files.open_new(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            digesting = _Digesting(file)
            with (
                _piped(lambda plain: pyrage.encrypt_io(plain, digesting, recipients)) as plain,
                gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, plain, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w|", bufsize=64 * 1024) as tar,
            ):
                made = Writing(tar)
                yield made
                made.close(name)
            file.flush()
            os.fsync(file.fileno())
        files.sync_directory(target.parent)
        made.size_bytes, made.sha256 = digesting.size_bytes, digesting.hashed.hexdigest()
    except BaseException:
        files.remove(target)
        raise


@contextmanager
def _piped(consume: Callable[[IO[bytes]], None]) -> Iterator[IO[bytes]]:
    """Yield a file to write into; `consume` reads it in a thread of its own, and what it raises is raised here."""
    reading, writing_end = os.pipe()
    failures: list[BaseException] = []

    def work() -> None:
        with os.fdopen(reading, "rb") as source:
            try:
                consume(source)
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        with os.fdopen(writing_end, "wb", buffering=256 * 1024) as target:
            yield target
    except BrokenPipeError:
        thread.join()
        if not failures:
            raise
    except BaseException:
        thread.join()
        raise
    thread.join()
    if failures:
        failure = failures[0]
        raise failure if isinstance(failure, OSError) else OSError(f"age could not encrypt: {failure}")


@contextmanager
def opened(source: Path, keys: Sequence[Any]) -> Iterator[tarfile.TarFile]:
    """Yield an object's tar, to be read from front to back. `files.Damaged` when it is not what was made, or for other keys."""
    import pyrage

    reading, writing_end = os.pipe()
    failures: list[Exception] = []

    def work() -> None:
        with os.fdopen(writing_end, "wb", buffering=256 * 1024) as target, suppress(BrokenPipeError):
            try:
                with open(source, "rb") as file:
                    pyrage.decrypt_io(file, target, keys)
            except Exception as error:  # noqa: BLE001 - raised again by the thread that reads
                failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        with (
            os.fdopen(reading, "rb", buffering=256 * 1024) as plain,
            gzip.GzipFile(fileobj=plain, mode="rb") as packed,
            tarfile.open(fileobj=packed, mode="r|") as tar,
        ):
            yield tar
            while packed.read(64 * 1024):
                pass  # to the last chunk, which says that nothing was cut off
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, ValueError) as error:
        thread.join()
        raise _unreadable(failures[0] if failures else error) from None
    except OSError as error:
        if isinstance(error, files.Damaged) or not failures:
            raise
        raise _unreadable(failures[0]) from None
    thread.join()
    if failures:
        raise _unreadable(failures[0])


def members(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield path and content of each file in an object, the index last. `files.Damaged` when one has no place in a store."""
    for member in tar:
        content = tar.extractfile(member) if member.isreg() else None
        if content is None or not (member.name in (INDEX, REMOVED) or is_path(member.name)):
            raise files.Damaged("it holds a file that no store has")
        yield member.name, content


def read_index(content: IO[bytes]) -> Index:
    """Return the index that an object ends with. Raises `files.Damaged`."""
    return Index.parsed(content.read(_LONGEST_INDEX_BYTES))
