"""How much memory the guard may use: its control group (both versions), its resource limits, the machine.

Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of the kernel, getrlimit(2).
"""

import contextlib
import ctypes
import os
import resource
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Final

OWN_BYTES: Final = 96 * 1024 * 1024
"""What the guard itself takes: 25 MB with nothing in hand, and what it has in memory of other sessions."""
TIMES_READ: Final = 3
"""So many times its size a session may take in memory. Measured (bench/memory.py): 1.1 to 2.4 times, and some 15 MB."""
LARGEST_BYTES: Final = 1024 * 1024 * 1024
"""What is larger is not read into memory, however much of it there is: it would hold everything else up."""
SMALLEST_BYTES: Final = 1024 * 1024
_GROUPS: Final = Path("/sys/fs/cgroup")
_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3
_MADV_COLLAPSE: Final = 25
_HUGE_BYTES: Final = 2 * 1024 * 1024
_PAGE_BYTES: Final = 4096
_PAGES_OF_HUGE: Final = _HUGE_BYTES // _PAGE_BYTES
_LAST_BYTE: Final = 7 if sys.byteorder == "little" else 0
# So much of the place of a huge page must be in use: the rest of it is memory that nobody asked for.
_LEAST_RESIDENT: Final = _PAGES_OF_HUGE * 3 // 4
_MOST_SECONDS: Final = 0.1
_MAPS: Final = Path("/proc/self/maps")
_PAGES: Final = Path("/proc/self/pagemap")
_CHOICE: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def session_limit_bytes(chosen: int | None, groups: Path = _GROUPS) -> int:
    """Return how large a session may be to be read into memory; `chosen` (the setting) may only make it less."""
    fits = (memory_bytes(groups) - OWN_BYTES) // TIMES_READ
    return min(chosen or LARGEST_BYTES, max(SMALLEST_BYTES, fits), LARGEST_BYTES)


@cache
def memory_bytes(groups: Path = _GROUPS) -> int:
    """Return how much memory this process may use before it is refused some, or killed; asked once, for all directories."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_of_groups(groups)]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    return min(limits)


def _of_groups(groups: Path) -> Iterator[int]:
    """Yield the limits of the control groups that this process is in, and of those around them."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        bases: tuple[Path, ...] = (groups, groups / "unified")
        names: tuple[str, ...] = ("memory.max", "memory.high")
        if "memory" in controllers.split(","):
            bases, names = (groups / "memory",), ("memory.limit_in_bytes",)
        elif controllers:
            continue
        for base in bases:
            # In a container the path may be the host's, of which nothing but the root is here.
            group = base / path.lstrip("/")
            while True:
                for name in names:
                    with contextlib.suppress(OSError, ValueError):
                        yield int((group / name).read_text(encoding="ascii"))
                if group == base or base not in group.parents:
                    break
                group = group.parent


def give_back() -> None:
    """Give memory that is free back to the system, where the C library can (malloc_trim(3)); a megabyte after 10,000 files."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def give_long_back(size_bytes: int) -> None:
    """Have what takes so many bytes or more given back to the system as soon as it is free, where the C library can.

    By itself it keeps such memory from the second time on (mallopt(3), "M_MMAP_THRESHOLD"): repairs and requests about a session
    of 16 MB left the guard with 98 MB, and leave it with 63.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, size_bytes)
        # As the C library does by itself, until one of the two is set: 1 MB taken and freed costs 14 us, and else 608.
        mallopt(_M_TRIM_THRESHOLD, 2 * size_bytes)


def use_huge_pages() -> int:
    """Put the memory that this process fills into huge pages, where the kernel can (Linux 6.1); return how many bytes of it.

    A growing save comes upon cold caches: where each thing lies has to be looked up anew, too, for each page of 4 KB. With pages
    of 2 MB it costs a twentieth less (madvise(2), "MADV_COLLAPSE"; measured with two guards that were saved to in turn).

    Whether a page is in use is asked of /proc, not by mincore(2): that no service may call whose unit names @system-service.
    Each 2 MB take 0.2 to 5 ms, in which nobody follows a save: what is not gathered after a moment stays as it is.
    """
    gathered_bytes = 0
    if resource.getpagesize() != _PAGE_BYTES:
        return 0  # huge ones have another size, too
    until = time.monotonic() + _MOST_SECONDS
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if "[never]" in _CHOICE.read_text(encoding="ascii", errors="replace"):
            return 0  # MADV_COLLAPSE would not ask what the administrator has said
        madvise = ctypes.CDLL(None).madvise
        with _PAGES.open("rb", buffering=0) as pages:
            for begin in _huge_places(_MAPS.read_text(encoding="ascii", errors="replace")):
                if _pages_in_use(pages, begin) < _LEAST_RESIDENT:
                    continue
                if time.monotonic() >= until:
                    break
                if madvise(ctypes.c_void_p(begin), ctypes.c_size_t(_HUGE_BYTES), _MADV_COLLAPSE) == 0:
                    gathered_bytes += _HUGE_BYTES
    return gathered_bytes


def _pages_in_use(pages: IO[bytes], begin: int) -> int:
    """Return how many pages of a huge one are in memory, by `pages` (pagemap: 64 bits for each, of which the last says so)."""
    pages.seek(begin // _PAGE_BYTES * 8)
    return sum(mark >> 7 for mark in pages.read(_PAGES_OF_HUGE * 8)[_LAST_BYTE::8])


def _huge_places(maps: str) -> Iterator[int]:
    """Yield where a huge page has room in the memory of a process that is its own, by its `maps` (proc_pid_maps(5))."""
    for line in maps.splitlines():
        span, rights, _, _, inode, *path = line.split(maxsplit=5)
        if rights == "rw-p" and inode == "0" and (not path or path[0] == "[heap]"):
            begin, end = (int(address, 16) for address in span.split("-"))
            yield from range(-(-begin // _HUGE_BYTES) * _HUGE_BYTES, end - _HUGE_BYTES + 1, _HUGE_BYTES)
