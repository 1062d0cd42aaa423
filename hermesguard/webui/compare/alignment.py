"""The longest rising run of equal elements that two lists have in common, in n log n. Pure, and knows nothing of sessions."""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Hashable, Iterator, Sequence
from itertools import chain
from operator import eq
from typing import overload

Pair = tuple[int, int]


class Pairs(Sequence[Pair]):
    """Pairs of which the first ones are (0, 0), (1, 1) and so on: mostly that is nearly all of them."""

    def __init__(self, lead: int, rest: Sequence[Pair]) -> None:
        self._lead = lead
        self._rest = tuple(rest)

    def __len__(self) -> int:
        return self._lead + len(self._rest)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        return (number, number) if number < self._lead else self._rest[number - self._lead]

    def __iter__(self) -> Iterator[Pair]:
        return chain(((number, number) for number in range(self._lead)), self._rest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash((self._lead, self._rest))


def rising(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[Pair]:
    """Return pairs (place in old, place in new) of equal elements, both rising.

    What stands once in each list is aligned as well as it can be; what is repeated is aligned beside that, in order.
    """
    if not old or not new:
        return []
    if len(old) == len(new) == 1:
        return [(0, 0)] if old[0] == new[0] else []
    place, once = _single(old), _single(new)
    single = [(place[element], index) for element, index in once.items() if element in place]
    found: list[Pair] = []
    at_old = at_new = 0
    for a, b in (*longest(single), (len(old), len(new))):
        if at_old + 1 == a and at_new + 1 == b:
            if old[at_old] == new[at_new]:
                found.append((at_old, at_new))
        elif at_old < a and at_new < b:
            found += _between(old, new, (at_old, at_new), (a, b))
        if a < len(old):
            found.append((a, b))
        at_old, at_new = a + 1, b + 1
    return found


def _single(elements: Sequence[Hashable]) -> dict[Hashable, int]:
    """Return where the elements stand that are there once, in their order."""
    places = dict(zip(elements, range(len(elements)), strict=True))
    if len(places) == len(elements):
        return places
    often = Counter(elements)
    return {element: index for element, index in places.items() if often[element] == 1}


def _between(old: Sequence[Hashable], new: Sequence[Hashable], start: Pair, end: Pair) -> list[Pair]:
    """Return the pairs between two that are sure: what joins them without a break, then the repeated ones in between."""
    (a, b), (end_a, end_b) = start, end
    before: list[Pair] = []
    behind: list[Pair] = []
    while a < end_a and b < end_b and old[a] == new[b]:
        before.append((a, b))
        a, b = a + 1, b + 1
    while a < end_a and b < end_b and old[end_a - 1] == new[end_b - 1]:
        end_a, end_b = end_a - 1, end_b - 1
        behind.append((end_a, end_b))
    if a == end_a or b == end_b:
        return [*before, *reversed(behind)]
    places: dict[Hashable, deque[int]] = {}
    for index in range(a, end_a):
        places.setdefault(old[index], deque()).append(index)
    repeated = [(places[new[index]].popleft(), index) for index in range(b, end_b) if places.get(new[index])]
    return [*before, *longest(repeated), *reversed(behind)]


def longest(pairs: Sequence[Pair]) -> list[Pair]:
    """Return as many of these pairs, whose second numbers rise, as can be had with first numbers that rise too."""
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for number, (first, _) in enumerate(pairs):
        size = bisect_left(ends, first)
        before.append(last[size - 1] if size else -1)
        if size == len(ends):
            ends.append(first)
            last.append(number)
        else:
            ends[size], last[size] = first, number
    found: list[Pair] = []
    number = last[-1] if last else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]
