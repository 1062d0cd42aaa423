"""The shadows as their directory lists them."""

import contextlib
import os

import pytest

from hermesguard.store import store as module
from hermesguard.store.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.create()
    for name in ("a", "b", "c"):
        (store.shadows_directory / f"{name}.json").write_text("{}")
    (store.shadows_directory / "d.json").mkdir()
    (store.shadows_directory / "e.json").symlink_to("a.json")
    (store.shadows_directory / "a.delta").write_text("")
    (store.history_directory / "f").mkdir()
    return store


class Entry:
    """A directory entry whose file goes before anyone can look at it."""

    def __init__(self, entry):
        self.name, self.is_file, self.is_dir = entry.name, entry.is_file, entry.is_dir

    def stat(self, follow_symlinks=True):
        raise FileNotFoundError(2, "No such file or directory", self.name)


@pytest.fixture
def going(monkeypatch):
    """Makes those files go that have these names."""
    scandir = os.scandir

    def make_go(*names):
        @contextlib.contextmanager
        def listed(directory):
            with scandir(directory) as found:
                yield [Entry(entry) if entry.name in names else entry for entry in found]

        monkeypatch.setattr(module.os, "scandir", listed)

    return make_go


def test_a_shadow_that_goes_meanwhile_does_not_hide_the_others(store, going):
    for gone in ("a", "b", "c"):
        going(f"{gone}.json")
        assert {one.session for one in store.shadows()} == {"a", "b", "c"} - {gone}


def test_sessions_are_told_by_names_alone(store, going):
    going("a.json", "b.json", "c.json", "f")
    assert store.sessions() == ["a", "b", "c", "f"]
