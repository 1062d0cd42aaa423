"""Repairs of one session slow down by what they cost, and stop slowing down when the writer has ended."""

import pytest

from hermesguard.guard.back_off import (
    ALERT_INTERVAL_SECONDS,
    COSTS_PER_PAUSE,
    LONGEST_PAUSE_SECONDS,
    MOST_VERSIONS,
    QUIET_SECONDS,
    REPAIRS_BEFORE_BACK_OFF,
    SHORTEST_PAUSE_SECONDS,
    BackOff,
)


def backing_off(cost_seconds: float) -> BackOff:
    back_off = BackOff()
    begun = [back_off.repaired("s", float(number), 7) for number in range(REPAIRS_BEFORE_BACK_OFF)]
    assert begun == [False] * (REPAIRS_BEFORE_BACK_OFF - 1) + [True]
    back_off.cost("s", cost_seconds)
    return back_off


@pytest.mark.parametrize(
    ("cost_seconds", "pause_seconds"),
    [(0.001, SHORTEST_PAUSE_SECONDS), (0.052, 0.052 * COSTS_PER_PAUSE), (3.0, LONGEST_PAUSE_SECONDS)],
)
def test_the_pause_is_twenty_times_the_cost_within_bounds(cost_seconds: float, pause_seconds: float) -> None:
    assert backing_off(cost_seconds).wait_seconds("s", REPAIRS_BEFORE_BACK_OFF - 1) == pytest.approx(
        pause_seconds
    )


def test_ten_repairs_in_a_minute_are_made_at_once() -> None:
    back_off = BackOff()
    for number in range(REPAIRS_BEFORE_BACK_OFF - 1):
        back_off.repaired("s", float(number), 7)
        back_off.cost("s", 5.0)
        assert back_off.wait_seconds("s", float(number)) == 0


def test_a_version_goes_only_when_the_newest_copy_has_what_it_held() -> None:
    back_off = backing_off(0.01)
    back_off.note_version("s", "20260101T000000.000000Z", [("user", "only here", ())])
    for number in range(1, 2 * MOST_VERSIONS):
        back_off.note_version("s", f"20260101T00{number:02}00.000000Z")
    assert "20260101T000000.000000Z" not in back_off.outdated("s", [])
    for number in range(10, 10 + 2 * MOST_VERSIONS):
        back_off.note_version("s", f"20260101T01{number:02}00.000000Z")
    assert "20260101T000000.000000Z" in back_off.outdated("s", [("user", "only here", ())])


def test_a_pause_ends_with_the_writer_and_with_a_save_of_all_that_is_known() -> None:
    for end in (BackOff.lift, BackOff.saved_all):
        back_off = backing_off(1.0)
        back_off.note_incident("s", "7")
        assert back_off.wait_seconds("s", REPAIRS_BEFORE_BACK_OFF - 1) > 0
        end(back_off, "s")
        assert back_off.wait_seconds("s", REPAIRS_BEFORE_BACK_OFF - 1) == 0
        assert back_off.incident("s") == ("" if end is BackOff.saved_all else "7")


def test_ten_repairs_in_more_than_a_minute_are_no_back_off() -> None:
    back_off = BackOff()
    assert not any(back_off.repaired("s", 7.0 * number) for number in range(3 * REPAIRS_BEFORE_BACK_OFF))
    assert not back_off.is_backing_off("s")


def test_a_back_off_is_over_after_a_quiet_time_and_told_once() -> None:
    back_off = backing_off(0.001)
    back_off.repaired("other", 0.0)
    last = float(REPAIRS_BEFORE_BACK_OFF - 1)
    assert list(back_off.over(last + QUIET_SECONDS)) == []
    assert list(back_off.over(last + QUIET_SECONDS + LONGEST_PAUSE_SECONDS)) == [
        ("s", REPAIRS_BEFORE_BACK_OFF)
    ]
    assert list(back_off.over(last + 2 * QUIET_SECONDS)) == []
    assert not back_off.is_backing_off("s")
    assert back_off.writer("other") is None


def test_at_most_one_alert_a_minute_goes_out_for_a_session() -> None:
    back_off = BackOff()
    assert [
        back_off.alert("s", now) for now in (0.0, 1.0, ALERT_INTERVAL_SECONDS - 0.1, ALERT_INTERVAL_SECONDS)
    ] == [
        True,
        False,
        False,
        True,
    ]
    assert back_off.alert("other", 1.0)
