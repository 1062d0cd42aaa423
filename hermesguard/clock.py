"""The clocks, passed in so that tests can turn them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

# By a day: as local time it must have a date too.
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` in seconds for waiting; `now` as aware UTC time for names and logs.

    `uptime` goes on while the machine sleeps (CLOCK_BOOTTIME): where `now` does not keep up with it, someone set the clock.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    uptime: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)


def moment(time_ns: int) -> datetime:
    """Return the time that a file has: of one that lies before or behind all dates, the epoch or the last one.

    Anybody can give a file any time, and most file systems keep it (tmpfs, XFS, Btrfs).
    """
    try:
        return min(datetime.fromtimestamp(time_ns / 1e9, UTC), _LATEST)
    except (ValueError, OverflowError, OSError):
        return _LATEST if time_ns > 0 else _EPOCH


def local(time: datetime) -> datetime:
    """Return a time as the reader's clock shows it; one without a zone is the reader's.

    In UTC where TZ names a zone of a day or more, which no calendar has, or where the time there has no date.
    """
    try:
        return time.astimezone()
    except (ValueError, OverflowError, OSError):
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
