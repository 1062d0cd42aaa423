"""A repair made of an abridged session: whether that knows enough, and its runs put back where they belong. Pure."""

import json

from hermesguard.repair.merge import started_seconds
from hermesguard.webui import session
from hermesguard.webui.abridged import Abridged, Hole, Piece


def fill(text: str, known: Abridged) -> list[Piece]:
    """Return the pieces of an abridged `text` made from `known`, with the runs' own bytes where they belong."""
    pieces: list[Piece] = []
    for hole in known.holes:
        before, mark, text = text.partition(hole.run.text)
        if mark:
            pieces += [before.encode("utf-8"), *hole.chunks]
        else:
            text = before
    return [*pieces, text.encode("utf-8")]


def tells_all(known: Abridged) -> bool:
    """Return whether an empty live file can be repaired from the abridged form as from the full one.

    That is so when no message of a run can be the pending prompt, or was stamped after it was sent.
    """
    prompt = known.document.prompt
    if not prompt.strip():
        return True
    sent = started_seconds(known.document)
    runs = [hole for hole in known.holes if hole.key != session.TOOL_CALLS]
    if sent is None or any(hole.run.latest > sent for hole in runs):
        return not runs
    return all(hole.run.latest < int(sent) - 1 or not _may_say(hole, prompt) for hole in runs)


def _may_say(hole: Hole, prompt: str) -> bool:
    """Return whether a message of the run may have these words: the longest of them stands somewhere in its text."""
    word = json.dumps(max(prompt.split(), key=len), ensure_ascii=False)[1:-1]
    try:
        sought = word.encode("utf-8")
    except UnicodeEncodeError:
        return True
    escaped = not word.isascii() and any(b"\\u" in chunk for chunk in hole.chunks)
    return escaped or any(sought in chunk for chunk in hole.chunks)
