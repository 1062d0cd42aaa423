"""Work that would hold the loop for longer than a turn: done in a thread of its own, one piece after the other.

The work is pure, or touches nothing but files that nobody else knows of; what follows from it is done by the loop.
Without a loop (a single scan, most tests) the work is done at once.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

SWITCH_SECONDS: Final = 0.0005
"""How soon the thread lets the loop go on: a repair of another session gives the interpreter up with each call."""


@dataclass(slots=True)
class _Job:
    session: str
    work: Callable[[], Any]
    then: Callable[[Any], None]
    is_urgent: bool
    result: Any = None
    error: Exception | None = None


class Background:
    """The jobs of one guard. All methods are called by the loop."""

    def __init__(self, failed: Callable[[str, Exception], object]) -> None:
        """`failed` is called with the session and what its job raised."""
        self._failed = failed
        self.ended: Callable[[str], None] = lambda session: None
        """Called when a job of the session is finished."""
        self._waiting: deque[_Job] = deque()
        self._running: _Job | None = None
        self._done: deque[_Job] = deque()
        self._wakeup: int | None = None

    def open(self) -> int:
        """Work in a thread from now on; return what becomes readable when a job is done (then call `finish`)."""
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return self._wakeup

    def is_idle(self) -> bool:
        """Return whether no job waits, runs, or is not finished yet."""
        return not (self._waiting or self._done or self._running)

    @property
    def is_threaded(self) -> bool:
        """Return whether work is done in a thread."""
        return self._wakeup is not None

    @property
    def has_urgent(self) -> bool:
        """Return whether urgent work is not finished yet."""
        return any(job.is_urgent for job in self._jobs())

    def _jobs(self) -> list[_Job]:
        return [*self._waiting, *self._done, *([self._running] if self._running else [])]

    def is_busy(self, session: str) -> bool:
        """Return whether a job of the session waits, runs, or is not finished yet."""
        return any(job.session == session for job in self._jobs())

    def start(
        self,
        session: str,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        *,
        is_urgent: bool = False,
        is_first: bool = False,
    ) -> None:
        """Do `work`, and then call `then` with what it returned; what it raises is reported.

        What is urgent (a judgement) goes before what is not (a copy), and what is first before all.
        """
        job = _Job(session, work, then, is_urgent)
        if self._wakeup is None:
            _do(job)
            self._end(job)
            return
        if is_first:
            self._waiting.appendleft(job)
        elif is_urgent:
            self._waiting.insert(sum(other.is_urgent for other in self._waiting), job)
        else:
            self._waiting.append(job)
        self._next()

    def _next(self) -> None:
        if self._running or not self._waiting:
            return
        job = self._running = self._waiting.popleft()
        sys.setswitchinterval(SWITCH_SECONDS)
        thread = threading.Thread(target=self._run, args=(job,), name="hermesguard-work", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread is to be had (TasksMax=, no memory): late is better than never
            self._run(job)

    def _run(self, job: _Job) -> None:
        _do(job)
        self._done.append(job)
        with suppress(OSError):
            os.eventfd_write(self._wakeup or 0, 1)

    def finish(self) -> None:
        """Do what follows from the jobs that are done."""
        if self._wakeup is not None:
            with suppress(BlockingIOError):
                os.eventfd_read(self._wakeup)
        while self._done:
            job = self._done.popleft()
            self._running = None
            self._end(job)
        self._next()

    def _end(self, job: _Job) -> None:
        try:
            if job.error:
                raise job.error
            job.then(job.result)
        except Exception as error:  # noqa: BLE001
            self._failed(job.session, error)
        finally:
            self.ended(job.session)

    def close(self) -> None:
        """Begin nothing more; what runs is left to end with the process."""
        self._waiting.clear()
        if self._wakeup is not None and self._running is None:
            os.close(self._wakeup)
            self._wakeup = None


def _do(job: _Job) -> None:
    try:
        job.result = job.work()
    except Exception as error:  # noqa: BLE001
        job.error = error
