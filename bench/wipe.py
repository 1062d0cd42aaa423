"""(a) From the wipe to the restored file, beside two programs in C, all three in turn on directories of their own."""

import json
import os
import subprocess
import time
from pathlib import Path

from bench.measuring import (
    Conversation,
    Figure,
    Guard,
    Process,
    Run,
    compiled,
    median,
    percentile,
    running,
    short,
)
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era

WAIT_SECONDS = 10.0
STALE_SECONDS = 0.3
SPIN_NS = 500_000
NAP_SECONDS = 0.000_02


def measure(run: Run) -> None:
    """Add the figures for 400 KB and 20 MB."""
    for label, messages, musts, aims in (
        ("400 KB", 500, (1.0, 0.5, 15.0), (0.25, 0.15, 4.0)),
        ("20 MB", 25_000, (0.5, None, None), (0.05, None, None)),
    ):
        measured = _race(run, label, messages)
        guard, link, copy = (measured[name] for name in ("guard", "link", "copy"))
        note = (
            f"median {short(median(guard))} ms, 99th {short(percentile(guard, 99))}; C link + exchange "
            f"{short(median(link))}, {short(percentile(link, 99))}; C copy + fsync + rename "
            f"{short(median(copy))}, {short(percentile(copy, 99))}; {len(guard)} each"
        )
        over_copy = median(guard) / median(copy)
        name = f"wipe to restored, {label}"
        run.add(
            Figure(f"{name}, median, over C copy + fsync + rename", over_copy, musts[0], aims[0], note=note)
        )
        tail = percentile(guard, 99) / percentile(copy, 99)
        run.add(Figure(f"{name}, 99th percentile over 99th percentile", tail, musts[1], aims[1]))
        over_link = median(guard) / median(link)
        run.add(Figure(f"{name}, median, over C link + exchange", over_link, musts[2], aims[2]))


def _race(run: Run, label: str, messages: int) -> dict[str, list[float]]:
    root = run.directory("wipe")
    run.say(f"wipe to restored, {label}")
    chats, processes = {}, {}
    for name in ("guard", "link", "copy"):
        sessions, store = root / name / "sessions", root / name / "store"
        chats[name] = Conversation(App(sessions, Era.OLD), "0123456789ab", messages)
        store.mkdir()
        chats[name].save()
        processes[name] = contender(name, sessions, store, chats[name].path.stat().st_size)
    with running(*processes.values()):
        measured = _in_turn(run.count, {name: _Contest(chats[name], processes[name]) for name in processes})
        for process in processes.values():
            process.until_idle()
        assert all(chat.messages >= messages for chat in chats.values())
    assert len(_incidents(root / "guard" / "store")) == run.count
    return measured


def contender(name: str, sessions: Path, store: Path, size_bytes: int, *more: str) -> Process:
    """Start a contender on a directory and a store of its own, and return it when it is ready; `more`: arguments for one in C."""
    if name == "guard":
        return Guard(sessions, store)
    program = compiled({"link": "link_exchange", "copy": "copy_rename"}[name])
    process = Process([program, sessions, store, str(size_bytes // 2), *more], stdout=subprocess.PIPE)
    assert process.popen.stdout
    assert process.popen.stdout.readline() == b"ready\n"
    return process


def _in_turn(rounds: int, contests: dict[str, "_Contest"]) -> dict[str, list[float]]:
    """Wipe before each contender in turn, round by round, so that noise meets all of them alike; return what each took."""
    measured: dict[str, list[float]] = {name: [] for name in contests}
    names = list(contests)
    for _ in range(rounds):
        for contest in contests.values():
            contest.save()
        # A stream is stale long after the save that set it: the server has died meanwhile.
        time.sleep(STALE_SECONDS)
        for contest in contests.values():
            contest.until_idle()
        for name in names:
            measured[name].append(contests[name].wipe())
        # A machine that has just slept wakes late: the first place, which costs most, goes round.
        names.append(names.pop(0))
    return measured


class _Contest:
    """One contender and its conversation."""

    def __init__(self, chat: Conversation, process: Process) -> None:
        self._chat = chat
        self._process = process

    def save(self) -> None:
        """Save all of it, with a stream and a prompt."""
        self._chat.save()

    def until_idle(self) -> None:
        """Wait until the contender has taken that in."""
        self._process.until_idle()

    def wipe(self) -> float:
        """Save the stub; return the milliseconds to the restored file."""
        good_bytes = self._chat.path.stat().st_size // 2
        path, stat = str(self._chat.path), os.stat
        wiped_ns = self._chat.wipe()
        deadline_ns = wiped_ns + int(WAIT_SECONDS * 1e9)
        while stat(path).st_size < good_bytes:
            now_ns = time.monotonic_ns()
            if now_ns > deadline_ns:
                raise SystemExit(f"{path} was not restored within {WAIT_SECONDS} s")
            # Two virtual cores may be one of the host's: who spins on keeps it from whom he waits for.
            if now_ns > wiped_ns + SPIN_NS:
                time.sleep(NAP_SECONDS)
        restored_ns = time.monotonic_ns()
        self._process.until_idle()
        return (restored_ns - wiped_ns) / 1e6


def _incidents(store: Path) -> list[object]:
    entries = map(json.loads, (store / "incidents.jsonl").read_text().splitlines())
    return [entry for entry in entries if entry["event"] == "restored"]
