"""Beside each thing that was reported stand others of its kind: another key, another release, another order, with growth.

Each is played with a guard: a good file, then what was written over it, then what is there and what is kept.
"""

import json
from copy import deepcopy
from typing import Any

import pytest

from tests.helpers.cases import NEW, OLD, V137, V720, V875, Value, answer, calling, tool, turns, user
from tests.helpers.world import World

ERAS = [OLD, V137, V720, V875, NEW]
FIVE = turns(5)
LONG = "a long thought " * 20
CARD = user("[CONTEXT COMPACTION — REFERENCE ONLY] tiles")
NEWS = [user("go on", 3000.5), answer("yes", 3004.5)]
UNSTAMPED = [{key: value for key, value in message.items() if key != "timestamp"} for message in FIVE]


def chat(messages: list[Value], era: Value, **members: Any) -> Value:
    value: Value = {
        "session_id": "s",
        "title": "Tiles",
        "created_at": 1.5,
        "updated_at": 2000.5,
        "pinned": False,
        "project_id": None,
        "input_tokens": 0,
        "active_stream_id": None,
        "pending_user_message": None,
        "compression_anchor_summary": None,
        **era,
        "messages": messages,
        "tool_calls": [],
        "context_messages": [{"role": m["role"], "content": m["content"]} for m in messages],
        **members,
    }
    return value


def written(world: World, value: Value, name: str = "s", pid: int = 1, saves: int = 1) -> None:
    (world.sessions / f"{name}.json").write_text(json.dumps(value, indent=2), encoding="utf-8")
    world.seconds += 0.1
    world.guard.visit(name, pid, saves=saves)


def played(world: World, before: Value, after: Value, **more: Any) -> Value:
    written(world, before)
    written(world, after, **more)
    world.pass_time(4)
    return now(world)


def now(world: World) -> Value:
    value: Value = json.loads((world.sessions / "s.json").read_bytes())
    return value


def said(value: Value) -> list[Any]:
    return [message["content"] for message in value["messages"]]


def versions(world: World) -> list[Value]:
    store = world.guard.copies.store
    return [json.loads(store.read_version(version)) for version in store.versions("s")]


def alerts(world: World) -> list[str]:
    return [name for name in world.ear.names() if name not in ("version_kept", "intended")]


# ---- who knows better ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kept", [4, 8, 9])
def test_an_older_copy_brings_nothing_of_its_own_back(world: World, era: Value, kept: int) -> None:
    """A sync tool puts back yesterday's file: the messages come back, and so do the title and the pin of today."""
    before = chat(FIVE, era, title="The new name", pinned=True, project_id="p")
    older = chat(FIVE[:kept], era, title="The old name", updated_at=100.5)
    value = played(world, before, older)
    assert said(value) == said(before)
    assert [value[key] for key in ("title", "pinned", "project_id")] == ["The new name", True, "p"]


@pytest.mark.parametrize("era", ERAS)
def test_a_title_of_before_is_that_of_an_older_memory(world: World, era: Value) -> None:
    """A server that knows neither the new title nor the last turn pins: the pin is new, its title is not."""
    written(world, chat(FIVE[:8], era, title="The old name"))
    written(world, chat(FIVE[:8], era, title="The new name"))
    before = chat(FIVE, era, title="The new name")
    value = played(world, before, chat(FIVE[:8], era, title="The old name", pinned=True, updated_at=2009.5))
    assert (said(value), value["title"], value["pinned"]) == (said(before), "The new name", True)


def test_a_title_that_nobody_had_before_stays(world: World) -> None:
    """The same server, and its user renames there."""
    written(world, chat(FIVE[:8], NEW, title="The old name"))
    before = chat(FIVE, NEW, title="The new name")
    value = played(world, before, chat(FIVE[:8], NEW, title="The newest name", updated_at=2009.5))
    assert (said(value), value["title"]) == (said(before), "The newest name")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("more", [[], NEWS])
def test_anchors_belong_to_the_context_that_is_kept(world: World, era: Value, more: list[Value]) -> None:
    before = chat(FIVE, era, compression_anchor_summary="tiles", context_messages=[CARD, *FIVE[-2:]])
    value = played(world, before, chat([*FIVE[:8], *more], era, updated_at=2009.5))
    assert len(value["context_messages"]) == 3 + len(more)
    assert (value["compression_anchor_summary"], said(value)[:10]) == ("tiles", said(before))


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_what_is_written_from_an_empty_memory_comes_last_whatever_the_clock_says(
    world: World, era: Value
) -> None:
    """The clock was put back between the turns: both the stamps and the time of saving are earlier ones."""
    before = chat(turns(5, start=9_000_000.0), era, active_stream_id="s1", updated_at=9_000_100.5)
    empty = before | {"messages": [], "context_messages": [], "active_stream_id": None}
    written(world, before)
    written(world, empty | {"updated_at": 50.5})
    news = [user("are you there?", 60.5), answer("I am", 61.5)]
    written(world, empty | {"messages": news, "context_messages": news, "updated_at": 62.5})
    world.pass_time(70)
    assert said(now(world))[-2:] == ["are you there?", "I am"]
    assert len(now(world)["messages"]) == 12


def test_two_saves_of_a_second_server_are_no_undo_and_a_pin(world: World) -> None:
    written(world, chat(FIVE[:8], OLD), pid=9)
    before = chat(FIVE, OLD)
    stale = chat(FIVE[:8], OLD, pinned=True, updated_at=2009.5)
    value = played(world, before, stale, pid=9, saves=2)
    assert (said(value), value["pinned"]) == (said(before), True)


def test_an_undo_and_a_pin_of_one_server_are(world: World) -> None:
    left = chat(FIVE[:8], OLD, pinned=True, updated_at=2009.5)
    assert played(world, chat(FIVE, OLD), left, saves=2) == left


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("key", ["pinned", "archived", "project_id", "composer_draft"])
def test_what_is_set_in_the_same_save_stays(world: World, era: Value, key: str) -> None:
    """Also a key that the file did not have yet; the last turn comes back beside it."""
    new = {"text": "halfway"} if key == "composer_draft" else True
    value = played(world, chat(FIVE, era), chat(FIVE[:8], era, **{key: new, "updated_at": 2009.5}))
    assert (len(value["messages"]), value[key]) == (10, new)


def test_the_first_save_of_a_later_release_is_an_act_like_any_other(world: World) -> None:
    """It writes the anchors that the one before did not have, empty."""
    later = {"compression_anchor_details": {}, "compression_anchor_mode": None}
    cleared = chat([], V137, title="Untitled", updated_at=2009.5, **later)
    cleared["context_messages"] = chat(FIVE, OLD)["context_messages"]
    assert played(world, chat(FIVE, OLD), cleared) == cleared
    assert alerts(world) == []


# ---- messages of another session -------------------------------------------------------------------------------------


ALPHA = turns(3, 70, 5000.25)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kept", [0, 8])
def test_messages_that_stand_whole_in_another_session_are_not_merged_in(
    world: World, era: Value, kept: int
) -> None:
    """hermes-agent#59305: the answer of another conversation lands here, under the right id."""
    written(world, chat(ALPHA, era, session_id="alpha", title="Alpha"), "alpha")
    before = chat(FIVE, era)
    strangers = ALPHA[-2:] if kept else ALPHA
    value = played(world, before, chat([*FIVE[:kept], *strangers], era, updated_at=6000.5))
    assert (said(value), len(value["context_messages"])) == (said(before), 10)
    told = next(values for name, values in world.ear.heard if name in ("restored", "uncertain"))
    assert f"{len(strangers)} of the new messages stand whole in another session" in str(told["evidence"])


def test_only_those_that_stand_there_are_left_out(world: World) -> None:
    written(world, chat(ALPHA, NEW, session_id="alpha"), "alpha")
    written(world, chat(FIVE, NEW))
    written(world, chat([*FIVE[:8], *ALPHA[-2:], *NEWS], NEW, updated_at=6000.5))
    assert said(now(world)) == [*said(chat(FIVE, NEW)), "go on", "yes"]
    assert len(now(world)["context_messages"]) == 12


def test_a_branch_of_the_session_says_nothing_of_whose_messages_they_are(world: World) -> None:
    written(world, chat([*FIVE, *NEWS], NEW, session_id="branch"), "branch")
    value = played(world, chat(FIVE, NEW), chat([*FIVE[:8], *NEWS], NEW, updated_at=6000.5))
    assert said(value) == said(chat([*FIVE, *NEWS], NEW))


def test_words_that_are_said_everywhere_are_nobodys(world: World) -> None:
    yes = [user("yes"), answer("ok")]
    written(world, chat([*ALPHA, *yes], NEW, session_id="alpha"), "alpha")
    value = played(world, chat(FIVE, NEW), chat([*FIVE[:8], *yes], NEW, updated_at=6000.5))
    assert said(value) == [*said(chat(FIVE, NEW)), "yes", "ok"]


# ---- one message in another form -------------------------------------------------------------------------------------


BARE = [
    message
    for n in range(4)
    for message in (
        user(f"question {n}", 1000 + 10 * n),
        answer(f"let me look {n}", 1001 + 10 * n),
        {"role": "tool", "content": f"output {n}", "timestamp": 1002 + 10 * n},
        answer(f"answer {n}", 1003 + 10 * n),
    )
]
RICH = [
    message
    for n in range(4)
    for message in (
        user(f"question {n}", 1000 + 10 * n),
        calling(f"c{n}", 1001 + 10 * n, f"let me look {n}"),
        tool(f"output {n}", f"c{n}", 1002 + 10 * n),
        answer(f"answer {n}", 1003 + 10 * n),
    )
]


def restamped(messages: list[Value]) -> list[Value]:
    return [message | {"timestamp": 9000.5 + n} for n, message in enumerate(messages)]


def redacted(messages: list[Value], *places: int) -> list[Value]:
    return [m | {"content": "[removed]"} if n in places else m for n, m in enumerate(messages)]


FINE = [message | {"timestamp": message["timestamp"] + 0.25} for message in FIVE]
OTHER_FORMS = {
    "restamped and enriched": (BARE, restamped(RICH)),
    "the same between others": ([*FIVE, *BARE, *NEWS], [*FIVE, *restamped(RICH), *NEWS]),
    "a word in all of them": (
        [m | {"content": f"secret Zq7 {m['content']}"} for m in FIVE],
        [m | {"content": f"secret [x] {m['content']}"} for m in FIVE],
    ),
    "two words in all of them": (
        [m | {"content": f"secret Zq73 {m['content']} of Anna"} for m in FIVE],
        [m | {"content": f"secret [x] {m['content']} of [x]"} for m in FIVE],
    ),
    "words in the middle": (
        [m | {"content": f"what Zq7 said {m['content']} and Zq7 says"} for m in BARE],
        [m | {"content": f"that [x] said {m['content']} and [x] say"} for m in BARE],
    ),
    "the first": (FINE, redacted(FINE, 0)),
    "the last answer": (FINE, redacted(FINE, 9)),
    "the last turn": (FINE, redacted(FINE, 8, 9)),
}


@pytest.mark.parametrize("era", [OLD, NEW])
@pytest.mark.parametrize("more", [[], NEWS])
@pytest.mark.parametrize("how", OTHER_FORMS)
def test_a_message_never_stands_beside_its_other_form(
    world: World, era: Value, how: str, more: list[Value]
) -> None:
    old, new = OTHER_FORMS[how]
    left = chat([*new, *restamped(more)], era, updated_at=9999.5)
    assert played(world, chat(old, era), left) == left
    assert alerts(world) == []


@pytest.mark.parametrize("era", [OLD, NEW])
def test_what_a_tool_said_is_not_taken_for_what_a_later_call_of_its_id_brought(
    world: World, era: Value
) -> None:
    """Where a provider counts its calls anew in each turn."""
    asked = [*FIVE, user("a", 2000), calling("t0", 2001)]
    more = [user("b", 2010), calling("t0", 2011), tool("bb", "t0", 2012), answer("so b", 2013)]
    now = chat([*asked, *more], era, updated_at=2013.5)
    whole = [*asked, tool("aa", "t0", 2002), *more]
    assert said(played(world, chat([*asked, tool("aa", "t0", 2002)], era), now)) == said(chat(whole, era))


def shortened(messages: list[Value], places: set[int], left: Value) -> list[Value]:
    """Return the messages, those at the places with no more than `left`: words, or so many characters."""
    return [
        m | {"content": m["content"][:left] if isinstance(left, int) else left} if n in places else m
        for n, m in enumerate(messages)
    ]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("places", [{1}, {9}, {0}, {4}, {0, 2, 4, 6, 8}, set(range(10))])
@pytest.mark.parametrize("left", ["", "   ", [], None, 6])
def test_what_stands_without_its_words_or_their_end_was_lost(
    world: World, era: Value, places: set[int], left: Value
) -> None:
    now = chat(shortened(FINE, places, left), era, updated_at=2009.5)
    assert said(played(world, chat(FINE, era), now)) == said(chat(FINE, era))


@pytest.mark.parametrize(
    "note",
    ["[Workspace::v1: /home/me]\n{}", "[Workspace: /home/me]\n{}", "{}\n\n[Attached files: /tmp/a.png]"],
)
def test_a_prompt_that_loses_what_was_written_around_it_for_the_model_is_whole(
    world: World, note: str
) -> None:
    """hermes-webui takes it out when the turn ends, from v0.50 on."""
    asked = [*FINE, user(note.format("and this?"), 2000.5)]
    left = chat([*FINE, user("and this?", 2000.5), answer("that", 2001.5)], NEW, updated_at=2009.5)
    assert played(world, chat(asked, NEW), left) == left
    assert alerts(world) == []


SHUFFLES = {
    "two halves": lambda m: [*m[6:], *m[:6]],
    "two in the middle": lambda m: [*m[:4], m[5], m[4], *m[6:]],
    "the last two": lambda m: [*m[:8], m[9], m[8]],
    "backwards": lambda m: m[::-1],
    "the last one first": lambda m: [m[-1], *m[:-1]],
    "questions, then answers": lambda m: [*m[::2], *m[1::2]],
}


@pytest.mark.parametrize("messages", [FIVE, UNSTAMPED], ids=["stamped", "unstamped"])
@pytest.mark.parametrize("how", SHUFFLES)
def test_another_order_is_no_other_conversation(world: World, how: str, messages: list[Value]) -> None:
    before = chat(messages, NEW)
    value = played(world, before, chat(SHUFFLES[how](messages), NEW, updated_at=2009.5))
    assert sorted(said(value)) == sorted(said(before))
    assert before["messages"] in [version["messages"] for version in versions(world)]


def test_what_is_said_again_without_a_stamp_is_not_moved(world: World) -> None:
    """An empty memory goes on with a word that was said long ago, and another answer."""
    middle = [user("yes"), answer("of course")]
    before = chat([*UNSTAMPED[:2], *middle, *UNSTAMPED[2:]], OLD, active_stream_id="s1")
    written(world, before)
    written(world, before | {"messages": [], "context_messages": [], "active_stream_id": None})
    again = [user("yes"), answer("something else")]
    value = played(world, now(world), now(world) | {"messages": again, "context_messages": again})
    assert said(value)[-2:] == ["yes", "something else"]
    assert len(value["messages"]) == 14


# ---- what is taken away without a word -------------------------------------------------------------------------------


def all_with(**more: Any) -> list[Value]:
    return [message | more for message in FIVE]


DRAFT = {"text": "half a page", "files": []}
LESS: dict[str, tuple[Value, Value]] = {
    "the end of the reasoning": (
        {"messages": all_with(reasoning=LONG)},
        {"messages": all_with(reasoning="a long")},
    ),
    "one of two kinds of reasoning": (
        {"messages": all_with(reasoning=LONG, reasoning_content=f"other {LONG}")},
        {"messages": all_with(reasoning=LONG)},
    ),
    "what a later release keeps": ({"messages": all_with(later_items=[{"k": "v"}])}, {"messages": FIVE}),
    "one of two attachments": (
        {"messages": all_with(attachments=["a.png", "b.pdf"])},
        {"messages": all_with(attachments=["a.png"])},
    ),
    "the summary before the context": (
        {"context_messages": [CARD, *FIVE[-4:]]},
        {"context_messages": FIVE[-4:]},
    ),
    "the compression": (
        {"context_messages": [CARD, *FIVE[-2:]], "compression_anchor_summary": "tiles"},
        {"context_messages": FIVE, "compression_anchor_summary": None},
    ),
    "the text of an error": (
        {"messages": [*FIVE, answer("**Provider error:** tiles of the bath, half laid") | {"_error": True}]},
        {"messages": [*FIVE, answer("Tiles of the bath, all laid.")]},
    ),
    "the title alone": ({}, {"title": "Untitled"}),
    "the title's key": ({"pinned": True}, {"title": ..., "pinned": ...}),
    "the project alone": ({"project_id": "p"}, {"project_id": None}),
    "the draft alone": ({"composer_draft": DRAFT}, {"composer_draft": {"text": ""}}),
    "a draft's files": (
        {"composer_draft": {"text": "see", "files": ["a"]}},
        {"composer_draft": {"text": "see", "files": []}},
    ),
}


@pytest.mark.parametrize("scale", [1, 60])
@pytest.mark.parametrize("more", [[], NEWS])
@pytest.mark.parametrize("what", LESS)
def test_what_goes_quietly_is_a_version(world: World, what: str, more: list[Value], scale: int) -> None:
    """Also where the session is long enough to be followed by what differs alone."""
    start = [m | {"content": f"{m['content']} " + "x" * 300} for m in turns(scale, 100, 10.0)]
    was, is_now = deepcopy(LESS[what])
    before, after = chat(FIVE, NEW) | was, chat(FIVE, NEW, updated_at=2009.5) | was | is_now
    for value in (before, after):
        value["messages"] = [*start, *value["messages"]]
    after["messages"] = [*after["messages"], *more]
    after = {key: value for key, value in after.items() if value is not ...}
    assert played(world, before, after) == after
    assert before in versions(world)
    assert not {"restored", "merged", "uncertain"} & set(world.ear.names())


def test_another_order_of_the_context_is_a_version(world: World) -> None:
    before = chat(FIVE, NEW)
    played(world, before, chat(FIVE, NEW, context_messages=[*UNSTAMPED[4:], *UNSTAMPED[:4]]))
    assert before in versions(world)


NOTHING_LESS: dict[str, tuple[Value, Value]] = {
    "a draft that was sent": (
        {"composer_draft": {"text": "go  on"}},
        {"composer_draft": {}, "messages": [*FIVE, *NEWS]},
    ),
    "a draft that is pending": (
        {"composer_draft": {"text": "go on"}},
        {"composer_draft": {}, "pending_user_message": "go on", "active_stream_id": "s1"},
    ),
    "an id": ({"messages": all_with(id="x1")}, {"messages": FIVE}),
    "what has another name now": (
        {"messages": all_with(reasoning=LONG)},
        {"messages": all_with(reasoning_content=LONG)},
    ),
    "a title that is another": ({}, {"title": "Other"}),
}


@pytest.mark.parametrize("what", NOTHING_LESS)
def test_what_is_no_less_is_none(world: World, what: str) -> None:
    was, is_now = NOTHING_LESS[what]
    after = chat(FIVE, NEW, updated_at=2009.5) | was | is_now
    assert played(world, chat(FIVE, NEW) | was, after) == after
    assert versions(world) == []


@pytest.mark.parametrize("era", ERAS)
def test_what_is_said_twice_stands_once_in_the_context(world: World, era: Value) -> None:
    """The application keeps one of several messages that say the same; nobody is told, but the state before is a version."""
    messages = [*FIVE, user("yes", 2000.5), answer("ok", 2001.5), user("yes", 2002.5), answer("ok", 2003.5)]
    before = chat(messages, era)
    after = before | {"context_messages": before["context_messages"][:12], "updated_at": 2009.5}
    assert played(world, before, after) == after
    assert alerts(world) == []


@pytest.mark.parametrize("era", ERAS)
def test_calls_under_the_ids_of_another_provider_are_not_gone(world: World, era: Value) -> None:
    before, after = (
        [*FIVE, user("run", 2000.5), calling(call, 2001.5), tool("out", call, 2002.5), answer("done", 2003.5)]
        for call in ("call_1", "toolu_x")
    )
    saved = chat(after, era, updated_at=2009.5)
    assert played(world, chat(before, era), saved) == saved
    assert alerts(world) == []


def test_a_picture_is_one_only_with_its_data(world: World) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    without = {"type": "image_url", "image_url": {"url": "[screenshot]"}}
    before = chat([user([part], 900.5), answer([part], 901.5), *FIVE], NEW)
    played(world, before, chat([user([without], 900.5), answer([without], 901.5), *FIVE], NEW))
    assert before in versions(world)
    assert "stripped" in world.ear.names()


# ---- what was taken back ---------------------------------------------------------------------------------------------


def cut(kept: int, era: Value, **more: Any) -> Value:
    """What an undo (or a clear) of that era leaves of the five turns."""
    marks = {
        key: {"truncation_watermark": 1045.0, "truncation_boundary": 1045.0}.get(key, era[key]) for key in era
    }
    if not kept:
        marks |= {key: 0.0 for key in ("truncation_watermark", "truncation_boundary") if key in era}
        marks |= {"clear_generation": "c1"} if "clear_generation" in era else {}
        more |= {
            "title": "Untitled",
            "context_messages": [] if marks else chat(FIVE, OLD)["context_messages"],
        }
    marks |= {"intentional_shrink_generation": "g1"} if "intentional_shrink_generation" in era else {}
    return chat(FIVE[:kept], marks, updated_at=2009.5, **more)


def told(world: World, event: str) -> list[Value]:
    return [values for name, values in world.ear.heard if name == event]


@pytest.mark.parametrize("era", [OLD, V720, V875, NEW])
@pytest.mark.parametrize("kept", [0, 8])
@pytest.mark.parametrize("is_away", [False, True])
def test_what_the_application_brings_again_is_told_and_one_command_takes_it_away(
    world: World, era: Value, kept: int, is_away: bool
) -> None:
    """Its recovery puts its own backup back at a start, whether the guard was there all the time or not (#4836, #5532)."""
    before, left = chat(FIVE, era), cut(kept, era)
    written(world, before)
    written(world, left)
    assert alerts(world) == []
    (world.sessions / "s.json.bak").write_text(json.dumps(before, indent=2), encoding="utf-8")
    if is_away:
        world.start()
    written(world, before)
    assert now(world) == before
    [values] = told(world, "returned")
    assert values["count"] == 10 - kept
    assert any("its recovery puts it back" in sentence for sentence in values["evidence"])  # type: ignore[attr-defined]
    written(world, chat([*FIVE, *NEWS], era, updated_at=3009.5))
    assert len(told(world, "returned")) == 1
    assert len(now(world)["messages"]) == 12
    world.operations().undo(str(values["incident"]))
    assert now(world) == left


@pytest.mark.parametrize("is_cleared", [False, True])
def test_a_deleted_conversation_that_the_application_brings_again_is_told(
    world: World, is_cleared: bool
) -> None:
    """It builds a conversation anew from its backup, or from the agent's database, at a start (#5498, #6954)."""
    before = chat(FIVE, V720)
    written(world, before)
    if is_cleared:
        written(world, cut(0, V720))
    (world.sessions / "_deleted_webui_sessions.json").write_text('{"version": 1, "ids": ["s"]}')
    (world.sessions / "s.json").unlink()
    world.guard.visit("s")
    world.pass_time(20)
    (world.sessions / "_deleted_webui_sessions.json").unlink()
    written(world, before)
    [values] = told(world, "returned")
    assert (values["count"], now(world)) == (10, before)
    assert "had been deleted" in values["evidence"][0]  # type: ignore[index]
    world.operations().undo(str(values["incident"]))
    assert not (world.sessions / "s.json").exists()
    world.pass_time(20)
    assert not (world.sessions / "s.json").exists()


def test_what_was_deleted_and_is_imported_anew_was_not_brought_again(world: World) -> None:
    written(world, chat(FIVE, V720))
    (world.sessions / "_deleted_webui_sessions.json").write_text('{"version": 1, "ids": ["s"]}')
    (world.sessions / "s.json").unlink()
    world.guard.visit("s")
    world.pass_time(20)
    written(world, chat(FIVE[:6], V720, created_at=99.5))
    assert told(world, "returned") == []


@pytest.mark.parametrize("title", ["btw: what time is it", "bg: tidy up"])
def test_a_side_question_that_is_saved_once_more_was_not_brought_again(world: World, title: str) -> None:
    """The application removes its session at its end, and saves it again when the page asks for what runs."""
    before = chat(FIVE, V720, title=title)
    written(world, before)
    (world.sessions / "s.json").unlink()
    world.guard.visit("s")
    world.pass_time(20)
    assert told(world, "deleted")
    written(world, before)
    assert (told(world, "returned"), now(world)) == ([], before)


def test_what_is_said_again_was_not_brought_again(world: World) -> None:
    """The last question is asked once more: the same words, at another time."""
    written(world, chat(FIVE, NEW))
    written(world, cut(8, NEW))
    again = [user("question 5", 3000.5), answer("answer 5", 3004.5)]
    written(world, cut(8, NEW) | {"messages": [*FIVE[:8], *again], "updated_at": 3009.5})
    assert told(world, "returned") == []


@pytest.mark.parametrize("era", [OLD, V720, V875])
def test_a_repair_brings_nothing_again_that_was_cleared(world: World, era: Value) -> None:
    """The recovery puts the backup from before the clear over the new conversation: only that comes back."""
    written(world, chat(FIVE, era))
    written(world, cut(0, era))
    begun = chat(NEWS, cut(0, era), title="go on", updated_at=3009.5)
    written(world, begun)
    written(world, chat(FIVE, era))
    world.pass_time(4)
    assert said(now(world)) == ["go on", "yes"]
    loss = next(values for name, values in world.ear.heard if name in ("restored", "merged", "uncertain"))
    assert any("had been removed on purpose before" in sentence for sentence in loss["evidence"])  # type: ignore[attr-defined]


def test_what_was_taken_back_and_pruned_since_is_not_looked_for(world: World) -> None:
    written(world, chat(FIVE, NEW))
    written(world, cut(8, NEW))
    for version in world.guard.copies.store.versions("s"):
        version.path.unlink()
    world.start()
    written(world, chat(FIVE, NEW))
    assert (now(world), alerts(world)) == (chat(FIVE, NEW), [])


# ---- a prompt in the save that cuts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_a_server_that_is_a_turn_behind_and_sends_a_prompt_takes_nothing_back(
    world: World, era: Value
) -> None:
    """Who edits or asks again cuts in a save of its own: in one save, the turn is missing in an older memory."""
    before = chat(FIVE, era)
    asks = {"active_stream_id": "s2", "pending_user_message": "go on", "pending_started_at": 3000.5}
    value = played(world, before, chat(FIVE[:8], era, updated_at=3001.5, **asks))
    assert (said(value), value["active_stream_id"]) == (said(before), "s2")
    written(world, chat([*FIVE[:8], *NEWS], era, updated_at=3009.5))
    world.pass_time(4)
    assert said(now(world)) == [*said(before), "go on", "yes"]


@pytest.mark.parametrize("era", [OLD, V137, V720, V875])
def test_an_undo_and_then_a_prompt_are_two_saves(world: World, era: Value) -> None:
    left = cut(8, era) | {"active_stream_id": "s2", "pending_user_message": "go on"}
    assert played(world, chat(FIVE, era), left, saves=2) == left
    assert alerts(world) == []


@pytest.mark.parametrize("era", [OLD, V137])
@pytest.mark.parametrize("saves", [1, 2])
def test_a_prompt_that_a_repair_recovered_is_not_undone_by_an_old_memory(
    world: World, era: Value, saves: int
) -> None:
    """The server never had the recovered prompt in its memory, and goes on with the next."""
    sent = {"active_stream_id": "s1", "pending_user_message": "unsent", "pending_started_at": 2500.5}
    written(world, chat(FIVE, era, **sent))
    stub = chat([], era, updated_at=2600.5)
    written(world, stub | {"context_messages": []})
    assert said(now(world))[-1] == "unsent"
    asks = {"active_stream_id": "s2", "pending_user_message": "go on", "pending_started_at": 3000.5}
    written(world, chat(FIVE, era, updated_at=3001.5, **asks), saves=saves)
    written(world, chat([*FIVE, *NEWS], era, updated_at=3009.5))
    world.pass_time(70)
    assert said(now(world)) == [*said(chat(FIVE, era)), "unsent", "go on", "yes"]


@pytest.mark.parametrize("era", [OLD, V137, V720])
@pytest.mark.parametrize("stream", ["s1", None])
def test_an_undo_takes_no_prompt_away_that_was_just_sent(
    world: World, era: Value, stream: str | None
) -> None:
    """A server with an older memory saves: the last turn is gone, and so is the prompt that waits for its answer."""
    pending = {"pending_user_message": "typed by hand", "pending_started_at": 2001.5}
    before = chat(FIVE, era, active_stream_id="s1", **pending)
    value = played(world, before, chat(FIVE[:8], era, active_stream_id=stream, updated_at=2010.5))
    assert said(value) == [*said(before), "typed by hand"]


def test_a_stopped_turn_may_be_followed_by_an_undo_within_one_look(world: World) -> None:
    pending = {"pending_user_message": "typed by hand", "pending_started_at": 2001.5}
    before = chat(FIVE, OLD, active_stream_id="s1", **pending)
    value = played(world, before, chat(FIVE[:8], OLD, updated_at=2010.5), saves=2)
    assert said(value) == [message["content"] for message in FIVE[:8]]
