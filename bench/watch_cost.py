"""What one save costs a process that watches: CPU, and how soon it knows. Run: python bench/watch_cost.py

Watchers, each in a process of its own, all fed by the same writer, one after the other in each round so that noise
meets all of them alike:

raw       inotify through ctypes with hermesguard's mask, one loop, names into a set: as little as Python can do
ours      hermesguard.watcher.watcher.Watch in a selector
fd        watchdog's InotifyFD, of 7.1, read and parsed by watchdog, but by one loop and without its threads
filtered  watchdog's Observer, asked for moves only
stock     watchdog's Observer with a handler for everything

A save is what the application does: write `<sid>.tmp.<pid>.<tid>`, close it, rename it onto `<sid>.json`. CPU is that of
the whole watching process while it is fed. Late is the time from the rename to the watcher's knowing the name. With --out a
file is moved out of the directory before each tenth save: watchdog's grouper holds that, and what follows, for half a second.
"""

import argparse
import ctypes
import json
import os
import select
import selectors
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
NAMES = 50
LAST = "last.json"
SAVE = b"x" * 20_000


def write(directory: Path, saves: int, pause_seconds: float, moves_out: bool) -> list[int]:
    """Save again and again; return when each rename was begun, in ns of the monotonic clock."""
    begun_ns = []
    for number in range(saves):
        if moves_out and number % 10 == 9:
            (directory / "out").touch()
            os.replace(directory / "out", directory.with_name(f"{directory.name}-out"))
        temporary = directory / f"{number % NAMES:012x}.tmp.{os.getpid()}.1"
        temporary.write_bytes(SAVE)
        begun_ns.append(time.monotonic_ns())
        os.replace(temporary, directory / f"{number % NAMES:012x}.json")
        time.sleep(pause_seconds)
    (directory / LAST).touch()
    return begun_ns


def watch_raw(directory: Path, seen: Callable[[str], bool], ready: Callable[[], None]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    libc.inotify_add_watch(descriptor, os.fsencode(directory), 0xC0 | 0x100 | 0x8 | 0x200 | 0x800 | 0x4)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    unpack = struct.Struct("iIII").unpack_from
    ready()
    while True:
        poll.poll()
        events = os.read(descriptor, 65536)
        names = set()
        offset = 0
        while offset < len(events):
            _, mask, _, length = unpack(events, offset)
            name = events[offset + 16 : offset + 16 + length].rstrip(b"\0")
            offset += 16 + length
            if mask & 0x388 and name.endswith(b".json"):
                names.add(name)
        for name in names:
            if seen(os.fsdecode(name)):
                return


def watch_ours(directory: Path, seen: Callable[[str], bool], ready: Callable[[], None]) -> None:
    from hermesguard.watcher.watcher import Watch

    watch = Watch(directory)
    watch.start()
    selector = selectors.DefaultSelector()
    selector.register(watch, selectors.EVENT_READ)
    ready()
    while True:
        selector.select()
        for change in watch.take():
            if seen(change.name):
                return
        if watch.alarmed:
            raise SystemExit("the queue overflowed")


def watch_by_fd(directory: Path, seen: Callable[[str], bool], ready: Callable[[], None]) -> None:
    from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask

    class Names:
        def __init__(self) -> None:
            self.pending: set[str] = set()

        def on_event(self, event: InotifyEvent) -> None:
            if event.name.endswith(b".json"):
                self.pending.add(os.fsdecode(event.name))

        def on_watch_deleted(self, wd: int) -> None: ...

        def on_queue_overflow(self) -> None:
            raise SystemExit("the queue overflowed")

    names = Names()
    descriptor = InotifyFD()
    mask = Mask(
        InotifyConstants.IN_MOVE
        | InotifyConstants.IN_CLOSE_WRITE
        | InotifyConstants.IN_DELETE
        | InotifyConstants.IN_MOVE_SELF
        | InotifyConstants.IN_ATTRIB
    )
    descriptor.add_callback(os.fsencode(directory), mask, names, CallbackId(1))
    ready()
    while True:
        for event in descriptor.read_events():  # waits
            descriptor.handle_event(event)
        pending, names.pending = names.pending, set()
        for name in pending:
            if seen(name):
                return


def watch_by_observer(
    directory: Path, seen: Callable[[str], bool], ready: Callable[[], None], moves_only: bool
) -> None:
    from watchdog.events import FileCreatedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    over = threading.Event()

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            name = os.path.basename(os.fsdecode(event.dest_path or event.src_path))
            if (isinstance(event, FileMovedEvent) or name == LAST) and seen(name):
                over.set()

    observer = Observer()
    wanted = [FileMovedEvent, FileCreatedEvent] if moves_only else None
    observer.schedule(Handler(), str(directory), event_filter=wanted)
    observer.start()
    ready()
    over.wait()
    observer.stop()


WATCHERS: dict[str, Callable[[Path, Callable[[str], bool], Callable[[], None]], None]] = {
    "raw": watch_raw,
    "ours": watch_ours,
    "fd": watch_by_fd,
    "filtered": partial(watch_by_observer, moves_only=True),
    "stock": partial(watch_by_observer, moves_only=False),
}


def be_watcher(kind: str, directory: Path) -> None:
    """In a process of its own: watch until LAST appears, then print what it cost and when each save was known."""
    known_ns: list[int] = []
    begun = 0.0

    def seen(name: str) -> bool:
        if name == LAST:
            return True
        known_ns.append(time.monotonic_ns())
        return False

    def ready() -> None:
        nonlocal begun
        print("ready", flush=True)
        begun = time.process_time()

    WATCHERS[kind](directory, seen, ready)
    print(json.dumps({"cpu_seconds": time.process_time() - begun, "known_ns": known_ns}), flush=True)


def measure(
    kind: str, saves: int, pause_seconds: float, moves_out: bool = False
) -> tuple[float, list[float]]:
    """Return CPU per save and, for each save, how late it was known, both in ms."""
    with tempfile.TemporaryDirectory() as parent:
        directory = os.path.join(parent, "sessions")
        os.mkdir(directory)
        command = [sys.executable, "-m", "bench.watch_cost", "--watcher", kind, "--directory", directory]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as watcher:
            assert watcher.stdout
            if watcher.stdout.readline() != "ready\n":
                raise SystemExit(f"{kind} did not start")
            begun_ns = write(Path(directory), saves, pause_seconds, moves_out)
            answer = watcher.stdout.readline()
            if not answer:
                raise SystemExit(f"{kind} ended early")
            result = json.loads(answer)
    known_ns = result["known_ns"]
    if len(known_ns) != saves:
        raise SystemExit(f"{kind}: {len(known_ns)} of {saves} saves were seen")
    late = [(known - begun) / 1e6 for begun, known in zip(begun_ns, known_ns, strict=True)]
    return result["cpu_seconds"] / saves * 1000, late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--saves", type=int, default=500, help="saves for each watcher in each round (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=4, help="(%(default)s)")
    parser.add_argument("--pause-ms", type=float, default=3.0, help="between two saves (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=WATCHERS, default=list(WATCHERS), help="these watchers")
    parser.add_argument("--out", action="store_true", help="move files out of the directory meanwhile")
    parser.add_argument("--watcher", choices=WATCHERS, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watcher:
        return be_watcher(arguments.watcher, arguments.directory)
    cpu: dict[str, list[float]] = {kind: [] for kind in arguments.only}
    late: dict[str, list[float]] = {kind: [] for kind in arguments.only}
    for _ in range(arguments.rounds):
        for kind in arguments.only:
            cost, delays = measure(kind, arguments.saves, arguments.pause_ms / 1000, arguments.out)
            cpu[kind].append(cost)
            late[kind].extend(delays)
    raw = statistics.median(cpu[arguments.only[0]])
    print(
        f"{'watcher':10}{'CPU ms/save':>12}{'ratio':>10}{'late p50':>10}{'p99':>8}{'worst ms':>10}{'> 100 ms':>10}"
    )
    for kind in arguments.only:
        cost = statistics.median(cpu[kind])
        cuts = statistics.quantiles(late[kind], n=100)
        print(
            f"{kind:10}{cost:12.3f}{cost / raw:10.2f}{cuts[49]:10.3f}{cuts[98]:8.2f}{max(late[kind]):10.2f}"
            f"{sum(delay > 100 for delay in late[kind]):6} of {len(late[kind])}",
            flush=True,
        )
    return None


if __name__ == "__main__":
    main()
