"""Each rule of the table: what it takes, and what is next to it and belongs to another rule. Files only, no clock, no disk."""

from typing import Any

import pytest

from hermesguard.judge.judge import judge_unreadable
from hermesguard.judge.rules import RULES
from hermesguard.judge.rules_missing import (
    MISSING_RULES,
    UNREADABLE_RULES,
)
from hermesguard.judge.verdict import Action, Surroundings, Verdict
from tests.helpers.cases import (
    FIVE,
    GONE,
    NEW,
    OLD,
    V137,
    V720,
    V875,
    Value,
    answer,
    calling,
    file,
    tool,
    turns,
    user,
    verdict_on,
)

STALE = {"active_stream_id": "stale", "pending_user_message": "unsent", "pending_started_at": 2000.5}
LATE = [user("new question", 3000), answer("new answer", 3001)]


def at(stamp: float, **more: Any) -> Value:
    """The marks of a shrink that keeps up to the message of that time."""
    return {"truncation_watermark": stamp, "truncation_boundary": stamp, **more}


def marked(stamp: float, generation: str = "g1") -> Value:
    return at(stamp, intentional_shrink_generation=generation)


def cut_marks(era: Value, stamp: float) -> Value:
    """The marks that an era leaves where it cuts."""
    keys = {"truncation_watermark", "truncation_boundary"} & era.keys()
    return era | dict.fromkeys(keys, stamp)


def check(verdict: Verdict, action: Action, number: str) -> None:
    assert (verdict.rule.split()[0], verdict.action) == (number, action)
    assert all(verdict.evidence)


def step(
    before: tuple[list[Any], Value],
    after: tuple[list[Any], Value],
    action: Action,
    number: str,
    **around: Any,
) -> Verdict:
    verdict = verdict_on(file(before[0], **before[1]), file(after[0], **after[1]), **around)
    check(verdict, action, number)
    return verdict


# ---- 1: unreadable -------------------------------------------------------------------------------------------------


def test_rule_1_waits_a_second_and_then_restores() -> None:
    check(judge_unreadable("empty", Surroundings()), Action.WAIT, "1")
    assert judge_unreadable("empty", Surroundings()).wait_seconds == 1
    check(judge_unreadable("empty", Surroundings(waited_seconds=1)), Action.LOSS, "1")


# ---- 2 and 21: nothing is missing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", [OLD, V137, V720, V875, NEW])
def test_rule_2_growth_and_changes_of_everything_but_the_messages(era: Value) -> None:
    step((FIVE, era), (turns(6), era), Action.GROWTH, "2")
    step((FIVE, {**era, **STALE}), (FIVE, {**era, "title": "Other", "pinned": True}), Action.GROWTH, "2")
    step(([], era), (FIVE, era), Action.GROWTH, "2")


def test_rule_2_says_what_went_harmlessly_and_that_messages_are_fewer() -> None:
    part = answer("x", 1100, _partial=True)
    verdict = step(([*FIVE, part, part], NEW), ([*FIVE, part], NEW), Action.GROWTH, "2")
    assert "harmless: duplicate partial" in verdict.evidence
    assert verdict.against == ("live has 1 messages fewer",)
    assert not verdict.takes_away


def test_rule_2_a_prompt_that_vanished_unsaid_is_worth_a_version() -> None:
    assert step((FIVE, STALE), (FIVE, {}), Action.GROWTH, "2").takes_away
    said = [*FIVE, user("unsent", 2000), answer("so", 2002)]
    assert not step((FIVE, STALE), (said, {}), Action.GROWTH, "2").takes_away
    assert not step((FIVE, STALE), (FIVE, STALE), Action.GROWTH, "2").takes_away
    before = [*FIVE[:2], user("unsent", 1020), *FIVE[2:]]
    assert step((before, STALE), (before, {}), Action.GROWTH, "2").takes_away


@pytest.mark.parametrize("era", [OLD, V137, V720, V875, NEW])
def test_rule_2_a_turn_that_the_guard_took_for_dead_goes_on(era: Value) -> None:
    recovered = [*FIVE, user("unsent", 2000, _recovered=True)]
    running = era | STALE | {"pending_user_message": " unsent"}
    step((recovered, era), (FIVE, running), Action.GROWTH, "2")
    assert verdict_on(file(recovered, **era), file(FIVE[:8], **running)).action is not Action.GROWTH
    other = era | STALE | {"pending_user_message": "other words"}
    assert verdict_on(file(recovered, **era), file(FIVE, **other)).action is not Action.GROWTH
    dead = running | {"active_stream_id": None}
    assert verdict_on(file(recovered, **era), file(FIVE, **dead)).action is not Action.GROWTH


@pytest.mark.parametrize("era", [OLD, NEW])
def test_rule_21_no_messages_ever(era: Value) -> None:
    step(([], era), ([], {**era, "title": "Untitled"}), Action.GROWTH, "21")
    step(([], {**era, **STALE}), ([], {**era, **STALE, "pinned": True}), Action.GROWTH, "21")


# ---- 3: the wipe -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", [OLD, V137, V720, V875, NEW])
def test_rule_3_the_wipe_takes_stream_prompt_messages_and_nothing_else(era: Value) -> None:
    verdict = step((FIVE, {**era, **STALE}), ([], {**era, "updated_at": 9.5}), Action.LOSS, "3")
    assert "active_stream_id went from set to null" in verdict.evidence
    assert "the prompt that was sent and not yet answered is gone too" in verdict.evidence
    assert verdict.is_wipe


def test_rule_3_unknown_members_vanish() -> None:
    step((FIVE, {**STALE, "later": {"a": 1}}), ([], {}), Action.LOSS, "3")


def test_rule_3_a_first_prompt_without_any_message_is_destroyed_too() -> None:
    verdict = step(([], STALE), ([], {}), Action.LOSS, "3")
    assert verdict.takes_away


NO_WIPES: dict[str, tuple[Value, Value]] = {
    "the stream is still set": (STALE, STALE),
    "there was no stream": (STALE | {"active_stream_id": None}, {}),
    "a new prompt is pending": (STALE, {"pending_user_message": "again"}),
    "the context is still there": (STALE, {"context_messages": FIVE}),
    "the title is another": (STALE, {"title": "Another"}),
    "it was pinned": (STALE, {"pinned": True}),
    "it was marked": (V875 | STALE, V875 | {"clear_generation": "c", "truncation_watermark": 0.0}),
    "a value was set": (STALE | {"project_id": None}, {"project_id": "p"}),
}


@pytest.mark.parametrize("what", NO_WIPES)
def test_what_is_not_quite_a_wipe(what: str) -> None:
    before, after = NO_WIPES[what]
    verdict = verdict_on(file(FIVE, **before), file([], **{**GONE, **after}))
    assert not verdict.is_wipe
    assert verdict.action is not Action.GROWTH


def test_a_clear_of_an_untitled_session_with_a_stale_stream_is_no_wipe() -> None:
    stale = NEW | STALE | {"title": "Untitled"}
    cleared = NEW | GONE | {"title": "Untitled"} | marked(0.0) | {"clear_generation": "c1"}
    step((FIVE, stale), ([], cleared), Action.INTENDED, "6a")


# ---- 4, 4b, 5, 7: writers that mark what is meant ---------------------------------------------------------------------


def test_rule_4_undo_and_its_evidence() -> None:
    verdict = step((FIVE, NEW), (FIVE[:8], NEW | marked(1045)), Action.INTENDED, "4")
    assert "intentional_shrink_generation was set anew" in verdict.evidence
    assert "the boundary is the timestamp of the last message that was kept" in verdict.evidence
    assert "2 of 10 messages are gone" in verdict.against


def test_rule_4_several_turns_at_once_are_intended_when_marked() -> None:
    step((FIVE, NEW), (FIVE[:2], NEW | marked(1015)), Action.INTENDED, "4")
    step((FIVE, NEW), ([], NEW | marked(0.0)), Action.INTENDED, "4")


def test_rule_4_the_same_boundary_a_second_time() -> None:
    before = NEW | marked(1045, "g1") | {"truncation_watermark": 1050.0}
    step((FIVE, before), (FIVE[:8], NEW | marked(1045, "g2")), Action.INTENDED, "4")


def test_rule_4_shrink_and_new_messages_in_one_write() -> None:
    now = NEW | marked(1045) | {"truncation_watermark": 3000.0}
    step((FIVE, NEW), ([*FIVE[:8], *LATE], now), Action.INTENDED, "4")


def test_rule_4_regenerate_stamps_the_kept_message_anew() -> None:
    again = user("question 5", 3000.25, _active_turn_token="t:3000.25")
    now = NEW | marked(1050) | {"active_stream_id": "t", "pending_user_message": "question 5"}
    step((FIVE, NEW), ([*FIVE[:8], again], now), Action.INTENDED, "4")


@pytest.mark.parametrize("era", [V720, V875, NEW])
def test_a_regeneration_that_nobody_saw_cut_where_its_question_stood(era: Value) -> None:
    again = [user("question 5", 3000.25), answer("another answer", 3005)]
    marks = marked(1050) if era is NEW else {"truncation_boundary": 1050}
    now = era | marks | {"truncation_watermark": 3005}
    step((FIVE, era), ([*FIVE[:8], *again], now), Action.INTENDED, "4" if era is NEW else "8b")


def test_rule_5_another_question_at_the_boundary_is_no_regeneration() -> None:
    news = [user("quite another", 3000.25), answer("another answer", 3005)]
    now = NEW | marked(1050) | {"truncation_watermark": 3005}
    step((FIVE, NEW), ([*FIVE[:8], *news], now), Action.MERGE, "5")


def test_rule_4_retry_of_the_same_words_in_one_write() -> None:
    again = user("question 5", 3000.25, _active_turn_token="t:3000.25")
    now = NEW | marked(1045) | {"truncation_watermark": 3000.25}
    step((FIVE, NEW), ([*FIVE[:8], again], now), Action.INTENDED, "4")


def test_rule_4_messages_that_share_a_second() -> None:
    messages = [user("a", 100), answer("b", 100), user("c", 100), answer("d", 100), user("e", 101)]
    step((messages, NEW), (messages[:2], NEW | marked(100)), Action.INTENDED, "4")


def test_rule_4_messages_without_timestamps() -> None:
    messages = [{key: value for key, value in message.items() if key != "timestamp"} for message in FIVE]
    step((messages, NEW), (messages[:8], NEW | marked(0.0)), Action.INTENDED, "4")
    ts = [message | {"_ts": 5.0 + place} for place, message in enumerate(messages)]
    step((ts, NEW), (ts[:8], NEW | marked(0.0)), Action.INTENDED, "4")


def test_rule_4_messages_that_were_stamped_meanwhile() -> None:
    messages = [{key: value for key, value in message.items() if key != "timestamp"} for message in FIVE]
    step((messages, NEW), (FIVE[:8], NEW | marked(1045)), Action.INTENDED, "4")


def test_rule_4_benign_messages_go_in_the_same_write() -> None:
    error = answer("**Error:** x", 1016, _error=True)
    step(([*FIVE[:2], error, *FIVE[2:]], NEW), (FIVE[:8], NEW | marked(1045)), Action.INTENDED, "4")


def test_rule_4_the_last_kept_message_goes_harmlessly_in_the_same_write() -> None:
    card = answer("[CONTEXT COMPACTION — REFERENCE ONLY] summary", 1047)
    before = [*FIVE[:8], card, *FIVE[8:]]
    for after in (FIVE[:8], [*FIVE[:8], *LATE]):
        step((before, NEW), (after, NEW | marked(1047.0)), Action.INTENDED, "4")
        marked_so = V720 | at(1047.0)
        number = "9" if len(after) == 8 else "8b"
        step((before, V720), (after, marked_so), Action.INTENDED, number)
    step((before, NEW), (FIVE[:6], NEW | marked(1047.0)), Action.LOSS, "5")


def test_rule_4_two_shrinks_and_new_messages_between_two_visits() -> None:
    now = NEW | marked(3001, "g2")
    verdict = step((FIVE, NEW), ([*FIVE[:8], *LATE], now), Action.INTENDED, "4")
    assert "nobody looked" in verdict.evidence[0]


def test_rule_4_an_old_generation_that_comes_back_explains_nothing() -> None:
    """Of two servers one did not know the key; its save dropped it. What the other then writes is no new shrink."""
    before = [*FIVE, *LATE]
    sticky = NEW | marked(1015)
    step((before, OLD), (FIVE, sticky), Action.UNCERTAIN, "17")
    newer = NEW | marked(1045, "g2")
    stale = [*FIVE[:8], user("taken back", 1050), answer("taken back too", 1055)]
    step(([*FIVE[:8], *LATE], newer), (stale, NEW | marked(1015, "g1")), Action.UNCERTAIN, "17")
    # What a second server knew right after an earlier shrink fits its own boundary; its counters betray it.
    older = NEW | marked(1025, "g1") | {"input_tokens": 60}
    step(([*FIVE[:8], *LATE], newer), (FIVE[:4], older), Action.UNCERTAIN, "17")


def test_rule_4b_a_message_from_the_middle() -> None:
    left = [*FIVE[:4], *FIVE[6:]]
    step((FIVE, NEW), (left, NEW | marked(1055)), Action.INTENDED, "4b")
    step((FIVE, NEW), ([*FIVE[:5], *FIVE[6:]], NEW | marked(1055)), Action.INTENDED, "4b")


def test_rule_4b_not_two_turns_and_not_with_another_boundary() -> None:
    two = [*FIVE[:2], *FIVE[6:]]
    step((FIVE, NEW), (two, NEW | marked(1055)), Action.LOSS, "5")
    asked = [message for place, message in enumerate(FIVE) if place not in (2, 4)]
    step((FIVE, NEW), (asked, NEW | marked(1055)), Action.LOSS, "5")
    left = [*FIVE[:4], *FIVE[6:]]
    step((FIVE, NEW), (left, NEW | marked(1025)), Action.UNCERTAIN, "17")


def test_rule_5_up_to_the_boundary() -> None:
    verdict = step((FIVE, NEW), (FIVE[:4], NEW | marked(1045)), Action.LOSS, "5")
    assert verdict.keep_messages == 8
    assert verdict.evidence[0] == "the shrink is marked down to 8 messages, but only 4 of them are there"
    assert "the boundary is not the timestamp of the last message that was kept" in verdict.evidence
    verdict = step((FIVE, NEW), ([*FIVE[:4], *LATE], NEW | marked(1045)), Action.MERGE, "5")
    assert verdict.keep_messages == 8


def test_rule_5_messages_that_share_a_second_with_the_boundary() -> None:
    messages = [user("a", 100), answer("b", 100), user("c", 101), answer("d", 101), user("e", 102)]
    assert step((messages, NEW), (messages[:1], NEW | marked(101)), Action.LOSS, "5").keep_messages == 4


def test_rule_7_unmarked() -> None:
    verdict = step((FIVE, NEW), (FIVE[:8], NEW), Action.LOSS, "7")
    assert "what is left is the start of the conversation, unharmed" in verdict.against
    assert "one user turn is gone, as after an undo" in verdict.against
    step((FIVE, NEW | marked(1045)), (FIVE[:8], NEW | marked(1045)), Action.LOSS, "7")
    step((FIVE, NEW | marked(1045)), (FIVE[:8], NEW | at(1045.0)), Action.LOSS, "7")
    step((FIVE, NEW), ([*FIVE[:8], *LATE], NEW), Action.MERGE, "7")
    step((FIVE, NEW), ([], NEW | GONE), Action.LOSS, "7")


def test_rule_7_after_an_upgrade() -> None:
    step((FIVE, V875), (FIVE[:8], NEW), Action.LOSS, "7")
    step((FIVE, OLD), (FIVE[:8], NEW), Action.LOSS, "7")
    # An undo by the release before, unseen, keeps its watermark through the upgrade.
    step((FIVE, V875), (FIVE[:8], NEW | at(1045.0)), Action.INTENDED, "9")
    step((FIVE, NEW), (FIVE[:8], NEW | at(1045.0)), Action.LOSS, "7")


# ---- 6: clear --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", [V875, NEW])
def test_rule_6_a_marked_clear(era: Value) -> None:
    cleared = era | GONE | {"title": "Untitled", "clear_generation": "c1"} | at(0.0)
    if era is NEW:
        cleared |= marked(0.0)
    verdict = step((FIVE, era), ([], cleared), Action.INTENDED, "6a")
    assert verdict.is_clear
    assert "clear_generation was set anew" in verdict.evidence
    step((FIVE, era | STALE), ([], cleared), Action.INTENDED, "6a")
    step((FIVE, era), (LATE, cleared | {"title": "new question"}), Action.INTENDED, "6a")
    again = era | {"clear_generation": "c0"}
    step((FIVE, again), ([], cleared), Action.INTENDED, "6a")


@pytest.mark.parametrize("era", [OLD, V137, V720])
def test_rule_6_a_clear_that_is_not_marked(era: Value) -> None:
    cleared = era | {"title": "Untitled", "context_messages": FIVE}
    verdict = step((FIVE, era), ([], cleared), Action.INTENDED, "6")
    assert verdict.is_clear
    assert "the title was taken away, as by a clear" in verdict.evidence
    step((FIVE, era | STALE), ([], cleared), Action.INTENDED, "6")


def test_rule_6_a_clear_of_the_last_releases_that_did_not_mark_it() -> None:
    """v0.51.860 and later empty the context too, and set both marks to 0."""
    step((FIVE, V720), ([], cut_marks(V720, 0.0) | GONE | {"title": "Untitled"}), Action.INTENDED, "6")
    step((FIVE, V720), ([], V720 | GONE | {"title": "Untitled"}), Action.LOSS, "25")


def test_rule_6_not_when_the_file_was_made_anew_or_says_nothing() -> None:
    kept = {"context_messages": FIVE, "title": "Untitled"}
    check(verdict_on(file(FIVE), file([], title=None, context_messages=FIVE)), Action.LOSS, "25")
    # A second server that knew the session when it was still empty: no context, or lower counters.
    step((FIVE, OLD), ([], GONE | {"title": "Untitled"}), Action.LOSS, "25")
    step((FIVE, OLD), ([], kept | {"input_tokens": 0}), Action.LOSS, "25")
    step((FIVE, OLD), ([], kept | {"input_tokens": 200}), Action.LOSS, "25")
    verdict = step((FIVE, OLD), ([], kept | {"pinned": True}), Action.LOSS, "25")
    assert "a clear would not change `pinned`" in verdict.evidence
    # A writer that marks its clears has not cleared.
    assert verdict_on(file(FIVE, **V875), file([], **V875 | kept)).action is not Action.INTENDED
    step((FIVE, NEW), ([], NEW | GONE | {"title": "Untitled"}), Action.LOSS, "7")


def test_rule_6_an_older_state_with_an_older_clear_is_no_clear() -> None:
    after_clear = V875 | {"clear_generation": "c2", "title": "new question"}
    before_clear = V875 | {"clear_generation": "c1"}
    verdict = verdict_on(file(LATE, **after_clear), file(FIVE, **before_clear))
    assert verdict.action is Action.UNCERTAIN


# ---- 8, 9, 10: shrinks by watermark or by shape alone ------------------------------------------------------------------


@pytest.mark.parametrize("era", [V137, V720, V875])
def test_rule_8_by_the_watermark(era: Value) -> None:
    marks = at(1045.0) if era is not V137 else {"truncation_watermark": 1045.0}
    verdict = step((FIVE, era), (FIVE[:8], era | marks), Action.INTENDED, "9")
    assert "the truncation watermark was set anew" in verdict.evidence
    moved = era | marks | {"truncation_watermark": 3000.0}
    step((FIVE, era), ([*FIVE[:8], *LATE], moved), Action.INTENDED, "8b")
    one = turns(1)
    zero = at(0.0) if era is not V137 else {"truncation_watermark": 0.0}
    step((one, era), ([], era | zero), Action.INTENDED, "11")


def test_rule_8_not_twice_from_one_watermark() -> None:
    """After a cut the watermark moves on with every turn; that is no second cut."""
    before = V137 | {"truncation_watermark": 1050.0}
    late = [*FIVE[:8], *LATE]
    step((FIVE, before), (late, V137 | {"truncation_watermark": 3000.0}), Action.UNCERTAIN, "17")


def test_rule_8_not_two_turns_not_another_place_not_backwards() -> None:
    step((FIVE, V720), (FIVE[:6], V720 | at(1035.0)), Action.UNCERTAIN, "10")
    step((FIVE, V720), (FIVE[:8], V720 | at(1035.0)), Action.LOSS, "25")
    step((FIVE, V720), (FIVE[:8], V720 | at(1045.0) | {"input_tokens": 60}), Action.LOSS, "25")


def test_rule_8_the_cut_and_the_next_turn_while_nobody_looked() -> None:
    now = V137 | {"truncation_watermark": 3000.0}
    step((FIVE, V137), ([*FIVE[:8], *LATE], now), Action.INTENDED, "8b")
    step((FIVE, V137), ([*FIVE[:6], *LATE], now), Action.UNCERTAIN, "17")


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_rule_9_by_shape(era: Value) -> None:
    undone = cut_marks(era, 1045.0)
    verdict = step((FIVE, era), (FIVE[:8], undone), Action.INTENDED, "9")
    assert "one user turn is gone, as after an undo" in verdict.evidence
    step((FIVE, era | STALE), (FIVE[:8], undone | STALE), Action.INTENDED, "9")


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_rule_8_an_edit_and_a_regeneration(era: Value) -> None:
    kept = {"context_messages": FIVE} if era in (OLD, V137) else {}
    step((FIVE, era), (FIVE[:9], cut_marks(era, 1050.0) | kept), Action.INTENDED, "8")
    if kept:
        step((FIVE, era), (FIVE[:8], cut_marks(era, 1045.0) | kept), Action.INTENDED, "9")
        verdict = step((FIVE, era), (FIVE[:9], cut_marks(era, 1050.0)), Action.LOSS, "25")
        assert any("leave the model's context as it was" in sentence for sentence in verdict.evidence)


def test_rule_9_a_turn_with_tools_and_cards_is_one_turn() -> None:
    turn = [
        user("do it", 1100),
        user("[System: You edited code.]", 1100, _verification_stop_synthetic=True),
        calling("c1", 1101),
        tool("ok", "c1", 1101),
        calling("c2", 1102),
        tool("ok", "c2", 1102),
        answer("done", 1103),
    ]
    step(([*FIVE, *turn], OLD), (FIVE, OLD), Action.INTENDED, "9")


def test_rule_9_not_when_the_counters_go_back() -> None:
    verdict = step((FIVE, OLD), (FIVE[:8], {"input_tokens": 60}), Action.LOSS, "25")
    step((FIVE, OLD), (FIVE[:8], {"input_tokens": 160}), Action.LOSS, "25")
    assert "the token counters went backwards, as when an older state is written" in verdict.evidence


def test_rule_9_who_has_not_seen_a_repair_takes_nothing_back() -> None:
    """A server goes on from its own memory: that is one side of the repair, word for word."""
    live = file(FIVE[:8])
    around = {"repaired": True, "before_repair": (live, file([]))}
    verdict = step((FIVE, OLD), (FIVE[:8], OLD), Action.LOSS, "25", **around)
    assert "live says again what it said before the repair" in verdict.evidence
    step((FIVE, OLD), (FIVE[:8], OLD), Action.INTENDED, "9", repaired=True, before_repair=(file(FIVE[:6]),))
    # A stale server has the counters that it had; who takes the last turn back leaves those of the repair.
    stale = {"repaired": True, "before_repair": (file(FIVE[:8], input_tokens=60),)}
    step((FIVE, OLD), (FIVE[:8], OLD), Action.INTENDED, "9", **stale)
    # Who takes back the prompt that the repair brought has seen the repair.
    recovered = [*FIVE[:8], user("unsent", 1050, _recovered=True)]
    step((recovered, OLD), (FIVE[:8], OLD), Action.INTENDED, "9", **around)
    # What is marked is meant, whatever was said before.
    step((FIVE, V720), (FIVE[:8], V720 | at(1045.0)), Action.INTENDED, "9", **around)


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_rule_10_two_turns_at_once(era: Value) -> None:
    verdict = step((FIVE, era), (FIVE[:6], era), Action.UNCERTAIN, "10")
    assert "2 user turns went in one write" in verdict.evidence
    assert "what is left is the start of the conversation, unharmed" in verdict.against


# ---- 11: emptied -------------------------------------------------------------------------------------------------------


def test_rule_11_the_only_turn() -> None:
    step((turns(1), OLD), ([], OLD), Action.INTENDED, "11")
    step((turns(1), OLD), ([], {"input_tokens": 200}), Action.LOSS, "25")
    step((turns(1), OLD), ([], {"pinned": True}), Action.LOSS, "25")


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_rule_11_waits_for_a_prompt_then_is_uncertain(era: Value) -> None:
    emptied = cut_marks(era, 0.0) | {"context_messages": FIVE}
    assert step((FIVE, era), ([], emptied), Action.WAIT, "11b").wait_seconds == 2.5
    step((FIVE, era), ([], emptied), Action.UNCERTAIN, "11b", waited_seconds=2.5)
    step((FIVE, era), ([], emptied | {"pending_user_message": "other words"}), Action.INTENDED, "11")


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_rule_11_the_new_prompt_is_a_message_at_once(era: Value) -> None:
    """The eager save mode writes a prompt as a message when it is sent."""
    pending = {"active_stream_id": "s", "pending_user_message": "new  question", "pending_started_at": 3000.0}
    now = cut_marks(era, 0.0) | pending | {"context_messages": FIVE}
    asked = [user("new question", 3000.0)]
    step((FIVE, era), (asked, now), Action.INTENDED, "11")
    step((FIVE, era), (asked, now | {"pending_user_message": "another"}), Action.UNCERTAIN, "22")
    step((FIVE, era), ([user("new question", 900.0)], now), Action.UNCERTAIN, "22")
    step((FIVE, era), (asked, now | {"input_tokens": 50}), Action.UNCERTAIN, "22")
    step((turns(16), era), (asked, now), Action.UNCERTAIN, "22")


def test_rule_11_not_for_a_chat_longer_than_the_window() -> None:
    for count, action, number in ((16, Action.WAIT, "11b"), (15, Action.INTENDED, "11")):
        asked = {"pending_user_message": "other", "context_messages": turns(count)}
        step((turns(count), OLD), ([], asked), action, number)


def test_rule_11_a_second_server_that_knew_no_turn_yet() -> None:
    prompt = GONE | {"pending_user_message": "its own", "active_stream_id": "b", "input_tokens": 0}
    step((FIVE, OLD), ([], prompt), Action.LOSS, "25")


def test_rule_11_not_with_a_stream_and_not_after_a_repair() -> None:
    step((FIVE, STALE), ([], STALE), Action.UNCERTAIN, "22")
    step((turns(1), OLD), ([], GONE), Action.LOSS, "15", repaired=True)
    # The model's context is still there: this writer never lost the session.
    step((FIVE, OLD), ([], {"context_messages": FIVE}), Action.WAIT, "11b", repaired=True)


# ---- 12: compression of old releases -------------------------------------------------------------------------------------

SUMMARY = user("[CONTEXT COMPACTION — REFERENCE ONLY] Earlier turns were compacted.")
SHORT = [SUMMARY, user("question 5"), answer("answer 5")]
ANCHOR = {"compression_anchor_visible_idx": 1, "compression_anchor_message_key": {"role": "assistant"}}


@pytest.mark.parametrize("era", [OLD, V137])
def test_rule_12_the_summary_takes_the_place(era: Value) -> None:
    now = era | ANCHOR | {"context_messages": SHORT}
    step((FIVE, era), (SHORT, now), Action.INTENDED, "12")
    step((FIVE, era), (SHORT, now), Action.INTENDED, "12", repaired=True)


def test_rule_12_not_without_its_evidence() -> None:
    now = ANCHOR | {"context_messages": SHORT}
    step((FIVE, V720), (SHORT, V720 | now), Action.UNCERTAIN, "17")
    step((FIVE, ANCHOR), (SHORT, now), Action.UNCERTAIN, "17")
    step((FIVE, OLD), (SHORT, ANCHOR | {"context_messages": FIVE}), Action.UNCERTAIN, "17")
    # A release writes its own empty anchors into the file of an earlier one.
    upgraded = V137 | {"compression_anchor_details": {}, "compression_anchor_mode": None}
    step((FIVE, OLD), (FIVE[-2:], upgraded), Action.UNCERTAIN, "17")


# ---- 13, 14, 15: stale writers, and what looks like them
# --------------------------------------------------------------------------

FRESH = {"context_messages": LATE}


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_rule_13_only_new_messages_after_an_unseen_wipe(era: Value) -> None:
    verdict = step((FIVE, era | STALE), (LATE, era | FRESH), Action.MERGE, "13")
    assert "live has 2 new messages, which must not be lost either" in verdict.evidence
    step((FIVE, era | STALE | {"title": "Untitled"}), (LATE, era | FRESH), Action.MERGE, "13")
    prompt = era | GONE | {"active_stream_id": "other", "pending_user_message": "next"}
    step((FIVE, era | STALE), ([], prompt), Action.MERGE, "13")


def test_rule_13_not_without_its_evidence() -> None:
    step((FIVE, OLD), (LATE, FRESH), Action.UNCERTAIN, "22")
    step((FIVE, STALE), (LATE, FRESH | {"title": "Another"}), Action.UNCERTAIN, "22")
    step((FIVE, STALE), (LATE, FRESH | {"created_at": 9.0}), Action.INTENDED, "24")
    step((FIVE, STALE), (LATE, {"context_messages": [*FIVE, *LATE]}), Action.UNCERTAIN, "22")
    early = [user("older", 500), answer("older", 501)]
    step((FIVE, STALE), (early, {"context_messages": early}), Action.UNCERTAIN, "22")
    step(
        (FIVE, V137 | STALE), (LATE, V137 | FRESH | {"truncation_watermark": 3000.0}), Action.UNCERTAIN, "22"
    )


@pytest.mark.parametrize("era", [OLD, V137, V720])
def test_rule_14_clear_and_a_new_chat_while_nobody_looked(era: Value) -> None:
    now = era | {"title": "new question", "context_messages": [*FIVE, *LATE]}
    verdict = step((FIVE, era), (LATE, now), Action.INTENDED, "14")
    assert verdict.is_clear
    assert "the title was made anew from the first new question" in verdict.evidence
    step((FIVE, era | GONE | STALE), (LATE, era | FRESH | {"title": "new question"}), Action.INTENDED, "14")


def test_rule_14_clears_that_empty_the_context_and_set_the_watermark() -> None:
    """As releases shortly before v0.51.875 do."""
    now = V720 | FRESH | {"title": "new question"} | at(0.0)
    step((FIVE, V720), (LATE, now), Action.INTENDED, "14")


@pytest.mark.parametrize("live", [FIVE[:8], FIVE[:4], [*FIVE[:8], *LATE]])
@pytest.mark.parametrize("era", [OLD, V137, V720, V875, NEW])
def test_a_file_made_anew_out_of_the_database_lacks_messages_and_is_no_act(
    live: list[Any], era: Value
) -> None:
    anew = {"created_at": 1.75, "updated_at": 2.5}
    before, after = file(FIVE, updated_at=2.5, **era), file(live, **era | anew)
    assert verdict_on(before, after).action not in (Action.INTENDED, Action.GROWTH)


def test_rule_14_the_tokens_of_a_short_turn_are_fewer() -> None:
    """Since v0.51.25 the counters are of the last turn; the old context is still there, or the cut is marked."""
    now = FRESH | {"title": "new question", "input_tokens": 50}
    step((FIVE, OLD), (LATE, now | {"context_messages": [*FIVE, *LATE]}), Action.INTENDED, "14")
    marks = V720 | {"truncation_boundary": 0.0, "truncation_watermark": 3001.0}
    step((FIVE, V720), (LATE, now | marks | {"context_messages": LATE}), Action.INTENDED, "14")


def test_rule_14_not_without_its_evidence() -> None:
    now = FRESH | {"title": "new question"}
    # A second server that knew the session when it was still empty.
    step((FIVE, OLD), (LATE, now), Action.UNCERTAIN, "22")
    now["context_messages"] = [*FIVE, *LATE]
    step((FIVE, GONE), (LATE, now | GONE | {"input_tokens": 50}), Action.UNCERTAIN, "22")
    # A second server that does not have the last two of these turns, of which one said what others had said.
    older = now | {"context_messages": [*FIVE[:6], *LATE], "input_tokens": 50}
    step((FIVE, V137), (LATE, V137 | older), Action.UNCERTAIN, "22")
    step((FIVE, V875), (LATE, V875 | now), Action.UNCERTAIN, "22")
    step((FIVE, NEW), (LATE, NEW | now), Action.MERGE, "7")
    # What the model still knows must be what is missing now, not what went before.
    cleared = {"context_messages": [*turns(1, 50, 100), *FIVE]}
    step(
        (FIVE, cleared),
        (LATE, now | {"context_messages": [*turns(1, 50, 100), *LATE]}),
        Action.UNCERTAIN,
        "22",
    )
    step((FIVE, OLD), (LATE, now | {"title": "new answer"}), Action.UNCERTAIN, "22")


def test_rule_15_a_stale_writer_goes_on() -> None:
    merged = [*FIVE, *LATE]
    more = [*LATE, user("more", 3100), answer("more yet", 3101)]
    step((merged, OLD), (more, {"context_messages": more}), Action.MERGE, "15", repaired=True)
    step((merged, OLD), (LATE, FRESH), Action.LOSS, "15", repaired=True)
    step((merged, OLD), ([], GONE), Action.LOSS, "15", repaired=True)
    step((merged, OLD), ([], GONE | {"title": "Named by a user"}), Action.LOSS, "15", repaired=True)
    prompt = GONE | {"active_stream_id": "s", "pending_user_message": "next"}
    step((merged, OLD), ([], prompt), Action.MERGE, "13", repaired=True)


def test_an_older_state_brings_an_older_mark() -> None:
    """Recovery from a `.bak` of before the cut: its generation is another one, but its messages are none that were said since."""
    step((LATE, NEW | marked(0.0, "g2")), (FIVE[:2], NEW | marked(0.0, "g1")), Action.UNCERTAIN, "22")
    step((LATE, V720 | at(0.0)), (FIVE[:2], V720 | at(0.5)), Action.UNCERTAIN, "22")
    step((FIVE, NEW | marked(0.0, "g2")), (LATE, NEW | marked(0.0, "g3")), Action.INTENDED, "4")


@pytest.mark.parametrize("era", [V137, V720])
def test_a_stale_writer_with_the_watermark_of_an_earlier_cut(era: Value) -> None:
    """A repair moves the watermark on, a stale writer's turns do too: neither says that anything was taken back."""
    merged, now = [*FIVE, *LATE], era | at(1009.0)
    more = [*LATE, user("more", 3100), answer("more yet", 3101)]
    was = now | {"truncation_watermark": 3001.0}
    prompt = now | GONE | {"active_stream_id": "s", "pending_user_message": "next"}
    verdict = step((merged, was), ([], prompt), Action.MERGE, "13", repaired=True)
    assert "the truncation watermark is that of an earlier cut" in verdict.evidence
    step((merged, was), ([], now | GONE), Action.LOSS, "15", repaired=True)
    turn = now | {"truncation_watermark": 3101.0, "context_messages": more}
    step((merged, was), (more, turn), Action.MERGE, "15", repaired=True)
    # The conversation was edited from its first turn on.
    anew = now | {"context_messages": merged} | at(0.0)
    step((merged, was), ([], anew), Action.WAIT, "11b", repaired=True)


def test_rule_15_not_without_its_evidence() -> None:
    merged = [*FIVE, *LATE]
    more = [*LATE, user("more", 3100), answer("more yet", 3101)]
    step((merged, OLD), (more, {"context_messages": more}), Action.UNCERTAIN, "17")
    step(
        (merged, OLD),
        ([], {"context_messages": merged, "title": "Untitled"}),
        Action.INTENDED,
        "6",
        repaired=True,
    )
    step(
        (merged, OLD),
        (more, {"context_messages": [*merged, *more[2:]]}),
        Action.UNCERTAIN,
        "17",
        repaired=True,
    )


# ---- 16, 17, 22 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_rule_16_an_older_and_longer_copy(era: Value) -> None:
    newer = [*FIVE[:6], *LATE]
    verdict = step((newer, era), (FIVE, era), Action.MERGE, "16")
    assert verdict.messages_lost == 2
    step((newer, era), (FIVE, era | {"truncation_watermark": 900.0}), Action.MERGE, "16")


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_rule_17_another_tail(era: Value) -> None:
    late = [*FIVE[:7], answer("late", 3000)]
    step((FIVE, era), (late, era), Action.UNCERTAIN, "17")
    same_count = [*FIVE[:7], answer("late", 3000), user("x", 3001), answer("y", 3002)]
    step((FIVE, era), (same_count, era), Action.UNCERTAIN, "17")
    step((FIVE, era), ([*FIVE[:4], *FIVE[5:]], era), Action.UNCERTAIN, "17")
    step((FIVE, era), (FIVE[-2:], era), Action.UNCERTAIN, "17")


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_rule_17_a_broken_off_answer_comes_late_over_the_next_turn(era: Value) -> None:
    """#6623: the marker of the broken turn, or what there was of its answer, gives way to the answer; the turn behind is gone."""
    late = answer("broken answer of the first", 3000)
    for broken in (
        answer("**Previous turn did not complete.**", 1025, _error=True),
        answer("broken answer", 1025, _partial=True),
    ):
        before, after = [*FIVE[:7], broken, *FIVE[8:]], [*FIVE[:7], late]
        verdict = step((before, era), (after, era), Action.UNCERTAIN, "17")
        assert "an answer that was broken off came after all, so the writer was at work" in verdict.evidence
        if era is not OLD:
            # After an earlier cut the watermark moves on with every turn; that is no second cut.
            cut, moved = {"truncation_watermark": 1005.0}, {"truncation_watermark": 3000.0}
            step((before, era | cut), (after, era | moved), Action.UNCERTAIN, "17")
        step((before, era), ([*FIVE[:7], broken], cut_marks(era, 1025.0)), Action.INTENDED, "9")


def test_rule_22_nothing_explains_it() -> None:
    step((FIVE, OLD), (turns(5, 50, 9000), OLD), Action.UNCERTAIN, "22")


# ---- the table -------------------------------------------------------------------------------------------------------------


ANEW = turns(1, 9, 2000)


@pytest.mark.parametrize("era", [OLD, V137])
def test_rule_8c_a_turn_that_was_cut_and_said_anew_between_two_looks(era: Value) -> None:
    """The marks of a cut are gone again when the turn ends; how many saves there were is known."""
    before = file(FIVE, era)
    for live in ([*FIVE[:8], *ANEW], [*FIVE[:9], ANEW[1]]):
        after = file(live, era, updated_at=9.5, input_tokens=120)
        for saves, action in (
            (4, Action.INTENDED),
            (3, Action.INTENDED),
            (2, Action.UNCERTAIN),
            (1, Action.UNCERTAIN),
        ):
            assert verdict_on(before, after, saves=saves).action is action
        assert verdict_on(before, after, saves=None).action is Action.UNCERTAIN
        assert verdict_on(before, after, saves=4, writer="another").action is Action.UNCERTAIN
        assert verdict_on(before, after, saves=4).rule.startswith("8c ")
    # The first one: old releases keep the context, and one from an empty memory knows none of it.
    for context, action in (([*FIVE, *ANEW], Action.INTENDED), (ANEW, Action.UNCERTAIN)):
        after = file(ANEW, era, updated_at=9.5, context_messages=context)
        assert verdict_on(before, after, saves=4).action is action
    # Two turns are more than one act takes; what goes on elsewhere is a late worker.
    assert (
        verdict_on(before, file([*FIVE[:6], *ANEW], era, updated_at=9.5), saves=4).action is Action.UNCERTAIN
    )
    late = file([*FIVE[:7], ANEW[1]], era, updated_at=9.5)
    assert verdict_on(before, late, saves=4).action is Action.UNCERTAIN
    assert (
        verdict_on(before, file([*FIVE[:8], *ANEW], era, updated_at=1.5), saves=4).action
        is not Action.INTENDED
    )
    gone = file([*FIVE[:8], *ANEW], era, updated_at=9.5, context_messages=[])
    assert verdict_on(before, gone, saves=4).action is not Action.INTENDED
    asked = file(FIVE, era, pending_user_message="unsent", active_stream_id="s1", pending_started_at=1990.0)
    assert (
        verdict_on(asked, file([*FIVE[:8], *ANEW], era, updated_at=9.5), saves=4).action
        is not Action.INTENDED
    )
    marked = file([*FIVE[:8], *ANEW], NEW, updated_at=9.5)
    assert verdict_on(file(FIVE, NEW), marked, saves=4).action is not Action.INTENDED


def test_rule_8c_after_a_repair_a_turn_alone_is_that_of_a_stale_writer() -> None:
    """Where a release keeps no context, nothing else tells an empty memory from an edit of the first turn."""
    before, after = file(FIVE, context_messages=[]), file(ANEW, updated_at=9.5, context_messages=[])
    assert verdict_on(before, after, saves=4).rule.startswith("8c ")
    assert verdict_on(before, after, saves=4, repaired=True).action is Action.MERGE


def test_rule_8b_what_is_back_at_its_place_does_not_speak_against_a_cut() -> None:
    """A message that an older loss took is there again in the memory of the server that cuts."""
    marked = {"truncation_watermark": FIVE[7]["timestamp"], "updated_at": 9.5}
    verdict = verdict_on(file(FIVE[1:], V137), file([*FIVE[:8], *ANEW], V137 | marked))
    assert (verdict.action, verdict.rule[:2]) == (Action.INTENDED, "8b")


def test_all_rules_are_there_once() -> None:
    numbers = [rule.number for rule in (*UNREADABLE_RULES, *RULES, *MISSING_RULES)]
    assert {int(number) for number in numbers if number.isdecimal()} == {*range(1, 27)}
    assert len(numbers) == len(set(numbers)) == 32


def test_no_verdict_quotes_a_message() -> None:
    secret = [user("the secret words", 1000), answer("more secret words", 1001)] * 3
    for era in (OLD, NEW):
        for messages in ([], secret[:2], LATE, [user("secret tail", 5000)]):
            for around in ({}, {"repaired": True}):
                verdict = verdict_on(
                    file(secret, **era, **STALE | {"pending_user_message": "secret prompt"}),
                    file(messages, **era),
                    **around,
                )
                assert "secret" not in repr(verdict)
                assert "secret" not in str((verdict.evidence, verdict.against))


# ---- rules that are not asked of their neighbour's case ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "around", "number"),
    [
        pytest.param(([], OLD), (FIVE, {"session_id": "t"}), {}, "2", id="another session, nothing to lose"),
        pytest.param((FIVE, OLD), (FIVE, {"session_id": "t"}), {}, "23", id="another session"),
        pytest.param((FIVE, NEW), ([], NEW | marked(0)), {}, "4", id="marked, and all of it went"),
        pytest.param(
            (FIVE, NEW | marked(1055)), ([*FIVE[2:], *LATE, *turns(2, 80, 7000)], NEW | marked(9, "g2")), {}, "17",
            id="marked, and longer than it was",
        ),
    ],
)  # fmt: skip
def test_a_rule_leaves_its_neighbours_case_alone(
    before: tuple[list[Any], Value], after: tuple[list[Any], Value], around: Value, number: str
) -> None:
    found = verdict_on(file(before[0], **before[1]), file(after[0], **after[1]), name="s", **around)
    assert found.rule.split()[0] == number


@pytest.mark.parametrize(("repaired", "is_newer"), [(True, True), (False, False)])
def test_a_stale_writer_is_the_newer_side_whatever_its_times_say(repaired: bool, is_newer: bool) -> None:
    found = verdict_on(file(FIVE), file(LATE, **GONE, updated_at=1.0), repaired=repaired)
    assert found.is_newer == is_newer


@pytest.mark.parametrize("count", [1, 2, 3])
def test_three_messages_of_one_turn_are_no_single_deletion(count: int) -> None:
    """Releases that delete single messages take two at the most."""
    turn = [user("run", 1021), calling("t1", 1022), tool("done", "t1", 1023), answer("ok", 1024)]
    before = [*FIVE[:2], *turn, *FIVE[2:]]
    after = [*FIVE[:2], *turn[: len(turn) - count], *FIVE[2:]]
    found = verdict_on(file(before, **NEW), file(after, **NEW | marked(1055)))
    assert (found.rule.split()[0] == "4b") == (count <= 2)
