"""The watch of one sessions directory: established, proved, given up when it no longer sees, and established again."""

import errno
import os
import time
from collections.abc import Callable

from hermesguard import files
from hermesguard.config.settings import Settings
from hermesguard.daemon.directories import permissions as rights
from hermesguard.daemon.directories.ears import Ears
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import Reporter
from hermesguard.guard.guard import Guard
from hermesguard.watcher.watcher import Watch

WAITING_SECONDS = 1.0
PROOF_SECONDS = 60.0
WATCH_LOST_TOO_LONG_SECONDS = 5.0


class Watched:
    """Keeps a watch on the directory that a guard guards, as well as can be."""

    def __init__(self, settings: Settings, reporter: Reporter, guard: Guard, ears: Ears) -> None:
        self.settings = settings
        self.reporter = reporter
        self.guard = guard
        self.may_refuse = True
        """A directory that cannot be guarded ends a guard that has no other."""
        self.came_late = False
        """It came while the guard ran."""
        self.taken: Callable[[Watched], str] = lambda _: ""
        """Returns which other directory this one is, by another name; empty when it is none."""
        self.watch: Watch | None = None
        self.is_ready = False
        self.watch_lost_since: float | None = None
        self.reported_waiting = ""
        self._ears = ears
        self._proof_due = 0.0
        self._arm_due = 0.0

    def armed(self) -> None:
        """Called when a watch is established: everything is to be looked at."""

    def settled(self) -> None:
        """Called when there is nothing to do but wait."""

    def keep_watch(self, now: float, is_idle: bool) -> None:
        """Establish the watch, or, when there is nothing else to do, prove it: what is due."""
        if self.watch is None and now >= self._arm_due:
            self._arm(now)
        if self.watch and now >= self._proof_due and is_idle:
            self._proof_due = now + PROOF_SECONDS
            if reason := self.watch.self_test():
                self.lose_watch(reason)

    def _arm(self, now: float) -> None:
        """Watch the sessions directory, or report that it is not there and try again soon."""
        watch = Watch(self.settings.sessions, watch=self.settings.watch, queue=self._ears.queue)
        self._arm_due = now + WAITING_SECONDS
        try:
            if same := self.taken(self):
                raise GuardError(f"{self.settings.sessions} is the same directory as {same}", "")
            watch.start()
        except GuardError as error:
            self._say_waiting(error)
            return
        try:
            rights.require(
                self.settings.sessions,
                came_late=self.came_late or bool(self.reported_waiting),
                is_start=not self.is_ready,
            )
        except GuardError as error:
            watch.stop()
            if self.may_refuse or error.exit_code is not ExitCode.REFUSED:
                raise
            self._say_waiting(error)
            return
        self.watch = watch
        self._ears.listen(watch.fileno())
        if watch.mode == "polling":
            self.reporter.report(
                "polling", path=str(self.settings.sessions), reason=watch.reason, mode=watch.mode
            )
        self._proof_due = now + PROOF_SECONDS
        self.armed()
        try:
            self.guard.finish_interrupted_repairs()
        except OSError as error:
            self._cannot_read(error)

    def _say_waiting(self, error: GuardError) -> None:
        sessions = self.settings.sessions
        is_usable = os.path.isdir(sessions) and os.access(sessions, os.R_OK | os.X_OK)
        is_there = os.path.exists(sessions) or isinstance(error.__cause__, PermissionError)
        if self.may_refuse and is_there and not is_usable and not self.is_ready:
            raise GuardError(error.what, error.remedy, ExitCode.REFUSED)
        reason = error.what if is_there else f"there is no directory {sessions}"
        if reason != self.reported_waiting:
            self.reported_waiting = reason
            self.reporter.report(
                "waiting", path=str(self.settings.sessions), store=str(self.settings.store), reason=reason
            )
            self.settled()

    def _cannot_read(self, error: OSError) -> None:
        what = f"The directory {self.settings.sessions} cannot be read: {os.strerror(error.errno or 0)}"
        if self.may_refuse and not self.is_ready and error.errno in (errno.EACCES, errno.EPERM):
            raise GuardError(what, "Run the guard as a user who may read and write there", ExitCode.REFUSED)
        self.lose_watch(f"{what}.")

    def lose_watch(self, reason: str) -> None:
        """Report that the watch is lost, and establish a new one; changes meanwhile are found by the scan."""
        now = time.monotonic()
        self._arm_due = 0.0 if self.watch_lost_since is None else now + WAITING_SECONDS
        if self.watch_lost_since is None:
            self.watch_lost_since = now
            self.reporter.report(
                "watch_lost", reason=reason.removesuffix("."), path=str(self.settings.sessions)
            )
        self.disarm()

    def disarm(self) -> None:
        """Watch no longer."""
        if self.watch:
            self._ears.ignore(self.watch.fileno())
            self.watch.stop()
            self.watch = None

    def rearm(self) -> None:
        """Watch anew, with the settings as they are now."""
        self.disarm()
        self._arm_due = 0.0

    def prove(self) -> str:
        """Make a change in the directory that must be seen, and write into the store; return what of the first failed, in words.

        What is found broken here is reported, and healed, as if the loop had come upon it.
        """
        sight = (self.watch.self_test() or "") if self.watch else ""
        if sight:
            self._proof_due = 0.0
        copies = self.guard.copies
        try:
            copies.store.place.check()
            files.prove_writable(copies.store.root)
        except OSError as error:
            copies.refused(error)
        return sight

    @property
    def is_watching(self) -> bool:
        """Return whether changes are seen."""
        return self.watch is not None and self.watch_lost_since is None

    @property
    def is_missing(self) -> bool:
        """Return whether the directory is not there at all."""
        return self.watch is None and not os.path.lexists(self.settings.sessions)

    @property
    def is_sound(self) -> bool:
        """Return whether a restart could not make anything better; waiting for a directory, or for room, is sound."""
        since = self.watch_lost_since
        is_lost = since is not None and time.monotonic() - since > WATCH_LOST_TOO_LONG_SECONDS
        return not (is_lost and self.watch is None and not self.reported_waiting) and (
            self.guard.copies.broken != os.strerror(errno.EROFS)
        )
