"""Growth that is followed is judged, repaired and kept as if each save were parsed whole, on random histories."""

import itertools
import json
import random
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermesguard.demo import acts, losses, quirks
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.judge.judge import Action, judge
from hermesguard.repair.merge import merge_documents, merged_text
from hermesguard.repair.standby import fill, prepare, tells_all
from hermesguard.store.delta_log import DeltaLogs, apply, change, salvage
from hermesguard.webui import abridged as abridge
from hermesguard.webui import session
from hermesguard.webui.abridged import Abridged, follow, only_adds, rests_of, tightened
from hermesguard.webui.delta import parts

LONG = "A sentence that makes the message long enough, with wörds beyond ASCII. " * 4

HAPPENINGS = (
    *(
        "turn",
        "turn",
        "turn",
        "tools",
        "stream",
        "send",
        "pin",
        "undo",
        "retry",
        "clear",
        "truncate",
        "wipe",
        "stale",
    ),
    *("partials", "collapse", "compress", "late", "lose", "title", "null", "big"),
)


def written(chat: Chat) -> bytes:
    return chat.path.read_bytes()


def play(chat: Chat, draw: random.Random) -> None:
    """One thing that a user, the application, or a bug does."""
    number = draw.randrange(1000)
    happening = draw.choice(HAPPENINGS)
    match happening:
        case "turn":
            chat.turn(f"question {number}", f"{LONG}answer {number}")
        case "tools":
            chat.turn(f"question {number}", f"answer {number}", tools=[("terminal", "ls", LONG)])
        case "send":
            chat.send(f"unsent {number}")
        case "stream":
            chat.send(f"streamed {number}")
            chat.stream(f"{LONG[: draw.randrange(1, 200)]}")
        case "pin":
            chat.pin(bool(number % 2))
        case "undo":
            acts.undo(chat)
        case "retry":
            acts.retry(chat, f"another answer {number}")
        case "clear" if number % 5 == 0:
            acts.clear(chat)
        case "truncate" if chat.messages:
            acts.truncate(chat, draw.randrange(len(chat.messages)))
        case "wipe":
            chat.send(f"unsent {number}")
            losses.wipe(chat)
        case "stale":
            losses.stale_writer(chat)
        case "partials":
            chat.send(f"partials {number}")
            quirks.pile_up_partials(chat, 3)
        case "collapse":
            quirks.collapse_partials(chat)
        case "compress":
            acts.compress(chat)
        case "lose" if len(chat.messages) > 2:
            losses.lose_message(chat, draw.randrange(len(chat.messages)))
        case "title":
            chat.rename(f"Title {number}")
        case "null":
            chat.document["odd"] = {"nan": float("nan"), "list": [1, [2]]}
            chat.save()
        case "big":
            chat.document["big"] = 2**70 + number
            chat.save()
        case _:
            chat.checkpoint()


@pytest.mark.parametrize("era", list(Era))
@given(seed=st.integers(0, 2**32))
@settings(max_examples=6, deadline=None)
def test_judgement_and_repair_are_the_same_with_and_without(
    tmp_path_factory: Any, era: Era, seed: int
) -> None:
    draw = random.Random(seed)
    directory = tmp_path_factory.mktemp("sessions")
    chat = App(directory, era, clock=itertools.count(1.7e9, 0.5).__next__, seed=seed).create(
        turns=15, answer_characters=300
    )
    before = written(chat)
    known = abridge.abridge(before, session.parse(before))
    assert known.holes
    state = WithLog(directory / "x.delta", before)
    for _ in range(25):
        try:
            play(chat, draw)
        except (ValueError, IndexError):
            continue  # this cannot happen to such a session in this era
        after = written(chat)
        known = check(known, after)
        state.then(after)


def check(known: Abridged, data: bytes) -> Abridged:
    """Compare both ways for the step from `known` to `data`; return what is known then."""
    full, live = session.parse(known.data), session.parse(data)
    slow = judge(full, live)
    followed = follow(known, data)
    if followed:
        assert followed.data == data
        assert followed.size_bytes == len(data)
        assert followed.checksum() == zlib.adler32(data)
        assert followed.document.count == live.count
        fast = judge(known.document, followed.document)
        if only_adds(known, followed):
            assert (fast.action, fast.takes_away) == (Action.GROWTH, False)
        if fast.action is Action.GROWTH and not fast.takes_away:
            assert (slow.action, slow.rule, slow.takes_away) == (fast.action, fast.rule, False)
    if not live.messages and tells_all(known):
        fast = judge(known.document, live)
        if fast.is_wipe:
            assert (fast.rule, fast.evidence, fast.against) == (slow.rule, slow.evidence, slow.against)
            assert b"".join(fill(merged_text(known.document, live), known)) == merge_documents(full, live)
    answer = prepare(known)
    if answer and (updated := answer.updated(data)):
        assert slow.is_wipe
        assert b"".join(answer.pieces(updated)) == merge_documents(full, live)
    then = tightened(followed) if followed else abridge.abridge(data, live)
    assert then.data == data
    assert then.checksum() == zlib.adler32(data)
    if then.holes:
        assert rests_of(then, data) == then.rests
    if known.holes:
        assert (rests_of(known, data) == known.rests) == (known.data == data)
    assert (then.count, then.prompt) == (live.count, live.prompt)
    assert then.document.stream == live.stream
    assert then.rest_messages == sum(len(then.document.lists()[hole.key]) - 1 for hole in then.holes)
    for number, hole in enumerate(then.holes):
        whole = abridge._run(hole.key, live.lists()[hole.key][: hole.run.count])
        assert (hole.run.turns, hole.run.latest) == (whole.turns, whole.latest)
        assert b"".join(then.seam(number)) == then.rests[number + 1]
    return then


class WithLog:
    """A shadow with its delta log, as the store would have it."""

    def __init__(self, path: Path, shadow: bytes) -> None:
        self.path, self.shadow = path, shadow
        self.now = abridge.abridge(shadow, session.parse(shadow))
        self.delta_logs = DeltaLogs(lambda session: path)
        self.delta_logs.begin("session", "digest", 1)

    def then(self, data: bytes) -> None:
        """Take the next state, into the delta log if it follows the one before, else as a new shadow."""
        if followed := follow(self.now, data):
            line = change(
                parts(self.now, followed), len(data), 2, followed.document.count, followed.checksum()
            )
            self.delta_logs.append("session", line)
            state = apply(self.path, self.shadow, "digest", 1)
            assert state
            assert (state.data, state.messages) == (data, followed.document.count)
            assert salvage(self.path, self.shadow, "digest", 1) == data
            self.now = tightened(followed)
        else:
            self.__init__(self.path, data)  # type: ignore[misc]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_nothing_broken_is_taken_for_whole(data: st.DataObject) -> None:
    messages = [
        {"role": "user", "content": f"message {number} " + "x" * 900, "timestamp": number}
        for number in range(1, 12)
    ]
    value = {"title": "T", "messages": messages, "tool_calls": [], "context_messages": messages}
    text = json.dumps(value, indent=2).encode()
    known = abridge.abridge(text, session.parse(text))
    broken = bytearray(text)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(
            st.one_of(
                st.integers(0, len(text)),
                st.sampled_from([text.index(hole.chunks[0]) for hole in known.holes]),
            )
        )
        cut = data.draw(st.sampled_from([0, 0, 1, 2, 50]))
        broken[place : place + cut] = data.draw(
            st.sampled_from([b"", b",", b"]", b"}", b'"', b"[", b"{}", b"1,", b'"messages": [],', b"\xff"])
        )
    changed = bytes(broken)
    found = follow(known, changed)
    if found:
        full = session.parse(changed)
        assert full.count == found.document.count
        assert full.keys == found.document.keys
