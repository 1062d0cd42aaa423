"""One sessions directory of the guard: what its watch hears is followed, and it is scanned again and again."""

import math
import os
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from hermesguard.config.settings import Settings
from hermesguard.daemon.directories.ears import Ears
from hermesguard.daemon.directories.watched import WAITING_SECONDS, Watched
from hermesguard.daemon.maintenance import Maintenance
from hermesguard.daemon.status import status_of
from hermesguard.daemon.systemd import Service
from hermesguard.events.reporter import Reporter
from hermesguard.guard.context import Context
from hermesguard.guard.guard import Guard
from hermesguard.guard.requests.operations import Operations
from hermesguard.guard.scans.scan import CLOCK_TICK_NS
from hermesguard.repair.standby import MOST_RECENT, RECENT_SECONDS
from hermesguard.store.incidents import IncidentLog
from hermesguard.store.store import Store
from hermesguard.watcher.change import Change, Changes
from hermesguard.webui.directory import DirectoryState
from hermesguard.webui.lists.index import INDEX
from hermesguard.webui.session import session_id

# Thousands of sessions may be lost at once: the service manager, people and signals are heeded between two turns.
TURN_SECONDS = 0.05
# So many sessions that changed at once are a burst: repairs come before bookkeeping, and first those of awaited wipes. Fewer
# are visited as they came: in which order some were saved and others went is evidence.
BURST = 8
SCAN_SLICE_SECONDS = 0.005
EXTENSION_SECONDS = 60.0

_session_of = lru_cache(maxsize=512)(session_id)  # the same few names come again and again


class Supervisor(Watched):
    """Keeps a watch on one sessions directory, and its guard at work; the loop calls it, and what it does returns soon."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        store: Store,
        reporter: Reporter,
        service: Service,
        ears: Ears,
        scanned: "Callable[[Supervisor], None]",
    ) -> None:
        """`scanned` is called when a scan is over, and no large copy is on its way any more."""
        self.name = name
        context = Context.furnish(settings, store, IncidentLog(settings.store), reporter)
        super().__init__(settings, reporter, Guard(context), ears)
        self.guard.saves_to_come = self._saves_to_come
        self.operations = Operations(self.guard)
        self.maintenance = Maintenance(self.guard)
        self.changes = Changes()
        self._service = service
        self._scanned = scanned
        self._scan: Iterator[None] | None = None
        self._is_heard = False
        """The watch has heard all that it can hear since the last scan."""
        self._is_whole = False
        """It has heard all since a scan, and that scan is over."""
        self._turns_left = 0
        """So many scans may be left out that would find nothing but what is known."""
        self._scan_due = 0.0
        self._waits_for_background = False
        self._began = time.monotonic()

    def adopt(self, settings: Settings) -> None:
        """Go on with other settings of the same directory; the next scan is no later than they say."""
        self.settings = settings
        self.guard.adopt(settings)
        self._scan_due = min(self._scan_due, time.monotonic() + settings.scan_interval_seconds)

    # -- what a turn of the loop does

    @property
    def is_scanning(self) -> bool:
        """Return whether a scan is going on."""
        return self._scan is not None

    @property
    def is_settled(self) -> bool:
        """Return whether all that is there was looked at once, or there is nothing but to wait."""
        return self.is_ready or bool(self.reported_waiting)

    def is_due(self, now: float) -> bool:
        """Return whether a scan or a proof is due."""
        return self.watch is not None and self._scan is None and now >= min(self._scan_due, self._proof_due)

    def begin_turn(self, slice_seconds: float, early_seconds: float) -> None:
        """Watch, prove, scan: what is due, or is so before long, as the loop is awake; a scan for so long."""
        now = time.monotonic()
        self.keep_watch(now, early_seconds, is_idle=self._scan is None)
        if self.watch is None or self.is_silent:
            return
        if self._scan is None and now + early_seconds >= self._scan_due:
            self._begin_scan()
        if self._scan and self._scan_on(slice_seconds):
            self._after_scan()

    def end_turn(self) -> None:
        """Do what the changes have left to be done."""
        if self.is_silent:
            return
        if self.guard.unfinished.repairs and not self.changes:
            self.guard.finish_repairs(SCAN_SLICE_SECONDS)
        if self.guard.notes.deferred:
            self.guard.run_deferred(TURN_SECONDS)
        self.guard.rolled_back.report(time.monotonic())

    @property
    def is_busy(self) -> bool:
        """Return whether there is something to go on with at once."""
        return not self.is_silent and bool(self._scan or self.changes or self.guard.unfinished.repairs)

    def waits(self, now: float) -> list[float | None]:
        """Return after how many seconds something wants to be done; None for what does not want anything."""
        if self.is_silent:
            return [WAITING_SECONDS]
        return [
            self.guard.notes.next_due_seconds(),
            self.guard.rolled_back.wait_seconds(now),
            self.guard.directory.index.wait_seconds(),
            self.guard.standby.wait_seconds(now),
            *((self._scan_due - now, self._proof_due - now) if self.watch else (self._arm_due - now,)),
        ]

    def hear(self) -> bool:
        """Take what the watch has seen; return whether there is something to follow."""
        if self.watch is None or (source := self.watch.source) is None:
            return False
        if changes := source.take(True):
            self.changes.add(changes)
        elif not (self.changes or source.overflowed or source.trouble):
            return False
        return source.answers

    @property
    def has_news(self) -> bool:
        """Return whether there is something to hear that nobody is woken for: it was read along with what another was to hear."""
        return self.watch is not None and self.watch.has_news

    def follow_changes(self) -> bool:
        """Visit what changed, for a turn's time; return whether it was nothing but growth, of which nothing follows."""
        assert self.watch
        is_growth = True
        known = list(self.changes.values())
        if len(known) > 1:
            known.sort(key=lambda change: change.moved_from is None)  # those that were renamed first
            if len(known) >= BURST:
                known.sort(key=self._is_bearable)
        for change in known:
            if change.moved_from is None:
                break
            if (previous := session_id(change.moved_from)) and (name := session_id(change.name)):
                self.guard.missing_files.evidence.moved[previous] = name
        self.guard.unfinished.is_burst = len(known) >= BURST
        until = time.monotonic() + TURN_SECONDS
        for changed in known:
            change = self.changes.pop(changed.name)
            if name := _session_of(change.name):
                is_growth &= self.guard.visit(name, change.writer_pid, change.saves)
                if time.monotonic() >= until:
                    return False
            elif change.name == INDEX:
                self.guard.index_changed()
        if self.watch.alarmed:
            is_growth = False
            if self.watch.overflowed():
                self.reporter.report("overflow", path=str(self.settings.sessions))
                self._give_up_scan(0.0)
            if reason := self.watch.watch_lost():
                self.lose_watch(reason)
        return is_growth and not self.changes

    def _is_bearable(self, change: Change) -> bool:
        """Return whether a change may wait for others: no rename, and no session for whose wipe a repair stands ready."""
        name = _session_of(change.name)
        return change.moved_from is None and not (name and self.guard.standby.is_awaited(name))

    def _saves_to_come(self, name: str, is_as_read: Callable[[], bool]) -> int:
        """Return how many saves the watch knows of that no visit was made for: a file may be newer than its events."""
        if self.watch is None:
            return 0
        self.changes.add(self.watch.take())
        return self.changes.take_saves(f"{name}.json", is_as_read)

    # -- scans

    def armed(self) -> None:
        """Scan at once."""
        self._scan_due = 0.0
        self._is_heard = False

    def settled(self) -> None:
        """Say so to the loop."""
        self._scanned(self)

    def kept_away(self) -> None:
        """End the scan that is going on; the next one looks at all."""
        self._give_up_scan(0.0)

    def disarm(self) -> None:
        """Watch no longer, and end the scan that is going on."""
        self._scan, self._is_heard, self._is_whole = None, False, False
        super().disarm()

    def _begin_scan(self) -> None:
        """Begin a scan; from now on the watch hears what changes behind it.

        Where there are several directories those that are at rest take turns: what all of them cost is what one would.
        """
        is_heard = self._is_heard
        scans = self.guard.scans
        turns_left = min(self._turns_left, scans.turns - 1)  # others may have gone
        if is_heard and self.is_ready and turns_left > 0 and scans.is_at_rest():
            self._turns_left = turns_left - 1
            self._scan_due = time.monotonic() + self.settings.scan_interval_seconds
            self.guard.notes.totals.last_scan = self.guard.context.clock.now().isoformat()
            self._after_scan()
            return
        self._turns_left = scans.turns - 1
        self._is_heard = self.watch is not None and self.watch.mode == "inotify"
        self._scan = self.guard.scan(is_heard)

    def _scan_on(self, seconds: float) -> bool:
        """Go on with the scan for a slice of time, for changes come first; return whether it is over."""
        assert self._scan
        until = time.monotonic() + seconds
        try:
            for _ in self._scan:
                if time.monotonic() >= until:
                    if not self.is_ready:
                        self._service.extend_timeout(EXTENSION_SECONDS)
                    return False
        except OSError as error:
            self._give_up_scan(0.0)
            self._cannot_read(error)
            return False
        except Exception as error:  # noqa: BLE001
            self.guard.shield.caught("scan", "", error)
            self._give_up_scan(self.settings.scan_interval_seconds)
            return False
        self._scan, self._is_whole = None, self._is_heard
        self._scan_due = time.monotonic() + self.settings.scan_interval_seconds
        if self.guard.scans.is_all_owed:
            self._scan_due, self._is_heard = 0.0, False
        return True

    def _give_up_scan(self, seconds: float) -> None:
        """Forget the scan that is going on; after so many seconds the next one looks at all."""
        self._scan, self._is_heard, self._is_whole = None, False, False
        self._scan_due = time.monotonic() + seconds

    def background_done(self) -> None:
        """Do what follows from work that was done in a thread."""
        self.guard.background.finish()
        if self._waits_for_background and not self.guard.background.has_urgent:
            self._after_scan()

    def _after_scan(self) -> None:
        # Ready is who has a copy of everything, the large ones too.
        self._waits_for_background = not self.is_ready and self.guard.background.has_urgent
        if self._waits_for_background:
            return
        if self.watch_lost_since is not None and self.watch:
            self.reporter.report(
                "watch_restored",
                path=str(self.settings.sessions),
                mode=self.watch.mode,
                seconds=round(time.monotonic() - self.watch_lost_since, 1),
            )
            self.watch_lost_since = None
        if not self.is_ready or self.reported_waiting:
            self.is_ready = True
            self.reported_waiting = ""
            seen = self.guard.notes.seen
            self.reporter.report(
                "ready",
                sessions=len(seen),
                messages=seen.messages,
                path=str(self.settings.sessions),
                store=str(self.settings.store),
                mode=self.watch.mode if self.watch else "",
                duration_us=int((time.monotonic() - self._began) * 1e6),
            )
            since_ns = time.time_ns() - int(RECENT_SECONDS * 1e9)
            self.guard.standby.recent(seen.newest(MOST_RECENT, since_ns), time.monotonic())
        self._scanned(self)

    # -- what is asked, and the end

    def status(self) -> dict[str, Any]:
        """Return what is known of this directory and its part of the store."""
        watch = self.watch
        return status_of(self.guard) | {
            "running": True,
            "pid": os.getpid(),
            "ready": self.is_ready,
            "watch": watch.mode if watch else "none",
            "watch_reason": self.trouble or (watch.reason if watch else ""),
            "watch_lost": self.watch_lost_since is not None or watch is None,
        }

    def has_session(self, name: str) -> bool:
        """Return whether a session is there, or a copy of it."""
        return name in self.guard.notes.seen or bool(self.guard.copies.store.versions(name))

    @property
    def has_nothing(self) -> bool:
        """Return whether there is nothing left to guard: no copy is kept, or its part of the store was taken away."""
        store = self.guard.copies.store
        return not store.shadows_directory.is_dir() or not (len(self.guard.notes.seen) or store.histories())

    def end(self) -> None:
        """Make durable what is not yet, and leave nothing behind in the directory."""
        self.maintenance.end()
        if self.is_silent:
            return
        self.guard.repair_now()
        self.guard.standby.files.drop_others(lambda _: False)

    def part(self) -> None:
        """Say what is still to be said, and note how the directory stands, for the next guard."""
        told = -math.inf
        for _ in self.guard.end():
            if (now := time.monotonic()) - told >= 1.0:
                # After a burst of repairs there may be thousands of files to write, and systemd kills who takes too long.
                self._service.extend_timeout(EXTENSION_SECONDS)
                told = now
        self.guard.rolled_back.report(time.monotonic(), at_once=True)
        self.guard.recorder.report_held_back(at_once=True)
        self.guard.leave_snapshot(None if self.changes else self._state_at_the_end())

    def _state_at_the_end(self) -> DirectoryState | None:
        """Return the state of the sessions directory if all that changed in it was seen until now, else None."""
        if self.watch is None or not self._is_whole:
            return None
        try:
            state = self.guard.directory.state()
            if 0 <= (age_ns := time.time_ns() - state.mtime_ns) < CLOCK_TICK_NS:
                time.sleep((CLOCK_TICK_NS - age_ns) / 1e9)  # a later change will show another time
            is_same = self.guard.directory.state() == state
        except OSError:
            return None
        return state if is_same and not self.watch.take() and not self.watch.alarmed else None

    def close(self) -> None:
        """Give the watch, the thread and the lock back."""
        self.disarm()
        self.guard.background.close()
        self.guard.copies.store.lock.release()
