"""What the story is played on: the real guard as a process of its own, and an observer that notes when a file has changed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hermesguard.errors import GuardError
from hermesguard.store.store import Store

PACKAGE_ROOT = str(Path(__file__).parents[2])  # not where Python looks, when it is a Debian package
READY_SECONDS = 30.0
GLANCE_SECONDS = 0.0002
STOP_SECONDS = 5.0
KEPT_WORDS = 20
ERROR, DEBUG = 3, 7  # priorities of syslog(3)

Record = dict[str, Any]


class Guard:
    """`hermesguard run` as a process on `sessions` and `store`, untouched by the configuration and environment of the caller.

    Leaving the context ends the process, at worst by force; nothing of it is left.
    """

    def __init__(self, sessions: Path, store: Path, configuration: Path) -> None:
        self.store = store
        self.events: list[Record] = []
        self._last_words: deque[str] = deque(maxlen=KEPT_WORDS)
        configuration.write_text("")
        taken_over = {key: value for key, value in os.environ.items() if not key.startswith("HERMESGUARD_")}
        for key in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"):
            taken_over.pop(
                key, None
            )  # a guard in a story must not speak for the service that started the story
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hermesguard", "run", "--sessions", str(sessions), "--store", str(store)],
            env=taken_over
            | {
                "HERMESGUARD_CONFIG": str(configuration),
                "HERMESGUARD_LOG": "json",
                "PYTHONPATH": PACKAGE_ROOT,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the story, which then ends the guard
        )
        self._listener = threading.Thread(target=self._listen, name="demo-listener", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode("utf-8", "replace").strip()
            try:
                event = json.loads(text)
            except ValueError:
                event = None
            if isinstance(event, dict):
                self.events.append(event)
                text = str(event.get("message", "")) if event.get("priority", DEBUG) <= ERROR else ""
            if text:
                self._last_words.append(text)

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._listener.join(STOP_SECONDS)
        if self._process.stderr is not None:
            self._process.stderr.close()

    def must_live(self) -> None:
        """GuardError when the process has ended; it says how, and what the guard said last."""
        code = self._process.poll()
        if code is None:
            return
        self._listener.join(STOP_SECONDS)
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        said = " ".join(self._last_words)[-600:] or "nothing"
        raise GuardError(
            f"The guard that the demo started has ended by itself, {how}; it said: {said.rstrip('.')}",
            "The sessions of the demo were made for it, so nothing of yours is lost",
        )

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Return whether `condition` came true within so many seconds; GuardError when the process ends meanwhile."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.must_live()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def wait_until_ready(self) -> Record:
        """Return the event with which the guard says that it is ready; GuardError when it does not."""
        if not self.wait(
            lambda: any(event.get("event") == "ready" for event in list(self.events)), READY_SECONDS
        ):
            raise GuardError(
                f"The guard that the demo started was not ready within {READY_SECONDS:.0f} s",
                "The machine may be very busy; try again",
            )
        return next(event for event in list(self.events) if event.get("event") == "ready")

    def incidents(self, session_id: str) -> list[Record]:
        """Return what the guard has written into its incident log about a session, oldest first."""
        try:
            lines = (self.store / "incidents.jsonl").read_text("utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            return []
        records = [json.loads(line) for line in lines if line.endswith("\n")]
        return [record for record in records if record.get("session") == session_id]

    def has_shadow_like(self, path: Path) -> bool:
        """Return whether the guard's copy of a session is that file, byte for byte."""
        try:
            return Store(self.store).read_shadow(path.stem) == path.read_bytes()
        except FileNotFoundError:
            return False


class Observer:
    """Looks at one file some thousand times a second, and remembers when each of its states was first seen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: list[tuple[int, tuple[int, ...] | None]] = []
        self._shut = threading.Event()
        self._thread = threading.Thread(target=self._look, name="demo-eyes", daemon=True)

    def __enter__(self) -> "Observer":
        self._seen = [(time.monotonic_ns(), self._state())]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._shut.set()
        self._thread.join()

    def _state(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _look(self) -> None:
        while not self._shut.wait(GLANCE_SECONDS):
            state = self._state()
            if state != self._seen[-1][1]:
                self._seen.append((time.monotonic_ns(), state))

    def milliseconds_since(self, start_ns: int) -> float:
        """Return how long after `start_ns` the file came to be what it is now."""
        state = self._state()
        first = time.monotonic_ns()
        for seen_ns, seen in reversed(self._seen):
            if seen != state:
                break
            first = seen_ns
        return max(0.0, (first - start_ns) / 1e6)


@contextmanager
def orderly_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the story as Ctrl-C does, by an exception, so that everything is put away first."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
