"""What the guard does when it is idle: pruning and scrub.

In slices of some milliseconds with pauses between them; whatever happens in the sessions directory comes first.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

from hermesguard.guard.guard import Guard
from hermesguard.store.upkeep.retention import Rules

SLICE_SECONDS: Final = 0.004
PAUSE_SECONDS: Final = 0.03
PRUNE_SECONDS: Final = 3600.0
FIRST_PRUNE_SECONDS: Final = 300.0
FIRST_READ_SECONDS: Final = 600.0
"""How long after the start the scrub begins: a restarted guard is quiet at first."""
AFTER_FAULT_SECONDS: Final = 600.0


class Maintenance:
    """One piece of work at a time, for the guard that holds the store."""

    def __init__(self, guard: Guard, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._guard = guard
        self._monotonic = monotonic
        now = monotonic()
        self._prune_due = now + FIRST_PRUNE_SECONDS
        self._read_due = now + FIRST_READ_SECONDS
        self._next_slice = now
        self._work: Iterator[None] | None = None

    def patience_seconds(self) -> float:
        """Return how many seconds from now on nothing is to be done."""
        due = self._next_slice if self._work else min(self._prune_is_due(), self._read_due)
        return max(0.0, due - self._monotonic())

    def go_on(self) -> None:
        """Work for a slice of time, if it is time for it."""
        now = self._monotonic()
        if self._work is None:
            self._work = self._choose(now)
        if self._work is None or now < self._next_slice:
            return
        until = now + SLICE_SECONDS
        try:
            for _ in self._work:
                if self._monotonic() >= until:
                    self._next_slice = self._monotonic() + PAUSE_SECONDS
                    return
        except OSError as error:
            self._guard.copies.refused(error)
            self._read_due = max(self._read_due, self._monotonic() + AFTER_FAULT_SECONDS)
        except Exception as error:  # noqa: BLE001
            self._guard.shield.caught("housekeeping", "", error)
            self._read_due = max(self._read_due, self._monotonic() + AFTER_FAULT_SECONDS)
        self._work = None

    def _choose(self, now: float) -> Iterator[None] | None:
        if now >= self._prune_is_due():
            self._prune_due = now + PRUNE_SECONDS
            self._guard.copies.withdrawn = None
            return self._guard.context.pruner.prune(Rules.of(self._guard.settings))
        if now >= self._read_due:
            if not self._guard.scrub.is_due():
                self._read_due = now + PRUNE_SECONDS
                return None
            return self._read()
        return None

    def _read(self) -> Iterator[None]:
        yield from self._guard.scrub.read_next()
        self._read_due = self._monotonic() + self._guard.scrub.pause_seconds

    def _prune_is_due(self) -> float:
        """Return when the next prune is due: sooner when something was taken away that must not stay for long."""
        withdrawn = self._guard.copies.withdrawn
        if withdrawn is None:
            return self._prune_due
        return min(self._prune_due, withdrawn + self._guard.settings.keep_deleted_seconds)

    def end(self) -> None:
        """Put the work down; what was read need not be read again."""
        self._work = None
        try:
            self._guard.scrub.put_down()
        except OSError as error:
            self._guard.copies.refused(error)
