"""The clocks, passed in so that tests can turn them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` in seconds for waiting; `now` as aware UTC time for names and logs.

    `uptime` goes on while the machine sleeps (CLOCK_BOOTTIME): where `now` does not keep up with it, someone set the clock.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    uptime: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
