"""What wakes the loop: descriptors to be read, among them the one queue of the kernel for all directories that are watched."""

import select
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hermesguard.watcher.inotify import Queue, Scout


class Ears:
    """Descriptors, each heard as long as somebody wants it to be."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._wanted: Counter[int] = Counter()
        self._queue: Queue | None = None
        self._queue_descriptor = -1
        self._scout: Scout | None = None
        self.has_stirred = False
        """Something came into being in a place that is looked at; set back by `is_stirred`."""

    def listen(self, descriptor: int) -> None:
        """Be woken by it from now on."""
        self._wanted[descriptor] += 1
        self._poll.register(descriptor, select.POLLIN)

    def ignore(self, descriptor: int) -> None:
        """Be woken by it no longer, unless others still want that."""
        self._wanted[descriptor] -= 1
        if not self._wanted[descriptor]:
            del self._wanted[descriptor]
            self._poll.unregister(descriptor)

    def wait(self, seconds: float, has_news: Callable[[], bool]) -> list[tuple[int, int]]:
        """Return what can be read, as `poll` does, after so many seconds at the latest; what the queue had is read.

        Not waited for is anything when the queue was read for one directory since the last time, and there is something to hear
        for others (`has_news`), of which nobody is woken; nor when something has stirred that nobody has asked for yet.
        """
        queue = self._queue
        if queue and queue.was_read and (self.has_stirred or has_news()):
            seconds = 0.0
        woken = self._poll.poll(seconds * 1000)
        if queue:
            for descriptor, _ in woken:
                if descriptor == self._queue_descriptor:
                    queue.read()
            queue.was_read = False
        return woken

    def queue(self) -> "Queue":
        """Return the queue that all directories share. Raises OSError when the kernel has none to give."""
        if self._queue is None:
            from hermesguard.watcher.inotify import Queue  # a guard that polls has no need of it

            self._queue = Queue()
            self._queue_descriptor = self._queue.fileno()
        return self._queue

    def look_out(self, places: Iterable[Path]) -> bool:
        """Hear of directories that come into being in these places, if the kernel tells; return whether a place is new."""
        if self._scout is None:
            try:
                queue = self.queue()
            except OSError:
                return False
            from hermesguard.watcher.inotify import Scout

            self._scout = Scout(queue, self._stir)
            self.listen(queue.fileno())
        return self._scout.look_out(places)

    def _stir(self) -> None:
        self.has_stirred = True

    def is_stirred(self) -> bool:
        """Return once whether something came into being in a place that is looked at."""
        has_stirred, self.has_stirred = self.has_stirred, False
        return has_stirred

    def close(self) -> None:
        """Give the queue back."""
        if self._queue:
            self._queue.close()
            self._queue = None
