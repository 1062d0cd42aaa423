"""The copies of each session, in the cache and on disk, also while the disk refuses.

The cache runs ahead of the store: a repair works from the newest good copy even when the store could not take it. What the store
refused is a pending write, retried at every scan, and reported once. When the disk is full, old versions go first.
"""

import errno
import math
import os
import threading
import zlib
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from hermesguard import files
from hermesguard.clock import Clock
from hermesguard.events.reporter import Reporter
from hermesguard.events.shield import Shield
from hermesguard.pieces import Content, pieces_of
from hermesguard.store.cache import Cache, Copy
from hermesguard.store.delta_log import change, most_bytes
from hermesguard.store.history import WITHDRAWN, digest, version_name
from hermesguard.store.store import Store
from hermesguard.store.upkeep.pending import Pending, PendingVersion, compressed
from hermesguard.webui.delta import Made, parts
from hermesguard.webui.session import Broken, TooDense, Unreadable

T = TypeVar("T")

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# When one session cannot be served for such a reason, none can: trying all of them would cost as much as writing them.
_SAME_FOR_ALL = FULL | {errno.EROFS, errno.ESTALE, errno.EMFILE, errno.ENFILE}

# A small file is copied as fast as its change is appended.
SMALLEST_LOGGED_BYTES = 16 * 1024
QUIET_SECONDS = 60.0
# A clock that was set back by more is taken at its word.
CLOCK_TOLERANCE = timedelta(seconds=60)


class Copies:
    """Owner of shadows and history while the guard runs."""

    def __init__(self, store: Store, cache: Cache, reporter: Reporter, clock: Clock, shield: Shield) -> None:
        self.store = store
        self._shield = shield
        self.relieve: Callable[[int], int] = lambda needed_bytes: 0
        """Gives old history up to gain so many bytes on a full disk; returns how many it gained."""
        self.also_pending: list[Callable[[], None]] = []
        """What else waits for the store: each writes it, or raises OSError."""
        self.make_durable: Callable[[str], None] = lambda session: None
        """Makes a first copy durable before it is used (module first_copies). Raises OSError."""
        self.withdrawn: float | None = None
        """When something that was taken away went into the history (monotonic), until a prune has seen to it."""
        self._cache = cache
        self._reporter = reporter
        self._clock = clock
        self._pending: dict[str, Pending] = {}
        self._broken = ""
        self._reported: set[str] = set()
        self._damaged: dict[str, str] = {}
        self._delta_logs: dict[str, tuple[int, float]] = {}
        self._is_hopeless = False
        self._newest: datetime | None = None
        self._naming = threading.Lock()
        self.pinned = self._cache.pinned

    @property
    def cache_bytes(self) -> int:
        """How many bytes of copies may be in memory."""
        return self._cache.limit_bytes

    @cache_bytes.setter
    def cache_bytes(self, limit_bytes: int) -> None:
        self._cache.limit_bytes = limit_bytes

    @property
    def broken(self) -> str:
        """Why the store is not writable at present; empty when it is."""
        return self._broken

    def cached(self, session: str) -> Copy | None:
        """Return the newest good copy if it is in memory."""
        return self._cache.get(session, self._clock.monotonic())

    def shadow(self, session: str) -> Copy | None:
        """Return the newest good copy, None when there is none, or only a damaged one (reported once).

        Raises OSError when the store does not let it be read now: that says nothing about the session.
        """
        if copy := self.cached(session):
            return copy
        now = self._clock.monotonic()
        if (pending := self._pending.get(session)) and pending.shadow:
            return self._cache.put(session, pending.shadow[0], now)
        self.make_durable(session)
        try:
            copy = Copy(self.store.read_shadow(session))
            _ = copy.abridged
            copy.is_stored = True
        except FileNotFoundError:
            return None
        except TooDense:
            raise self.too_dense(session) from None
        except (files.Damaged, Broken) as error:
            self.report_damage(session, str(error))
            return None
        return self._cache.put(session, copy, now)

    def too_dense(self, session: str) -> files.TooLarge:
        """Note that a session's shadow takes too much memory to be read; return the error that says so."""
        self.store.too_dense.add(session)
        path = self.store.shadow_path(session)
        return files.TooLarge(path, files.Stamp.of(os.lstat(path)), self.store.limit_bytes or 0)

    def hold(self, session: str, copy: Copy) -> None:
        """Take a copy that was read from the store into the cache."""
        copy.is_stored = True
        self._cache.put(session, copy, self._clock.monotonic())

    def report_damage(self, session: str, error: str) -> None:
        """Report that the shadow of a session is damaged, once for each reason."""
        if self._damaged.get(session) != error:
            self._damaged[session] = error
            self._reporter.report(
                "verify_failed", session=session, path=str(self.store.shadow_path(session)), error=error
            )

    def rebuild(self, session: str) -> bool:
        """Write a damaged shadow again from what is in memory; return whether there was anything to write."""
        copy = self.cached(session)
        if copy is None or not copy.is_stored:
            return False
        if self.keep(session, copy, 0):
            path = str(self.store.shadow_path(session))
            self._reporter.report("shadow_rebuilt", session=session, path=path, messages_after=copy.count)
        return True

    def is_damaged(self, session: str) -> bool:
        """Return whether the only copy of the session that is left was found to be damaged."""
        return session in self._damaged

    def salvage(self, session: str) -> tuple[Copy | None, int | None]:
        """Return what of a damaged copy still reads as a session, and how many messages it had as long as it was good.

        None for what is not known. What is left is put into the history as it is.
        """
        noted = self.store.shadow_note(session)
        left = self.store.salvage(session)
        copy = None
        if left is not None:
            self.version(session, left, 0, "damaged")
            try:
                copy = Copy(left)
                _ = copy.document
            except Unreadable:
                copy = None
        return copy, noted[1] if noted else None

    def has_shadow(self, session: str) -> bool:
        """Return whether there is any copy of the session; OSError when the store cannot be read now."""
        return session in self._pending or self.store.has_shadow(session)

    def keep(
        self, session: str, copy: Copy, mtime_ns: int, before: Copy | None = None, made: Made = None
    ) -> bool:
        """Make `copy` the shadow; return whether the store has it durably (else it is pending).

        `before` is the copy that it follows, if it does: then only what differs need be written; it is `made` so (module delta).
        """
        self._cache.put(session, copy, self._clock.monotonic())
        self._damaged.pop(session, None)
        if (
            before
            and before.is_stored
            and session not in self._pending
            and self._keep_change(session, copy, mtime_ns, before, made)
        ):
            return True
        self._pending.setdefault(session, Pending()).shadow = (copy, mtime_ns)
        return self._retry(session)

    def _keep_change(self, session: str, copy: Copy, mtime_ns: int, before: Copy, made: Made) -> bool:
        """Write only what changed, into the shadow's delta log; return whether that was possible."""
        log_bytes, new = self._delta_logs.get(session, (0, 0.0))[0], copy.abridged
        size_bytes = new.size_bytes
        if size_bytes < SMALLEST_LOGGED_BYTES or log_bytes > most_bytes(size_bytes, SMALLEST_LOGGED_BYTES):
            return False
        line = change(made or parts(before.abridged, new), size_bytes, mtime_ns, new.count, new.checksum())
        try:
            self.store.keep_change(session, line)
        except OSError:
            return False  # the whole of it is tried next, and what that meets is reported
        before.is_stored, copy.is_stored = False, True
        self._delta_logs[session] = (log_bytes + len(line), copy.used)
        return True

    def flush_delta_logs(self, quiet_seconds: float = QUIET_SECONDS) -> Iterator[None]:
        """Make plain copies of the shadows whose sessions have been quiet for so long; yields between them, for other work."""
        for session in list(self._delta_logs):
            since = self._delta_logs.get(session, (0, math.inf))[1]
            if self._clock.monotonic() - since < quiet_seconds:
                continue
            try:
                self.store.fold(session)
            except files.Damaged as error:
                self._replace_damaged_log(session, error)
            except OSError as error:
                self.refused(error)
                return
            except Exception as error:  # noqa: BLE001
                self._shield.caught("fold", session, error)
            self._delta_logs.pop(session, None)
            yield

    def _replace_damaged_log(self, session: str, error: files.Damaged) -> None:
        if (copy := self.cached(session)) and copy.is_stored:
            self.keep(session, copy, 0)
        else:
            self.report_damage(session, str(error))

    def find_delta_logs(self) -> None:
        """Take over the delta logs that a guard before this one left behind."""
        self._delta_logs = dict.fromkeys(self.store.with_delta_logs(), (0, -QUIET_SECONDS))

    def version(self, session: str, data: Content, messages: int, reason: str) -> str:
        """Put `data` into the history, or owe it; return the name of the version that holds (or will hold) it."""
        now = self.version_time()
        if reason in WITHDRAWN and self.withdrawn is None:
            self.withdrawn = self._clock.monotonic()
        pending = self._pending.get(session)
        if pending is None:
            try:
                return self._add_version(session, data, messages, reason, now)
            except OSError as error:
                self.refused(error)
            pending = self._pending[session] = Pending()
        known = digest(data)
        for version in pending.versions:
            if version.digest == known and version.reason == reason:
                return version_name(version.time)
        # It may have to wait for long, and others with it.
        pending.versions.append(PendingVersion(compressed(data), known, messages, reason, now))
        return version_name(now)

    def version_time(self) -> datetime:
        """Return the time for a version: its name, so that no two may have the same. Any thread may ask."""
        with self._naming:
            now = self._clock.now()
            if self._newest and timedelta(0) <= self._newest - now < CLOCK_TOLERANCE:
                now = self._newest + timedelta(microseconds=1)
            self._newest = now
            return now

    def _add_version(self, session: str, data: Content, messages: int, reason: str, time: datetime) -> str:
        write = partial(self.store.add_version, session, data, messages, reason, time)
        kept = self._relieved(pieces_of(data).size_bytes, write)
        if self.store.written_before.is_untold(kept.path) or kept.time == time:
            self._reporter.report(
                "version_kept",
                session=session,
                version=kept.name,
                messages_before=kept.messages,
                reason=kept.reason,
                size_bytes=kept.size_bytes,
                path=str(kept.path),
            )
        return kept.name

    def remove_version(self, session: str, name: str) -> None:
        """Remove a version of the history that is not needed any more."""
        try:
            for version in self.store.versions(session):
                if version.name == name:
                    self.store.remove_version(version)
        except OSError as error:
            self.refused(error)

    def _relieved(self, needed_bytes: int, write: Callable[[], T]) -> T:
        """Return what `write` returns; while the disk is full, old versions are removed for it. Raises OSError."""
        while True:
            try:
                return write()
            except OSError as error:
                if error.errno not in FULL or not self.relieve(needed_bytes):
                    raise

    def touch(self, session: str, mtime_ns: int) -> None:
        """Note that live, unchanged in content, has a new mtime."""
        try:
            self.store.touch(session, mtime_ns)
        except OSError as error:
            self.refused(error)

    def forget(self, session: str) -> bool:
        """Remove the shadow; return whether the store could (a version that it needs must be durable first)."""
        if session in self._pending and not self._retry(session):
            return False
        try:
            self.store.forget(session)
        except OSError as error:
            self.refused(error)
            return False
        self._cache.forget(session)
        return True

    def rename(self, session: str, new_session: str) -> bool:
        """Let shadow and history follow a session to its new id; return whether the store could."""
        if not self._retry(session):
            return False
        try:
            self.store.rename(session, new_session)
        except OSError as error:
            self.refused(error)
            return False
        self._cache.forget(session)
        return True

    def drop(self, session: str) -> None:
        """Forget what is held of a session in memory (its files are gone)."""
        self._cache.forget(session)
        self._pending.pop(session, None)
        self._damaged.pop(session, None)
        self._delta_logs.pop(session, None)

    def retry_pending(self) -> Iterator[None]:
        """Try again what the store refused, and report when all of it is there and it is writable again; yields as above."""
        count = len(self._pending)
        for session in list(self._pending):
            is_kept = self._shield.run("store", session, partial(self._retry, session), False)
            if not is_kept and self._is_hopeless:
                return
            yield
        if not self._broken or self._pending:
            return
        try:
            self.store.place.check()
            for write in self.also_pending:
                write()
            files.prove_writable(self.store.root)
        except OSError as error:
            self.refused(error)
            return
        self._broken = ""
        self._reported.clear()
        self._reporter.report("store_recovered", path=str(self.store.root), count=count)

    @property
    def pending(self) -> Collection[str]:
        """The sessions of which something is in memory only."""
        return self._pending

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be written, and nothing is in memory that time takes away."""
        return not (self._pending or self._broken or self._delta_logs or self._cache)

    def has_pending(self, session: str) -> bool:
        """Return whether something of the session is in memory only."""
        return session in self._pending

    def forget_idle(self) -> None:
        """Give back memory that is not needed."""
        self._cache.forget_idle(self._clock.monotonic())

    def _retry(self, session: str) -> bool:
        pending = self._pending.get(session)
        if pending is None:
            return True
        self._is_hopeless = False
        try:
            while pending.versions:
                first = pending.versions[0]
                data = zlib.decompress(first.packed)
                self._add_version(session, data, first.messages, first.reason, first.time)
                pending.versions.pop(0)
            if pending.shadow:
                copy, mtime_ns = pending.shadow
                self._relieved(
                    copy.size_bytes, lambda: self.store.keep(session, copy.content, mtime_ns, copy.count)
                )
                copy.is_stored = True
                self._delta_logs.pop(session, None)
        except OSError as error:
            self._is_hopeless = error.errno in _SAME_FOR_ALL
            self.refused(error)
            return False
        del self._pending[session]
        return True

    def refused(self, error: OSError) -> None:
        """Note that the store refused a write, and report each reason once until it is writable again."""
        reason = os.strerror(error.errno) if error.errno else str(error)
        self._broken = reason
        if reason not in self._reported:
            self._reported.add(reason)
            self._reporter.report("store_broken", path=str(self.store.root), error=reason)
