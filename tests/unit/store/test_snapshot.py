"""What a guard leaves behind for the next start: taken for true as long as no shadow came or went, and never else."""

import random
from array import array
from pathlib import Path

import pytest

from hermesguard import files
from hermesguard.store.start import snapshot
from hermesguard.store.start.snapshot import FILE_NAME, Snapshot
from hermesguard.store.store import Store
from hermesguard.webui.directory import DirectoryState

NAMES = ["20260430_151231_7209a0", "api-1", "0123456789ab"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    Store(tmp_path / "store").create()
    return tmp_path / "store"


def example(sessions: DirectoryState | None = None) -> Snapshot:
    columns = ([1, 2**40, 0], [-5, 10**18, 2**62], [0, 7, 100_000])
    return Snapshot(NAMES, *(array("q", column) for column in columns), NAMES[:1], sessions)


@pytest.mark.parametrize("sessions", [None, DirectoryState(2**40, 7, -1)])
def test_what_was_written_is_read(store: Path, sessions: DirectoryState | None) -> None:
    snapshot.write(store, example(sessions))
    assert snapshot.read(store) == example(sessions)


def test_none_of_nothing(store: Path) -> None:
    assert snapshot.read(store) is None
    nothing = Snapshot([], array("q"), array("q"), array("q"), [], None)
    snapshot.write(store, nothing)
    assert snapshot.read(store) == nothing


def test_the_same_is_not_written_again(store: Path) -> None:
    snapshot.write(store, example())
    before = files.stamp(store / FILE_NAME)
    snapshot.write(store, example())
    assert files.stamp(store / FILE_NAME) == before  # not stat's answer: to read it is to change that
    snapshot.write(store, example(DirectoryState(1, 2, 3)))
    assert snapshot.read(store) == example(DirectoryState(1, 2, 3))


def test_it_does_not_count_once_a_shadow_came_or_went(store: Path) -> None:
    snapshot.write(store, example())
    Store(store).keep("another", b"{}", 1, 0)
    assert snapshot.read(store) is None


def test_it_does_not_count_in_a_copy_of_the_store(store: Path, tmp_path: Path) -> None:
    snapshot.write(store, example())
    other = Store(tmp_path / "other")
    other.create()
    (other.root / FILE_NAME).write_bytes((store / FILE_NAME).read_bytes())
    assert snapshot.read(other.root) is None


def test_whatever_became_of_it_is_seen(store: Path) -> None:
    snapshot.write(store, example())
    path, draw = store / FILE_NAME, random.Random(20)
    good = path.read_bytes()
    for _ in range(500):
        data = bytearray(good)
        match draw.randrange(3):
            case 0:
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            case 1:
                del data[draw.randrange(len(data)) :]
            case 2:
                data += b"\0" * draw.randrange(1, 9)
        path.write_bytes(data)
        found = snapshot.read(store)
        assert found is None or isinstance(found, str) or found.names == NAMES
        if found is not None and not isinstance(found, str):
            assert found[1:4] == example()[1:4]


@pytest.mark.parametrize("name", ["../../etc/passwd", "_index", "", "a" * 300])
def test_what_is_no_session_is_refused(store: Path, name: str) -> None:
    one = array("q", [1])
    snapshot.write(store, Snapshot([name], one, one, one, [], None))
    assert isinstance(snapshot.read(store), str)


def test_numbers_that_are_none_are_refused(store: Path) -> None:
    one = array("q", [1])
    snapshot.write(store, Snapshot(["abc"], array("q", [-1]), one, one, [], None))
    assert isinstance(snapshot.read(store), str)
