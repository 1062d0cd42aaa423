"""Sessions that are too large to be read into memory: reported once, copied by the kernel, and still guarded.

Their shadow is a copy that was never parsed. When the live file is small again and nothing shows that this was intended, the
copy is restored without being parsed: its head, without the stream, and the rest of it as it is. What it displaces is kept
in the history. All copying is done in the background; what is done about it, by the loop.
"""

import contextlib
import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from hermesguard import copying, files
from hermesguard.files import Stamp
from hermesguard.guard.context import Context
from hermesguard.guard.large import head
from hermesguard.guard.large.background import Background
from hermesguard.guard.recorder import found as incident
from hermesguard.judge.judge import Action, Verdict
from hermesguard.repair import exchange
from hermesguard.store.cache import Copy
from hermesguard.store.history import COMPRESSION_LEVEL, DIGEST_CHARACTERS, version_name
from hermesguard.webui import session
from hermesguard.webui.directory import signature
from hermesguard.webui.session import Broken, Document, TooDense

REMEDY = "Give the guard more memory (MemoryHigh= and MemoryMax= of its unit), or raise max_session_bytes"
TORN_SECONDS = 1.0
_PIECE_BYTES = 4 * 1024 * 1024
_SHADOW_SUFFIX = ".large.tmp"
_LOST = Verdict(
    Action.LOSS,
    "too large to be read",
    ("the file lost nearly all of what it held, and nothing in it shows that this was intended",),
)


@dataclass(frozen=True, slots=True)
class _Made:
    """A file that was made in the background, under a name of its own."""

    path: Path
    of: Stamp
    """The file that it was made from."""
    digest: str = ""
    count: int = 0


class LargeSessions:
    """The sessions of one guard that are too large to be read."""

    def __init__(self, context: Context, background: Background) -> None:
        self._context = context
        self._store = context.copies.store
        self._background = background
        self._reported: set[str] = set()

    # -- the live file is too large

    def found(self, name: str, stamp: Stamp) -> None:
        """Report once that the live file is too large, and have its shadow made, if it is not that file's already."""
        context = self._context
        context.notes.in_order(name, signature(stamp), context.notes.seen.messages_of(name) or 0)
        context.notes.unreadable[name] = "too large to be read"
        context.copies.drop(name)
        self._store.too_dense.add(name)  # the copy that is made of it is not read either
        if name not in self._reported:
            self._reported.add(name)
            context.reporter.report(
                "too_large",
                session=name,
                path=str(context.directory.file(name)),
                size_bytes=stamp.size_bytes,
                limit_bytes=context.limit_bytes,
                remedy=REMEDY,
            )
        shadow = files.stamp(self._store.shadow_path(name))
        if (shadow is None or signature(shadow) != signature(stamp)) and not self._background.is_busy(name):
            self._background.start(
                name, partial(self._copied, name, stamp), partial(self._keep, name, shadow)
            )

    def found_dense(self, name: str) -> None:
        """As `found`, of a file that is small enough, but would take many times its size in memory."""
        if stamp := files.stamp(self._context.directory.file(name)):
            self.found(name, stamp)

    def _copied(self, name: str, stamp: Stamp) -> _Made | None:
        """Copy the live file into the store; None when it is no session, or has changed. In the background."""
        self._store.place.check()
        source, found = files.opened(self._context.directory.file(name), None)
        target = -1
        path = self._store.shadows_directory / f".{name}.json{_SHADOW_SUFFIX}"
        try:
            beginning = head.read(os.pread(source, head.HEAD_BYTES, 0))
            ending = os.pread(source, 64, max(0, found.st_size - 64)).rstrip()
            if beginning is None or not ending.endswith(b"}") or Stamp.of(found) != stamp:
                return None
            target = files.open_new(path)
            copying.copy_rest(source, target, 0, found.st_size, 0)
            digest = _digest(path)
            os.utime(target, ns=(known := files.kept_ns(stamp.mtime_ns), known))
            files.write_note(target, f"{digest} {beginning.count}".encode())
            os.fsync(target)
            if Stamp.of(os.fstat(source)) != stamp:
                files.remove(path)
                return None
            return _Made(path, stamp, digest, beginning.count)
        except BaseException:
            files.remove(path)
            raise
        finally:
            os.close(source)
            if target >= 0:
                os.close(target)

    def _keep(self, name: str, before: Stamp | None, made: _Made | None) -> None:
        """Make the copy the shadow; what was there goes into the history first, if it held more."""
        live = files.stamp(self._context.directory.file(name))
        if made is None:
            if live is not None and signature(live) != self._context.notes.seen.get(name):
                self._context.notes.revisit(name)
            return
        if before is not None and before.size_bytes > made.of.size_bytes:
            self._pack(name, "displaced", lambda _: self._install(name, made))
        else:
            self._install(name, made)

    def _install(self, name: str, made: _Made) -> None:
        try:
            self._store.replace_shadow(name, made.path)
        except OSError as error:
            files.remove(made.path)
            self._context.copies.refused(error)
            self._context.notes.revisit(name)
            return
        self._context.notes.seen.count(name, made.count)
        live = files.stamp(self._context.directory.file(name))
        if live is None or signature(live) != signature(made.of):
            self._context.notes.revisit(name)

    def _pack(self, name: str, reason: str, then: Callable[[str], None]) -> None:
        """Have the shadow put into the history in the background, and `then` called with the version's name."""
        try:
            history = self._store.history_of(name)  # what is set aside is reported: not in the background
        except OSError as error:
            self._context.copies.refused(error)
            self._context.notes.revisit(name)
            return
        self._background.start(name, partial(self._packed, name, history, reason), then)

    def _packed(self, name: str, history: Path, reason: str) -> str:
        """Put the shadow into the history without reading it at once; return the version's name. In the background."""
        self._store.place.check()
        shadow = self._store.shadow_path(name)
        noted = self._store.shadow_note(name)
        digest = (noted[0] if noted else _digest(shadow))[:DIGEST_CHARACTERS]
        count = noted[1] if noted else 0
        time = self._context.clock.now()
        target = history / _file_name(time, count, reason, digest)
        files.make_directory(target.parent)
        temporary = target.with_name(f".{target.name}.tmp")
        descriptor = files.open_new(temporary)
        try:
            with (
                open(descriptor, "wb") as raw,
                gzip.GzipFile("", "wb", COMPRESSION_LEVEL, raw, mtime=0) as packed,
            ):
                for piece in files.pieces(shadow, _PIECE_BYTES):
                    packed.write(piece)
                packed.close()
                raw.flush()
                os.fsync(raw.fileno())
            os.rename(temporary, target)
            files.sync_directory(target.parent)
        except BaseException:
            files.remove(temporary)
            raise
        return version_name(time)

    # -- the shadow is too large, the live file is not

    def judge(self, name: str, data: bytes, stamp: Stamp) -> None:
        """Judge a live file by the head of a shadow that is too large to be read, and act."""
        notes = self._context.notes
        if self._background.is_busy(name):
            notes.revisit(name)
            return
        live: Document | None = None
        try:
            live = session.parse(data)
        except TooDense:
            self.found(name, stamp)
            return
        except Broken:
            if notes.waited_seconds(name, data) < TORN_SECONDS:
                notes.defer(name, data, TORN_SECONDS)
                return
        shadow = files.stamp(self._store.shadow_path(name))
        known = self._head_of_shadow(name)
        if shadow is None or known is None:
            raise files.TooLarge(self._store.shadow_path(name), stamp, self._context.limit_bytes or 0)
        is_intended = live is not None and (
            known.is_marked_by(live) or 2 * stamp.size_bytes > shadow.size_bytes
        )
        if live is not None and is_intended:
            take = partial(self._take, name, Copy(data, live), stamp)
            self._pack(name, "intended", take)
        else:
            work = partial(self._staged, name, stamp, known)
            self._background.start(name, work, partial(self._put_back, name, data, stamp, known))

    def _head_of_shadow(self, name: str) -> head.Head | None:
        with contextlib.suppress(OSError):
            return head.read(next(files.pieces(self._store.shadow_path(name), head.HEAD_BYTES), b""))
        return None

    def _take(self, name: str, copy: Copy, stamp: Stamp, version: str) -> None:
        self._context.keep(name, copy, stamp)
        self._context.reporter.report(
            "intended", session=name, rule="too large to be read", messages_live=copy.count, version=version
        )

    def _staged(self, name: str, stamp: Stamp, known: head.Head) -> Path:
        """Write the repaired file beside the live one; return where. In the background."""
        source, found = files.opened(self._store.shadow_path(name), None)
        try:
            staged = exchange.stage(self._context.directory.file(name), [known.repaired], stamp)
            target = os.open(staged, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                copying.copy_rest(source, target, known.size_bytes, found.st_size, len(known.repaired))
                os.fsync(target)
            except BaseException:
                files.remove(staged)
                raise
            finally:
                os.close(target)
            return staged
        finally:
            os.close(source)

    def _put_back(self, name: str, data: bytes, stamp: Stamp, known: head.Head, staged: Path) -> None:
        """Make the staged file live, keep what it displaces, and write it down."""
        context = self._context
        path = context.directory.file(name)
        if files.stamp(path) != stamp:
            files.remove(staged)
            context.notes.revisit(name)
            context.notes.defer(name, None, 0.0)
            return
        exchange.exchange(staged, path)
        displaced = files.read(staged, context.limit_bytes)[0]
        version = context.keep_version(name, displaced, "displaced")
        if not context.copies.has_pending(name):
            files.remove(staged)
        with contextlib.suppress(OSError):
            files.sync_directory(path.parent)
        context.directory.correct_index(name, known.count)
        context.recorder.record(
            incident(
                "restored",
                "restored",
                name,
                _LOST,
                messages_before=known.count,
                messages_after=known.count,
                displaced=version,
            )
        )
        context.notes.totals.restored += 1
        context.back_off.repaired(name, context.clock.monotonic())
        if found := files.stamp(path):
            self.found(name, found)

    # -- the file of a session with such a shadow is gone

    def is_missing(self, name: str) -> None:
        """Judge a session whose file is gone: a deletion that the application has noted stands, all else is reported."""
        context = self._context
        if self._background.is_busy(name):
            return
        if context.directory.has_tombstone(name):
            self._pack(name, "deleted", partial(self._forget, name))
        elif not context.recorder.open_incident(name, "warned"):
            evidence = ("its copy is too large to be read", f"copy it back: {self._store.shadow_path(name)}")
            verdict = Verdict(Action.UNCERTAIN, "too large to be read", evidence)
            context.recorder.record(incident("missing", "warned", name, verdict, messages_live=0))

    def _forget(self, name: str, version: str) -> None:
        if self._context.copies.forget(name):
            self._context.notes.forget(name)
            self._context.reporter.report("deleted", session=name, version=version)


def _digest(path: Path) -> str:
    descriptor, _ = files.opened(path, None)
    try:
        return copying.digest_of(descriptor)[:DIGEST_CHARACTERS]
    finally:
        os.close(descriptor)


def _file_name(time: datetime, count: int, reason: str, digest: str) -> str:
    return f"{version_name(time)}-{count}-{reason}-{digest}.json.gz"
