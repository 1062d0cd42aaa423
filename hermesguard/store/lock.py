"""One guard per store: a kernel lock on a file. Source: fcntl_locking(2)."""

import errno
import fcntl
import os
import struct
from pathlib import Path

_FLOCK = struct.Struct("hhqqi4x")


class Lock:
    """A kernel lock on a file: gone with the process that holds it, however that ends. The file stays as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock; return False when another process holds it. Raises OSError when the file cannot be made.

        On a file system that is read-only the lock is a shared one, which keeps out others once it no longer is.
        """
        flags, kind = os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX
        try:
            descriptor = os.open(self.path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            if lock_holder(self.path) is not None:
                return False
            kind = fcntl.LOCK_SH
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_holder(path: Path) -> int | None:
    """Return the pid of the process that holds the lock on `path`, None when nobody does (or its pid cannot be seen: 0).

    Never ask this in the process that holds the lock: closing any descriptor of the file gives it up (fcntl_locking(2)).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else int(pid)
    finally:
        os.close(descriptor)
