"""Whether a journald that hangs can stop a repair: 100 hangs at random moments, beside another process that logs much.

    python -m bench.journald_hang [--hangs 100] [--way sendv|own]

Two ways to write to the journal are tried, each in a process with two threads: one reports an event every two milliseconds,
the other stands for the repairs and notes how long it was kept from running. "sendv" is `systemd.journal.sendv`, called only
when poll says of a socket connected to journald that it takes an entry now; "own" is `hermesguard.events.journald.Journal`.
journald, one of our own in a mount namespace, is stopped for 0.2 s again and again. Where it is not installed, a socket
stands in, which is the same in what counts here: a queue of datagrams that is full. Exit code 1 when "own" was ever stopped.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
JOURNALD = "/lib/systemd/systemd-journald"
SOCKET = "/run/systemd/journal/socket"
HANG_SECONDS = 0.2
STOPPED_SECONDS = 0.1
EVENT_SECONDS = 0.002


def be_journald() -> None:
    if os.access(JOURNALD, os.X_OK):
        print("ready", flush=True)
        os.execv(JOURNALD, [JOURNALD])
    taking = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    taking.bind(SOCKET)
    print("ready", flush=True)
    while taking.recv(65536):
        pass


def be_chatty() -> None:
    sending = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sending.connect(SOCKET)
    while True:
        sending.send(b"MESSAGE=one of many\n")
        time.sleep(random.random() * 0.0005)


def guarded_sendv() -> Callable[[], None]:
    import select

    from systemd import journal

    probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    probe.connect(SOCKET)
    poll = select.poll()

    def report() -> None:
        poll.register(probe, select.POLLOUT)
        if poll.poll(0):
            journal.sendv("MESSAGE=Restored", "MESSAGE_ID=5624b3f52bf1461f9e740dd4db9878b0", "PRIORITY=4")

    return report


def own() -> Callable[[], None]:
    from hermesguard.events.journald import Journal

    journal = Journal(Path(SOCKET))

    def report() -> None:
        journal.offer(b"MESSAGE=Restored\nMESSAGE_ID=5624b3f52bf1461f9e740dd4db9878b0\nPRIORITY=4\n")

    return report


WAYS = {"sendv": guarded_sendv, "own": own}


def be_guard(way: str) -> None:
    """Print, for each time that the repairs were kept from running for long, when and for how long."""

    def repair() -> None:
        last = time.monotonic()
        while True:
            time.sleep(0.001)
            now = time.monotonic()
            if now - last > STOPPED_SECONDS:
                print(json.dumps([last, now - last]), flush=True)
            last = now

    report = WAYS[way]()
    threading.Thread(target=repair, daemon=True).start()
    print("ready", flush=True)
    while True:
        report()
        time.sleep(EVENT_SECONDS)


def try_it(way: str, hangs: int, seed: int) -> list[float]:
    """Return for how many seconds the repairs stood still, each time that they did."""
    chance = random.Random(seed)
    command = [sys.executable, "-m", "bench.journald_hang", "--be"]

    def started(*words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen([*command, *words], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)

    journald = started("journald")
    processes = [journald]
    try:
        assert journald.stdout
        assert journald.stdout.readline() == "ready\n"
        while not os.path.exists(SOCKET):
            time.sleep(0.05)
        time.sleep(0.5)
        processes.append(started("chatty"))
        guard = started(way)
        processes.append(guard)
        assert guard.stdout
        assert guard.stdout.readline() == "ready\n"
        for _ in range(hangs):
            time.sleep(chance.random() * 0.05)
            journald.send_signal(signal.SIGSTOP)
            time.sleep(HANG_SECONDS)
            journald.send_signal(signal.SIGCONT)
            time.sleep(0.02)
        guard.terminate()
        return [json.loads(line)[1] for line in guard.stdout.read().splitlines() if line.endswith("]")]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()
        Path(SOCKET).unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hangs", type=int, default=100, help="(%(default)s)")
    parser.add_argument("--way", choices=WAYS, action="append", help="one of the ways alone")
    parser.add_argument("--seed", type=int, default=13, help="(%(default)s)")
    parser.add_argument("--be", choices=("journald", "chatty", *WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--apart", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.be in WAYS:
        be_guard(arguments.be)
    elif arguments.be:
        {"journald": be_journald, "chatty": be_chatty}[arguments.be]()
    elif not arguments.apart:
        unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
        words = [sys.executable, "-m", "bench.journald_hang", "--apart", *sys.argv[1:]]
        return subprocess.run([*unshare, *words], cwd=REPOSITORY).returncode
    else:
        for directory in ("/run", "/var/log"):
            subprocess.run(["mount", "-t", "tmpfs", "none", directory], check=True)
        os.makedirs(os.path.dirname(SOCKET))
        stopped = {way: try_it(way, arguments.hangs, arguments.seed) for way in arguments.way or WAYS}
        for way, seconds in stopped.items():
            longest = f", for {max(seconds):.2f} s at the longest" if seconds else ""
            print(f"{way:6} repairs stopped {len(seconds)} times in {arguments.hangs} hangs{longest}")
        return 1 if stopped.get("own") else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
