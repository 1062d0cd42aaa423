"""Temporary directories in memory, for tests that need files but no disk.

What is synced there is synced at once. On a disk, tests of the store would wait for it most of their time.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 1 << 30


def _is_usable() -> bool:
    """Whether directories can be had in memory, with room enough, and programs that a test writes may run there."""
    if not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    found = os.statvfs(MEMORY)
    return found.f_bavail * found.f_frsize >= ENOUGH_BYTES and not found.f_flag & os.ST_NOEXEC


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Pytest's `tmp_path`, in memory where this machine has room for it; gone after the test."""
    directory = MEMORY if _is_usable() else None
    with tempfile.TemporaryDirectory(
        prefix="hermesguard-test-", dir=directory, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)
