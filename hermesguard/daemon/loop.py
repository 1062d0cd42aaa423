"""One loop that owns all state: changes, deferred checks, scans, signals, requests, and the watchdog of systemd.

Order at start: lock, watch, then scan, so that nothing falls between; READY=1 only after that.
"""

import gc
import selectors
import signal
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hermesguard import __version__
from hermesguard.config import memory
from hermesguard.config.settings import Settings
from hermesguard.daemon.control import ControlServer, Work
from hermesguard.daemon.directories.directories import Directories
from hermesguard.daemon.directories.ears import Ears
from hermesguard.daemon.directories.finding import first_directory
from hermesguard.daemon.directories.supervisor import SCAN_SLICE_SECONDS, Supervisor
from hermesguard.daemon.integrations import Integrations, figures_of
from hermesguard.daemon.replies import Answer
from hermesguard.daemon.systemd import Service
from hermesguard.daemon.writers import Writers
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import Reporter
from hermesguard.guard.requests.operations import begin
from hermesguard.store.store import Store

if TYPE_CHECKING:
    from hermesguard.events.metrics import Figures

PARTING_SECONDS = 2.0
SLEEP_SECONDS = 3600.0
TOKEN_SECONDS = 1.0
"""So old the knowledge may be that no other guard has taken over; no lock goes to another one sooner."""


def run(settings: Settings, reporter: Reporter) -> int:
    """Guard until SIGTERM (returns 0) or SIGINT (130). Raises GuardError when it cannot begin."""
    store = Store(settings.store)
    store.create()
    store.take_lock()
    try:
        return Daemon(first_directory(settings), store, reporter).run()
    finally:
        store.lock.release()


class Daemon:
    """The loop: single-threaded, only the polling watcher has a thread. Everything that it calls returns soon."""

    def __init__(self, settings: Settings, store: Store, reporter: Reporter) -> None:
        self.settings = settings
        self.reporter = reporter
        self.is_ready = False
        self._has_scanned: list[Supervisor] = []
        self._service = Service()
        self._ears = Ears()
        # Signals, and commands that ask; a save must cost little, so the watch is not waited for in that way.
        self._selector = selectors.EpollSelector()
        self._selector_descriptor = self._selector.fileno()
        self._ears.listen(self._selector_descriptor)
        self.directories = Directories(settings, store, reporter, self._service, self._ears, self._scanned)
        self.directories.adopted, self.directories.dropped = self._adopt, self._drop
        self._backgrounds: dict[str, int] = {}
        self._writers: dict[str, Writers] = {}
        self._integrations = Integrations(settings, reporter, self._figures)
        self._server: ControlServer | None = None
        self._signals: list[int] = []
        self._watchdog_due = 0.0
        self._token_due = 0.0
        self._began = time.monotonic()

    def _adopt(self, one: Supervisor) -> None:
        """Let the loop be woken by what a directory waits for."""
        self._writers[one.name] = Writers(self._selector, lambda session: one.guard.repair_now((session,)))
        descriptor = self._backgrounds[one.name] = one.guard.background.open()
        self._selector.register(descriptor, selectors.EVENT_READ, lambda _: one.background_done())

    def _drop(self, one: Supervisor) -> None:
        """Be woken by it no longer."""
        self._writers.pop(one.name).close()
        self._selector.unregister(self._backgrounds.pop(one.name))

    # -- the loop

    def run(self) -> int:
        """Turn until stopped; return the exit code."""
        self._catch_signals()  # who reads that it has started may end it
        self.reporter.report(
            "started",
            program_version=__version__,
            path=str(self.settings.sessions),
            store=str(self.settings.store),
        )
        self.directories.begin()
        self._listen()
        try:
            while (stop := self._stop_asked()) is None:
                self._turn()
            return self._end(stop)
        finally:
            self.close()

    def close(self) -> None:
        """Give everything back."""
        if self._server:
            self._server.close()
        self._integrations.close()
        self._service.close()
        for writers in self._writers.values():
            writers.close()
        for one in self.directories:
            one.close()
        self._selector.close()
        self._ears.close()

    def _listen(self) -> None:
        """Listen to commands, if the store takes the socket: a guard on a full disk guards nevertheless."""
        guard = self.directories.first.guard
        try:
            self._server = ControlServer(self.settings.store, self._selector, self.answer, guard.shield)
        except OSError as error:
            guard.copies.refused(error)

    def _turn(self) -> None:
        self.directories.begin_turn()
        if self._has_scanned:
            self._after_scans()
        self._watch_on(time.monotonic() + self._patience())
        for one in self.directories:
            one.end_turn()
            self._writers[one.name].follow(one.guard.context.writers_awaited())
        if self._server:
            self._server.go_on(SCAN_SLICE_SECONDS)
        self.directories.keep_house()
        self._tell_systemd()

    def _patience(self) -> float:
        """Deliver what is queued, and return how many seconds the loop may sleep."""
        now = time.monotonic()
        waits = [
            SLEEP_SECONDS,
            self.directories.wait_seconds(now),
            self.directories.house_patience(),
            self.reporter.pump(),
            self._service.pump(),
            self._integrations.pump(),
        ]
        if (self._server and self._server.is_working) or any(one.is_busy for one in self.directories):
            return 0.0
        for one in self.directories:
            waits += one.waits(now)
        if self._service.watchdog_interval_seconds:
            waits.append(self._watchdog_due - now)
        return max(0.0, min(wait for wait in waits if wait is not None))

    def _watch_on(self, until: float) -> None:
        """Follow what the watches see, until something else is to be done, or it is time for that (monotonic)."""
        # Passed at each save, with cold caches: few calls.
        directories = self.directories.all
        is_called = False
        while not is_called:
            woken = self._ears.wait(max(0.0, until - time.monotonic()), self._has_news)
            now = time.monotonic()
            if now >= self._token_due:
                self._require_ours()
            for descriptor, _ in woken:
                if descriptor == self._selector_descriptor:
                    is_called = True
                    for key, events in self._selector.select(0):
                        key.data(events)
            is_growth = True
            for one in directories:
                if one.hear() and not one.follow_changes():
                    is_growth = False
            if not is_growth:
                return
            # A temporary file that comes wakes us too, and means nothing; not so a directory.
            if not woken or now >= until or self._ears.has_stirred:
                break
        for one in directories:
            if not one.is_scanning:
                one.guard.get_ready()

    def _has_news(self) -> bool:
        return any(one.has_news for one in self.directories.all)

    def _require_ours(self) -> None:
        """Raise GuardError when another guard has taken the store over, as may be after a pause; it is not to be disturbed."""
        self._token_due = time.monotonic() + TOKEN_SECONDS
        if not self.directories.first.guard.copies.store.lock.is_ours():
            raise GuardError(
                f"Another guard has taken over the store {self.settings.store} meanwhile",
                "It goes on from here; look for a second guard, on another machine too",
                ExitCode.LOCKED,
            )

    # -- watch and scan

    def _scanned(self, one: Supervisor) -> None:
        """Note that a scan of a directory is over, or that it has to be waited for."""
        self._has_scanned.append(one)

    def _after_scans(self) -> None:
        """Go on behind the scans that are over, once for those of all directories."""
        is_proved = any(one.is_ready for one in self._has_scanned)
        self._has_scanned.clear()
        if self._server is None and is_proved:
            self._listen()
        if not self.is_ready and self.directories.is_settled:
            self.is_ready = any(one.is_ready for one in self.directories)
            # There may be nothing to do but wait: systemd must not take that for a failed start.
            self._service.ready(self._words())
            if self.is_ready:
                # What is there now stays: it need not be looked through for garbage at each save.
                gc.collect()
                gc.freeze()
                gc.enable()
                memory.use_huge_pages()
        elif self.is_ready:
            self._service.status(self._words())
        if is_proved and self._is_well:
            seen = [one.guard.notes.seen for one in self.directories]
            self._integrations.scanned(sessions=sum(map(len, seen)), messages=sum(it.messages for it in seen))

    @property
    def _is_well(self) -> bool:
        """Return whether every directory that is there is watched, and the store takes what it is given."""
        return all(
            (one.is_watching or self.directories.is_nothing_missed(one)) and not one.guard.copies.broken
            for one in self.directories
        )

    def _words(self) -> str:
        ready = [one for one in self.directories if one.is_ready]
        waiting = [one for one in self.directories if one.watch is None]
        wait = f"Waiting for {', '.join(str(one.settings.sessions) for one in waiting)}" if waiting else ""
        if not ready:
            return wait
        seen = [one.guard.notes.seen for one in ready]
        words = f"Guarding {sum(map(len, seen))} sessions with {sum(it.messages for it in seen)} messages"
        if not self.directories.is_one:
            words += f" in {len(ready)} directories"
        repairs = sum(one.guard.notes.totals.restored for one in ready)
        return f"{words}; {repairs} repairs since start" + (f"; {wait[0].lower()}{wait[1:]}" if wait else "")

    def _figures(self) -> "Figures | None":
        if not (self.is_ready or self.directories.is_settled):
            return None
        return figures_of([one.guard for one in self.directories], is_watching=self._is_watching)

    @property
    def _is_watching(self) -> bool:
        return all(one.is_watching or self.directories.is_nothing_missed(one) for one in self.directories)

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
        for number in (signal.SIGUSR1, signal.SIGUSR2):  # they mean nothing here, and by default would end it
            signal.signal(number, lambda *_: None)
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
            is_same = (
                settings.directories == self.settings.directories and settings.store == self.settings.store
            )
            if not is_same:
                raise GuardError(
                    "The directories cannot change while the guard runs", "Restart it to use the new ones"
                )
        except GuardError as error:
            self.reporter.report("config_invalid", error=error.what, remedy=error.remedy)
        else:
            changed = self.settings.keys_that_differ(settings)
            self.settings = replace(settings, sessions=self.settings.sessions)
            self.directories.adopt(self.settings)
            if "watch" in changed:
                for one in self.directories:
                    one.rearm()
            self._integrations.configure(settings)
            reason = f"changed: {', '.join(changed)}" if changed else "no changes"
            self.reporter.report("reloaded", reason=reason)
        self._service.ready(self._words())

    def _tell_systemd(self) -> None:
        """Feed the watchdog, from a loop that has really turned, that sees, and whose files are not out of its reach."""
        interval = self._service.watchdog_interval_seconds
        if interval and (now := time.monotonic()) >= self._watchdog_due:
            if not all(one.is_sound for one in self.directories):
                return
            self._watchdog_due = now + interval
            self._service.watchdog()

    def _end(self, number: int) -> int:
        for one in self.directories:
            one.end()
        self._service.stopping()
        self.reporter.report("stopping", reason=signal.Signals(number).name)
        for one in self.directories:
            one.part()
        totals = [one.guard.notes.totals for one in self.directories]
        self.reporter.report(
            "stopped",
            seconds=round(time.monotonic() - self._began, 1),
            incidents=sum(it.restored + it.uncertain for it in totals),
        )
        self._integrations.flush(PARTING_SECONDS)
        self.reporter.flush(PARTING_SECONDS)
        return int(ExitCode.OK) if number == signal.SIGTERM else 128 + number

    # -- commands

    def answer(self, directory: str, verb: str, arguments: dict[str, Any]) -> Answer | Work:
        """Do what a command asks through the control socket; GuardError when it cannot be done.

        `directory` names one of several; without it the one is meant that has the session or the incident, and by what is asked
        of the guard itself, all.
        """
        one = self.directories.named(directory) if directory else self.directories.meant(arguments)
        one.guard.finish_repairs()
        if verb in ("status", "prove"):
            return self._proved() if verb == "prove" else self._status(directory)
        return begin(one.operations, verb, arguments)

    def _proved(self) -> dict[str, Any]:
        reasons = [one.prove() for one in self.directories]
        return {
            "watch_error": next(filter(None, reasons), ""),
            "scan_interval_seconds": self.settings.scan_interval_seconds,
        } | self._status("")

    def _status(self, directory: str) -> dict[str, Any]:
        return self.directories.status(directory)
