"""The room that reads and writes files: what it remembers of a directory is what is there."""

import os
import time
from pathlib import Path

from hermesguard import files

LONG_AGO_NS = 1_000_000_000_000_000_000


def test_a_change_within_the_same_tick_is_seen(tmp_path: Path) -> None:
    names = files.Names(tmp_path)
    tick_ns = time.time_ns() - 1_000_000_000
    for name in ("one", "two"):
        (tmp_path / name).touch()
        os.utime(tmp_path, ns=(tick_ns, tick_ns))
        assert name in names.now()


def test_a_directory_that_nobody_changes_is_listed_once(tmp_path: Path) -> None:
    names = files.Names(tmp_path)
    (tmp_path / "one").touch()
    os.utime(tmp_path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    known = names.now()
    assert known == ["one"]
    assert names.now() is known
    (tmp_path / "two").touch()
    assert sorted(names.now()) == ["one", "two"]


def test_no_directory_has_no_names(tmp_path: Path) -> None:
    names = files.Names(tmp_path / "later")
    assert names.now() == []
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "one").touch()
    assert names.now() == ["one"]
