"""Messages and session files to judge, written down in short."""

import json
from typing import Any

from hermesguard.judge.case import Case
from hermesguard.judge.judge import Surroundings, Verdict, judge
from hermesguard.webui import session
from hermesguard.webui.session import Document

Value = dict[str, Any]


def user(words: Any, timestamp: float | None = None, **more: Any) -> Value:
    """A message of a user."""
    return _message("user", words, timestamp, more)


def answer(words: Any, timestamp: float | None = None, **more: Any) -> Value:
    """A message of the model."""
    return _message("assistant", words, timestamp, more)


def tool(words: Any, call: str, timestamp: float | None = None, **more: Any) -> Value:
    """What a tool said."""
    return _message("tool", words, timestamp, {"tool_call_id": call, **more})


def calling(call: str, timestamp: float | None = None, words: str = "", **more: Any) -> Value:
    """The model calls a tool."""
    calls = [{"id": call, "type": "function", "function": {"name": "terminal", "arguments": "{}"}}]
    return _message("assistant", words, timestamp, {"tool_calls": calls, **more})


def _message(role: str, words: Any, timestamp: float | None, more: Value) -> Value:
    stamped = {} if timestamp is None else {"timestamp": timestamp}
    return {"role": role, "content": words, **stamped, **more}


def turns(count: int, first: int = 1, start: float = 1000.0) -> list[Value]:
    """So many turns of two messages, ten seconds apart, numbered from `first`."""
    return [
        message
        for number in range(first, first + count)
        for message in (
            user(f"question {number}", start + 10 * number),
            answer(f"answer {number}", start + 10 * number + 5),
        )
    ]


# What the writers of the five eras always write beside the messages, as far as it matters for judging.
OLD: Value = {}
V137: Value = {"truncation_watermark": None}
V720: Value = V137 | {"truncation_boundary": None, "message_count": 0}
V875: Value = V720 | {"clear_generation": None}
NEW: Value = V875 | {"intentional_shrink_generation": None}


# The conversation that most cases begin with, and what usually comes of it.
FIVE = turns(5)
FOUR = FIVE[:8]
OTHER = turns(2, 70, 9000)
NEWS = [user("new", 3000), answer("news", 3001)]
GONE: Value = {"context_messages": []}
STREAMING: Value = {"active_stream_id": "s", "pending_user_message": "unsent", "pending_started_at": 2000.5}
RUNNING: Value = {"active_stream_id": "s2", "pending_user_message": "ask", "pending_started_at": 2000.5}


def cut(era: Value = V137, **more: Any) -> Value:
    """What a file of that era has beside its messages, a cut's marks among it."""
    return era | more


def file(messages: list[Any], era: Value = OLD, **members: Any) -> Document:
    """A session file of that era; `context_messages` repeats the messages unless it is given."""
    value = {
        "session_id": "s",
        "title": "A title",
        "created_at": 1.5,
        "updated_at": 2.5,
        "pinned": False,
        "input_tokens": 100,
        "active_stream_id": None,
        "pending_user_message": None,
        "pending_attachments": [],
        "pending_started_at": None,
        **era,
        **members,
    }
    context = value.pop("context_messages", messages)
    calls = value.pop("tool_calls", [])
    if "message_count" in value:
        value["message_count"] = len(messages)
    return session.parse(
        json.dumps({**value, "messages": messages, "tool_calls": calls, "context_messages": context}).encode()
    )


def case(before: tuple[list[Any], Value], after: tuple[list[Any], Value], **around: Any) -> Case:
    """What can be seen of the step from one file to the other; each is its messages, and its era with its members."""
    return Case(file(before[0], **before[1]), file(after[0], **after[1]), Surroundings(**around))


def verdict_on(before: Document, after: Document, **around: Any) -> Verdict:
    """What the judge says of the step from one file to the other."""
    return judge(before, after, Surroundings(**around))
