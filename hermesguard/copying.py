"""Copies of files that are too large to be read: made by the kernel, holes and all. Sources: copy_file_range(2), lseek(2)."""

import errno
import os
from typing import Final

from hermesguard.digests import sha256

_PIECE_BYTES: Final = 8 * 1024 * 1024
_NOT_HERE: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


def copy_rest(source: int, target: int, begin: int, end: int, at: int) -> None:
    """Copy the bytes from `begin` to `end` of an open file to another one, from `at` on; holes stay holes. Raises OSError."""
    shift = at - begin
    position = begin
    while position < end:
        try:
            data = os.lseek(source, position, os.SEEK_DATA)
            hole = min(end, os.lseek(source, data, os.SEEK_HOLE))
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # nothing but a hole up to the end
            if error.errno != errno.EINVAL:
                raise
            data, hole = position, end  # a file system that does not say
        _copy(source, target, data, min(hole, end), shift)
        position = max(hole, data + 1)
    os.ftruncate(target, end + shift)


def _copy(source: int, target: int, begin: int, end: int, shift: int) -> None:
    position = begin
    while position < end:
        count = min(end - position, _PIECE_BYTES)
        try:
            done = os.copy_file_range(source, target, count, position, position + shift)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            data = os.pread(source, count, position)
            done = os.pwrite(target, data, position + shift) if data else 0
        if not done:
            raise OSError(errno.ESTALE, "the file became shorter while it was copied")
        position += done


def digest_of(descriptor: int) -> str:
    """Return the whole SHA-256 of an open file, in hex. Raises OSError."""
    hashed = sha256()
    position = 0
    while piece := os.pread(descriptor, _PIECE_BYTES, position):
        hashed.update(piece)
        position += len(piece)
    return hashed.hexdigest()
