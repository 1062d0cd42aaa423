"""Times as the reader's clock shows them, whatever TZ says."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hermesguard.cli.report.series import ticks
from hermesguard.clock import local
from hermesguard.config.units import moment
from hermesguard.lookup.selectors import parse_moment
from hermesguard.notify.digest import _local as of_alert
from hermesguard.notify.sources import Identity, journal_knows

NOON = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)


@pytest.fixture(params=["XXX-24:59:59", "XXX24", "XXX-167"])
def no_zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """A zone that is a day or more away from UTC: the C library takes it, and no calendar has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("no_zone")
def test_a_zone_that_no_calendar_has_is_utc() -> None:
    assert local(NOON) == NOON
    assert local(NOON).utcoffset() == timedelta(0)
    assert local(NOON.replace(tzinfo=None)) == NOON
    assert moment(NOON) == "2026-11-22 12:30:00"
    assert of_alert(NOON.isoformat()) == NOON
    assert parse_moment("10:30", NOON) == NOON - timedelta(hours=2)
    assert parse_moment("today", NOON) == NOON - timedelta(hours=12, minutes=30)
    assert ticks(NOON - timedelta(hours=5), NOON)[-1] == NOON


@pytest.mark.usefixtures("no_zone")
def test_a_journal_whose_library_takes_no_such_zone_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "systemd.journal", raising=False)
    assert not journal_knows(Identity(0, ""), tmp_path)
