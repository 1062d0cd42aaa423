"""What the guard holds of each session, in memory and on disk, also while the disk refuses.

Memory runs ahead of the store: a repair works from the newest good copy even when the store could not take it. What the store
refused is owed, tried again at every sweep, and told once.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hermesguard.clock import Clock
from hermesguard.memory import Copy, Memory
from hermesguard.report import Reporter
from hermesguard.session import Unreadable
from hermesguard.store import Store, version_name
from hermesguard.tails import change


@dataclass(slots=True)
class _Version:
    data: bytes
    rows: int
    reason: str
    time: datetime


@dataclass(slots=True)
class _Owed:
    versions: list[_Version] = field(default_factory=list)
    shadow: tuple[Copy, int] | None = None


Repeated = Sequence[tuple[int, int, int]]

# A small file is copied as fast as its change is appended.
SMALLEST_TAILED_BYTES = 16 * 1024
QUIET_SECONDS = 60.0


class Keeper:
    """Owner of shadows and history while the guard runs."""

    def __init__(self, store: Store, memory: Memory, reporter: Reporter, clock: Clock) -> None:
        self.store = store
        self._memory = memory
        self._reporter = reporter
        self._clock = clock
        self._owed: dict[str, _Owed] = {}
        self._broken = ""
        self._tails: dict[str, tuple[int, float]] = {}

    @property
    def broken(self) -> str:
        """Why the store takes nothing at present; empty when it does."""
        return self._broken

    def shadow(self, session: str) -> Copy | None:
        """Return the newest good copy, None when there is none (or only a damaged one, which is told)."""
        now = self._clock.monotonic()
        if copy := self._memory.get(session, now):
            return copy
        if (owed := self._owed.get(session)) and owed.shadow:
            return self._memory.put(session, owed.shadow[0], now)
        try:
            copy = Copy(self.store.read_shadow(session))
            _ = copy.abridged
            copy.is_stored = True
        except FileNotFoundError:
            return None
        except (OSError, Unreadable) as error:
            self._reporter.tell(
                "verify_failed", session=session, path=str(self.store.shadow_path(session)), error=str(error)
            )
            return None
        return self._memory.put(session, copy, now)

    def has_shadow(self, session: str) -> bool:
        """Return whether there is any copy of the session."""
        return session in self._owed or self.store.has_shadow(session)

    def keep(
        self, session: str, copy: Copy, mtime_ns: int, before: Copy | None = None, repeated: Repeated = ()
    ) -> bool:
        """Make `copy` the shadow; return whether the store has it durably (else it is owed).

        `repeated` says which bytes of the copy `before` it repeats: then only the others need be written.
        """
        self._memory.put(session, copy, self._clock.monotonic())
        if (
            before
            and before.is_stored
            and repeated
            and session not in self._owed
            and self._keep_change(session, copy, mtime_ns, before, repeated)
        ):
            return True
        self._owed.setdefault(session, _Owed()).shadow = (copy, mtime_ns)
        return self._pay(session)

    def _keep_change(self, session: str, copy: Copy, mtime_ns: int, before: Copy, repeated: Repeated) -> bool:
        """Write only what changed, into the shadow's tail; return whether that was possible."""
        tail_bytes, _ = self._tails.get(session, (0, 0.0))
        if len(copy.data) < SMALLEST_TAILED_BYTES or tail_bytes > max(
            SMALLEST_TAILED_BYTES, len(copy.data) // 2
        ):
            return False
        entry = change(before.data, copy.data, repeated, mtime_ns, copy.count)
        try:
            tail_bytes += self.store.keep_change(session, entry)
        except OSError as error:
            self.refused(error)
            return False
        before.is_stored, copy.is_stored = False, True
        self._tails[session] = (tail_bytes, self._clock.monotonic())
        return True

    def fold_tails(self, quiet_seconds: float = QUIET_SECONDS) -> None:
        """Make plain copies of the shadows whose sessions have been quiet for so long."""
        now = self._clock.monotonic()
        for session in [name for name, (_, since) in self._tails.items() if now - since >= quiet_seconds]:
            try:
                self.store.fold(session)
            except OSError as error:
                self.refused(error)
                return
            del self._tails[session]

    def find_tails(self) -> None:
        """Take over the tails that a guard before this one left behind."""
        self._tails = dict.fromkeys(self.store.tailed(), (0, -QUIET_SECONDS))

    def version(self, session: str, data: bytes, rows: int, reason: str) -> str:
        """Put `data` into the history, or owe it; return the name of the version that holds (or will hold) it."""
        version = _Version(data, rows, reason, self._clock.now())
        if session not in self._owed:
            try:
                return self.store.add_version(session, data, rows, reason, version.time).name
            except OSError as error:
                self.refused(error)
        self._owed.setdefault(session, _Owed()).versions.append(version)
        return version_name(version.time)

    def touch(self, session: str, mtime_ns: int) -> None:
        """Note that live, unchanged in content, has a new mtime."""
        try:
            self.store.touch(session, mtime_ns)
        except OSError as error:
            self.refused(error)

    def forget(self, session: str) -> bool:
        """Remove the shadow; return whether the store could (a version that it needs must be durable first)."""
        if session in self._owed and not self._pay(session):
            return False
        try:
            self.store.forget(session)
        except OSError as error:
            self.refused(error)
            return False
        self._memory.forget(session)
        return True

    def rename(self, session: str, new_session: str) -> None:
        """Let shadow and history follow a session to its new id."""
        self._pay(session)
        try:
            self.store.rename(session, new_session)
        except OSError as error:
            self.refused(error)
        self._memory.forget(session)

    def drop(self, session: str) -> None:
        """Forget what is held of a session in memory (its files are gone)."""
        self._memory.forget(session)
        self._owed.pop(session, None)

    def pay_debts(self) -> None:
        """Try again what the store refused, and tell when all of it is there."""
        for session in list(self._owed):
            if not self._pay(session):
                return
        if self._broken:
            self._broken = ""
            self._reporter.tell("store_healed", path=str(self.store.root))

    def owes(self, session: str) -> bool:
        """Return whether something of the session is in memory only."""
        return session in self._owed

    def forget_idle(self) -> None:
        """Give memory back that nobody needs."""
        self._memory.forget_idle(self._clock.monotonic())

    def _pay(self, session: str) -> bool:
        owed = self._owed.get(session)
        if owed is None:
            return True
        try:
            while owed.versions:
                first = owed.versions[0]
                self.store.add_version(session, first.data, first.rows, first.reason, first.time)
                owed.versions.pop(0)
            if owed.shadow:
                copy, mtime_ns = owed.shadow
                self.store.keep(session, copy.data, mtime_ns, copy.count)
                copy.is_stored = True
                self._tails.pop(session, None)
        except OSError as error:
            self.refused(error)
            return False
        del self._owed[session]
        return True

    def refused(self, error: OSError) -> None:
        """Note that the store took something not, and tell it once for each reason."""
        reason = os.strerror(error.errno) if error.errno else str(error)
        if reason != self._broken:
            self._broken = reason
            self._reporter.tell("store_broken", path=str(self.store.root), error=reason)
