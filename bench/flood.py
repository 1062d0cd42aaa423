"""(f) Saves that come fast: how late each is followed, whether any is lost, and whether all is right in the end."""

import json
import os
import signal
import time
from pathlib import Path

import orjson

from bench.measuring import (
    WAIT_SECONDS,
    Conversation,
    Figure,
    Guard,
    Run,
    document,
    median,
    percentile,
    running,
    short,
    until,
)
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.demo.files import dumps
from hermesguard.store.store import Store

SESSION = "0123456789ab"
LATE_MS = 100.0
LAG_MS = 5.0
RATES = (100, 200, 300, 400, 500, 700, 1000)


def measure(run: Run) -> None:
    """Add all figures about saves that come fast."""
    _late(run)
    _rates(run)
    _as_fast_as_possible(run)
    _stopped(run)


class Growing:
    """A session of 400 KB that grows by a few bytes at each save, so that its size tells which save it is."""

    def __init__(self, directory: Path, name: str = SESSION, messages: int = 500) -> None:
        self.path = directory / f"{name}.json"
        self._temporary = directory / f"{name}.tmp.{os.getpid()}.1"
        value = document(directory, name, messages)
        value["messages"].append({"role": "assistant", "content": "@", "timestamp": 1_770_000_000.0})  # type: ignore[attr-defined]
        self._head, self._log = dumps(value).encode().split(b"@")
        self._said = b""
        self.save()

    def save(self) -> tuple[int, int]:
        """Stream on and save, fsynced. Returns the size and when it became live (ns, monotonic)."""
        self._said += b"on and "
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        size = os.writev(descriptor, [self._head, self._said, self._log])
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(self._temporary, self.path)
        return size, time.monotonic_ns()


class Follower:
    """Reads the delta log of a shadow as it grows, and notes when each state was there."""

    def __init__(self, store: Path) -> None:
        self._log = store / "shadows" / f"{SESSION}.delta"
        self._shadow = store / "shadows" / f"{SESSION}.json"
        self._descriptor = -1
        self._at = 0
        self.seen_ns: dict[int, int] = {}

    def look(self) -> None:
        """Note what is new."""
        try:
            if self._descriptor < 0 or not os.fstat(self._descriptor).st_nlink:
                if self._descriptor >= 0:
                    os.close(self._descriptor)
                    self._descriptor = -1
                self.seen_ns.setdefault(os.stat(self._shadow).st_size, time.monotonic_ns())
                self._descriptor = os.open(self._log, os.O_RDONLY)
                self._at = 0
        except FileNotFoundError:
            return
        data = os.pread(self._descriptor, 1 << 20, self._at)
        now_ns = time.monotonic_ns()
        *lines, _ = data.split(b"\n")  # the rest is room for more lines
        for line in lines:
            try:
                size = orjson.loads(line).get("size")
            except orjson.JSONDecodeError:  # it is being written just now
                return
            self._at += len(line) + 1
            if size:
                self.seen_ns.setdefault(size, now_ns)

    def lags_ms(self, saves: list[tuple[int, int]]) -> list[float]:
        """Return how late each save was followed; a save that was overtaken counts until a later one was there."""
        lags, later = [], None
        for size, saved_ns in reversed(saves):
            seen_ns = self.seen_ns.get(size)
            later = seen_ns if later is None else min(later, seen_ns or later)
            assert later is not None, "the last save was not followed"
            lags.append((later - saved_ns) / 1e6)
        return lags


def _paced(run: Run, saves: int, per_second: float) -> tuple[list[float], int, float]:
    """Save so often at that rate; return the lags in ms, how many states were followed, and the rate that was reached."""
    root = run.directory("flood")
    growing = Growing(root / "sessions")
    follower = Follower(root / "store")
    done = []
    with running(guard := Guard(root / "sessions", root / "store")):
        growing.save()
        guard.until_idle()
        follower.look()
        began = time.monotonic()
        for number in range(saves):
            done.append(growing.save())
            while True:
                follower.look()
                left = began + (number + 1) / per_second - time.monotonic()
                if left <= 0:
                    break
                time.sleep(min(left, 0.0003))
        reached = saves / (time.monotonic() - began)
        deadline = time.monotonic() + WAIT_SECONDS
        while done[-1][0] not in follower.seen_ns and time.monotonic() < deadline:
            follower.look()
        live = growing.path.read_bytes()
        assert Store(root / "store").read_shadow(SESSION) == live
    assert (root / "store" / "shadows" / growing.path.name).read_bytes() == live
    return follower.lags_ms(done), sum(size in follower.seen_ns for size, _ in done), reached


def _late(run: Run) -> None:
    saves = 500 if run.is_quick else 5000
    run.say(f"{saves} saves, 100 a second")
    lags, _, _ = _paced(run, saves, 100)
    late = sum(lag > LATE_MS for lag in lags)
    note = f"of {saves:,}; median {short(median(lags))} ms, 99th {short(percentile(lags, 99))}, worst {short(max(lags))}"
    run.add(Figure(f"events later than {LATE_MS:g} ms", late, 0, note=note))


def _rates(run: Run) -> None:
    """Rounds of a second, all rates in turn, so that a burst of noise meets all alike; of each rate the median round."""
    rounds = 3 if run.is_quick else 9
    found: dict[int, list[tuple[float, float, float]]] = {rate: [] for rate in RATES}
    for number in range(rounds):
        run.say(f"saves at {', '.join(map(str, RATES))} a second, round {number + 1} of {rounds}")
        for rate in RATES:
            lags, followed, per_second = _paced(run, rate, rate)
            found[rate].append((percentile(lags, 99), per_second, followed / rate))
    best, notes = 0.0, []
    for results in found.values():
        delta_logs, reached, each = zip(*results, strict=True)
        notes.append(
            f"{median(reached):.0f}/s: 99th {short(median(delta_logs))} ms, of the worst round {short(max(delta_logs))}, "
            f"{median(each):.0%} each for itself"
        )
        if median(delta_logs) < LAG_MS:
            best = max(best, median(reached))
    name = "fsynced saves of 400 KB a second, 99 % followed within 5 ms"
    note = f"median of {rounds} rounds; {'; '.join(notes)}"
    run.add(Figure(name, round(best), 200, 700, "/s", note, more_is_better=True))


def _as_fast_as_possible(run: Run) -> None:
    saves = 400 if run.is_quick else 2000
    run.say(f"{saves} saves as fast as they can be written")
    lags, followed, reached = _paced(run, saves, 1e9)
    note = (
        f"{reached:.0f} a second; lag: median {short(median(lags))} ms, 99th {short(percentile(lags, 99))}; {followed:,} "
        "seen each for itself, the others overtaken by the next; shadow at the end as live"
    )
    run.add(Figure(f"{saves:,} saves as fast as they can be written, lost at the end", 0, 0, note=note))


def _stopped(run: Run) -> None:
    """SIGSTOP, many saves with wipes among them, SIGCONT: all right within one scan."""
    saves, sessions = (1000, 10) if run.is_quick else (10_000, 100)
    run.say(f"SIGSTOP, {saves} saves, {sessions} wipes, SIGCONT")
    root = run.directory("stopped")
    app = App(root / "sessions", Era.OLD)
    chats = [Conversation(app, f"{number:012x}", 20) for number in range(sessions)]
    for chat in chats:
        chat.save()
    others = Growing(root / "sessions", messages=20)
    with running(guard := Guard(root / "sessions", root / "store")):
        for chat in chats:
            chat.save()
        guard.until_idle(0.05)
        guard.popen.send_signal(signal.SIGSTOP)
        for chat in chats:
            for _ in range(saves // sessions - 1):
                others.save()
            chat.wipe()
        guard.popen.send_signal(signal.SIGCONT)
        began = time.monotonic()
        until(lambda: all(chat.messages == 22 for chat in chats), "22 messages in each", pause_seconds=0.01)
        seconds = time.monotonic() - began
        store = Store(root / "store")
        until(lambda: store.read_shadow(SESSION) == others.path.read_bytes(), f"the copy of {others.path}")
        guard.until_idle(0.05)
    incidents = [json.loads(line) for line in (root / "store" / "incidents.jsonl").read_text().splitlines()]
    assert len(incidents) == sessions
    note = f"{saves:,} saves, {sessions} wipes; {sessions} incidents, every message there"
    run.add(Figure("SIGSTOP, saves and wipes, SIGCONT: all right after", seconds, 10, unit=" s", note=note))
