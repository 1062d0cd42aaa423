"""Reading along what is known: the same answers as from the whole file in memory, in less of it."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermesguard import reader as reading
from hermesguard.pieces import Piece, around
from hermesguard.reader import LONG_BYTES, Reader

MB = 1024 * 1024


@st.composite
def files_with_runs(draw: st.DrawFn) -> tuple[bytes, list[tuple[Piece, ...]]]:
    """A file of few different bytes, and runs that stand in it, or nearly do."""
    text = st.binary(max_size=300).map(lambda data: bytes(byte % 3 + 65 for byte in data))
    runs: list[tuple[Piece, ...]] = []
    data = draw(text)
    for _ in range(draw(st.integers(1, 3))):
        run = [piece + b"!" for piece in draw(st.lists(text, min_size=1, max_size=3))]
        runs.append(tuple(memoryview(piece) if draw(st.booleans()) else piece for piece in run))
        data += b"".join(run) + draw(text)
    if draw(st.booleans()):
        place = draw(st.integers(0, len(data)))
        data = (
            data[:place] + draw(st.sampled_from([b"", b"A", b"?"])) + data[place + draw(st.integers(0, 2)) :]
        )
    return data, runs


@given(found=files_with_runs(), window_bytes=st.integers(100, 400))
@settings(max_examples=600, deadline=None)
def test_a_file_read_along_runs_is_what_it_is_in_memory(
    tmp_path_factory: pytest.TempPathFactory, found: tuple[bytes, list[tuple[Piece, ...]]], window_bytes: int
) -> None:
    data, runs = found
    path = tmp_path_factory.getbasetemp() / "along"
    path.write_bytes(data)
    reader = Reader()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reading, "_WINDOW_BYTES", window_bytes)
        for _ in range(2):
            size_bytes, _ = reader.read(path, runs=runs)
            assert size_bytes == len(data)
            assert reader.around(runs) == around(data, runs, len(data))
        assert reader.is_same([data])
        assert not reader.is_same([data + b"x"])
        assert reader.is_same([data[:-1]]) is (not data), "of an empty file nothing can be left out"
        assert reader.around([[b"not there"]]) is None
        assert reader.data == data
        assert reader.around(runs) == around(data, runs, len(data))


def test_a_long_file_that_repeats_what_is_known_is_not_in_memory_twice(tmp_path: Path) -> None:
    run = os.urandom(LONG_BYTES)
    (tmp_path / "a").write_bytes(b"head" + run + b"between" + run + b"end")
    reader = Reader()
    reader.read(tmp_path / "a", runs=[(run,), (run,)])
    assert reader.around([(run,), (run,)]) == (b"head", b"between", b"end")
    own_bytes = reader.memory_bytes - 2 * len(run)
    assert own_bytes < MB
    assert not reader.is_same([b"Head", run, b"between", run, b"end"])
    assert reader.memory_bytes == own_bytes + 2 * len(run), "it is not put together"
    assert reader.is_same([b"he", b"ad", run, b"between", run, b"end"])
    assert reader.data == (tmp_path / "a").read_bytes()


def test_messages_that_begin_as_a_run_does_are_not_taken_for_it(tmp_path: Path) -> None:
    """Who says the same again and again."""
    run = os.urandom(MB)
    rest = b"".join(run[:200] + b"and its answer" for _ in range(16))
    (tmp_path / "a").write_bytes(rest + run + rest + run + rest)
    reader = Reader()
    reader.read(tmp_path / "a", runs=(runs := [(run,), (run,)]))
    assert reader.around(runs) == (rest, rest, rest)
    reader.let_go(10 * MB)
    assert reader.memory_bytes == reading._WINDOW_BYTES * 9 // 8, "it was read along them"


@pytest.mark.parametrize("is_put_together", [False, True])
def test_of_a_file_that_was_looked_at_nothing_is_held(tmp_path: Path, is_put_together: bool) -> None:
    """Whoever has the runs may let them go: they are half of a long session's memory."""
    run, rest = os.urandom(MB), os.urandom(5 * MB)
    (tmp_path / "a").write_bytes(run + rest)
    reader, runs = Reader(), [(run,)]
    nobody = sys.getrefcount(runs)
    reader.read(tmp_path / "a", runs=runs)
    if is_put_together:
        assert reader.data == run + rest
    reader.let_go(MB)
    assert sys.getrefcount(runs) == nobody
    assert (reader.data, reader.memory_bytes) == (b"", reading._WINDOW_BYTES * 9 // 8)
    reader.let_go(MB // 8)
    assert reader.memory_bytes == 0


@pytest.mark.parametrize("is_long", [False, True])
def test_of_a_file_that_says_something_else_all_is_read(tmp_path: Path, is_long: bool) -> None:
    run = os.urandom(LONG_BYTES if is_long else MB)
    changed = run[:-1] + bytes([run[-1] ^ 1])
    for content in (changed, run[:-1], b"", run + b"behind"):
        (tmp_path / "a").write_bytes(b"head" + content)
        reader = Reader()
        size_bytes, _ = reader.read(tmp_path / "a", runs=[(run,)])
        assert size_bytes == 4 + len(content)
        assert reader.data == b"head" + content
        assert (reader.around([(run,)]) is None) == (not content.startswith(run))


def test_what_was_known_is_asked_before_the_runs(tmp_path: Path) -> None:
    content = os.urandom(LONG_BYTES + 1)
    (tmp_path / "a").write_bytes(content)
    reader = Reader()
    reader.read(tmp_path / "a", known=content, runs=[(content,)])
    assert reader.data is content
    reader.release()
    assert (reader.memory_bytes, reader.data) == (0, b"")
