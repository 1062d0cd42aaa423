"""The watch knows whether it delivers: every way to lose it, and the self-test."""

import os
import select
import shutil
import stat
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import hermesguard.watcher.inotify  # before anyone gives the right to read it up
import hermesguard.watcher.watcher
from hermesguard.errors import GuardError
from hermesguard.watcher.watcher import Change, Watch
from tests.helpers.namespaces import run_in_namespace
from tests.helpers.waiting import uncounted

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")


def readable(watch: Watch) -> bool:
    return bool(select.select([watch], [], [], 0)[0])


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that other users can reach."""
    with tempfile.TemporaryDirectory() as base:
        os.chmod(base, 0o777)
        sessions = Path(base, "webui", "sessions")
        sessions.mkdir(parents=True)
        yield sessions


@pytest.fixture
def watch(directory: Path) -> Iterator[Watch]:
    watch = Watch(directory)
    watch.start()
    assert watch.watch_lost() is None
    yield watch
    watch.stop()


@contextmanager
def another_user() -> Iterator[None]:
    """Be nobody, in no group but nobody's."""
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def made_anew(directory: Path) -> None:
    """The same path and, where the file system hands inodes out again at once, the same inode."""
    directory.rmdir()
    directory.mkdir()


def replaced(directory: Path) -> None:
    directory.rename(directory.with_name("old"))
    directory.mkdir()


def replaced_higher_up(directory: Path) -> None:
    directory.parent.rename(directory.parent.with_name("old"))
    directory.mkdir(parents=True)


def there_and_back(directory: Path) -> None:
    directory.rename(directory.with_name("old"))
    directory.with_name("old").rename(directory)


def turned_into_a_link(directory: Path) -> None:
    replaced_higher_up(directory)
    directory.rmdir()
    directory.with_name("elsewhere").mkdir()
    directory.symlink_to("elsewhere")


# What becomes of the directory; what is said; whether the kernel tells of it, so that the loop wakes.
FATES: dict[str, tuple[Callable[[Path], object], str, bool]] = {
    "deleted": (lambda d: d.rmdir(), "was deleted", True),
    "deleted with its parents": (lambda d: shutil.rmtree(d.parent), "was deleted", True),
    "made anew": (made_anew, "was deleted", True),
    "renamed": (lambda d: d.rename(d.with_name("old")), "was renamed or moved away", True),
    "moved": (lambda d: d.rename(d.parent.parent / "old"), "was renamed or moved away", True),
    "replaced": (replaced, "was renamed or moved away", True),
    "there and back": (there_and_back, "was renamed or moved away", True),
    "parent renamed": (
        lambda d: d.parent.rename(d.parent.with_name("old")),
        "No such file or directory",
        False,
    ),
    "replaced higher up": (replaced_higher_up, "Another directory has taken the place", False),
    "turned into a link": (turned_into_a_link, "Another directory has taken the place", False),
}


@pytest.mark.parametrize("fate", FATES)
def test_a_directory_that_is_no_longer_there_is_noticed(watch: Watch, directory: Path, fate: str) -> None:
    befall, said, wakes = FATES[fate]
    befall(directory)
    assert readable(watch) == wakes
    watch.take()
    assert watch.alarmed == wakes
    reason = watch.watch_lost()
    assert reason
    assert said in reason
    assert str(directory) in reason
    assert watch.self_test() == reason


def test_a_new_watch_sees_again(watch: Watch, directory: Path) -> None:
    replaced(directory)
    watch.take()
    assert watch.watch_lost()
    watch.stop()
    again = Watch(directory)
    again.start()
    try:
        (directory / "abc.json").write_text("{}")
        assert uncounted(again) == [Change("abc.json")]
        assert again.watch_lost() is again.self_test() is None
    finally:
        again.stop()


def test_a_directory_still_open_somewhere_is_missed_all_the_same(watch: Watch, directory: Path) -> None:
    """The kernel tells of a deletion only when the last user lets go."""
    held = os.open(directory, os.O_RDONLY)
    try:
        made_anew(directory)
        assert "Another directory" in (watch.watch_lost() or "")
    finally:
        os.close(held)


def test_unmounting_is_noticed_and_not_prevented(tmp_path: Path) -> None:
    run_in_namespace(
        """
mount("-t", "tmpfs", "none", directory)
watch = Watch(directory)
watch.start()
assert (watch.mode, watch.self_test()) == ("inotify", None)
unmount(directory)
assert readable(watch)
assert watch.take() == [] and watch.alarmed
assert watch.watch_lost() == watch.self_test() == f"The directory {directory} is gone, its file system was unmounted."

mount("-t", "tmpfs", "none", directory)
watch = Watch(directory)
watch.start()
held = os.open(directory, os.O_RDONLY)
unmount("--lazy", directory)
assert not readable(watch)
assert watch.watch_lost() == f"Another directory has taken the place of {directory}."

for _ in "a plain directory", "the root of a tmpfs, with the inode that the next one has":
    watch = Watch(directory)
    watch.start()
    mount("-t", "tmpfs", "none", directory)
    assert not readable(watch)
    assert watch.watch_lost() == f"Another directory has taken the place of {directory}."
""",
        tmp_path,
    )


def test_the_proof_moves_no_time_but_the_directorys_ctime(watch: Watch, directory: Path) -> None:
    (directory / "abc.json").write_text("{}")
    watch.take()
    before, file_before = directory.stat(), (directory / "abc.json").stat()
    assert watch.self_test() is None
    after, file_after = directory.stat(), (directory / "abc.json").stat()
    assert file_before == file_after
    assert (before.st_mtime_ns, before.st_atime_ns, before.st_mode) == (
        after.st_mtime_ns,
        after.st_atime_ns,
        after.st_mode,
    )
    assert before.st_ctime_ns <= after.st_ctime_ns
    assert not readable(watch)


def test_the_proof_loses_no_names(watch: Watch, directory: Path) -> None:
    (directory / "abc.json").write_text("{}")
    assert watch.self_test() is None
    assert readable(watch)
    assert uncounted(watch) == [Change("abc.json")]
    assert not readable(watch)


def test_an_unseen_change_fails_the_self_test(
    watch: Watch, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: None)
    assert watch.self_test() == f"A change made in {directory} to try the watch was not seen."


def test_a_file_system_that_tells_nothing_is_polled(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: None)
    watch = Watch(directory)
    watch.start()
    try:
        assert watch.mode == "polling"
        assert "was not seen by inotify; keep the sessions on a local file system" in watch.reason
    finally:
        watch.stop()


@needs_root
def test_the_proof_keeps_the_setgid_bit(directory: Path) -> None:
    """chmod(2) clears it when the owner is not in the directory's group: the file of the self-test serves instead."""
    os.chown(directory, NOBODY, 12345)
    directory.chmod(0o2775)
    with another_user():
        watch = Watch(directory)
        watch.start()
        try:
            assert watch.mode == "inotify"
            assert watch.self_test() is None
            watch.take()
            assert not readable(watch)
        finally:
            watch.stop()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o2775
    assert os.listdir(directory) == []


@needs_root
def test_the_proof_in_another_users_directory(directory: Path) -> None:
    directory.chmod(0o777)
    with another_user():
        (directory / ".hermesguard-canary").touch()  # left by a guard that was killed between two steps
        watch = Watch(directory)
        watch.start()
        try:
            assert watch.mode == "inotify"
            assert watch.self_test() is None
            (directory / "abc.json").write_text("{}")
            assert watch.self_test() is None
            assert uncounted(watch) == [Change("abc.json")]
            assert os.listdir(directory) == ["abc.json"]
            os.seteuid(0)
            directory.chmod(0o755)
            os.seteuid(NOBODY)
            assert (
                watch.self_test()
                == f"Whether changes in {directory} are seen cannot be tried: Permission denied."
            )
        finally:
            watch.stop()


def test_the_proof_on_a_read_only_file_system(tmp_path: Path) -> None:
    run_in_namespace(
        """
mount("-t", "tmpfs", "none", directory)
watch = Watch(directory)
watch.start()
mount("-o", "remount,ro", directory)
assert watch.self_test() == f"Whether changes in {directory} are seen cannot be tried: Read-only file system."
again = Watch(directory)
again.start()
assert again.mode == "inotify"
""",
        tmp_path,
    )


@pytest.mark.parametrize(
    ("limit", "what", "enough"),
    [("max_inotify_instances", "instances", 1024), ("max_inotify_watches", "watches", 524288)],
)
def test_without_inotify_it_polls_and_names_the_limit(
    tmp_path: Path, limit: str, what: str, enough: int
) -> None:
    if os.statvfs("/proc/sys/user").f_flag & os.ST_RDONLY:
        pytest.skip("the limits cannot be set in this container")
    printed = run_in_namespace(
        f"""
Path("/proc/sys/user/{limit}").write_text("0")
watch = Watch(directory, polling_interval_seconds=0.01)
watch.start()
print(watch.mode)
print(watch.reason)
(directory / "abc.json").write_text("{{}}")
select.select([watch], [], [], 20)
print(watch.take()[0].name)
watch.stop()
assert len(os.listdir("/proc/self/fd")) == 4, os.listdir("/proc/self/fd")
""",
        tmp_path,
    )
    mode, reason, name = printed.splitlines()
    assert (mode, name) == ("polling", "abc.json")
    assert reason == (
        f"This user has no inotify {what} left (user.{limit} is 0): raise the limit with "
        f"`sysctl -w user.{limit}={enough}`, for good with that setting in /etc/sysctl.d/90-hermesguard.conf."
    )


def test_a_network_file_system_is_polled(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hermesguard.watcher.watcher, "filesystem_type", lambda path: "nfs4")
    watch = Watch(directory)
    watch.start()
    try:
        assert watch.mode == "polling"
        assert f"{directory} is on nfs4" in watch.reason
    finally:
        watch.stop()


def test_polling_can_be_chosen(directory: Path) -> None:
    watch = Watch(directory, watch="polling")
    watch.start()
    try:
        assert (watch.mode, watch.watch_lost(), watch.self_test()) == ("polling", None, None)
        assert "Polling was chosen" in watch.reason
    finally:
        watch.stop()


@pytest.mark.parametrize("how", ["auto", "polling"])
def test_what_cannot_be_watched_is_said(directory: Path, how: str) -> None:
    def complaint(path: Path) -> str:
        with pytest.raises(GuardError) as caught:
            Watch(path, watch=how).start()  # type: ignore[arg-type]
        return str(caught.value)

    (directory / "file").touch()
    assert complaint(directory / "none") == (
        f"There is no directory {directory}/none. Name the sessions directory of hermes-webui with --sessions."
    )
    assert complaint(directory / "file") == (
        f"{directory}/file is not a directory. Name the sessions directory of hermes-webui with --sessions."
    )
    (directory / "round").symlink_to("round")
    assert "cannot be read: Too many levels of symbolic links" in complaint(directory / "round")


@needs_root
def test_a_directory_that_may_not_be_read_is_said(directory: Path) -> None:
    directory.chmod(0o711)
    with (
        another_user(),
        pytest.raises(GuardError, match=r"cannot be read: Permission denied\. Run the guard as"),
    ):
        Watch(directory).start()


def test_a_watchdog_with_other_insides_is_said_at_start(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "hermesguard.watcher.inotify", raising=False)
    monkeypatch.setitem(sys.modules, "watchdog.observers.inotify_c", types.ModuleType("inotify_c"))
    with pytest.raises(
        GuardError, match=r"watchdog is none that hermesguard can use .*pip install 'watchdog>=7\.1,<8'"
    ):
        Watch(directory).start()
