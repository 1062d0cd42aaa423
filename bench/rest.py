"""(e) What a guard costs that has nothing to do: memory, CPU, wake-ups."""

import subprocess
import sys
import time

from bench.measuring import Figure, Guard, Process, Run, running, short
from bench.start import make_sessions

SCAN_SECONDS = 10
FULL_SECONDS = 120
QUICK_SECONDS = 30


def measure(run: Run) -> None:
    """Add the figures for 1000 sessions, and the cost of a scan of 10 000."""
    seconds = QUICK_SECONDS if run.is_quick else FULL_SECONDS
    for sessions, bounds in ((1_000, (0.2, 0.05)), (10_000, (None, None))):
        if sessions > 1_000 and run.is_quick:
            continue
        root = run.directory("rest")
        run.say(f"{sessions} sessions at rest, {seconds} s")
        make_sessions(root / "sessions", sessions, 100)
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
            time.sleep(1)
            before_ns, wakeups = guard.cpu_ns(), guard.wakeups()
            time.sleep(seconds)
            share = (guard.cpu_ns() - before_ns) / 1e9 / seconds * 100
            wakeups = guard.wakeups() - wakeups
            more = (guard.cache_bytes() - bare.cache_bytes()) / 1e6
            note = (
                f"{short(guard.cache_bytes() / 1e6)} MB resident beside {short(bare.cache_bytes() / 1e6)} MB"
            )
        per_scan = share / 100 * SCAN_SECONDS * 1000
        if sessions == 1_000:
            run.add(
                Figure(
                    f"memory at rest over a bare interpreter, {sessions:,} sessions",
                    more,
                    20,
                    14,
                    " MB",
                    note,
                )
            )
        else:
            run.add(
                Figure(
                    f"memory at rest over a bare interpreter, {sessions:,} sessions",
                    more,
                    unit=" MB",
                    note=note,
                )
            )
        note = f"{short(wakeups / seconds * 60)} wake-ups a minute; {short(per_scan)} ms a scan"
        run.add(Figure(f"CPU at rest, scans included, {sessions:,} sessions", share, *bounds, " %", note))
        if sessions == 10_000:
            run.add(Figure("CPU of a scan of 10,000 unchanged sessions", per_scan, 100, unit=" ms"))
