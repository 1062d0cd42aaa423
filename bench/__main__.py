"""All benchmarks, in one run, into one table. Run: script/bench [--quick] [NAME...]"""

import argparse
import compileall
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import burst, directories, flood, growth, judging, rest, start, today, wipe
from bench.measuring import CORES, REPOSITORY, Run
from hermesguard.watcher.mounts import filesystem_type

BENCHMARKS: dict[str, Callable[[Run], None]] = {
    "wipe": wipe.measure,
    "growth": growth.measure,
    "judging": judging.measure,
    "start": start.measure,
    "rest": rest.measure,
    "directories": directories.measure,
    "flood": flood.measure,
    "burst": burst.measure,
    "today": today.measure,
}
FULL_COUNT = 500
QUICK_COUNT = 20


def main() -> None:
    """Run what was asked for; write bench/RESULTS.md after a full run of everything."""
    parser = argparse.ArgumentParser(
        prog="script/bench", description="Measure hermesguard beside other ways."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (all of them)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_COUNT} times instead of {FULL_COUNT}")
    parser.add_argument("--count", type=int, help="how often each is measured")
    parser.add_argument("--directory", type=Path, help="where files are made (a new one beside the build)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    root = arguments.directory or REPOSITORY / "build"
    root.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="bench-", dir=root))
    run = Run(place, arguments.count or (QUICK_COUNT if arguments.quick else FULL_COUNT), arguments.quick)
    # As an installation does: no start shall compile.
    compileall.compile_dir(REPOSITORY / "hermesguard", quiet=1)
    os.sched_setaffinity(0, CORES[:1])
    began, (stolen_before, ticks_before) = time.monotonic(), _ticks()
    try:
        for name in arguments.names or BENCHMARKS:
            BENCHMARKS[name](run)
    finally:
        shutil.rmtree(place)
    stolen, ticks = _ticks()
    text = _table(run, time.monotonic() - began, (stolen - stolen_before) / (ticks - ticks_before))
    print(text)
    if not (arguments.names or arguments.quick):
        (REPOSITORY / "bench" / "RESULTS.md").write_text(text, encoding="utf-8")


def _ticks() -> tuple[int, int]:
    """Return what the host has taken of all cores' time since boot, and that time (proc(5))."""
    ticks = [int(number) for number in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[-1], sum(ticks)


def _table(run: Run, seconds: float, stolen: float) -> str:
    header = ["figure", "measured", "must reach", "aim", "verdict", "behind it"]
    lines = [header, ["---"] * len(header), *(figure.cells() for figure in run.figures)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return (
        "# What it costs, and how fast it is\n\n"
        f"Made by `script/bench` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC in {seconds / 60:.0f} minutes, "
        f"each figure from {run.count} measurements unless it says otherwise.\n\n"
        f"Machine: {_machine()} The host took {stolen:.1%} of the cores' time meanwhile.\n\n"
        "Every figure is a ratio to what was measured beside it in the same run, or a share; milliseconds are there to "
        "understand it by. Conversations are those of v0.50.283: messages of 400 bytes, each in `context_messages` as "
        "well, so that 500 messages are 400 KB. A save is a temporary file, fsync, rename.\n\n"
        f"{table}\n"
    )


def _machine() -> str:
    processor = next(
        (
            line.partition(": ")[2]
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return (
        f"{os.cpu_count()} cores of {processor}, Linux {platform.release()}, {filesystem_type(REPOSITORY)}, "
        f"Python {platform.python_version()}; load {os.getloadavg()[0]:.1f} at the end."
    )


if __name__ == "__main__":
    sys.exit(main())
