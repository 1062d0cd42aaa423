"""Repairs whose bookkeeping waits: when many sessions are wiped at once, all are right again before any of it is written down.

What a repair displaced stands under its staged name in the sessions directory until then, where a crash leaves it for the next
start; the shadow is as it was.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Final, NamedTuple

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.webui.directory import SessionsDirectory

MOST_SESSIONS: Final = 2000


class _Repair(NamedTuple):
    steps: Generator[Stamp, None, bool]
    own: Stamp
    """Of the file that the repair made live."""
    size_bytes: int
    then: Callable[[bool], None]


class Unfinished:
    """The repairs of one guard that are live and not written down; one owner, the loop."""

    def __init__(self, directory: SessionsDirectory) -> None:
        self._directory = directory
        self.repairs: dict[str, _Repair] = {}
        """Those that wait, by session."""
        self._size_bytes = 0
        self.is_burst = False
        """Many sessions changed at once: their repairs come before the bookkeeping of any; set by the owner of the watch."""
        self.limit_bytes = 0
        """No more than so many bytes of copies wait."""

    def begin(
        self, name: str, steps: Generator[Stamp, None, bool], size_bytes: int, then: Callable[[bool], None]
    ) -> None:
        """Take a repair until live is right; the rest is done later if there is a burst and room, else at once.

        `then` is called with what the repair returned.
        """
        try:
            own = next(steps)
        except StopIteration as ended:
            then(ended.value)
            return
        self.repairs[name] = _Repair(steps, own, size_bytes, then)
        self._size_bytes += size_bytes
        is_full = len(self.repairs) > MOST_SESSIONS or self._size_bytes > self.limit_bytes
        if not self.is_burst or is_full:
            self.finish(name)

    def is_own(self, name: str) -> bool:
        """Return whether live is what a repair made of it whose bookkeeping waits: there is nothing new to look at."""
        known = self.repairs.get(name)
        if known is None:
            return False
        found = files.stamp(self._directory.file(name))
        same = ("inode", "device", "size_bytes", "mtime_ns")
        return found is not None and all(getattr(found, key) == getattr(known.own, key) for key in same)

    def finish(self, name: str) -> None:
        """Do the bookkeeping of a session's repair, if it waits."""
        known = self.repairs.pop(name, None)
        if known is None:
            return
        self._size_bytes -= known.size_bytes
        try:
            while True:
                next(known.steps)
        except StopIteration as ended:
            known.then(ended.value)

    def waiting(self) -> Iterator[Generator[Stamp, None, bool]]:
        """Yield the repairs that wait, as far as they have come."""
        return (known.steps for known in self.repairs.values())

    def next(self) -> str:
        """Return the session whose repair has waited for the longest; empty when there is none."""
        return next(iter(self.repairs), "")
