"""Messages that an older list has more than once, as the application writes them when it replays its own history. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from hermesguard.webui.session import Message

# So many messages without a stamp, one after another, are nowhere said twice; a "yes" and an "ok" are.
UNSTAMPED_MESSAGES = 4


def repeated(old: Sequence[Message], lead: int, found: set[int]) -> set[int]:
    """Return which of the messages behind `lead` that are not `found` stand elsewhere in the list as they are, and are found.

    A message with a time stamp is one wherever it stands; of those without, only a longer run of the same messages is.
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
    for run in _runs([index for index in gone if old[index].timestamp is None]):
        if len(run) >= UNSTAMPED_MESSAGES and _stands(old, run, lead, found):
            again.update(run)
    return again


def _key(message: Message) -> object:
    return message.said, message.timestamp


def _holds(twin: Message, message: Message) -> bool:
    """Return whether all that hangs on the message hangs on its twin too."""
    if not isinstance(message.value, dict):
        return bool(twin.value == message.value)
    return all(twin.get(key) == value for key, value in message.value.items() if key != "content")


def _runs(places: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers that follow each other without a gap."""
    for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
        yield [place for _, place in run]


def _stands(old: Sequence[Message], run: Sequence[int], lead: int, found: set[int]) -> bool:
    """Return whether the same messages stand elsewhere one after another, all of them found."""
    wanted = [old[index].said for index in run]
    at = 0
    for index, message in enumerate(old):
        if not (index < lead or index in found):
            at = 0
        elif message.said == wanted[at]:
            at += 1
        else:
            at = int(message.said == wanted[0])
        if at == len(wanted):
            return True
    return False
