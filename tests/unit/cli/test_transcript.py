import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesguard.cli.output.terminal import UNBOUNDED, Screen, columns_of
from hermesguard.cli.output.transcript import conversation, difference, markdown, summary, wrapped
from hermesguard.lookup.changes import changes
from hermesguard.webui import session
from hermesguard.webui.compare.diff import compare

T0 = 1_763_800_000.0


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def a_screen(width=80, is_ascii=False):
    return Screen(io.StringIO(), width, 24, False, False, is_ascii)


def messages(*messages):
    return session.parse(json.dumps({"messages": messages}).encode()).messages


def said(role, text, second=0, **more):
    return {"role": role, "content": text, "timestamp": T0 + second, **more}


CALL = {
    "role": "assistant",
    "content": "",
    "timestamp": T0 + 2,
    "tool_calls": [{"id": "c1", "function": {"name": "terminal", "arguments": '{"command": "ls -la"}'}}],
}
RESULT = {"role": "tool", "content": "total 3\na\nb\n", "tool_call_id": "c1", "timestamp": T0 + 3}
PARTS = {
    "role": "assistant",
    "content": [
        {"type": "text", "text": "I will look."},
        {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "/etc/hosts"}},
        {"type": "tool_result", "tool_use_id": "t1", "content": "127.0.0.1 localhost"},
    ],
}


def test_a_conversation_says_who_when_what_and_folds_tools():
    text = conversation(a_screen(), messages(said("user", "List\n  the files"), CALL, RESULT, PARTS))
    assert text.splitlines() == [
        "#1 user 2025-11-22 08:26:40",
        "  List",
        "    the files",
        "",
        "#2 assistant 2025-11-22 08:26:42",
        '  ▸ tool terminal: {"command": "ls -la"}',
        "",
        "#3 tool 2025-11-22 08:26:43",
        "  ▸ result, 3 lines, 12 B: total 3",
        "",
        "#4 assistant -",
        "  I will look.",
        '  ▸ tool read: {"path": "/etc/hosts"}',
        "  ▸ result, 1 line, 19 B: 127.0.0.1 localhost",
    ]


def test_tools_in_full():
    text = conversation(a_screen(is_ascii=True), messages(RESULT), full=True)
    assert text.splitlines()[1:] == ["  > result", "    total 3", "    a", "    b"]


def test_the_last_messages_keep_their_numbers():
    text = conversation(a_screen(), messages(*(said("user", f"m{n}", n) for n in range(1, 8))), last=2)
    assert "#6 user" in text
    assert "#7 user" in text
    assert "#5" not in text


def test_marks_of_the_application_are_shown():
    text = conversation(
        a_screen(), messages(said("user", "a", _recovered=True), said("assistant", "b", _partial=True))
    )
    assert "#1 user 2025-11-22 08:26:40 (recovered)" in text
    assert " (partial)" in text


@pytest.mark.parametrize(
    "message",
    [
        {},
        [],
        "text",
        None,
        {"role": None, "content": None},
        {"role": 7, "content": 7, "timestamp": "yesterday"},
        {"role": "user", "content": {"a": 1}, "timestamp": 1e300},
        {"role": "assistant", "tool_calls": [None, 3, {"function": None}, {"name": None}]},
        {"role": "assistant", "content": [None, 3, {"type": "tool_use"}, {"type": "tool_result"}]},
        {"role": "user", "content": "x", "attachments": [None, {"name": "a.png"}, "b.png", {}]},
        {"role": "\x1b[31m", "content": "\x1b[2J\u202e", "timestamp": float("nan")},
    ],
)
def test_any_message_can_be_shown(message):
    found = messages(message)
    for text in (
        conversation(a_screen(), found),
        conversation(a_screen(), found, full=True),
        difference(a_screen(), compare(found, []), changes(compare(found, []))),
    ):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert markdown("t", found).startswith("# t\n\n## ")


@given(st.text(), st.integers(14, 60))
def test_wrapped_lines_fit_and_lose_no_word(text, width):
    lines = wrapped(a_screen(width), text, "  ")
    assert all(columns_of(line) <= width for line in lines)
    whole = wrapped(a_screen(UNBOUNDED), text, "  ")
    assert "".join("".join(lines).split()) == "".join("".join(whole).split())


def test_markdown_keeps_the_text_as_it_is():
    text = markdown("A  title\n", messages(said("user", "**bold**\u202e"), CALL))
    assert text == (
        "# A title\n\n## user - 2025-11-22 08:26:40\n\n**bold**\u202e\n\n## assistant - 2025-11-22 08:26:42\n\n"
        '*tool terminal: {"command": "ls -la"}*'
    )
    assert '```tool terminal\n{"command": "ls -la"}\n```' in markdown("t", messages(CALL), full=True)


def test_a_difference_tells_message_by_message_what_became_of_each():
    turns = [said("user" if n % 2 else "assistant", f"message number {n}", n) for n in range(1, 9)]
    streamed = {**turns[5], "content": "message number 6 and more of it"}
    a, b = (
        messages(*turns),
        messages(*turns[:3], *turns[4:5], streamed, *turns[6:], said("user", "a new one", 20)),
    )
    comparison = compare(a, b)
    found = changes(comparison)
    assert summary(found) == "1 gone, 1 changed, 1 new, 6 the same"
    assert difference(a_screen(), comparison, found).splitlines() == [
        "  3 messages the same",
        "- #4 assistant 2025-11-22 08:26:44  message number 4",
        "  1 message the same",
        "~ #6 assistant 2025-11-22 08:26:46 (changed)",
        "    was: message number 6",
        "    now: message number 6 and more of it",
        "  2 messages the same",
        "+ #8 user 2025-11-22 08:27:00  a new one",
    ]


def test_a_message_cut_short_is_told_apart_from_one_that_is_gone():
    turns = [
        said("user", "a question", 1),
        said("assistant", "an answer with quite some words at its end", 2),
    ]
    cut = [turns[0], {**turns[1], "content": "an answer with"}]
    found = changes(compare(messages(*turns), messages(*cut)))
    assert summary(found) == "1 cut short, 1 the same"


@given(st.lists(st.integers(0, 12), max_size=12), st.lists(st.integers(0, 12), max_size=12))
def test_every_message_of_both_sides_is_told_once(left, right):
    a = messages(*(said("user", f"m{n}", n) for n in sorted(set(left))))
    b = messages(*(said("user", f"m{n}", n) for n in sorted(set(right))))
    found = changes(compare(a, b))
    assert [change.in_a for change in found if change.in_a] == list(range(1, len(a) + 1))
    assert [change.in_b for change in found if change.in_b] == list(range(1, len(b) + 1))
    assert {change.kind for change in found} <= {"gone", "new", "same"}


def test_nothing_on_either_side():
    assert summary(changes(compare([], []))) == "no messages on either side"
