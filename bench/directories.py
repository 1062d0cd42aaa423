"""(h) What it costs that the sessions lie in ten directories, as with profiles, and not in one: memory, CPU at rest, start."""

import time
from pathlib import Path

from bench.measuring import Figure, Guard, Run, median, running, short
from bench.start import make_sessions

DIRECTORIES = 10
SESSIONS = 10_000
QUICK_SESSIONS = 1_000
SECONDS = 120
QUICK_SECONDS = 30
STARTS = 9
BOUNDS = (1.2, 1.05)


def measure(run: Run) -> None:
    """Add the figures of ten directories over those of one with as many sessions."""
    sessions = QUICK_SESSIONS if run.is_quick else SESSIONS
    seconds = QUICK_SECONDS if run.is_quick else SECONDS
    root = run.directory("directories")
    run.say(f"{sessions} sessions in one directory, and in {DIRECTORIES}")
    make_sessions(root / "sessions", sessions, 0)
    parts = [root / f"home{number}" / "sessions" for number in range(DIRECTORIES)]
    for part in parts:
        part.mkdir(parents=True)
        make_sessions(part, sessions // DIRECTORIES, 0)
    one, many = root / "sessions", Path(":".join(map(str, parts)))
    starts: dict[Path, list[float]] = {one: [], many: []}
    stores = {one: root / "store-of-one", many: root / "store-of-many"}
    for number in range(STARTS + 1):
        for place, taken in starts.items():
            with running(guard := Guard(place, stores[place])):
                if number:  # the first one made all the copies
                    taken.append(guard.ready_seconds)
    guards = {place: Guard(place, stores[place]) for place in starts}
    with running(*guards.values()):
        time.sleep(3)  # what follows a start is over by then
        before = {place: guard.cpu_ns() for place, guard in guards.items()}
        time.sleep(seconds)
        shares = {
            place: (guard.cpu_ns() - before[place]) / 1e9 / seconds * 100 for place, guard in guards.items()
        }
        memory = {place: guard.cache_bytes() / 1e6 for place, guard in guards.items()}
    what = f"{DIRECTORIES} directories of {sessions // DIRECTORIES:,} over one of {sessions:,}"
    for name, unit, values in (
        ("memory at rest", "MB", memory),
        ("CPU at rest", "%", shares),
        ("start", "s", {place: median(taken) for place, taken in starts.items()}),
    ):
        note = f"{short(values[many])} {unit} over {short(values[one])} {unit}"
        run.add(Figure(f"{name}, {what}", values[many] / values[one], *BOUNDS, note=note))
