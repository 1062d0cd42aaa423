"""Which messages of two traces are the same. Pure.

`webui.diff.compare` asks what became of a file in its next save, and may trust stamps and places. Two traces were written by
different programs: stamps are of the turn's end or of the flush, secrets are masked on one side, and one side may have prompts
alone. So here text and tool ids count, order decides, and stamps only break ties.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final
from unicodedata import normalize

from hermesguard.salvage.trace import is_masked_form, words
from hermesguard.webui.compare.alignment import longest
from hermesguard.webui.session import Message

# The longest turn that two programs may stamp at its two ends.
_SAME_TURN_SECONDS: Final = 2 * 3600.0
_EXACT_SECONDS: Final = 1.0
# Cells of a table that is filled in about a tenth of a second.
_MOST_CELLS: Final = 200_000
_LEAST_COMMON_CHARACTERS: Final = 12
_LEAST_STAMPED_ANEW: Final = 4
_LEAST_SHARE: Final = 0.6

Pair = tuple[int, int]
_Key = tuple[str, str, tuple[str, ...]]


def pairs(old: Sequence[Message], new: Sequence[Message]) -> list[Pair]:
    """Return the (old, new) indices of messages that are the same, both rising."""
    keys_old, keys_new = list(map(_key, old)), list(map(_key, new))
    loose = _common(old, new, keys_old, keys_new, by_stamp=False)
    strict = [pair for pair in loose if _same_turn(old[pair[0]], new[pair[1]])]
    if len(strict) < len(loose):
        # Either all was stamped anew (a terminal's undo does that), or the same words were said again later.
        again = _common(old, new, keys_old, keys_new, by_stamp=True)
        if 2 * len(again) >= len(loose) or len(loose) < _LEAST_STAMPED_ANEW:
            loose = again
    return _with_changed(old, new, loose)


def _key(message: Message) -> _Key:
    role, said, tools = message.identity
    if tools:
        return (role, "", tools)
    # Programs differ in how they compose letters and accents.
    return (role, said if said.isascii() else normalize("NFC", said), ())


def _same_turn(old: Message, new: Message) -> bool:
    first, second = old.timestamp, new.timestamp
    return first is None or second is None or abs(first - second) <= _SAME_TURN_SECONDS


def _common(
    old: Sequence[Message],
    new: Sequence[Message],
    keys_old: Sequence[_Key],
    keys_new: Sequence[_Key],
    by_stamp: bool,
) -> list[Pair]:
    def same(first: int, second: int) -> bool:
        return keys_old[first] == keys_new[second] and (not by_stamp or _same_turn(old[first], new[second]))

    def surely(first: int, second: int) -> bool:
        one, two = old[first].timestamp, new[second].timestamp
        at_once = one is None or two is None or abs(one - two) <= _EXACT_SECONDS
        return at_once and keys_old[first] == keys_new[second]

    head, end_old, end_new = 0, len(old), len(new)
    while head < end_old and head < end_new and surely(head, head):
        head += 1
    while end_old > head and end_new > head and surely(end_old - 1, end_new - 1):
        end_old, end_new = end_old - 1, end_new - 1
    found = [(index, index) for index in range(head)]
    bounds = [(head, head)]
    for anchor in _unique(keys_old, keys_new, (head, end_old), (head, end_new)):
        if same(*anchor):
            bounds.append(anchor)
    bounds.append((end_old, end_new))
    for place, (from_old, from_new) in enumerate(bounds[:-1]):
        to_old, to_new = bounds[place + 1]
        if place:
            found.append((from_old, from_new))
            from_old, from_new = from_old + 1, from_new + 1
        found += _between(old, new, keys_old, keys_new, (from_old, to_old), (from_new, to_new), by_stamp)
    return found + [
        (end_old + step, end_new + step) for step in range(min(len(old) - end_old, len(new) - end_new))
    ]


def _unique(
    keys_old: Sequence[_Key], keys_new: Sequence[_Key], old: tuple[int, int], new: tuple[int, int]
) -> list[Pair]:
    """Return the longest rising run of pairs whose key stands once on either side."""
    count_old, count_new = Counter(keys_old[slice(*old)]), Counter(keys_new[slice(*new)])
    place = {keys_new[index]: index for index in range(*new)}
    crossing = [
        (place[keys_old[index]], index)
        for index in range(*old)
        if count_old[keys_old[index]] == 1 == count_new.get(keys_old[index], 0)
    ]
    return [(first, second) for second, first in longest(crossing)]


def _between(
    old: Sequence[Message],
    new: Sequence[Message],
    keys_old: Sequence[_Key],
    keys_new: Sequence[_Key],
    of_old: tuple[int, int],
    of_new: tuple[int, int],
    by_stamp: bool,
) -> list[Pair]:
    size_old, size_new = of_old[1] - of_old[0], of_new[1] - of_new[0]
    if not size_old or not size_new:
        return []
    if not set(keys_old[slice(*of_old)]) & set(keys_new[slice(*of_new)]):
        return []
    if size_old * size_new > _MOST_CELLS:
        matcher = SequenceMatcher(None, keys_old[slice(*of_old)], keys_new[slice(*of_new)], autojunk=False)
        return [
            (of_old[0] + block.a + step, of_new[0] + block.b + step)
            for block in matcher.get_matching_blocks()
            for step in range(block.size)
        ]
    best = [[0.0] * (size_new + 1) for _ in range(size_old + 1)]
    for row in range(size_old - 1, -1, -1):
        first, line, below = of_old[0] + row, best[row], best[row + 1]
        for column in range(size_new - 1, -1, -1):
            score = max(below[column], line[column + 1])
            if keys_old[first] == keys_new[of_new[0] + column]:
                worth = _worth(old[first], new[of_new[0] + column], by_stamp)
                if worth:
                    score = max(score, below[column + 1] + worth)
            line[column] = score
    return list(_walk(best, of_old[0], of_new[0]))


def _walk(best: list[list[float]], from_old: int, from_new: int) -> Iterator[Pair]:
    row = column = 0
    while row < len(best) - 1 and column < len(best[0]) - 1:
        if best[row][column] == best[row + 1][column]:
            row += 1
        elif best[row][column] == best[row][column + 1]:
            column += 1
        else:
            yield from_old + row, from_new + column
            row, column = row + 1, column + 1


def _worth(old: Message, new: Message, by_stamp: bool) -> float:
    """Return how much it says for an alignment that it pairs these two, which say the same; 0 where it must not."""
    first, second = old.timestamp, new.timestamp
    if first is None or second is None:
        return 1.0
    apart = abs(first - second)
    if apart <= _EXACT_SECONDS:
        return 1.5
    if apart <= _SAME_TURN_SECONDS:
        return 1.25 - 0.25 * apart / _SAME_TURN_SECONDS
    return 0.0 if by_stamp else 1.0


def _with_changed(old: Sequence[Message], new: Sequence[Message], found: list[Pair]) -> list[Pair]:
    """Return the pairs, and with them those that lie between the same neighbours and are one message in another dress."""
    result: list[Pair] = []
    at_old = at_new = 0
    for end_old, end_new in (*found, (len(old), len(new))):
        free = at_new
        for index in range(at_old, end_old):
            for other in range(free, min(end_new, free + 50)):
                if _is_changed(old[index], new[other]):
                    result.append((index, other))
                    free = other + 1
                    break
        if (end_old, end_new) != (len(old), len(new)):
            result.append((end_old, end_new))
        at_old, at_new = end_old + 1, end_new + 1
    return result


def _is_changed(old: Message, new: Message) -> bool:
    """Return whether two messages between the same neighbours are one: masked, still being written, or with less markup."""
    if old.role != new.role:
        return False
    ids_old, ids_new = set(old.identity[2]), set(new.identity[2])
    if ids_old or ids_new:
        return bool(ids_old & ids_new)
    one, two = words(old), words(new)
    if not one or not two:
        return False
    if is_masked_form(one, two) or is_masked_form(two, one):
        return True
    short, long = sorted((one, two), key=len)
    if len(short) < _LEAST_COMMON_CHARACTERS or not _same_turn(old, new):
        return False
    if old.role == "user":
        # What the application puts around a prompt stands in brackets.
        before, found, behind = long.partition(short)
        return bool(found) and all(not rest.strip() or rest.strip()[0] == "[" for rest in (before, behind))
    return long.startswith(short) or (short in long and len(short) > _LEAST_SHARE * len(long))
