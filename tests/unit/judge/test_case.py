"""What marks, counters, times and titles of a case show, each with its nearest neighbours: one condition is another, and it
is no longer seen."""

from typing import Any

import pytest

from tests.helpers.cases import (
    FIVE,
    FOUR,
    GONE,
    NEW,
    NEWS,
    OLD,
    OTHER,
    STREAMING,
    V720,
    V875,
    Value,
    answer,
    case,
    cut,
    user,
)

# ---- marks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "repaired", "is_anew"),
    [
        pytest.param(1010.0, 1020.0, True, False, id="the repair has moved it on"),
        pytest.param(1010.0, 1020.0, False, True, id="no repair"),
        pytest.param(None, 1020.0, True, True, id="none was there"),
        pytest.param("1010", 1020.0, True, True, id="none that is a number"),
        pytest.param(1010.0, 0, True, True, id="all was cut"),
        pytest.param(1010.0, 1010.0, False, False, id="the same"),
        pytest.param(1010.0, None, False, False, id="taken away"),
    ],
)
def test_a_watermark_is_new_unless_the_repair_moved_it(
    before: Any, after: Any, repaired: bool, is_anew: bool
) -> None:
    found = case(
        (FIVE, cut(truncation_watermark=before)),
        (OTHER, cut(truncation_watermark=after)),
        repaired=repaired,
    )
    assert found.is_watermarked == found.is_marked == is_anew
    assert found.shows_earlier_cut == (repaired and not is_anew)


def test_a_watermark_is_new_where_the_beginning_of_the_repair_is_left() -> None:
    found = case(
        (FIVE, cut(truncation_watermark=1010.0)), (FOUR, cut(truncation_watermark=1045.0)), repaired=True
    )
    assert found.is_watermarked


@pytest.mark.parametrize(
    ("before", "after", "boundary"),
    [
        ({}, {"truncation_boundary": 5.0, "truncation_watermark": 6.0}, 5.0),
        ({}, {"truncation_watermark": 6.0}, 6.0),
        ({"truncation_boundary": 5.0}, {"truncation_boundary": 5.0}, None),
        ({}, {"intentional_shrink_generation": "g"}, None),
        (
            {"truncation_boundary": 5.0},
            {"truncation_boundary": 5.0, "intentional_shrink_generation": "g"},
            5.0,
        ),
        ({}, {"truncation_boundary": "5.0"}, None),
        ({}, {"truncation_boundary": 0}, 0.0),
    ],
)
def test_the_boundary_is_what_this_save_says(before: Value, after: Value, boundary: float | None) -> None:
    assert case((FIVE, NEW | before), (FOUR, NEW | after)).boundary == boundary


def test_the_boundary_that_fits_is_the_last_message() -> None:
    assert case((FIVE, OLD), (FOUR, OLD)).boundary_now == 1045.0
    assert case((FIVE, OLD), ([], OLD)).boundary_now == 0.0
    assert case((FIVE, OLD), ([user("unstamped")], OLD)).boundary_now == 0.0


@pytest.mark.parametrize(
    ("messages", "mark", "fits"),
    [
        (FOUR, 1045.0, True),
        (FOUR, 1055.0, False),
        (FOUR, None, False),
        ([*FIVE[:7], answer("answer 4")], None, True),
        ([], None, False),
        ([], 0, True),
    ],
)
def test_a_mark_fits_the_cut_or_says_nothing_where_no_stamp_is(
    messages: list[Any], mark: float | None, fits: bool
) -> None:
    found = case((FIVE, V720), (messages, V720 | {"truncation_boundary": mark}))
    assert found.fits_cut("truncation_boundary") == fits


@pytest.mark.parametrize(
    ("before", "messages", "after", "is_behind"),
    [
        pytest.param({}, [*FOUR, *NEWS], {"truncation_boundary": 3001}, True, id="cut behind news"),
        pytest.param({}, [*FOUR, *NEWS], {"truncation_boundary": 1045}, False, id="cut before them"),
        pytest.param({}, [*FOUR, *NEWS], {"truncation_boundary": None}, False, id="no boundary"),
        pytest.param({}, [*FOUR, user("new")], {"truncation_boundary": 0}, False, id="nothing was left"),
        pytest.param(
            {}, [*FIVE[:2], *FIVE[4:], *NEWS], {"truncation_boundary": 3001}, False, id="a gap before it"
        ),
        pytest.param({}, [*FOUR, *NEWS], {"truncation_watermark": 3001}, True, id="the first watermark"),
        pytest.param(
            {"truncation_watermark": 1.0},
            [*FOUR, *NEWS],
            {"truncation_watermark": 3001},
            False,
            id="a watermark that only moved on",
        ),
        pytest.param(
            {"truncation_watermark": 1.0},
            [*FOUR, *NEWS],
            {"truncation_watermark": 3001, "intentional_shrink_generation": "g"},
            True,
            id="a watermark that moved on, and a mark",
        ),
        pytest.param(
            {"truncation_watermark": 1.0},
            [*FOUR, *NEWS],
            {"truncation_watermark": 3001, "truncation_boundary": 3001},
            True,
            id="a watermark that moved on, and a boundary",
        ),
    ],
)
def test_a_cut_behind_messages_that_nobody_saw(
    before: Value, messages: list[Any], after: Value, is_behind: bool
) -> None:
    assert case((FIVE, NEW | before), (messages, NEW | after)).is_cut_behind_news == is_behind


@pytest.mark.parametrize(
    ("boundary", "count"), [(1045.0, 8), (1020.0, 3), (1010.0, 1), (7.0, None), (0, None)]
)
def test_so_many_messages_lie_before_the_boundary(boundary: float, count: int | None) -> None:
    found = case((FIVE, V720), (FIVE[:1], V720 | {"truncation_boundary": boundary}))
    assert found.messages_up_to_boundary == count


def test_no_boundary_says_nothing_of_messages_without_a_stamp() -> None:
    unstamped = [user("one"), answer("two")]
    found = case((unstamped, V720), ([], V720 | {"truncation_boundary": 0}))
    assert found.messages_up_to_boundary is None


@pytest.mark.parametrize(("boundary", "is_cut"), [(1046, True), (1045, True), (1040, False), (1050, False)])
def test_what_went_harmlessly_may_have_been_the_last(boundary: float, is_cut: bool) -> None:
    """The mark names a message that was there when it was cut, and which the application has dropped since."""
    empty = answer("", 1046)
    found = case(([*FOUR, empty, *FIVE[8:]], V720), (FOUR, V720 | {"truncation_boundary": boundary}))
    assert found.comparison.harmless
    assert found.is_cut_at_boundary == is_cut


def test_what_went_harmlessly_elsewhere_was_not_the_last() -> None:
    empty = answer("", 1041)
    early = case(([*FIVE[:7], empty, *FIVE[7:]], V720), (FOUR, V720 | {"truncation_boundary": 1041}))
    late = case(([*FIVE, answer("", 1056)], V720), (FOUR, V720 | {"truncation_boundary": 1056}))
    assert early.comparison.harmless
    assert late.comparison.harmless
    assert not early.is_cut_at_boundary
    assert not late.is_cut_at_boundary
    whole = case(([empty, *FIVE], V720), ([], V720 | {"truncation_boundary": 1041}))
    assert whole.is_cut_at_boundary, "it was the first message, and all of it was cut behind it"


# ---- what stands beside the messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "back", "on"),
    [
        (100, 50, True, False),
        (100, 150, False, True),
        (100, 100, False, False),
        (100, None, False, False),
        (None, 100, False, False),
        (100, "50", False, False),
        (True, 0, False, False),
    ],
)
def test_counters_go_back_or_on_where_both_are_numbers(before: Any, after: Any, back: bool, on: bool) -> None:
    found = case((FIVE, {"input_tokens": before}), (FOUR, {"input_tokens": after}))
    assert (found.counters_go_back, found.counters_go_on) == (back, on)


@pytest.mark.parametrize(
    ("before", "after", "now", "is_back"),
    [
        (200.0, 100.0, None, True),
        (200.0, 200.0, None, False),
        (100.0, 200.0, None, False),
        (None, 100.0, None, False),
        (200.0, None, None, False),
        (200.0, 100.0, 300.0, True),
        (
            1000.0,
            100.0,
            110.0,
            False,
        ),  # the shadow is from the future, and live from now: the clock was put back
        (1000.0, 100.0, 500.0, True),
        (101.0, 99.0, 100.0, True),
        (101.5, 99.0, 100.0, False),
        (1000.0, 100.0, 160.0, False),
        (1000.0, 100.0, 161.0, True),
    ],
)
def test_time_goes_back_unless_the_clock_was_put_back(
    before: Any, after: Any, now: float | None, is_back: bool
) -> None:
    found = case((FIVE, {"updated_at": before}), (FOUR, {"updated_at": after}), now=now)
    assert found.time_goes_back == is_back


@pytest.mark.parametrize(
    ("before", "after", "messages", "is_new"),
    [
        ({"created_at": 1.0}, {"created_at": 9.0}, OTHER, True),
        ({"created_at": 1.0}, {"created_at": 1.0}, OTHER, False),
        ({"created_at": 1.0}, {"created_at": 9.0}, [], False),
        ({"created_at": None}, {"created_at": 9.0}, OTHER, False),
        ({"created_at": 1.0}, {"created_at": "9"}, OTHER, False),
        ({"created_at": 9.0}, {"created_at": 1.0}, OTHER, True),
        ({"created_at": 9.0, "updated_at": 50.0}, {"created_at": 1.0, "updated_at": 40.0}, OTHER, False),
        ({"created_at": 1.0, "updated_at": 50.0}, {"created_at": 9.0, "updated_at": 40.0}, OTHER, True),
        ({"created_at": 9.0, "updated_at": 50.0}, {"created_at": 1.0, "updated_at": 60.0}, OTHER, True),
    ],
)
def test_another_conversation_under_an_old_id(
    before: Value, after: Value, messages: list[Any], is_new: bool
) -> None:
    assert case((FIVE, before), (messages, after)).is_new_chat == is_new


@pytest.mark.parametrize(
    ("created", "saved", "is_new"),
    [(9.0, 50.0, False), (60.0, 50.0, True), (50.0, 50.0, False), (9.0, "", True)],
)
def test_the_same_messages_are_another_conversation_only_if_it_began_later(
    created: float, saved: Any, is_new: bool
) -> None:
    """The application makes a file that is gone anew out of the agent's database, which has a time of creation of its own."""
    before, after = {"created_at": 1.0, "updated_at": saved}, {"created_at": created, "updated_at": 70.0}
    assert case((FIVE, before), (FIVE[:8], after)).is_new_chat == is_new


@pytest.mark.parametrize(
    ("before", "after", "kept", "untitled", "from_live"),
    [
        ("A title", "A title", True, False, False),
        ("A title", "question 70", False, False, True),
        ("A title", "question  70", False, False, True),
        ("A title", "Another", False, False, False),
        ("A title", "Untitled", False, True, False),
        ("Untitled", "question 70", True, False, False),
        ("Untitled", "Untitled", True, False, False),
    ],
)
def test_what_became_of_the_title(
    before: str, after: str, kept: bool, untitled: bool, from_live: bool
) -> None:
    found = case((FIVE, {"title": before}), (OTHER, {"title": after}))
    assert (found.is_title_kept, found.is_untitled_now) == (kept, untitled)
    assert found.is_title_from_live == from_live


def test_a_title_is_from_live_only_where_a_question_is() -> None:
    assert not case((FIVE, OLD), ([], {"title": "question 70"})).is_title_from_live
    assert not case((FIVE, OLD), (OTHER, {"title": "  "})).is_title_from_live
    assert not case((FIVE, OLD), (OTHER[1:], {"title": "answer 70"})).is_title_from_live
    assert not case((FIVE, OLD), (OTHER, {"title": []})).is_untitled_now


STUB: Value = {"context_messages": [], "updated_at": 7.5}


@pytest.mark.parametrize(
    ("before", "messages", "after", "is_wiped"),
    [
        pytest.param({}, [], {}, True, id="the wipe"),
        pytest.param({"active_stream_id": None}, [], {}, False, id="no stream"),
        pytest.param({}, [], {"active_stream_id": "t"}, False, id="a stream still"),
        pytest.param({}, [], {"pending_user_message": "unsent"}, False, id="a prompt still"),
        pytest.param({}, [], {"pending_started_at": 9.5}, True, id="when it was sent still"),
        pytest.param({}, FIVE[:1], {}, False, id="a message still"),
        pytest.param({}, [], {"context_messages": FIVE[:1]}, False, id="a context still"),
        pytest.param({}, [], {"title": "Other"}, False, id="another title"),
        pytest.param({"title": "B"}, [], {"title": "A"}, False, id="a title that sorts before it"),
        pytest.param({"title": "B"}, [], {"title": "C"}, False, id="a title that sorts behind it"),
        pytest.param({}, [], {"pinned": True}, False, id="another pin"),
        pytest.param({"model": "m"}, [], {"model": None}, True, id="a member emptied"),
        pytest.param({"model": "m"}, [], {"model": "n"}, False, id="a member changed"),
        pytest.param({"model": "m"}, [], {}, True, id="a member gone"),
        pytest.param({"truncation_watermark": 1.0}, [], {"truncation_watermark": 2.0}, False, id="marked"),
        pytest.param({"tool_calls": [{"tid": "t"}]}, [], {"tool_calls": []}, True, id="calls gone"),
    ],
)
def test_the_exact_trace_of_the_wipe(
    before: Value, messages: list[Any], after: Value, is_wiped: bool
) -> None:
    assert case((FIVE, STREAMING | before), (messages, STUB | after)).is_wiped == is_wiped


def test_a_mark_that_the_shadow_could_not_have_is_one() -> None:
    marks = NEW | {"intentional_shrink_generation": "g", "message_count": 0}
    assert not case((FIVE, V875 | STREAMING), ([], marks | STUB)).is_wiped
    assert case((FIVE, V875 | STREAMING), ([], NEW | STUB)).is_wiped


def test_nothing_is_wiped_where_nothing_was() -> None:
    assert not case(([], {"active_stream_id": "s"}), ([], STUB)).is_wiped
    assert case(([], STREAMING), ([], STUB)).is_wiped, "a prompt was"


LATER: Value = {"updated_at": 9.5}


@pytest.mark.parametrize(
    ("after", "around", "is_stale"),
    [
        pytest.param({}, {}, True, id="an empty memory"),
        pytest.param({}, {"repaired": False}, False, id="nothing was repaired"),
        pytest.param({"created_at": 8.5}, {}, False, id="another chat"),
        pytest.param({"clear_generation": "c"}, {}, False, id="marked"),
        pytest.param({"title": "Untitled"}, {}, False, id="the title taken away"),
        pytest.param({"title": "question 70"}, {}, False, id="a title of its own"),
        pytest.param({"context_messages": FIVE}, {}, False, id="it remembers"),
    ],
)
def test_a_stale_writer_knows_nothing_of_the_repair(after: Value, around: Value, is_stale: bool) -> None:
    found = case((FIVE, V875), (OTHER, V875 | LATER | GONE | after), **{"repaired": True} | around)
    assert found.is_stale_writer == is_stale


def test_who_has_the_beginning_of_the_repair_is_no_stale_writer() -> None:
    assert not case((FIVE, OLD), (FIVE[:2], GONE), repaired=True).is_stale_writer


# ---- saves, writers and other sessions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("saves", "writer", "count"),
    [
        (1, "unknown", 1),
        (2, "unknown", 2),
        (3, "new", 3),
        (3, "another", 1),
        (None, "unknown", 1),
        (0, "unknown", 1),
    ],
)
def test_so_many_acts_may_lie_between(saves: int | None, writer: str, count: int) -> None:
    found = case((FIVE, OLD), (FOUR, OLD), saves=saves, writer=writer)
    assert found.saves == count
    assert found.may_be_several == (saves != 1 and writer != "another")


@pytest.mark.parametrize(
    ("before", "after", "name", "is_other"),
    [
        ("s", "t", "s", True),
        ("s", "s", "s", False),
        ("t", "s", "s", False),  # it was wrong, and is right
        ("s", None, "s", False),
        (None, "t", "s", False),
        ("s", 5, "s", False),
        (5, "t", "s", False),
    ],
)
def test_a_file_of_another_session(before: Any, after: Any, name: str, is_other: bool) -> None:
    found = case((FIVE, {"session_id": before}), (FIVE, {"session_id": after}), name=name)
    assert found.is_of_other_session == is_other
    assert found.comparison.whole != is_other


@pytest.mark.parametrize(
    ("before", "after", "is_older"),
    [
        ({"intentional_shrink_generation": "a"}, {"input_tokens": 50}, True),
        ({"intentional_shrink_generation": "a"}, {"updated_at": 1.5}, True),
        ({"intentional_shrink_generation": "a"}, {}, False),
        ({}, {"input_tokens": 50}, False),
        ({}, {"updated_at": 1.5}, False),
    ],
)
def test_a_mark_may_be_an_older_one_only_where_there_was_one(
    before: Value, after: Value, is_older: bool
) -> None:
    found = case((FIVE, NEW | before), (FOUR, NEW | {"intentional_shrink_generation": "b"} | after))
    assert found.is_older_mark == is_older


@pytest.mark.parametrize(("stream", "repaired"), [(None, False), ("s", False), (None, True), ("s", True)])
def test_what_the_wipe_needs(stream: str | None, repaired: bool) -> None:
    found = case((FIVE, {"active_stream_id": stream}), (FOUR, OLD), repaired=repaired)
    assert found.could_be_wiped == (bool(stream) or repaired)


def test_each_new_mark_is_one() -> None:
    for key in ("intentional_shrink_generation", "clear_generation", "truncation_boundary"):
        assert case((FIVE, NEW), (FOUR, NEW | {key: 5.0})).is_marked
    assert not case((FIVE, NEW), (FOUR, NEW)).is_marked
