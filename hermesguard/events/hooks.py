"""Commands that people configure: run beside the guard, never waited for, never through a shell."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from hermesguard.events.catalog import EVENTS
from hermesguard.events.event import Priority, plain
from hermesguard.events.sinks import SCHEMA_VERSION, Record, iso_time

ALERT: Final = "alert_command"
HEARTBEAT: Final = "heartbeat_command"
ON_VERSION: Final = "on_version_command"

HEARD: Final = frozenset(
    {event.name for event in EVENTS if event.priority <= Priority.WARNING} | {"version_kept"}
)
"""The events that `Hooks.hear` wants to hear of."""

_MOST_RUNNING: Final = 4
_MOST_WAITING: Final = 256
_HEARTBEAT_INTERVAL_SECONDS: Final = 60.0
_RECHECK_SECONDS: Final = 0.1
_MERCY_SECONDS: Final = 2.0
_FAILURE_INTERVAL_SECONDS: Final = 600.0
_MOST_COMPLAINT_BYTES: Final = 300
# A command is not the service: it must not speak to the service manager in its name.
_NOT_INHERITED: Final = (
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
    "JOURNAL_STREAM",
)


class Commands(Protocol):
    """The settings that matter here (`config.Settings`)."""

    @property
    def alert_command(self) -> tuple[str, ...]: ...
    @property
    def heartbeat_command(self) -> tuple[str, ...]: ...
    @property
    def on_version_command(self) -> tuple[str, ...]: ...
    @property
    def hook_timeout_seconds(self) -> float: ...


@dataclass(slots=True)
class _Run:
    hook: str
    process: subprocess.Popen[bytes]
    started: float
    deadline: float
    complaint: bytes = b""
    timed_out: bool = False


@dataclass(slots=True)
class _Failures:
    reported: float | None = None
    since_reported: int = 0


class Hooks:
    """The commands of the settings: at most four at once, the others wait in a bounded queue; all of it one thread's.

    Each gets one JSON object and a newline on standard input, runs in a process group of its own, and is ended with all
    of that group when it takes longer than `hook_timeout`. A failure is reported as event `hook_failed`, once, and again
    every ten minutes while it lasts.
    """

    def __init__(
        self, settings: Commands, report: Callable[..., None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._report = report
        self._monotonic = monotonic
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._running: list[_Run] = []
        self._failures: dict[str, _Failures] = {}
        self._last_heartbeat: float | None = None

    def configure(self, settings: Commands) -> None:
        """Use other settings from now on (a reload); what runs goes on as it began."""
        self._settings = settings

    def hear(self, record: Record) -> None:
        """Take note of an event: alerts go to `alert_command`, versions to `on_version_command`."""
        if record.event.name == "version_kept":
            self._queue(ON_VERSION, record.to_object())
        elif record.values.get("command") != ALERT:  # an alert about a failed alert would fail, too
            self._queue(ALERT, record.to_object())

    def heartbeat(self, **values: str | int | float) -> None:
        """Say that a scan proved the watch. Runs `heartbeat_command` with `values`, at most once a minute."""
        now = self._monotonic()
        if self._last_heartbeat is not None and now - self._last_heartbeat < _HEARTBEAT_INTERVAL_SECONDS:
            return
        if any(run.hook == HEARTBEAT for run in self._running) or any(
            hook == HEARTBEAT for hook, _ in self._waiting
        ):
            return
        self._last_heartbeat = now
        self._queue(
            HEARTBEAT, {"schema_version": SCHEMA_VERSION, "event": "heartbeat", "time": iso_time()} | values
        )

    def _queue(self, hook: str, data: Mapping[str, object]) -> None:
        if not getattr(self._settings, hook):
            return
        self._waiting.append((hook, orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE)))
        if len(self._waiting) > _MOST_WAITING:
            dropped, _ = self._waiting.popleft()
            self._failed(dropped, "too many are waiting to be run")

    def pump(self) -> float | None:
        """Start, look after and end commands; return seconds until this wants to be called again, None when idle."""
        self._running = [run for run in self._running if not self._finished(run)]
        while self._waiting and len(self._running) < _MOST_RUNNING:
            self._start(*self._waiting.popleft())
        return _RECHECK_SECONDS if self._running else None

    def _start(self, hook: str, data: bytes) -> None:
        command: tuple[str, ...] = getattr(self._settings, hook)
        if not command:
            return
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        try:
            # A file in memory as standard input: it need not be fed, whether the command reads it or not.
            with open(os.memfd_create(f"hermesguard-{hook}"), "wb+", buffering=0) as given:
                given.write(data)
                given.seek(0)
                process = subprocess.Popen(
                    command,
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=environment,
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            self._failed(hook, f"{command[0]}: {getattr(error, 'strerror', None) or error}")
            return
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        now = self._monotonic()
        self._running.append(_Run(hook, process, now, now + self._settings.hook_timeout_seconds))

    def _finished(self, run: _Run) -> bool:
        self._listen(run)
        status = run.process.poll()
        if status is None:
            if self._monotonic() >= run.deadline:
                self._end(run)
            return False
        self._listen(run)
        if run.process.stderr:
            run.process.stderr.close()
        if run.timed_out:
            self._failed(
                run.hook, f"it took longer than {self._settings.hook_timeout_seconds:g} s", status, run
            )
        elif status:
            self._failed(run.hook, _ending(status, run.complaint), status, run)
        else:
            self._failures.pop(run.hook, None)
        return True

    def _listen(self, run: _Run) -> None:
        """Read what the command complains of, so that it never waits for us; keep the last of it."""
        with suppress(OSError):
            while run.process.stderr and (data := os.read(run.process.stderr.fileno(), 65536)):
                run.complaint = (run.complaint + data)[-_MOST_COMPLAINT_BYTES:]

    def _end(self, run: _Run) -> None:
        """Ask the whole process group to end, and two seconds later make it."""
        with suppress(OSError):
            os.killpg(run.process.pid, signal.SIGKILL if run.timed_out else signal.SIGTERM)
        run.timed_out = True
        run.deadline = self._monotonic() + _MERCY_SECONDS

    def _failed(self, hook: str, error: str, status: int | None = None, run: _Run | None = None) -> None:
        failures = self._failures.setdefault(hook, _Failures())
        now = self._monotonic()
        if failures.reported is not None and now - failures.reported < _FAILURE_INTERVAL_SECONDS:
            failures.since_reported += 1
            return
        count = failures.since_reported or None
        self._failures[hook] = _Failures(now)
        duration_us = int((now - run.started) * 1_000_000) if run else None
        self._report(
            "hook_failed", command=hook, error=error, exit_status=status, count=count, duration_us=duration_us
        )

    def flush(self, deadline_seconds: float) -> bool:
        """Wait for what is queued and running, but no longer than `deadline_seconds`; return whether all is done."""
        deadline = time.monotonic() + deadline_seconds
        while (delay := self.pump()) is not None:
            if (remaining := deadline - time.monotonic()) <= 0:
                return False
            time.sleep(min(delay, remaining))
        return True

    def close(self) -> None:
        """End what still runs, with its process group, and forget what waits."""
        self._waiting.clear()
        for run in self._running:
            with suppress(OSError):
                os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
            if run.process.stderr:
                run.process.stderr.close()
        self._running.clear()


def _ending(status: int, complaint: bytes) -> str:
    how = f"it was ended by signal {-status}" if status < 0 else f"it ended with exit status {status}"
    lines = complaint.decode("utf-8", "replace").split("\n")
    said = next((plain(line.strip()) for line in reversed(lines) if line.strip()), "")
    return f"{how} ({said})" if said else how
