"""Durable writing: what stands on the disk after each call, after each failure, and after a crash at each step."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hermesguard import files
from hermesguard.reader import Reader

DAY_NS = 86_400 * 1_000_000_000
CALLS = ("open", "write", "fsync", "rename", "link", "unlink", "ftruncate", "mkdir", "close", "utime")


class Crash(BaseException):
    """The process ends here."""


class Recorded:
    """The calls to the kernel, in order, by name and file; `fail` makes one of them fail, by number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, BaseException] = {}
        self._names: dict[int, str] = {}
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            first = arguments[0]
            file = self._names.get(first, str(first)) if isinstance(first, int) else Path(first).name
            step = f"{name} {file}"
            if step in self.fail:
                raise self.fail[step]
            self.calls.append(step)
            result = real(*arguments, **more)
            if name == "open":
                self._names[result] = Path(first).name
            return result

        return call


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return Recorded(monkeypatch)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- a whole file


def test_what_is_written_has_its_content_rights_time_and_note(tmp_path: Path) -> None:
    os.umask(0o022)
    path = tmp_path / "a.json"
    path.write_text("old")
    path.chmod(0o644)
    files.write_durably(path, b"new", mtime_ns=DAY_NS, note=b"a digest")
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o600
    assert path.stat().st_mtime_ns == DAY_NS
    assert files.note(path) in (b"a digest", None)  # None where the file system takes no attributes
    assert os.listdir(tmp_path) == ["a.json"]


def test_content_is_synced_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, recorded: Recorded
) -> None:
    files.write_durably(tmp_path / "a.json", b"new", mtime_ns=DAY_NS)
    steps = [step for step in recorded.calls if not step.startswith(("open", "close"))]
    assert steps == [
        "write .a.json.tmp",
        "utime .a.json.tmp",
        "fsync .a.json.tmp",
        "rename .a.json.tmp",
        f"fsync {tmp_path.name}",
    ]


@pytest.mark.parametrize("step", ["write", "utime", "fsync", "rename"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, recorded: Recorded, step: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    recorded.fail[f"{step} .a.json.tmp"] = full()
    with pytest.raises(OSError, match="No space left"):
        files.write_durably(path, b"new", mtime_ns=DAY_NS)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("step", ["write", "utime", "fsync", "rename"])
def test_a_crash_at_any_step_leaves_the_old_file_and_the_next_write_cleans_up(
    tmp_path: Path, recorded: Recorded, step: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    recorded.fail = {f"{step} .a.json.tmp": Crash(), "unlink .a.json.tmp": Crash()}
    with pytest.raises(Crash):
        files.write_durably(path, b"new", mtime_ns=DAY_NS)
    assert path.read_bytes() == b"old"
    recorded.fail.clear()
    files.write_durably(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_planted_link_in_the_way_is_replaced_and_never_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".a.json.tmp").symlink_to(victim)
    files.write_durably(tmp_path / "a.json", b"new")
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "a.json").read_bytes() == b"new"
    assert not (tmp_path / "a.json").is_symlink()


def test_a_write_in_pieces_is_written_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    files.write_durably(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


# -- lines at the end of a file


def test_lines_are_appended_and_a_torn_one_is_closed_first(tmp_path: Path) -> None:
    path = tmp_path / "log"
    files.append_durably(path, b"one\n")
    assert mode(path) == 0o600
    with path.open("ab") as torn:
        torn.write(b"tor")
    files.append_durably(path, b"two\n")
    assert path.read_bytes() == b"one\ntor\ntwo\n"


def test_a_new_log_is_durable_with_its_name(tmp_path: Path, recorded: Recorded) -> None:
    files.append_durably(tmp_path / "log", b"one\n")
    assert [step for step in recorded.calls if step.startswith(("write", "fsync"))] == [
        "write log",
        "fsync log",
        f"fsync {tmp_path.name}",
    ]
    recorded.calls.clear()
    files.append_durably(tmp_path / "log", b"two\n")
    assert f"fsync {tmp_path.name}" not in recorded.calls


def test_a_line_that_cannot_be_made_durable_is_taken_back(tmp_path: Path, recorded: Recorded) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    recorded.fail["fsync log"] = full()
    with pytest.raises(OSError, match="No space left"):
        files.append_durably(path, b"two\n")
    assert path.read_bytes() == b"one\n"


def test_nothing_is_appended_to_what_is_no_file_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="symbolic links"):
        files.append_durably(tmp_path / "link", b"x\n")
    with pytest.raises(FileNotFoundError):
        files.append_durably(tmp_path / "none", b"x\n", create=False)
    assert not (tmp_path / "none").exists()


# -- names


def test_a_move_is_durable_where_the_name_came_and_where_it_went(tmp_path: Path, recorded: Recorded) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "a").write_bytes(b"x")
    recorded.calls.clear()
    assert files.move(tmp_path / "a", tmp_path / "to" / "b")
    steps = [step for step in recorded.calls if step.startswith(("rename", "fsync"))]
    assert steps == ["rename a", "fsync to", f"fsync {tmp_path.name}"]
    assert (tmp_path / "to" / "b").read_bytes() == b"x"
    assert not files.move(tmp_path / "a", tmp_path / "to" / "c")


def test_a_link_is_durable_and_may_be_there_already(tmp_path: Path, recorded: Recorded) -> None:
    (tmp_path / "a").write_bytes(b"x")
    for _ in range(2):
        recorded.calls.clear()
        assert files.link_durably(tmp_path / "a", tmp_path / "b")
        assert f"fsync {tmp_path.name}" in recorded.calls
    assert (tmp_path / "b").samefile(tmp_path / "a")


@pytest.mark.parametrize("number", sorted(files.NO_LINK))
def test_where_there_are_no_links_that_is_said_and_raises_nothing(
    tmp_path: Path, recorded: Recorded, number: int
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    recorded.fail["link a"] = OSError(number, os.strerror(number))
    assert not files.link_durably(tmp_path / "a", tmp_path / "b")
    recorded.fail["link a"] = full()
    with pytest.raises(OSError, match="No space left"):
        files.link_durably(tmp_path / "a", tmp_path / "b")


def test_a_directory_is_made_with_its_parents_for_the_owner_alone(tmp_path: Path, recorded: Recorded) -> None:
    files.make_directory(tmp_path / "a" / "b")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700
    steps = [step for step in recorded.calls if step.startswith(("mkdir", "fsync"))]
    assert steps == ["mkdir a", f"fsync {tmp_path.name}", "mkdir b", "fsync a"]
    files.make_directory(tmp_path / "a" / "b")


def test_names_of_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert files.names(tmp_path / "none") == []
    (tmp_path / "one").touch()
    assert files.names(tmp_path) == ["one"]
    with pytest.raises(NotADirectoryError):
        files.names(tmp_path / "one")


def test_removing(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert files.remove(tmp_path / "a")
    assert not files.remove(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "a").touch()
    for name in ("empty", "used", "none"):
        files.remove_directory(tmp_path / name)
    assert os.listdir(tmp_path) == ["used"]


def test_whether_a_directory_takes_files_is_tried_and_leaves_nothing(
    tmp_path: Path, recorded: Recorded
) -> None:
    files.prove_writable(tmp_path)
    assert os.listdir(tmp_path) == []
    for step in ("write .proof.tmp", "fsync .proof.tmp"):
        recorded.fail = {step: full()}
        with pytest.raises(OSError, match="No space left"):
            files.prove_writable(tmp_path)
        assert os.listdir(tmp_path) == []


# -- reading


@pytest.fixture(params=["read", "read_noted", "Reader"])
def reading(
    request: pytest.FixtureRequest,
) -> Iterator[Callable[[Path, int | None], tuple[bytes, files.Stamp]]]:
    """Each way to read a file: its content and its stamp."""
    reader = Reader()

    def by_reader(path: Path, limit_bytes: int | None) -> tuple[bytes, files.Stamp]:
        size_bytes, stamp = reader.read(path, limit_bytes)
        assert len(reader.data) == size_bytes
        return reader.data, stamp

    ways: dict[str, Callable[[Path, int | None], tuple[bytes, files.Stamp]]] = {
        "read": files.read,
        "read_noted": lambda path, limit: files.read_noted(path, limit)[:2],
        "Reader": by_reader,
    }
    yield ways[request.param]
    reader.release()


Reading = Callable[[Path, int | None], tuple[bytes, files.Stamp]]


@pytest.mark.parametrize("size_bytes", [0, 1, 4095, 4096, 4097, 300_000])
def test_a_file_is_read_whole_with_its_stamp(tmp_path: Path, reading: Reading, size_bytes: int) -> None:
    path = tmp_path / "a"
    content = os.urandom(size_bytes)
    for data in (b"something longer" * 100, content, content):
        path.write_bytes(data)
        path.chmod(0o640)
        read, stamp = reading(path, None)
        assert read == data
        found = path.stat()
        assert stamp == files.stamp(path)
        assert (stamp.size_bytes, stamp.mtime_ns, stamp.inode, stamp.device) == (
            found.st_size,
            found.st_mtime_ns,
            found.st_ino,
            found.st_dev,
        )
        assert (stamp.mode, stamp.uid, stamp.gid) == (0o640, found.st_uid, found.st_gid)


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(
    tmp_path: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10_000)
    real = os.fstat

    def then_grow(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        if found.st_size == 10_000:
            path.write_bytes(b"x" * 50_000)
        return found

    monkeypatch.setattr(os, "fstat", then_grow)
    assert len(reading(path, None)[0]) == 50_000


@pytest.mark.parametrize("call", ["open", "read"])
@pytest.mark.parametrize("size_bytes", [20, 5_000_000])
def test_a_file_that_another_machine_replaces_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: Reading, call: str, size_bytes: int
) -> None:
    """NFS: what was opened is gone at the server when it is read."""
    path = tmp_path / "a"
    path.write_bytes(b"a" * size_bytes)
    left = [files.TRIES - 1]

    def stale(original: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            if left[0]:
                left[0] -= 1
                path.with_suffix(".new").write_bytes(b"b" * size_bytes)
                path.with_suffix(".new").rename(path)
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return original(*arguments)

        return called

    for name in ("open",) if call == "open" else ("read", "readv"):
        monkeypatch.setattr(os, name, stale(getattr(os, name)))
    data, stamp = reading(path, None)
    assert (left, data) == ([0], b"b" * size_bytes)
    assert stamp == files.stamp(path)
    left[0] = files.TRIES
    with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
        reading(path, None)


def test_more_than_the_limit_is_not_read(tmp_path: Path, reading: Reading) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    assert reading(path, 100)[0] == b"x" * 100
    with pytest.raises(files.TooLarge) as caught:
        reading(path, 99)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.limit_bytes == 99
    assert caught.value.stamp == files.stamp(path)


def test_what_is_no_regular_file_is_not_read_and_nothing_hangs(tmp_path: Path, reading: Reading) -> None:
    (tmp_path / "real").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    before = set(os.listdir("/proc/self/fd"))
    for name in ("link", "pipe", "directory"):
        with pytest.raises(OSError, match=r"not a regular file|symbolic links"):
            reading(tmp_path / name, None)
        assert files.stamp(tmp_path / name) is None
    assert set(os.listdir("/proc/self/fd")) == before
    assert files.stamp(tmp_path / "none") is None
    assert files.stamp(tmp_path / "real" / "below") is None


def test_pieces_are_the_whole(tmp_path: Path) -> None:
    content = os.urandom(10_000)
    (tmp_path / "a").write_bytes(content)
    pieces = list(files.pieces(tmp_path / "a", 4096))
    assert [len(piece) for piece in pieces] == [4096, 4096, 1808]
    assert b"".join(pieces) == content


def test_a_note_stays_with_the_file_and_goes_with_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write_durably(path, b"x", note=b"noted")
    if files.note(path) is None:
        with pytest.raises(OSError, match="not supported"):
            os.setxattr(path, "user.any", b"")
    else:
        path.rename(tmp_path / "b")
        assert files.read_noted(tmp_path / "b")[2] == b"noted"
        files.write_durably(tmp_path / "b", b"y")
        assert files.note(tmp_path / "b") is None
        assert files.read_noted(tmp_path / "b")[2] is None


def test_a_note_that_cannot_be_made_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no attributes")

    monkeypatch.setattr(os, "setxattr", refuse)
    files.write_durably(tmp_path / "a", b"x", note=b"noted")
    assert files.read_noted(tmp_path / "a")[2] is None
