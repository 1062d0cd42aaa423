"""A save that does nothing but add, as nearly all do: found, and written down, at the cost of what it added. Pure."""

import re
from typing import NamedTuple

from hermesguard.webui import session
from hermesguard.webui.abridged import Abridged, Seam, find, members, messages_in
from hermesguard.webui.delta import Part, shared

# Nothing else has changed before the messages in most saves; one number for another leaves every other member what it was.
_TIME = re.compile(rb'"updated_at": (?:0|[1-9][0-9]*)(?:\.[0-9]+)?,').fullmatch


class Growth(NamedTuple):
    """What a save made of the state before it."""

    abridged: Abridged
    parts: list[Part]
    """What makes it out of the state before, as `delta.parts` says it."""


def grown(known: Abridged, data: bytes | bytearray, size_bytes: int) -> Growth | None:
    """Return what the first `size_bytes` of `data` are, if messages came to the lists of `known` and nothing is to be judged.

    What stands before the first run may be anything else, but for a prompt that is gone. Exact as the rest of `abridge` is: where
    a list ended there may stand a comma and messages, and whatever else follows it there is byte for byte what is known to
    be good. None says nothing: `follow` finds the same at more cost, and what is no growth.
    """
    holes = known.holes
    if known.number_of_messages is None:
        return None
    try:
        found = find(data, holes[0].chunks, 0, size_bytes)
        if found < 0:
            return None
        before, head = known.rests[0], bytes(data[:found])
        lead, same_bytes = shared(before, head)
        was, now = before[lead : len(before) - same_bytes], head[lead : len(head) - same_bytes]
        values_behind = None
        if _TIME(was) and _TIME(now):
            values = known.values
        else:
            values = members(head + b"0]}")  # one message stands for all of that list
            if not isinstance(values, dict) or values.get(holes[0].key) != [0]:
                return None
            values_behind = known.values_behind
            values.update(values_behind)
        parts: list[Part] = [[0, lead], now.decode("utf-8")]
        offset = len(before)
        same_from = offset - same_bytes
        count, rest_messages, rests = known.count, known.rest_messages, [head]
        seams: list[Seam | None] = []
        last = len(holes) - 1
        added, messages = b"", 0
        for number, hole in enumerate(holes):
            end, behind = known.seam(number)
            run_bytes = hole.size_bytes
            start = found + run_bytes
            found = size_bytes if number == last else find(data, holes[number + 1].chunks, start, size_bytes)
            came, stays = start + len(end), found - len(behind)
            if stays < came or not (
                data.startswith(end, start, came) and data.startswith(behind, stays, found)
            ):
                return None
            offset += run_bytes + len(end)
            if stays > came:
                # What people see and what the model is sent mostly grow by the same.
                if (more := bytes(data[came:stays])) != added:
                    added, messages = more, messages_in(more)
                    if not messages:
                        return None
                parts += ([same_from, offset - same_from], added.decode("utf-8"))
                same_from = offset
                end += added
                rest_messages += messages
                if hole.key == session.MESSAGES:
                    count += messages
            seams.append((end, behind))
            rests.append(end + behind)
            offset += len(behind)
        parts.append([same_from, offset - same_from])
    except (ValueError, RecursionError):
        return None
    made = Abridged(
        tuple(rests),
        holes,
        values,
        size_bytes=size_bytes,
        count=count,
        rest_messages=rest_messages,
        seams=seams,
    )
    if known.prompt not in ("", made.prompt):
        return None
    if values_behind is not None:
        made.values_behind = values_behind
    return Growth(made, parts)
