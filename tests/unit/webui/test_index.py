"""The application's index: what it says of a session that is gone, what it said before, and how it went."""

import errno
import json
from pathlib import Path

import pytest

from hermesguard import files
from hermesguard.webui.lists.index import Index, ids_in, load
from hermesguard.webui.lists.tombstones import Tombstones


class Place:
    """An index file, and the one clock of all who look at it."""

    def __init__(self, root: Path) -> None:
        self.path = root / "_index.json"
        self.seconds = 1000.0
        self.index = Index(self.path, lambda: self.seconds)

    def write(self, *sessions: str, **saved: float | str) -> None:
        """Save the index as the application does, a second after what was before; `saved`: sessions with their `updated_at`."""
        self.seconds += 1.0
        temporary = self.path.with_name("_index.tmp.1.2")
        entries = [{"session_id": name, "message_count": 2} for name in sessions]
        entries += [{"session_id": name, "updated_at": when} for name, when in saved.items()]
        temporary.write_text(json.dumps(entries))
        temporary.replace(self.path)

    def restart(self, seconds: float = 10.0) -> None:
        """Another guard takes over, after so long."""
        dumped = self.index.dump()
        self.seconds += seconds
        self.index = Index(self.path, lambda: self.seconds)
        self.index.recall(dumped)

    def says(self, session: str) -> str:
        """What it says of a session that has just gone."""
        return self.index.says(session, self.seconds)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_index_that_never_was_says_nothing(place: Place) -> None:
    assert place.says("a") == "none"
    assert place.index.went is None
    assert place.index.dump() == b""


def test_an_entry_that_was_seen_and_went(place: Place) -> None:
    place.write("a", "b")
    assert place.says("a") == "lists"
    place.write("b")
    assert place.says("a") == "pruned"
    assert place.says("c") == "unlisted"
    place.write("a", "b")
    assert place.says("a") == "lists"


def test_an_entry_that_went_long_before_the_file_says_nothing(place: Place) -> None:
    place.write("a", "b")
    place.index.note()
    place.write("b")
    assert place.says("b") == "lists"
    place.seconds += 3.0
    assert place.says("a") == "unlisted"


def test_an_index_that_goes_and_is_built_anew(place: Place) -> None:
    place.write("a", "b")
    assert place.index.note()
    place.path.unlink()
    assert not place.index.note()
    assert (place.index.went, place.index.went_unseen) == (place.seconds, False)
    assert place.says("a") == "none"
    place.write("b")
    assert place.says("a") == "rebuilt"
    assert place.says("b") == "lists"
    assert place.says("c") == "unlisted"


def test_an_older_index_says_nothing_of_what_came_since(place: Place) -> None:
    place.write(a=10.5, b=20.5, new=30.5)
    assert place.says("new") == "lists"
    place.write(a=10.5, b=15.5)
    assert place.says("new") == "rebuilt"
    place.write(b=15.5)
    assert place.says("a") == "pruned"


@pytest.mark.parametrize("b", [20.5, 40.5, "20.5"])
def test_a_session_that_was_saved_last_and_goes_makes_no_older_index(place: Place, b: float | str) -> None:
    place.write(a=10.5, b=20.5, new=30.5)
    assert place.says("new") == "lists"
    place.write(a=10.5, b=b)
    assert place.says("new") == "pruned"


def test_what_the_guard_removes_is_remembered_and_is_no_evidence(place: Place) -> None:
    place.write("a", "b", "c")
    place.index.note()
    place.write("b", "c")  # a is deleted just then
    assert not place.index.correct("b", 2)
    assert place.index.correct("b", 7)
    assert not place.path.exists()
    assert place.index.went is None
    assert not place.index.note()
    assert place.index.went is None
    assert place.says("a") == "pruned"
    assert place.says("b") == "removed"
    place.write("b")
    assert place.says("c") == "rebuilt"


def test_a_row_without_a_count_or_without_the_session(place: Place) -> None:
    place.write("a")
    assert not place.index.correct("a", 2)
    place.path.write_text('[{"session_id": "a"}]')
    assert not place.index.correct("a", 2)
    assert place.index.correct("b", 2)
    assert not place.index.correct("b", 2)


def test_the_index_is_not_read_at_each_save_but_soon_after(place: Place) -> None:
    place.write("a")
    place.index.note()
    assert place.index.wait_seconds() is None
    place.write("b")
    place.seconds -= 1.0
    place.index.note()
    place.index.catch_up()
    assert place.index.dump() == b'{"index":"there","listed":["a"],"inode":0}'
    place.seconds += place.index.wait_seconds() or 0.0
    place.index.catch_up()
    assert place.index.dump() == b'{"index":"there","listed":["b"],"inode":0}'
    assert place.index.wait_seconds() is None
    place.write("c")
    place.seconds -= 1.0
    place.index.note(read=True)
    assert place.index.dump() == b'{"index":"there","listed":["c"],"inode":0}'


# ---- over a restart ----------------------------------------------------------------------------------------------------


def test_an_entry_that_goes_while_no_guard_runs(place: Place) -> None:
    place.write("a", "b")
    place.index.note()
    place.write("b")
    place.restart()
    assert place.says("a") == "pruned"
    assert place.says("b") == "lists"


def test_an_index_that_goes_while_no_guard_runs(place: Place) -> None:
    place.write("a")
    place.index.note()
    place.path.unlink()
    place.restart()
    assert (place.index.went, place.index.went_unseen) == (place.seconds, True)
    place.restart()
    assert place.index.went is None
    assert place.says("a") == "none"
    place.write()
    assert place.says("a") == "rebuilt"


def test_an_index_that_the_guard_removed_is_known_to_be_so_at_the_next_start(place: Place) -> None:
    place.write("a")
    assert place.index.correct("a", 7)
    place.restart()
    assert place.index.went is None
    assert place.says("a") == "removed"
    place.write()
    assert place.says("a") == "rebuilt"


@pytest.mark.parametrize(
    "dumped",
    [
        b"",
        b"\xff",
        b"[]",
        b"7",
        b'{"index": 7, "listed": []}',
        b'{"index": [], "listed": ["a"]}',
        b'{"index": "there"}',
        b'{"index": "there", "listed": 7}',
        b'{"index": "there", "listed": [7]}',
    ],
)
def test_a_memory_of_another_form_is_none(place: Place, dumped: bytes) -> None:
    place.index.recall(dumped)
    assert place.says("a") == "none"
    assert place.index.dump() == b""


def test_names_that_are_no_sessions_are_not_remembered(place: Place) -> None:
    place.write("a", "../b", "\ud800", "c\n")
    place.index.note()
    assert place.index.dump() == b'{"index":"there","listed":["a"],"inode":0}'


# ---- whatever stands there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "7", '{"a": 1}', "[" * 100_000])
def test_what_is_no_index_says_nothing(place: Place, text: str) -> None:
    place.write("a")
    place.index.note()
    place.path.write_text(text)
    assert place.says("a") == "none"
    place.write("b")
    assert place.says("a") in ("pruned", "unlisted")


def test_what_only_python_reads_is_read(place: Place) -> None:
    place.path.write_text(
        '[7, null, {"session_id": 7}, {"session_id": "a", "cost": NaN, "n": 123456789012345678901}]'
    )
    assert place.says("a") == "lists"


def test_what_is_not_seen_to_be_known_any_more_is_forgotten(place: Place) -> None:
    place.write("a", "b")
    place.index.note()
    place.write()
    assert (place.says("a"), place.says("b")) == ("pruned", "pruned")
    place.index.forget({"a"})
    assert (place.says("a"), place.says("b")) == ("pruned", "unlisted")


def test_forgetting_does_not_go_through_all_that_is_known(place: Place) -> None:
    class Known:
        """So many that they may only be asked for, as at each scan of a large directory."""

        def __contains__(self, name: object) -> bool:
            return name == "a"

    place.write("a", "b")
    place.index.note()
    place.path.unlink()
    place.index.note()
    place.write()
    assert (place.says("a"), place.says("b")) == ("rebuilt", "rebuilt")
    place.index.forget(Known())
    assert (place.says("a"), place.says("b")) == ("rebuilt", "unlisted")


def test_an_index_that_cannot_be_read_is_no_evidence(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path, most_bytes: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    place.write("a")
    place.index.note()
    place.write("b")
    with monkeypatch.context() as broken:
        broken.setattr(files, "read", fails)
        with pytest.raises(OSError, match="Input/output"):
            place.says("a")
        place.index.note()
        assert not place.index.correct("b", 7)
    assert place.says("a") == "pruned"


def test_what_is_no_file_is_no_index(place: Place) -> None:
    place.path.mkdir()
    assert place.says("a") == "none"
    assert not place.index.correct("a", 2)


# ---- tombstones ----------------------------------------------------------------------------------------------------------


def test_a_full_list_of_tombstones_leaves_out_what_sorts_first(tmp_path: Path) -> None:
    path = tmp_path / "tombstones"
    tombstones = Tombstones(path)
    assert "a" not in tombstones
    assert not tombstones.may_lack("a")
    path.write_text(json.dumps({"version": 1, "ids": [f"m{number:03}" for number in range(999)]}))
    assert "m000" in tombstones
    assert not tombstones.may_lack("a")
    path.write_text(json.dumps({"version": 1, "ids": [f"m{number:04}" for number in range(1000)]}))
    assert tombstones.may_lack("a")
    assert not tombstones.may_lack("z")
    tombstones.forget()
    assert "m0000" in tombstones


@pytest.mark.parametrize("entry", [b"{}", b"[]", b"[[[]]]", b'{"a":1}'])
def test_what_takes_many_times_its_size_in_memory_is_no_list(tmp_path: Path, entry: bytes) -> None:
    path = tmp_path / "_index.json"
    path.write_bytes(b"[" + b",".join([entry] * 6_000_000) + b"]")
    assert load(path) is None


def test_an_index_of_many_sessions_is_read(tmp_path: Path) -> None:
    entry = {"title": "About the server room", "message_count": 20} | {
        f"key_{number}": None for number in range(24)
    }
    (tmp_path / "_index.json").write_text(
        json.dumps([entry | {"session_id": f"{number:012x}"} for number in range(20_000)], indent=2)
    )
    assert len(ids_in(load(tmp_path / "_index.json")) or ()) == 20_000
