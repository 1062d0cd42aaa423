"""How long commands take on a large store. Run: python bench/commands.py [--sessions 10000] [--versions 5]

Makes a sessions directory and a store as the guard leaves them (the same names, sizes of a short conversation, digests
where the guard notes them), without its fsyncs, and an incident for every fifth session. Each command runs as a process of
its own, several times, in turn with the others; the bare interpreter stands beside them. The first search has no notes of an
earlier one (lookup/find/repeats.py), nor the first `status` of how large the store is (lookup/library.py): they are shown
apart, each time with the notes removed before. `status` is asked of the store alone, and once more of a guard that runs on it.
"""

import argparse
import gzip
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from hermesguard.demo.app import App  # noqa: E402
from hermesguard.demo.eras import Era  # noqa: E402
from hermesguard.store.history import digest, version_name  # noqa: E402
from hermesguard.store.incidents import FILE_NAME, Incident  # noqa: E402
from hermesguard.store.place import FORMAT  # noqa: E402

TURNS = 20
FIRST_SEARCH = "find zeppelin, without notes"
FIRST_STATUS = "status, without notes"
NOTES_OF = {FIRST_SEARCH: "find-*", FIRST_STATUS: "sizes-*"}
LIMITS_SECONDS = {
    "--help": 0.3,
    FIRST_SEARCH: 1.0,
    FIRST_STATUS: 1.0,
    "status": 1.0,
    "list": 1.0,
    "status of a running guard": 1.0,
    "lost": 1.0,
    "find zeppelin": 1.0,
    "find does what part 7": 1.0,
}


def furnish(root: Path, sessions: int, versions: int) -> None:
    """Make the sessions directory and the store."""
    live, shadows, history = root / "sessions", root / "store/shadows", root / "store/history"
    for directory in (live, shadows, history):
        directory.mkdir(parents=True)
    (root / "store/format").write_text(f"{FORMAT}\n")
    app = App(root / "made", Era.NEW, clock=lambda: 1.76e9)
    template = app.create(
        "A conversation called NUMBER", session_id="SESSIONSESSION", turns=TURNS
    ).path.read_text()
    began = datetime(2026, 11, 1, tzinfo=UTC)
    with open(root / "store" / FILE_NAME, "wb") as log:
        for number in range(sessions):
            name = f"{number * 7919 % 0xFFFFFFFF:012x}"
            data = template.replace("SESSIONSESSION", name).replace("NUMBER", str(number)).encode()
            for path in (live / f"{name}.json", shadows / f"{name}.json"):
                path.write_bytes(data)
                os.utime(path, ns=(1_760_000_000_000_000_000 + number, 1_760_000_000_000_000_000 + number))
            os.setxattr(shadows / f"{name}.json", "user.hermesguard", f"{digest(data)} {2 * TURNS}".encode())
            if versions:
                (history / name).mkdir()
            for kept in range(versions):
                when = began + timedelta(minutes=kept, seconds=number)
                old = data + b" " * kept
                path = history / name / f"{version_name(when)}-{2 * TURNS}-loss-{digest(old)}.json.gz"
                path.write_bytes(gzip.compress(old, 1, mtime=0))
            if number % 5 == 0:
                when = began + timedelta(seconds=number)
                incident = Incident(
                    str(number // 5 + 1),
                    when.isoformat(),
                    name,
                    "restored",
                    "restored",
                    rule="3 wipe",
                    evidence=("every message is gone, nothing else has changed",),
                    messages_before=2 * TURNS,
                    messages_live=0,
                    messages_after=2 * TURNS,
                    version=version_name(when),
                )
                log.write(incident.line())


def environment(root: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return ours | {
        "HOME": str(root),
        "XDG_CACHE_HOME": str(root / "cache"),
        "HERMESGUARD_SESSIONS": str(root / "sessions"),
        "HERMESGUARD_STORE": str(root / "store"),
        "HERMESGUARD_LOG": "json",
    }


def seconds(command: list[str], root: Path) -> tuple[float, float]:
    """Return how long a command took, and how much of the processor."""
    before, began = os.times(), time.perf_counter()
    subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment(root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    took, after = time.perf_counter() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return took, used


def guard(root: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "hermesguard", "run"],
        cwd=REPOSITORY,
        env=environment(root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line.decode())
        if b'"event":"ready"' in line:
            return process
    raise SystemExit("The guard ended before it was ready:\n" + "".join(said))


def main() -> int:
    """Print the table; leave with 1 when a limit of issue 6 is not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--versions", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    first = "000000000000"
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        FIRST_SEARCH: [sys.executable, "-m", "hermesguard", "find", "zeppelin"],
        FIRST_STATUS: [sys.executable, "-m", "hermesguard", "status"],
        **{
            " ".join(words): [sys.executable, "-m", "hermesguard", *words]
            for words in (
                ["--help"],
                ["status"],
                ["lost"],
                ["find", "zeppelin"],
                ["find", "does", "what", "part", "7"],
                ["list"],
                ["list", "--state", "restored", "called"],
                ["history", first],
                ["show", first],
                ["show", "called 77"],
                ["log", "--since", "2026-11-01"],
                ["completion", "sessions"],
                ["report", "-o", "-"],
            )
        },
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(prefix="hermesguard-bench-") as name:
        root = Path(name)
        began = time.perf_counter()
        furnish(root, arguments.sessions, arguments.versions)
        print(
            f"{arguments.sessions:,} sessions with {arguments.versions} versions each, "
            f"made in {time.perf_counter() - began:.0f} s; {arguments.rounds} rounds"
        )
        for _ in range(arguments.rounds):
            for label, command in commands.items():
                for note in (root / "cache/hermesguard").glob(NOTES_OF.get(label, "-")):
                    note.unlink()
                taken[label].append(seconds(command, root))
        process = guard(root)
        try:
            taken["status of a running guard"] = [
                seconds(commands["status"], root) for _ in range(arguments.rounds)
            ]
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()
    print("| command | median | fastest | slowest | of the processor | limit |\n|---|---|---|---|---|---|")
    is_kept = True
    for label, pairs in taken.items():
        times, used = zip(*pairs, strict=True)
        middle, limit = statistics.median(times), LIMITS_SECONDS.get(label)
        is_kept = is_kept and (limit is None or middle < limit)
        cells = (f"{value:.3f} s" for value in (middle, min(times), max(times), statistics.median(used)))
        print(f"| `{label}` | {' | '.join(cells)} | {f'{limit} s' if limit else ''} |")
    return not is_kept


if __name__ == "__main__":
    raise SystemExit(main())
