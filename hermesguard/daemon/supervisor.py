"""The watch of the sessions directory: established, proved, given up when it no longer sees, and established again."""

import errno
import os
import select
import time
from collections.abc import Iterator
from typing import Any

from hermesguard import files
from hermesguard.config.settings import Settings
from hermesguard.daemon import permissions as rights
from hermesguard.daemon.systemd import Service
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import Reporter
from hermesguard.guard.guard import Guard
from hermesguard.guard.scans.scan import CLOCK_TICK_NS
from hermesguard.watcher.watcher import Watch
from hermesguard.webui.directory import DirectoryState

WAITING_SECONDS = 1.0
PROOF_SECONDS = 60.0
SCAN_SLICE_SECONDS = 0.005
EXTENSION_SECONDS = 60.0


class Supervisor:
    """Keeps a watch on the directory that the guard guards; whoever owns the loop is one."""

    def __init__(self, settings: Settings, reporter: Reporter, guard: Guard) -> None:
        self.settings = settings
        self.reporter = reporter
        self.guard = guard
        self.watch: Watch | None = None
        self.is_ready = False
        self.watch_lost_since: float | None = None
        self._service = Service()
        self._poll = select.poll()
        self._scan: Iterator[None] | None = None
        self._is_heard = False
        """The watch has heard all that it can hear since the last scan."""
        self._is_whole = False
        """It has heard all since a scan, and that scan is over."""
        self._scan_due = 0.0
        self._proof_due = 0.0
        self._arm_due = 0.0
        self._reported_waiting = ""

    def _arm(self, now: float) -> None:
        """Watch the sessions directory, or report that it is not there and try again soon."""
        watch = Watch(self.settings.sessions, watch=self.settings.watch)
        try:
            watch.start()
        except GuardError as error:
            self._arm_due = now + WAITING_SECONDS
            self._say_waiting(error)
            return
        rights.require(
            self.settings.sessions, came_late=bool(self._reported_waiting), is_start=not self.is_ready
        )
        self.watch = watch
        self._poll.register(watch.fileno(), select.POLLIN)
        if watch.mode == "polling":
            self.reporter.report(
                "polling", path=str(self.settings.sessions), reason=watch.reason, mode=watch.mode
            )
        self._proof_due = now + PROOF_SECONDS
        self._scan_due = 0.0
        self._is_heard = False
        try:
            self.guard.finish_interrupted_repairs()
        except OSError as error:
            self._cannot_read(error)

    def _say_waiting(self, error: GuardError) -> None:
        sessions = self.settings.sessions
        is_usable = sessions.is_dir() and os.access(sessions, os.R_OK | os.X_OK)
        if sessions.exists() and not is_usable and not self.is_ready:
            raise GuardError(error.what, error.remedy, ExitCode.REFUSED)
        reason = error.what if sessions.exists() else f"there is no directory {sessions}"
        if reason != self._reported_waiting:
            self._reported_waiting = reason
            self.reporter.report(
                "waiting", path=str(self.settings.sessions), store=str(self.settings.store), reason=reason
            )
            # There is nothing to do but wait: systemd must not take that for a failed start.
            self._service.ready(f"Waiting for {self.settings.sessions}")

    def _cannot_read(self, error: OSError) -> None:
        what = f"The directory {self.settings.sessions} cannot be read: {os.strerror(error.errno or 0)}"
        if not self.is_ready and error.errno in (errno.EACCES, errno.EPERM):
            raise GuardError(what, "Run the guard as a user who may read and write there", ExitCode.REFUSED)
        self._lose_watch(f"{what}.")

    def _begin_scan(self) -> None:
        """Begin a scan; from now on the watch hears what changes behind it."""
        is_heard = self._is_heard
        self._is_heard = self.watch is not None and self.watch.mode == "inotify"
        self._scan = self.guard.scan(is_heard)

    def _scan_on(self) -> bool:
        """Go on with the scan for a slice of time, for changes come first; return whether it is over."""
        assert self._scan
        until = time.monotonic() + SCAN_SLICE_SECONDS
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

    def _lose_watch(self, reason: str) -> None:
        """Report that the watch is lost, and establish a new one; changes meanwhile are found by the scan."""
        now = time.monotonic()
        self._arm_due = 0.0 if self.watch_lost_since is None else now + WAITING_SECONDS
        if self.watch_lost_since is None:
            self.watch_lost_since = now
            self.reporter.report(
                "watch_lost", reason=reason.removesuffix("."), path=str(self.settings.sessions)
            )
        self._disarm()

    def prove(self) -> dict[str, Any]:
        """Make a change in the directory that must be seen, and write into the store; return what of it failed, in words.

        What is found broken here is reported, and healed, as if the loop had come upon it.
        """
        watch_error = (self.watch.self_test() or "") if self.watch else ""
        if watch_error:
            self._proof_due = 0.0
        copies = self.guard.copies
        try:
            copies.store.place.check()
            files.prove_writable(copies.store.root)
        except OSError as error:
            copies.refused(error)
        return {"watch_error": watch_error, "scan_interval_seconds": self.settings.scan_interval_seconds}

    def _disarm(self) -> None:
        self._scan, self._is_heard, self._is_whole = None, False, False
        if self.watch:
            self._poll.unregister(self.watch.fileno())
            self.watch.stop()
            self.watch = None
