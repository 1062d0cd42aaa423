"""Messages that an older list has more than once, as the application writes them when it replays its own history. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import Final, TypeAlias

from hermesguard.webui.session import Message

# So many messages without a stamp, one after another, are nowhere said twice; a "yes" and an "ok" are.
UNSTAMPED_MESSAGES = 4
# A replay out of the agent's database has stamps of its own, within a second of the first ones (PR#2620); nobody asks and is
# answered twice in it.
NEAR_MESSAGES = 2
NEAR_SECONDS = 1.0
# So many places are tried at which a run may begin: who says the same a thousand times must cost no square.
MOST_STARTS = 16

Key: TypeAlias = tuple[object, int | None]
# Compared by themselves.
_COMPARED: Final = ("content", "timestamp")


def repeated(old: Sequence[Message], lead: int, found: set[int]) -> set[int]:
    """Return which of the messages behind `lead` that are not `found` stand elsewhere in the list as they are, and are found.

    A message with a time stamp is one wherever it stands; of those without, only a longer run of the same messages is, and a run
    of those whose stamps are nearly the same.
    """
    gone = [index for index in range(lead, len(old)) if index not in found]
    if not gone or len(gone) == len(old):
        return set()
    stamps = {stamp for index in gone if (stamp := old[index].timestamp) is not None}
    there: dict[object, list[Message]] = {}
    for index, message in enumerate(old):
        if message.timestamp in stamps and (index < lead or index in found):
            there.setdefault(_key(message), []).append(message)
    again = {
        index
        for index in gone
        if there and any(_holds(twin, old[index]) for twin in there.get(_key(old[index]), ()))
    }
    left = [index for index in gone if index not in again]
    runs = [
        run
        for is_stamped, least in ((False, UNSTAMPED_MESSAGES), (True, NEAR_MESSAGES))
        for run in _runs([index for index in left if (old[index].timestamp is not None) is is_stamped])
        if len(run) >= least
    ]
    if runs:
        starts = _starts(old, {key for run in runs for key in _near_keys(old[run[0]])}, lead, found)
        again.update(index for run in runs if _stands(old, run, starts, lead, found) for index in run)
    return again


def _key(message: Message) -> object:
    return message.said, message.timestamp


def _holds(twin: Message, message: Message) -> bool:
    """Return whether all that hangs on the message hangs on its twin too."""
    if not isinstance(message.value, dict):
        return bool(twin.value == message.value)
    return all(twin.get(key) == value for key, value in message.value.items() if key not in _COMPARED)


def _runs(places: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers that follow each other without a gap."""
    for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
        yield [place for _, place in run]


def _starts(old: Sequence[Message], wanted: set[Key], lead: int, found: set[int]) -> dict[Key, list[int]]:
    """Return where the messages that are found say what a run may begin with, by `_near_keys`."""
    seconds = {second for _, second in wanted}
    starts: dict[Key, list[int]] = {}
    for index, message in enumerate(old):
        if not (index < lead or index in found):
            continue
        stamp = message.timestamp
        for second in {None, None if stamp is None else int(stamp)}:
            if second in seconds and (key := (message.said, second)) in wanted:
                starts.setdefault(key, []).append(index)
    return starts


def _near_keys(message: Message) -> Iterator[Key]:
    """Yield what a message that says the same is found by: its words, and, where there is a stamp, the seconds around it."""
    stamp = message.timestamp
    for second in (None,) if stamp is None else range(int(stamp) - 1, int(stamp) + 2):
        yield message.said, second


def _stands(
    old: Sequence[Message], run: Sequence[int], starts: dict[Key, list[int]], lead: int, found: set[int]
) -> bool:
    """Return whether the same messages stand elsewhere one after another, all of them found."""
    return any(
        start + len(run) <= len(old)
        and all(
            (place < lead or place in found) and _repeats(old[place], old[index])
            for place, index in enumerate(run, start)
        )
        for key in _near_keys(old[run[0]])
        for start in islice(starts.get(key, ()), MOST_STARTS)
    )


def _repeats(message: Message, other: Message) -> bool:
    """Return whether a message says the same as the other, and, where that is stamped, at nearly its time and with its parts."""
    if message.said != other.said:
        return False
    if other.timestamp is None:
        return True
    is_near = message.timestamp is not None and abs(message.timestamp - other.timestamp) < NEAR_SECONDS
    return is_near and _holds(message, other)
