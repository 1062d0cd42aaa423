"""Memory in huge pages: what is in use, and nothing else."""

import ctypes
import mmap
import re
from itertools import count
from pathlib import Path

import pytest

from hermesguard.config import memory

HUGE_BYTES = 2 * 1024 * 1024
PAGE_BYTES = 4096


def begin_of(room: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(room))


def anonymous(begin: int, what: str) -> int:
    """Return the bytes of `what` in the mapping at that address, by smaps (proc_pid_smaps(5))."""
    for mapping in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
        if mapping:
            first, last = (int(address, 16) for address in mapping.split(maxsplit=1)[0].split("-"))
            if first <= begin < last:
                found = re.search(rf"(?m)^{what}: +([0-9]+) kB", mapping)
                return int(found[1]) * 1024 if found else 0
    raise AssertionError("there is no such mapping")


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let it take as long as it takes, and the administrator leave it to programs; return where he says so."""
    monkeypatch.setattr(memory, "_MOST_SECONDS", 60.0)
    monkeypatch.setattr(memory, "_CHOICE", choice := tmp_path / "enabled")
    choice.write_text("always [madvise] never\n")
    return choice


def filled() -> mmap.mmap:
    room = mmap.mmap(-1, 4 * HUGE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.CDLL(None).madvise(
        ctypes.c_void_p(begin_of(room)), ctypes.c_size_t(len(room)), mmap.MADV_NOHUGEPAGE
    )
    room.write(b"x" * len(room))
    ctypes.CDLL(None).madvise(ctypes.c_void_p(begin_of(room)), ctypes.c_size_t(len(room)), mmap.MADV_HUGEPAGE)
    return room


def test_what_is_in_use_is_gathered_where_the_kernel_can() -> None:
    room = filled()
    begin = begin_of(room)
    place = -(-begin // HUGE_BYTES) * HUGE_BYTES
    can = ctypes.CDLL(None).madvise(ctypes.c_void_p(place), ctypes.c_size_t(HUGE_BYTES), 25) == 0
    gathered_bytes = memory.use_huge_pages()
    assert room[:] == b"x" * len(room)
    assert (gathered_bytes > 0) == can
    assert anonymous(begin, "AnonHugePages") >= (3 * HUGE_BYTES if can else 0)


class Service:
    """The C library as it is for a service of which the unit allows no more than @system-service: other calls fail with EPERM."""

    def __init__(self, name: str | None) -> None:
        self.places: list[int] = []
        self._madvise = ctypes.PyDLL(name).madvise

    @property
    def calls(self) -> int:
        return len(self.places)

    def madvise(self, place: ctypes.c_void_p, *arguments: object) -> int:
        self.places.append(place.value or 0)
        return int(self._madvise(place, *arguments))

    def __getattr__(self, name: str) -> object:
        return lambda *_: -1


def test_a_service_that_may_call_little_has_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    room = filled()
    service = Service(None)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: service)
    memory.use_huge_pages()
    assert service.calls >= 3
    assert room[:] == b"x" * len(room)


def test_what_the_administrator_has_forbidden_is_left(
    monkeypatch: pytest.MonkeyPatch, time_enough: Path
) -> None:
    _ = filled()
    time_enough.write_text("always madvise [never]\n")
    service = Service(None)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: service)
    assert memory.use_huge_pages() == service.calls == 0


def test_no_save_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    room = filled()
    service = Service(None)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: service)
    monkeypatch.setattr("hermesguard.config.memory.time.monotonic", count(0.0, 50.0).__next__)
    memory.use_huge_pages()
    assert service.calls == 1
    assert room[:] == b"x" * len(room)


@pytest.mark.parametrize("every", [1, 2])
def test_what_is_mostly_free_is_left(monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    """It would take memory that nobody asked for; the kernel, which gathers by itself where it was told to, is told not to."""
    room = mmap.mmap(-1, 4 * HUGE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    begin = begin_of(room)
    ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(len(room)), mmap.MADV_NOHUGEPAGE)
    for offset in range(0, len(room), every * PAGE_BYTES):
        room[offset] = 1
    service = Service(None)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: service)
    memory.use_huge_pages()
    asked = [place for place in service.places if begin <= place < begin + len(room)]
    assert len(asked) in ((3, 4) if every == 1 else (0,))


def test_only_memory_of_its_own_is_looked_at() -> None:
    maps = """\
00400000-00a00000 r-xp 00000000 fe:00 12 /usr/bin/python3.11
00a00000-01000000 rw-p 00600000 fe:00 12 /usr/bin/python3.11
01100000-01900000 rw-p 00000000 00:00 0                                  [heap]
7f0000000000-7f0000300000 rw-p 00000000 00:00 0
7f0000300000-7f0000700000 rw-s 00000000 00:05 77 /dev/zero (deleted)
7ffd00000000-7ffd01000000 rw-p 00000000 00:00 0                          [stack]
"""
    assert list(memory._huge_places(maps)) == [0x1200000, 0x1400000, 0x1600000, 0x7F0000000000]
