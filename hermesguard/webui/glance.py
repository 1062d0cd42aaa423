"""The least that must be known of a session of which there is nothing to compare: that it is one, and how long. Pure."""

from typing import NamedTuple

import orjson

from hermesguard.webui import session


class Glance(NamedTuple):
    """What a session file says, as far as a first copy of it needs."""

    messages: int
    could_be_wiped: bool
    """It has what bug #1558 needs: a stream that is set."""


def glance(data: bytes) -> Glance | None:
    """Return what a session file says at a fifth of the cost of `session.parse`; None when that must be asked.

    orjson reads less than Python's `json` does: what it takes for an object, the application can read (`session.DEEPEST`).
    """
    try:
        value = orjson.loads(data)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    messages = value.get(session.MESSAGES)
    return Glance(len(messages) if isinstance(messages, list) else 0, bool(value.get(session.STREAM)))
