"""What is known of each session, packed into one number: it says what two plain dictionaries would."""

import random

from hermesguard.guard.scans.seen import Seen


def test_it_says_what_two_dictionaries_would() -> None:
    draw = random.Random(20)
    seen = Seen()
    states: dict[str, tuple[int, int]] = {}
    messages: dict[str, int] = {}
    for _ in range(5000):
        name = f"s{draw.randrange(40)}"
        state = (draw.choice([0, 1, 4000, 2**40]), draw.choice([0, -5, 1_764_000_000_000_000_007, 2**62]))
        match draw.randrange(5):
            case 0 | 1:
                messages[name], states[name] = draw.randrange(10_000), state
                seen.note(name, state, messages[name])
            case 2:
                seen.revisit(name)
                states.pop(name, None)
            case 3:
                seen.forget(name)
                states.pop(name, None)
                messages.pop(name, None)
            case 4:
                messages[name] = draw.randrange(10_000)
                seen.count(name, messages[name])
        assert seen.get(name) == states.get(name)
        assert seen.messages_of(name) == messages.get(name)
        assert seen.is_as_seen(name, *state) == (states.get(name) == state)
        assert list(seen) == list(messages)
        assert seen.messages == sum(messages.values())
        times = [time_ns for _, time_ns in states.values()]
        assert seen.newest_ns() >= max(times, default=0), "files that are not in order have been saved too"
    assert [name for name, _, _ in seen.newest(100, -(2**63))] == sorted(
        states, key=lambda name: (states[name][1], states[name][0], messages[name], name), reverse=True
    )


def test_another_one_takes_over_what_it_dumps() -> None:
    seen, other = Seen(), Seen()
    for number in range(100):
        seen.note(f"s{number}", (number, 10**18 + number), number)
    other.load(*seen.dump())
    assert {name: other.get(name) for name in other} == {name: seen.get(name) for name in seen}
    assert other.messages == seen.messages
    assert other.newest(1, 0) == [("s99", 99, 10**18 + 99)]
    assert other.newest_ns() == 10**18 + 99
    assert Seen().newest_ns() == 0
