"""The processes whose end ends the pause before a repair (pidfd_open(2)), where their pids can be seen."""

import contextlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from selectors import EVENT_READ, BaseSelector
from typing import Final

MOST_FOLLOWED: Final = 64


class Writers:
    """Follows processes through the loop's selector; nothing here waits or raises."""

    def __init__(self, selector: BaseSelector, ended: Callable[[str], None]) -> None:
        """`ended` is called with the session whose writer has ended."""
        self._selector = selector
        self._ended = ended
        self._followed: dict[int, int] = {}
        """Descriptors by pid."""

    def follow(self, awaited: Mapping[int, str]) -> None:
        """Follow these processes, each with the session that it writes, and no others."""
        for pid in self._followed.keys() - awaited.keys():
            self._leave(pid)
        for pid, session in awaited.items():
            if pid not in self._followed and len(self._followed) < MOST_FOLLOWED:
                # A process of another namespace, or one that was gone before: then the pause ends by itself.
                with contextlib.suppress(OSError):
                    descriptor = self._followed[pid] = os.pidfd_open(pid)
                    self._selector.register(descriptor, EVENT_READ, partial(self._has_ended, pid, session))

    def _has_ended(self, pid: int, session: str, _: int) -> None:
        self._leave(pid)
        self._ended(session)

    def _leave(self, pid: int) -> None:
        descriptor = self._followed.pop(pid)
        self._selector.unregister(descriptor)
        os.close(descriptor)

    def close(self) -> None:
        """Follow nobody any more."""
        self.follow({})
