"""Looking again and again, and on which file systems that is needed."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import hermesguard.watcher.polling
from hermesguard.watcher.change import Change
from hermesguard.watcher.mounts import filesystem_type, hears_every_change
from hermesguard.watcher.polling import Polling, Signature, differences
from hermesguard.watcher.watcher import Watch
from tests.helpers.namespaces import run_in_namespace
from tests.helpers.waiting import until


def signature(
    inode: int, *, size: int = 10, mtime: int = 1, ctime: int = 1, is_final: bool = True
) -> Signature:
    return Signature(inode, size, mtime, ctime, is_final)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    (tmp_path / "sessions").mkdir()
    watch = Watch(tmp_path / "sessions", watch="polling", polling_interval_seconds=0.01)
    watch.start()
    yield watch
    watch.stop()


def test_what_two_looks_tell() -> None:
    before = {"same": signature(1), "grown": signature(2), "gone": signature(3), "old": signature(4)}
    after = {
        "same": signature(1),
        "grown": signature(2, size=11),
        "new": signature(4, ctime=2),
        "fresh": signature(5),
    }
    assert list(differences(before, after)) == [
        Change("gone"),
        Change("old"),
        Change("grown"),
        Change("new", None, "old"),
        Change("fresh"),
    ]


def test_an_inode_given_to_another_file_is_no_rename() -> None:
    assert list(differences({"old": signature(4)}, {"new": signature(4, mtime=2)})) == [
        Change("old"),
        Change("new"),
    ]


def test_each_part_of_the_signature_counts() -> None:
    before = {"a": signature(1)}
    for after in (signature(2), signature(1, size=9), signature(1, mtime=2), signature(1, ctime=2)):
        assert list(differences(before, {"a": after})) == [Change("a")]
    assert list(differences(before, before)) == []


def test_a_file_changed_within_the_clocks_tick_is_visited_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "abc.json").touch()
    changed_ns = (tmp_path / "abc.json").stat().st_ctime_ns
    itself = tmp_path.stat()
    polling = Polling(tmp_path, (itself.st_dev, itself.st_ino), 1000)
    try:
        looks = []
        for passed_ns in (1_000_000, 200_000_000, 900_000_000):
            monkeypatch.setattr(time, "time_ns", lambda passed_ns=passed_ns: changed_ns + passed_ns)
            looks.append(polling._look())
        assert list(differences(looks[0], looks[1])) == [Change("abc.json")]
        assert list(differences(looks[1], looks[2])) == []
    finally:
        polling.close()


def test_a_directory_out_of_reach_hides_and_then_shows_again(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "sessions" / "abc.json").touch()
    until(watch.take)
    (tmp_path / "sessions").rename(tmp_path / "away")
    until(lambda: watch.alarmed)
    assert "cannot be looked at: No such file or directory" in (watch.watch_lost() or "")
    (tmp_path / "sessions").mkdir()
    until(lambda: "another directory has taken its place" in (watch.watch_lost() or ""))
    assert watch.take() == []  # not that all sessions are gone
    (tmp_path / "sessions").rmdir()
    (tmp_path / "away").rename(tmp_path / "sessions")
    until(lambda: watch.watch_lost() is None)
    assert watch.self_test() is None


def test_a_thread_that_died_is_noticed(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)

    def fail(before: object, after: object) -> None:
        raise MemoryError

    monkeypatch.setattr(hermesguard.watcher.polling, "differences", fail)
    until(lambda: watch.alarmed)
    assert "has ended" in (watch.watch_lost() or "")


def test_a_file_system_that_hangs_stops_neither_proof_nor_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hermesguard.watcher.polling, "_STOP_SECONDS", 0.05)
    monkeypatch.setattr(hermesguard.watcher.polling, "_PATIENCE_SECONDS", 0.05)
    hanging, over = threading.Event(), threading.Event()
    itself = tmp_path.stat()
    polling = Polling(tmp_path, (itself.st_dev, itself.st_ino), 0.01)

    def hang() -> dict[str, Signature]:
        hanging.set()
        over.wait()
        return {}

    monkeypatch.setattr(polling, "_look", hang)
    try:
        assert hanging.wait(20)
        assert "could not be looked at for" in until(polling.prove)
        polling.close()  # returns although the thread cannot end
        assert polling._thread.is_alive()
        os.fstat(polling.fileno())  # still the thread's own, for when it comes back
    finally:
        over.set()
        polling._thread.join()
        polling.close()


def test_a_slow_directory_is_looked_at_less_often(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    polling = watch.source
    assert isinstance(polling, Polling)
    look = polling._look
    monkeypatch.setattr(polling, "_look", lambda: (time.sleep(0.03), look())[1])
    until(lambda: polling._pause_seconds >= 0.6)


def test_the_type_is_that_of_the_mount_itself(tmp_path: Path) -> None:
    assert filesystem_type(Path("/proc/self")) == "proc"
    run_in_namespace(
        r"""
from hermesguard.watcher.mounts import filesystem_type, type_by_name

below = filesystem_type(directory)
odd = directory / "an ödd\\name,\nwith\ttab"
odd.mkdir()
mount("-t", "tmpfs", "none", odd)
assert filesystem_type(odd) == type_by_name(odd) == type_by_name(odd / "not there") == "tmpfs"
(odd / "inner").mkdir()
bound = directory / "bound"
bound.mkdir()
mount("--bind", odd / "inner", bound)
assert filesystem_type(bound) == "tmpfs"
assert filesystem_type(directory) == type_by_name(directory / "an ö") == type_by_name(directory / "bound2") == below

mount("-t", "ramfs", "none", odd)
assert filesystem_type(odd) == type_by_name(odd) == "ramfs"
(directory / "link").symlink_to(odd)
assert filesystem_type(directory / "link") == "ramfs"

mount("-t", "tmpfs", "none", "/proc")
assert filesystem_type(odd) == type_by_name(odd) == ""
""",
        tmp_path,
    )


def test_no_such_path() -> None:
    with pytest.raises(FileNotFoundError):
        filesystem_type(Path("/none"))


def test_where_changes_come_unheard() -> None:
    for unheard in ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse", "fuse.sshfs", "ceph", "lustre"):
        assert not hears_every_change(unheard), unheard
    for heard in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "fuseblk", ""):
        assert hears_every_change(heard), heard


def test_an_overlay_is_heard_and_so_is_its_upper_directory(tmp_path: Path) -> None:
    """The container's view and the host's view of the same files."""
    run_in_namespace(
        """
mount("-t", "tmpfs", "none", directory)
lower, upper, work, merged = (directory / name for name in ("lower", "upper", "work", "merged"))
for each in (lower, upper, work, merged):
    each.mkdir()
(lower / "old.json").touch()
mount("-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work},userxattr", "overlay", merged)
inside, outside = Watch(merged), Watch(upper)
inside.start()
outside.start()
assert inside.mode == "inotify" and inside.self_test() is None
inside.take(), outside.take()
(merged / "new.tmp.5.1").write_text("{}")
(merged / "new.tmp.5.1").replace(merged / "new.json")
(merged / "old.json").write_text("copied up")
assert [change.name for change in inside.take()] == ["new.json", "old.json"]
assert {"new.json", "old.json"} <= {change.name for change in outside.take()}
""",
        tmp_path,
    )
