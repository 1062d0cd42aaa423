"""Messages of a long file are compared as those of a short one are, and no more of them is read than the answer needs."""

import json
import random
from typing import Any

import pytest

from hermesguard.webui import session
from hermesguard.webui.compare.diff import Comparison, compare
from hermesguard.webui.long import document, reading
from hermesguard.webui.session import Document


def file(messages: list[Any]) -> bytes:
    return json.dumps({"session_id": "s", "messages": messages}, ensure_ascii=False, indent=2).encode()


def long(messages: list[Any], pieces: int = 1) -> Document:
    data = file(messages)
    step = len(data) // pieces + 1
    return reading.parse([data[at : at + step] for at in range(0, len(data), step)])


def message(dice: random.Random, place: int, is_stamped: bool) -> dict[str, Any]:
    said = dice.choice(
        ["yes", "go on", "ünï", "", "a sentence that is said once in a while " * 3, f"no. {place}"]
    )
    made: dict[str, Any] = {"role": dice.choice(["user", "assistant"]), "content": said}
    if dice.random() < 0.1:
        made |= {"content": [{"type": "text", "text": said}], "_recovered": True}
    if dice.random() < 0.1:
        made |= {"role": "tool", "tool_call_id": f"c{dice.randrange(4)}"}
    return made | ({"timestamp": 1000.5 + place} if is_stamped and dice.random() < 0.9 else {})


def places(comparison: Comparison) -> tuple[object, ...]:
    return (comparison.lead, list(comparison.pairs), *comparison[4:])


@pytest.mark.parametrize("seed", range(40))
def test_a_long_file_is_compared_as_a_short_one(seed: int) -> None:
    dice = random.Random(seed)
    is_stamped = bool(seed % 2)
    old = [message(dice, place, is_stamped) for place in range(dice.randrange(1, 40))]
    new = [dict(one) for one in old if dice.random() < 0.8]
    new[dice.randrange(len(new) + 1) :] += [message(dice, 90 + place, is_stamped) for place in range(3)]
    part = new[:8]
    dice.shuffle(part)
    new[:8] = part
    plain = session.parse(file(old)), session.parse(file(new))
    wanted = places(compare(plain[0].messages, plain[1].messages))
    for sides in (
        (long(old), long(new)),
        (long(old, 7), plain[1]),
        (plain[0], long(new, 3)),
    ):
        assert places(compare(sides[0].messages, sides[1].messages)) == wanted


def test_stamps_alone_say_that_a_conversation_stands_in_another_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count, dice = 4_000, random.Random(1)
    old = [{"role": "user", "content": f"message {n}", "timestamp": n + 1} for n in range(count)]
    new = old[:]
    dice.shuffle(new)
    sides = long(old), long(new)
    read: list[int] = []
    values, known = document.Places.values, document.Places.known
    monkeypatch.setattr(
        document.Places, "values", lambda self, first, some: read.append(some) or values(self, first, some)
    )
    monkeypatch.setattr(document.Places, "known", lambda self, number: read.append(1) or known(self, number))
    comparison = compare(sides[0].messages, sides[1].messages)
    assert comparison.whole
    assert not comparison.added
    assert sum(read) < count
