"""Which messages of an older list stand in a newer one: by identity, in order, never by count alone. Pure.

The same rule serves the judge (what is missing?) and the mender (what comes in which order, and nothing twice?).
"""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from hermesguard.webui import benign
from hermesguard.webui.session import Message

# A prompt that was recovered from `pending_*` is stamped with whole seconds; the application's own copy with fractions.
RECOVERED_TOLERANCE_SECONDS = 1.0


class Comparison(NamedTuple):
    """What became of the messages of `old` in `new`; all numbers are indices into the two lists."""

    old: Sequence[Message]
    new: Sequence[Message]
    lead: int
    """So many messages at the start are the same on both sides."""
    pairs: tuple[tuple[int, int], ...]
    """(old, new) of all messages that are the same, the lead included, both rising."""
    moved: tuple[tuple[int, int], ...]
    """(old, new) of messages that are the same, but stand in another order."""
    missing: tuple[int, ...]
    """Messages of old that are gone and whose words stand nowhere else."""
    shortened: tuple[tuple[int, int], ...]
    """(old, new) of messages that are there, but with the end of their text cut off."""
    harmless: tuple[tuple[int, str], ...]
    """(old, kind) of messages that are gone in a way that the application has (module benign)."""
    added: tuple[int, ...]
    """Messages of new that old does not have."""

    @property
    def whole(self) -> bool:
        """Return whether nothing of old is lost in new."""
        return not self.missing and not self.shortened

    @property
    def lost_messages(self) -> int:
        """How many messages are missing or cut short."""
        return sum(self.old[index].count for index in self.missing) + len(self.shortened)

    @property
    def lost_turns(self) -> int:
        """How many of the missing messages are user turns."""
        return sum(benign.user_turns(self.old[index]) for index in self.missing)

    def merged(self) -> Iterator[Message]:
        """Yield the messages of both, each once, in the order of the conversation.

        Of a message that both have, the newer form counts, except where it was shortened. Messages that the application may drop
        come back too: it drops them again where it means to. Between two common messages those of old come first unless their
        timestamps say otherwise.
        """
        shortened = dict(self.shortened)
        elsewhere = {index for _, index in self.moved}
        at_old = at_new = 0
        anchors = sorted({*self.pairs, *self.shortened})
        for old_index, new_index in (*anchors, (len(self.old), len(self.new))):
            yield from _interleave(
                list(self.old[at_old:old_index]),
                [self.new[index] for index in range(at_new, new_index) if index not in elsewhere],
            )
            if old_index < len(self.old):
                yield self.old[old_index] if old_index in shortened else self.new[new_index]
            at_old, at_new = old_index + 1, new_index + 1


def compare(old: Sequence[Message], new: Sequence[Message]) -> Comparison:
    """Return what became of the messages of `old` in `new`."""
    lead = 0
    for before, after in zip(old, new, strict=False):
        if not (before.text == after.text or _same_in_place(old, lead, before, after)):
            break
        lead += 1
    pairs = [(index, index) for index in range(lead)]
    shortened: list[tuple[int, int]] = []
    if lead < len(old) and lead < len(new):
        pairs += _match(old, new, lead)
        if (cut := _cut_short(old, new, lead)) and not any(
            index in (cut[0], cut[1]) for index in _ends(pairs, lead)
        ):
            shortened.append(cut)
    moved = _moved(old, new, lead, (*pairs, *shortened))
    found_old = {index for index, _ in (*pairs, *shortened, *moved)}
    found_new = {index for _, index in (*pairs, *shortened, *moved)}
    missing, harmless = [], []
    for index in range(lead, len(old)):
        if index not in found_old:
            gone = benign.Gone(old, index, found_old, new[max(0, lead - 1) :])
            kind = benign.vanishing(gone) if old[index].count == 1 else ""
            harmless.append((index, kind)) if kind else missing.append(index)
    added = tuple(index for index in range(lead, len(new)) if index not in found_new)
    return Comparison(
        old, new, lead, tuple(pairs), moved, tuple(missing), tuple(shortened), tuple(harmless), added
    )


def _ends(pairs: list[tuple[int, int]], lead: int) -> Iterator[int]:
    return (index for pair in pairs[lead:] for index in pair)


def _same_in_place(old: Sequence[Message], index: int, before: Message, after: Message) -> bool:
    """Return whether two messages at the same place are one message, perhaps stamped anew or changed harmlessly."""
    if before.identity == after.identity:
        return (
            _stamps_agree(before, after)
            or bool(after.get("_active_turn_token"))
            or _precedes(after, old, index)
        )
    kind = benign.change(before, after)
    if kind and any(_equal(later, after) for later in old[index + 1 :]):
        return False  # the message itself went, and what stood behind it moved up
    if kind == benign.streamed_on.__name__ and index < len(old) - 1 and not before.get("_partial"):
        return False
    replaced = bool(before.get("_partial")) or kind == benign.marker_replaced.__name__
    return bool(kind) and (replaced or _stamps_agree(before, after))


def _stamps_agree(before: Message, after: Message) -> bool:
    if before.timestamp is None or after.timestamp is None or before.timestamp == after.timestamp:
        return True
    recovered = before.get("_recovered") or after.get("_recovered")
    return bool(recovered) and abs(before.timestamp - after.timestamp) < RECOVERED_TOLERANCE_SECONDS


def _precedes(after: Message, old: Sequence[Message], index: int) -> bool:
    """Return whether a message that was stamped anew still lies before the message that follows it; else someone said it
    again.
    """
    follower = next(
        (message.timestamp for message in old[index + 1 :] if message.timestamp is not None), None
    )
    if follower is None:
        return index > 0 or len(old) == 1
    return after.timestamp is not None and after.timestamp <= follower


def _cut_short(old: Sequence[Message], new: Sequence[Message], lead: int) -> tuple[int, int] | None:
    """Return the pair of messages after the lead when the newer one is the older one with its end cut off."""
    before, after = old[lead], new[lead]
    cut = after.words.strip() and before.identity != after.identity and benign.streamed_on(after, before)
    return (lead, lead) if cut and (_stamps_agree(before, after) or after.get("_partial")) else None


def _match(old: Sequence[Message], new: Sequence[Message], lead: int) -> list[tuple[int, int]]:
    """Return the pairs of equal messages behind the lead, both sides rising.

    Stamped messages are equal by identity and timestamp: another "yes" is new. Messages without a timestamp are
    only believed where their surroundings confirm it: at the end of both lists, where the new list takes up the end of the
    old one (a stale writer that writes again), or in company.
    """
    overlap = _overlap(old, new, lead)
    tail = _tail(old, new, lead)
    if len(overlap) >= len(tail) and overlap:
        return overlap
    end_old, end_new = len(old) - len(tail), len(new) - len(tail)
    stamped = {(message.identity, message.timestamp) for message in (*old[lead:end_old], *new[lead:end_new])}
    unstamped = {identity for identity, timestamp in stamped if timestamp is None}
    keys_old = [_key(message, unstamped) for message in old[lead:end_old]]
    keys_new = [_key(message, unstamped) for message in new[lead:end_new]]
    pairs: list[tuple[int, int]] = []
    for block in SequenceMatcher(None, keys_old, keys_new, autojunk=False).get_matching_blocks():
        keys = keys_old[block.a : block.a + block.size]
        confirmed = block.size > 1 or len(keys_new) == block.size
        if any(stamp is not None for _, stamp in keys) or (confirmed and block.size):
            pairs += [(lead + block.a + step, lead + block.b + step) for step in range(block.size)]
    return pairs + tail


def _overlap(old: Sequence[Message], new: Sequence[Message], lead: int) -> list[tuple[int, int]]:
    """Return the pairs of the longest end of old that new begins with, behind the lead."""
    for start in range(max(lead, len(old) - (len(new) - lead)), len(old)):
        if all(_equal(old[start + step], new[lead + step]) for step in range(len(old) - start)):
            return [(start + step, lead + step) for step in range(len(old) - start)]
    return []


def _tail(old: Sequence[Message], new: Sequence[Message], lead: int) -> list[tuple[int, int]]:
    """Return the pairs of the longest end that both have in common, behind the lead."""
    count = 0
    while count < min(len(old), len(new)) - lead and _equal(old[-1 - count], new[-1 - count]):
        count += 1
    return [(len(old) - step, len(new) - step) for step in range(count, 0, -1)]


def _moved(
    old: Sequence[Message], new: Sequence[Message], lead: int, paired: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Return the pairs of stamped messages that are equal, but crossed, so that no rising pairs have them."""
    used_old, used_new = {index for index, _ in paired}, {index for _, index in paired}
    places: dict[object, list[int]] = {}
    for index in range(len(old) - 1, lead - 1, -1):
        if index not in used_old and old[index].timestamp is not None:
            places.setdefault((old[index].identity, old[index].timestamp), []).append(index)
    moved = []
    for index in range(lead, len(new)):
        if index not in used_new and (waiting := places.get((new[index].identity, new[index].timestamp))):
            moved.append((waiting.pop(), index))
    return tuple(moved)


def _equal(before: Message, after: Message) -> bool:
    return before.text == after.text or (before.identity == after.identity and _stamps_agree(before, after))


def _key(message: Message, unstamped: set[tuple[str, str, tuple[str, ...]]]) -> tuple[object, float | None]:
    if message.identity in unstamped:
        return message.identity, None
    return message.identity, message.timestamp


def _is_earlier(message: Message, other: Message) -> bool:
    """Return whether `row` was surely said before `other`: a stamp in whole seconds stands for any instant of its second."""
    first, second = message.timestamp or 0.0, other.timestamp or 0.0
    return first + (1.0 if first.is_integer() else 0.0) <= second and first < second


def _interleave(old: list[Message], new: list[Message]) -> Iterator[Message]:
    """Yield two runs of messages, each in its own order: by time where every message is stamped, else old before new."""
    if any(message.timestamp is None for message in (*old, *new)):
        yield from (*old, *new)
        return
    at_old = at_new = 0
    while at_old < len(old) and at_new < len(new):
        if not _is_earlier(new[at_new], old[at_old]):
            yield old[at_old]
            at_old += 1
        else:
            yield new[at_new]
            at_new += 1
    yield from old[at_old:]
    yield from new[at_new:]
