"""A store again, out of the storage and a private key alone: all of it, some sessions, or as it was at a time.

Objects are read from the newest to the oldest, each once; the first copy of a file that fits is taken. What is taken is
compared with the digest in the object's index. An object that cannot be read costs nothing but what only it holds.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError
from hermesguard.offsite import batch
from hermesguard.offsite.batch import Item, session_of
from hermesguard.offsite.bucket import Bucket, BucketError, Stored, folders
from hermesguard.store.history import DELETED, DIGEST_CHARACTERS, LEFT_AWAY

_WORK: Final = ".restoring"
_TRIES: Final = 6
_PIECE_BYTES: Final = 1024 * 1024
_SAVE_TO_VISIT_NS: Final = 5_000_000_000
"""A version is named some time after the save that displaced it."""
_NEVER_GOOD: Final = frozenset({"displaced", "leftover", "salvaged"})


@dataclass
class Restored:
    """What came of it."""

    sessions: int = 0
    versions: int = 0
    messages: int = 0
    objects: int = 0
    damaged: list[tuple[str, str]] = field(default_factory=list)
    """Objects that could not be read, and why."""


@dataclass
class _Session:
    """What was found of a session, when a time was asked for."""

    copy: Item | None = None
    before: tuple[datetime, str] | None = None
    """Time and reason of the newest version that is not younger than the time."""
    after: tuple[datetime, str] | None = None
    """Time and path of the oldest version that is younger: what it holds was the shadow until then."""
    removed_ns: list[int] = field(default_factory=list)


def choose_folder(found: dict[str, list[Stored]], wanted: str | None) -> list[Stored]:
    """Return the objects of the folder that is meant, the oldest first; GuardError when there is none, or several."""
    ours = {
        name: kept
        for name, objects in found.items()
        if (kept := [one for one in objects if batch.time_of(one.name)])
    }
    if not ours:
        raise GuardError(
            "There are no copies of hermesguard in there",
            "Compare --url with what `hermesguard offsite status` says on the machine that made them",
            ExitCode.NOT_FOUND,
        )
    if wanted is None and len(ours) == 1:
        return next(iter(ours.values()))
    if wanted in ours:
        return ours[wanted]
    listed = "\n".join(
        f"  {name}  {len(kept)} objects, the newest of {batch.time_of(kept[-1].name):%Y-%m-%d %H:%M} UTC"
        for name, kept in ours.items()
    )
    what = f"There is no folder {wanted!a}" if wanted else f"{len(ours)} machines or stores have copies there"
    raise GuardError(what, f"Name one with --from FOLDER:\n{listed}", ExitCode.NOT_FOUND)


def fetch(bucket: Bucket, one: Stored, target: Path, pause: Callable[[float], None] = time.sleep) -> None:
    """Write an object to a file, in several tries. BucketError when it cannot be had; FileNotFoundError when it is gone."""
    for attempt in range(1, _TRIES + 1):
        try:
            bucket.fetch(one.name, target)
            return
        except BucketError as error:
            if error.is_refusal or attempt == _TRIES:
                raise
            pause(0.5 * 2.0**attempt)


class Restoring:
    """One restore into an empty directory."""

    def __init__(
        self,
        bucket: Bucket,
        keys: Sequence[Any],
        into: Path,
        sessions: Sequence[str] = (),
        at: datetime | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._bucket = bucket
        self._keys = keys
        self._into = into
        self._work = into / _WORK
        self._asked = tuple(sessions)
        self._at = at
        self._at_ns = int(at.timestamp() * 1e9) if at else None
        self._progress = progress
        self._taken: dict[str, Item] = {}
        self._gone: set[str] = set()
        self._found: dict[str, _Session] = {}
        self._result = Restored()
        self._strange = 0
        """How many objects are encrypted for other keys."""

    def run(self, folder: str | None = None) -> Restored:
        """Restore; GuardError when nothing is there, the directory is not empty, or the storage refuses. Nothing half stays."""
        self._prepare()
        try:
            objects = choose_folder(folders(self._bucket.names()), folder)
            for number, one in enumerate(reversed(objects), 1):
                self._read(one)
                self._progress(number, len(objects))
            if self._strange == len(objects):
                raise GuardError(
                    f"None of the {len(objects)} objects is encrypted for this key",
                    "Name the identity whose public key stands in [offsite] recipients of the machine that made them",
                    ExitCode.NOT_FOUND,
                )
            if self._at is not None:
                self._set_times()
                self._require_something(objects)
            self._finish()
        except BucketError as error:
            raise GuardError(
                f"The copies cannot be read: {error}",
                "Nothing was restored; try again when the storage answers",
            ) from None
        finally:
            shutil.rmtree(self._work, ignore_errors=True)
        return self._result

    def _prepare(self) -> None:
        try:
            files.make_directory(self._into)
            others = set(files.names(self._into)) - {_WORK}
            if others:
                raise GuardError(
                    f"{self._into} is not empty",
                    "Name a directory that is empty, or none yet",
                    ExitCode.REFUSED,
                )
            shutil.rmtree(self._work, ignore_errors=True)
            for name in ("shadows", "history", "later"):
                files.make_directory(self._work / name)
        except OSError as error:
            raise GuardError(
                f"{self._into} cannot be used: {error.strerror}", "Name another directory"
            ) from None

    def _require_something(self, objects: list[Stored]) -> None:
        """Raise GuardError when the copies hold nothing of the time that was asked for."""
        if not self._asked and not any(path.startswith(("shadows/", "history/")) for path in self._taken):
            raise GuardError(
                "The copies hold nothing as of that time",
                f"The oldest of them was made at {batch.time_of(objects[0].name):%Y-%m-%d %H:%M} UTC: name a later time",
                ExitCode.NOT_FOUND,
            )

    # -- one object

    def _read(self, one: Stored) -> None:
        fetched = self._work / "object"
        placed: dict[str, tuple[str, int]] = {}
        index: batch.Index | None = None
        try:
            fetch(self._bucket, one, fetched)
            with batch.opened(fetched, self._keys) as tar:
                for path, content in batch.members(tar):
                    if path == batch.INDEX:
                        index = batch.read_index(content)
                    elif path != batch.REMOVED and self._wants(path):
                        placed[path] = _copied(content, self._target(path))
            if index is None:
                raise files.Damaged("it has no index")
            self._result.objects += 1
        except FileNotFoundError:
            self._result.damaged.append((one.name, "it was removed meanwhile"))
        except files.Damaged as error:
            self._strange += isinstance(error, batch.ForAnother)
            self._result.damaged.append((one.name, str(error)))
        self._finish_one(one, index, placed)

    def _target(self, path: str) -> Path:
        if self._at_ns is not None and path.startswith("history/") and _version_time(path) > self._at:  # type: ignore[operator]
            return self._work / "later" / path.split("/")[1]
        target = self._work / path
        files.make_directory(target.parent)
        return target.with_name(f"{target.name}.new")

    def _wants(self, path: str) -> bool:
        session = session_of(path)
        if session is None:
            return path not in self._taken
        if self._asked and not any(session.startswith(text) for text in self._asked):
            return False
        if path in self._taken:
            return False
        if self._at is None:
            return path not in self._gone
        if path.startswith("history/"):
            return self._wants_version(session, path)
        return True

    def _wants_version(self, session: str, path: str) -> bool:
        assert self._at is not None
        version, reason = _version_time(path), path.rpartition("/")[2].split("-")[2]
        known = self._found.setdefault(session, _Session())
        if version <= self._at:
            if reason not in _NEVER_GOOD and (known.before is None or version > known.before[0]):
                known.before = (version, reason)
            return True
        return reason not in _NEVER_GOOD and (known.after is None or version < known.after[0])

    def _finish_one(self, one: Stored, index: batch.Index | None, placed: dict[str, tuple[str, int]]) -> None:
        """Keep of what was written what the index confirms."""
        items = {item.path: item for item in index.items} if index else {}
        for path, (sha256, size_bytes) in placed.items():
            item = items.get(path)
            target = self._target(path)
            if item is None or (item.sha256, item.size_bytes) != (sha256, size_bytes):
                files.remove(target)
                if index is not None:
                    self._result.damaged.append((one.name, f"{path} has another digest than its index says"))
                continue
            self._keep(path, item, target)
        for removal in index.removals if index else ():
            session = session_of(removal.path)
            if removal.path not in self._taken:
                self._gone.add(removal.path)
            if session and removal.path.startswith("shadows/"):
                self._found.setdefault(session, _Session()).removed_ns.append(removal.time_ns)

    def _keep(self, path: str, item: Item, target: Path) -> None:
        if self._at_ns is not None:
            session = session_of(path)
            if target.parent.name == "later" and session:
                self._found[session].after = (_version_time(path), path)
                return
            if not path.startswith("history/") and path != "format" and item.mtime_ns > self._at_ns:
                files.remove(target)
                return
            if session and path.startswith("shadows/"):
                self._found.setdefault(session, _Session()).copy = item
        final = self._work / path
        os.rename(target, final)
        _dress(final, item)
        self._taken[path] = item

    # -- a time

    def _set_times(self) -> None:
        """Choose of each session what was its newest good copy at the time."""
        for session, known in self._found.items():
            shadow = self._work / "shadows" / f"{session}.json"
            path = f"shadows/{session}.json"
            copy = known.copy if known.copy and self._was_there(known) else None
            is_near = copy is not None and (
                known.before is None or copy.mtime_ns >= known.before[0].timestamp() * 1e9 - _SAVE_TO_VISIT_NS
            )
            if known.after and not is_near:
                copy = self._from_version(session, known.after[1], shadow)
            if copy is None:
                files.remove(shadow)
                self._taken.pop(path, None)
            else:
                self._taken[path] = copy

    def _was_there(self, known: _Session) -> bool:
        assert known.copy is not None
        assert self._at_ns is not None
        ends = [time_ns for time_ns in known.removed_ns if time_ns <= self._at_ns]
        if known.before and known.before[1] in (DELETED, LEFT_AWAY):
            ends.append(int(known.before[0].timestamp() * 1e9))
        return all(known.copy.mtime_ns >= end for end in ends)

    def _from_version(self, session: str, path: str, shadow: Path) -> Item:
        import gzip

        data = gzip.decompress((self._work / "later" / session).read_bytes())
        messages = int(path.rpartition("/")[2].split("-")[1])
        assert self._at_ns is not None
        item = Item(path, len(data), hashlib.sha256(data).hexdigest(), self._at_ns, messages)
        shadow.write_bytes(data)
        shadow.chmod(0o600)
        _dress(shadow, item)
        return item

    # -- the end

    def _finish(self) -> None:
        shadows = [item for path, item in self._taken.items() if path.startswith("shadows/")]
        versions = {path for path in self._taken if path.startswith("history/")}
        sessions = {session_of(path) for path in self._taken} - {None}
        if self._asked:
            for text in self._asked:
                if not any(str(session).startswith(text) for session in sessions):
                    raise GuardError(
                        f"The copies hold no session whose id begins with {text!a}",
                        "Restore all of them, and look with: hermesguard find --store DIR WORDS",
                        ExitCode.NOT_FOUND,
                    )
        self._result.sessions = len(sessions)
        self._result.versions = len(versions)
        self._result.messages = sum(item.messages or 0 for item in shadows)
        for name in (*batch.PLAIN_FILES, "shadows", "history"):
            if (self._work / name).exists():
                os.rename(self._work / name, self._into / name)
        os.sync()


def _copied(content: IO[bytes], target: Path) -> tuple[str, int]:
    """Write a member of an object to a file; return its digest and size."""
    hashed, size_bytes = hashlib.sha256(), 0
    descriptor = files.open_new(target)
    try:
        while piece := content.read(_PIECE_BYTES):
            files.write_all(descriptor, piece)
            hashed.update(piece)
            size_bytes += len(piece)
    finally:
        os.close(descriptor)
    return hashed.hexdigest(), size_bytes


def _dress(path: Path, item: Item) -> None:
    """Give a file of a store the time and, to a shadow, the note that it had."""
    if item.messages is not None:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            files.write_note(descriptor, f"{item.sha256[:DIGEST_CHARACTERS]} {item.messages}".encode())
        finally:
            os.close(descriptor)
    files.set_mtime(path, item.mtime_ns)


def _version_time(path: str) -> datetime:
    return datetime.fromisoformat(path.rpartition("/")[2].partition("-")[0])
