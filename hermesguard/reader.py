"""Reading one file after another into the same memory."""

import errno
import os
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from hermesguard import files
from hermesguard.pieces import MOST_PROBES, PROBE_BYTES, Piece, Rests, around, size_of, stand, with_runs

LONG_BYTES: Final = 4 * 1024 * 1024
"""What is longer is read into memory of its own, which whoever keeps it need not copy."""
_WINDOW_BYTES: Final = 256 * 1024
_SURE_BYTES: Final = 4096

Runs = Sequence[Sequence[Piece]]


class Reader:
    """Reads one file after another into the same memory: to get new memory costs more than to read into it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._view = memoryview(self._buffer)
        self._size_bytes = 0
        self._content: bytes | None = None  # of a file that was not read into the buffer
        self._rests: Rests = ()
        self._runs: Runs = ()
        self.is_long = False
        """Whether the last file has more bytes than need be known of at each save: then let go of it when it is judged."""

    def read(
        self,
        path: Path | str,
        limit_bytes: int | None = None,
        known: bytes | None = None,
        runs: Runs = (),
        tries: int = files.TRIES,
    ) -> tuple[int, files.Stamp]:
        """Read as `files.read` does; return how many bytes the file has, and its stamp.

        A long file that is as it is `known` is not in memory twice. Nor is one in which these `runs` stand: it is compared with
        them window by window, each while the processor's cache has it, and only what stands around them is kept.
        """
        self._rests, self._runs, self._content, self._size_bytes = (), (), None, 0
        descriptor = -1
        try:
            descriptor, found = files.opened(path, limit_bytes)
            self.is_long = found.st_size > _WINDOW_BYTES
            if self.is_long and runs and known is None:
                if rests := self._along(descriptor, runs):
                    self._rests, self._runs = rests, runs
                    return self._size_bytes, files.Stamp.of(found)
                os.lseek(descriptor, 0, os.SEEK_SET)
                self._size_bytes = 0
            if found.st_size > LONG_BYTES:
                self.release()  # it goes before another one comes
                if known is None or len(known) != found.st_size or not files.holds(descriptor, (known,)):
                    os.lseek(descriptor, 0, os.SEEK_SET)
                    known = files.read_open(descriptor, found.st_size)
                self._content, self._size_bytes = known, len(known)
                return self._size_bytes, files.Stamp.of(found)
            if len(self._buffer) <= found.st_size:
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
        except OSError as error:
            if error.errno != errno.ESTALE or tries == 1:
                raise
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return self.read(path, limit_bytes, known, runs, tries - 1)

    def _along(self, descriptor: int, runs: Runs) -> Rests | None:
        """Read an open file; return what stands around the runs, None when they do not stand there or are not found at once."""
        if len(self._buffer) < _WINDOW_BYTES:
            self._make_room(_WINDOW_BYTES)
        window, view = self._buffer, self._view[:_WINDOW_BYTES]
        rests = []
        begin = end = 0  # what of the window is not looked at yet
        for run in runs:
            if (found := self._begin_of(run, begin, end)) < 0:
                end -= begin
                view[:end] = view[begin : begin + end]
                end += self._next(descriptor, view[end:])
                begin = 0
                if (found := self._begin_of(run, begin, end)) < 0:
                    return None
            rests.append(bytes(view[begin:found]))
            begin = found
            for piece in run:
                rest = memoryview(piece)
                while rest:
                    if begin == end:
                        begin, end = 0, self._next(descriptor, view)
                        if not end:
                            return None
                    part = rest[: end - begin]
                    if not window.startswith(part, begin, end):
                        return None
                    begin += len(part)
                    rest = rest[len(part) :]
        last = [bytes(view[begin:end])]
        while count := self._next(descriptor, view):
            last.append(bytes(view[:count]))
        rests.append(b"".join(last))
        return tuple(rests)

    def _begin_of(self, run: Sequence[Piece], begin: int, end: int) -> int:
        """Return where in that part of the window a run begins, as it seems: other messages may begin alike; -1 if nowhere."""
        probe, more = run[0][:PROBE_BYTES], run[0][:_SURE_BYTES]
        found = begin - 1
        for _ in range(MOST_PROBES):
            found = self._buffer.find(probe, found + 1, end)
            if found < 0 or self._buffer.startswith(more[: end - found], found, end):
                return found
        return -1

    def _next(self, descriptor: int, room: memoryview) -> int:
        count = os.readv(descriptor, [room])
        self._size_bytes += count
        return count

    def _make_room(self, size_bytes: int) -> None:
        grown = bytearray(size_bytes + size_bytes // 8)
        grown[: self._size_bytes] = self._view[: self._size_bytes]
        self._buffer, self._view = grown, memoryview(grown)

    def around(self, runs: Runs) -> Rests | None:
        """Return what stands around these runs; None where they do not stand in the file, or there are none."""
        if not runs:
            return None
        if runs == self._runs:
            return self._rests
        return around(self._whole(), runs, self._size_bytes)

    def is_same(self, pieces: Iterable[Piece]) -> bool:
        """Return whether what was read are these pieces, one behind the other."""
        others = iter(pieces)
        first = next(others, b"")
        if self._runs:  # mostly the first rest differs already, and then nothing need be put together
            common = min(len(first), len(self._rests[0]))
            if first[:common] != self._rests[0][:common]:
                return False
        return stand(self._whole(), chain((first,), others), 0, self._size_bytes) == self._size_bytes

    @property
    def data(self) -> bytes:
        """What was read, to keep; put together if it was read along runs."""
        whole = self._whole()
        return whole if isinstance(whole, bytes) else bytes(self._view[: self._size_bytes])

    @property
    def memory_bytes(self) -> int:
        """How much memory is held, what others hold too not left out."""
        read = len(self._content or b"") + size_of(self._rests) + sum(map(size_of, self._runs))
        return len(self._buffer) + read

    def _whole(self) -> bytearray | bytes:
        """Return what was read, and behind it what an earlier, longer file left."""
        if self._runs:
            self._content = b"".join(with_runs(self._rests, self._runs))
            self._rests, self._runs = (), ()
        return self._buffer if self._content is None else self._content

    def _forget(self) -> None:
        self._rests, self._runs, self._content, self._size_bytes = (), (), None, 0

    def let_go(self, most_bytes: int) -> None:
        """Keep nothing of what was read, nor of what is known of it; the memory for the next file, if it has no more bytes."""
        self._forget()
        if len(self._buffer) > most_bytes:
            self.release()

    def release(self) -> None:
        """Give the memory back."""
        self._forget()
        self._buffer = bytearray()
        self._view = memoryview(self._buffer)
