"""Temporary directories in memory: only where they are as good as those on a disk."""

import errno
import os
from pathlib import Path

import pytest

from tests.helpers import memory


def test_memory_is_used_where_files_have_notes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(memory, "MEMORY", tmp_path)
    monkeypatch.setattr(memory, "ENOUGH_BYTES", 0)
    memory._has_notes.cache_clear()
    try:
        before = memory._is_usable()
        memory._has_notes.cache_clear()
        monkeypatch.setattr(os, "setxattr", refuse)
        assert not memory._is_usable()
        assert list(tmp_path.iterdir()) == []
    finally:
        memory._has_notes.cache_clear()
    flags = os.statvfs(tmp_path).f_flag
    assert before == (not flags & os.ST_NOEXEC and _takes_notes(tmp_path, monkeypatch))


def test_memory_without_room_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "MEMORY", tmp_path)
    monkeypatch.setattr(memory, "ENOUGH_BYTES", 1 << 62)
    assert not memory._is_usable()


def _takes_notes(path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.undo()
    (path / "file").touch()
    try:
        os.setxattr(path / "file", "user.hermesguard", b"")
    except OSError:
        return False
    return True
