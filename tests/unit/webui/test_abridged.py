"""The fast path says what the slow one says: on any history, judgement and repair are the same with and without it."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.repair.merge import merge_documents
from hermesguard.repair.standby import prepare
from hermesguard.webui import abridged as abridge
from hermesguard.webui import session
from hermesguard.webui.abridged import follow, only_adds, tightened
from hermesguard.webui.compare import parts

LONG = "A sentence that makes the message long enough, with wörds beyond ASCII. " * 4


def written(chat: Chat) -> bytes:
    return chat.path.read_bytes()


@pytest.mark.parametrize("era", list(Era))
@pytest.mark.parametrize("prompt", ["", "what was typed last", "prömpt \u2028 and \U0001f600"])
def test_the_wipe_of_every_era_is_awaited(tmp_path: Path, era: Era, prompt: str) -> None:
    chat = App(tmp_path, era, clock=itertools.count(1.7e9, 0.5).__next__).create(
        turns=50, answer_characters=300
    )
    chat.turn("with a tool", "done", tools=[("terminal", "ls", LONG)])
    if prompt:
        chat.send(prompt)
    else:
        chat.document["active_stream_id"] = "stale"
        chat.save()
    data = written(chat)
    known = abridge.abridge(data, session.parse(data))
    answer = prepare(known)
    assert answer
    assert not answer.updated(data)
    losses.wipe(chat)
    stub = written(chat)
    updated = answer.updated(stub)
    assert updated
    repaired = merge_documents(session.parse(data), session.parse(stub))
    assert b"".join(answer.pieces(updated)) == repaired
    assert repaired[answer.updated_offset_bytes :].startswith(updated)
    for changed in (
        stub[:-1],
        stub + b" ",
        stub.replace(b'"title"', b'"titel"'),
        stub.replace(b"[]", b"[1]", 1),
    ):
        assert not answer.updated(changed)
    assert not answer.updated(re.sub(rb'"updated_at": [0-9.]+', b'"updated_at": NaN', stub))
    assert not answer.updated(re.sub(rb'"updated_at": [0-9.]+', b'"updated_at": 1, "x": 2', stub))


def test_nothing_is_awaited_where_nothing_can_be_wiped(tmp_path: Path) -> None:
    chat = App(tmp_path, Era.OLD, clock=itertools.count(1.7e9, 0.5).__next__).create(turns=50)
    data = written(chat)
    assert prepare(abridge.abridge(data, session.parse(data))) is None


def test_growth_is_followed_and_the_rest_stays_small(tmp_path: Path) -> None:
    chat = App(tmp_path, Era.NEW, clock=itertools.count(1.7e9, 0.5).__next__).create(
        turns=50, answer_characters=400
    )
    data = written(chat)
    known = abridge.abridge(data, session.parse(data))
    for number in range(30):
        chat.turn(f"question {number}", f"answer {number}")
        followed = follow(known, written(chat))
        assert followed, "normal growth must cost what it adds, and no more"
        known = tightened(followed)
        assert len(known.document.messages) <= abridge.LONGEST_REST
        assert all(len(hole.chunks) < 8 for hole in known.holes)
        assert len(known.document.text) < 20_000
    assert known.document.count == 160


@pytest.mark.parametrize("is_apart", [False, True])
def test_what_both_lists_say_is_in_memory_once(is_apart: bool) -> None:
    """What the model is sent mostly is what people see; where it is not, each list grows by its own."""
    shown: list[dict[str, Any]] = []
    sent: list[dict[str, Any]] = []

    def saved() -> bytes:
        content = f"{len(shown)} {LONG}"
        shown.append({"role": "user", "content": content, "timestamp": len(shown)})
        sent.append({**shown[-1], "content": content.upper()} if is_apart else shown[-1])
        return json.dumps({"messages": shown, "context_messages": sent}, indent=2).encode()

    for _ in range(60):
        data = saved()
    known = abridge.abridge(data, session.parse(data))
    for _ in range(30):
        data = saved()
        followed = follow(known, data)
        assert followed
        assert followed.data == data
        known = tightened(followed)
        first, second = known.holes
        assert (first.chunks is second.chunks) != is_apart
    assert known.data == data


@pytest.mark.parametrize("characters", [1000, 300_000])
def test_what_is_found_elsewhere_first_is_not_taken_out(characters: int) -> None:
    """While a prompt waits, few messages make no run, and the same ones as context make one: it would be found among them."""
    said = [
        {"role": "user", "content": f"{n} " + "word " * (characters // 5), "timestamp": n} for n in range(7)
    ]
    asking = {"active_stream_id": "s", "pending_user_message": "next", "pending_started_at": 9.5}
    sent = [*said, *({"role": "user", "content": f"later {n}", "timestamp": 8.0} for n in range(8))]
    value = {"title": "T", "updated_at": 2.5, **asking, "messages": said, "context_messages": sent}
    data = json.dumps(value, indent=2).encode()
    assert (len(data) > session.LONG_BYTES) == (characters > 1000)
    known = abridge.abridge(data, session.parse(data))
    assert (known.data, known.holes) == (data, ())
    value["context_messages"] = [{"role": "user", "content": "another", "timestamp": 0.5}, *sent]
    data = json.dumps(value, indent=2).encode()
    known = abridge.abridge(data, session.parse(data))
    assert abridge.rests_of(known, data) == known.rests, "now it is another run, and found"


def test_a_forged_mark_is_only_text() -> None:
    messages = [{"role": "user", "content": "x" * 3000, "timestamp": number} for number in range(1, 6)]
    data = json.dumps({"messages": messages}, indent=2).encode()
    known = abridge.abridge(data, session.parse(data))
    mark = known.holes[0].run.value
    forged = json.dumps({"messages": [mark, *messages[4:]]}, indent=2).encode()
    assert follow(known, forged) is None
    beside = json.dumps(
        {"a": mark, "messages": [*messages, {"role": "user", "content": mark, "timestamp": 9}]}, indent=2
    ).encode()
    found = follow(known, beside)
    assert found
    assert found.document.count == 6


def test_a_changed_message_is_no_growth() -> None:
    messages = [{"role": "user", "content": f"message {number} " + "x" * 900} for number in range(1, 12)]
    text = json.dumps({"messages": messages, "context_messages": messages}, indent=2).encode()
    known = abridge.abridge(text, session.parse(text))
    same_again = follow(known, text)
    assert same_again
    assert only_adds(known, same_again)
    for place in (text.index(b"message 11 "), text.rindex(b"message 11 ")):
        changed = text[:place] + b"message 99 " + text[place + 7 :]
        followed = follow(known, changed)
        assert followed
        assert not only_adds(known, followed) or place > text.index(b"context_messages")


def test_of_a_key_given_twice_the_last_one_counts() -> None:
    messages = [{"role": "user", "content": f"message {number} " + "x" * 900} for number in range(1, 30)]
    before = {"updated_at": 1, "active_stream_id": "before", "pending_user_message": "before"}
    behind = {"active_stream_id": "behind", "pending_user_message": "behind"}
    value = before | {"messages": messages}
    text = json.dumps(value, indent=2).encode()[:-2] + b"," + json.dumps(behind).encode()[1:]
    known = abridge.abridge(text, session.parse(text))
    later = text.replace(b'"updated_at": 1', b'"updated_at": 2')
    followed = follow(known, later)
    assert followed
    assert (followed.stream, followed.prompt) == ("behind", "behind")
    assert followed.document.prompt == "behind"


@pytest.mark.parametrize(
    "changed",
    [
        b'"updated_at": 2',  # the comma is missing
        b'"updated_at": 02,',
        b'"updated_at": 2.,',
        b'"updated_at": 2, "pending_user_message": "x",',
        b'"updated_at": ,',
        b'"updated_at": 2,,',
    ],
)
def test_another_time_must_be_a_number_and_nothing_else(changed: bytes) -> None:
    messages = [{"role": "user", "content": f"message {number} " + "x" * 900} for number in range(1, 12)]
    value = {"title": "T", "updated_at": 1.5, "active_stream_id": "s", "messages": messages}
    text = json.dumps(value, indent=2).encode()
    known = abridge.abridge(text, session.parse(text))
    later = text.replace(b'"updated_at": 1.5,', b'"updated_at": 1770000000.25,')
    followed = follow(known, later)
    assert followed
    assert followed.stream == "s"
    other = text.replace(b'"updated_at": 1.5,', changed)
    followed = follow(known, other)
    try:
        said = session.parse(other)
    except session.Unreadable:
        assert followed is None
    else:
        assert followed
        assert followed.prompt == said.prompt == "x"


def test_the_keys_of_odd_files_do_not_stay_in_memory() -> None:
    """Each of many files may have keys of its own, and many of them."""
    before = parts._anchors.cache_info().misses
    value = {f"key {number}": number for number in range(6_000)} | {"compression_anchor_mode": "auto"}
    data = json.dumps(value | {"messages": []}).encode()
    known = abridge.abridge(data, session.parse(data))
    assert known.settings["compression_anchor_mode"] == "auto"
    assert parts._anchors.cache_info().misses == before
