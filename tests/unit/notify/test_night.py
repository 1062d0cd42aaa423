"""Quiet hours by the local clock: over midnight, and in the nights when that clock is changed; and a clock that jumps."""

import time
from collections.abc import Iterator
from datetime import datetime
from datetime import time as clock
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hermesguard.config.tables import Span
from tests.helpers.journals import incident
from tests.helpers.notifying import Desk
from tests.unit.notify.test_notifier import incidents_in, made

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def quiet_until(tmp_path: Path, span: str, *begin: int) -> datetime:
    """When the one message comes that a loss at `begin`, local time, leads to."""
    desk = made(tmp_path, quiet_hours=span, gather="0")
    desk.now = datetime(*begin, tzinfo=BERLIN).timestamp()  # type: ignore[arg-type,misc]
    desk.journals.write(incident(1), at=desk.now)
    for _ in range(12 * 60):
        if not desk.sent:
            desk.sleep(60, 60)
    assert incidents_in(desk.sent[0][1].body) == [1]
    return datetime.fromtimestamp(desk.now, BERLIN)


@pytest.mark.parametrize(
    ("begin", "day"),
    [
        ((2027, 1, 15, 23, 30), 16),
        ((2027, 3, 27, 23, 30), 28),  # the night has an hour less
        ((2027, 10, 30, 23, 30), 31),  # and here one more
        ((2027, 3, 28, 1, 59), 28),
    ],
)
def test_the_night_ends_at_seven_whatever_the_clock_does(
    tmp_path: Path, begin: tuple[int, ...], day: int
) -> None:
    told = quiet_until(tmp_path, "22:00-07:00", *begin)
    assert (told.day, told.hour, told.minute <= 1) == (day, 7, True)


def test_an_hour_that_comes_twice_is_quiet_twice(tmp_path: Path) -> None:
    desk = made(tmp_path, quiet_hours="02:10-02:50", gather="0")
    desk.now = datetime(2027, 10, 31, 2, 15, tzinfo=BERLIN).timestamp()
    desk.journals.write(incident(1), at=desk.now)
    desk.sleep(36 * 60, 60)
    assert [incidents_in(message.body) for _, message in desk.sent] == [[1]]
    desk.now = datetime(2027, 10, 31, 2, 15, tzinfo=BERLIN, fold=1).timestamp()
    desk.journals.write(incident(2), at=desk.now)
    desk.sleep(30 * 60, 60)
    assert len(desk.sent) == 1
    desk.sleep(10 * 60, 60)
    assert [incidents_in(message.body) for _, message in desk.sent] == [[1], [2]]


def test_a_span_has_its_beginning_and_not_its_end() -> None:
    def has(text: str, moment: str) -> bool:
        begin, end = (clock.fromisoformat(part) for part in text.split("-"))
        return Span(begin, end).has(clock.fromisoformat(moment))

    for span, moment, inside in (
        ("22:00-07:00", "22:00", True),
        ("22:00-07:00", "21:59", False),
        ("22:00-07:00", "00:00", True),
        ("22:00-07:00", "07:00", False),
        ("13:00-15:00", "13:00", True),
        ("13:00-15:00", "15:00", False),
        ("13:00-15:00", "23:00", False),
    ):
        assert has(span, moment) is inside, (span, moment)


@pytest.mark.parametrize("seconds", [-3 * 86400.0, 365 * 86400.0])
def test_a_clock_that_jumps_misses_nothing_and_tells_nothing_twice(tmp_path: Path, seconds: float) -> None:
    desk: Desk = made(tmp_path)
    desk.journals.write(incident(1), at=desk.now)
    desk.sleep(10)
    desk.now += seconds
    desk.journals.write(incident(2), at=desk.now)
    desk.sleep(130, 5)
    desk.restart()
    desk.journals.write(incident(3), at=desk.now)
    desk.sleep(130, 5)
    told = [number for _, message in desk.sent for number in incidents_in(message.body)]
    assert told == [1, 2, 3]


def test_a_clock_that_jumps_while_a_message_is_refused_tries_again_soon(tmp_path: Path) -> None:
    desk = made(tmp_path, gather="0")
    desk.answer = "refused"
    desk.journals.write(incident(1), at=desk.now)
    desk.sleep(60, 5)
    desk.answer = ""
    desk.now -= 30 * 86400.0
    desk.sleep(15, 5)
    assert desk.notifier.state.outboxes[0].delivered == 1
