"""A file's bytes in pieces that lie apart in memory, so that nobody has to put them together to look at them."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import overload

from hermesguard.digests import sha256

Piece = bytes | memoryview
Rests = tuple[bytes, ...]
"""What stands before, between and behind the long runs of a file."""
PROBE_BYTES = 96
"""So many bytes of a run are looked for first."""
# Messages that begin alike are not rare; a file of nothing else is read in full.
MOST_PROBES = 64
_ADLER_MODULUS = 65521
_COPY_BYTES = 1024 * 1024
# A view of fewer bytes takes more memory than a copy of them.
_SHORT_BYTES = 64 * 1024


class Pieces(Sequence[Piece]):
    """The pieces of one file, and any part of it."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = tuple(piece for piece in pieces if len(piece))
        self._begins = [0, *accumulate(map(len, self._pieces))]
        self.size_bytes = self._begins.pop()
        """How many bytes the file has."""

    def __len__(self) -> int:
        return len(self._pieces)

    @overload
    def __getitem__(self, index: int) -> Piece: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Piece]: ...
    def __getitem__(self, index: int | slice) -> Piece | Sequence[Piece]:
        return self._pieces[index]

    def views(self, begin: int, end: int) -> Iterator[Piece]:
        """Yield the bytes from `begin` to `end`, as they lie in memory."""
        number = max(0, bisect_right(self._begins, begin) - 1)
        while begin < end and number < len(self._pieces):
            piece, at = self._pieces[number], self._begins[number]
            until = min(end, at + len(piece))
            is_whole = begin == at and until == at + len(piece)
            yield piece if is_whole else memoryview(piece)[begin - at : until - at]
            begin, number = until, number + 1

    def part(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to `end`, put together."""
        number = max(0, bisect_right(self._begins, begin) - 1)
        if number < len(self._pieces):
            piece, at = self._pieces[number], self._begins[number]
            if end <= at + len(piece):
                return bytes(piece[begin - at : end - at])
        found = list(self.views(begin, end))
        return bytes(found[0]) if len(found) == 1 else b"".join(found)

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the file, in hex; found out once."""
        hashed = sha256()
        for piece in self._pieces:
            hashed.update(piece)
        return hashed.hexdigest()


Content = bytes | Pieces
"""What a file holds, whole or in pieces."""


def pieces_of(content: Content) -> Pieces:
    """Return a content as pieces."""
    return content if isinstance(content, Pieces) else Pieces((content,))


def are_equal(one: Content, other: Content) -> bool:
    """Return whether two contents are the same, by their digests where both lie in pieces."""
    if one is other:
        return True
    if isinstance(other, bytes):
        return is_same(other, pieces_of(one))
    if isinstance(one, bytes):
        return is_same(one, other)
    return one.size_bytes == other.size_bytes and one.sha256 == other.sha256


def size_of(pieces: Iterable[Piece]) -> int:
    """Return how many bytes the pieces have."""
    return sum(map(len, pieces))


def stand(data: bytes | bytearray, pieces: Iterable[Piece], position: int, end: int) -> int:
    """Return where the pieces end that stand in `data` at `position`, one behind the other; -1 when they do not."""
    for piece in pieces:
        if not data.startswith(piece, position, end):
            return -1
        position += len(piece)
    return position


def is_same(data: bytes | bytearray, pieces: Iterable[Piece]) -> bool:
    """Return whether `data` is the file of these pieces."""
    pieces = tuple(pieces)
    return size_of(pieces) == len(data) == stand(data, pieces, 0, len(data))


def holds(piece: Piece, sought: bytes) -> bool:
    """Return whether the bytes stand somewhere in a piece."""
    if isinstance(piece, bytes):
        return sought in piece
    return re.search(re.escape(sought), piece) is not None


def joined(parts: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the same bytes in few pieces: little parts are copied together, long ones stay where they are."""
    little: list[Piece] = []
    gathered = 0
    for part in parts:
        if len(part) >= _SHORT_BYTES:
            if little:
                yield b"".join(little)
                little, gathered = [], 0
            yield part
            continue
        little.append(bytes(part))
        gathered += len(part)
        if gathered >= _COPY_BYTES:
            yield b"".join(little)
            little, gathered = [], 0
    if little:
        yield b"".join(little)


def around(data: bytes | bytearray, runs: Iterable[Sequence[Piece]], end: int) -> Rests | None:
    """Return what stands before, between and behind these runs of pieces in the first `end` bytes of `data`.

    None when the runs do not stand there, one behind the other, or cannot be found cheaply.
    """
    rests, position = [], 0
    for run in runs:
        probe, tries = run[0][:PROBE_BYTES], MOST_PROBES
        begin = data.find(probe, position, end)
        while begin < 0 or (behind := stand(data, run, begin, end)) < 0:
            tries -= 1
            if begin < 0 or not tries:
                return None
            begin = data.find(probe, begin + 1, end)
        rests.append(bytes(data[position:begin]))
        position = behind
    rests.append(bytes(data[position:end]))
    return tuple(rests)


def stands_before(data: bytes, position: int, start: int, end: int) -> bool:
    """Return whether `around`, looking from `position` on, would find before it what stands from `start` to `end`.

    So it may be with the context of a chat whose messages are few yet.
    """
    probe = data[start : min(end, start + PROBE_BYTES)]
    found = data.find(probe, position, start + len(probe) - 1)
    return found >= 0 and data.find(data[start:end], found, end - 1) >= 0


def with_runs(rests: Sequence[Piece], runs: Iterable[Iterable[Piece]]) -> Iterator[Piece]:
    """Yield the pieces of a file: a rest, a run, a rest, and so on."""
    yield rests[0]
    for run, rest in zip(runs, rests[1:], strict=True):
        yield from run
        yield rest


def with_more(chunks: tuple[Piece, ...], more: bytes) -> tuple[Piece, ...]:
    """Return the chunks and one more, few and each much longer than the next, so that long ones are seldom copied."""
    made: list[Piece] = [*chunks, more]
    while len(made) > 1 and len(made[-2]) < 4 * len(made[-1]):
        made[-2:] = [b"".join(made[-2:])]
    return tuple(made)


def joined_checksum(first: int, second: int, second_bytes: int) -> int:
    """Return the Adler-32 of two texts in succession from those of each (RFC 1950, section 8.2)."""
    sum_before = (first & 0xFFFF) - 1
    low = sum_before + (second & 0xFFFF)
    high = (first >> 16) + (second >> 16) + second_bytes * sum_before
    return high % _ADLER_MODULUS << 16 | low % _ADLER_MODULUS
