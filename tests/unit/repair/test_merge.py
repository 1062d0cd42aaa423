"""A repaired file has the messages of both sides, in order, nothing twice, and every value as it was."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hermesguard.repair.merge import merge_documents, merged_text
from hermesguard.repair.standby import fill, tells_all
from hermesguard.webui import session
from hermesguard.webui.abridged import abridge
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.session import Document

BIG = 2**70 + 1


def message(number: int, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": f"{role} says {number}", "timestamp": 1_760_000_000 + number, **more}


def messages(*numbers: int) -> list[dict[str, Any]]:
    return [message(number, "assistant" if number % 2 else "user") for number in numbers]


def text(messages: list[Any], context: list[Any] | None = None, **members: Any) -> bytes:
    value = {
        "session_id": "s",
        "title": "T",
        "created_at": 1.5,
        "active_stream_id": None,
        "pending_user_message": None,
        "pending_attachments": [],
        "pending_started_at": None,
        "message_count": len(messages),
        **members,
        "messages": messages,
        "tool_calls": members.get("tool_calls", []),
    }
    if context is not None:
        value["context_messages"] = context
    return json.dumps(value, ensure_ascii=False, indent=2).encode()


def document(messages: list[Any], context: list[Any] | None = None, **members: Any) -> Document:
    return session.parse(text(messages, context, **members))


def repaired(shadow: Document, live: Document | None, keep_messages: int | None = None) -> Any:
    return json.loads(merge_documents(shadow, live, keep_messages).decode())


def said(value: Any, key: str = "messages") -> list[str]:
    return [entry["content"] for entry in value[key]]


# ---- any two lists ------------------------------------------------------------------------------------------------

numbers = st.lists(st.integers(0, 30), max_size=12, unique=True)


@given(numbers.map(sorted), numbers.map(sorted))
def test_messages_of_both_sides_once_and_in_order_of_time(old: list[int], new: list[int]) -> None:
    result = repaired(document(messages(*old)), document(messages(*new)))
    assert said(result) == said({"messages": messages(*sorted({*old, *new}))})
    assert result["message_count"] == len({*old, *new})


@given(numbers, numbers)
def test_nothing_twice_however_often_the_writer_comes_back(old: list[int], new: list[int]) -> None:
    first = merge_documents(document(messages(*old)), document(messages(*new)))
    again = merge_documents(session.parse(first), document(messages(*new)))
    assert sorted(said(json.loads(again))) == sorted(said({"messages": messages(*{*old, *new})}))
    assert again == merge_documents(session.parse(again), document(messages(*new)))


@given(
    st.lists(st.sampled_from(["yes", "no", "go on"]), max_size=8),
    st.lists(st.sampled_from(["yes", "no", "go on"]), max_size=4),
)
def test_who_says_yes_again_says_something_new(before: list[str], after: list[str]) -> None:
    old = [{"role": "user", "content": words, "timestamp": 100 + place} for place, words in enumerate(before)]
    new = [{"role": "user", "content": words, "timestamp": 200 + place} for place, words in enumerate(after)]
    assume(
        len(old) != 1 or before[0] not in after[:1]
    )  # a lone first prompt may be stamped anew when its turn ends
    assert said(repaired(document(old), document(new))) == [entry["content"] for entry in old + new]


@given(
    st.lists(st.sampled_from(["yes", "no"]), min_size=1, max_size=6),
    st.lists(st.sampled_from(["yes", "no"]), min_size=1, max_size=4),
)
def test_a_stale_writer_without_timestamps_goes_on_where_it_left_off(
    before: list[str], stale_writer: list[str]
) -> None:
    old = [{"role": "user", "content": f"old {words} {place}"} for place, words in enumerate(before)]
    written: list[dict[str, Any]] = []
    current = text(old)
    for words in stale_writer:
        written.append({"role": "user", "content": words})
        current = merge_documents(session.parse(current), document(written))
    assert said(json.loads(current)) == [entry["content"] for entry in old] + stale_writer


# ---- values -------------------------------------------------------------------------------------------------------


def test_values_come_out_as_they_went_in() -> None:
    odd = (
        '{"role": "user", "content": "x\\ud800", "timestamp": 1.10, '
        f'"n": {BIG}, "f": [NaN, -Infinity, 1E400, 0.1e1]}}'
    )
    unknown = '"unknown": {"z": [1.0, NaN], "a": "\\udfff"}'
    shadow = session.parse(
        f'{{"a": {BIG}, "active_stream_id": "s", {unknown}, "messages": [{odd}]}}'.encode()
    )
    live = session.parse(b'{"a": 1, "active_stream_id": null, "messages": []}')
    out = merge_documents(shadow, live).decode()
    assert odd in out
    assert unknown in out
    assert session.parse(out.encode()).messages[0].get("n") == BIG


def test_an_unsent_prompt_that_utf8_cannot_hold_is_escaped() -> None:
    shadow = session.parse(
        b'{"active_stream_id": "s", "pending_user_message": "a\\ud800", "messages": [{"role": "user"}]}'
    )
    assert session.parse(merge_documents(shadow, None)).messages[-1].get("content") == "a\ud800"


def test_keys_keep_their_order_and_lost_ones_come_back_in_place() -> None:
    shadow = document(messages(1), messages(1), first_unknown=1, anchor_activity_scenes={"a": 1})
    live = json.loads(text([]))
    del live["session_id"], live["created_at"]
    live = {"session_id": "s", "later": 7, **live}
    result = repaired(shadow, session.parse(json.dumps(live).encode()))
    assert list(result)[:2] == ["session_id", "later"]
    assert list(result).index("first_unknown") < list(result).index("messages")
    assert list(result)[-1] == "context_messages"
    assert result["created_at"] == 1.5


@pytest.mark.parametrize(
    "marker", ["intentional_shrink_generation", "clear_generation", "truncation_watermark", "message_count"]
)
def test_markers_that_the_writer_does_not_know_do_not_come_back(marker: str) -> None:
    live = json.loads(text([]))
    live.pop(marker, None)
    result = repaired(document(messages(1), **{marker: 1}), session.parse(json.dumps(live).encode()))
    assert marker not in result


# ---- stream and prompt ------------------------------------------------------------------------------------------------


def test_a_stale_stream_is_never_written_back() -> None:
    shadow = document(
        messages(1, 2), active_stream_id="stale", pending_user_message="p", pending_started_at=1_760_000_009.7
    )
    for live in (None, document([]), document([], active_stream_id="stale")):
        result = repaired(shadow, live)
        assert result["active_stream_id"] is None
        assert result["pending_user_message"] is None
        assert result["pending_attachments"] == []
        assert result["messages"][-1] == {
            "role": "user",
            "content": "p",
            "timestamp": 1_760_000_009,
            "_recovered": True,
        }


def test_a_stream_of_its_own_goes_on() -> None:
    shadow = document(
        messages(1, 2),
        active_stream_id="stale",
        pending_user_message="lost prompt",
        pending_started_at=1_760_000_009,
    )
    live = document(
        [], active_stream_id="new", pending_user_message="running", pending_started_at=1_760_000_020
    )
    result = repaired(shadow, live)
    assert (result["active_stream_id"], result["pending_user_message"]) == ("new", "running")
    assert said(result)[-1] == "lost prompt"


@pytest.mark.parametrize("stamp", [1_760_000_009.7, 1_760_000_009])
@pytest.mark.parametrize("is_answered", [True, False])
def test_a_turn_that_runs_in_an_older_file_only_is_over(stamp: float, is_answered: bool) -> None:
    asked = {"role": "user", "content": "p", "timestamp": stamp}
    answers = [{"role": "assistant", "content": "a", "timestamp": 1_760_000_012}] if is_answered else []
    live = document(
        messages(1), active_stream_id="s", pending_user_message="p", pending_started_at=1_760_000_009.7
    )
    result = repaired(document([*messages(1, 2), asked, *answers]), live)
    assert said(result) == said({"messages": [*messages(1, 2), asked, *answers]})
    runs = (None, None) if is_answered else ("s", "p")
    assert (result["active_stream_id"], result["pending_user_message"]) == runs


@pytest.mark.parametrize("stamp", [1_760_000_009.7, 1_760_000_010, None])
def test_a_prompt_that_became_a_message_is_not_added_twice(stamp: float | None) -> None:
    own = {"role": "user", "content": "p", "timestamp": stamp}
    shadow = document(
        [*messages(1, 2), own],
        active_stream_id="s",
        pending_user_message="p",
        pending_started_at=1_760_000_009.7,
    )
    assert said(repaired(shadow, document([]))).count("p") == 1


def test_a_prompt_sent_again_while_it_stands_unanswered_is_there_once() -> None:
    asked = {"role": "user", "content": "p", "timestamp": 1_760_000_000, "_recovered": True}
    again = {"active_stream_id": "s", "pending_user_message": "p", "pending_started_at": 1_760_000_900.5}
    assert said(repaired(document([*messages(1), asked], **again), document([]))).count("p") == 1


def test_a_prompt_said_long_before_is_said_again() -> None:
    own = {"role": "user", "content": "p", "timestamp": 1_760_000_000}
    shadow = document(
        [own, *messages(1)], active_stream_id="s", pending_user_message="p", pending_started_at=1_760_000_100
    )
    assert said(repaired(shadow, document([]))).count("p") == 2


def test_a_recovered_prompt_keeps_its_attachments() -> None:
    shadow = document(
        messages(1),
        active_stream_id="s",
        pending_user_message="p",
        pending_started_at=1_760_000_005,
        pending_attachments=[{"name": "x.png"}],
    )
    assert repaired(shadow, document([]))["messages"][-1]["attachments"] == [{"name": "x.png"}]


def test_a_recovered_prompt_stands_before_what_came_later() -> None:
    shadow = document(
        messages(1, 2), active_stream_id="s", pending_user_message="p", pending_started_at=1_760_000_003.5
    )
    assert said(repaired(shadow, document(messages(4, 5)))) == [
        *said({"messages": messages(1, 2)}),
        "p",
        *said({"messages": messages(4, 5)}),
    ]


# ---- what belongs to the messages -----------------------------------------------------------------------------------------


def test_the_context_is_whole_and_stays_empty_where_it_was() -> None:
    whole = repaired(document(messages(1, 2, 3), messages(2, 3)), document(messages(4), messages(4)))
    assert said(whole, "context_messages") == said({"messages": messages(2, 3, 4)})
    empty = repaired(document(messages(1, 2, 3), []), document(messages(4), messages(4)))
    assert empty["context_messages"] == []


def test_token_counters_never_go_back() -> None:
    """A server that is behind would else look like a user the second time (its counters are evidence)."""
    ahead, behind = (
        document(messages(1, 2), input_tokens=90, output_tokens=7),
        document(messages(1), input_tokens=50, output_tokens=8),
    )
    result = repaired(ahead, behind)
    assert (result["input_tokens"], result["output_tokens"]) == (90, 8)
    assert repaired(ahead, document([]))["input_tokens"] == 90
    assert (
        repaired(document(messages(1), input_tokens=None), document([], input_tokens=3))["input_tokens"] == 3
    )


NAMED = {"title": "Tiles", "llm_title_generated": True, "pinned": True, "archived": True, "project_id": "p"}
UNNAMED = {
    "title": "Untitled",
    "llm_title_generated": False,
    "pinned": False,
    "archived": False,
    "project_id": None,
}


@pytest.mark.parametrize("older", [{"input_tokens": 50}, {"updated_at": 8.5}])
def test_a_stale_writer_takes_neither_title_nor_pin(older: dict[str, Any]) -> None:
    known = {"input_tokens": 90, "updated_at": 9.5}
    shadow = document(messages(1, 2, 3), **known, **NAMED)
    result = repaired(shadow, document(messages(1, 4), **{**known, **older}, **UNNAMED))
    assert {key: result[key] for key in NAMED} == NAMED
    assert len(result["messages"]) == 4
    set_there = NAMED | {"title": "Bread", "project_id": "q"}
    result = repaired(shadow, document(messages(1, 4), **{**known, **older}, **set_there))
    assert {key: result[key] for key in NAMED} == set_there


def test_what_a_user_took_back_in_the_save_that_lost_messages_stays_so_but_for_the_title() -> None:
    known = {"input_tokens": 90, "updated_at": 9.5}
    shadow = document(messages(1, 2, 3), **known, **NAMED)
    result = repaired(shadow, document(messages(1), **(known | {"updated_at": 10.5}), **UNNAMED))
    assert {key: result[key] for key in NAMED} == UNNAMED | {"title": "Tiles", "llm_title_generated": True}
    grown = repaired(shadow, document(messages(1, 2, 3, 4), **(known | {"updated_at": 8.5}), **UNNAMED))
    assert {key: grown[key] for key in NAMED} == UNNAMED
    cut = repaired(shadow, document(messages(1), **(known | {"updated_at": 8.5}), **UNNAMED), 2)
    assert {key: cut[key] for key in NAMED} == UNNAMED


def test_tool_calls_follow_their_messages() -> None:
    def call(tid: str, index: int) -> dict[str, Any]:
        return {"name": "terminal", "tid": tid, "assistant_msg_idx": index}

    shadow = document(messages(1, 2, 3), tool_calls=[call("a", 1), call("b", 2), call("", 99)])
    live = document(messages(3, 5, 7), tool_calls=[call("b", 0), call("c", 1)])
    result = repaired(shadow, live)
    found = {entry["tid"]: entry["assistant_msg_idx"] for entry in result["tool_calls"]}
    assert found == {"a": 1, "b": 2, "c": 3, "": 99}
    assert said(result) == said({"messages": messages(1, 2, 3, 5, 7)})


def test_a_tool_call_that_stays_where_it_was_is_not_written_anew() -> None:
    """A number that Python would write in another way stands as it stood."""
    odd = '{"tid": "a", "assistant_msg_idx": 1, "cost": 1.50e1}'
    shadow = text(messages(1, 2, 3), tool_calls=["CALL"]).replace(b'"CALL"', odd.encode())
    live = document(messages(1, 2), tool_calls=[{"tid": "b", "assistant_msg_idx": 0}])
    assert odd.encode() in merge_documents(session.parse(shadow), live, None)
    moved = document(messages(0, 1, 2), tool_calls=[{"tid": "b", "assistant_msg_idx": 0}])
    again = merge_documents(session.parse(shadow), moved, None)
    assert b'"assistant_msg_idx": 2' in again


ODD_CALLS = b'[ {"tid": "a" , "assistant_msg_idx":1} ]'


def with_calls(data: bytes, calls: bytes) -> bytes:
    return data.replace(b'"tool_calls": []', b'"tool_calls": ' + calls)


def test_tool_calls_of_the_shadow_alone_stay_as_they_are_written() -> None:
    shadow = session.parse(with_calls(text(messages(1, 2, 3)), ODD_CALLS))
    assert ODD_CALLS in merge_documents(shadow, document([]), None)
    assert ODD_CALLS in merge_documents(shadow, None, None)
    earlier = merge_documents(shadow, document(messages(0)), None)
    assert ODD_CALLS not in earlier, "its message has moved"
    assert b'"assistant_msg_idx": 2' in earlier
    both = document([], tool_calls=[{"tid": "b"}])
    assert [call["tid"] for call in repaired(shadow, both)["tool_calls"]] == ["a", "b"]
    without = session.parse(text(messages(1)).replace(b',\n  "tool_calls": []', b""))
    assert repaired(without, document([]))["tool_calls"] == []


def test_a_list_that_is_one_sides_own_stays_as_it_is_written() -> None:
    odd = b'[ {"role":"user","content":"one","timestamp":1.0e1},\n {"role": "assistant", "content": "two"} ]'
    data = text([]).replace(b'"messages": []', b'"messages": ' + odd)
    assert odd in merge_documents(session.parse(data), document([]), None)
    assert odd in merge_documents(document([]), session.parse(data), None)
    assert odd not in merge_documents(session.parse(data), document(messages(1)), None)


def test_of_a_context_that_is_cut_behind_everything_nothing_is_left() -> None:
    shadow = document(messages(1, 2, 3, 4), messages(7, 8))
    assert repaired(shadow, None, 2)["context_messages"] == []
    known = document(messages(1, 2, 3, 4), [*messages(1, 2), *messages(7, 8)])
    assert said(repaired(known, None, 2), "context_messages") == said({"messages": messages(1, 2)})


def test_a_boundary_that_hid_what_came_back_is_the_old_one_again() -> None:
    shadow = document(messages(1, 2, 3, 4), truncation_watermark=None, truncation_boundary=None)
    live = document(messages(1), truncation_watermark=1_760_000_001.0, truncation_boundary=1_760_000_001.0)
    result = repaired(shadow, live)
    assert (result["truncation_watermark"], result["truncation_boundary"]) == (None, None)
    cut = repaired(
        shadow,
        document([], truncation_watermark=1_760_000_001.0, truncation_boundary=1_760_000_001.0),
        keep_messages=1,
    )
    assert (cut["truncation_watermark"], said(cut)) == (1_760_000_001.0, said({"messages": messages(1)}))


def test_a_repair_up_to_a_boundary_keeps_the_running_prompt() -> None:
    shadow = document(
        messages(1, 2, 3, 4), messages(1, 2, 3, 4), active_stream_id="s", pending_user_message="taken back"
    )
    live = document(
        messages(1),
        [],
        active_stream_id="s",
        pending_user_message="asked",
        pending_started_at=1_760_000_009.5,
    )
    cut = repaired(shadow, live, keep_messages=2)
    assert said(cut) == said(cut, "context_messages") == [*said({"messages": messages(1, 2)}), "asked"]


def test_an_answer_cut_short_is_whole_again_and_there_once() -> None:
    full = [*messages(2), {"role": "assistant", "content": "a long answer", "timestamp": 1_760_000_003}]
    short = [*messages(2), {"role": "assistant", "content": "a long", "timestamp": 1_760_000_003}]
    assert said(repaired(document(full), document(short)))[-1] == "a long answer"
    assert len(repaired(document(full), document(short))["messages"]) == 2


@given(numbers.map(sorted), numbers.map(sorted))
def test_messages_compared_as_equal_need_no_merge(old: list[int], new: list[int]) -> None:
    before, after = document(messages(*old)), document(messages(*new))
    comparison = compare(before.messages, after.messages)
    assert comparison.whole == ({*old} <= {*new})
    assert len(comparison.missing) == len({*old} - {*new})
    assert len(comparison.added) == len({*new} - {*old})


def test_a_stamp_in_whole_seconds_keeps_the_order_within_a_second() -> None:
    shadow = document([{"role": "user", "content": "first", "timestamp": 1_760_000_001.7}])
    live = document([{"role": "user", "content": "second", "timestamp": 1_760_000_001}])
    assert said(repaired(shadow, live)) == ["first", "second"]
    earlier = document([{"role": "user", "content": "before", "timestamp": 1_760_000_000}])
    assert said(repaired(shadow, earlier)) == ["before", "first"]


@pytest.mark.parametrize("sent", [1_760_000_002, 1_760_000_002.9, None])
def test_a_pending_prompt_comes_before_a_stale_writers_turn_of_the_same_second(sent: float | None) -> None:
    shadow = document(
        messages(1, 2),
        messages(1, 2),
        active_stream_id="s",
        pending_user_message="unsent",
        pending_started_at=sent,
    )
    new = [{"role": "user", "content": "new", "timestamp": 1_760_000_002}]
    both = repaired(shadow, document(new, new))
    assert (
        said(both) == said(both, "context_messages") == [*said({"messages": messages(1, 2)}), "unsent", "new"]
    )


def test_a_tool_call_of_a_wiped_session_points_to_its_message_as_if_all_were_read() -> None:
    """A run of messages stands as one where the prepared repair is made, and a prompt may come in before what was streamed."""
    partial = message(60, "assistant", _partial=True)
    calls = [{"name": "terminal", "tid": str(place), "assistant_msg_idx": place} for place in (3, 39, 40, 99)]
    asking = {"pending_user_message": "unsaid", "pending_started_at": 1_760_000_050}
    data = text(
        [*(message(n, words="word " * 60) for n in range(40)), partial],
        tool_calls=calls,
        active_stream_id="s",
        **asking,
    )
    full, live = session.parse(data), document([])
    known = abridge(data, full)
    assert known.holes
    assert tells_all(known)
    made = b"".join(fill(merged_text(known.document, live), known))
    assert made == merge_documents(full, live)
    value = json.loads(made)
    assert said(value)[40:] == ["unsaid", partial["content"]]
    assert [call["assistant_msg_idx"] for call in value["tool_calls"]] == [3, 39, 41, 99]


def test_the_model_is_told_of_no_second_call_under_an_id_that_it_knows() -> None:
    def turn(number: int, words: str) -> list[dict[str, Any]]:
        call = {"id": "call:0", "type": "function", "function": {"name": "terminal", "arguments": "{}"}}
        return [
            message(number) | {"content": words},
            message(number + 1, "assistant", tool_calls=[call]),
            message(number + 2, "tool", tool_call_id="call:0"),
            message(number + 3, "assistant"),
        ]

    first, second = turn(1, "list the files"), turn(11, "what day is it?")
    value = repaired(document(first, first), document(second, second))
    assert value["messages"] == [*first, *second]
    assert value["context_messages"] == [*first, second[0], second[3]]


def test_the_model_is_told_of_all_calls_where_each_turn_has_the_same_ids() -> None:
    first, second, third = called(0, "call:0"), called(10, "call:0"), called(20, "call:0")
    value = repaired(
        document([*first, *second], [*first, *second]), document([*first, *third], [*first, *third])
    )
    assert value["context_messages"] == value["messages"] == [*first, *second, *third]


# ---- tool calls -------------------------------------------------------------------------------------------------------


def called(number: int, call: str, *, bears: bool = True) -> list[dict[str, Any]]:
    calls = [{"id": call, "type": "function", "function": {"name": "terminal", "arguments": "{}"}}]
    return [
        message(number),
        message(number + 1, "assistant", **({"tool_calls": calls} if bears else {})),
        message(number + 2, "tool", tool_call_id=call),
    ]


def entry(call: str, place: int) -> dict[str, Any]:
    return {"name": "terminal", "tid": call, "assistant_msg_idx": place}


@pytest.mark.parametrize(("first", "second"), [("call:0", "call:0"), ("call:1", "call:0")])
def test_a_call_of_another_turn_under_the_same_id_is_another_call(first: str, second: str) -> None:
    known, lost, new = called(0, "call:0"), called(10, first), called(20, second)
    shadow = document([*known, *lost], tool_calls=[entry("call:0", 1), entry(first, 4)])
    live = document([*known, *new], tool_calls=[entry("call:0", 1), entry(second, 4)])
    value = repaired(shadow, live)
    assert value["messages"] == [*known, *lost, *new]
    assert value["tool_calls"] == [entry("call:0", 1), entry(first, 4), entry(second, 7)]


@pytest.mark.parametrize("side", [0, 1])
def test_a_call_whose_place_does_not_bear_it_is_known_by_its_id(side: int) -> None:
    messages, more = called(0, "call:0"), called(10, "call:1")
    places = (1, 2) if side else (2, 1)
    shadow = document([*messages, *more], tool_calls=[entry("call:0", places[0])])
    live = document(messages, tool_calls=[entry("call:0", places[1])])
    assert repaired(shadow, live)["tool_calls"] == [entry("call:0", places[0])]


def test_a_call_in_a_message_without_ids_is_there_once() -> None:
    messages, more = called(0, "call:0", bears=False), called(10, "call:1", bears=False)
    shadow = document([*messages, *more], tool_calls=[entry("call:0", 1), entry("call:1", 4)])
    live = document(more, tool_calls=[entry("call:1", 1)])
    assert repaired(shadow, live)["tool_calls"] == [entry("call:0", 1), entry("call:1", 4)]
