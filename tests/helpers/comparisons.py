"""Lists of messages to compare, and what a comparison found, in words."""

import json
from collections.abc import Sequence
from typing import Any

from hermesguard.webui import session
from hermesguard.webui.compare.diff import Comparison
from hermesguard.webui.session import Message
from tests.helpers.cases import Value, turns

LONG = "a long answer with quite a number of words in it"
THREE = turns(3)


def messages(values: list[Any]) -> Sequence[Message]:
    return session.parse(json.dumps({"messages": values}).encode()).messages


def later(message: Value, seconds: float) -> Value:
    """The same message, stamped so much later."""
    return message | {"timestamp": message["timestamp"] + seconds}


def bare(message: Value) -> Value:
    """The same message without a stamp, as old releases wrote it."""
    return {key: value for key, value in message.items() if key != "timestamp"}


def said(message: Value, words: str) -> Value:
    """The same message in other words."""
    return message | {"content": words}


def in_words(found: Comparison) -> str:
    """What was found, but for the pairs of the lead and what there is nothing of."""
    behind = [pair for pair in found.pairs if pair[0] >= found.lead]
    pairs = {
        "same": behind,
        "moved": found.moved,
        "cut": found.shortened,
        "changed": found.changed,
        "sent": found.sent,
    }
    parts = [f"lead {found.lead}"]
    parts += [f"{name} " + " ".join(f"{a}-{b}" for a, b in some) for name, some in pairs.items() if some]
    if found.missing:
        parts.append("gone " + " ".join(map(str, found.missing)))
    if found.harmless:
        parts.append("harmless " + " ".join(f"{index}:{kind}" for index, kind in found.harmless))
    if found.added:
        parts.append("new " + " ".join(map(str, found.added)))
    return ", ".join(parts)
