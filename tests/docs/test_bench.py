"""What all benchmarks share: a wait has an end, and each its own."""

import itertools

import pytest

from bench import measuring


@pytest.fixture
def pauses(monkeypatch):
    """A clock that goes on while somebody sleeps; the pauses that were made."""
    made = []
    monkeypatch.setattr(measuring.time, "monotonic", lambda: 100.0 + sum(made))
    monkeypatch.setattr(measuring.time, "sleep", made.append)
    return made


def test_a_wait_ends_when_what_is_waited_for_is_there(pauses):
    looks = itertools.chain([False] * 59, itertools.repeat(True))
    measuring.until(looks.__next__, "the 60th look", pause_seconds=1.0)
    assert pauses == [1.0] * 59
    looks = itertools.chain([False] * 59, itertools.repeat(True))
    measuring.until(looks.__next__, "as many looks", pause_seconds=1.0)
    assert pauses == [1.0] * 118, "each wait has a minute of its own"


def test_a_wait_in_vain_says_for_what(pauses):
    with pytest.raises(SystemExit, match=r"^waited 60 s in vain for the copy$"):
        measuring.until(lambda: False, "the copy", pause_seconds=0.5)
    assert sum(pauses) == 60.5
    measuring.until(lambda: True, "nothing", seconds=0)
    assert sum(pauses) == 60.5
