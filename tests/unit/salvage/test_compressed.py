"""Conversations whose context the agent compressed: every message comes back once, and the model gets its own context."""

import json
from pathlib import Path
from typing import Any

import pytest

from hermesguard.demo.eras import Era
from hermesguard.salvage.finding import Finding, State
from hermesguard.salvage.places import Places
from hermesguard.salvage.survey import survey
from tests.helpers.home import START, Home, Said, chat, told

SID = "4f2a61c09b7d"
DAY = 86_400.0
FIRST = chat(8)
THEN = chat(3, start=START + DAY, word="later question")
LAST = chat(2, start=START + 2 * DAY, word="last question")


def summary(at: float = START + 4000, said: str = "They spoke of rain.") -> Said:
    return {"role": "user", "content": f"[CONTEXT COMPACTION - REFERENCE ONLY] {said}", "timestamp": at}


def again(said: list[Said], at: float) -> list[Said]:
    """The copies that a compression writes: the same words, stamped anew."""
    return [{**message, "timestamp": at + number / 1e6} for number, message in enumerate(said)]


def unstamped(said: list[Said]) -> list[Said]:
    return [{key: value for key, value in message.items() if key != "timestamp"} for message in said]


def wiped(home: Home, count: int, **more: Any) -> Finding:
    home.save(SID, [], title="About rain", **more)
    home.index[SID]["message_count"] = count
    home.write_index()
    (finding,) = survey(Places(home.sessions, home.agent))
    assert finding.state is State.LOST
    return finding


def lists(finding: Finding) -> tuple[list[Any], list[Any]]:
    value = json.loads(finding.document())
    return told(value["messages"]), told(value["context_messages"])


def rotated(home: Home) -> list[Said]:
    """Go on under a new id, as an agent of spring 2026 does: of what it repeats the database has nothing."""
    home.remember("before", FIRST, end_reason="compression", ended_at=START + 4000)
    home.remember(SID, THEN, parent_session_id="before")
    return [*FIRST[:3], summary(), *FIRST[-2:], *THEN]


def test_the_session_log_of_a_rotated_conversation_is_its_context(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.log(SID, rotated(home))
    messages, context = lists(wiped(home, len(FIRST + THEN)))
    assert messages == told(FIRST + THEN)
    assert context == told([*FIRST[:3], summary(), *FIRST[-2:], *THEN])


def test_without_any_summary_the_context_is_whole(tmp_path: Path) -> None:
    home = Home(tmp_path)
    rotated(home)
    messages, context = lists(wiped(home, len(FIRST + THEN)))
    assert messages == context == told(FIRST + THEN)


def test_a_session_log_without_a_summary_is_no_context(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.log(SID, FIRST[:4])
    home.remember(SID, FIRST)
    messages, context = lists(wiped(home, len(FIRST)))
    assert messages == context == told(FIRST)


def test_what_was_said_after_the_session_log_was_written_is_in_the_context(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.log(SID, rotated(home)[:-2])
    _, context = lists(wiped(home, len(FIRST + THEN)))
    assert context == told([*FIRST[:3], summary(), *FIRST[-2:], *THEN])


def test_what_was_taken_back_is_not_in_the_context_either(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    taken = chat(1, start=START + 3 * DAY, word="taken back")
    home.log(SID, [*FIRST[:3], summary(), *FIRST[-2:], *THEN, *taken])
    gone = [{**message, "active": 0, "compacted": 0} for message in taken]
    home.remember("before", FIRST, end_reason="compression", ended_at=START + 4000)
    home.remember(SID, [*THEN, *gone], parent_session_id="before")
    messages, context = lists(wiped(home, len(FIRST + THEN)))
    assert messages == told(FIRST + THEN)
    assert context == told([*FIRST[:3], summary(), *FIRST[-2:], *THEN])


@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("kept", [2, 7])
def test_compressed_twice_in_place(tmp_path: Path, first: int, kept: int) -> None:
    """Later agents keep the id: rows become compacted, and copies with new stamps follow, with a summary among them."""
    home = Home(tmp_path, Era.NEW, 30)
    at = START + DAY / 2
    one = [*again(FIRST[:first], at), summary(at), *again(FIRST[-kept:], at + 1)]
    two = [
        *again(FIRST[:first], at + DAY),
        summary(at + DAY, "They spoke of rain, and later."),
        *again((FIRST + THEN)[-kept:], at + DAY + 1),
    ]
    archived = [{**message, "active": 0, "compacted": 1} for message in [*FIRST, *one, *THEN]]
    home.remember(SID, [*archived, *two, *LAST])
    messages, context = lists(wiped(home, len(FIRST + THEN + LAST)))
    assert messages == told(FIRST + THEN + LAST)
    assert context == told([*two, *LAST])


def test_the_same_words_before_and_after_a_compression_are_said_twice(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    go_on = [{"role": "user", "content": "Go on.", "timestamp": START + 3600}]
    yes = [{"role": "assistant", "content": "Yes, it rains.", "timestamp": START + 3601}]
    before, behind = [*FIRST, *go_on, *yes], [*THEN, *go_on, *again(yes, START + 2 * DAY), *LAST]
    archived = [{**message, "active": 0, "compacted": 1} for message in before]
    copies = [summary(), *again(before[-4:], START + DAY / 2)]
    home.remember(SID, [*archived, *copies, *behind])
    messages, _ = lists(wiped(home, len(before + behind)))
    assert messages == told(before + behind)


def test_a_question_asked_again_after_it_was_taken_back_comes_back_once(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    (asked,) = [{"role": "user", "content": "And tomorrow?", "timestamp": START + 3600}]
    home.remember(SID, [*FIRST, {**asked, "active": 0, "compacted": 0}, {**asked, "timestamp": START + 3700}])
    messages, _ = lists(wiped(home, len(FIRST) + 1))
    assert messages == told([*FIRST, asked])


def test_a_continuation_without_a_summary_repeats_only_what_is_the_same_to_the_end(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.remember("before", FIRST, end_reason="compression", ended_at=START + 4000)
    home.remember(SID, [*again(FIRST[-3:], START + DAY), *THEN], parent_session_id="before")
    messages, _ = lists(wiped(home, len(FIRST + THEN)))
    assert messages == told(FIRST + THEN)


def test_what_was_compressed_away_stays_out_of_the_context_whoever_still_has_it(tmp_path: Path) -> None:
    """The run journal has all messages and knows nothing of the compression."""
    home = Home(tmp_path, Era.NEW, 30)
    home.run(SID, 1, [*FIRST, *THEN], THEN[-1]["timestamp"])
    home.log(SID, [*FIRST[:3], summary(), *FIRST[-2:], *THEN])
    messages, context = lists(wiped(home, len(FIRST + THEN)))
    assert messages == told(FIRST + THEN)
    assert context == told([*FIRST[:3], summary(), *FIRST[-2:], *THEN])


def test_a_turn_that_the_agent_wrote_twice_comes_back_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    doubled = [
        one
        for message in FIRST
        for one in ([message, message] if message["role"] != "assistant" else [message])
    ]
    home.remember(SID, doubled)
    messages, context = lists(wiped(home, len(FIRST)))
    assert messages == context == told(FIRST)
