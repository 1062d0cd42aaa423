"""What is known of each session, in little memory: 150 bytes for one, its name included.

A dictionary of one number each: the time of change, the size, the messages and whether it is in order, so that the newest session
has the largest number.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator
from typing import Final

from hermesguard.files import kept_ns

_MESSAGES_BITS: Final = 32
_SIZE_BITS: Final = 48
_MOST_MESSAGES: Final = (1 << _MESSAGES_BITS) - 1
_MOST_BYTES: Final = (1 << _SIZE_BITS) - 1
_TIME_SHIFT: Final = 1 + _MESSAGES_BITS + _SIZE_BITS
_STATE_SHIFT: Final = 1 + _MESSAGES_BITS
_EARLIEST_NS: Final = -(1 << 63)

State = tuple[int, int]
"""What a listing shows of a file: (size in bytes, mtime_ns)."""


class Seen:
    """By session: the state in which its file was last found in order, and how many messages it has."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self.messages = 0
        """In all sessions."""

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._known)

    def get(self, name: str) -> State | None:
        """Return the state in which the file was last in order; None when it is not known, or not in order."""
        known = self._known.get(name, 0)
        return _state(known) if known & 1 else None

    def is_as_seen(self, name: str, size_bytes: int, mtime_ns: int) -> bool:
        """Return whether the file was in order in this state."""
        known = self._known.get(name, 0)
        return (
            known >> _STATE_SHIFT == (mtime_ns - _EARLIEST_NS) << _SIZE_BITS | size_bytes and known & 1 == 1
        )

    def messages_of(self, name: str) -> int | None:
        """Return how many messages a session has; None when it is not known."""
        known = self._known.get(name)
        return None if known is None else known >> 1 & _MOST_MESSAGES

    def note(self, name: str, state: State, messages: int) -> int | None:
        """Note that the file of a session is in order in this state; return how many messages it had, None if not known."""
        known = self._known.get(name)
        count = None if known is None else known >> 1 & _MOST_MESSAGES
        messages = min(messages, _MOST_MESSAGES)
        self.messages += messages - (count or 0)
        self._known[name] = _packed(state[0], state[1], messages) | 1
        return count

    def count(self, name: str, messages: int) -> None:
        """Note how many messages a session has, whatever its file is like."""
        before = self._known.get(name, 0)
        messages = min(messages, _MOST_MESSAGES)
        self.messages += messages - (before >> 1 & _MOST_MESSAGES)
        self._known[name] = before & ~(_MOST_MESSAGES << 1) | messages << 1

    def revisit(self, name: str) -> None:
        """Note that the file of a session is not in order, or that this is not known."""
        if name in self._known:
            self._known[name] &= ~1

    def forget(self, name: str) -> None:
        """Forget a session."""
        self.messages -= self._known.pop(name, 0) >> 1 & _MOST_MESSAGES

    def newest(self, count: int, since_ns: int) -> list[tuple[str, int, int]]:
        """Return (session, size in bytes, mtime_ns) of the sessions that changed last, the newest first."""
        since = _packed(0, since_ns, 0)
        recent = [(known, name) for name, known in self._known.items() if known >= since and known & 1]
        return [(name, *_state(known)) for known, name in heapq.nlargest(count, recent)]

    def newest_one(self) -> str:
        """Return the session whose file changed last; empty when there is none."""
        return max(self._known, key=self._known.__getitem__, default="")

    def newest_ns(self) -> int:
        """Return the mtime_ns of the file that changed last; 0 when there is none."""
        return max(0, _state(max(self._known.values(), default=0))[1])

    # -- for the next start

    def dump(self) -> tuple[list[str], array[int], array[int], array[int]]:
        """Return the sessions, and of each the size in bytes, the mtime_ns and the messages."""
        names = list(self._known)
        columns = (array("q"), array("q"), array("q"))
        for known in self._known.values():
            size_bytes, mtime_ns = _state(known)
            values = (size_bytes, kept_ns(mtime_ns), known >> 1 & _MOST_MESSAGES)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        return names, *columns

    def load(self, names: list[str], sizes: array[int], times_ns: array[int], messages: array[int]) -> None:
        """Take over what another guard has dumped: all of them were in order."""
        bias, shift, bits = _EARLIEST_NS, _TIME_SHIFT, _STATE_SHIFT
        self._known = {
            name: (time_ns - bias) << shift | size << bits | count << 1 | 1
            for name, size, time_ns, count in zip(names, sizes, times_ns, messages, strict=True)
        }
        self.messages = sum(messages)


def _packed(size_bytes: int, mtime_ns: int, messages: int) -> int:
    return (
        (mtime_ns - _EARLIEST_NS) << _TIME_SHIFT
        | min(size_bytes, _MOST_BYTES) << _STATE_SHIFT
        | messages << 1
    )


def _state(known: int) -> State:
    return known >> _STATE_SHIFT & _MOST_BYTES, (known >> _TIME_SHIFT) + _EARLIEST_NS
