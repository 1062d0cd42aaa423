"""When two messages that do not say the same are one, edited. Pure."""

from hermesguard.webui import benign
from hermesguard.webui.session import Message

# So much of the longer of two texts must be common to both, at their start and their end, for one to be the other, edited.
ALIKE_SHARE = 0.5


def alike(before: Message, after: Message) -> bool:
    """Return whether two messages are one, edited: changed harmlessly, or half of the words at start and end are the same."""
    if before.identity[:2] == after.identity[:2] or benign.change(before, after):
        return True
    first, second = before.identity[1], after.identity[1]
    longest, shortest = max(len(first), len(second)), min(len(first), len(second))
    if not shortest:
        return before.role == "tool" or bool(before.identity[2])
    if before.role == "tool":
        return True
    start = _common(first, second, shortest)
    end = _common(first[::-1], second[::-1], shortest - start)
    return start + end >= ALIKE_SHARE * longest or start + end == shortest


def is_near(before: Message, after: Message) -> bool:
    """Return whether both were said within a second: who asks something else then is not answered in nearly the same words."""
    stamps = before.timestamp, after.timestamp
    return None not in stamps and abs((stamps[0] or 0) - (stamps[1] or 0)) < 1


def is_restamped(before: Message, after: Message) -> bool:
    """Return whether both say the same, each at a time of its own."""
    stamps = before.timestamp, after.timestamp
    return before.identity == after.identity and None not in stamps and stamps[0] != stamps[1]


def _common(first: str, second: str, most: int) -> int:
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low
