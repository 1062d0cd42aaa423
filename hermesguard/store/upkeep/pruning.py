"""Removing old versions: by the rules of retention, and, when the disk is full, before a new copy is refused.

What is removed is a version at a time, each by one unlink: a crash leaves the others whole.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from hermesguard.clock import Clock
from hermesguard.events.reporter import Reporter
from hermesguard.events.shield import Shield
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident
from hermesguard.store.store import Store
from hermesguard.store.upkeep import retention
from hermesguard.store.upkeep.retention import Decision, Rules

T = TypeVar("T")

TRUST_SECONDS: Final = 86400.0
"""How long nothing goes by its age after someone set the clock."""
YOUNG_SECONDS: Final = 3600.0
"""What is younger does not go for a full disk: it may be all that is left of what a user still works on."""
RECHECK_SECONDS: Final = 60.0
_HEADROOM_BYTES: Final = 1024 * 1024
_BLOCK_BYTES: Final = 4096


@dataclass
class Pruned:
    """What a prune found and did."""

    decisions: list[Decision] = field(default_factory=list)
    """Every version, when all were asked for, else only those that go or may go."""
    store_size_bytes: int = 0
    excess_bytes: int = 0
    """What is above `max_store_bytes` although all that may go has gone."""
    clock_is_trusted: bool = True

    @property
    def going(self) -> list[Decision]:
        """The versions that go."""
        return [decision for decision in self.decisions if decision.goes]

    def as_answer(self, dry_run: bool) -> Generator[None, None, dict[str, Any]]:
        """Return it as the answer to the verb `prune`; yields between little pieces of work."""
        versions = []
        for decision in self.decisions:
            versions.append(
                {
                    "session": decision.version.session,
                    "version": decision.version.name,
                    "message_count": decision.version.messages,
                    "reason": decision.version.reason,
                    "size_bytes": decision.version.size_bytes,
                    "goes": decision.goes,
                    "why": decision.why,
                }
            )
            if len(versions) % 100 == 0:
                yield
        return {
            "versions": versions,
            "store_size_bytes": self.store_size_bytes,
            "excess_bytes": self.excess_bytes,
            "clock_is_trusted": self.clock_is_trusted,
            "dry_run": dry_run,
        }


class Pruner:
    """Owner of the decision what goes, for one store whose lock this process holds."""

    def __init__(
        self,
        store: Store,
        log: Callable[[], list[Incident]],
        reporter: Reporter,
        clock: Clock,
        shield: Shield,
    ) -> None:
        self._store = store
        self._shield = shield
        self._log = log
        self._reporter = reporter
        self._clock = clock
        self._offset_seconds = self._clock_offset()
        self._distrusted_until: float | None = None
        self._reported_excess = False
        self._dispensable: deque[Decision] = deque()
        self._looked: float | None = None
        self.size_bytes: int | None = None
        """What the copies take, as the last prune left them; None before the first."""

    # -- by the rules

    def prune(
        self, rules: Rules, dry_run: bool = False, list_all: bool = False
    ) -> Generator[None, None, Pruned]:
        """Remove what may go; yields between sessions, returns what came of it. Raises OSError.

        Nothing is removed before everything was looked at: only then is it known whether the clock can be trusted.
        """
        needed = retention.needed(self._log())
        found = Pruned()
        newest: datetime | None = None
        shadows = {shadow.session: shadow.size_bytes for shadow in self._store.shadows()}
        found.store_size_bytes = sum(shadows.values())
        for session in self._store.histories():
            versions = self._store.versions(session)
            found.store_size_bytes += sum(version.size_bytes for version in versions)
            if versions:
                newest = max(newest or versions[-1].time, versions[-1].time)
            now = self._clock.now()
            decided = partial(_decided, versions, session in shadows, needed, rules, now)
            nothing: list[Decision] = []
            for decision in self._shield.run("prune", session, decided, nothing):
                if (
                    list_all
                    or decision.goes
                    or (decision.is_dispensable and rules.max_store_bytes is not None)
                ):
                    found.decisions.append(decision)
            yield
        found.clock_is_trusted = self._trusts_clock(newest)
        if found.clock_is_trusted:
            self._fit(found, rules)
        else:
            found.decisions = [
                retention.kept_by_clock(decision) if decision.goes else decision
                for decision in found.decisions
            ]
        if not dry_run:
            yield from self._remove(found, shadows)
            self.size_bytes = found.store_size_bytes - sum(
                decision.version.size_bytes for decision in found.going
            )
            self._report_excess(found, rules)
        return found

    def _fit(self, found: Pruned, rules: Rules) -> None:
        """Give up more until the store is not larger than it may be."""
        if rules.max_store_bytes is None:
            return
        left_bytes = found.store_size_bytes - sum(decision.version.size_bytes for decision in found.going)
        dispensable = [decision for decision in found.decisions if decision.is_dispensable]
        chosen = retention.dropped_for_space(
            dispensable, left_bytes - rules.max_store_bytes, retention.over_limit(rules.max_store_bytes)
        )
        by_path = {decision.version.path: decision for decision in chosen}
        found.decisions = [by_path.get(decision.version.path, decision) for decision in found.decisions]
        left_bytes -= sum(decision.version.size_bytes for decision in chosen)
        found.excess_bytes = max(0, left_bytes - rules.max_store_bytes)

    def _remove(self, found: Pruned, shadows: Iterable[str]) -> Iterator[None]:
        kept = set(shadows)
        sessions = {decision.version.session for decision in found.going}
        size_bytes = 0
        for decision in found.going:
            self._store.remove_version(decision.version)
            size_bytes += decision.version.size_bytes
            yield
        for session in sorted(sessions):
            directory = self._store.history_directory / session
            self._store.remove_leftovers(directory)
            if session not in kept and not self._store.versions(session):
                self._store.purge(session)
                self._reporter.report(
                    "purged", session=session, reason="It was deleted, and keep_deleted is over"
                )
            yield
        if sessions:
            self._reporter.report(
                "pruned", versions=len(found.going), size_bytes=size_bytes, sessions=len(sessions)
            )

    def _report_excess(self, found: Pruned, rules: Rules) -> None:
        if found.excess_bytes and not self._reported_excess and rules.max_store_bytes is not None:
            self._reporter.report(
                "over_limit",
                path=str(self._store.root),
                size_bytes=rules.max_store_bytes + found.excess_bytes,
                limit_bytes=rules.max_store_bytes,
            )
        self._reported_excess = bool(found.excess_bytes)

    # -- the clock

    def _clock_offset(self) -> float:
        return self._clock.now().timestamp() - self._clock.uptime()

    def _trusts_clock(self, newest: datetime | None) -> bool:
        offset = self._clock_offset()
        jump_seconds = offset - self._offset_seconds
        uptime = self._clock.uptime()
        if abs(jump_seconds) > retention.CLOCK_TOLERANCE.total_seconds():
            self._offset_seconds = offset
            self._distrusted_until = uptime + TRUST_SECONDS
            self._reporter.report("clock_changed", seconds=round(jump_seconds, 1))
        if self._distrusted_until is not None and uptime >= self._distrusted_until:
            self._distrusted_until = None
        times = [datetime.fromisoformat(entry.time) for entry in self._log()[-1:]]
        latest = max([*times, *([newest] if newest else [])], default=None)
        return self._distrusted_until is None and not retention.clock_is_behind(latest, self._clock.now())

    # -- on a full disk

    def relieve(self, needed_bytes: int) -> int:
        """Give up the oldest versions until so many bytes (and some more) are gained; return how many were, 0 for none.

        What is young, what an open incident needs and the only copy of a session stay. Never raises.
        """
        now = self._clock.monotonic()
        if not self._dispensable and (self._looked is None or now - self._looked >= RECHECK_SECONDS):
            self._looked = now
            with contextlib.suppress(OSError):
                self._dispensable.extend(self._old_ones())
        gained = count = 0
        while self._dispensable and gained < needed_bytes + _HEADROOM_BYTES:
            version = self._dispensable.popleft().version
            with contextlib.suppress(OSError):
                if self._store.remove_version(version):
                    gained += -(-version.size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
                    count += 1
        if count:
            self._reporter.report("pruned", versions=count, size_bytes=gained, reason="The disk is full")
        return gained

    def _old_ones(self) -> list[Decision]:
        needed = retention.needed(self._log())
        shadows = {shadow.session for shadow in self._store.shadows()}
        now = self._clock.now()
        found = []
        for session in self._store.histories():
            versions = self._store.versions(session)
            for decision in retention.decisions(versions, session in shadows, needed, _KEEP_ALL, now):
                if decision.is_dispensable and (now - decision.version.time).total_seconds() >= YOUNG_SECONDS:
                    found.append(decision)
        return sorted(found, key=lambda decision: decision.version.time)


def _decided(
    versions: list[Version], has_shadow: bool, needed: Mapping[str, str], rules: Rules, now: datetime
) -> list[Decision]:
    return list(retention.decisions(versions, has_shadow, needed, rules, now))


_KEEP_ALL: Final = Rules(
    keep_history_seconds=float("inf"), keep_versions=2**62, keep_deleted_seconds=float("inf")
)


def finished(work: Generator[object, None, T]) -> T:
    """Do all of a work at once and return what came of it."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: T = stop.value
            return result
