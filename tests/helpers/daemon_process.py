"""The real daemon as a process on a directory: started, killed, stopped, and listened to."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hermesguard.store.store import Store
from tests.helpers.waiting import until

REPOSITORY = Path(__file__).parents[2]
READY_SECONDS = 60.0
END_SECONDS = 30.0
# Root may read everything; without these capabilities it is bound by owners and modes as anyone is. A container may have
# made them inheritable: then the bounding set alone does not take them away (capabilities(7)).
_MIGHT = "-dac_override,-dac_read_search,-chown"
AS_NOBODY = ("setpriv", f"--inh-caps={_MIGHT}", f"--bounding-set={_MIGHT}")

Record = dict[str, Any]


def environment_for(home: Path, **more: str) -> dict[str, str]:
    """This process's environment, without what would lead a hermesguard away from `home`."""
    astray = ("HERMES", "XDG_", "NOTIFY_", "WATCHDOG_", "JOURNAL_", "STATE_DIRECTORY", "LISTEN_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(astray)}
    return kept | {"HOME": str(home)} | more


def hermesguard(home: Path, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, and return how it ended; `more` goes into its environment."""
    return subprocess.run(
        [sys.executable, "-m", "hermesguard", *map(str, arguments)],
        env=environment_for(home, **more),
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
    )


def cpu_seconds(pid: int) -> float:
    """How much of the processor a process has had."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Daemon:
    """`hermesguard run` on `root`/webui/sessions and `root`/store; leaving the context ends it, at worst by force.

    It can be started again and again; `events` holds what all of its processes told, oldest first, `lines` the same as text.
    """

    def __init__(
        self,
        root: Path,
        *flags: str | Path,
        sessions: Path | None = None,
        store: Path | None = None,
        environment: Mapping[str, str] | None = None,
        prefix: Iterable[str] = (),
        level: str = "debug",
        names_sessions: bool = True,
    ) -> None:
        """Without `names_sessions` it guards what it finds in the home, which is `root`."""
        self.sessions = sessions or root / "webui" / "sessions"
        self.store = store or root / "store"
        self.events: list[Record] = []
        self.lines: list[str] = []
        places = ["--store", self.store, *(["--sessions", self.sessions] if names_sessions else [])]
        self._command = [*prefix, sys.executable, "-m", "hermesguard", "run", *map(str, (*places, *flags))]
        self._environment = environment_for(
            root, HERMESGUARD_LOG="json", HERMESGUARD_LOG_LEVEL=level, **(environment or {})
        )
        self.process: subprocess.Popen[bytes] | None = None
        self._listener: threading.Thread | None = None

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            try:
                self.stop(signal.SIGTERM)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def start(self, *, ready: bool = True) -> "Daemon":
        """Start a process; return when it is ready, if that is asked for."""
        assert self.process is None
        reported = len(self.events)
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self._listener.start()
        if ready:
            self.until(
                lambda: any(event["event"] == "ready" for event in self.events[reported:]), READY_SECONDS
            )
        return self

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stderr is not None
        for line in process.stderr:
            text = line.decode("utf-8", "backslashreplace").rstrip("\n")
            self.lines.append(text)
            if text.startswith("{"):
                self.events.append(json.loads(text))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal that ends the process, and return its exit code (negative: ended by that signal)."""
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def kill(self) -> None:
        """End the process as a power cut does, for the process."""
        assert self.process
        self.process.kill()
        self.ended()

    def ended(self) -> int:
        """Wait until the process has ended by itself; return its exit code."""
        assert self.process
        assert self._listener
        code = self.process.wait(END_SECONDS)
        self._listener.join(END_SECONDS)
        assert self.process.stderr
        self.process.stderr.close()
        self.process = None
        return code

    def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        """As `waiting.until`, but an end of the process ends the waiting too, with what it said."""

        def holds() -> Any:
            alive = self.process is not None and self.process.poll() is None
            result = condition()
            assert result or alive, "the daemon has ended:\n" + "\n".join(self.lines[-20:])
            return result

        try:
            return until(holds, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(self.lines[-20:])) from None

    def heard(self, name: str, **fields: object) -> list[Record]:
        """The events of that name with these values, so far."""
        return [
            event
            for event in list(self.events)
            if event["event"] == name and all(event.get(key) == value for key, value in fields.items())
        ]

    def until_heard(self, name: str, seconds: float = 60.0, **fields: object) -> Record:
        """The first event of that name with these values, waited for."""
        record: Record = self.until(lambda: self.heard(name, **fields), seconds)[0]
        return record

    def shadow(self, path: Path) -> bytes | None:
        """The newest good copy of a session's file; None when there is none, or none at this instant."""
        try:
            return Store(self.store).read_shadow(path.stem)
        except OSError:
            return None

    def until_kept(self, path: Path) -> None:
        """Wait until the shadow is the file, byte for byte."""
        self.until(lambda: self.shadow(path) == path.read_bytes())

    def incidents(self) -> list[Record]:
        """The lines of the incident log, without its notes (what a user meant, what was lost before)."""
        try:
            lines = (self.store / "incidents.jsonl").read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        # The last one may be read while it is being written.
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [entry for entry in found if entry["event"] not in ("intended", "lost_before")]
