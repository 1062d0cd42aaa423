"""One guard per store: a kernel lock on a file (fcntl_locking(2)), and beside it a number that rises with each that takes it.

A file server takes a lock back when it has not heard of its holder for a while, and gives it to another. The holder that comes
back finds a number that is not its own, and knows that it has been replaced.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
import time
from pathlib import Path
from typing import Final

from hermesguard import files

TOKEN: Final = "token"
_LONGEST_BYTES: Final = 20
_FLOCK = struct.Struct("hhqqi4x")
_AT_FDCWD = -100
_AT_STATX_FORCE_SYNC = 0x2000
_STATX_BYTES = 256

_libc = ctypes.CDLL(None, use_errno=True)


class Lock:
    """A kernel lock on a file: gone with the process that holds it, however that ends. The file stays as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._token = path.with_name(TOKEN)
        self._descriptor: int | None = None
        self._number: int | None = None
        self._seen: files.Stamp | None = None

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
        if kind == fcntl.LOCK_EX:
            with contextlib.suppress(OSError):  # a full disk is no reason not to guard
                self._rise()
        return True

    # -- the number

    def _rise(self) -> None:
        """Write a number that is higher than the last holder's. Not synced: after a power cut there is no other holder."""
        _ask_server(self.path.parent)
        last = _number_in(self._token)
        if last == 0 and os.path.lexists(self._token):
            last = int(time.time())  # it is damaged: more than any that was counted up to
        self._number = last + 1
        temporary = self._token.with_name(f".{TOKEN}.tmp")
        files.write_new(temporary, f"{self._number}\n".encode(), None, None)
        os.rename(temporary, self._token)
        self._seen = files.stamp(self._token)

    def is_ours(self) -> bool:
        """Return whether nobody has taken the lock since we did. Costs two stats, one of which asks the file server."""
        try:
            _ask_server(self.path.parent)
            seen = files.stamp(self._token)
        except OSError:
            return True  # nobody can tell; whoever writes finds out
        if seen is None or seen == self._seen or self._number is None:
            return True
        if _number_in(self._token) > self._number:
            return False
        self._seen = seen
        return True

    def release(self) -> None:
        """Give the lock up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _ask_server(directory: Path) -> None:
    """Have what is in a directory looked up anew, at the file server if there is one (statx(2)). Raises OSError.

    An NFS client believes for up to a minute what it knows, and a machine that was paused did not see that minute pass.
    """
    if not hasattr(_libc, "statx"):
        return  # a C library before 2018: what is known is as old as the mount allows
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    if _libc.statx(_AT_FDCWD, os.fsencode(directory), _AT_STATX_FORCE_SYNC, 0, buffer):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(directory))


def _number_in(token: Path) -> int:
    """Return the number in a file; 0 when there is none, or one that nobody can have counted up to."""
    try:
        text = files.read(token, _LONGEST_BYTES)[0].strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() and len(text) < _LONGEST_BYTES - 1 else 0


def lock_holder(path: Path) -> int | None:
    """Return the pid of the process that holds the lock on `path`, None when nobody does; 0 where its pid cannot be seen.

    An NFS server says 0 of a process on another machine (version 4), or a number below that (version 3).

    Never ask this in the process that holds the lock: closing any descriptor of the file gives it up (fcntl_locking(2)).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else max(0, int(pid))
    finally:
        os.close(descriptor)
