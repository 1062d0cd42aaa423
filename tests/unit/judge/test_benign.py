"""Each harmless way in which the application changes or drops messages, and what looks like it and is a loss.

All of it in files of the newest era, where nothing but a harmless change may go unmarked: a loss is restored by rule 7.
"""

import pytest

from hermesguard.judge.judge import Action
from hermesguard.repair.merge import merge_documents
from hermesguard.webui import benign, session
from hermesguard.webui.compare import vanished
from hermesguard.webui.compare.diff import compare
from tests.helpers.cases import NEW, Value, answer, calling, file, tool, turns, user, verdict_on

START = turns(2)
PART = answer("I am looking", 1100, _partial=True)
ERROR = answer("**Error:** no connection", 1101, _error=True)
ASKED = [*START, user("and now?", 1099)]
UNSTAMPED = [{"role": m["role"], "content": m["content"]} for m in turns(2)]
CALLS = "<function_calls><invoke>ls</invoke></function_calls>"


def judged(before: list[Value], after: list[Value]) -> tuple[Action, list[str]]:
    verdict = verdict_on(file(before, NEW), file(after, NEW))
    assert verdict.comparison
    return verdict.action, [kind for _, kind in verdict.comparison.harmless]


HARMLESS: dict[str, tuple[list[Value], list[Value], list[str]]] = {
    "equal partials collapse": ([*ASKED, *[PART] * 4], [*ASKED, PART], ["duplicate_partial"] * 3),
    "equal partials of two kinds collapse": (
        [*ASKED, PART, PART, answer("more", 1101, _partial=True), answer("more", 1101, _partial=True)],
        [*ASKED, PART, answer("more", 1101, _partial=True)],
        ["duplicate_partial"] * 2,
    ),
    "an equal partial of another stopped turn goes as a turn ends": (
        [*ASKED, PART, ERROR, user("go on", 1110), PART | {"timestamp": 1111.0}, ERROR],
        [*ASKED, ERROR, user("go on", 1110), PART | {"timestamp": 1111.0}, ERROR, *turns(1, 9, 2000)],
        ["duplicate_partial"],
    ),
    "a partial before its answer goes": (
        [*ASKED, PART, answer("I am looking at it.", 1105)],
        [*ASKED, answer("I am looking at it.", 1105)],
        ["superseded_partial"],
    ),
    "a half answer that was recovered while its turn still ran": (
        [*ASKED, answer("I am looking", 1100, _recovered_from_run_journal=True), ERROR],
        [*ASKED, answer("I am looking at it.", 1105)],
        ["superseded_partial", "interruption_marker"],
    ),
    "a recovered half before its answer goes": (
        [*ASKED, answer("I am", 1100, _recovered_from_run_journal=True), answer("I am looking at it.", 1105)],
        [*ASKED, answer("I am looking at it.", 1105)],
        ["superseded_partial"],
    ),
    "a stopped answer that came after all": (
        [*ASKED, PART, answer("*Task cancelled.*", 1100, _error=True)],
        [*ASKED, answer("Here it is.", 1101)],
        ["stopped_answer", "interruption_marker"],
    ),
    "several partials before their answer go": (
        [*ASKED, PART, answer("I am looking at", 1102, _partial=True), answer("I am looking at it.", 1105)],
        [*ASKED, answer("I am looking at it.", 1105), *turns(1, 9)],
        ["superseded_partial"] * 2,
    ),
    "a partial gives way to a turn with tools": (
        [*ASKED, PART],
        [
            *ASKED,
            calling("call_1", 1105),
            tool("done", "call_1", 1105),
            answer("I am looking at it, and it is done.", 1105),
        ],
        ["superseded_partial"],
    ),
    "a prompt that stood twice": (
        [*START, user("twice", 1100), user("twice", 1101), *turns(1, 12)],
        [*START, user("twice", 1100), *turns(1, 12)],
        ["duplicate_user"],
    ),
    "a history that was replayed": (
        [*START, *turns(1, 12), *START, *turns(1, 13)],
        [*START, *turns(1, 12), *turns(1, 13)],
        ["replay"] * len(START),
    ),
    "a replay of messages without stamps": (
        [*UNSTAMPED, *UNSTAMPED, user("so"), answer("and so")],
        [*UNSTAMPED, user("so"), answer("and so")],
        ["replay"] * len(UNSTAMPED),
    ),
    "words and a call that became one message": (
        [*ASKED, answer("Let me look.", 1100), calling("c", 1101), tool("done", "c", 1102), *turns(1, 20)],
        [*ASKED, calling("c", 1101, "Let me look."), tool("done", "c", 1102), *turns(1, 20)],
        ["folded"],
    ),
    "two halves that became one answer": (
        [*ASKED, answer("First half.", 1100), answer("Second half.", 1101), *turns(1, 20)],
        [*ASKED, answer("First half.\n\nSecond half.", 1100), *turns(1, 20)],
        ["folded"],
    ),
    "instructions to the model": (
        [{"role": "system", "content": "be kind"}, *START],
        START,
        ["control_message"],
    ),
    "a compaction card": (
        [*START, answer("[CONTEXT COMPACTION — REFERENCE ONLY] Earlier turns were compacted", 1100)],
        START,
        ["compaction_marker"],
    ),
    "a compaction card, flagged": (
        [answer("Context compaction: earlier turns", 900, _compressed_summary=True), *START],
        START,
        ["compaction_marker"],
    ),
    "synthetic control messages": (
        [
            *START,
            answer("Done.", 1100, _verification_stop_synthetic=True),
            user("[System: You edited code.]", 1100, _pre_verify_synthetic=True),
        ],
        START,
        ["control_message"] * 2,
    ),
    "the iteration limit": (
        [
            *START,
            user(
                "You've reached the maximum number of tool-calling iterations allowed. Please summarise.",
                1100,
            ),
        ],
        START,
        ["control_message"],
    ),
    "a hidden message": (
        [*START, user("the other agent is done", 1100, _source="delegation_wakeup")],
        START,
        ["control_message"],
    ),
    "an error card": ([*ASKED, ERROR], ASKED, ["interruption_marker"]),
    "an error card before the answer": (
        [*ASKED, ERROR, answer("Here it is.", 1105)],
        [*ASKED, answer("Here it is.", 1105)],
        ["interruption_marker"],
    ),
    "a card of an old release, not flagged": (
        [*ASKED, answer("**Previous turn did not complete.**", 1101)],
        ASKED,
        ["interruption_marker"],
    ),
    "a cancelled turn": ([*ASKED, answer("*Task cancelled.*", 1101)], ASKED, ["interruption_marker"]),
    "an empty message": (
        [*ASKED, answer("", 1101), *turns(1, 20)],
        [*ASKED, *turns(1, 20)],
        ["empty_message"],
    ),
    # Messages that change where they stand.
    "a partial goes on": ([*ASKED, PART], [*ASKED, answer("I am looking at it", 1103, _partial=True)], []),
    "a partial becomes the answer": ([*ASKED, PART], [*ASKED, answer("I am looking at it.", 1105)], []),
    "the last answer goes on": (
        [*ASKED, answer("It is", 1100)],
        [*ASKED, answer("It is done.", 1100, reasoning="so")],
        [],
    ),
    "an image part becomes a word": (
        [
            *ASKED,
            tool(
                [
                    {"type": "text", "text": "Here"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
                "c",
                1100,
            ),
        ],
        [
            *ASKED,
            tool([{"type": "text", "text": "Here"}, {"type": "text", "text": "[screenshot]"}], "c", 1100),
        ],
        [],
    ),
    "image bytes in a text become a word": (
        [*ASKED, tool("Here: data:image/png;base64,iVBORw0KGgo= it is", "c", 1100)],
        [*ASKED, tool("Here: [screenshot] it is", "c", 1100)],
        [],
    ),
    "the names of attached files are taken out of a prompt": (
        [*START, user("and this?\n\n[Attached files: /tmp/a.png]", 1100), *turns(1, 20)],
        [*START, user("and this?", 1100), *turns(1, 20)],
        [],
    ),
    "calls written as text are cut out": (
        [*ASKED, answer(f"Let me see.\n{CALLS}", 1100), *turns(1, 20)],
        [*ASKED, answer("Let me see.", 1100), *turns(1, 20)],
        [],
    ),
    "an unclosed call is cut off": (
        [*ASKED, answer("Let me see. <Function_Calls><invoke>ls", 1100), *turns(1, 20)],
        [*ASKED, answer("Let me see.", 1100), *turns(1, 20)],
        [],
    ),
    "thoughts are cut out of a partial": (
        [*ASKED, answer("<think>hm</think>Let me see", 1100, _partial=True)],
        [*ASKED, answer("Let me see", 1100, _partial=True)],
        [],
    ),
    # The same message in another dress.
    "timestamps are stamped": (
        [user("a"), answer("b"), user("c"), answer("d")],
        [user("a", 5), answer("b", 5), user("c", 5), answer("d", 5)],
        [],
    ),
    "metadata comes and goes": (
        [*ASKED, answer("b", 1100, _turnUsage={"n": 1}, id="x1")],
        [*ASKED, answer("b", 1100, _statusCard={})],
        [],
    ),
    "the workspace is put before the prompt": (
        ASKED,
        [*START, user("[Workspace::v1: /home/me]\nand now?", 1099)],
        [],
    ),
    "space is written differently": (
        [*ASKED, answer("a  b\n\nc", 1100)],
        [*ASKED, answer("a b\nc ", 1100)],
        [],
    ),
    "a text becomes a list of parts": (
        [*ASKED, answer("a", 1100)],
        [*ASKED, answer([{"type": "text", "text": "a"}], 1100)],
        [],
    ),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_harmless(what: str) -> None:
    before, after, kinds = HARMLESS[what]
    assert judged(before, after) == (Action.GROWTH, kinds)


LOSSES: dict[str, tuple[list[Value], list[Value]]] = {
    "a recovered answer, though a later one has its words": (
        [user("1 + 2?", 990), answer("3", 991, _recovered_from_run_journal=True), *START, answer("13", 1099)],
        [user("1 + 2?", 990), *START, answer("13", 1099)],
    ),
    "a recovered answer, and a new one to another question": (
        [*ASKED, answer("3", 1100, _recovered_from_run_journal=True)],
        [*ASKED, user("10 + 3?", 1105), answer("13", 1106)],
    ),
    "the last of equal partials": ([*ASKED, PART, PART], ASKED),
    "a partial with other reasoning": (
        [*ASKED, PART, answer("I am looking", 1100, _partial=True, reasoning="why"), *turns(1, 20)],
        [*ASKED, PART, *turns(1, 20), answer("so", 1300)],
    ),
    "a partial whose text stands nowhere": ([*ASKED, PART], [*ASKED, answer("Something else.", 1105)]),
    "a partial that called tools": (
        [*ASKED, answer("", 1100, _partial=True, _partial_tool_calls=[{"name": "ls"}])],
        ASKED,
    ),
    "an unstamped turn that was said before": (
        [user("yes"), answer("ok"), user("a"), answer("b"), user("yes"), answer("ok")],
        [user("yes"), answer("ok"), user("a"), answer("b")],
    ),
    "a replay that has something of its own": (
        [*START, *turns(1, 12), *({**message, "attachments": ["a"]} for message in START), *turns(1, 13)],
        [*START, *turns(1, 12), *turns(1, 13)],
    ),
    "words that the answer beside it had before": (
        [*ASKED, answer("yes", 1100), answer("yes, and more", 1101), *turns(1, 20)],
        [*ASKED, answer("yes, and more", 1101), *turns(1, 20)],
    ),
    "equal prompts that are not neighbours": (
        [user("yes", 1), answer("a", 2), user("yes", 3), answer("b", 4)],
        [user("yes", 1), answer("a", 2), answer("b", 4)],
    ),
    "both of two equal prompts": ([*START, user("twice", 1100), user("twice", 1101)], START),
    "an equal prompt with its own attachment": (
        [*START, user("see", 1100), user("see", 1101, attachments=["a.png"])],
        [*START, user("see", 1100)],
    ),
    "a tool's words about compaction": ([*ASKED, tool("[context compaction] log", "c", 1100)], ASKED),
    "a user who speaks of a cancelled task": ([*START, user("Task cancelled.", 1100)], START),
    "an answer that begins like a card": (
        [*ASKED, answer("Task cancelled. What I did so far: all of it.", 1100)],
        ASKED,
    ),
    "a message of a user that is flagged as an error": ([*START, user("my words", 1100, _error=True)], START),
    "an empty message that calls a tool": ([*ASKED, calling("call_1", 1100)], ASKED),
    "an empty message with an attachment": ([*START, user("", 1100, attachments=["a.png"])], START),
    "an empty message that only thought": ([*ASKED, answer("", 1100, reasoning="a thought")], ASKED),
    "an answer that grew and was not the last": (
        [*START, *turns(1, 20)],
        [*START, user("question 20", 1200), answer("answer 20 and more", 1300)],
    ),
    "an answer cut short": (
        [*ASKED, answer("It is done, all of it.", 1100)],
        [*ASKED, answer("It is done", 1100)],
    ),
    "an answer cut off at some markup": (
        [*ASKED, answer("Write <invoke> and then more", 1100)],
        [*ASKED, answer("Write", 1100)],
    ),
    "the end of a prompt": (
        [*START, user("and this [as it stands]?", 1100), *turns(1, 20)],
        [*START, user("and this", 1100), *turns(1, 20)],
    ),
    "the words of a prompt": ([*ASKED, *turns(1, 20)], [*START, user("", 1099), *turns(1, 20)]),
    "image bytes of a user": (
        [*START, user("see data:image/png;base64,iVBORw0KGgo= there", 1100)],
        [*START, user("see [screenshot] there", 1100)],
    ),
    "the answer of a tool to another call": (
        [*ASKED, tool("done", "call_1", 1100)],
        [*ASKED, tool("done", "call_2", 1100)],
    ),
}


RENAMED: dict[str, tuple[list[Value], list[Value]]] = {
    f"{how} {where}": tuple(  # type: ignore[misc]
        [
            *START,
            user("look", None if how == "unstamped" else 1100),
            *(
                {key: value for key, value in message.items() if how != "unstamped" or key != "timestamp"}
                for call in range(3)
                for message in (
                    calling(f"{prefix}{call}", 1101 + 2 * call),
                    tool(f"found {call}", f"{prefix}{call}", 1102 + 2 * call),
                )
            ),
            *end,
        ]
        for prefix in ("call_", "fc_")
    )
    for how in ("stamped", "unstamped")
    for where, end in {
        "before an answer": [answer("so", 1110), *turns(1, 20)],
        "at the end": [],
        "before an answer without a stamp": [answer("so")],
    }.items()
}


@pytest.mark.parametrize("what", RENAMED)
@pytest.mark.parametrize("news", [[], turns(1, 30)])
def test_tool_ids_of_another_provider_make_no_other_messages(what: str, news: list[Value]) -> None:
    before, after = RENAMED[what]
    grown = file([*after, *news], NEW)
    assert judged(before, [*after, *news]) == (Action.GROWTH, [])
    assert len(session.parse(merge_documents(file(before, NEW), grown)).messages) == len(grown.messages)


CHANGED: dict[str, tuple[list[Value], list[Value]]] = {
    "a prompt before which the one that was broken off stood": (
        [*START, user("fix it", 1090), ERROR, user("fix it\n\nand that", 1100)],
        [*START, user("fix it", 1090), ERROR, user("and that", 1100), answer("both", 1105)],
    ),
    "a conversation stamped anew in which a password was taken out": (
        [
            *START,
            user("my password is hunter2, log in for me", 1100),
            answer("it is done now, all of it", 1105),
        ],
        [
            *({**message, "timestamp": 5000 + place} for place, message in enumerate(START)),
            user("my password is [removed], log in for me", 5010),
            answer("it is done now, all of it", 5011),
        ],
    ),
    "outputs pruned under the tool ids of another provider": (
        [user("look"), calling("a1"), tool("line " * 100, "a1"), calling("a2"), tool("ok", "a2")],
        [user("look"), calling("b1"), tool("[pruned]", "b1"), calling("b2"), tool("[pruned]", "b2")],
    ),
    "an answer without a stamp behind the output of a tool that was pruned": (
        [user("look"), calling("a1"), tool("line " * 100, "a1"), answer("so")],
        [user("look"), calling("a1"), tool("[pruned]", "a1"), answer("so"), user("and?"), answer("yes")],
    ),
    "a password before an answer without a stamp": (
        [*UNSTAMPED, user("my password is hunter2, log in for me"), answer("it is done " * 10)],
        [
            *UNSTAMPED,
            user("my password is [removed], log in for me"),
            answer("it is done " * 10),
            user("and?", 9000),
            answer("yes", 9001),
        ],
    ),
    "two prompts that were queued and sent as one": (
        [*START, user("look here", 1100), user("and there", 1101), answer("yes", 1105)],
        [*START, user("look here\n\nand there", 1100), answer("yes", 1105)],
    ),
    "thoughts cut out of a finished answer": (
        [*ASKED, answer("<think>hm</think>Let me see", 1100)],
        [*ASKED, answer("Let me see", 1100)],
    ),
    "other words beside an image": (
        [*ASKED, tool("Here: data:image/png;base64,iVBORw0KGgo= it is", "c", 1100)],
        [*ASKED, tool("[screenshot]", "c", 1100)],
    ),
    "an error card gets other words": (
        [*ASKED, ERROR],
        [*ASKED, answer("**Response interrupted.**\n\nPartial output may be lost.", 1103, _error=True)],
    ),
    "an error card gives way to the answer": ([*ASKED, ERROR], [*ASKED, answer("All is well.", 1103)]),
    "a password taken out by a user": (
        [*START, user("my password is hunter2, log in for me", 1100), answer("done", 1105)],
        [*START, user("my password is [removed], log in for me", 1100), answer("done", 1105)],
    ),
    "the output of a tool, cut": (
        [*ASKED, tool("line " * 100, "c", 1100), answer("so", 1105)],
        [*ASKED, tool("line " * 10, "c", 1100), answer("so", 1105)],
    ),
    "the output of a tool, pruned and stamped anew": (
        [*ASKED, tool("line " * 100, "c", 1100), answer("so", 1105)],
        [*ASKED, tool("[tool result pruned]", "c", 1200), answer("so", 1105)],
    ),
}


@pytest.mark.parametrize("what", CHANGED)
def test_changed_in_place_is_one_message_and_the_state_before_a_version(what: str) -> None:
    before, after = (file(messages) for messages in CHANGED[what])
    verdict = verdict_on(before, after)
    assert verdict.action is Action.GROWTH
    assert verdict.takes_away
    assert len(session.parse(merge_documents(before, after)).messages) == len(after.messages)


def test_a_conversation_stamped_anew_behind_instructions_is_growth() -> None:
    said = [*START, answer("an answer", 1105)]
    anew = [{**message, "timestamp": 5000 + place} for place, message in enumerate(said)]
    assert judged(said, [{"role": "system", "content": "be kind"}, *anew]) == (Action.GROWTH, [])


@pytest.mark.parametrize("what", LOSSES)
def test_what_looks_harmless_and_is_a_loss(what: str) -> None:
    action, _ = judged(*LOSSES[what])
    assert action in (Action.LOSS, Action.MERGE)


def test_a_compaction_card_is_no_user_turn() -> None:
    messages = file(
        [
            user("[context compaction] x", 1),
            user("", 2),
            user("[System: x]", 3, _pre_verify_synthetic=True),
            user("", 4, attachments=["a"]),
            user("words", 5),
            answer("words", 6),
        ]
    ).messages
    assert [benign.is_user_turn(message) for message in messages] == [False, False, False, True, True, False]


UNSAID: dict[str, tuple[Value, str]] = {
    "a card of an assistant": (answer("\n [Context Compaction] so far", 1), "compaction_marker"),
    "a card that is marked": (user("Context compaction", 1, _compressed_summary=True), "compaction_marker"),
    "a card that is not marked": (user("Context compaction", 1), ""),
    "a tool that says what a card does": (tool("[context compaction]", "call", 1), ""),
    "instructions": ({"role": "system", "content": "be kind"}, "control_message"),
    "a wake-up": (user(" [IMPORTANT: Background process 7 ended]", 1), "control_message"),
    "an answer like a wake-up": (answer("[IMPORTANT: Background process 7 ended]", 1), ""),
    "a hidden message": (answer("checked", 1, _verification_stop_synthetic=True), "control_message"),
    "one of a delegation": (user("done", 1, _source="delegation_wakeup"), "control_message"),
    "an error": (answer("no connection", 1, _error=True), "interruption_marker"),
    "a question that was marked as one": (user("no connection", 1, _error=True), ""),
    "a turn that was broken off": (answer("**Response interrupted.** again", 1), "interruption_marker"),
    "a task that was cancelled": (answer(" *Task cancelled.*\n", 1), "interruption_marker"),
    "one with many blanks behind": (answer("Task cancelled." + " " * 200, 1), "interruption_marker"),
    "one of which more is said": (answer("Task cancelled. As you asked.", 1), ""),
    "one of which more is said far behind": (answer("Task cancelled." + " " * 200 + "No.", 1), ""),
    "blanks": (user(" \n", 1), "empty_message"),
    "a picture alone": (user(" ", 1, attachments=["a"]), ""),
    "a capital that is two small letters": (user("\u0130" * 90, 1), ""),
}


@pytest.mark.parametrize("what", UNSAID)
def test_what_nobody_said_may_go_whatever_is_there(what: str) -> None:
    value, kind = UNSAID[what]
    [message] = file([value]).messages
    assert benign.unsaid(message) == kind
    assert [
        benign.is_compaction_marker(message),
        benign.is_control_message(message),
        benign.is_interruption_marker(message),
    ] == [kind == name for name in ("compaction_marker", "control_message", "interruption_marker")]


@pytest.mark.parametrize("what", {**HARMLESS, **LOSSES})
def test_where_no_message_is_left_nothing_stands_for_another(what: str) -> None:
    old = file({**HARMLESS, **LOSSES}[what][0]).messages
    missing, harmless = vanished._some(old, (), 0, (), set())
    found = compare(old, ())
    assert (found.missing, found.harmless) == (tuple(missing), tuple(harmless))
    assert (found.lead, found.new, found.added, list(found.pairs)) == (0, (), (), [])


def test_where_no_message_is_left_it_is_not_asked_what_stands_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(benign, "SUPERSEDED", [pytest.fail])
    assert compare(file([*ASKED, PART, ERROR]).messages, ()).harmless == ((6, "interruption_marker"),)


@pytest.mark.parametrize("what", HARMLESS)
def test_a_version_is_made_only_of_what_stands_nowhere_else(what: str) -> None:
    before, after, kinds = HARMLESS[what]
    verdict = verdict_on(file(before, NEW), file(after, NEW))
    assert verdict.takes_away == any(kind not in benign.REPEATED for kind in kinds)
