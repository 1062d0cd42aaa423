"""What a large store costs: time and memory of `status`, `lost`, `find`, `list`, `prune`, `verify`, `drill`, alone and
beside a guard.

Run: python bench/store.py [--sessions 10000] [--versions 5]

The store is the one of bench/commands.py. Each command is a process of its own; its peak memory is what the kernel says
(wait4(2)), beside that of a bare interpreter. Behind `status`, `lost` and `find` stands how many times the CPU they use of
the tool that does the least of the same: `du` asks for the size of every file, gzip and grep look for a word in every copy.
The last lines are about a guard that runs on the store: its memory when it is ready, and how long a repair waits that is
asked for in the middle of a prune.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from commands import furnish

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era

REPOSITORY = Path(__file__).parents[1]
SESSIONS_WIPED = 500
DU = "du -s store"
GREP = "gzip and grep, all copies"
REFERENCES = {
    DU: 'du -s "$HERMESGUARD_STORE"',
    GREP: 'cd "$HERMESGUARD_STORE"; { cat shadows/*.json; find history -name "*.gz" -print0 | xargs -0 gzip -dc; } | '
    "grep -ic zeppelin || true",
}
COMMANDS = (
    ("a bare interpreter", ["-c", "pass"]),
    ("status", ["-m", "hermesguard", "status"]),
    ("lost", ["-m", "hermesguard", "lost"]),
    ("find, nowhere", ["-m", "hermesguard", "find", "zeppelin"]),
    ("find, everywhere", ["-m", "hermesguard", "find", "does what part 7"]),
    ("list --json", ["-m", "hermesguard", "list", "--json"]),
    ("list", ["-m", "hermesguard", "list"]),
    ("prune --dry-run --json", ["-m", "hermesguard", "prune", "--dry-run", "--json"]),
    ("verify --json", ["-m", "hermesguard", "verify", "--json"]),
    ("drill --json", ["-m", "hermesguard", "drill", "--json"]),
)

BESIDE = {"status": DU, "lost": DU, "find, nowhere": GREP, "find, everywhere": GREP}
ANSWERS = (0, 4, 13)
"""All is well, it is not, nothing was found."""


def main() -> None:
    """Make the store, run everything, print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--versions", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hermesguard-bench-") as directory:
        root = Path(directory)
        furnish(root, asked.sessions, asked.versions)
        environment = {
            **os.environ,
            "HERMESGUARD_SESSIONS": str(root / "sessions"),
            "HERMESGUARD_STORE": str(root / "store"),
            "HERMESGUARD_LOG": "quiet",
            "HOME": directory,
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        print(f"{asked.sessions} sessions with {asked.versions} versions each")
        print(f"{'':<36}{'seconds':>9}{'CPU s':>9}{'peak MB':>9}")
        cpu_seconds = {}
        for name, script in REFERENCES.items():
            figures = timed([], environment, ["bash", "-c", script])
            cpu_seconds[name] = figures[1]
            print(f"{name:<36}{columns(*figures)}")
        for name, words in COMMANDS:
            timed(words, environment)  # what the first one writes, byte code, and reads from a cold disk
            figures = timed(words, environment)
            beside = BESIDE.get(name)
            ratio = f"  {figures[1] / cpu_seconds[beside]:.1f} times {beside}" if beside else ""
            print(f"{name:<36}{columns(*figures)}{ratio}")
        beside_a_guard(environment)


def columns(seconds: float, cpu_seconds: float, peak_bytes: int) -> str:
    """Return the figures of a command as columns."""
    return f"{seconds:>9.2f}{cpu_seconds:>9.2f}{peak_bytes / 1e6:>9.0f}"


def timed(
    words: list[str], environment: dict[str, str], command: list[str] | None = None
) -> tuple[float, float, int]:
    """Run Python with these words, or a command; return seconds, seconds of CPU, peak memory in bytes."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command or [sys.executable, *words],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ANSWERS:
        raise SystemExit(f"{' '.join(words)} left with {process.returncode}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def beside_a_guard(environment: dict[str, str]) -> None:
    """Measure a running guard, and a prune that it is asked for."""
    guard = subprocess.Popen([sys.executable, "-m", "hermesguard", "run"], cwd=REPOSITORY, env=environment)
    try:
        status = ["-m", "hermesguard", "status", "--json"]
        began = time.perf_counter()
        while (
            subprocess.run(
                [sys.executable, *status], cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL
            ).returncode
            not in (0, 4)
            or not (Path(environment["HERMESGUARD_STORE"]) / "control").exists()
        ):
            time.sleep(0.1)
        print(
            f"{'guard: seconds until it answers':<36}{time.perf_counter() - began:>9.2f}{'':>9}{memory(guard.pid):>9.0f}"
        )
        longest = Longest(Path(environment["HERMESGUARD_SESSIONS"]))
        with longest:
            prune = timed(["-m", "hermesguard", "prune", "--dry-run", "--json"], environment)
        print(f"{'prune --dry-run, asked of the guard':<36}{columns(*prune)}")
        print(f"{'guard: memory afterwards':<36}{'':>18}{memory(guard.pid):>9.0f}")
        print(f"{f'longest of {longest.times} repairs meanwhile':<36}{longest.seconds:>9.3f}")
    finally:
        guard.terminate()
        guard.wait()


def memory(pid: int) -> float:
    """Return the memory that is a process's own, in MB."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return (
            sum(int(line.split()[1]) for line in lines if line.startswith(("Private_", "Anonymous"))) / 2000
        )


class Longest:
    """Wipes one session after the other meanwhile, as hermes-webui #1558 does, and measures how long each stays empty.

    One after the other, for with whoever wipes the same one again and again the guard takes its time (`back_off`).
    """

    def __init__(self, sessions: Path) -> None:
        self.seconds = 0.0
        self.times = 0
        self._app = App(sessions, Era.NEW)
        names = sorted(path.stem for path in sessions.iterdir() if not path.name.startswith("_"))
        self._chats = [self._app.open(name) for name in names[:SESSIONS_WIPED]]
        # The stand-in would write the messages of all sessions at every save, and be the slower one of the two.
        self._app.index = lambda: None
        self._app.write_index = lambda *_, **__: None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Longest":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            chat = self._chats[self.times % SESSIONS_WIPED]
            chat.reload()
            chat.send(f"prompt {self.times}")
            self._ended.wait(0.05)
            began = time.perf_counter()
            losses.wipe(chat)
            while not chat.on_disk()["messages"]:
                time.sleep(0.0005)
            self.seconds = max(self.seconds, time.perf_counter() - began)
            self.times += 1


if __name__ == "__main__":
    main()
