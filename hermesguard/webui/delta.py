"""The delta from one state of a file to the next, in time proportional to what differs. Pure."""

from typing import Final

import orjson

from hermesguard.pieces import Rests
from hermesguard.webui import session
from hermesguard.webui.abridged import Abridged, Seam
from hermesguard.webui.grammar import DEEPEST

Part = str | list[int]
"""A text, or [offset, length] in bytes of the state before."""
Made = list[Part] | None
"""What makes a state out of the one before, where that is known."""

# Where a save of the application differs from the one before, mostly in this line alone; any other difference is searched for.
_CHANGES_AT = (b'"updated_at"', b"\n  ]")

# Members that are numbers and change with each save; one number for another leaves every other member what it was. Only where
# the application indents those of the file itself: within a draft or a message a key may have any name.
_COUNTERS: Final = frozenset({b'  "updated_at"', b'  "message_count"', b'  "estimated_cost"'})
_TOKENS: Final = b'_tokens"'
_INDENTED: Final = b'  "'
_ANCHOR: Final = _INDENTED + session.ANCHOR_PREFIX.encode("ascii")
"""What a compression has left is no counter, whatever its name ends with: it is known by it, and kept."""


def grown(known: Abridged, rests: Rests, size_bytes: int) -> tuple[Abridged, list[Part]] | None:
    """Return the file of so many bytes that has these rests around the runs of `known`, if but for counters only messages came.

    Exact as `followed` is, and at half its cost, for nothing is parsed but what came: where a list ended there may stand a comma
    and messages, and whatever else follows is byte for byte what is known to be good. None says nothing: ask `followed`.
    """
    if known.number_of_messages is None:
        return None
    before, head = known.rests[0], rests[0]
    made: list[Part] = []
    position = len(head)
    same_from, more_bytes = 0, position - len(before)
    if head != before:
        lead, same_bytes = shared(before, head)
        if not _is_counting(before, head, lead, same_bytes):
            return None
        made.append([0, lead])
        if text := head[lead : position - same_bytes]:
            made.append(text.decode("utf-8"))
        same_from = len(before) - same_bytes
    came = {}
    seams: list[Seam | None] = []
    added, said, count = b"", "", 0
    for number, hole in enumerate(known.holes):
        end, behind = known.seam(number)
        rest = rests[number + 1]
        begins, ends = len(end), len(rest) - len(behind)
        if ends < begins or not (rest.startswith(end) and rest.endswith(behind)):
            return None
        position += hole.size_bytes
        if ends > begins:
            # What people see and what the model is sent mostly grow by the same.
            if rest[begins:ends] != added:
                added = rest[begins:ends]
                said, count = _messages_in(added)
                if not count:
                    return None
            same_until = position + begins - more_bytes
            made += ([same_from, same_until - same_from], said)
            same_from, more_bytes = same_until, more_bytes + ends - begins
            end += added
            came[hole.key] = count
        seams.append((end, behind))
        position += len(rest)
    made.append([same_from, known.size_bytes - same_from])
    return known.followed_by(rests, seams, size_bytes, came), made


def _is_counting(before: bytes, after: bytes, lead: int, same_bytes: int) -> bool:
    """Return whether these differ in counters alone; so many bytes are the same at their starts, and at their ends."""
    # A counter stands between two ends of lines, else it is none: the lines that differ tell of the whole.
    begins, ends = before.rfind(b"\n", 0, lead), before.find(b"\n", len(before) - same_bytes)
    if not 0 <= begins < ends:
        return False
    lines = before[begins + 1 : ends].split(b"\n")
    lines_now = after[begins + 1 : ends + len(after) - len(before)].split(b"\n")
    return len(lines) == len(lines_now) and all(map(_counts, lines, lines_now))


def _counts(before: bytes, after: bytes) -> bool:
    """Return whether these lines are the same, or one counter."""
    if before == after:
        return True
    (key, mark, value), (key_now, _, value_now) = before.partition(b": "), after.partition(b": ")
    if key != key_now or not mark or before[-1:] != after[-1:]:
        return False
    if key not in _COUNTERS and not (
        key.startswith(_INDENTED) and key.endswith(_TOKENS) and not key.startswith(_ANCHOR)
    ):
        return False
    return _is_number(value.removesuffix(b",")) and _is_number(value_now.removesuffix(b","))


def _is_number(text: bytes) -> bool:
    try:
        return type(orjson.loads(text)) in (int, float)
    except orjson.JSONDecodeError:
        return False


def _messages_in(added: bytes) -> tuple[str, int]:
    """Return the text of these messages, each behind a comma, and how many; 0 when they are anything else, or nested too deep.

    What orjson does not read may be messages yet (`grammar.members`).
    """
    if added[:1] != b"," or added[-1:] != b"}" or added.count(b"[") + added.count(b"{") > DEEPEST // 2:
        return "", 0
    try:
        return added.decode("utf-8"), len(orjson.loads(b"[" + added[1:] + b"]"))
    except ValueError:
        return "", 0


def parts(old: Abridged, new: Abridged) -> list[Part]:
    """Return what makes `new` out of `old`, which it followed: texts, and [offset, length] in bytes of the old file."""
    made: list[Part] = []
    same_from = same_bytes = offset = 0
    for number, before in enumerate(old.rests):
        after = new.rests[number]
        if before == after:
            same_bytes += len(before)
        else:
            lead, end = shared(before, after)
            if same_bytes + lead:
                made.append([same_from, same_bytes + lead])
            if text := after[lead : len(after) - end]:
                made.append(text.decode("utf-8"))
            same_from, same_bytes = offset + len(before) - end, end
        offset += len(before)
        if number < len(old.holes):
            same_bytes += old.holes[number].size_bytes
            offset += old.holes[number].size_bytes
    if same_bytes:
        made.append([same_from, same_bytes])
    return made


def shared(before: bytes, after: bytes) -> tuple[int, int]:
    """Return how many bytes both have in common at the start, and how many of the others at the end; no character is cut."""
    for mark in _CHANGES_AT:
        lead = before.find(mark)
        if lead >= 0 and after.startswith(before[:lead]):
            behind = before.find(b"\n", lead + 1)
            rest = before[behind:] if behind >= 0 else b""
            if lead + len(rest) <= len(after) and after.endswith(rest):
                return lead, len(rest)
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if before[low:middle] == after[low:middle] else (low, middle - 1)
    lead = low
    while lead and lead < len(after) and after[lead] & 0xC0 == 0x80:
        lead -= 1
    low, high = 0, min(len(before), len(after)) - lead
    if len(before) - lead <= high and after.endswith(before[lead:]):
        low = high = len(before) - lead  # messages were added, and that is all
    while low < high:
        middle = (low + high + 1) // 2
        is_same = before[len(before) - middle :] == after[len(after) - middle :]
        low, high = (middle, high) if is_same else (low, middle - 1)
    end = low
    while end and after[len(after) - end] & 0xC0 == 0x80:
        end -= 1
    return lead, end
