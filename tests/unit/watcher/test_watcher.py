"""What a watch hands on, with real files and a real kernel; by inotify, and where it applies by polling too."""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hermesguard.watcher.inotify
from hermesguard.errors import GuardError
from hermesguard.watcher import polling
from hermesguard.watcher.watcher import Change, Watch
from tests.helpers.namespaces import REPOSITORY
from tests.helpers.waiting import uncounted, until

PID = os.getpid()
libc = ctypes.CDLL(None, use_errno=True)


def save(directory: Path, name: str, content: bytes = b"{}", pid: int = PID) -> None:
    """Save as the application does."""
    temporary = directory / f"{name.removesuffix('.json')}.tmp.{pid}.140000000000001"
    temporary.write_bytes(content)
    os.replace(temporary, directory / name)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def exchange(one: Path, other: Path) -> None:
    rename_exchange = 2
    assert libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), rename_exchange) == 0


def link_as_the_application(directory: Path) -> None:
    """Write a missing file again, and never over another."""
    temporary = directory / f"linked.tmp.{os.getpid()}.1"
    temporary.write_text("{}")
    os.link(temporary, directory / "linked.json")
    temporary.unlink()


def readable(watch: Watch) -> bool:
    return bool(select.select([watch], [], [], 0)[0])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "sessions").mkdir()
    return tmp_path / "sessions"


@pytest.fixture
def watch(directory: Path) -> Iterator[Watch]:
    watch = Watch(directory)
    watch.start()
    assert (watch.mode, watch.reason) == ("inotify", "")
    yield watch
    watch.stop()


# What people and programs do to a file, and the names that must be handed on for it.
ACTS: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "saved": (lambda d: save(d, "old.json"), {"old.json"}),
    "saved for the first time": (lambda d: save(d, "new.json"), {"new.json"}),
    "index saved": (lambda d: save(d, "_index.json"), {"_index.json"}),
    "tombstone written": (
        lambda d: (d / "_deleted_webui_sessions.json").write_text("{}"),
        {"_deleted_webui_sessions.json"},
    ),
    "written in place": (lambda d: (d / "old.json").write_text("in place"), {"old.json"}),
    "appended to": (lambda d: append(d / "old.json", "more"), {"old.json"}),
    "emptied": (lambda d: (d / "old.json").write_bytes(b""), {"old.json"}),
    "written again by hard link": (link_as_the_application, {"linked.json"}),
    "deleted": (lambda d: (d / "old.json").unlink(), {"old.json"}),
    "renamed": (lambda d: (d / "old.json").rename(d / "renamed.json"), {"old.json", "renamed.json"}),
    "renamed to no session": (lambda d: (d / "old.json").rename(d / "old.json.gone"), {"old.json"}),
    "moved out": (lambda d: (d / "old.json").rename(d.parent / "old.json"), {"old.json"}),
    "moved in": (lambda d: (d.parent / "outside").rename(d / "inside.json"), {"inside.json"}),
    "exchanged": (lambda d: exchange(d / "old.json.bak", d / "old.json"), {"old.json"}),
    "odd bytes": (
        lambda d: Path(os.fsdecode(os.fsencode(d) + b"/\xff\xfe \n\xc3.json")).write_text("{}"),
        {os.fsdecode(b"\xff\xfe \n\xc3.json")},
    ),
    "longest name": (lambda d: (d / ("n" * 250 + ".json")).write_text("{}"), {"n" * 250 + ".json"}),
    "only a suffix": (lambda d: (d / ".json").write_text("{}"), {".json"}),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("how", ["auto", "polling"])
def test_each_kind_of_change_is_seen(
    directory: Path, act: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "_CLOCK_TICK_NS", 10_000_000)
    for name in ("old.json", "old.json.bak", "../outside"):
        (directory / name).write_text(f"{name} as it was")
    newest_ns = max(path.stat().st_ctime_ns for path in directory.iterdir())
    # Polling looks twice at what is new.
    until(lambda: how == "auto" or time.time_ns() - newest_ns > 20_000_000)
    do, names = ACTS[act]
    watch = Watch(directory, watch=how, polling_interval_seconds=0.01)  # type: ignore[arg-type]
    watch.start()
    seen: set[str] = set()
    try:
        do(directory)
        until(lambda: readable(watch) and (seen.update(c.name for c in watch.take()) or names <= seen))
        assert seen == names
        assert not watch.alarmed
    finally:
        watch.stop()


@pytest.mark.parametrize("how", ["auto", "polling"])
def test_nothing_else_is_handed_on(directory: Path, how: str) -> None:
    watch = Watch(directory, watch=how, polling_interval_seconds=0.01)  # type: ignore[arg-type]
    watch.start()
    (directory / "abc.tmp.12.34").write_text("never renamed")
    (directory / "abc.json.bak").write_text("{}")
    (directory / "abc.json.recover.tmp").write_text("{}")
    (directory / "directory.json").mkdir()
    (directory / "directory.json").rename(directory / "other.json")
    (directory / "inner.json").mkdir()
    (directory / "other.json").rmdir()
    save(directory, "last.json")
    try:
        assert {change.name for change in until(watch.take)} == {"last.json"}
    finally:
        watch.stop()


def test_looking_at_files_is_not_a_change(watch: Watch, directory: Path) -> None:
    save(directory, "abc.json")
    assert watch.take()
    (directory / "abc.json").read_bytes()
    (directory / "abc.json").stat()
    assert os.listdir(directory) == ["abc.json"]
    with open(directory / "abc.json", "rb") as session:
        os.fsync(session.fileno())
    shutil.copy(directory / "abc.json", directory.parent)
    assert not readable(watch)


def test_rights_are_not_a_change(watch: Watch, directory: Path) -> None:
    save(directory, "abc.json")
    watch.take()
    os.chmod(directory / "abc.json", 0o600)
    os.utime(directory / "abc.json")
    assert uncounted(watch) == []


def test_a_file_moved_out_holds_nothing_up(watch: Watch, directory: Path) -> None:
    """watchdog's own grouper holds it, and all that follows, for half a second."""
    save(directory, "gone.json")
    watch.take()
    (directory / "gone.json").rename(directory.parent / "gone.json")
    save(directory, "next.json")
    assert uncounted(watch) == [Change("gone.json"), Change("next.json", PID)]


def test_the_writer_is_told_by_the_name_of_its_temporary_file(watch: Watch, directory: Path) -> None:
    save(directory, "a.b.json", pid=4242)
    (directory / "c.json.reconcile.tmp.x12.1").write_text("{}")
    os.replace(directory / "c.json.reconcile.tmp.x12.1", directory / "c.json")
    for number, temporary in enumerate(("plain", "d.part.12.1", "d.tmp.12")):
        (directory / temporary).write_text("{}")
        os.replace(directory / temporary, directory / f"d{number}.json")
    assert uncounted(watch) == [
        Change("a.b.json", 4242),
        Change("c.json"),
        *map(Change, ("d0.json", "d1.json", "d2.json")),
    ]


def test_a_rename_tells_both_names(watch: Watch, directory: Path) -> None:
    save(directory, "old.json")
    watch.take()
    (directory / "old.json").rename(directory / "new.json")
    save(directory, "new.json", pid=7)
    assert uncounted(watch) == [Change("old.json"), Change("new.json", 7, "old.json")]


def test_two_sessions_exchanged(watch: Watch, directory: Path) -> None:
    save(directory, "a.json")
    save(directory, "b.json")
    watch.take()
    exchange(directory / "a.json", directory / "b.json")
    assert sorted(uncounted(watch)) == [Change("a.json", None, "b.json"), Change("b.json", None, "a.json")]


def test_what_the_guard_puts_in_place_is_no_save(watch: Watch, directory: Path) -> None:
    save(directory, "old.json")
    repaired = directory / ".hermesguard-old.1.repair"
    repaired.write_text("{}")
    exchange(repaired, directory / "old.json")
    save(directory, "old.json")
    assert [(change.name, change.saves) for change in watch.take()] == [("old.json", 2)]


def test_one_change_for_each_name_and_the_last_writer_counts(watch: Watch, directory: Path) -> None:
    for name, pid in (("a.json", 1), ("b.json", 2), ("a.json", 3)):
        save(directory, name, pid=pid)
    assert uncounted(watch) == [Change("a.json", 3), Change("b.json", 2)]
    assert uncounted(watch) == []


def test_an_open_file_is_seen_when_its_writer_closes_or_dies(watch: Watch, directory: Path) -> None:
    (directory / "abc.json").write_text("whole")
    watch.take()
    program = (
        "import sys; f = open(sys.argv[1], 'r+b'); f.write(b'torn'); f.flush(); print(flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(directory / "abc.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        assert (directory / "abc.json").read_bytes() == b"torne"
        assert not readable(watch)
        writer.kill()
    assert uncounted(watch) == [Change("abc.json")]


def test_halves_of_a_rename_read_one_by_one_are_put_together(
    watch: Watch, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hermesguard.watcher.inotify, "_BUFFER_BYTES", 80)
    for number in range(20):
        save(directory, f"{number:012}.json", pid=number)
    assert uncounted(watch) == [Change(f"{number:012}.json", number) for number in range(20)]


def test_files_moved_out_do_not_pile_up(watch: Watch, directory: Path) -> None:
    for number in range(500):
        (directory / f"{number}.tmp.1.1").touch()
        (directory / f"{number}.tmp.1.1").rename(directory.parent / "out")
    assert uncounted(watch) == []
    moving = watch.source._moving  # type: ignore[union-attr]
    assert len(moving) <= 64
    save(directory, "abc.json", pid=5)
    assert uncounted(watch) == [Change("abc.json", 5)]


def rename_to_and_fro(directory: Path, times: int) -> None:
    """Two events each time, of which the kernel can put none together."""
    one, other = directory / "to.json", directory / "fro.json"
    one.touch()
    for _ in range(times):
        one.rename(other)
        one, other = other, one


def queue_length() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def test_a_long_queue_is_read_in_one_go_and_not_in_quadratic_time(watch: Watch, directory: Path) -> None:
    rename_to_and_fro(directory, min(8000, queue_length() // 2 - 10))
    begun = time.process_time()
    names = [change.name for change in watch.take()]
    assert (
        time.process_time() - begun < 2
    )  # it takes 0.05; a search through the queue for each event takes ten
    assert names == ["to.json", "fro.json"]
    assert not watch.alarmed
    assert not readable(watch)


def test_an_overflow_is_reported_once_and_the_watch_goes_on(watch: Watch, directory: Path) -> None:
    rename_to_and_fro(directory, queue_length() // 2 + 100)
    assert readable(watch)
    watch.take()
    assert watch.alarmed
    assert watch.overflowed()
    assert not watch.overflowed()
    assert not watch.alarmed
    assert watch.watch_lost() is None
    save(directory, "after.json")
    assert uncounted(watch) == [Change("after.json", PID)]


def test_the_self_test_works_through_a_full_queue(watch: Watch, directory: Path) -> None:
    rename_to_and_fro(directory, queue_length() // 2 + 100)
    assert watch.self_test() is None
    assert watch.overflowed()
    assert readable(watch)
    assert {change.name for change in watch.take()} == {"to.json", "fro.json"}


FOLLOWER = """
import select, sys
from pathlib import Path
from hermesguard.watcher.watcher import Watch

watch = Watch(Path(sys.argv[1]))
watch.start()
print("watching", flush=True)
while True:
    select.select([watch], [], [])
    for change in watch.take():
        print(change.name, flush=True)
    if watch.overflowed():
        print("overflowed", flush=True)
"""


def test_a_stopped_process_knows_that_it_missed_something(directory: Path) -> None:
    command = [sys.executable, "-c", FOLLOWER, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as follower:
        assert follower.stdout
        try:
            assert follower.stdout.readline() == "watching\n"
            follower.send_signal(signal.SIGSTOP)
            rename_to_and_fro(directory, queue_length() // 2 + 100)
            follower.send_signal(signal.SIGCONT)
            assert "overflowed\n" in iter(follower.stdout.readline, "")
            save(directory, "after.json")
            assert "after.json\n" in iter(follower.stdout.readline, "")
        finally:
            follower.kill()


def test_no_thread_and_no_descriptor_is_left(directory: Path) -> None:
    threads, descriptors = threading.active_count(), os.listdir("/proc/self/fd")
    for how in ("auto", "polling"):
        watch = Watch(directory, watch=how)  # type: ignore[arg-type]
        watch.start()
        assert threading.active_count() == threads + (how == "polling")
        assert not os.get_inheritable(watch.fileno())
        watch.self_test()
        watch.stop()
        watch.stop()
        assert (threading.active_count(), os.listdir("/proc/self/fd")) == (threads, descriptors)


def test_a_watch_that_is_not_running_says_so(directory: Path) -> None:
    watch = Watch(directory)
    watch.stop()
    assert watch.watch_lost() == watch.self_test() == f"The directory {directory} is not being watched."
    with pytest.raises(RuntimeError, match="not running"):
        watch.take()


def test_a_directory_that_is_watched_already_is_not_taken_from_who_watches_it(directory: Path) -> None:
    queue = hermesguard.watcher.inotify.Queue()
    other = directory.with_name("other-name")
    other.symlink_to(directory)
    first, second = (Watch(path, queue=lambda: queue) for path in (directory, other))
    first.start()
    with pytest.raises(GuardError, match="File exists"):
        second.start()
    second.stop()
    save(directory, "one.json")
    assert [change.name for change in first.take()] == ["one.json"]
    first.stop()
    second.start()
    save(directory, "two.json")
    assert [change.name for change in second.take()] == ["two.json"]
    second.stop()
    queue.close()
