"""A long session file, read piece by piece, says what it says when it is read as a whole, or is told as too dense."""

import json
import random
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
def test_documents_of_every_kind(seed: int) -> None:
    chosen = random.Random(seed)
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
        long(b'{"messages": [[' + b"[]," * 1000 + b"[]]]}")


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
