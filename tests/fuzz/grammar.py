"""A grammar of session files: keys of every era, every oddity of JSON, and bytes that are changed, cut, doubled or planted."""

import json
import random
from typing import Any

from hermesguard.demo import eras
from hermesguard.webui import session

ODD_TEXTS = (
    "\ud83d",
    "\udcff",
    "a\x00b",
    "\x1b[31m",
    "\u2028\u202e",
    "é中😀",
    "",
    " ",
    "null",
    "x" * 3000,
    "]}",
    '"\\',
    "Untitled",
    "btw: x",
)
ODD_VALUES = (
    "9" * 400,
    "9" * 4301,
    "-" + "9" * 5000,
    "1e400",
    "-1e-400",
    "NaN",
    "Infinity",
    "-Infinity",
    "-0",
    "1E5",
    "18446744073709551616",
    "true",
    "null",
    "{}",
    "[]",
    "[[]]",
    '{"":{}}',
    "[" * 300 + "]" * 300,
    "[" * 1100 + "]" * 1100,
    "[" * 6000 + "]" * 6000,
    '"\\ud83d"',
    '"\\ud83d\\ude00"',
    '{"\\udc00":1}',
    "1" + "0" * 308,
    "0.1" + "0" * 5000,
    "[1,]",
    "01",
    "'x'",
    "\ufeff1",
    "",
)
KEYS = [name for name, _, _ in eras._METADATA]
MARKS = (
    session.GENERATION,
    session.CLEAR_GENERATION,
    session.WATERMARK,
    session.BOUNDARY,
    session.CREATED,
    session.TITLE,
)


def message(chance: random.Random, number: int) -> dict[str, Any]:
    """A message, mostly as the application writes it."""
    found: dict[str, Any] = {
        "role": chance.choice(("user", "assistant", "user", "assistant", "tool", "system", "", None, 5)),
        "content": f"message {number} " + chance.choice((*ODD_TEXTS[6:8], "words " * chance.randrange(60))),
        "timestamp": 1_760_000_000 + number * 1.5,
    }
    if chance.random() < 0.2:
        found["content"] = chance.choice(
            (None, [], [{"type": "text", "text": "t"}], [{"type": "image_url"}], {"a": 1}, 7, [[["deep"]]])
        )
    if chance.random() < 0.2:
        found[
            chance.choice(("_partial", "_error", "_recovered", "tool_calls", "tool_call_id", "attachments"))
        ] = chance.choice((True, "x", [], [{"id": "call"}], {"id": [1]}, 0))
    if chance.random() < 0.1:
        found.pop(chance.choice(list(found)))
    return found


def document(chance: random.Random, count: int | None = None) -> dict[str, Any]:
    """A session that the application could have written, of some era or of none."""
    messages: list[Any] = [
        message(chance, number) for number in range(chance.randrange(30) if count is None else count)
    ]
    found: dict[str, Any] = {"session_id": "fuzzed", "title": "Fuzzed", "created_at": 1.5, "updated_at": 2.5}
    for key in chance.sample(KEYS, chance.randrange(len(KEYS))):
        found.setdefault(key, chance.choice((None, 0, 1.5, "", "text", [], {}, True)))
    found[session.STREAM] = chance.choice((None, "stream", "", 5))
    found |= {"messages": messages, "tool_calls": []}
    if chance.random() < 0.7:
        found["context_messages"] = messages[-chance.randrange(1, 30) :]
    return found


def text(chance: random.Random, value: dict[str, Any]) -> bytes:
    """The file of a session, with oddities of JSON at some places."""
    data = json.dumps(value, ensure_ascii=chance.random() < 0.3, indent=chance.choice((2, 2, 2, None, 1)))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        data = _odd(chance, data)
    return data.encode("utf-8", "surrogatepass")


def _odd(chance: random.Random, data: str) -> str:
    """Put one odd value or key where another one stands."""
    places = [
        place
        for mark in (": ", ":", '"', "[", ",")
        if (place := data.find(mark, chance.randrange(len(data)))) >= 0
    ]
    if not places:
        return data
    place = chance.choice(places) + 1
    kind = chance.randrange(4)
    if kind == 0:
        return data[:place] + chance.choice(ODD_VALUES) + data[place:]
    if kind == 1:  # over the number or word that stands there
        end = place
        while end < len(data) and data[end] not in ",]}\n":
            end += 1
        return data[:place] + " " + chance.choice(ODD_VALUES) + data[end:]
    if kind == 2:
        return data.replace("{", "{" + json.dumps(chance.choice(ODD_TEXTS)) + ": 1,", 1)
    return data.replace(
        '"message', '"' + json.dumps(chance.choice(ODD_TEXTS))[1:-1] + "message", chance.randrange(3)
    )


def mutated(chance: random.Random, data: bytes) -> bytes:
    """The same file with bytes changed, cut off, doubled, or put in."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 30))):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0:
                changed[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del changed[place : place + chance.choice((1, 10, 1000, 10**9))]
            case 2:
                changed[place:place] = changed[place : place + chance.randrange(200)]
            case 3:
                changed[place:place] = chance.choice(ODD_VALUES).encode("utf-8", "surrogatepass")
            case 4:
                changed[place:place] = chance.choice(
                    (b"\xff", b"\xef\xbb\xbf", b"\x00" * 50, b"\xed\xa0\x80", b"\\ud800", b"\n")
                )
            case 5:
                changed[place : place + 1] = b""
    return bytes(changed)


def rewritten(chance: random.Random, value: dict[str, Any]) -> dict[str, Any]:
    """What a later save of the session may be: it grew, was cut, reordered, emptied, marked."""
    later = json.loads(json.dumps(value))
    messages = later["messages"]
    for _ in range(chance.randrange(1, 4)):
        match chance.randrange(8):
            case 0:
                messages += [message(chance, 1000 + number) for number in range(chance.randrange(4))]
            case 1:
                del messages[chance.randrange(len(messages) + 1) :]
            case 2:
                del messages[: chance.randrange(len(messages) + 1)]
            case 3:
                chance.shuffle(messages)
            case 4:
                later["context_messages"] = messages[: chance.randrange(4)]
            case 5:
                later[chance.choice(MARKS)] = chance.choice(
                    (None, 0, 0.0, "ab" * 16, "Untitled", 1_760_000_010.5, [], {})
                )
            case 6:
                later |= {session.STREAM: None, "messages": [], "tool_calls": [], "context_messages": []}
                messages = later["messages"]
            case 7 if messages:
                messages[chance.randrange(len(messages))] = chance.choice(
                    (message(chance, 5), None, 7, [], "text", {})
                )
    return later
