"""What two lists have in common is found in their order, and four times as much costs about four times as much."""

import random
import time

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
    assert all(a < c and b < d for (a, b), (c, d) in zip(pairs, pairs[1:], strict=False))


@given(st.permutations(range(20)), st.sets(st.integers(0, 19)))
def test_what_stands_once_and_in_order_is_all_found(old: list[int], gone: set[int]) -> None:
    new = [element for element in old if element not in gone]
    assert [old[a] for a, _ in rising(old, new)] == new


def half_shuffled(count: int) -> float:
    """Return the seconds that a comparison of so many messages costs, half of them in another place."""
    texts = [f'{{"role": "user", "content": "message {n}", "timestamp": {n + 1}}}' for n in range(count)]
    old = [
        Message({"role": "user", "content": f"message {n}", "timestamp": n + 1}, texts[n])
        for n in range(count)
    ]
    new, dice = old[:], random.Random(1)
    chosen = dice.sample(range(count), count // 2)
    for place, source in zip(chosen, sorted(chosen, key=lambda _: dice.random()), strict=True):
        new[place] = old[source]
    began = time.process_time()
    comparison = compare(old, new)
    assert comparison.whole
    assert not comparison.added
    return time.process_time() - began


def test_half_shuffled_costs_no_square() -> None:
    small = min(half_shuffled(4_000) for _ in range(3))
    assert half_shuffled(32_000) < 8 * 4 * small
