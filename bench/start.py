"""(d) The start on sessions that have not changed, over a bare interpreter's start; that none is opened; and the first start."""

import os
import shutil
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
MANY_SESSIONS = 100_000
MANY_STARTS = 9
FIRST_STARTS = 5


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
    run.add(Figure(name, median(starts) / median(bare), 12, 8, note=note))
    run.add(Figure("session files opened by that start", opened, 0))
    if not run.is_quick:
        _many(run)
        _first(run, 10_000, 50, (2, 1.2), None)
        _first(run, 100_000, 4, (3, 1.5), (120, 80))


def _many(run: Run) -> None:
    """Add the figure for the start on 100,000 unchanged sessions."""
    root = run.directory("many")
    run.say(f"making {MANY_SESSIONS} sessions")
    make_sessions(root / "sessions", MANY_SESSIONS, 0)
    starts, bare = [], []
    for number in range(MANY_STARTS + 1):
        with running(guard := Guard(root / "sessions", root / "store")):
            starts.append(guard.ready_seconds)
        bare.append(_bare_start())
        del starts[: not number]
    note = (
        f"median {short(median(starts) * 1000)} ms over {short(median(bare) * 1000)} ms; {len(starts)} starts"
    )
    name = f"start, {MANY_SESSIONS:,} unchanged sessions, over a bare interpreter's start"
    run.add(Figure(name, median(starts) / median(bare), 60, 30, note=note))
    shutil.rmtree(root)


def _first(
    run: Run, sessions: int, messages: int, bounds: tuple[float, float], memory: tuple[float, float] | None
) -> None:
    """Add the figures for a start with an empty store: time over `cp -r` and `sync`, and peak memory."""
    root = run.directory("first")
    run.say(f"making {sessions} sessions")
    mark = "0123456789ab"
    text = dumps(document(root, mark, messages))
    for number in range(sessions):
        name = f"{number:012x}"
        (root / "sessions" / f"{name}.json").write_text(text.replace(mark, name), encoding="utf-8")
    os.sync()
    copied, seconds, peaks = [], [], []
    for _ in range(FIRST_STARTS):
        began = time.perf_counter()
        subprocess.run(["cp", "-r", root / "sessions", root / "copy"], check=True)
        os.sync()
        copied.append(time.perf_counter() - began)
        with running(guard := Guard(root / "sessions", root / "store")):
            seconds.append(guard.ready_seconds)
            peaks.append(guard.peak_bytes() / 1e6)
        # To remove them now would slow down what is made next.
        (root / "copy").rename(root / f"copy{len(copied)}")
        (root / "store").rename(root / f"store{len(copied)}")
    size = f"{sessions:,} sessions of {short(len(text) / 1000)} KB"
    # What a copy takes depends on what the disk has still to write of others: medians, not the ratio of each pair.
    took = f"{', '.join(map(short, seconds))} s over {', '.join(map(short, copied))} s"
    note = f"median {short(median(seconds))} s over {short(median(copied))} s; {len(seconds)} starts: {took}"
    ratio = median(seconds) / median(copied)
    run.add(Figure(f"first start, {size}, over cp -r and sync", ratio, *bounds, note=note))
    name = f"peak memory of that start, {size}"
    run.add(Figure(name, max(peaks), *(memory or (None, None)), unit=" MB"))
    shutil.rmtree(root)


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
