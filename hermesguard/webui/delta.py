"""The delta from one state of a file to the next, in time proportional to what differs. Pure."""

from hermesguard.webui.abridged import Abridged

Part = str | list[int]
"""A text, or [offset, length] in bytes of the state before."""

# Where a save of the application differs from the one before, mostly in this line alone; any other difference is searched for.
_CHANGES_AT = (b'"updated_at"', b"\n  ]")


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
