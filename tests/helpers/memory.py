"""Temporary directories in memory, for tests that need files but no disk.

What is synced there is synced at once. On a disk, tests of the store would wait for it most of their time.
"""

import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 1 << 30


def _is_usable() -> bool:
    """Whether directories can be had in memory, with room enough; where programs may run, and files have notes."""
    if not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    found = os.statvfs(MEMORY)
    has_room = found.f_bavail * found.f_frsize >= ENOUGH_BYTES
    return has_room and not found.f_flag & os.ST_NOEXEC and _has_notes()


@cache
def _has_notes() -> bool:
    """Whether files there have extended attributes, as on a disk: in memory, since Linux 6.6."""
    with tempfile.NamedTemporaryFile(dir=MEMORY) as file:
        try:
            os.setxattr(file.fileno(), "user.hermesguard", b"")
        except OSError:
            return False
    return True


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Pytest's `tmp_path`, in memory where this machine has room for it; gone after the test."""
    directory = MEMORY if _is_usable() else None
    with tempfile.TemporaryDirectory(
        prefix="hermesguard-test-", dir=directory, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)
