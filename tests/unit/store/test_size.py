"""How large a store is: by what was known of its histories as by a look at every file."""

import json
import os
import random

import pytest

from hermesguard.config.settings import Settings
from hermesguard.lookup import library as lookup
from hermesguard.lookup.find import notes, processes
from hermesguard.lookup.library import Library
from hermesguard.store.store import Store
from hermesguard.store.upkeep.size import size_bytes


@pytest.fixture
def root(tmp_path):
    store = Store(tmp_path / "store")
    store.create()
    for session in ("a", "b", "c"):
        (store.shadows_directory / f"{session}.json").write_bytes(b"x" * 50)
        (store.history_directory / session).mkdir()
        for number in range(3):
            (store.history_directory / session / f"{number}.json.gz").write_bytes(b"x" * 7)
    return tmp_path / "store"


def walked(root):
    return sum(
        os.lstat(os.path.join(where, name)).st_size for where, _, names in os.walk(root) for name in names
    )


def test_all_files_of_the_store_count(root):
    assert size_bytes(root, {}, {}) == walked(root) > 3 * 50 + 9 * 7


@pytest.mark.parametrize("seed", range(10))
def test_what_was_known_of_a_history_counts_until_its_directory_changes(root, seed):
    some = random.Random(seed)
    known = {}
    size_bytes(root, {}, known)
    assert set(known) == {"history/a", "history/b", "history/c"}
    for number in range(5):
        path = root / "history" / some.choice("abc") / f"{number + some.randrange(2)}.json.gz"
        before = path.parent.stat().st_ctime_ns
        if path.exists():
            path.unlink()
        else:
            path.write_bytes(b"x" * some.randrange(99))
        (root / "incidents.jsonl").write_bytes(b"x" * number)
        while path.parent.stat().st_ctime_ns == before:  # the same tick of the clock
            os.utime(path.parent)
        seen = {}
        assert size_bytes(root, known, seen) == walked(root)
        assert [name for name in seen if seen[name] is not known[name]] == [f"history/{path.parent.name}"]
        known = seen


def test_a_history_that_has_not_changed_is_not_looked_into(root, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lookup, "_MANY", 1)
    monkeypatch.setattr(notes, "_SETTLED_NS", -(10**12))
    library = Library(Settings(sessions=tmp_path / "none", store=root))
    before = library.size_bytes()
    assert before == walked(root)
    seen = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: seen.append(os.path.basename(path)) or scandir(path))
    assert library.size_bytes() == before
    assert sorted(seen) == ["history", "shadows", "store"]


def test_of_many_histories_others_look_at_a_part(root, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(lookup, "_MANY", 2)
    monkeypatch.setattr(processes, "_LEAST_SHARE", 1)
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: set(range(3)))
    monkeypatch.setattr(notes, "_SETTLED_NS", -(10**12))
    made, fork = [], os.fork
    monkeypatch.setattr(os, "fork", lambda: made.append(1) or fork())
    library = Library(Settings(sessions=tmp_path / "none", store=root))
    assert library.size_bytes() == walked(root)
    assert len(made) == 2
    (path,) = (tmp_path / "cache" / "hermesguard").iterdir()
    assert len(json.loads(path.read_text())["sessions"]) == 3
    assert library.size_bytes() == walked(root)
    assert len(made) == 2
