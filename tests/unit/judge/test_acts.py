"""Each act of the table explains what it leaves, in each era, and nothing that differs from it in one single part."""

import json
from typing import Any

import pytest

from hermesguard.judge.acts import ACTS, Part
from hermesguard.judge.verdict import Action
from hermesguard.webui import session
from tests.helpers.cases import (
    FIVE,
    NEW,
    OLD,
    OTHER,
    V137,
    V720,
    V875,
    Value,
    answer,
    calling,
    tool,
    turns,
    user,
    verdict_on,
)

CALLS = [{"name": "terminal", "tid": "t1", "assistant_msg_idx": 1}]
SUMMARY = [user("[CONTEXT COMPACTION — REFERENCE ONLY] tiles"), *FIVE[-2:]]


def base(messages: list[Value], era: Value) -> Value:
    """A session before an act."""
    return {
        "session_id": "s",
        "title": "A title",
        "created_at": 1.5,
        "updated_at": 2.5,
        "pinned": False,
        "input_tokens": 100,
        "active_stream_id": None,
        "pending_user_message": None,
        "compression_anchor_visible_idx": None,
        **era,
        "messages": messages,
        "tool_calls": CALLS,
        "context_messages": messages,
    }


def marks(era: Value, stamp: float) -> Value:
    return {key: stamp for key in ("truncation_watermark", "truncation_boundary") if key in era}


def undo(era: Value) -> tuple[Value, Value]:
    before = base(FIVE, era)
    return before, before | {"messages": FIVE[:8], "context_messages": FIVE[:8]} | marks(era, 1045.0)


def truncate(era: Value) -> tuple[Value, Value]:
    before = base(FIVE, era)
    context = FIVE[:9] if "message_count" in era else FIVE
    return before, before | {"messages": FIVE[:9], "context_messages": context} | marks(era, 1050.0)


def first_turn(era: Value) -> tuple[Value, Value]:
    before = base(turns(1), era)
    return before, before | {"messages": [], "context_messages": []} | marks(era, 0.0)


def clear(era: Value) -> tuple[Value, Value]:
    before = base(FIVE, era)
    return before, before | {"messages": [], "tool_calls": [], "title": "Untitled"}


HALF = [answer("It is", 1101, _partial=True), answer("*Task cancelled.*", 1101, _error=True)]


def stop(era: Value) -> tuple[Value, Value]:
    earlier = [*FIVE, user("look", 1090), calling("t1", 1091), tool("done", "t1", 1092), answer("so", 1093)]
    asked = [*earlier, user("long", 1100)]
    before = base([*asked, *HALF], era) | {"context_messages": earlier}
    return before, before | {"messages": asked, "context_messages": asked, "input_tokens": 120}


def compression(era: Value) -> tuple[Value, Value]:
    before = base(FIVE, era)
    lists = {"messages": SUMMARY, "tool_calls": [], "context_messages": SUMMARY}
    return before, before | lists | {"compression_anchor_visible_idx": 1}


DONE = {
    "undo": undo,
    "truncate": truncate,
    "first turn": first_turn,
    "clear": clear,
    "stop": stop,
    "compression": compression,
}
ERA_ORDER = [OLD, V137, V720, V875]
ERAS = {"undo": V720, "truncate": V720, "first turn": V720, "clear": V720, "stop": OLD, "compression": V137}


def judged(before: Value, after: Value, **around: Any) -> Any:
    later = after if after["updated_at"] != before["updated_at"] else after | {"updated_at": 3.5}
    files = (session.parse(json.dumps(value).encode()) for value in (before, later))
    return verdict_on(*files, **around)


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
@pytest.mark.parametrize("act", DONE)
def test_an_act_is_explained_in_every_era_that_has_it(act: str, era: Value) -> None:
    last = {"clear": V720, "compression": V137, "stop": OLD}.get(act, V875)
    if ERA_ORDER.index(era) > ERA_ORDER.index(last):
        assert judged(*DONE[act](era)).action is not Action.INTENDED
        return
    verdict = judged(*DONE[act](era))
    assert (verdict.action, verdict.rule.split(" ", 1)[1]) == (Action.INTENDED, act)


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_an_undo_behind_a_rotation_leaves_no_context(era: Value) -> None:
    """Its summary is the last message by a user, where what was kept of the last turn is no question: all of it goes."""
    messages = [*SUMMARY, *FIVE[:4]]
    before = base(messages, era) | {"context_messages": [SUMMARY[0], FIVE[3]]}
    after = before | {"messages": messages[:-2], "context_messages": []} | marks(era, 1015.0)
    assert judged(before, after).rule == "9 undo"


def test_an_undo_leaves_the_context_before_its_last_question() -> None:
    """Where one was left, the model still knows what is shown, so no undo empties it."""
    messages = [*SUMMARY, *FIVE[:4]]
    before = base(messages, OLD) | {"context_messages": [SUMMARY[0], *FIVE[2:4]]}
    after = before | {"messages": messages[:-2]}
    assert judged(before, after | {"context_messages": SUMMARY[:1]}).rule == "9 undo"
    assert judged(before, after | {"context_messages": []}).action is not Action.INTENDED


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_of_a_question_that_was_said_twice_one_can_be_taken_back(era: Value) -> None:
    """The first time it got no answer; that it still stands once says nothing of the turn that went."""
    again = [*FIVE, user("once more", 2000.0), user("once more", 2010.0)]
    for messages in ([*again, answer("at last", 2011.0)], again):
        before = base(messages, era)
        after = before | {"messages": again[:-1], "context_messages": again[:-1]} | marks(era, 2000.0)
        verdict = judged(before, after)
        assert (verdict.action in (Action.INTENDED, Action.GROWTH), verdict.taken) == (True, ())


def test_a_context_of_nothing_but_the_last_turn_goes_with_it() -> None:
    before = base(FIVE, V875) | {"context_messages": FIVE[9:]}
    after = before | {"messages": FIVE[:9], "context_messages": []} | marks(V875, 1050.0)
    assert judged(before, after).rule == "8 truncate"


TOUCHED: dict[Part, tuple[Value, Value]] = {
    Part.CALLS: ({}, {"tool_calls": [{"name": "terminal", "tid": "t2", "assistant_msg_idx": 0}]}),
    Part.TITLE: ({}, {"title": "Another"}),
    Part.COUNTERS: ({}, {"input_tokens": 101}),
    Part.TIME: ({}, {"updated_at": 1.5}),
    Part.ANCHORS: ({}, {"compression_anchor_visible_idx": 7}),
    Part.STREAM: ({"active_stream_id": "s1"}, {"active_stream_id": None}),
    Part.SETTINGS: ({}, {"pinned": True}),
    Part.CONTEXT: ({}, {"context_messages": OTHER}),
    Part.MARKS: ({}, {"truncation_watermark": None, "truncation_boundary": None}),
}
"""What one part more than the act would touch looks like: (before, after)."""

OWN: dict[tuple[str, Part], tuple[Value, Value]] = {
    ("undo", Part.MESSAGES): (
        {},
        {"messages": FIVE[:6], "context_messages": FIVE[:6], **marks(V720, 1035.0)},
    ),
    ("truncate", Part.MESSAGES): (
        {},
        {"messages": FIVE[:5], "context_messages": FIVE[:5], **marks(V720, 1030.0)},
    ),
    ("first turn", Part.MESSAGES): ({"messages": turns(2)}, {}),
    ("first turn", Part.STREAM): ({"active_stream_id": "s1"}, {"active_stream_id": "s1"}),
    ("clear", Part.MESSAGES): ({}, {"messages": FIVE[:1]}),
    ("clear", Part.STREAM): ({}, {"pending_user_message": "new", "active_stream_id": "s2"}),
    ("clear", Part.CALLS): ({}, {"tool_calls": CALLS}),
    ("clear", Part.TITLE): ({}, {"title": "A title"}),
    ("clear", Part.MARKS): ({}, {"context_messages": []}),
    ("stop", Part.MESSAGES): ({}, {"messages": FIVE}),
    ("stop", Part.CONTEXT): ({}, {"context_messages": FIVE}),
    ("stop", Part.CALLS): ({}, {"tool_calls": []}),
    ("stop", Part.COUNTERS): ({}, {"input_tokens": 99}),
    ("stop", Part.MARKS): ({"truncation_watermark": None}, {"truncation_watermark": None}),
    ("compression", Part.MESSAGES): (
        {},
        {"messages": [*FIVE[1:], *OTHER], "context_messages": [*FIVE[1:], *OTHER]},
    ),
    ("compression", Part.CONTEXT): ({}, {"context_messages": FIVE}),
    ("compression", Part.CALLS): ({}, {"tool_calls": CALLS}),
    ("compression", Part.ANCHORS): ({}, {"compression_anchor_visible_idx": None}),
    ("compression", Part.MARKS): ({"truncation_boundary": None}, {"truncation_boundary": None}),
}


@pytest.mark.parametrize("part", list(Part))
@pytest.mark.parametrize("act", DONE)
def test_one_part_that_the_act_would_leave_otherwise_says_that_it_was_not_that_act(
    act: str, part: Part
) -> None:
    before, after = DONE[act](ERAS[act])
    was, now = OWN.get((act, part)) or TOUCHED[part]
    known = next(known for known in ACTS if known.name == act)
    assert part in known.parts
    if "active_stream_id" in was and "active_stream_id" not in now:
        now = now | {"active_stream_id": None}
    verdict = judged(before | was, after | now)
    assert verdict.action is not Action.INTENDED


@pytest.mark.parametrize("act", DONE)
def test_of_a_pending_prompt_a_compression_and_acts_that_empty_the_file_let_go(act: str) -> None:
    """Nothing streams, so nobody answers it any more; an undo or an edit leaves it where it is."""
    before, after = DONE[act](ERAS[act])
    pending = {"pending_user_message": "typed by hand", "pending_started_at": 2001.5}
    verdict = judged(before | pending, after | dict.fromkeys(pending))
    is_let_go = act in ("compression", "clear", "first turn")
    assert (verdict.action is Action.INTENDED) == is_let_go, verdict


def test_the_sentence_that_people_read() -> None:
    before, after = undo(OLD)
    verdict = judged(before, after | {"pinned": True})
    assert (verdict.action, verdict.rule) == (Action.LOSS, "25 older state")
    assert "an undo would not change `pinned`" in verdict.evidence


def test_an_answer_goes_with_its_question() -> None:
    """A pin that is saved from a copy of before the answer, in a release whose edits leave the context alone."""
    before = base(FIVE, OLD)
    stale = before | {"messages": FIVE[:9], "context_messages": FIVE[:9]}
    assert judged(before, stale).action is Action.LOSS


def test_a_context_of_the_same_length_that_says_something_else_was_not_kept() -> None:
    before, after = undo(OLD)
    first, second, *rest = before["context_messages"]
    assert judged(before, after).action is Action.INTENDED
    other = [first, second | {"content": "something else"}, *rest]
    assert judged(before, after | {"context_messages": other}).action is not Action.INTENDED


def test_several_saves_may_be_several_acts() -> None:
    before, _ = undo(OLD)
    thrice = before | {"messages": FIVE[:4], "context_messages": FIVE[:4]}
    assert judged(before, thrice).action is Action.UNCERTAIN
    assert judged(before, thrice, saves=3).action is Action.INTENDED
    assert judged(before, thrice, saves=2).action is Action.UNCERTAIN
    pinned = undo(OLD)[1] | {"pinned": True}
    assert judged(before, pinned, saves=2).action is Action.INTENDED
    # After a stop of the guard nobody knows: one turn, and settings.
    assert judged(before, pinned, saves=None).action is Action.INTENDED
    assert judged(before, thrice, saves=None).action is Action.UNCERTAIN


@pytest.mark.parametrize("saves", [1, 3, None])
def test_marked_acts_stand_in_any_number_though_nobody_counted(saves: int | None) -> None:
    before = base(FIVE, NEW)
    left = {"messages": FIVE[:4], "context_messages": FIVE[:4], "message_count": 4}
    marked = before | left | marks(NEW, 1025.0) | {"intentional_shrink_generation": 7}
    assert judged(before, marked, saves=saves).action is Action.INTENDED
    twice = {"messages": FIVE[:6], "context_messages": FIVE[:6]}
    unmarked = base(FIVE, OLD)
    assert judged(unmarked, unmarked | twice, saves=None).action is Action.UNCERTAIN


def test_keys_that_nobody_knows_speak_neither_way() -> None:
    for act, done in DONE.items():
        before, after = done(ERAS[act])
        assert judged(before | {"later": 1}, after | {"later": 2, "new": {}}).action is Action.INTENDED


def test_a_clock_that_was_put_back_is_no_evidence() -> None:
    before, after = undo(OLD)
    ahead, now = before | {"updated_at": 9000.0}, after | {"updated_at": 5000.0}
    assert judged(ahead, now, now=5001.0).action is Action.INTENDED
    assert judged(ahead, now, now=9001.0).action is Action.LOSS
    assert judged(ahead, now, now=5900.0).action is Action.LOSS


def test_a_fresh_mark_that_fits_stands_whatever_else_the_save_changed() -> None:
    before, after = undo(NEW)
    marked = after | {"intentional_shrink_generation": "g1", **marks(NEW, 1045.0)}
    for more in ({"pinned": True}, {"title": "x"}, {"input_tokens": 1}, {"updated_at": 1.0}, {"later": 1}):
        assert judged(before, marked | more).action is Action.INTENDED


def test_another_session_is_never_merged_in() -> None:
    before = base(FIVE, NEW)
    foreign = base(turns(3, 50, 5000), NEW) | {"session_id": "other", "created_at": 9.5}
    verdict = judged(before, foreign, name="s")
    assert (verdict.action, verdict.is_foreign, verdict.messages_lost) == (Action.LOSS, True, 10)
    assert verdict.comparison
    assert not verdict.comparison.added
    # A session that was renamed says its new id.
    assert judged(before, before | {"session_id": "new"}, name="new").action is Action.GROWTH


def test_a_new_conversation_under_an_old_id_stands() -> None:
    before = base(FIVE, NEW)
    imported = base(turns(2), NEW) | {"created_at": 99.5}
    assert judged(before, imported).action is Action.INTENDED
    older = imported | {"created_at": 0.5, "updated_at": 1.0}
    assert judged(before, older).action is not Action.INTENDED


def test_an_older_release_drops_the_anchors_that_it_does_not_know() -> None:
    before, after = undo(OLD)
    before |= {"compression_anchor_summary": "of then", "compression_anchor_mode": "auto"}
    assert judged(before, after).action is Action.INTENDED


@pytest.mark.parametrize("saves", [None, 1])
def test_an_undo_of_a_question_that_has_the_stamp_of_an_earlier_one_in_the_same_words(
    saves: int | None,
) -> None:
    """Releases with a context give a question that is said again ("yes") the stamp of the first, and keep it there once."""
    first = [user("yes", 1000), answer("one", 1001)]
    said = [*first, user("yes", 1010), answer("two", 1011), user("yes", 1010), answer("three", 1021)]
    context = [*first, answer("two"), answer("three")]
    before = base(said, V720) | {"context_messages": context, "tool_calls": []}
    after = before | {"messages": said[:4], "context_messages": []} | marks(V720, 1011.0)
    verdict = judged(before, after, saves=saves)
    assert (verdict.action, verdict.rule) == (Action.INTENDED, "9 undo")
    # Two turns are one act's no more than elsewhere.
    twice = before | {"messages": said[:2], "context_messages": []} | marks(V720, 1001.0)
    assert judged(before, twice, saves=saves).action is Action.UNCERTAIN


@pytest.mark.parametrize("saves", [1, 2])
def test_several_undos_at_once_may_take_all_turns_with_the_context(saves: int) -> None:
    """Whatever the release: an undo cuts the context everywhere, and so do two of them between two looks."""
    before = base(turns(2), OLD)
    emptied = before | {"messages": [], "context_messages": []}
    assert (judged(before, emptied, saves=saves).action is Action.INTENDED) == (saves == 2)


def test_a_stopped_turn_that_ends_without_an_answer_is_no_loss() -> None:
    """Of a chat that had no title yet, and of one whose worker had called tools before it was stopped."""
    before, after = stop(OLD)
    assert judged(before | {"title": "Untitled"}, after).rule == "8d stop"
    # Calls of an answer that was undone before are left in the list until a turn ends.
    undone = {
        "tool_calls": [*before["tool_calls"], {"name": "terminal", "tid": "t0", "assistant_msg_idx": 2}]
    }
    assert judged(before | undone, after).rule == "8d stop"
    # Behind a /compress the context is the same list.
    assert judged(before | {"context_messages": before["messages"]}, after).rule == "8d stop"
    done = [*after["messages"], calling("call_1", 1102), tool("done", "call_1", 1103)]
    ended = after | {"messages": done, "context_messages": done}
    assert judged(before, ended).action is Action.GROWTH
    # The half answer may say which tools it had called: they stand in the turn as it ended.
    *asked, half, mark = before["messages"]
    for calls, is_there in ((1, True), (2, False)):
        called = [*asked, half | {"_partial_tool_calls": [{"name": "ls"}] * calls}, mark]
        assert (judged(before | {"messages": called}, ended).action is Action.GROWTH) == is_there
        assert judged(before | {"messages": called}, after).action is Action.LOSS


@pytest.mark.parametrize("before_it", [FIVE, []])
def test_a_stopped_question_may_get_its_picture_and_stamp_with_the_end_of_its_turn(
    before_it: list[Value],
) -> None:
    before, after = stop(OLD)
    *_, asked, half, mark = before["messages"]
    parts = [
        {"type": "text", "text": "[Workspace: /home/me]\nlong"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    seen = [*before_it, user(parts, 1102, attachments=["a.png"])]
    asked |= {"attachments": [{"name": "a.png"}]}
    before |= {"messages": [*before_it, asked, half, mark], "context_messages": before_it}
    again = [*before_it, user("long", 1105)]
    assert judged(before, after | {"messages": again, "context_messages": again}).rule == "8d stop"
    other = [*before_it, user("other words", 1105)]
    assert judged(before, after | {"messages": other, "context_messages": other}).rule != "8d stop"
    assert judged(before, after | {"messages": seen, "context_messages": seen}).rule == "8d stop"


@pytest.mark.parametrize("era", [OLD, V137, V720])
def test_a_clear_while_a_turn_runs_leaves_the_end_of_that_turn(era: Value) -> None:
    """The turn is stopped then, and writes its question and the mark of the stop a moment after the clear."""
    asked = [*FIVE, user("long", 1100, _recovered=True), answer("It is", 1101, _partial=True)]
    mark = answer("**Task cancelled:** Task cancelled.", 1101, _error=True)
    before = base([*asked, mark], era) | {"context_messages": FIVE}
    cleared = before | {"tool_calls": [], "title": "Untitled"}
    left = [user("long", 1100, _recovered=True), mark]
    assert judged(before, cleared | {"messages": left}).rule == "6 clear"
    assert judged(before, cleared | {"messages": [*FIVE[:2], *left]}).action is not Action.INTENDED
    for more in ({"title": "A title"}, {"tool_calls": CALLS}, {"context_messages": []}):
        assert judged(before, cleared | {"messages": left} | more).action is not Action.INTENDED


@pytest.mark.parametrize("era", [OLD, V137, V720])
def test_an_undo_and_a_clear_between_two_looks_are_no_loss(era: Value) -> None:
    before, after = clear(era)
    undone = after | {"context_messages": FIVE[:8]}
    assert judged(before, undone, saves=2).rule == "6 clear"
    assert judged(before, undone, saves=None).rule == "6 clear"
    assert judged(before, undone, saves=1).action is Action.LOSS
    assert judged(before, undone | {"context_messages": OTHER}, saves=2).action is not Action.INTENDED


@pytest.mark.parametrize("kept", [FIVE, []])
def test_an_undo_of_a_question_that_stands_twice_side_by_side(kept: list[Value]) -> None:
    """A turn that gave no answer: its question was written as it was recovered, and once more by the next turn."""
    asked = [*kept, user("go on", 1101.5)]
    failed = [user("go on", 1100, _recovered=True), answer("It is", 1100, _partial=True)]
    before = base([*asked, *failed, answer("**Error:** no answer", 1100, _error=True)], V720)
    before |= {"context_messages": [*kept, user("go on")], "tool_calls": []}
    after = before | {"messages": asked, "context_messages": kept} | marks(V720, 1101.5)
    assert judged(before, after).rule == "9 undo"


@pytest.mark.parametrize("saves", [None, 2])
def test_a_clear_and_the_next_prompt_between_two_looks_are_no_loss(saves: int | None) -> None:
    """From v0.51.59 on the title is made of the prompt as soon as that is sent."""
    before, after = clear(V137)
    asked = after | {
        "title": "something new",
        "pending_user_message": "something new, please",
        "active_stream_id": "s2",
    }
    assert judged(before, asked, saves=saves).rule == "6 clear"
    assert judged(before, asked | {"title": "another"}, saves=saves).action is not Action.INTENDED
    assert judged(before, asked, saves=1).action is not Action.INTENDED


TURN = turns(1, 9)
BETWEEN: dict[str, tuple[Value, Value]] = {
    "a turn": (V137, {"context_messages": [*FIVE, *TURN], "input_tokens": 60}),
    "an edit": (V137, {"context_messages": [*FIVE[:8], *TURN], "input_tokens": 60}),
    "a /compress": (V137, {"context_messages": SUMMARY, "compression_anchor_visible_idx": 8}),
    "a turn, and the release empties the context": (
        V720,
        {"context_messages": [], "input_tokens": 60, **marks(V720, 0.0)},
    ),
    "a turn, and the release keeps no context": (OLD, {"input_tokens": 160}),
}


@pytest.mark.parametrize("saves", [None, 4])
@pytest.mark.parametrize("what", BETWEEN)
def test_what_came_before_a_clear_between_two_looks_does_not_speak_against_it(
    what: str, saves: int | None
) -> None:
    era, more = BETWEEN[what]
    before, after = clear(era)
    if "context_messages" not in more:
        before, after = (value | {"context_messages": []} for value in (before, after))
    assert judged(before, after | more, saves=saves).rule == "6 clear"
    assert judged(before, after | more, saves=1).action is not Action.INTENDED


OLDER: dict[str, Value] = {
    "an empty memory": {"context_messages": []},
    "a new one": {"context_messages": [], "input_tokens": 0},
    "one of long ago": {"context_messages": FIVE[:2], "input_tokens": 60},
    "one of a turn ago, when it was cleared": {"context_messages": FIVE[:8], "input_tokens": 60},
    "one of before the compression": {"compression_anchor_visible_idx": None},
    "an emptied context": {"context_messages": [], "compression_anchor_visible_idx": 9},
    "the title is there": {"title": "A title"},
}


@pytest.mark.parametrize("saves", [None, 4])
@pytest.mark.parametrize("what", OLDER)
def test_an_older_state_is_no_clear_between_two_looks(what: str, saves: int | None) -> None:
    before, after = (value | {"compression_anchor_visible_idx": 8} for value in clear(V137))
    assert judged(before, after, saves=saves).rule == "6 clear"
    assert judged(before, after | OLDER[what], saves=saves).action is not Action.INTENDED


def test_lower_counters_are_those_of_an_older_state_where_a_release_keeps_no_context() -> None:
    before, after = (value | {"context_messages": []} for value in clear(OLD))
    assert judged(before, after | {"input_tokens": 60}, saves=None).action is not Action.INTENDED


@pytest.mark.parametrize("saves", [None, 4])
def test_a_compress_and_a_turn_between_two_looks_are_no_loss(saves: int | None) -> None:
    before, after = compression(OLD)
    bare = [{key: message[key] for key in ("role", "content")} for message in TURN]
    gone_on = after | {
        "messages": [*SUMMARY, *TURN],
        "context_messages": [*SUMMARY, *bare],
        "input_tokens": 60,
    }
    assert judged(before, gone_on, saves=saves).rule == "12 compression"
    assert judged(before, gone_on, saves=1).action is not Action.INTENDED
    other = gone_on | {"context_messages": [*SUMMARY, *bare[:1]]}
    assert judged(before, other, saves=saves).action is not Action.INTENDED


@pytest.mark.parametrize(
    ("shadow_ends", "live_ends"),
    [
        pytest.param([user("4", 1100)], "question 41", id="nothing was stopped"),
        pytest.param(
            [user("", 1100, attachments=[{"name": "a.png"}])], "other", id="a picture without a word"
        ),
        pytest.param([user("no", 1100), *HALF], "I know", id="a part of a word"),
        pytest.param([user("yes", 1100), user("no", 1101), *HALF], "yes\nno", id="two questions"),
    ],
)
def test_a_question_that_gave_way_to_another_was_not_stopped(
    shadow_ends: list[Value], live_ends: str
) -> None:
    before = base([*FIVE, *shadow_ends], OLD) | {"context_messages": FIVE, "tool_calls": []}
    asked = [*FIVE, user(live_ends, 1200)]
    after = before | {"messages": asked, "context_messages": asked}
    assert judged(before, after).action is Action.UNCERTAIN


@pytest.mark.parametrize("saves", [None, 2, 4])
@pytest.mark.parametrize("era", [OLD, V137])
@pytest.mark.parametrize("asked", [False, True])
def test_an_empty_memory_is_no_clear_behind_an_undo(era: Value, saves: int | None, asked: bool) -> None:
    """Of providers that count no tokens the counters say nothing; a clear keeps the context, and an undo cuts one turn of it."""
    before = base(FIVE, era) | {"input_tokens": 0, "tool_calls": []}
    after = before | {"messages": [], "context_messages": [], "title": "Untitled"}
    if asked:
        after |= {"title": "hello", "pending_user_message": "hello there", "active_stream_id": "s2"}
    assert judged(before, after, saves=saves).action is Action.LOSS


@pytest.mark.parametrize(
    "left", [answer("long", 1001, _partial=True), answer("*Task cancelled.*", 1001, _error=True)]
)
def test_the_first_turn_as_it_was_stopped_is_no_clear_of_all_turns(left: Value) -> None:
    first = [user("first", 1000), answer("long answer", 1001)]
    before = base([*first, *FIVE], OLD) | {"context_messages": [], "tool_calls": []}
    after = before | {"messages": [first[0] | {"_recovered": True}, left], "title": "Untitled"}
    assert judged(before, after).action is Action.UNCERTAIN


def test_an_undo_of_a_repeated_question_does_not_explain_what_hangs_on_others() -> None:
    """What the model knew goes with the turn, a reasoning of another turn does not."""
    told = [*FIVE[:9], FIVE[9] | {"reasoning": "why"}]
    asked = [user("once more", 2000.0), user("once more", 2010.0)]
    before = base([*told, *asked], V137)
    after = (
        before | {"messages": [*told, asked[0]], "context_messages": [*told, asked[0]]} | marks(V137, 2000.0)
    )
    assert judged(before, after).taken == ()
    assert judged(before, after | {"messages": [*FIVE, asked[0]]}).taken == ("reasoning",)
