"""`python -m bench.offsite`: from save to safe at 1, 10 and 100 saves a second; and many sessions to a storage and back.

The storage is rclone's S3 server on the loopback address, so that the figures are those of hermesguard.
"""

import argparse
import json
import resource
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pyrage

from hermesguard.offsite.back.restore import Restoring
from hermesguard.offsite.bucket import Bucket
from hermesguard.offsite.settings import OffsiteSettings
from hermesguard.offsite.state import State
from hermesguard.offsite.upload.uploader import Uploader
from hermesguard.store.store import Store
from tests.helpers.s3_server import BUCKET, KEY, s3_server

_TEXT = "The quick brown fox jumps over the lazy dog, and writes down what it saw in the {} garden at {}. "


def session(number: int, messages: int, size_bytes: int) -> bytes:
    """A session file of about that size."""
    each = max(1, size_bytes // messages // 100)
    return json.dumps(
        {
            "session_id": f"{number:012x}",
            "title": f"Session {number}",
            "messages": [
                {
                    "role": "user" if turn % 2 else "assistant",
                    "content": "".join(
                        _TEXT.format(number * 31 + turn, part * 7919 + number) for part in range(each)
                    ),
                }
                for turn in range(messages)
            ],
        },
        indent=2,
    ).encode()


def options_of(root: Path, interval_seconds: float) -> OffsiteSettings:
    return OffsiteSettings(
        root / "store", root / "state", f"s3://{BUCKET}/{root.name}", (), "", "us-east-1", None,
        interval_seconds, 10_000_000, None, 86400.0, 30 * 86400.0, 50,
    )  # fmt: skip


def there_and_back(root: Path, endpoint: str, count: int) -> None:
    store = Store(root / "store")
    store.create()
    for number in range(count):
        data = session(number, 40, 40_000)
        store.keep(f"{number:012x}", data, time.time_ns(), 40)
    identity = pyrage.x25519.Identity.generate()
    bucket = Bucket(f"s3://{BUCKET}/{root.name}", endpoint, credentials=KEY)
    state = State(root / "state")
    uploader = Uploader(options_of(root, 30), state, bucket, [identity.to_public()])
    began, cpu = time.monotonic(), time.process_time()
    while uploader.turn() == 0.0:
        pass
    copied, cpu_copied = time.monotonic() - began, time.process_time() - cpu
    size = sum(one.size_bytes for one in state.objects())
    requests = sum(state.requests().values())
    began = time.monotonic()
    uploader.look()
    looked = time.monotonic() - began
    began = time.monotonic()
    Restoring(bucket, [identity], root / "back").run()
    back = time.monotonic() - began
    restored = Store(root / "back")
    messages = 0
    for name in store.sessions():
        one, other = (json.loads(it.read_shadow(name))["messages"] for it in (store, restored))
        assert one == other
        messages += len(one)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{count} sessions: {copied:.1f} s to the first full copy ({cpu_copied:.1f} s CPU), {len(state.objects())} objects, "
        f"{size / 1e6:.0f} MB, {requests} requests; a look at it {looked * 1000:.0f} ms; back {back:.1f} s; "
        f"{messages} messages compared; peak {peak} MB"
    )


def save_to_safe(root: Path, endpoint: str, rate: int, seconds: float, interval_seconds: float) -> None:
    store = Store(root / "store")
    store.create()
    identity = pyrage.x25519.Identity.generate()
    state = State(root / "state")
    uploader = Uploader(
        options_of(root, interval_seconds),
        state,
        Bucket(f"s3://{BUCKET}/{root.name}", endpoint, credentials=KEY),
        [identity.to_public()],
    )
    waiting: dict[str, list[float]] = {}
    delays: list[float] = []
    until = time.monotonic() + seconds

    def save() -> None:
        number = 0
        while time.monotonic() < until:
            name = f"{number % 200:012x}"
            began = time.time()
            store.keep(name, session(number, 20, 20_000), time.time_ns(), 20)
            waiting.setdefault(name, []).append(began)
            number += 1
            time.sleep(1 / rate)

    thread = threading.Thread(target=save)
    thread.start()
    requests = sum(state.requests().values())
    began, cpu = time.monotonic(), time.thread_time()
    while thread.is_alive() or any(waiting.values()):
        looked = time.time()
        wait = uploader.turn()
        for name in list(waiting):
            # What was saved before the look, and is in the state now, is safe.
            done = [when for when in waiting[name] if when < looked - 0.05]
            delays += [time.time() - when for when in done]
            waiting[name] = [when for when in waiting[name] if when >= looked - 0.05]
        time.sleep(wait)
    made = sum(state.requests().values()) - requests
    hours = (time.monotonic() - began) / 3600
    delays.sort()
    print(
        f"{rate:3} saves a second, interval {interval_seconds:.0f} s: to safe median {statistics.median(delays):.1f} s, "
        f"99th percentile {delays[int(len(delays) * 0.99)]:.1f} s ({len(delays)} saves); {made / hours:.0f} requests an hour; "
        f"{(time.thread_time() - cpu) / (time.monotonic() - began) * 100:.1f} % CPU"
    )
    state.close()


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--interval", type=float, default=10)
    arguments = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    with (
        tempfile.TemporaryDirectory() as directory,
        s3_server("rclone", Path(directory) / "server") as server,
    ):
        for rate in (1, 10, 100) if arguments.seconds else ():
            save_to_safe(
                Path(directory) / str(rate), server.endpoint, rate, arguments.seconds, arguments.interval
            )
        there_and_back(Path(directory) / "many", server.endpoint, arguments.sessions)


if __name__ == "__main__":
    main()
