"""The room that reads and writes files: what it remembers of a directory is what is there."""

import os
from pathlib import Path

from hermesguard import files

LONG_AGO_NS = 1_000_000_000_000_000_000


def test_no_change_of_a_directory_is_missed_however_fast_it_comes(tmp_path: Path) -> None:
    names = files.Names(tmp_path)
    for number in range(200):  # more than one within each tick of the file system's clock
        (tmp_path / str(number)).touch()
        assert len(names.now()) == number + 1
    for number in range(200):
        (tmp_path / str(number)).unlink()
        assert len(names.now()) == 199 - number


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
