"""(e) What a guard costs that has nothing to do: memory, CPU, wake-ups."""

import subprocess
import sys
import time

from bench.measuring import Figure, Guard, Process, Run, running, short
from bench.start import make_sessions

SCAN_SECONDS = 10
FULL_SECONDS = 120
QUICK_SECONDS = 30
BOUNDS = {
    1_000: ((0.2, 0.05), (20, 14)),
    10_000: ((0.1, 0.05), (20, 16)),
    100_000: ((0.4, 0.1), (60, 40)),
}
"""By number of sessions: what CPU in percent and memory in MB must reach, and aim at."""


def measure(run: Run) -> None:
    """Add the figures for 1,000, 10,000 and 100,000 sessions."""
    seconds = QUICK_SECONDS if run.is_quick else FULL_SECONDS
    for sessions, (bounds, memory) in BOUNDS.items():
        if sessions > 1_000 and run.is_quick:
            continue
        root = run.directory("rest")
        run.say(f"{sessions} sessions at rest, {seconds} s")
        make_sessions(root / "sessions", sessions, 100 if sessions <= 10_000 else 0)
        with running(Guard(root / "sessions", root / "store")):
            pass
        guard = Guard(root / "sessions", root / "store")
        bare = Process(
            [sys.executable, "-c", "import time; print(flush=True); time.sleep(100000)"],
            stdout=subprocess.PIPE,
        )
        with running(guard, bare):
            assert bare.popen.stdout
            bare.popen.stdout.readline()
            time.sleep(3)  # what follows a start is over by then
            before_ns, wakeups = guard.cpu_ns(), guard.wakeups()
            time.sleep(seconds)
            share = (guard.cpu_ns() - before_ns) / 1e9 / seconds * 100
            wakeups = guard.wakeups() - wakeups
            more = (guard.cache_bytes() - bare.cache_bytes()) / 1e6
            note = (
                f"{short(guard.cache_bytes() / 1e6)} MB resident beside {short(bare.cache_bytes() / 1e6)} MB"
            )
        per_scan = share / 100 * SCAN_SECONDS * 1000
        run.add(
            Figure(
                f"memory at rest over a bare interpreter, {sessions:,} sessions", more, *memory, " MB", note
            )
        )
        note = f"{short(wakeups / seconds * 60)} wake-ups a minute; {short(per_scan)} ms a scan"
        run.add(Figure(f"CPU at rest, scans included, {sessions:,} sessions", share, *bounds, " %", note))
