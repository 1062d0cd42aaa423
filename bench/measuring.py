"""What all benchmarks share: processes and what the kernel counts of them, conversations to save, figures to report."""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hermesguard.demo.app import App
from hermesguard.demo.eras import Era, members
from hermesguard.demo.files import dumps, replace_file

REPOSITORY = Path(__file__).parents[1]
BUILD_DIRECTORY = REPOSITORY / "build" / "bench"
READY_SECONDS = 600.0
WAIT_SECONDS = 60.0
MESSAGE_BYTES = 400
_ENVIRONMENT = {"HERMESGUARD_LOG": "json", "HERMESGUARD_LOG_LEVEL": "info"}

# Who writes and waits, spinning, has a core of its own; all contenders share the others.
CORES = sorted(os.sched_getaffinity(0))
OTHER_CORES = CORES[1:] or CORES


# ---- waiting ---------------------------------------------------------------------------------------------------------


def until(
    condition: Callable[[], object],
    what: str,
    seconds: float = WAIT_SECONDS,
    pause_seconds: float = 0.001,
) -> None:
    """Wait until the condition holds, for so long at most; SystemExit, with `what` was waited for, when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:g} s in vain for {what}")
        time.sleep(pause_seconds)


# ---- processes -------------------------------------------------------------------------------------------------------


class Process:
    """A process under measurement, and what the kernel counts of it (proc(5))."""

    def __init__(self, command: Sequence[str | Path], **more: object) -> None:
        self.popen = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, **more)  # type: ignore[call-overload]
        os.sched_setaffinity(self.popen.pid, OTHER_CORES)

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self.popen.pid)

    def cpu_ns(self) -> int:
        """Time on a CPU of all its threads; exact while it sleeps."""
        tasks = Path(f"/proc/{self.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())

    def written_bytes(self) -> int:
        """What it has made the kernel write to storage, taken back writes left out."""
        counts = dict(line.split(": ") for line in Path(f"/proc/{self.pid}/io").read_text().splitlines())
        return int(counts["write_bytes"]) - int(counts["cancelled_write_bytes"])

    def wakeups(self) -> int:
        """How often it went to sleep by itself."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    def peak_bytes(self) -> int:
        """The most memory that was resident so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("\nVmHWM:")[2].split()[0]) * 1024

    def cache_bytes(self) -> int:
        """Its resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("\nVmRSS:")[2].split()[0]) * 1024

    def until_idle(self, quiet_seconds: float = 0.003) -> int:
        """Wait until it has slept for so long, waiting for no disk and for no core; return its CPU time then."""
        before = -1
        while (now := self.cpu_ns()) != before or not self._sleeps():
            before = now
            time.sleep(quiet_seconds)
        return now

    def _sleeps(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait for that."""
        self.popen.send_signal(number)
        self.popen.wait(60)
        if self.popen.stdout:
            self.popen.stdout.close()


class Guard(Process):
    """The real daemon, ready; `ready_seconds` is how long that took from the start of the process."""

    def __init__(self, sessions: Path, store: Path, *flags: str, prefix: Sequence[str] = ()) -> None:
        with (
            tempfile.TemporaryDirectory() as directory,
            contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener,
        ):
            address = f"{directory}/notify"
            listener.bind(address)
            listener.settimeout(READY_SECONDS)
            command = [*prefix, sys.executable, "-m", "hermesguard", "run", "--sessions", str(sessions)]
            environment = {key: value for key, value in os.environ.items() if "HERMES" not in key}
            began = time.perf_counter()
            super().__init__(
                [*command, "--store", str(store), *flags],
                env=environment | _ENVIRONMENT | {"NOTIFY_SOCKET": address},
                cwd=REPOSITORY,
                stderr=subprocess.DEVNULL,
            )
            while not listener.recv(65536).startswith(b"READY=1"):
                pass
            self.ready_seconds = time.perf_counter() - began


def compiled(name: str) -> Path:
    """Return the program built from `bench/NAME.c`."""
    BUILD_DIRECTORY.mkdir(parents=True, exist_ok=True)
    program = BUILD_DIRECTORY / name
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", program, source], check=True)
    return program


@contextlib.contextmanager
def running(*processes: Process) -> Iterator[None]:
    """End the processes, whatever happens meanwhile."""
    try:
        yield
    finally:
        for process in processes:
            if process.popen.poll() is None:
                process.stop()


@contextlib.contextmanager
def unpinned(*processes: Process) -> Iterator[None]:
    """Let the kernel place us and these processes as it would on a server, until the end."""
    own = os.sched_getaffinity(0)
    threads = [int(name) for process in processes for name in os.listdir(f"/proc/{process.pid}/task")]
    for thread in (0, *threads):
        os.sched_setaffinity(thread, CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


# ---- conversations ---------------------------------------------------------------------------------------------------


def message(number: int, size_bytes: int = MESSAGE_BYTES) -> dict[str, object]:
    """Return a message that takes about so many bytes in the file."""
    role = "assistant" if number % 2 else "user"
    words = (
        f"Message {number} of this conversation says what has to be said, at the length that was asked for. "
    )
    content = (words * (size_bytes // len(words) + 1))[: size_bytes - 95]
    return {"role": role, "content": content, "timestamp": 1_760_000_000.25 + number}


def document(directory: Path, name: str, messages: int) -> dict[str, object]:
    """Return a session as v0.50.283 holds it in memory: messages of 400 bytes, each in `context_messages` as well."""
    made = {key: default() for key, default in members(Era.OLD).items()}
    messages = [message(number) for number in range(messages)]
    made |= {"session_id": name, "title": "What the benchmark talks about", "messages": messages}
    return made | {
        "context_messages": list(messages),
        "created_at": 1_760_000_000.0,
        "updated_at": 1_760_000_000.0,
    }


class Conversation:
    """A session that is saved and wiped again and again, spliced so that a large one is not written anew each time."""

    def __init__(self, app: App, name: str, messages: int) -> None:
        self.path = app.path(name)
        self._rounds = 0
        self._added: list[str] = []
        mark = ["@"]
        whole = document(app.directory, name, 0) | {"messages": mark, "context_messages": mark}
        messages = [dumps([message(number)])[2:-2].replace("\n", "\n  ") for number in range(messages)]
        self._messages = ",\n".join(messages).removeprefix("  ")
        self._frame = whole

    def save(self) -> int:
        """Save all of it as a turn begins: stream set, a prompt pending. Returns when, in ns of the monotonic clock."""
        self._rounds += 1
        prompt = f"Question {self._rounds}, not yet answered?"
        started = 1_770_000_000.5 + self._rounds
        pending = {"pending_user_message": prompt, "pending_started_at": started}
        text = self._text(pending | {"active_stream_id": f"{self._rounds:032x}", "updated_at": started})
        # The repair makes a message of it; what is saved next has that message.
        made = {"role": "user", "content": prompt, "timestamp": int(started), "_recovered": True}
        self._added.append(dumps([made])[4:-2].replace("\n", "\n  "))
        return replace_file(self.path, text, os.getpid())

    def wipe(self) -> int:
        """Save the stub of hermes-webui #1558. Returns when."""
        return replace_file(self.path, self._stub(), os.getpid())

    def write_stub(self) -> Path:
        """Write that stub as the application does, all but the rename; return where."""
        temporary = self.path.with_name(f"{self.path.stem}.tmp.{os.getpid()}.1")
        temporary.write_text(self._stub(), encoding="utf-8")
        return temporary

    def _stub(self) -> str:
        cleared = {"active_stream_id": None, "pending_user_message": None, "pending_started_at": None}
        lists = {"messages": [], "tool_calls": [], "context_messages": []}
        stub = self._frame | cleared | lists | {"updated_at": 1_770_000_001.75 + self._rounds}
        return dumps(stub)

    def _text(self, metadata: dict[str, object]) -> str:
        messages = ",\n    ".join([self._messages, *self._added])
        return dumps(self._frame | metadata).replace('"@"', messages)

    @property
    def messages(self) -> int:
        """How many messages are on disk."""
        return len(json.loads(self.path.read_bytes())["messages"])


# ---- figures ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; smaller is better unless `more_is_better`."""

    name: str
    value: float
    must: float | None = None
    aim: float | None = None
    unit: str = ""
    note: str = ""
    more_is_better: bool = False

    @property
    def verdict(self) -> str:
        """What the figure means beside what was asked for."""
        if self.must is None:
            return ""
        if self.aim is not None and self._reaches(self.aim):
            return "reaches the aim"
        return "reaches what it must" if self._reaches(self.must) else "**misses what it must**"

    def _reaches(self, bound: float) -> bool:
        return self.value >= bound if self.more_is_better else self.value <= bound

    def cells(self) -> list[str]:
        """Return the cells of its line."""
        bounds = ["" if bound is None else f"{bound:g}{self.unit}" for bound in (self.must, self.aim)]
        return [self.name, f"{short(self.value)}{self.unit}", *bounds, self.verdict, self.note]


@dataclass
class Run:
    """One run of the benchmarks: where, how often, how loud."""

    root: Path
    count: int
    is_quick: bool
    figures: list[Figure] = field(default_factory=list)

    def directory(self, name: str) -> Path:
        """Return a new directory for a benchmark's files."""
        made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.root))
        (made / "sessions").mkdir()
        return made

    def say(self, text: str) -> None:
        """Tell the user who waits."""
        print(text, file=sys.stderr, flush=True)

    def add(self, figure: Figure) -> None:
        """Take a figure into the table, and show it."""
        self.figures.append(figure)
        self.say("  " + " | ".join(cell for cell in figure.cells() if cell))


def short(value: float) -> str:
    """Return a number with three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which so many percent lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


median = statistics.median
