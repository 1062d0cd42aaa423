"""What a judgement costs for each message, in calls of functions: times would tell of the machine."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from hermesguard.judge.judge import judge
from hermesguard.judge.verdict import Verdict
from tests.helpers.cases import NEW, STREAMING, file, turns, user


def wiped(turns_said: int) -> Verdict:
    return judge(file(turns(turns_said), NEW, **STREAMING), file([], NEW))


def grown(turns_said: int) -> Verdict:
    return judge(file(turns(turns_said), NEW), file(turns(turns_said + 1), NEW))


def undone(turns_said: int) -> Verdict:
    return judge(file(turns(turns_said)), file(turns(turns_said - 1)))


def older(turns_said: int) -> Verdict:
    """As after an undo or an edit, but for something in the context that was not there."""
    left = turns(turns_said - 1)
    return judge(file(turns(turns_said)), file(left, context_messages=[*left, user("odd", 1.5)]))


def calls(judged: Callable[[int], Verdict], turns_said: int, only: str = "") -> int:
    """How many functions are called, from `judge` on; `only` counts one of them."""
    seen = 0
    is_on = False

    def count_call(frame: FrameType, event: str, argument: object) -> None:
        nonlocal seen, is_on
        if event == "call":
            is_on = is_on or frame.f_code is judge.__code__
            seen += is_on and only in ("", frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(count_call)
    try:
        judged(turns_said)
    finally:
        sys.setprofile(before)
    return seen


@pytest.mark.parametrize(
    ("judged", "rule", "most"),
    [
        pytest.param(wiped, "3 wipe", 40, id="wiped"),
        pytest.param(grown, "2 growth", 8, id="grown"),
        pytest.param(undone, "9 undo", 16, id="undone"),
    ],
)
def test_each_message_is_looked_at_a_few_times(
    judged: Callable[[int], Verdict], rule: str, most: int
) -> None:
    assert judged(20).rule == rule
    assert 0 < calls(judged, 60) - calls(judged, 20) <= most * len(turns(40))


@pytest.mark.parametrize("judged", [grown, undone, older])
def test_the_messages_and_the_contexts_are_compared_once(judged: Callable[[int], Verdict]) -> None:
    assert calls(judged, 20, "placed") == 2


def test_what_is_as_two_acts_leave_it_but_for_the_context_is_an_older_state() -> None:
    assert older(20).rule == "25 older state"
