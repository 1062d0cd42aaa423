"""Waiting on conditions, never on the clock alone."""

import time
from collections.abc import Callable
from typing import TypeVar

from hermesguard.watcher.watcher import Change, Watch

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 60.0) -> T:
    """Return the first truthy result of `condition`; AssertionError when none came within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        time.sleep(0.005)
    return result


def uncounted(watch: Watch) -> list[Change]:
    """What the watch has seen, but for how often: that hangs on how its news was cut."""
    return [change._replace(saves=0) for change in watch.take()]
