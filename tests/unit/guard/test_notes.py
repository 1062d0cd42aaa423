"""Questions that only time can answer are asked again when they are due, and never forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from hermesguard.clock import Clock
from hermesguard.guard.context import Notes, Writers

seconds = st.floats(0, 1e7, allow_nan=False)


@given(seconds, st.sampled_from([1.0, 2.0, 2.5, 10.0]))
def test_what_is_due_has_waited_long_enough(start: float, wait: float) -> None:
    now = [start]
    notes = Notes(Clock(lambda: now[0]))
    notes.defer("a", b"torn", wait)
    now[0] += notes.next_due_seconds() or 0.0
    while not (due := list(notes.due())):
        now[0] += max(notes.next_due_seconds() or 0.0, 1e-6)
    assert [name for name, _ in due] == ["a"]
    notes.defer("b", b"torn", wait)
    now[0] = notes.deferred["b"].due
    assert notes.waited_seconds("b", b"torn") >= wait
    assert notes.waited_seconds("b", b"another state") == 0.0


def test_a_question_asked_again_while_it_is_due_stays() -> None:
    now = [5.0]
    notes = Notes(Clock(lambda: now[0]))
    notes.defer("a", b"torn", 1.0)
    now[0] = 6.0
    for name, _ in notes.due():
        notes.defer(name, b"torn", 1.0)
    assert notes.next_due_seconds() is not None


def test_what_cannot_be_answered_is_asked_at_its_own_pace_however_long() -> None:
    now = [5.0]
    notes = Notes(Clock(lambda: now[0]))
    notes.defer("a", None, 1.0)
    for _ in range(100):
        now[0] += notes.next_due_seconds() or 0.0
        for name, _ in notes.due():
            notes.defer(name, None, 1.0)
    assert now[0] >= 5.0 + 99.0


def test_who_wrote_a_session_beside_its_shadow() -> None:
    writers = Writers()
    assert writers.of("a", 1) == "unknown"
    assert writers.saved(1) is None
    writers.stands("a", 1)
    assert writers.of("a", 1) == "same"
    assert writers.of("a", 2) == "new"
    assert writers.of("a", None) == "unknown"
    assert writers.saved(2) is None
    assert writers.of("a", 2) == "another"
    assert writers.saved(2) is None
    assert writers.saved(1) == 2
    writers.forget("a")
    assert writers.of("a", 1) == "unknown"


def test_only_so_many_writers_are_remembered() -> None:
    writers = Writers()
    for pid in range(1, 100):
        assert writers.saved(pid) is None
    assert writers.saved(1) is None
    assert writers.saved(99) == 1
