"""All sessions directories of one guard: found by the application's own rules, each with a part of the store and a supervisor.

The first one has the top of the store. The others come when they are there, and cost each other nothing: one that is missing,
unreadable, replaced or refused waits, and is tried again.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hermesguard.config.paths import birthplaces
from hermesguard.config.settings import Settings
from hermesguard.daemon.directories.ears import Ears
from hermesguard.daemon.directories.elsewhere import QUIET_SCANS, Elsewhere, Life
from hermesguard.daemon.directories.finding import (
    Owners,
    Parts,
    broken_name,
    identity,
    identity_by_name,
    none_of_that_name,
    of_another,
    orphan,
    wanted,
)
from hermesguard.daemon.directories.refusals import Refusals
from hermesguard.daemon.directories.supervisor import SCAN_SLICE_SECONDS, Supervisor
from hermesguard.daemon.status import OfOne, merged
from hermesguard.daemon.systemd import Service
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import PartReporter, Reporter
from hermesguard.guard.scans.scan import SMALLEST_PART
from hermesguard.lookup.guards import guarded_by_others
from hermesguard.store.directories import parts
from hermesguard.store.store import Store
from hermesguard.watcher.watcher import Watch
from hermesguard.webui.session import is_session_id

_MOST_LOOKS = 8
_LEAST_PART = 16
_MOST_TURNS = 10
_OTHERS_SECONDS = 60.0
"""How often is looked for other guards."""
_STRANGERS_SECONDS = 600.0
"""How long a process that was no guard is taken for none: one that runs another program now may have become one."""
EARLY_SHARE = 0.1


class Directories:
    """The supervisors, the first directory's first."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        reporter: Reporter,
        service: Service,
        ears: Ears,
        scanned: Callable[[Supervisor], None],
    ) -> None:
        """`store` is locked; `scanned` as for a supervisor."""
        self.settings = settings
        self.adopted: Callable[[Supervisor], None] = lambda _: None
        """Called with each supervisor that comes."""
        self.dropped: Callable[[Supervisor], None] = lambda _: None
        """Called with each that goes, before it is closed."""
        self._store = store
        self._reporter = reporter
        self._service = service
        self._ears = ears
        self._scanned = scanned
        self._refusals = Refusals(reporter)
        self._identities: dict[str, tuple[int, int] | None] = {}
        """By name: which directory it was when it came."""
        self._others_due = self._strangers_due = 0.0
        self._strangers: dict[str, int] = {}
        """Processes that are no guards (`guarded_by_others`)."""
        self._new: set[str] = set()
        """Names of directories of which the store had no part when this guard started."""
        self._elsewhere = Elsewhere()
        self._newest: dict[str, tuple[int, float]] = {}
        self._look_due = 0.0
        self._is_started = False
        self._is_first_start = store.place.guarded() is None
        self._parts = Parts(store.root, settings.sessions)
        self.first = self._supervised(self._parts.all()[0].name, settings, store, reporter)
        self.all = [self.first]

    def __iter__(self) -> Iterator[Supervisor]:
        return iter(self.all)

    @property
    def is_one(self) -> bool:
        """Return whether there is but one, as things are."""
        return len(self.all) == 1

    def is_nothing_missed(self, one: Supervisor) -> bool:
        """Return whether a directory is not there, and need not be: beside others, the first one too if it had nothing."""
        return one.is_missing and not self.is_one and (one is not self.first or not one.guard.notes.seen)

    @property
    def is_settled(self) -> bool:
        """Return whether each one was looked at once, or has nothing to do but wait."""
        return all(one.is_settled for one in self.all)

    def _supervised(self, name: str, settings: Settings, store: Store, reporter: Reporter) -> Supervisor:
        one = Supervisor(name, settings, store, reporter, self._service, self._ears, self._scanned)
        one.taken = self._taken
        one.guard.recorder.incidents.last_elsewhere = self._last_number
        return one

    def _last_number(self) -> int:
        return max(one.guard.recorder.incidents.last_id for one in self.all)

    def _taken(self, asking: Watch) -> str:
        """Return the path of another directory that is watched and is the same one; empty when there is none."""
        watched = (one for one in self.all if one.watch and one.watch.identity == asking.identity)
        return next((str(one.settings.sessions) for one in watched), "")

    def begin(self) -> None:
        """Take over what the store knows of the first directory, and find the others. Raises GuardError for the first."""
        self.first.guard.begin()
        self.adopted(self.first)
        self.look()
        self._is_started = True

    # -- finding

    def wait_seconds(self, now: float) -> float | None:
        """Return after how many seconds the next look is due; None when there is nothing to look for."""
        return self._look_due - now if self._may_come else None

    @property
    def _may_come(self) -> bool:
        return self.settings.is_auto or len(self.settings.directories) > 1

    def look(self) -> None:
        """Take in the directories that are there and are not guarded yet, and say what can be said of all of them."""
        self._look_due = time.monotonic() + self.settings.scan_interval_seconds
        if not self._may_come:
            return
        others = self._take_in_all()
        for _ in range(_MOST_LOOKS):  # what came into being before it was looked out for
            if not self._looks_out():
                break
            others = self._take_in_all() or others
        for one in self.all[1:]:
            if one.is_missing and one.has_nothing:
                self._drop(one)
        self._yield_to_others(others)
        self._say_elsewhere()

    def _take_in_all(self) -> Owners | None:
        """Take in those that are there; return what other guards have, if that was asked for them."""
        now = time.monotonic()
        known = frozenset(one.settings.sessions for one in self.all)
        waiting = self._refusals.waiting(now)
        identities = {self._identity_of(one) for one in self.all} - {None}
        found = wanted(self.settings, self._parts, known)
        others: Owners | None = None
        for sessions in found:
            if sessions in known or sessions in waiting or (itself := identity(sessions)) in identities:
                continue
            others = others or Owners(guarded_by_others())
            if one := self._take_in(sessions, itself, others):
                self._identities[one.name] = itself
                identities |= {itself} - {None}
        self._refusals.forget_others(found)
        self._parts.forget()
        return others

    def _identity_of(self, one: Supervisor) -> tuple[int, int] | None:
        """Return which directory it is, whatever it is called; None when that is not known."""
        if one.watch:
            return one.watch.identity
        if one.is_missing:
            return None
        return self._identities.get(one.name) or identity_by_name(one.settings.sessions)

    def _looks_out(self) -> bool:
        """Look out for directories that come; return whether there is a new place in which that is done."""
        if not self.settings.is_auto or self.settings.watch == "polling":
            return False
        known = frozenset(one.settings.sessions for one in self.all)
        return self._ears.look_out(birthplaces(self.settings.environment, known))

    def _yield_to_others(self, others: Owners | None) -> None:
        """Give up what another guard has (`others`, if just asked): one set up for a profile by name goes on as before."""
        now = time.monotonic()
        if self.is_one or now < self._others_due:
            return
        self._others_due = now + _OTHERS_SECONDS
        if now >= self._strangers_due:
            self._strangers_due = now + _STRANGERS_SECONDS
            self._strangers.clear()
        owners = others or Owners(guarded_by_others(self._strangers))
        for one in self.all[1:]:
            if store := owners.of(one.settings.sessions, self._identity_of(one)):
                one.end()
                one.part()
                self._drop(one)
                self._refusals.refuse(
                    one.settings.sessions, of_another(one.settings.sessions, store), is_anothers=True
                )

    def _take_in(self, sessions: Path, itself: tuple[int, int] | None, others: Owners) -> Supervisor | None:
        """Begin to guard a directory that none of `others` has; return what does, None when it is refused.

        `itself`: as for `Owners.of`.
        """
        if "\n" in str(sessions):
            self._refusals.refuse(sessions, broken_name(sessions))
            return None
        if owner := others.of(sessions, itself):
            self._refusals.refuse(sessions, of_another(sessions, owner), is_anothers=True)
            return None
        known = self._parts.all()
        part = parts.part_for(known[1:], sessions) or orphan(known, sessions, self.settings.environment)
        if part and part.name in {one.name for one in self.all}:
            return None  # the same directory by another name: what guards it has this part, and its lock
        name = part.name if part else parts.name_for(sessions, self._taken_names(known))
        store = Store(parts.root_of(self._store.root, name))
        settings = replace(self.settings, sessions=sessions, store=store.root)
        if part is None or part.sessions != sessions:
            self._parts.forget()
        try:
            parts.make_room(self._store.root)
            store.create()
            store.take_lock()
            one = self._supervised(name, settings, store, PartReporter(self._reporter, name))
            one.guard.begin()
        except (GuardError, OSError) as error:
            store.lock.release()
            self._refusals.refuse(sessions, error)
            return None
        except Exception as error:  # noqa: BLE001
            store.lock.release()
            reference = self.first.guard.shield.caught("directory", "", error)
            self._refusals.refuse(
                sessions, GuardError(f"It met an error of its own ({reference})", "See the log")
            )
            return None
        if part is None and (self._is_started or not self._is_first_start):
            self._new.add(name)
        one.came_late = self._is_started
        self._refusals.forget(sessions)
        self.all.append(one)
        self.share()
        self.adopted(one)
        if part is None:
            one.reporter.report("directory_found", path=str(sessions), store=str(store.root))
        return one

    def _taken_names(self, known: list[parts.Part]) -> set[str]:
        return {*parts.names(self._store.root), *(it.name for it in known), *(one.name for one in self.all)}

    def _drop(self, one: Supervisor) -> None:
        self.all.remove(one)
        self._identities.pop(one.name, None)
        self._newest.pop(one.name, None)
        self.dropped(one)
        one.close()
        self.share()

    def share(self) -> None:
        """Share out among the directories what one guard may use, and let a single one refuse."""
        for one in self.all:
            one.may_refuse, one.may_be_silent = self.is_one, not self.is_one
            cache_bytes = self.settings.cache_bytes // len(self.all)
            one.guard.copies.cache_bytes = cache_bytes
            one.guard.unfinished.limit_bytes = cache_bytes
            one.guard.scans.turns = turns = min(len(self.all), _MOST_TURNS)
            one.guard.scans.smallest_part = max(_LEAST_PART, SMALLEST_PART * turns // len(self.all))
        self.share_room()

    def share_room(self) -> None:
        """Let each part of the store have as much of what the store may be as it has of what the store is."""
        limit = self.settings.max_store_bytes
        sizes = {one.name: one.guard.context.pruner.size_bytes for one in self.all}
        for one in self.all:
            allowed = limit
            if limit is not None and not self.is_one:
                known = [size for size in sizes.values() if size is not None]
                total = sum(known)
                is_known = len(known) == len(sizes)
                if is_known and one.guard.settings.max_store_bytes is None:
                    one.maintenance.prune_soon()
                allowed = limit * (sizes[one.name] or 0) // total if is_known and total > limit else None
            if one.guard.settings.max_store_bytes != allowed:
                one.guard.adopt(replace(one.settings, max_store_bytes=allowed))

    def adopt(self, settings: Settings) -> None:
        """Go on with other settings of the same directories."""
        self.settings = settings
        for one in self.all:
            one.adopt(replace(settings, sessions=one.settings.sessions, store=one.settings.store))
        self._look_due = min(self._look_due, time.monotonic() + settings.scan_interval_seconds)
        self.share()

    # -- all together

    def begin_turn(self) -> None:
        """Look for directories that have come, and let each do what is due; those that are scanned share the time for it."""
        now = time.monotonic()
        early = self._early_seconds(now)
        if self._ears.is_stirred() or now + early >= self._look_due:
            self.look()
        until = time.monotonic() + SCAN_SLICE_SECONDS
        for left, one in zip(range(len(self.all), 0, -1), self.all, strict=True):
            # What one has not used is left to the others, so that short scans of all are over in one turn.
            one.begin_turn((until - time.monotonic()) / left, early)

    def _early_seconds(self, now: float) -> float:
        """Return how much sooner than it is due something may be done now: what is due nearly together wakes the loop once."""
        is_due = now >= self._look_due if self._may_come else False
        if not is_due and not any(one.is_due(now) for one in self.all):
            return 0.0
        return EARLY_SHARE * self.settings.scan_interval_seconds

    def keep_house(self) -> None:
        """Go on with pruning or the scrub, in one part at a time."""
        working = [one for one in self.all if one.maintenance.is_working]
        for one in working or self.all:
            if not one.is_scanning:
                one.maintenance.go_on()
            if one.maintenance.is_working:
                return
        if working and not self.is_one:
            self.share_room()

    def house_patience(self) -> float:
        """Return how many seconds from now on nothing is to be done in the store."""
        working = [one for one in self.all if one.maintenance.is_working]
        return min(one.maintenance.patience_seconds() for one in working or self.all)

    def named(self, name: str) -> Supervisor:
        """Return the supervisor of a part of the store. Raises GuardError (exit code 13) when there is none of that name."""
        found = next((one for one in self.all if one.name == name), None)
        if found is None:
            raise none_of_that_name(name)
        return found

    def meant(self, arguments: Mapping[str, Any]) -> Supervisor:
        """Return the supervisor of the session or the incident that a request names, the first one when it names none.

        Raises GuardError (exit code 13) when it is in several.
        """
        name, number = arguments.get("name"), arguments.get("incident")
        found = []
        if self.is_one:
            return self.first
        if isinstance(name, str) and is_session_id(name):
            found = [one for one in self.all if one.has_session(name)]
        elif isinstance(number, str):
            logs = [(one, one.guard.recorder.incidents.all()) for one in self.all]
            found = [one for one, log in logs if any(it.id == number for it in log)]
        if len(found) > 1:
            raise GuardError(
                f"{name} is in several directories: {', '.join(one.name for one in found)}",
                "Name the one that is meant: --profile NAME",
                ExitCode.NOT_FOUND,
            )
        return found[0] if found else self.first

    def status(self, name: str = "") -> dict[str, Any]:
        """Return how things stand in all directories together, and in each; or in the one of that name."""
        if name:
            one = self.named(name)
            return merged([OfOne(one.name, one.status(), one.is_missing)])
        return merged(
            [OfOne(one.name, one.status(), one.is_missing) for one in self.all], self._refusals.listed()
        )

    def _say_elsewhere(self) -> None:
        if self.is_one:
            return
        quiet = QUIET_SCANS * self.settings.scan_interval_seconds
        by_name = {one.name: one for one in self.all}
        lives = [self._life(one) for one in self.all if one.is_settled]
        for quiet_one, alive in self._elsewhere.look(lives, time.time(), quiet):
            by_name[quiet_one].reporter.report(
                "elsewhere",
                path=str(by_name[quiet_one].settings.sessions),
                target=str(by_name[alive].settings.sessions),
                sessions=len(by_name[quiet_one].guard.notes.seen),
            )

    def _life(self, one: Supervisor) -> Life:
        notes = one.guard.notes
        count, newest = self._newest.get(one.name, (-1, 0.0))
        if count != len(notes.seen):
            found = [mtime_ns for _, _, mtime_ns in notes.seen.newest(1, 0)]
            newest = max(found, default=0) / 1e9
            self._newest[one.name] = (len(notes.seen), newest)
        is_there = one.watch is not None
        return Life(one.name, max(newest, notes.totals.last_save_ns / 1e9), one.name in self._new, is_there)
