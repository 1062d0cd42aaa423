"""What two lists have in common is found in their order, and four times as much costs about four times as much."""

import contextlib
import itertools
import json
import random
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesguard.webui.compare.alignment import rising
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.session import Message

letters = st.lists(st.sampled_from("abcdefgh"), max_size=30)


@given(letters, letters)
def test_pairs_are_equal_and_rise_on_both_sides(old: list[str], new: list[str]) -> None:
    pairs = rising(old, new)
    assert all(old[a] == new[b] for a, b in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in itertools.pairwise(pairs))


@given(st.permutations(range(20)), st.sets(st.integers(0, 19)))
def test_what_stands_once_and_in_order_is_all_found(old: list[int], gone: set[int]) -> None:
    new = [element for element in old if element not in gone]
    assert [old[a] for a, _ in rising(old, new)] == new


def half_shuffled(count: int, is_stamped: bool) -> int:
    """Return the number of lines that a comparison of so many messages runs, half of them in another place."""
    values = [
        {"role": "user", "content": f"message {n}", **({"timestamp": n + 1} if is_stamped else {})}
        for n in range(count)
    ]
    old = [Message(value, json.dumps(value)) for value in values]
    new, dice = old[:], random.Random(1)
    chosen = dice.sample(range(count), count // 2)
    for place, source in zip(chosen, sorted(chosen, key=lambda _: dice.random()), strict=True):
        new[place] = old[source]
    with lines_run() as lines:
        comparison = compare(old, new)
    assert comparison.whole
    assert not comparison.added
    return len(lines)


def half_gone(count: int, is_stamped: bool) -> int:
    """Return the number of lines that a comparison of so many messages runs, half of them gone and the others shuffled."""
    values = [
        {"role": "user", "content": f"message {n}", **({"timestamp": n / 4 + 1} if is_stamped else {})}
        for n in range(count)
    ]
    old = [Message(value, json.dumps(value)) for value in values]
    with lines_run() as lines:
        comparison = compare(old, random.Random(1).sample(old, count // 2))
    assert comparison.missing
    return len(lines)


@contextlib.contextmanager
def lines_run() -> Iterator[list[None]]:
    """Collect one entry for each line of Python that runs meanwhile: a cost that a busy machine does not change."""
    lines: list[None] = []

    def trace(_frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        if event == "line":
            lines.append(None)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("is_stamped", [True, False])
def test_half_shuffled_costs_no_square(is_stamped: bool) -> None:
    small = half_shuffled(250, is_stamped)
    assert small > 250  # the comparison is counted at all
    assert half_shuffled(1_000, is_stamped) < 4 * 2 * small


@pytest.mark.parametrize("is_stamped", [True, False])
def test_half_gone_costs_no_square(is_stamped: bool) -> None:
    assert half_gone(1_000, is_stamped) < 4 * 2 * half_gone(250, is_stamped)
