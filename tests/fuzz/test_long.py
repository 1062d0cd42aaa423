"""A long session file, read piece by piece, says what it says when it is read as a whole: documents made up at random."""

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
from hermesguard.webui.session import Broken, Document
from hermesguard.webui.text import words_of
from tests.fuzz import grammar
from tests.fuzz.budget import rounds


def read(parse: Any, data: bytes) -> Document | None:
    try:
        found: Document = parse(data)
    except Broken:
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
    assert (other.count, other.checksum()) == (known.count, known.checksum())


def test_documents_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for chance in rounds("long", 400):
        monkeypatch.setattr(reading, "WINDOW_BYTES", chance.randrange(4, 80))
        monkeypatch.setattr(reading, "KEPT_VALUE_BYTES", chance.choice((0, 10, 1000)))
        data = grammar.text(chance, grammar.document(chance))
        data = data if chance.random() < 0.5 else grammar.mutated(chance, data)
        whole, pieces = read(session.parse, data), read(long, data)
        assert (whole is None) == (pieces is None)
        if whole and pieces:
            require_equal(whole, pieces, data)


def conversation(messages: list[dict[str, Any]], **layout: Any) -> bytes:
    value = {"session_id": "x", "updated_at": 3, "messages": messages, "tool_calls": []}
    return json.dumps(value | {"context_messages": messages[: len(messages) // 2]}, **layout).encode()


def shortened(chance: random.Random, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """So many of the messages, now and then in another order, now and then with a new one behind them."""
    left = messages[:]
    if chance.random() < 0.3:
        chance.shuffle(left)
    del left[chance.randrange(len(left)) :]
    if chance.random() < 0.5:
        left.append({"role": "assistant", "content": "new"})
    return left


@pytest.mark.parametrize("layout", [{}, {"indent": 2, "ensure_ascii": False}])
def test_verdict_and_repair_are_the_same(layout: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WINDOW_BYTES", 64)
    before = [
        {"role": "user", "content": f"hé😀 {number} {'z ' * (number * 7 % 300)}", "timestamp": 1.5 + number}
        for number in range(60)
    ]
    one = conversation(before, **layout)
    shadow, long_shadow = session.parse(one), long(one)
    for chance in rounds("judged", 30):
        other = conversation(shortened(chance, before), **layout)
        live, long_live = session.parse(other), long(other)
        verdict = judge(shadow, live)
        expected = merge_documents(shadow, live, verdict.keep_messages)
        for a, b in ((long_shadow, long_live), (long_shadow, live), (shadow, long_live)):
            found = judge(a, b)
            assert (found.action, found.rule, found.evidence) == (
                verdict.action,
                verdict.rule,
                verdict.evidence,
            )
            assert merge_documents(a, b, found.keep_messages) == expected


def test_whole_beginnings_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    older = json.dumps({"messages": ["中😀" * 60]}, ensure_ascii=False).encode()
    found = 0
    for chance in rounds("beginning", 200):
        data = grammar.text(chance, grammar.document(chance, 3))
        ends = (b"\0" * chance.randrange(200), older[chance.randrange(len(older)) :], b" \n", b"\xff")
        data = chance.choice((b"", b" ")) + data + chance.choice(ends)
        expected = session.whole_beginning(data)
        with monkeypatch.context() as windows:
            windows.setattr(reading, "WINDOW_BYTES", chance.randrange(4, 80))
            windows.setattr(session, "LONG_BYTES", 10)
            if read(session.parse, expected):
                assert session.whole_beginning(data) == expected
                found += 1
    assert found


def test_words_of_a_long_text() -> None:
    for chance in rounds("words", 50):
        text = "".join(chance.choices("ab  \n\u2003", k=150_000))
        assert words_of(text) == " ".join(text.split())
