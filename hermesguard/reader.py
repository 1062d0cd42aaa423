"""Reading one file after another into the same memory."""

import errno
import os
from pathlib import Path
from typing import Final

from hermesguard import files

LONG_BYTES: Final = 4 * 1024 * 1024
"""What is longer is read into memory of its own, which whoever keeps it need not copy."""


class Reader:
    """Reads one file after another into the same memory: to get new memory costs more than to read into it."""

    def __init__(self) -> None:
        self.buffer: bytearray | bytes = bytearray()
        """What was read, and behind that what an earlier, longer file left; of a long file nothing else."""
        self._view = memoryview(self.buffer)
        self._size_bytes = 0

    def read(
        self, path: Path | str, limit_bytes: int | None = None, known: bytes | None = None
    ) -> tuple[int, files.Stamp]:
        """Read as `files.read` does; return how many bytes of `buffer` are the file's content, and its stamp.

        A long file that is as it is `known` is not in memory twice.
        """
        for _ in range(files.TRIES - 1):
            try:
                return self._read(path, limit_bytes, known)
            except OSError as error:
                if error.errno != errno.ESTALE:
                    raise
        return self._read(path, limit_bytes, known)

    def _read(
        self, path: Path | str, limit_bytes: int | None, known: bytes | None
    ) -> tuple[int, files.Stamp]:
        descriptor, found = files.opened(path, limit_bytes)
        try:
            self._size_bytes = 0
            if found.st_size > LONG_BYTES:
                self._view = memoryview(b"")
                self.buffer = b""  # it goes before another one comes
                if known is None or len(known) != found.st_size or not files.holds(descriptor, (known,)):
                    os.lseek(descriptor, 0, os.SEEK_SET)
                    known = files.read_open(descriptor, found.st_size)
                self.buffer = known
                self._size_bytes = len(self.buffer)
                return self._size_bytes, files.Stamp.of(found)
            if isinstance(self.buffer, bytes):
                self.release()
            if len(self.buffer) <= found.st_size:
                self._make_room(found.st_size + 1)
            rest = self._view
            while count := os.readv(descriptor, [rest]):
                self._size_bytes += count
                if count < len(rest) and self._size_bytes >= found.st_size:
                    break  # a short read is the end of a regular file, but for one that is longer than 2 GiB
                if count == len(rest):
                    self._make_room(2 * self._size_bytes)
                rest = self._view[self._size_bytes :]
            return self._size_bytes, files.Stamp.of(found)
        finally:
            os.close(descriptor)

    def _make_room(self, size_bytes: int) -> None:
        grown = bytearray(size_bytes + size_bytes // 8)
        grown[: self._size_bytes] = self._view[: self._size_bytes]
        self.buffer, self._view = grown, memoryview(grown)

    @property
    def data(self) -> bytes:
        """What was read, to keep."""
        if isinstance(self.buffer, bytes):
            return self.buffer
        return bytes(self._view[: self._size_bytes])

    def is_same(self, data: bytes) -> bool:
        """Return whether what was read is `data`."""
        return len(data) == self._size_bytes and self.buffer.startswith(data)

    def release(self) -> None:
        """Give the memory back."""
        self.buffer = bytearray()
        self._view = memoryview(self.buffer)
        self._size_bytes = 0
