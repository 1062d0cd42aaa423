"""What the messages of a case show: what is new, what is a beginning, where it was cut, and what its writer still knows."""

from typing import Any

import pytest

from tests.helpers.cases import (
    FIVE,
    FOUR,
    GONE,
    NEWS,
    OLD,
    RUNNING,
    STREAMING,
    V720,
    Value,
    answer,
    calling,
    case,
    file,
    tool,
    user,
)

END = 1055.0
"""The stamp of the last message of FIVE."""


# ---- messages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "after", "is_pending"),
    [
        pytest.param(user("ask", 2000, _recovered=True), RUNNING, True, id="it runs again"),
        pytest.param(user("ask", 2000), RUNNING, False, id="it was never recovered"),
        pytest.param(user("other", 2000, _recovered=True), RUNNING, False, id="another prompt runs"),
        pytest.param(
            user("ask", 2000, _recovered=True), RUNNING | {"active_stream_id": None}, False, id="no stream"
        ),
        pytest.param(
            user("", 2000, _recovered=True), RUNNING | {"pending_user_message": ""}, False, id="no prompt"
        ),
    ],
)
def test_a_recovered_prompt_that_runs_again_is_not_missing(last: Any, after: Value, is_pending: bool) -> None:
    found = case(([*FIVE, last], OLD), (FIVE, after))
    assert bool(found.pending_again) == is_pending
    assert found.is_lost != (is_pending or not last["content"]), "an empty message is none"


def test_it_goes_on_anew_only_where_the_beginning_is_unharmed() -> None:
    assert case((FIVE, OLD), ([*FOUR, *NEWS], OLD)).goes_on_anew
    short = [*FIVE[:7], answer("answ", 1045)]
    assert case((FIVE, OLD), (short, OLD)).comparison.shortened
    assert case((FIVE, OLD), ([*short, *FIVE[8:]], OLD)).is_lost, "what is cut short is lost"
    assert not case((FIVE, OLD), (short, OLD)).goes_on_anew
    crossed = [FIVE[2], FIVE[3], FIVE[0], FIVE[1], *FIVE[4:8]]
    assert case((FIVE, OLD), (crossed, OLD)).comparison.moved
    assert not case((FIVE, OLD), (crossed, OLD)).goes_on_anew
    assert not case((FIVE, OLD), ([*FIVE[:2], *FIVE[4:], *NEWS], OLD)).goes_on_anew
    assert not case((FIVE, OLD), ([*FIVE[:8], FIVE[9]], OLD)).goes_on_anew


@pytest.mark.parametrize(
    ("stamp", "is_new"), [(END, True), (END + 1, True), (END - 1, False), (None, True), (END - 0.5, False)]
)
def test_what_is_new_is_from_the_shadows_end_or_later(stamp: float | None, is_new: bool) -> None:
    assert case((FIVE, OLD), ([user("other", stamp)], OLD)).has_only_new_messages == is_new


def test_where_the_shadow_has_no_stamps_everything_may_be_new() -> None:
    unstamped = [user("one"), answer("two")]
    assert case((unstamped, OLD), ([user("other", 5.0)], OLD)).has_only_new_messages
    assert not case((unstamped, OLD), ([], OLD)).has_only_new_messages


def test_an_end_in_fractions_of_a_second_is_any_instant_of_it() -> None:
    before = [user("one", 10.0), answer("two", 20.7)]
    assert case((before, OLD), ([user("other", 20)], OLD)).has_only_new_messages
    assert not case((before, OLD), ([user("other", 19)], OLD)).has_only_new_messages


@pytest.mark.parametrize(
    ("said", "is_lost"),
    [
        ([], True),
        ([user("unsent", 2000)], False),
        ([user("unsent")], False),
        ([user("unsent", 1999.5)], False),
        ([user("unsent", 1999.0)], True),
        ([answer("unsent", 2000)], True),
        ([user("another", 2000)], True),
    ],
)
def test_a_prompt_is_lost_unless_it_was_said_since(said: list[Any], is_lost: bool) -> None:
    assert case((FIVE, STREAMING), ([*FIVE, *said], OLD)).prompt_is_lost == is_lost


def test_a_prompt_that_is_pending_still_is_not_lost() -> None:
    assert not case((FIVE, STREAMING), (FIVE, {"pending_user_message": " unsent "})).prompt_is_lost
    assert not case((FIVE, OLD), (FIVE, OLD)).prompt_is_lost
    assert not case((FIVE, OLD), (FIVE, STREAMING)).prompt_is_lost, "there was none"


def test_when_it_was_sent_need_not_be_known() -> None:
    unknown = STREAMING | {"pending_started_at": None}
    assert not case((FIVE, unknown), ([*FIVE, user("unsent", 5)], OLD)).prompt_is_lost
    assert case((FIVE, unknown), (FIVE, OLD)).prompt_is_lost


# ---- what the writer still knows ---------------------------------------------------------------------------------------

CALLED = [*FIVE, user("run", 1060), calling("t1", 1061), tool("done", "t1", 1062), answer("ok", 1063)]


def test_a_writer_that_still_has_the_calls_of_what_is_gone_remembers() -> None:
    calls = [{"tid": "t1", "name": "terminal"}]
    assert case((CALLED, OLD), (FIVE, GONE | {"tool_calls": calls})).remembers
    assert not case((CALLED, OLD), (FIVE, GONE | {"tool_calls": [{"tid": "t2"}]})).remembers
    assert not case((CALLED, OLD), (FIVE, GONE | {"tool_calls": [{"name": "terminal"}]})).remembers
    assert not case((CALLED, OLD), (CALLED, GONE | {"tool_calls": calls})).remembers, "nothing is gone"


def bare(messages: list[Any]) -> list[Any]:
    """The same without stamps, as most releases keep them for the model."""
    return [{key: value for key, value in message.items() if key != "timestamp"} for message in messages]


@pytest.mark.parametrize(
    ("context", "is_known"),
    [
        (FIVE[8:9], True),
        (bare(FIVE[8:]), True),
        (bare(FIVE[8:9]), False),
        (bare(FIVE[:8]), False),
        ([user("question 5", 7.0), answer("answer 5", 8.0)], False),
    ],
)
def test_a_writer_whose_context_has_what_is_gone_remembers(context: list[Any], is_known: bool) -> None:
    assert case((FIVE, OLD), (FOUR, {"context_messages": context})).remembers == is_known


def test_what_live_shows_itself_is_no_memory_of_what_is_gone() -> None:
    """An empty memory counts its calls anew, and the same short words are said again."""
    other = [user("look", 9000), calling("t1", 9001), tool("other", "t1", 9002), answer("ok", 9003)]
    calls = {"tool_calls": [{"tid": "t1", "name": "terminal"}]}
    assert not case((CALLED, OLD), (other, GONE | calls)).remembers
    assert not case((CALLED, OLD), (other, {"context_messages": bare(other)})).remembers
    assert case((CALLED, OLD), (other, {"context_messages": bare([*FIVE, *other])})).remembers
    again = [user("run", 9000), answer("ok", 9001)]
    assert not case((CALLED, OLD), (again, {"context_messages": bare(again)})).remembers
    assert case((CALLED, OLD), (again, {"context_messages": bare([*FIVE[:2], *again])})).remembers
    unstamped = bare(CALLED)
    assert not case((unstamped, OLD), (again, {"context_messages": bare(again)})).remembers
    assert case((unstamped, OLD), (again, {"context_messages": bare([FIVE[0], *again])})).remembers


@pytest.mark.parametrize(
    ("before_repair", "live", "more", "is_said"),
    [
        pytest.param([FOUR], FOUR, {}, True, id="as before"),
        pytest.param([], FOUR, {}, False, id="nothing was before"),
        pytest.param([FIVE[:6]], FOUR, {}, False, id="something else was before"),
        pytest.param([FIVE[:6], FOUR], FOUR, {}, True, id="as one of two sides"),
        pytest.param([FOUR], FOUR, {"input_tokens": 150}, False, id="it has the counters of the repair"),
        pytest.param(
            [FOUR], FOUR, {"compression_anchor_visible_idx": 3}, False, id="it was compressed since"
        ),
        pytest.param([[]], [], {}, False, id="nothing is said"),
    ],
)
def test_who_says_again_what_was_said_before_the_repair(
    before_repair: list[list[Any]], live: list[Any], more: Value, is_said: bool
) -> None:
    found = case((FIVE, OLD), (live, more), before_repair=tuple(map(file, before_repair)))
    assert found.is_said_before == is_said


def test_the_counters_of_a_long_session_are_those_from_before_the_repair() -> None:
    seen = (file(FOUR, input_tokens=70_000),)
    assert case(
        (FIVE, {"input_tokens": 90_000}), (FOUR, {"input_tokens": 70_000}), before_repair=seen
    ).is_said_before


def test_who_takes_back_the_prompt_that_the_repair_put_there_has_seen_it() -> None:
    recovered = user("sent", 1060, _recovered=True)
    seen = (file(FIVE),)
    assert not case(([*FIVE, recovered], OLD), (FIVE, OLD), before_repair=seen).is_said_before
    more = [*FIVE, recovered, answer("and its answer", 1061)]
    assert case((more, OLD), (FIVE, OLD), before_repair=seen).is_said_before


# ---- where it was cut --------------------------------------------------------------------------------------------------

RESTAMPED = [*FIVE[:5], answer("answer 3", 4000), user("question 4", 4001), answer("answer 4", 4002)]


@pytest.mark.parametrize(
    ("live", "boundary", "is_cut"),
    [
        pytest.param(FOUR, 1045, True, id="at the last that was kept"),
        pytest.param(FOUR, 1040, False, id="before it"),
        pytest.param(FOUR, 1050, False, id="behind it"),
        pytest.param(FOUR, 0, False, id="0, where something was kept"),
        pytest.param([*FOUR, *NEWS], 1045, True, id="and it went on"),
        pytest.param([], 0, True, id="all of it"),
        pytest.param([], 1015, False, id="all of it, says a message"),
        pytest.param([*FIVE[:2], *FIVE[4:]], 1055, False, id="a gap"),
        pytest.param(RESTAMPED, 4002, True, id="stamped anew"),
        pytest.param(RESTAMPED, 1045, True, id="stamped anew, as it was before"),
        pytest.param(RESTAMPED, 4001, True, id="stamped anew, and the one before"),
        pytest.param(RESTAMPED, 1030, True, id="the last that was not stamped anew"),
        pytest.param(RESTAMPED, 1025, False, id="one that is farther from the end"),
    ],
)
def test_a_cut_is_where_its_boundary_says(live: list[Any], boundary: float, is_cut: bool) -> None:
    found = case((FIVE, V720), (live, V720 | {"truncation_boundary": boundary}))
    assert found.is_cut_at_boundary == is_cut


def test_without_a_boundary_nothing_was_cut_at_one() -> None:
    assert not case((FIVE, V720), (FOUR, V720)).is_cut_at_boundary


@pytest.mark.parametrize(
    ("live", "is_start"),
    [
        (FOUR, True),
        ([], False),
        ([*FOUR, *NEWS], False),
        (FIVE[2:], False),
        ([*FIVE[:7], answer("answ", 1045)], False),
    ],
)
def test_a_start_is_the_beginning_and_nothing_else(live: list[Any], is_start: bool) -> None:
    assert case((FIVE, OLD), (live, OLD)).is_start == is_start


def test_who_wrote_an_answer_on_took_nothing_back() -> None:
    broken = [*FIVE[:7], answer("answ", 1045), *FIVE[8:]]
    found = case((broken, OLD), (FOUR, OLD))
    assert found.is_answered_late
    assert not found.is_start


@pytest.mark.parametrize(
    ("added", "goes_on"), [(user("new", END), True), (user("new", END - 5), False), (user("new"), True)]
)
def test_what_follows_is_no_older_than_the_end(added: Any, goes_on: bool) -> None:
    assert case((FIVE, OLD), ([*FOUR, added], OLD)).goes_on_anew == goes_on


def test_messages_that_are_back_among_others_go_on_all_the_same() -> None:
    live = [*FIVE[:4], user("back", 1033), *FIVE[4:8]]
    assert case((FIVE, OLD), (live, OLD)).goes_on_anew


def test_the_first_message_that_is_gone_may_be_the_first_of_all() -> None:
    assert case((FIVE, OLD), ([], OLD)).goes_on_anew
    assert case((FIVE, OLD), (NEWS, OLD)).goes_on_anew
    assert not case((FIVE, OLD), (FIVE[1:], OLD)).goes_on_anew


def test_there_were_messages_and_there_are_none() -> None:
    assert case((FIVE, OLD), ([], OLD)).is_emptied
    assert not case(([], OLD), ([], OLD)).is_emptied
    assert not case((FIVE, OLD), (FOUR, OLD)).is_emptied


@pytest.mark.parametrize(
    ("before", "after", "is_new"),
    [
        ({}, RUNNING, True),
        (RUNNING, RUNNING, False),
        (RUNNING, RUNNING | {"active_stream_id": "s3"}, True),
        (RUNNING, RUNNING | {"pending_user_message": "more"}, True),
        (RUNNING, RUNNING | {"pending_user_message": "  "}, False),
    ],
)
def test_a_prompt_is_new_by_its_words_or_its_stream(before: Value, after: Value, is_new: bool) -> None:
    assert case((FIVE, before), ([], after)).has_new_prompt == is_new


@pytest.mark.parametrize(
    ("live", "is_only"),
    [
        ([user("ask", 3000)], True),
        ([user("ask", 1000)], False),
        ([user("other", 3000)], False),
        ([answer("ask", 3000)], False),
        ([user("ask", 3000), answer("yes", 3001)], False),
        ([], False),
    ],
)
def test_nothing_is_left_but_the_prompt(live: list[Any], is_only: bool) -> None:
    assert case((FIVE, OLD), (live, RUNNING)).is_only_asked == is_only


def test_what_is_cut_short_or_moved_is_not_new() -> None:
    words = "a long answer with many words in it"
    before = [answer(words, 50.0)]
    assert not case((before, OLD), ([answer(words[:20], 50.0)], OLD)).has_only_new_messages
    swapped = [FIVE[1], FIVE[0]]
    found = case((FIVE[:2], OLD), (swapped, OLD))
    assert not found.has_only_new_messages
