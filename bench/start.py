"""(d) The start on 10 000 sessions that have not changed, over a bare interpreter's start; and that none is opened."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

from watchdog.observers.inotify_c import InotifyConstants, inotify_add_watch, inotify_init

from bench.measuring import OTHER_CORES, Figure, Guard, Run, document, median, running, short
from hermesguard.demo.files import dumps

SESSIONS = 10_000
LARGE_SESSIONS = 1_000
QUICK_SESSIONS = 1_000


def measure(run: Run) -> None:
    """Add the figure for the start, and for the scan after it."""
    sessions, large = (QUICK_SESSIONS, 100) if run.is_quick else (SESSIONS, LARGE_SESSIONS)
    root = run.directory("start")
    run.say(f"making {sessions} sessions")
    make_sessions(root / "sessions", sessions, large)
    with running(guard := Guard(root / "sessions", root / "store")):
        run.say(f"  the first look at all of them took {guard.ready_seconds:.0f} s")
    opened = _opened(root)
    starts, bare = [], []
    for _ in range(run.count):
        with running(guard := Guard(root / "sessions", root / "store")):
            starts.append(guard.ready_seconds)
        bare.append(_bare_start())
    note = (
        f"median {short(median(starts) * 1000)} ms over {short(median(bare) * 1000)} ms; {len(starts)} starts; "
        f"{sessions:,} sessions, {large:,} of them of 400 KB, the others of 4 KB: no file is read, so that size does "
        "not matter"
    )
    name = f"start, {sessions:,} unchanged sessions, over a bare interpreter's start"
    run.add(Figure(name, median(starts) / median(bare), 20, 8, note=note))
    run.add(Figure("session files opened by that start", opened, 0))


def make_sessions(directory: Path, sessions: int, large: int) -> None:
    """Make so many session files, the first `large` of them of 400 KB."""
    mark = "0123456789ab"
    small_text, large_text = (dumps(document(directory, mark, messages)) for messages in (4, 500))
    for number in range(sessions):
        name = f"{number:012x}"
        text = large_text if number < large else small_text
        (directory / f"{name}.json").write_text(text.replace(mark, name), encoding="utf-8")


def _opened(root: Path) -> int:
    """Start once more and count the opens of session files, as the kernel tells of them (IN_OPEN)."""
    queue = inotify_init()
    os.set_blocking(queue, False)
    inotify_add_watch(queue, os.fsencode(root / "sessions"), int(InotifyConstants.IN_OPEN))
    count = 0
    with running(Guard(root / "sessions", root / "store")):
        try:
            while events := os.read(queue, 1 << 20):
                offset = 0
                while offset < len(events):
                    length = struct.unpack_from("I", events, offset + 12)[0]
                    name = events[offset + 16 : offset + 16 + length].rstrip(b"\0")
                    count += name.endswith(b".json")
                    offset += 16 + length
        except BlockingIOError:
            pass
    os.close(queue)
    return count


def _bare_start() -> float:
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    os.sched_setaffinity(process.pid, OTHER_CORES)
    process.wait()
    return time.perf_counter() - began
