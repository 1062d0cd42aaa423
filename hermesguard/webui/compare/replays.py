"""Messages that an older list has more than once, as the application writes them when it replays its own history. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from hermesguard.webui.session import Message

# So many messages without a stamp, one after another, are nowhere said twice; a "yes" and an "ok" are.
UNSTAMPED_MESSAGES = 4
# A replay out of the agent's database has stamps of its own, within a second of the first ones (PR#2620); nobody asks and is
# answered twice in it.
NEAR_MESSAGES = 2
NEAR_SECONDS = 1.0

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
    seconds = {int(stamp) + near for stamp in stamps for near in (-1, 0, 1)}
    there: dict[object, list[Message]] = {}
    is_any_near = False
    for index, message in enumerate(old):
        if not (index < lead or index in found) or (stamp := message.timestamp) is None:
            continue
        is_any_near |= int(stamp) in seconds
        if stamp in stamps:
            there.setdefault(_key(message), []).append(message)
    again = {
        index
        for index in gone
        if there and any(_holds(twin, old[index]) for twin in there.get(_key(old[index]), ()))
    }
    unstamped = [index for index in gone if old[index].timestamp is None]
    nearly = [index for index in gone if old[index].timestamp is not None and index not in again]
    for places, least in ((unstamped, UNSTAMPED_MESSAGES), (nearly if is_any_near else [], NEAR_MESSAGES)):
        for run in _runs(places):
            if len(run) >= least and _stands(old, run, lead, found):
                again.update(run)
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


def _stands(old: Sequence[Message], run: Sequence[int], lead: int, found: set[int]) -> bool:
    """Return whether the same messages stand elsewhere one after another, all of them found."""
    wanted = [old[index] for index in run]
    at = 0
    for index, message in enumerate(old):
        if not (index < lead or index in found):
            at = 0
        elif _repeats(message, wanted[at]):
            at += 1
        else:
            at = int(_repeats(message, wanted[0]))
        if at == len(wanted):
            return True
    return False


def _repeats(message: Message, other: Message) -> bool:
    """Return whether a message says the same as the other, and, where that is stamped, at nearly its time and with its parts."""
    if message.said != other.said:
        return False
    if other.timestamp is None:
        return True
    is_near = message.timestamp is not None and abs(message.timestamp - other.timestamp) < NEAR_SECONDS
    return is_near and _holds(message, other)
