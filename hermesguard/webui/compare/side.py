"""One of the two lists that are compared: what is asked of its messages again and again is found out once. Pure."""

from array import array
from collections.abc import Hashable, Sequence
from functools import cached_property

from hermesguard.webui.long.document import LongMessages
from hermesguard.webui.session import Message

# A prompt that was recovered from `pending_*` is stamped with whole seconds; the application's own copy with fractions.
RECOVERED_TOLERANCE_SECONDS = 1.0
_AT_ONCE = 256


class Side:
    """A list of messages."""

    def __init__(self, messages: Sequence[Message], is_by_digest: bool) -> None:
        """`is_by_digest`: texts are told apart by their digests, as they must be where one list is of a long file."""
        self.messages = messages
        self._is_by_digest = is_by_digest
        self._hashes: list[int | None] = [None] * len(messages)
        self._lengths = array("L", bytes(len(messages) * array("L").itemsize))

    def __len__(self) -> int:
        return len(self.messages)

    @cached_property
    def stamps(self) -> Sequence[float | None]:
        """When each message was said, in seconds; None where it is not stamped."""
        messages = self.messages
        if isinstance(messages, LongMessages):
            return messages.stamps
        return [message.timestamp for message in messages]

    @cached_property
    def texts(self) -> Sequence[Hashable]:
        """What tells the messages apart by their texts."""
        messages = self.messages
        if not self._is_by_digest:
            return [message.text for message in messages]
        if isinstance(messages, LongMessages):
            return messages.digests
        return [message.digest for message in messages]

    def hashed(self, index: int) -> int:
        """Return a hash of the identity of a message: what differs in it is not the same; what has it in common may be."""
        found = self._hashes[index]
        return self._look(index) if found is None else found

    def length(self, index: int) -> int:
        """Return how many characters a message says."""
        if self._hashes[index] is None:
            self._look(index)
        return self._lengths[index]

    def _look(self, index: int) -> int:
        """Find out what is known of the identities of a message and of those behind it, and return that message's hash."""
        hashes, messages = self._hashes, self.messages
        end = index + 1
        while end < len(hashes) and end - index < _AT_ONCE and hashes[end] is None:
            end += 1
        if isinstance(messages, LongMessages):
            found = messages.identities(index, end - index)
        else:
            found = [message.identity for message in messages[index:end]]
        end = index + len(found)
        hashes[index:end] = several = list(map(hash, found))
        self._lengths[index:end] = array("L", [len(words) for _, words, _ in found])
        return several[0]

    def is_same(self, index: int, other: "Side", place: int) -> bool:
        """Return whether a message says the same as one of the other list, at another time or at the same."""
        if self.hashed(index) != other.hashed(place):
            return False
        return self.messages[index].identity == other.messages[place].identity

    def is_equal(self, index: int, other: "Side", place: int) -> bool:
        """Return whether a message is the same as one of the other list, stamps included."""
        first, second = self.stamps[index], other.stamps[place]
        if first is not None and second is not None and first != second:
            # What is written alike is stamped alike.
            if abs(first - second) >= RECOVERED_TOLERANCE_SECONDS or not self.is_same(index, other, place):
                return False
            return stamps_agree(self.messages[index], other.messages[place])
        return self.is_same(index, other, place)


def equal(before: Message, after: Message) -> bool:
    """Return whether two messages are the same, stamps included."""
    # What is written alike says the same, so that the identity, which is known, decides most.
    return before.identity == after.identity and (before.text == after.text or stamps_agree(before, after))


def stamps_agree(before: Message, after: Message) -> bool:
    """Return whether the stamps of two messages that say the same let them be one."""
    first, second = before.timestamp, after.timestamp
    if first is None or second is None or first == second:
        return True
    if abs(first - second) >= RECOVERED_TOLERANCE_SECONDS:
        return False
    return bool(before.get("_recovered") or after.get("_recovered"))
