"""Holds a Lease, and lets a guard run only as long as it is held: the guard is a child, which is ended before the Lease can go
to another.

The lock of the store and the number in it remain what decides (docs/scale-out.md). A process that hangs, or stands still, loses
the Lease without knowing.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from hermesguard.config.units import parse_duration
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import Reporter
from hermesguard.lease.cluster import Cluster
from hermesguard.lease.lease import Lease, LeaseError, clock
from hermesguard.store.lock import lock_holder

SHORTEST_SECONDS: Final = 2
LONGEST_SECONDS: Final = 3600
_RENEW: Final = 2 / 15
"""After this part of its duration the Lease is renewed, or looked at again; at the latest after two seconds."""
_AGAIN: Final = 1 / 15
"""After this part of it, when there was no answer; at the latest after one second."""
_ANSWER: Final = 4 / 15
"""For this part of it an answer is waited for, at most for four seconds: then a new connection may do better."""
_GIVE_UP: Final = 10 / 15
"""After this part of it, not renewed, the guard is asked to end."""
_KILL: Final = 14 / 15
"""After this part of it the guard is ended by force."""
_LOOK_SECONDS: Final = 1.0
"""How often a lock that another guard has is looked at."""
_RELEASE_SECONDS: Final = 5.0
_PARTING_SECONDS: Final = 1.0
_ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_HEEDED: Final = _ENDING | {signal.SIGHUP, signal.SIGCHLD}
_PR_SET_PDEATHSIG: Final = 1


def keep(lease: str, duration: str, store: Path, reporter: Reporter) -> int:
    """Guard whenever the Lease is ours, until stopped or until the guard ends by itself; return the exit code.

    The process is to end after it: its signals stay blocked. Raises GuardError when the Lease can never be held.
    """
    seconds = seconds_of(duration)
    held = Lease(Cluster.of_this_pod(), lease, seconds)
    return Keeper(held, seconds, store, reporter).run()


def seconds_of(text: str) -> int:
    """Return the duration of a Lease, which is in whole seconds. GuardError when it is none."""
    try:
        seconds = parse_duration(text)
        if seconds.is_integer() and SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
            return int(seconds)
    except ValueError:
        pass
    raise GuardError(
        f"--lease-duration {text}: invalid value",
        f"It is in whole seconds, from {SHORTEST_SECONDS}s to 1h, such as 15s",
        ExitCode.USAGE,
    )


class _Interrupted(BaseException):
    """A signal came while the API server was asked: SIGALRM when that took too long."""

    def __init__(self, number: int) -> None:
        self.number = number


class Keeper:
    """One Lease, and the guard that runs while it is held. One thread; it sleeps until a signal comes or something is due."""

    def __init__(self, lease: Lease, duration_seconds: int, store: Path, reporter: Reporter) -> None:
        self._lease, self._duration, self._store, self._reporter = lease, duration_seconds, store, reporter
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HEEDED | {signal.SIGALRM})
        for number in (*_ENDING, signal.SIGALRM):
            signal.signal(number, self._interrupt)
        self._held_since: float | None = None
        """Before the request that took or renewed the Lease; None: it is not ours."""
        self._renew_at = self._look_at = 0.0
        self._guard: int | None = None
        """The process of the guard."""
        self._ended: int | None = None
        """How the guard ended, until that is taken note of."""
        self._exit_code: int | None = None
        self._said = ""
        """What was said last of the Lease: it is said once."""
        self._is_lock_said = False

    def run(self) -> int:
        """Turn until stopped; return the exit code."""
        try:
            while self._exit_code is None:
                self._turn()
            return self._exit_code
        finally:
            self._end_guard()
            if self._held_since is not None or self._lease.may_be_ours:
                self._release()
            self._reporter.flush(_PARTING_SECONDS)

    def _turn(self) -> None:
        if clock() >= self._renew_at:
            self._hold()
        if self._held_since is not None and clock() >= self._held_since + _GIVE_UP * self._duration:
            self._lose(self._said or "it was not renewed in time")
        if self._ended is not None:
            self._mind_end()
        if self._exit_code is None and self._held_since is not None and self._guard is None:
            self._begin_guard()
        self._reporter.pump()
        if self._exit_code is None:
            self._wait(self._due_seconds())

    def _due_seconds(self) -> float:
        due = [self._renew_at]
        if self._held_since is not None:
            due.append(self._held_since + _GIVE_UP * self._duration)
            if self._guard is None:
                due.append(self._look_at)
        return max(0.0, min(due) - clock())

    # -- the Lease

    def _hold(self) -> None:
        """Take or renew the Lease, and say what has changed."""
        began = clock()
        limit = min(4.0, _ANSWER * self._duration)
        if self._held_since is not None:
            limit = max(0.1, min(limit, self._held_since + _GIVE_UP * self._duration - began))
        try:
            with _no_longer_than(limit):
                is_ours = self._lease.hold(limit)
        except _Interrupted as by:
            if by.number == signal.SIGALRM:
                self._trouble("the API server does not answer in time")
        except LeaseError as error:
            self._trouble(str(error))
        except GuardError as error:
            if self._held_since is None:
                raise
            self._trouble(error.what)
        else:
            self._renew_at = clock() + min(2.0, _RENEW * self._duration)
            if is_ours:
                if self._held_since is None:
                    self._reporter.report("lease_held", lease=self._lease.name, holder=self._lease.identity)
                    self._is_lock_said = False
                self._held_since, self._said = began, ""
            elif self._held_since is not None:
                self._lose(f"{self._lease.holder} holds it now")
            elif self._said != self._lease.holder:
                self._said = self._lease.holder
                self._reporter.report("standby", lease=self._lease.name, holder=self._lease.holder)

    def _trouble(self, what: str) -> None:
        self._renew_at = clock() + min(1.0, _AGAIN * self._duration)
        if self._said != what:
            self._said = what
            self._reporter.report("lease_unanswered", lease=self._lease.name, error=what)

    def _lose(self, reason: str) -> None:
        """End the guard, which must be over before the Lease can be taken by another."""
        self._reporter.report("lease_lost", lease=self._lease.name, reason=reason)
        self._end_guard()
        self._held_since, self._said = None, ""

    def _release(self) -> None:
        with contextlib.suppress(LeaseError, GuardError, _Interrupted), _no_longer_than(_RELEASE_SECONDS):
            self._lease.release(_RELEASE_SECONDS)

    # -- the guard

    def _begin_guard(self) -> None:
        """Start the guard, unless another one still has the lock: that of a machine that is gone outlasts its Lease."""
        if clock() < self._look_at:
            return
        self._look_at = clock() + _LOOK_SECONDS
        if lock_holder(self._store / "lock") is None:
            self._guard = _start(self._mask)
        elif not self._is_lock_said:
            self._is_lock_said = True
            self._reporter.report("standby", lease=self._lease.name, store=str(self._store))

    def _mind_end(self) -> None:
        """The guard has ended by itself: this one ends too, unless only the lock was another's."""
        if self._ended != ExitCode.LOCKED:
            self._exit_code = self._ended
        self._ended = None

    def _end_guard(self) -> None:
        """End the guard in good order while the Lease lasts, else by force; return when it is over."""
        self._signal_guard(signal.SIGTERM)
        since = clock() if self._held_since is None else self._held_since
        kill_at = max(since + _KILL * self._duration, clock() + _AGAIN * self._duration)
        while self._is_guarding():
            if clock() >= kill_at:
                self._signal_guard(signal.SIGKILL)
            self._wait(max(0.0, kill_at - clock()) or _LOOK_SECONDS)
        self._ended = None

    def _is_guarding(self) -> bool:
        return self._guard is not None

    def _signal_guard(self, number: signal.Signals) -> None:
        if self._guard is not None:
            os.kill(self._guard, number)

    # -- signals

    def _wait(self, seconds: float) -> None:
        """Wait for a signal, and take note of it; of the end of the guard too."""
        information = signal.sigtimedwait(_HEEDED, seconds)
        if information and information.si_signo != signal.SIGCHLD:
            self._note_signal(information.si_signo)
        self._reap()

    def _note_signal(self, number: int) -> None:
        if number in _ENDING:
            self._exit_code = 0 if number == signal.SIGTERM else 128 + number
        elif number == signal.SIGHUP:
            self._signal_guard(signal.SIGHUP)

    def _interrupt(self, number: int, frame: Any) -> NoReturn:
        """What `_no_longer_than` lets through. Whoever swallows the exception does not swallow that we are to end."""
        self._note_signal(number)
        raise _Interrupted(number)

    def _reap(self) -> None:
        """As a container's first process, also what others have left behind."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                process, status = found
                if process == self._guard:
                    code = os.waitstatus_to_exitcode(status)
                    self._guard, self._ended = None, code if code >= 0 else 128 - code


@contextlib.contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    """Let what is done here be ended by SIGALRM after that time, and by what ends us: as `_Interrupted`."""
    heeded = _ENDING | {signal.SIGALRM}
    try:
        # Again and again, for it may come where no exception can be raised.
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
        yield
    finally:
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.sigtimedwait({signal.SIGALRM}, 0)  # it may have come too late to be of use


def _start(mask: Any) -> int:
    """Start the same command without the Lease, as a child that ends when we do; return its process."""
    command = [sys.executable, *sys.orig_argv[1:], "--lease="]
    prctl: Callable[..., int] = ctypes.CDLL(None).prctl
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == parent:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.execv(sys.executable, command)
    finally:
        os._exit(ExitCode.FAILED)
