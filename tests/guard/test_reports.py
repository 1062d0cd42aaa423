"""What was reported of the application and its neighbours, told again with files of our own: each is judged rightly now."""

import json
from copy import deepcopy

import pytest

from hermesguard.judge.verdict import Action
from hermesguard.repair.merge import merge_documents
from hermesguard.webui import session
from hermesguard.webui.compare.parts import PARTS
from tests.helpers.cases import NEW, OLD, Value, answer, calling, tool, turns, user, verdict_on
from tests.helpers.world import World
from tests.unit.judge.test_acts import base, undo

FIVE = turns(5)
CARD = user("[CONTEXT COMPACTION — REFERENCE ONLY] tiles")


def repaired(before: Value, after: Value) -> Value:
    shadow, live = (session.parse(json.dumps(value).encode()) for value in (before, after))
    assert verdict_on(shadow, live).action not in (Action.GROWTH, Action.INTENDED)
    value: Value = json.loads(merge_documents(shadow, live))
    return value


def kept(before: Value, after: Value) -> None:
    files = (session.parse(json.dumps(value).encode()) for value in (before, after))
    verdict = verdict_on(*files)
    assert verdict.action is Action.GROWTH
    assert not verdict.taken


def test_a_sync_tool_puts_an_older_copy_over_it() -> None:
    before, after = undo(OLD)
    assert len(repaired(before, after | {"updated_at": 1.0})["messages"]) == 10


def test_a_refresh_with_new_stamps_and_two_more_is_growth() -> None:
    restamped = [message | {"timestamp": 9000 + n / 100} for n, message in enumerate(FIVE)]
    kept(base(FIVE, NEW), base([*restamped, *turns(1, 9, 9900)], NEW))


def test_tool_ids_that_come_later_are_growth() -> None:
    plain = [answer("let me look", 1101), {"role": "tool", "content": "out", "timestamp": 1102}]
    rich = [calling("c1", 1101, "let me look"), tool("out", "c1", 1102)]
    kept(base([*FIVE, *plain, answer("so", 1103)], NEW), base([*FIVE, *rich, answer("so", 1103)], NEW))


def test_a_clock_that_went_back_does_not_put_a_new_turn_before_the_old_ones() -> None:
    ahead = base(turns(3, start=9_000_000.0), OLD) | {"active_stream_id": "s1"}
    late = [user("are you there?", 1000), answer("I am", 1001)]
    after = ahead | {"messages": late, "context_messages": late, "active_stream_id": None, "updated_at": 3.0}
    assert [m["content"] for m in repaired(ahead, after)["messages"]][-2:] == ["are you there?", "I am"]


def test_a_repair_with_a_pruned_context_holds_each_tool_id_once() -> None:
    run = [user("run", 1101), calling("c1", 1102), tool("line " * 50, "c1", 1103), answer("done", 1104)]
    before = base([*run, *FIVE], NEW)
    pruned = deepcopy(before["context_messages"])
    pruned[2]["content"] = "[tool result pruned]"
    context = repaired(before, before | {"messages": [*run, *FIVE[:8]], "context_messages": pruned})[
        "context_messages"
    ]
    assert [m.get("tool_call_id") for m in context].count("c1") == 1
    assert len(context) == len(before["context_messages"])


def test_a_stale_state_of_before_a_compression_does_not_blow_the_context_up() -> None:
    short = [CARD, *FIVE[-2:]]
    before = base(FIVE, NEW) | {"context_messages": short, "compression_anchor_visible_idx": 8}
    stale = before | {
        "messages": FIVE[:8],
        "context_messages": FIVE[:8],
        "compression_anchor_visible_idx": None,
    }
    value = repaired(before, stale)
    assert (len(value["messages"]), value["context_messages"]) == (10, short)


def test_a_prompt_that_was_recovered_and_its_message_are_one() -> None:
    asked = user("a new question", 2000, _recovered=True)
    before = base([*FIVE, asked], OLD)
    turn = [user("a new question", 2004), answer("the answer", 2004)]
    value = repaired(before, before | {"messages": turn, "context_messages": turn})
    assert [m["content"] for m in value["messages"]][10:] == ["a new question", "the answer"]


# ---- with a guard ----------------------------------------------------------------------------------------------------


def written(world: World, value: Value, tail: bytes = b"", mark: bytes = b"") -> None:
    """Save as the application does, and visit."""
    (world.sessions / "s.json").write_bytes(mark + json.dumps(value, indent=2).encode() + tail)
    world.guard.visit("s", 1, saves=1)


ASKED, DONE = user("run", 1101), answer("done", 1104)
CALLED = [ASKED, calling("c1", 1102), tool("out", "c1", 1103), DONE]
IN_CONTENT = answer([{"type": "tool_use", "id": "c1", "name": "terminal", "input": {}}], 1102)
SET = {
    "title": "Tiles",
    "project_id": "p",
    "pinned": True,
    "archived": True,
    "composer_draft": {"text": "half a page"},
}
UNSET = {
    "title": "Untitled",
    "project_id": None,
    "pinned": False,
    "archived": False,
    "composer_draft": {"text": ""},
}
STRIPPED = {
    "reasoning": ({"messages": [*FIVE[:-1], FIVE[-1] | {"reasoning": "a long thought"}]}, {"messages": FIVE}),
    "attachments": ({"messages": [FIVE[0] | {"attachments": ["a.png"]}, *FIVE[1:]]}, {"messages": FIVE}),
    "context_messages": ({}, {"context_messages": FIVE[-2:]}),
    "tool_calls": ({}, {"tool_calls": []}),
    "order": ({}, {"messages": [*FIVE[4:], *FIVE[:4]]}),
    "pictures": (
        {"messages": [user([{"type": "text", "text": "see"}, {"type": "image_url"}], 1000.5), *FIVE]},
        {"messages": [user("see\n[screenshot]", 1000.5), *FIVE]},
    ),
    "calls": (
        {"messages": [*FIVE, *CALLED]},
        {"messages": [*FIVE, ASKED, answer("", 1102), CALLED[2], DONE]},
    ),
    "calls of the tool": (
        {"messages": [*FIVE, *CALLED]},
        {"messages": [*FIVE, *CALLED[:2], {"role": "tool", "content": "out", "timestamp": 1103}, DONE]},
    ),
    "calls among the words": (
        {"messages": [*FIVE, ASKED, IN_CONTENT, *CALLED[2:]]},
        {"messages": [*FIVE, ASKED, answer("", 1102), *CALLED[2:]]},
    ),
    **dict.fromkeys(SET, (SET, UNSET)),
}


def test_there_is_a_case_of_each_part() -> None:
    assert {name.split()[0] for name in STRIPPED} == set(PARTS) - {"words"}


@pytest.mark.parametrize("part", STRIPPED)
@pytest.mark.parametrize("scale", [1, 60])
def test_what_a_save_takes_away_is_told_and_comes_back_alone(world: World, part: str, scale: int) -> None:
    """Also where the session is long enough to be followed by what differs alone."""
    more, less = STRIPPED[part]
    part = part.split()[0]
    early = turns(40 * (scale - 1), 100, -90_000.0)
    before = base([*early, *FIVE], NEW) | {"composer_draft": {"text": ""}} | more
    after = before | less
    for value in (before, after):
        if value["messages"][: len(early)] != early:
            value["messages"] = [*early, *value["messages"]]
    before["tool_calls"] = [{"tid": "t", "assistant_msg_idx": len(early) + 1}]
    if part != "tool_calls":
        after["tool_calls"] = before["tool_calls"]
    written(world, before)
    written(world, after | {"updated_at": 9.5})
    [told] = [values for name, values in world.ear.heard if name == "stripped"]
    assert part in told["parts"]  # type: ignore[operator]
    assert world.incidents() == []
    assert world.live("s").get("updated_at") == 9.5
    world.operations().restore("s", str(told["version"]), part=part)
    live = json.loads((world.sessions / "s.json").read_bytes())
    key = "messages" if part in ("reasoning", "attachments", "order", "pictures", "calls") else part
    assert live[key] == before[key]
    assert {k: v for k, v in live.items() if k != key} == {
        k: v for k, v in (after | {"updated_at": 9.5}).items() if k != key
    }


@pytest.mark.parametrize("others", [5, 10])
@pytest.mark.parametrize("words", ["[object Object]", "Ã¼bÃ¶r Ã¤ndÃ©rs", "wholly another text"])
def test_other_words_in_the_place_of_most_are_told_and_come_back_alone(
    world: World, words: str, others: int
) -> None:
    """No act does that; one message, or a few, may be taken out on purpose."""
    put = [m | {"content": words} if n < others else m for n, m in enumerate(FIVE)]
    before, after = base(FIVE, NEW), base(FIVE, NEW) | {"messages": put, "updated_at": 9.5}
    written(world, before)
    written(world, after)
    [told] = [values for name, values in world.ear.heard if name == "stripped"]
    assert told["parts"] == ["words"]
    world.operations().restore("s", str(told["version"]), part="words")
    assert json.loads((world.sessions / "s.json").read_bytes()) == after | {"messages": FIVE}


@pytest.mark.parametrize(
    ("mark", "tail"),
    [
        (b"", b"\0" * 4096),
        (b"", b'"the end of an older and longer save"}]}'),
        (b"\xef\xbb\xbf", b""),
        (b"\xef\xbb\xbf", b"\0"),
    ],
)
def test_a_save_with_a_bad_beginning_or_end_is_a_good_save(world: World, mark: bytes, tail: bytes) -> None:
    before = base(FIVE, OLD)
    written(world, before)
    more = [*FIVE, *turns(1, 9, 5000)]
    written(world, before | {"messages": more, "context_messages": more, "updated_at": 9.5}, tail, mark)
    world.pass_time(1.1)
    assert len(world.live("s").messages) == 12
    assert world.live("s").get("updated_at") == 9.5


def test_a_file_of_another_session_is_put_right_and_nothing_of_it_stays(world: World) -> None:
    before = base(FIVE, NEW)
    written(world, before)
    written(world, base(turns(3, 50, 5000), NEW) | {"session_id": "other", "title": "Other"})
    live = world.live("s")
    assert (live.get("session_id"), live.title, len(live.messages)) == ("s", "A title", 10)
