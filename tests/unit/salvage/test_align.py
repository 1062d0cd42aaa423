"""Which messages of two traces are the same: by text, tool ids and order; stamps only break ties."""

from hermesguard.salvage.align import pairs
from hermesguard.salvage.trace import message_of
from hermesguard.webui.session import Message
from tests.helpers.home import chat


def said(*texts: str, role: str = "user", at: float | None = None) -> list[Message]:
    found = []
    for number, text in enumerate(texts):
        stamp = {} if at is None else {"timestamp": at + number}
        found.append(message_of({"role": role, "content": text, **stamp}))
    return found


def test_prompts_alone_are_found_among_answers() -> None:
    whole = [message_of(one) for one in chat(20)]
    asked = [message for message in whole if message.role == "user"]
    found = pairs(whole, asked)
    assert [new for _, new in found] == list(range(20))
    assert [whole[old] for old, _ in found] == asked


def test_the_same_words_again_are_told_apart_by_order_and_time() -> None:
    old = said("yes", "no", "yes", "no", at=100.0)
    assert pairs(old, said("yes", "no", at=102.0)) == [(2, 0), (3, 1)]
    assert pairs(old, said("yes", "yes")) == [(0, 0), (2, 1)]


def test_what_is_said_again_a_day_later_is_another_message() -> None:
    assert pairs(said("hello", "how are you", at=100.0), said("hello", at=100_000.0)) == []


def test_a_transcript_that_was_stamped_anew_is_the_same() -> None:
    texts = [f"line {number} of a talk" for number in range(8)]
    assert len(pairs(said(*texts, at=100.0), said(*texts, at=900_000.0))) == 8


def test_one_message_in_another_dress_is_the_same_between_its_neighbors() -> None:
    for old, new in (
        ("the key is sk-abcdefghijklmnopqrst, use it", "the key is sk-abc...qrst, use it"),
        ("[Workspace: /work]\nlist the files here, please", "list the files here, please"),
        ("list the files here, please\n\n[Attached files: a.png]", "list the files here, please"),
    ):
        found = pairs(said("first", old, "last"), said("first", new, "last"))
        assert found == [(0, 0), (1, 1), (2, 2)], (old, new)


def test_two_prompts_that_end_alike_are_two() -> None:
    assert pairs(said("first", "question 0: how is it?"), said("first", "later question 0: how is it?")) == [
        (0, 0)
    ]


def test_tool_messages_are_the_same_by_their_id() -> None:
    old = [
        message_of({"role": "tool", "tool_call_id": f"c{number}", "content": "x" * 500})
        for number in range(4)
    ]
    new = [
        message_of({"role": "tool", "tool_call_id": f"c{number}", "content": "x" * 120}) for number in (1, 3)
    ]
    assert pairs(old, new) == [(1, 0), (3, 1)]


def test_long_runs_of_the_same_words_end_in_time() -> None:
    assert len(pairs(said(*["ok"] * 900, at=1.0), said(*["ok"] * 700, at=1.0))) == 700
