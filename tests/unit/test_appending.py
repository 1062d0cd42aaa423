"""A file held open that lines are added to: durable, with room made for more, and none of it where somebody changed it."""

import errno
import os
from contextlib import closing
from pathlib import Path

import pytest

from hermesguard.appending import Appending


def test_a_file_held_open_takes_lines_durably(tmp_path: Path) -> None:
    path = tmp_path / "a.delta"
    path.write_bytes(b"tor")
    with closing(Appending(path)) as appending:
        appending.append(b"one\n")
        appending.append(b"two\n")
    assert path.read_bytes().rstrip(b"\0") == b"tor\none\ntwo\n"


def test_most_lines_write_over_room_that_was_made_before(tmp_path: Path) -> None:
    path = tmp_path / "a.delta"
    path.write_bytes(b"{}\n")
    line = b"x" * 999 + b"\n"
    sizes = []
    with closing(Appending(path)) as appending:
        for _ in range(100):
            appending.append(line)
            sizes.append(path.stat().st_size)
    assert path.read_bytes().rstrip(b"\0") == b"{}\n" + 100 * line
    assert len(set(sizes)) == 25  # so often was it made longer
    assert all(size - number * len(line) < 4096 for number, size in enumerate(sizes, 1))
    assert not any(size % 4096 for size in sizes)


@pytest.mark.parametrize("room_bytes", [0, 1, 5_000, 100_000])
@pytest.mark.parametrize("lines", [b"", b"one\n", b"tor"])
def test_a_file_with_room_goes_on_where_its_lines_end(tmp_path: Path, lines: bytes, room_bytes: int) -> None:
    path = tmp_path / "a.delta"
    path.write_bytes(lines + bytes(room_bytes))
    with closing(Appending(path)) as appending:
        appending.append(b"two\n")
    separator = b"\n" if lines == b"tor" else b""
    assert path.read_bytes().rstrip(b"\0") == lines + separator + b"two\n"


def test_a_line_is_there_if_the_disk_has_no_room_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.delta"
    path.write_bytes(b"")
    with closing(Appending(path)) as appending:
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwritev", lambda file, parts, at: os.pwrite(file, b"".join(parts)[:6], at))
            appending.append(b"one\n")
        assert path.read_bytes() == b"one\n\0\0"
        appending.append(b"two\n")
    assert path.read_bytes().rstrip(b"\0") == b"one\ntwo\n"


@pytest.mark.parametrize(
    "change", ["removed", "longer", "shorter", "directory moved", "another in its place"]
)
def test_a_file_held_open_that_someone_changed_takes_nothing(tmp_path: Path, change: str) -> None:
    path = tmp_path / "store" / "a.delta"
    path.parent.mkdir()
    path.write_bytes(b"one\n")
    with closing(Appending(path)) as appending:
        if change == "removed":
            path.unlink()
        elif "moved" in change:
            path.parent.rename(tmp_path / "moved")
        elif "place" in change:
            (path.parent / "new").write_bytes(b"one\n")
            (path.parent / "new").rename(path)
        else:
            path.write_bytes(b"another\n" if change == "longer" else b"")
        with pytest.raises(FileNotFoundError):
            appending.append(b"two\n")
    for found in tmp_path.rglob("*.delta"):
        assert b"two" not in found.read_bytes()


def test_a_line_that_is_written_in_part_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.delta"
    path.write_bytes(b"one\n")

    def write_no_more(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_two_bytes(descriptor: int, parts: list[bytes], at: int) -> int:
        return os.write(descriptor, b"".join(parts)[:2]) if os.lseek(descriptor, at, os.SEEK_SET) else 0

    with closing(Appending(path)) as appending:
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwritev", write_two_bytes)
            patched.setattr(os, "pwrite", write_no_more)
            with pytest.raises(OSError, match="No space left"):
                appending.append(b"two\n")
        assert path.read_bytes() == b"one\n"
        appending.append(b"three\n")
    assert path.read_bytes().rstrip(b"\0") == b"one\nthree\n"
