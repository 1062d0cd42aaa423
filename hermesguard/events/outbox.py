"""A bounded queue before an sink: what cannot be said now is said later, and what cannot be kept is counted."""

from collections import deque
from collections.abc import Callable
from typing import Final

from hermesguard.events.sinks import Offer, Sink

MOST_BYTES: Final = 4 * 1024 * 1024
_MOST_AT_ONCE: Final = 64
_SHORTEST_DELAY_SECONDS: Final = 0.02
_LONGEST_DELAY_SECONDS: Final = 1.0


class Outbox:
    """Entries on their way to one sink, in order. When there is no room, the oldest bookkeeping goes first."""

    def __init__(self, sink: Sink, notice: Callable[[int], bytes], most_bytes: int = MOST_BYTES) -> None:
        """`notice` makes the entry that says how many were dropped, sent once the sink takes entries again."""
        self.sink = sink
        self.dropped = 0
        self._notice = notice
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._number = 0
        self._important: deque[tuple[int, bytes]] = deque()
        self._bookkeeping: deque[tuple[int, bytes]] = deque()
        self._delay_seconds = _SHORTEST_DELAY_SECONDS

    def __len__(self) -> int:
        return len(self._important) + len(self._bookkeeping)

    def put(self, payload: bytes, important: bool) -> None:
        """Queue an entry; never refuses, but may drop an older one."""
        self._number += 1
        (self._important if important else self._bookkeeping).append((self._number, payload))
        self._size_bytes += len(payload)
        while self._size_bytes > self._most_bytes:
            self._size_bytes -= len((self._bookkeeping or self._important).popleft()[1])
            self.dropped += 1

    def pump(self) -> float | None:
        """Send what is taken now, at most a few at once; return seconds until the next call, None when all is said."""
        for _ in range(_MOST_AT_ONCE):
            if not (self._important or self._bookkeeping):
                return None if self.sink.finish() else self._later()
            queue = self._oldest()
            offer = self.sink.offer(queue[0][1])
            if offer is Offer.LATER:
                return self._later()
            self._size_bytes -= len(queue.popleft()[1])
            self._delay_seconds = _SHORTEST_DELAY_SECONDS
            if offer is Offer.LOST:
                self.dropped += 1
            elif self.dropped and self.sink.offer(self._notice(self.dropped)) is Offer.TAKEN:
                self.dropped = 0
        return 0.0

    def _oldest(self) -> deque[tuple[int, bytes]]:
        if not self._bookkeeping:
            return self._important
        if not self._important:
            return self._bookkeeping
        return min(self._important, self._bookkeeping, key=lambda queue: queue[0][0])

    def _later(self) -> float:
        delay_seconds = self._delay_seconds
        self._delay_seconds = min(2 * delay_seconds, _LONGEST_DELAY_SECONDS)
        return delay_seconds
