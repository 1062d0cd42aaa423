"""A file that lines are added to again and again, each durable before it counts.

Sources: open(2), "O_DSYNC"; pwrite(2).
"""

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from hermesguard import files

_PAGE_BYTES: Final = 4096
_ROOM: Final = memoryview(bytes(_PAGE_BYTES))


class Appending:
    """A file that lines are added to again and again, held open meanwhile; a torn last line is closed first.

    Behind the last line it makes room to the end of the page, of NULs, which no reader takes for a line: what is written over
    bytes that a file has is durable with one flush of the disk; a file that gets longer needs a second one, for its size
    (ext4, xfs). A page is written whole anyhow, so that room costs nothing.
    Raises OSError when it cannot be opened; it must be there already.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_DSYNC | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = files.regular(self._descriptor, path)
            self._end, last = _end_of_lines(self._descriptor, found.st_size)
        except OSError:
            self.close()
            raise
        self._name, self._identity, self._size_bytes = str(path), (found.st_ino, found.st_dev), found.st_size
        self._closes_line = last not in (b"", b"\n")

    def append(self, line: bytes) -> None:
        """Add a line; durable when this returns. Raises OSError: then it is taken back as far as the disk lets us.

        FileNotFoundError when the path leads to this file no longer, for someone has removed it or a directory on the way.
        """
        found = os.lstat(self._name)
        if (found.st_ino, found.st_dev) != self._identity or found.st_size != self._size_bytes:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._name)
        data = b"\n" + line if self._closes_line else line
        at, end = self._end, self._end + len(data)
        try:
            if end > self._size_bytes:  # on a full disk there may be no room for room
                at += os.pwritev(self._descriptor, [data, _ROOM[: -end % _PAGE_BYTES]], at)
            else:
                at += os.pwrite(self._descriptor, data, at)
            while at < end:
                at += os.pwrite(self._descriptor, data[at - self._end :], at)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
                self._size_bytes = self._end
            raise
        self._closes_line = False
        self._end = end
        if at > self._size_bytes:
            self._size_bytes = at

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def _end_of_lines(descriptor: int, size_bytes: int) -> tuple[int, bytes]:
    """Return where the lines of a file end, behind which there is only room, and the last byte of them (none: empty)."""
    while size_bytes:
        begin = max(0, size_bytes - 2 * _PAGE_BYTES)
        if lines := os.pread(descriptor, size_bytes - begin, begin).rstrip(b"\0"):
            return begin + len(lines), lines[-1:]
        size_bytes = begin
    return 0, b""
