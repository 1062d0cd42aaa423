"""Requests about long sessions: what takes long of them is found out in the background, and then they are done by the loop."""

import contextlib
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from typing import Any, TypeVar

from hermesguard.guard.large.background import Background
from hermesguard.store.cache import Copy
from hermesguard.store.store import Store

T = TypeVar("T")


class Ahead:
    """What was found out of one request, and holds as long as it is asked of the same objects."""

    def __init__(self, shadow: Copy | None, time: Callable[[], datetime], *, writes: bool) -> None:
        """`shadow` is the session's, read before; with `writes`, what is to be kept is written before, too; `time` names it."""
        self.shadow = shadow
        self.is_in_background = False
        self._time = time
        self._writes = writes
        self._known: dict[tuple[object, ...], tuple[tuple[object, ...], Any]] = {}

    def once(self, what: str, work: Callable[[], T], of: tuple[object, ...]) -> T:
        """Return what `work` gives of these objects, or gave before."""
        key = (what, *map(id, of))
        if key not in self._known:
            self._known[key] = (of, work())  # as long as they are held, no others have their ids
        found: T = self._known[key][1]
        return found

    def write_for(
        self, store: Store, name: str, copy: Copy, live: Copy | None, reason: str = "displaced"
    ) -> None:
        """Write what takes long to write when `copy` becomes the shadow, and `live` is displaced. In the background only."""
        if not (self._writes and self.is_in_background):
            return
        for gone in (self.shadow, live):
            if gone and gone.digest != copy.digest:
                store.written_before.write_version(store, name, gone, reason, self._time())
        store.written_before.write_shadow(name, copy)

    @contextlib.contextmanager
    def in_background(self) -> Iterator[None]:
        """While this lasts, nothing is asked that is the loop's own."""
        self.is_in_background = True
        try:
            yield
        finally:
            self.is_in_background = False


def waiting_for(background: Background, name: str, work: Callable[[], object]) -> Generator[bool, None, None]:
    """Have something found out of a session, whatever comes of it; yields True until that is done."""

    def tried() -> None:
        with contextlib.suppress(Exception):  # who needs it meets it again, and says so
            work()

    done: list[object] = []
    background.start(name, tried, done.append, is_urgent=True)
    while not done:
        yield True
