"""A long session file, read piece by piece, says what it says when it is read as a whole, or is told as too dense."""

import json
import random
import tracemalloc
from typing import Any

import pytest

from hermesguard.judge.judge import judge
from hermesguard.repair.merge import merge_documents
from hermesguard.webui import session
from hermesguard.webui.abridged import abridge
from hermesguard.webui.long import reading
from hermesguard.webui.long.document import LongDocument
from hermesguard.webui.session import Document, TooDense, Unreadable
from hermesguard.webui.text import words_of
from tests.fuzz import grammar


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WINDOW_BYTES", 64)


def read(parse: Any, data: bytes) -> Document | None:
    try:
        found: Document = parse(data)
    except TooDense:
        raise
    except Unreadable:
        return None
    return found


def long(data: bytes) -> LongDocument:
    return reading.parse((data[:30], data[30:]))


def require_equal(whole: Document, pieces: Document, data: bytes) -> None:
    assert whole.keys == pieces.keys
    assert pieces.text.encode() == data
    assert repr((whole.prompt, whole.title, whole.stream)) == repr(
        (pieces.prompt, pieces.title, pieces.stream)
    )
    assert [whole.raw(key) for key in whole.keys] == [pieces.raw(key) for key in whole.keys]
    assert repr([whole.get(key) for key in whole.keys]) == repr([pieces.get(key) for key in whole.keys])
    for ours, theirs in zip(whole.lists().values(), pieces.lists().values(), strict=True):
        assert [message.text for message in ours] == [message.text for message in theirs]
        assert [message.identity for message in ours] == [message.identity for message in theirs]
        assert [message.timestamp for message in ours] == [message.timestamp for message in theirs]
        assert [message.digest for message in ours] == [message.digest for message in theirs]
    known, other = abridge(data, whole), abridge(data, pieces)
    assert b"".join(other.pieces) == b"".join(known.pieces) == data
    assert (other.count, other.checksum) == (known.count, known.checksum)


@pytest.mark.parametrize("seed", range(400))
def test_documents_of_every_kind(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = random.Random(seed)
    monkeypatch.setattr(reading, "WINDOW_BYTES", chosen.randrange(4, 80))
    monkeypatch.setattr(reading, "KEPT_VALUE_BYTES", chosen.choice((0, 10, 1000)))
    data = grammar.text(chosen, grammar.document(chosen))
    data = data if seed % 2 else grammar.mutated(chosen, data)
    whole, pieces = read(session.parse, data), read(long, data)
    assert (whole is None) == (pieces is None)
    if whole and pieces:
        require_equal(whole, pieces, data)


def of(messages: list[dict[str, Any]], **layout: Any) -> bytes:
    value = {"session_id": "x", "updated_at": 3, "messages": messages, "tool_calls": []}
    return json.dumps(value | {"context_messages": messages[: len(messages) // 2]}, **layout).encode()


@pytest.mark.parametrize("layout", [{}, {"indent": 2, "ensure_ascii": False}])
@pytest.mark.parametrize("seed", range(30))
def test_verdict_and_repair_are_the_same(seed: int, layout: dict[str, Any]) -> None:
    chosen = random.Random(seed)
    before = [
        {"role": "user", "content": f"hé😀 {number} {'z ' * (number * 7 % 300)}", "timestamp": 1.5 + number}
        for number in range(60)
    ]
    after = list(before)
    if seed % 3 == 0:
        chosen.shuffle(after)
    after = after[: chosen.randrange(60)]
    if seed % 2:
        after.append({"role": "assistant", "content": f"new {seed}"})
    one, other = of(before, **layout), of(after, **layout)
    shadow, live = session.parse(one), session.parse(other)
    verdict = judge(shadow, live)
    expected = merge_documents(shadow, live, verdict.keep_messages)
    for a, b in ((long(one), long(other)), (long(one), live), (shadow, long(other))):
        found = judge(a, b)
        assert (found.action, found.rule, found.evidence) == (verdict.action, verdict.rule, verdict.evidence)
        assert merge_documents(a, b, found.keep_messages) == expected


def test_what_would_take_many_times_its_size_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ALLOWANCE_BYTES", 1000)
    with pytest.raises(TooDense):
        long(b'{"messages": [' + b"{}," * 1000 + b"{}]}")
    with pytest.raises(TooDense):
        long(b'{"messages": [[' + b"[]," * 1000 + b"[]]]}\n")
    for torn in (
        b'{"messages": [' + b"{}," * 1000,
        b'{"messages": [["' + b"a" * 3000,
        b'{"a": "' + b"a" * 3000 + b"\0",
    ):
        with pytest.raises(Unreadable) as told:
            long(torn)
        assert type(told.value) is Unreadable


@pytest.mark.parametrize("seed", range(200))
def test_whole_beginnings_of_every_kind(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = random.Random(seed)
    monkeypatch.setattr(reading, "WINDOW_BYTES", chosen.randrange(4, 80))
    data = grammar.text(chosen, grammar.document(chosen, 3))
    older = json.dumps({"messages": ["中😀" * 60]}, ensure_ascii=False).encode()
    ends = (b"\0" * chosen.randrange(200), older[chosen.randrange(len(older)) :], b" \n", b"\xff")
    data = chosen.choice((b"", b" ")) + data + chosen.choice(ends)
    expected = session.whole_beginning(data)
    monkeypatch.setattr(session, "LONG_BYTES", 10)
    if read(session.parse, expected):
        assert session.whole_beginning(data) == expected


def test_a_long_prompt_that_is_pending_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = "a pasted text " * (reading.KEPT_VALUE_BYTES // 10)
    value = {"session_id": "x", "messages": [], "pending_user_message": prompt, "title": "t"}
    assert long(json.dumps(value).encode()).prompt == prompt


@pytest.mark.parametrize("where", ["messages", "notes"])
def test_what_is_long_behind_the_runs_does_not_change_what_they_stand_for(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    messages = [
        {"role": "user", "content": f"{number} " * 200, "timestamp": number + 1} for number in range(20)
    ]
    value: dict[str, Any] = {"session_id": "x", "messages": messages, "notes": ""}
    if where == "messages":
        messages[-1]["content"] = "long " * 2000
    else:
        value["notes"] = "long " * 2000
    data = json.dumps(value, indent=2).encode()
    monkeypatch.setattr(session, "LONG_BYTES", 5000)
    found = abridge(data, session.parse(data))
    assert found.holes
    assert found.document.count == len(messages)
    assert isinstance(found.document.messages[0], session.Run)


def test_a_text_with_many_brackets_takes_no_memory_but_its_own() -> None:
    said = json.dumps({"role": "tool", "content": json.dumps([{"a": [1, '"']}] * 20_000)})
    tracemalloc.start()
    session.require_shallow(said)
    taken_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken_bytes < len(said)


def test_a_text_with_many_commas_is_not_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ALLOWANCE_BYTES", 150_000)
    said = json.dumps({"messages": ['a,{"\\' * 3000, 1]}).encode()
    assert len(long(said).messages) == 2


@pytest.mark.parametrize("end", [b"\0\0\0", b'er": 1}]}'])
def test_a_whole_beginning_is_found(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(session, "LONG_BYTES", 100)
    data = of([{"role": "user", "content": "a" * 200}])
    assert session.whole_beginning(data + end) == data
    assert session.whole_beginning(data) == b""


@pytest.mark.parametrize("seed", range(50))
def test_words_of_a_long_text(seed: int) -> None:
    chosen = random.Random(seed)
    text = "".join(chosen.choice("ab  \n\u2003") for _ in range(150_000))
    assert words_of(text) == " ".join(text.split())
