"""How far apart requests are, so that a day never has more than are allowed. Pure.

While half of the day's requests are left nothing changes. Then the pace falls with what is left: it never comes to a stop,
and a load that lasts gets two thirds of what is allowed. What cannot be sent at once goes into larger batches.
"""

from collections.abc import Mapping
from typing import Final

HOUR_SECONDS: Final = 3600
WINDOW_HOURS: Final = 24
_EASING_SECONDS: Final = 12 * HOUR_SECONDS
UPKEEP_SHARE: Final = 0.75
"""What listing and removing may not go beyond, so that copying always has the rest."""


def hour_of(now_seconds: float) -> int:
    """Return the number of the hour that a time lies in."""
    return int(now_seconds // HOUR_SECONDS)


def used(by_hour: Mapping[int, int], now_seconds: float) -> int:
    """Return the requests of the last 24 hours; an hour that lies in them in part counts whole."""
    hour = hour_of(now_seconds)
    return sum(count for number, count in by_hour.items() if abs(hour - number) <= WINDOW_HOURS)


def spacing_seconds(interval_seconds: float, per_day: int, used_today: int) -> float:
    """Return how long after a request the next one may follow; infinity when the day has none left."""
    left = per_day - used_today
    if left <= 0:
        return float("inf")
    if left * 2 >= per_day:
        return interval_seconds
    return max(interval_seconds, _EASING_SECONDS / left)


def interval_seconds(interval: float, per_day: int, used_today: int) -> float:
    """Return how far apart copies are now, for people: an hour at most, for then there may be requests again."""
    return min(spacing_seconds(interval, per_day, used_today), float(HOUR_SECONDS))


def may_burst(per_day: int, used_today: int) -> bool:
    """Return whether a full batch may follow another at once."""
    return used_today * 2 < per_day


def may_keep_up(per_day: int, used_today: int) -> bool:
    """Return whether requests that only tidy may be made."""
    return used_today < per_day * UPKEEP_SHARE


def pause_seconds(failures: int, interval_seconds: float) -> float:
    """Return how long to wait after so many failures in a row: longer each time, at most a quarter of an hour."""
    return min(900.0, max(1.0, interval_seconds) * 2.0 ** min(failures - 1, 12)) if failures else 0.0
