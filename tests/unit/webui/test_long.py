"""A long session file that is read piece by piece: what is kept of it, and what is told as too dense.

tests/fuzz/test_long.py shows that it says what it says when it is read as a whole.
"""

import codecs
import json
import tracemalloc
from typing import Any

import pytest

from hermesguard.webui import session
from hermesguard.webui.abridged import abridge
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.long import document as documents
from hermesguard.webui.long import reading
from hermesguard.webui.long.document import LongDocument
from hermesguard.webui.session import Broken, TooDense


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WINDOW_BYTES", 64)


def long(data: bytes) -> LongDocument:
    return reading.parse((data[:30], data[30:]))


def of(messages: list[dict[str, Any]], **layout: Any) -> bytes:
    value = {"session_id": "x", "updated_at": 3, "messages": messages, "tool_calls": []}
    return json.dumps(value | {"context_messages": messages[: len(messages) // 2]}, **layout).encode()


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
        with pytest.raises(Broken):
            long(torn)


@pytest.mark.parametrize("fraction", [b".5", b"e-4399", b"E-4399"])
@pytest.mark.parametrize("window_bytes", range(2200, 2230))
def test_a_number_of_thousands_of_digits_is_what_it_is_wherever_a_window_ends(
    monkeypatch: pytest.MonkeyPatch, window_bytes: int, fraction: bytes
) -> None:
    """As in a whole file: before a point or a power of ten so many are well, alone they are not."""
    monkeypatch.setattr(reading, "WINDOW_BYTES", window_bytes)
    for begins in (
        b'{"messages": [{"role": "user", "timestamp": ',
        b'{"messages":[{"role": "user", "timestamp": ',
    ):
        data = begins + b"1" * 4400 + fraction + b', "content": "x"}]}'
        assert long(data).messages[0].words == "x"
        with pytest.raises(Broken, match="digits"):
            long(data.replace(fraction, b""))


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


@pytest.mark.parametrize("long_bytes", [100, 10_000])
def test_what_stands_behind_a_byte_order_mark_is_found(
    monkeypatch: pytest.MonkeyPatch, long_bytes: int
) -> None:
    monkeypatch.setattr(session, "LONG_BYTES", long_bytes)
    data = of([{"role": "user", "content": "a" * 200}])
    mark = codecs.BOM_UTF8
    assert session.whole_beginning(mark + data) == session.whole_beginning(mark + data + b"\0\0") == data
    assert session.whole_beginning(mark + data[:-9]) == session.whole_beginning(mark + b"{}") == b""
    assert session.whole_beginning(mark) == session.whole_beginning(mark + mark + b"[]") == b""


def test_a_long_message_that_is_asked_again_and_again_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LONG_BYTES", 1000)
    messages = [
        {"role": "user", "content": f"{number} " + "words " * 20_000, "timestamp": number}
        for number in range(3)
    ]
    found = session.parse(json.dumps({"messages": messages}).encode()).messages
    read: list[str] = []
    really = documents.scan
    monkeypatch.setattr(documents, "scan", lambda text, at: (read.append(text), really(text, at))[1])
    for number, message in enumerate(found):
        for _ in range(30):
            assert (message.role, message.words) == ("user", messages[number]["content"])
            assert message.identity == session.Message(messages[number], "").identity
        assert len(read) == number + 1


def test_what_nothing_is_left_of_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LONG_BYTES", 1000)
    messages = [
        {"role": ("user", "assistant")[number % 2], "content": f"{number} ", "timestamp": number}
        for number in range(2000)
    ]
    messages[7] |= {"_error": True}
    data = json.dumps({"messages": messages}).encode()
    found = session.parse(data).messages
    read: list[str] = []
    really = documents.scan
    monkeypatch.setattr(documents, "scan", lambda text, at: (read.append(text), really(text, at))[1])
    comparison = compare(found, ())
    assert (comparison.lost_messages, comparison.lost_turns) == (1999, 1000)
    assert comparison.harmless == ((7, "interruption_marker"),)
    assert sum(map(len, read)) <= len(data)
    assert len(read) < 5
