"""`python -m bench.beside`: the guard alone, and beside notifier and offsite copies: CPU, memory, repair times, as ratios.

Two directories with a guard each, saved to and wiped in turn, so that what else the machine does meets both alike. Beside
the second run `hermesguard notify`, to a receiver on the loopback address, and `hermesguard offsite`, to rclone's S3 server;
from there comes the time from a save to safe, by what the state of the copies says.
"""

import argparse
import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyrage

from bench.measuring import REPOSITORY, Conversation, Guard, document, median, percentile, running, until
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.demo.files import dumps, replace_file
from tests.helpers.receivers import Http
from tests.helpers.s3_server import BUCKET, KEY, s3_server

_SESSIONS = 200
_WIPE_PAUSE_SECONDS = 0.5
_LOOK_SECONDS = 0.5
_WAIT_SECONDS = 30.0


@dataclass
class Side:
    """One guard, what is saved before it, and what was measured."""

    root: Path
    guard: Guard
    chat: Conversation
    texts: list[str]
    repairs_ms: list[float] = field(default_factory=list)
    saves: list[tuple[str, int]] = field(default_factory=list)
    cpu_ns: int = 0
    peak_bytes: int = 0

    def save(self, number: int) -> None:
        """Save one of the sessions, with something new in it."""
        name = f"{number % _SESSIONS:012x}"
        text = self.texts[number % _SESSIONS].replace("@number@", str(number))
        path = self.root / "sessions" / f"{name}.json"
        replace_file(path, text, 1)
        self.saves.append((name, path.stat().st_mtime_ns))

    def wipe(self) -> None:
        """Wipe the conversation once, and measure until it is whole again."""
        self.chat.save()
        deadline = time.monotonic() + _WAIT_SECONDS
        self.guard.until_idle(0.01)
        good_bytes = self.chat.path.stat().st_size // 2
        began = self.chat.wipe()
        while self.chat.path.stat().st_size < good_bytes:
            assert time.monotonic() < deadline, "not repaired"
        self.repairs_ms.append((time.monotonic_ns() - began) / 1e6)


def side(root: Path) -> Side:
    """A directory with sessions of 20 KB, and a guard on it."""
    sessions = root / "sessions"
    sessions.mkdir(parents=True)
    texts = []
    for number in range(_SESSIONS):
        name = f"{number:012x}"
        whole = document(sessions, name, 22) | {"title": "Saved for the @number@th time"}
        texts.append(dumps(whole))
        (sessions / f"{name}.json").write_text(texts[-1])
    chat = Conversation(App(sessions, Era.OLD), "f" * 12, 500)
    chat.save()
    return Side(root, Guard(sessions, root / "store"), chat, texts)


@contextlib.contextmanager
def beside(one: Side, endpoint: str, url: str, interval: str) -> Iterator[None]:
    """Run the notifier and the copies of a store while the block runs."""
    key = one.root / "credentials"
    key.write_text(f"aws_access_key_id={KEY.access_key_id}\naws_secret_access_key={KEY.secret_access_key}\n")
    key.chmod(0o600)
    recipient = pyrage.x25519.Identity.generate().to_public()
    configuration = one.root / "hermesguard.toml"
    configuration.write_text(
        f'sessions = "{one.root}/sessions"\nstore = "{one.root}/store"\n'
        f'[notify]\nurls = ["{url}"]\nevents = ["urgent", "restored"]\nsource = "incidents"\ngather = "5s"\n'
        f'[offsite]\nurl = "s3://{BUCKET}/beside"\nendpoint = "{endpoint}"\ncredentials = "{key}"\n'
        f'recipients = ["{recipient}"]\ninterval = "{interval}"\nrequests_per_day = 100000\n'
    )
    configuration.chmod(0o600)
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "hermesguard", *words, "--config", str(configuration)],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for words in (("notify",), ("offsite", "run"))
    ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.wait(80)


class Watch:
    """What the state of the copies says is safe, and when that was first seen."""

    def __init__(self, one: Side) -> None:
        self._one = one
        self._path = one.root / "store.offsite" / "state.sqlite"
        self._done = 0
        self.delays: list[float] = []

    def look(self) -> bool:
        """Take down what has become safe; return whether all is."""
        now, safe = time.time(), self._safe()
        left = []
        for name, when_ns in self._one.saves:
            if safe.get(name, 0) >= when_ns:
                self.delays.append(now - when_ns / 1e9)
            else:
                left.append((name, when_ns))
        self._one.saves = left
        return not left

    def _safe(self) -> dict[str, int]:
        query = (
            "SELECT path, max(mtime_ns) FROM entries JOIN objects ON objects.id = object"
            " WHERE stage = 'stored' AND path LIKE 'shadows/%' GROUP BY path"
        )
        try:
            with contextlib.closing(
                sqlite3.connect(f"file:{self._path}?mode=ro", timeout=5, uri=True)
            ) as state:
                found = state.execute(query).fetchall()
        except sqlite3.Error:
            return {}
        return {path[8:-5]: time_ns for path, time_ns in found}

    def requests(self) -> int:
        """Return how many requests were made so far."""
        try:
            with contextlib.closing(
                sqlite3.connect(f"file:{self._path}?mode=ro", timeout=5, uri=True)
            ) as state:
                return int(state.execute("SELECT coalesce(sum(count), 0) FROM requests").fetchone()[0])
        except sqlite3.Error:
            return 0


def measure(root: Path, rate: int, seconds: float, interval: str, endpoint: str, url: str) -> None:
    """Save and wipe on both sides for so long, and print what that cost."""
    alone, with_others = side(root / "alone"), side(root / "beside")
    sides = (alone, with_others)
    with running(alone.guard, with_others.guard):
        for one in sides:
            one.chat.save()
        with beside(with_others, endpoint, url, interval):
            watch = Watch(with_others)
            until(watch.requests, "the first request of hermesguard offsite", pause_seconds=0.1)
            for one in sides:
                one.cpu_ns = one.guard.until_idle(0.1)
            requests, began = watch.requests(), time.monotonic()
            number, next_wipe, next_look = 0, began, began
            while (now := time.monotonic()) < began + seconds:
                for one in sides:
                    one.save(number)
                number += 1
                if now >= next_wipe and rate <= 10:
                    next_wipe = now + _WIPE_PAUSE_SECONDS
                    for one in sides if len(alone.repairs_ms) % 2 else sides[::-1]:
                        one.wipe()
                if now >= next_look:
                    next_look = now + _LOOK_SECONDS
                    watch.look()
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            took = time.monotonic() - began
            for one in sides:
                one.cpu_ns = one.guard.until_idle(0.1) - one.cpu_ns
                one.peak_bytes = one.guard.peak_bytes()
            made = (watch.requests() - requests) / took * 3600
            until(watch.look, f"{len(with_others.saves)} saves to be safe", 120, _LOOK_SECONDS)
    _print(rate, number / took, sides, took, watch.delays, made)


def _print(
    rate: int, reached: float, sides: tuple[Side, Side], took: float, delays: list[float], requests: float
) -> None:
    delays.sort()
    print(
        f"{rate} saves a second asked for, {reached:.1f} reached on each side, for {took:.0f} s: "
        f"to safe median {median(delays):.1f} s, "
        f"99th percentile {percentile(delays, 99):.1f} s ({len(delays)} saves); {requests:.0f} requests an hour"
    )
    figures = [
        ("CPU of the guard, % of a core", [one.cpu_ns / 1e7 / took for one in sides]),
        ("peak memory of the guard, MB", [one.peak_bytes / 1e6 for one in sides]),
    ]
    if sides[0].repairs_ms:
        figures += [
            ("wipe to restored, median, ms", [median(one.repairs_ms) for one in sides]),
            ("wipe to restored, 90th percentile, ms", [percentile(one.repairs_ms, 90) for one in sides]),
        ]
    for name, (one, other) in figures:
        print(f"  {name:<40} alone {one:8.3f}   beside {other:8.3f}   ratio {other / one:.2f}")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--interval", default="10s")
    arguments = parser.parse_args()
    receiver = Http()
    url = f"json://127.0.0.1:{receiver.port}/"
    for rate in arguments.rates:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            with s3_server("rclone", root / "server") as server:
                measure(root, rate, arguments.seconds, arguments.interval, server.endpoint, url)
    told = sum(json.dumps(body).count("estored") > 0 for body in receiver.bodies)
    print(f"{len(receiver.bodies)} messages were taken by the receiver, {told} of them of what was restored")
    receiver.stop()


if __name__ == "__main__":
    main()
