"""Making the disk fail at will: the n-th call that touches it fails, or is the last thing that the process does.

The seam is the functions of the module `os`, and `staging._renameat2`, the one call that it has not. Nothing of it is in the
guard's own code.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hermesguard.repair import exchange as staging

WRITING = (
    "write",
    "pwrite",
    "pwritev",
    "fsync",
    "fdatasync",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "utime",
    "ftruncate",
    "fchmod",
    "fchown",
)
LOOKING = ("open", "read", "readv", "pread", "fstat", "stat", "lstat", "scandir", "listdir", "statvfs")
ATTRIBUTES = ("setxattr", "getxattr", "listxattr")
CHANGING = (*WRITING, "open", "setxattr", "renameat2")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE)
DIED = 77

# What a call can fail with, by its page in section 2 of the manual; a permission cannot go while a file is open.
_PLAUSIBLE = {
    errno.ENOSPC: (
        *("write", "pwrite", "pwritev", "fsync", "fdatasync", "open", "rename", "link", "mkdir"),
        *("setxattr", "renameat2", "utime"),
    ),
    errno.EIO: (*WRITING, *LOOKING, *ATTRIBUTES, "renameat2"),
    errno.EACCES: ("open", "rename", "link", "unlink", "mkdir", "rmdir", "stat", "lstat", "scandir", "listdir", "renameat2"),
    errno.EMFILE: ("open", "scandir", "listdir"),
}  # fmt: skip


@dataclass
class Disk:
    """Counts calls while it is armed, and lets one of them fail."""

    patch: pytest.MonkeyPatch
    count: int = 0
    calls: list[str] = field(default_factory=list)
    at: int = 0
    strike: Callable[[str], Any] | None = None
    struck: str = ""
    is_armed: bool = False
    watch: Callable[[], None] | None = None
    """Called before each call: looks at the directory as any other process could at that instant."""

    def __post_init__(self) -> None:
        for name in (*WRITING, *LOOKING, *ATTRIBUTES):
            self.patch.setattr(os, name, self._wrapped(name, getattr(os, name)))
        self.patch.setattr(staging, "_renameat2", self._wrapped("renameat2", staging._renameat2))

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if not self.is_armed:
                return real(*arguments, **more)
            if self.watch:
                with self.disarmed():
                    self.watch()
            self.count += 1
            self.calls.append(name)
            if self.count == self.at and self.strike:
                self.struck = name
                if (answer := self.strike(name)) is not None:
                    return answer
            return real(*arguments, **more)

        return call

    @contextlib.contextmanager
    def disarmed(self) -> Iterator[None]:
        was, self.is_armed = self.is_armed, False
        try:
            yield
        finally:
            self.is_armed = was

    @contextlib.contextmanager
    def armed(self, at: int = 0, strike: Callable[[str], Any] | None = None) -> Iterator[None]:
        """Meanwhile calls are counted, and at the one with the number `at` the disk strikes."""
        self.count, self.at, self.strike, self.struck, self.is_armed = 0, at, strike, "", True
        self.calls.clear()
        try:
            yield
        finally:
            self.is_armed = False


def failing(number: int) -> Callable[[str], Any]:
    """Return a strike: the call fails with that error and does nothing."""

    def strike(name: str) -> Any:
        if name == "renameat2":
            return number
        raise OSError(number, os.strerror(number))

    return strike


def one_of(call: str, turn: int) -> int:
    """Return an error that the kernel gives for that call, another one each turn."""
    possible = [number for number in ERRORS if call in _PLAUSIBLE[number]]
    return possible[turn % len(possible)]


def after_each_change(calls: list[str]) -> Iterator[int]:
    """Yield the numbers of the calls before which the disk is as no earlier one has found it."""
    changed = True
    for number, call in enumerate(calls, 1):
        if changed:
            yield number
        changed = call in CHANGING


def dying(_: str) -> Any:
    """A strike: the process is gone, without a word to anyone."""
    os._exit(DIED)


def in_child(work: Callable[[], None]) -> int:
    """Do `work` in a child process; return its exit code: 0 when it came to its end, DIED when it died on the way."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
