"""(b, c) What a growing save costs: the guard's CPU beside the application's own, and the bytes that it writes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.measuring import (
    Figure,
    Guard,
    Process,
    Run,
    document,
    median,
    message,
    running,
    short,
    unpinned,
    until,
)
from hermesguard.demo.files import dumps, replace_file

# Then another session: after more of them, one of 100 messages would be one of 600.
SAVES_OF_EACH = 50
MUSTS = {100: (14.0, 10.0), 1000: (4.5, 3.0), 5000: (2.0, 1.5)}


def measure(run: Run) -> None:
    """Add the figures for 100, 1000 and 5000 messages, and the bytes written."""
    for messages, (must, aim) in MUSTS.items():
        guard_ms, app_ms, written, saved = _saves(run, messages)
        bare_ms, bare_app_ms = _bare(run, messages)
        share = median(guard_ms) / median(app_ms) * 100
        note = (
            f"median of {len(guard_ms)}: guard {short(median(guard_ms))} ms, application {short(median(app_ms))} ms; "
            f"mean {short(sum(guard_ms) / sum(app_ms) * 100)} %"
        )
        name = f"guard CPU per growing save, share of the app's own, {messages:,} messages"
        run.add(Figure(name, share, must, aim, " %", note))
        note = (
            f"median of {len(bare_ms)}: {short(median(bare_ms))} ms, application {short(median(bare_app_ms))} ms; "
            "Python that only hears of the save, reads the file and appends a line (bench/bare_follower.py)"
        )
        bare_share = median(bare_ms) / median(bare_app_ms) * 100
        run.add(
            Figure(f"the same without any judgement, {messages:,} messages", bare_share, unit=" %", note=note)
        )
        bounds = (1.05, 0.03) if messages == 1000 else (None, None)
        note = f"{saved / 1e6:,.0f} MB saved; all that the guard wrote until the store was plain copies again"
        run.add(
            Figure(
                f"bytes written per byte saved, {messages:,} messages", written / saved, *bounds, note=note
            )
        )


def _saves(run: Run, messages: int) -> tuple[list[float], list[float], int, int]:
    """Return the CPU of each save, the guard's and the application's, in ms, bytes written by the guard, bytes saved.

    The first copy of each session is not among the bytes written, its last one, when the delta log is flushed, is.
    """
    root = run.directory("growth")
    run.say(f"growing saves of {messages} messages")
    guard = Guard(root / "sessions", root / "store")
    guard_ms, app_ms, saved, first_written = [], [], 0, 0
    paths = []
    # Nobody spins here, so nobody needs a core of its own: where the guard runs is the kernel's choice, as on a server.
    with running(guard), unpinned(guard):
        guard.until_idle()
        written_before = guard.written_bytes()
        for number in range(run.count):
            if number % SAVES_OF_EACH == 0:
                before = guard.written_bytes()
                name = f"{number:012x}"
                paths.append(path := root / "sessions" / f"{name}.json")
                replace_file(path, dumps(document(root / "sessions", name, messages)), os.getpid())
                # A long one is copied in the background, beside a guard that is idle.
                shadow = root / "store" / "shadows" / path.name
                until(shadow.exists, f"the first copy, {shadow}")
                guard.until_idle()
                first_written += guard.written_bytes() - before
            _save_beside(guard, path, messages + number, guard_ms, app_ms)
            saved += path.stat().st_size
        written = _written_at_last(guard) - written_before - first_written
        for path in paths:
            assert (root / "store" / "shadows" / path.name).read_bytes() == path.read_bytes()
    return guard_ms, app_ms, written, saved


def _save_beside(
    follower: Process, path: Path, number: int, follower_ms: list[float], app_ms: list[float]
) -> None:
    """Read a session, add a message, save it, as the application does; note its CPU, and that of who follows, in ms."""
    before_ns = follower.cpu_ns()
    began_ns = time.process_time_ns()
    value = json.loads(path.read_text("utf-8"))
    for key in ("messages", "context_messages"):
        value[key].append(message(number))
    value["updated_at"] = 1_770_000_000.5 + number
    replace_file(path, dumps(value), os.getpid())
    app_ms.append((time.process_time_ns() - began_ns) / 1e6)
    follower_ms.append((follower.until_idle() - before_ns) / 1e6)


def _bare(run: Run, messages: int) -> tuple[list[float], list[float]]:
    """Return the CPU of each save, of a follower without a judge and of the application, in ms."""
    root = run.directory("bare")
    command = [sys.executable, "-m", "bench.bare_follower", root / "sessions", root / "log"]
    follower = Process(command, stdout=subprocess.PIPE)
    bare_ms, app_ms = [], []
    with running(follower), unpinned(follower):
        follower.popen.stdout.readline()  # type: ignore[union-attr]
        for number in range(run.count):
            if number % SAVES_OF_EACH == 0:
                name = f"{number:012x}"
                path = root / "sessions" / f"{name}.json"
                replace_file(path, dumps(document(root / "sessions", name, messages)), os.getpid())
                follower.until_idle()
            _save_beside(follower, path, messages + number, bare_ms, app_ms)
    return bare_ms, app_ms


def _written_at_last(guard: Guard) -> int:
    """End the guard; return what it had written by then, the folding of its delta_logs included.

    A process that has ended has no counts any more; so they are read again and again until it is gone.
    """
    guard.popen.terminate()
    written = 0
    while guard.popen.poll() is None:
        try:
            written = max(written, guard.written_bytes())
        except (OSError, ValueError, KeyError):
            break
    guard.popen.wait()
    return written
