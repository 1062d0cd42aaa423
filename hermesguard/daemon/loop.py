"""One loop that owns all state: changes, deferred checks, scans, signals, requests, and the watchdog of systemd.

Order at start: lock, watch, then scan, so that nothing falls between; READY=1 only after that.
"""

import errno
import gc
import os
import select
import selectors
import signal
import socket
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hermesguard import __version__
from hermesguard.config.settings import Settings
from hermesguard.daemon.control import Answer, ControlServer, Work
from hermesguard.daemon.integrations import Integrations, figures_of
from hermesguard.daemon.maintenance import Maintenance
from hermesguard.daemon.status import status_of
from hermesguard.daemon.supervisor import PROOF_SECONDS, SCAN_SLICE_SECONDS, Supervisor
from hermesguard.daemon.writers import Writers
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import Reporter
from hermesguard.guard.context import Context
from hermesguard.guard.guard import Guard
from hermesguard.guard.requests.operations import Operations, begin
from hermesguard.repair.standby import MOST_RECENT, RECENT_SECONDS
from hermesguard.store.incidents import IncidentLog
from hermesguard.store.store import Store
from hermesguard.watcher.change import Changes
from hermesguard.webui.lists.index import INDEX
from hermesguard.webui.session import session_id

if TYPE_CHECKING:
    from hermesguard.events.metrics import Figures

# Thousands of sessions may be lost at once: the service manager, people and signals are heeded between two turns.
TURN_SECONDS = 0.05
# So many sessions that changed at once are a burst: repairs come before bookkeeping.
BURST = 8
PARTING_SECONDS = 2.0
SLEEP_SECONDS = 3600.0
WATCH_LOST_TOO_LONG_SECONDS = 5.0


def run(settings: Settings, reporter: Reporter) -> int:
    """Guard until SIGTERM (returns 0) or SIGINT (130). Raises GuardError when it cannot begin."""
    store = Store(settings.store)
    store.create()
    store.take_lock()
    try:
        return Daemon(settings, store, reporter).run()
    finally:
        store.lock.release()


_session_of = lru_cache(maxsize=512)(session_id)  # the same few names come again and again


class Daemon(Supervisor):
    """The loop: single-threaded, only the polling watcher has a thread. Everything that it calls returns soon."""

    def __init__(self, settings: Settings, store: Store, reporter: Reporter) -> None:
        context = Context.furnish(settings, store, IncidentLog(settings.store), reporter)
        super().__init__(settings, reporter, Guard(context))
        self.guard.saves_to_come = self._saves_to_come
        self._integrations = Integrations(settings, reporter, self._figures)
        self._operations = Operations(self.guard)
        self._maintenance = Maintenance(self.guard)
        self._server: ControlServer | None = None
        # Signals, and commands that ask; a save must cost little, so the watch is not waited for in that way.
        self._selector = selectors.EpollSelector()
        self._selector_descriptor = self._selector.fileno()
        self._writers = Writers(self._selector, lambda session: self.guard.repair_now((session,)))
        self._selector.register(
            self.guard.background.open(), selectors.EVENT_READ, lambda _: self._background_done()
        )
        self._poll.register(self._selector_descriptor, select.POLLIN)
        self._signals: list[int] = []
        self._changes = Changes()
        self._watchdog_due = 0.0
        self._waits_for_background = False
        self._began = time.monotonic()

    # -- the loop

    def run(self) -> int:
        """Turn until stopped; return the exit code."""
        self.reporter.report(
            "started",
            program_version=__version__,
            path=str(self.settings.sessions),
            store=str(self.settings.store),
        )
        self.guard.begin()
        self._catch_signals()
        self._listen()
        try:
            while (stop := self._stop_asked()) is None:
                self._turn()
            return self._end(stop)
        finally:
            if self._server:
                self._server.close()
            self._disarm()
            self._integrations.close()
            self._service.close()
            self.guard.background.close()
            self._writers.close()
            self._selector.close()

    def _listen(self) -> None:
        """Listen to commands, if the store takes the socket: a guard on a full disk guards nevertheless."""
        try:
            self._server = ControlServer(self.settings.store, self._selector, self.answer, self.guard.shield)
        except OSError as error:
            self.guard.copies.refused(error)

    def _turn(self) -> None:
        now = time.monotonic()
        if self.watch is None and now >= self._arm_due:
            self._arm(now)
        if self.watch and now >= self._proof_due and not self._scan:
            self._proof_due = now + PROOF_SECONDS
            if reason := self.watch.self_test():
                self._lose_watch(reason)
        if self.watch and self._scan is None and now >= self._scan_due:
            self._begin_scan()
        if self._scan and self._scan_on():
            self._scanned()
        self._watch_on(time.monotonic() + self._patience())
        if self.guard.unfinished and not self._changes:
            self.guard.finish_repairs(SCAN_SLICE_SECONDS)
        if self.guard.notes.deferred:
            self.guard.run_deferred(TURN_SECONDS)
        self.guard.rolled_back.report(time.monotonic())
        self._writers.follow(self.guard.writers_awaited())
        if self._server:
            self._server.go_on(SCAN_SLICE_SECONDS)
        if not self._scan:
            self._maintenance.go_on()
        self._tell_systemd()

    def _patience(self) -> float:
        """Deliver what is queued, and return how many seconds the loop may sleep."""
        now = time.monotonic()
        waits = [
            SLEEP_SECONDS,
            self._maintenance.patience_seconds(),
            self.reporter.pump(),
            self._service.pump(),
            self.guard.notes.next_due_seconds(),
            self.guard.rolled_back.wait_seconds(now),
            self.guard.directory.index.wait_seconds(),
            self.guard.standby.wait_seconds(now),
            self._integrations.pump(),
        ]
        if self._scan or self._changes or self.guard.unfinished or (self._server and self._server.is_working):
            return 0.0
        if self.watch:
            waits += (self._scan_due - now, self._proof_due - now)
        else:
            waits.append(self._arm_due - now)
        if self._service.watchdog_interval_seconds:
            waits.append(self._watchdog_due - now)
        return max(0.0, min(wait for wait in waits if wait is not None))

    def _watch_on(self, until: float) -> None:
        """Follow what the watch sees, until something else is to be done, or it is time for that (monotonic)."""
        is_called = False
        while not is_called:
            woken = self._poll.poll(max(0.0, until - time.monotonic()) * 1000)
            for descriptor, _ in woken:
                if descriptor == self._selector_descriptor:
                    is_called = True
                    for key, events in self._selector.select(0):
                        key.data(events)
            if self.watch:
                self._changes.add(self.watch.take())
                if (self._changes or self.watch.alarmed) and not self._follow_changes():
                    return
            # A temporary file that comes wakes us too, and means nothing.
            if not woken or time.monotonic() >= until:
                break
        if not self._scan:
            self.guard.get_ready()

    def _follow_changes(self) -> bool:
        """Visit what changed, for a turn's time; return whether it was nothing but growth, of which nothing follows."""
        assert self.watch
        is_growth = True
        for before, now in self._changes.moves():
            if (previous := session_id(before)) and (name := session_id(now)):
                self.guard.missing_files.evidence.moved[previous] = name
        names = self._changes.names()
        self.guard.unfinished.is_burst = len(names) >= BURST
        until = time.monotonic() + TURN_SECONDS
        for changed in names:
            change = self._changes.take(changed)
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
                self._lose_watch(reason)
        return is_growth and not self._changes

    def _saves_to_come(self, name: str, is_as_read: Callable[[], bool]) -> int:
        """Return how many saves the watch knows of that no visit was made for: a file may be newer than its events."""
        if self.watch is None:
            return 0
        self._changes.add(self.watch.take())
        return self._changes.take_saves(f"{name}.json", is_as_read)

    # -- watch and scan

    def _background_done(self) -> None:
        self.guard.background.finish()
        if self._waits_for_background and not self.guard.background.has_urgent:
            self._scanned()

    def _scanned(self) -> None:
        # Ready is who has a copy of everything, the large ones too.
        self._waits_for_background = not self.is_ready and self.guard.background.has_urgent
        if self._waits_for_background:
            return
        if self._server is None:
            self._listen()
        if self.watch_lost_since is not None and self.watch:
            self.reporter.report(
                "watch_restored",
                mode=self.watch.mode,
                seconds=round(time.monotonic() - self.watch_lost_since, 1),
            )
            self.watch_lost_since = None
        if not self.is_ready or self._reported_waiting:
            self.is_ready = True
            self._reported_waiting = ""
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
            self._service.ready(self._words())
            since_ns = time.time_ns() - int(RECENT_SECONDS * 1e9)
            self.guard.standby.recent(seen.newest(MOST_RECENT, since_ns), time.monotonic())
            # What is there now stays: it need not be looked through for garbage at each save.
            gc.collect()
            gc.freeze()
            gc.enable()
        else:
            self._service.status(self._words())
        if self.watch and self.watch_lost_since is None and not self.guard.copies.broken:
            self._integrations.scanned(
                sessions=len(self.guard.notes.seen), messages=self.guard.notes.seen.messages
            )

    def _words(self) -> str:
        seen, totals = self.guard.notes.seen, self.guard.notes.totals
        return f"Guarding {len(seen)} sessions with {seen.messages} messages; {totals.restored} repairs since start"

    def _figures(self) -> "Figures | None":
        if not (self.is_ready or self._reported_waiting):
            return None
        return figures_of(self.guard, is_watching=self.watch is not None and self.watch_lost_since is None)

    # -- signals and systemd

    def _catch_signals(self) -> None:
        """Signals only queue: the byte that wakes the selector is written by the interpreter (signal.set_wakeup_fd)."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self._wakeup = (reader, writer)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda caught, _: self._signals.append(caught))
        self._selector.register(reader, selectors.EVENT_READ, lambda _: reader.recv(4096))

    def _stop_asked(self) -> int | None:
        while self._signals:
            number = self._signals.pop(0)
            if number != signal.SIGHUP:
                return number
            self._reload()
        return None

    def _reload(self) -> None:
        self._service.reloading()
        try:
            settings = self.settings.reloaded()
            if (settings.sessions, settings.store) != (self.settings.sessions, self.settings.store):
                raise GuardError(
                    "The directories cannot change while the guard runs", "Restart it to use the new ones"
                )
        except GuardError as error:
            self.reporter.report("config_invalid", error=error.what, remedy=error.remedy)
        else:
            changed = self.settings.keys_that_differ(settings)
            self.settings = settings
            self.guard.adopt(settings)
            self.guard.copies.cache_bytes = settings.cache_bytes
            if "watch" in changed:
                self._disarm()
                self._arm_due = 0.0
            self._integrations.configure(settings)
            reason = f"changed: {', '.join(changed)}" if changed else "no changes"
            self.reporter.report("reloaded", reason=reason)
        self._service.ready(self._words())

    def _tell_systemd(self) -> None:
        """Feed the watchdog, from a loop that has really turned, that sees, and whose files are not out of its reach."""
        interval = self._service.watchdog_interval_seconds
        if interval and (now := time.monotonic()) >= self._watchdog_due and self._is_sound(now):
            self._watchdog_due = now + interval
            self._service.watchdog()

    def _is_sound(self, now: float) -> bool:
        """Return whether a restart could not make anything better; waiting for a directory, or for room, is sound."""
        is_watch_lost = (
            self.watch_lost_since is not None and now - self.watch_lost_since > WATCH_LOST_TOO_LONG_SECONDS
        )
        return not (is_watch_lost and self.watch is None and not self._reported_waiting) and (
            self.guard.copies.broken != os.strerror(errno.EROFS)
        )

    def _end(self, number: int) -> int:
        self._maintenance.end()
        self.guard.repair_now()
        self.guard.standby.files.drop_others(lambda _: False)
        self._service.stopping()
        self.reporter.report("stopping", reason=signal.Signals(number).name)
        self.guard.end()
        self.guard.rolled_back.report(time.monotonic(), at_once=True)
        self.guard.recorder.report_held_back(at_once=True)
        self.guard.leave_snapshot(None if self._changes else self._state_at_the_end())
        self.reporter.report(
            "stopped",
            seconds=round(time.monotonic() - self._began, 1),
            incidents=self.guard.notes.totals.restored + self.guard.notes.totals.uncertain,
        )
        self._integrations.flush(PARTING_SECONDS)
        self.reporter.flush(PARTING_SECONDS)
        return int(ExitCode.OK) if number == signal.SIGTERM else 128 + number

    # -- commands

    def answer(self, verb: str, arguments: dict[str, Any]) -> Answer | Work:
        """Do what a command asks through the control socket; GuardError when it cannot be done."""
        self.guard.finish_repairs()
        if verb in ("status", "prove"):
            return (self.prove() if verb == "prove" else {}) | self._status()
        return begin(self._operations, verb, arguments)

    def _status(self) -> dict[str, Any]:
        watch = self.watch
        return status_of(self.guard) | {
            "running": True,
            "pid": os.getpid(),
            "ready": self.is_ready,
            "watch": watch.mode if watch else "none",
            "watch_reason": watch.reason if watch else self._reported_waiting,
            "watch_lost": self.watch_lost_since is not None or watch is None,
        }
