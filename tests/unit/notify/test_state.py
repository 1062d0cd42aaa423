"""What the notifier noted, as `hermesguard status` shows it."""

import pytest

from hermesguard.notify.outbox import iso


@pytest.mark.parametrize("seconds", [1e300, -1e300, 1e12, float("nan"), float("inf")])
def test_a_time_that_no_calendar_has_is_none(seconds: float) -> None:
    assert iso(seconds) == ""
