"""Work that may take longer than a request: begun in a thread, asked after until it is done."""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from hermesguard.errors import GuardError
from hermesguard.page.access import Refusal
from hermesguard.page.answers import Problem, refusal_of

_KEPT_SECONDS: Final = 300.0
_MOST_AT_ONCE: Final = 4


class Stopped(Exception):
    """Raised within a job that nobody wants any more."""


class Job:
    """One piece of work. `progress` is (done, of) while it runs and that is known."""

    def __init__(self, kind: str) -> None:
        self.id = secrets.token_hex(8)
        self.kind = kind
        self.state = "running"
        self.progress: tuple[int, int] | None = None
        self.result: dict[str, Any] | None = None
        self.refusal: Refusal | None = None
        self.ended = 0.0
        self._is_wanted = True
        self._done = threading.Event()

    def stop(self) -> None:
        """Say that nobody waits for it any more; it notices at its next step."""
        self._is_wanted = False

    def step(self, done: int, of: int) -> None:
        """Note how far it is. Raises Stopped when nobody wants it any more."""
        self.progress = (done, of)
        if not self._is_wanted:
            raise Stopped

    def wait(self, seconds: float) -> bool:
        """Return whether it is over, after waiting for that so long at most."""
        return self._done.wait(seconds)

    def run(self, work: Callable[["Job"], dict[str, Any]], fault: Callable[[Exception], Refusal]) -> None:
        """Do the work and note its outcome; raises nothing."""
        try:
            self.result = work(self)
            self.state = "done"
        except Stopped:
            self.state = "stopped"
        except Problem as problem:
            self.state, self.refusal = "failed", problem.refusal
        except GuardError as problem:
            self.state, self.refusal = "failed", refusal_of(problem)
        except Exception as problem:  # noqa: BLE001 - the page is to say something, whatever happened
            self.state, self.refusal = "failed", fault(problem)
        finally:
            self.ended = time.monotonic()
            self._done.set()


class Jobs:
    """All of them; those that are over are forgotten after five minutes."""

    def __init__(self, fault: Callable[[Exception], Refusal]) -> None:
        self._fault = fault
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    @property
    def is_running(self) -> bool:
        """Return whether any is at work."""
        with self._lock:
            return any(not job.ended for job in self._jobs.values())

    def begin(self, kind: str, work: Callable[[Job], dict[str, Any]], *, is_only: bool = False) -> Job:
        """Begin a job; of a kind of which there `is_only` one at a time the one before is stopped.

        Raises Problem when too many are at work.
        """
        job = Job(kind)
        with self._lock:
            now = time.monotonic()
            self._jobs = {
                it.id: it for it in self._jobs.values() if not it.ended or now - it.ended < _KEPT_SECONDS
            }
            for other in self._jobs.values():
                if is_only and other.kind == kind:
                    other.stop()
            if sum(not it.ended for it in self._jobs.values()) >= _MOST_AT_ONCE:
                raise Problem(429, "busy", "Too much is being done already", "Wait until something is done")
            self._jobs[job.id] = job
        threading.Thread(target=job.run, args=(work, self._fault), name=kind, daemon=True).start()
        return job

    def find(self, number: str) -> Job:
        """Return a job. Raises Problem when there is none of that id, or no longer."""
        with self._lock:
            job = self._jobs.get(number)
        if job is None:
            raise Problem(404, "not_found", "There is no such job, or no longer", "Begin it again")
        return job


def job_object(job: Job) -> dict[str, Any]:
    """Return a job as the API documents it."""
    known: dict[str, Any] = {"job": job.id, "state": job.state, "progress": None}
    if job.state == "running" and job.progress:
        known["progress"] = {"done": job.progress[0], "of": job.progress[1]}
    if job.result is not None:
        known["result"] = job.result
    if job.refusal is not None:
        known["error"] = {
            "status": job.refusal.status,
            "code": job.refusal.code,
            "what": job.refusal.what,
            "remedy": job.refusal.remedy,
        }
    return known
