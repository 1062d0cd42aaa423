"""The watch of one sessions directory: established, proved, given up when it no longer sees, and established again."""

import errno
import os
import threading
import time
from collections.abc import Callable

from hermesguard import files
from hermesguard.config.settings import Settings
from hermesguard.daemon.directories import permissions as rights
from hermesguard.daemon.directories.ears import Ears
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import Reporter
from hermesguard.guard.guard import Guard
from hermesguard.watcher.mounts import hears_every_change, type_by_name
from hermesguard.watcher.watcher import Watch

WAITING_SECONDS = 1.0
PROOF_SECONDS = 60.0
WATCH_LOST_TOO_LONG_SECONDS = 5.0
_ANSWER_SECONDS = 0.05
"""So long an answer is waited for in the loop."""
_SILENT_AFTER_SECONDS = 3.0


class Asking:
    """A watch that begins in a thread, for its directory may not answer for a long time."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._error: GuardError | None = None
        self._thread = threading.Thread(target=self._run, name="hermesguard-asking", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._watch.start()
        except GuardError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001
            self._error = GuardError(f"The directory cannot be watched: {error}", "")

    def wait(self, seconds: float) -> None:
        """Wait for the answer for so long."""
        self._thread.join(seconds)

    @property
    def is_open(self) -> bool:
        """Return whether there is no answer yet."""
        return self._thread.is_alive()

    def answer(self) -> Watch:
        """Return the watch that has begun. Raises GuardError as it did."""
        if self._error:
            raise self._error
        return self._watch


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
        self.may_be_silent = False
        """The directory may be one that does not answer, and there are others that must not wait for it."""
        self.taken: Callable[[Watch], str] = lambda _: ""
        """Returns which other directory the one of a watch is, by another name; empty when it is none."""
        self.watch: Watch | None = None
        self.is_ready = False
        self.watch_lost_since: float | None = None
        self.reported_waiting = ""
        self.is_missing = False
        """There is no such directory, as far as is known."""
        self._asking: Asking | None = None
        self._asked = 0.0
        self._is_unanswered = False
        self._ears = ears
        self._proof_due = 0.0
        self._arm_due = 0.0

    def armed(self) -> None:
        """Called when a watch is established: everything is to be looked at."""

    def settled(self) -> None:
        """Called when there is nothing to do but wait."""

    def keep_watch(self, now: float, early_seconds: float, is_idle: bool) -> None:
        """Establish the watch, or, when there is nothing else to do, prove it: what is due, or is so in `early_seconds`."""
        if self.watch is None and now + early_seconds >= self._arm_due:
            self._arm(now)
        if self.is_silent:
            self._keep_away()
        elif self.watch and now + early_seconds >= self._proof_due and is_idle:
            self._proof_due = now + PROOF_SECONDS
            if reason := self.watch.self_test():
                self.lose_watch(reason)

    def _arm(self, now: float) -> None:
        """Watch the sessions directory, or report that it is not there and try again soon."""
        self._arm_due = now + WAITING_SECONDS
        try:
            watch = self._started(now)
            if watch:
                self._require_own(watch)
        except GuardError as error:
            self._say_waiting(error)
            return
        if watch is None:
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
        except OSError as error:  # it went away again
            watch.stop()
            what = (
                f"The directory {self.settings.sessions} cannot be reached: {os.strerror(error.errno or 0)}"
            )
            self._say_waiting(GuardError(what, ""))
            return
        self.watch, self.is_missing = watch, False
        self._ears.listen(watch.fileno())
        if watch.mode == "polling":
            reason = watch.reason.removesuffix(".")
            self.reporter.report("polling", path=str(self.settings.sessions), reason=reason, mode=watch.mode)
        self._proof_due = now + PROOF_SECONDS
        self.armed()
        try:
            self.guard.finish_interrupted_repairs()
        except OSError as error:
            self._cannot_read(error)

    def _started(self, now: float) -> Watch | None:
        """Return a watch that has begun; None as long as the directory does not answer. Raises GuardError as the watch does.

        Where another machine has to answer, that is waited for in a thread: the other directories are not to wait for it.
        """
        if self._asking is None:
            watch = Watch(self.settings.sessions, watch=self.settings.watch, queue=self._ears.queue)
            if not self.may_be_silent or hears_every_change(type_by_name(self.settings.sessions)):
                try:
                    watch.start()
                except GuardError:
                    self._require_own(watch)  # the kernel has one watch for a directory, whatever its names
                    raise
                return watch
            self._asking = Asking(watch)
            self._asked = now
        self._asking.wait(_ANSWER_SECONDS if not self._is_unanswered else 0.0)
        if self._asking.is_open:
            if now - self._asked > _SILENT_AFTER_SECONDS and not self._is_unanswered:
                self._is_unanswered = True
                self._wait_for(f"{self.settings.sessions} does not answer", is_there=True)
            return None
        asking, self._asking, self._is_unanswered = self._asking, None, False
        return asking.answer()

    def _require_own(self, watch: Watch) -> None:
        """Raise GuardError, and end the watch, when another one has that directory by another name."""
        if same := self.taken(watch):
            watch.stop()
            raise GuardError(f"{self.settings.sessions} is the same directory as {same}", "")

    def _say_waiting(self, error: GuardError) -> None:
        sessions = self.settings.sessions
        is_usable = os.path.isdir(sessions) and os.access(sessions, os.R_OK | os.X_OK)
        is_there = os.path.exists(sessions) or isinstance(error.__cause__, PermissionError)
        if self.may_refuse and is_there and not is_usable and not self.is_ready:
            is_denied = isinstance(error.__cause__, PermissionError)
            remedy = rights.remedy_for(sessions) if is_denied else error.remedy
            raise GuardError(error.what, remedy, ExitCode.REFUSED)
        self._wait_for(error.what if is_there else f"there is no directory {sessions}", is_there)

    def _wait_for(self, reason: str, is_there: bool) -> None:
        self.is_missing = not is_there
        if reason != self.reported_waiting:
            self.reported_waiting = reason
            self.reporter.report(
                "waiting", path=str(self.settings.sessions), store=str(self.settings.store), reason=reason
            )
            self.settled()

    def _cannot_read(self, error: OSError) -> None:
        what = f"The directory {self.settings.sessions} cannot be read: {os.strerror(error.errno or 0)}"
        if self.may_refuse and not self.is_ready and error.errno in (errno.EACCES, errno.EPERM):
            raise GuardError(what, rights.remedy_for(self.settings.sessions), ExitCode.REFUSED)
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

    def _keep_away(self) -> None:
        """Report, once, that the directory does not answer; it is not touched before it does."""
        if self.watch_lost_since is None:
            self.watch_lost_since = time.monotonic()
            self.reporter.report(
                "watch_lost",
                reason=f"The directory {self.settings.sessions} does not answer",
                path=str(self.settings.sessions),
            )
        self.kept_away()

    def kept_away(self) -> None:
        """Called when the directory does not answer: a scan of it ends."""

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
        watch_error = (self.watch.self_test() or "") if self.watch else ""
        if watch_error:
            self._proof_due = 0.0
        copies = self.guard.copies
        try:
            copies.store.place.check()
            files.prove_writable(copies.store.root)
        except OSError as error:
            copies.refused(error)
        return watch_error

    @property
    def is_silent(self) -> bool:
        """Return whether the directory does not answer, so that nothing may touch it now."""
        return self.watch is not None and not self.watch.answers

    @property
    def trouble(self) -> str:
        """Why the directory is not watched now; empty when it is."""
        if self.is_silent:
            return f"{self.settings.sessions} does not answer"
        return "" if self.watch else self.reported_waiting

    @property
    def is_watching(self) -> bool:
        """Return whether changes are seen."""
        return self.watch is not None and self.watch_lost_since is None

    @property
    def is_sound(self) -> bool:
        """Return whether a restart could not make anything better; waiting for a directory, or for room, is sound."""
        since = self.watch_lost_since
        is_lost = since is not None and time.monotonic() - since > WATCH_LOST_TOO_LONG_SECONDS
        return not (is_lost and self.watch is None and not self.reported_waiting) and (
            self.guard.copies.broken != os.strerror(errno.EROFS)
        )
