"""Which messages of an older list stand in a newer one: by identity, in order, never by count alone. Pure.

The same rule serves the judge (what is missing?) and the merge (what comes in which order, and nothing twice?). What is the
same is found first, by text, then by identity; between messages that are the same, what is left is paired by tool id, position,
role or time stamp: a message that was changed where it stands is one message, never one lost and one new. No step costs more
than n log n.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import NamedTuple

from hermesguard.webui import benign
from hermesguard.webui.compare.alignment import Pair, Pairs, rising
from hermesguard.webui.compare.changes import Changes, changes
from hermesguard.webui.compare.side import Side, equal, stamps_agree
from hermesguard.webui.compare.vanished import vanished
from hermesguard.webui.long.document import LongMessages
from hermesguard.webui.session import Message

# Nobody says so much again, word by word.
LONG_CHARACTERS = 80
# Comparisons for each message that may be spent on the search for an overlap; repeated messages could make it quadratic.
OVERLAP_EFFORT = 16


class Comparison(NamedTuple):
    """What became of the messages of `old` in `new`; all numbers are indices into the two lists."""

    old: Sequence[Message]
    new: Sequence[Message]
    lead: int
    """So many messages at the start are the same on both sides."""
    pairs: Sequence[Pair]
    """(old, new) of all messages that are one message, the lead included, both rising."""
    moved: tuple[Pair, ...]
    """(old, new) of messages that are the same, but stand in another order."""
    missing: tuple[int, ...]
    """Messages of old that are gone and whose words stand nowhere else."""
    shortened: tuple[Pair, ...]
    """(old, new) of messages that are there, but with the end of their text cut off."""
    harmless: tuple[tuple[int, str], ...]
    """(old, kind) of messages that are gone in a way that the application has (module benign)."""
    added: tuple[int, ...]
    """Messages of new that old does not have."""
    changed: tuple[Pair, ...] = ()
    """Those of the pairs whose words were changed in place."""
    sent: tuple[Pair, ...] = ()
    """Those of the pairs that are a prompt: in old as it was recovered while it was pending, in new as its turn left it."""

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

    def merged(self, is_newer_last: bool = False) -> Iterator[Message]:
        """Yield the messages of both, each once, in the order of the conversation.

        Of a message that both have, the newer form counts, except where it was shortened. Messages that the application may drop
        come back too, but for those that stand in another: it drops them again where it means to. Between two common messages
        those of old come first unless their timestamps say otherwise; behind the last common message they come first in any
        case if new was surely written later, whatever the clock said then.
        """
        shortened = dict(self.shortened)
        elsewhere = {index for _, index in self.moved}
        standing = {index for index, kind in self.harmless if kind in benign.STANDING}
        yield from self.new[: self.lead]
        at_old = at_new = self.lead
        anchors = sorted({*islice(self.pairs, self.lead, None), *self.shortened})
        for old_index, new_index in (*anchors, (len(self.old), len(self.new))):
            is_end = old_index == len(self.old)
            yield from _interleave(
                [self.old[index] for index in range(at_old, old_index) if index not in standing],
                [self.new[index] for index in range(at_new, new_index) if index not in elsewhere],
                by_time=not (is_end and is_newer_last),
            )
            if not is_end:
                yield self.old[old_index] if old_index in shortened else self.new[new_index]
            at_old, at_new = old_index + 1, new_index + 1


class Placed(NamedTuple):
    """Which messages of two lists are one message; what is in none of it is gone, or new."""

    lead: int
    """So many messages at the start are the same on both sides."""
    pairs: list[Pair]
    """(old, new) behind the lead, both rising."""
    moved: tuple[Pair, ...]
    changes: Changes

    @property
    def behind(self) -> Iterator[Pair]:
        """All of them behind the lead."""
        return chain(self.pairs, self.changes.shortened, self.moved)


def placed(old: Sequence[Message], new: Sequence[Message]) -> Placed:
    """Return which messages of the two are one: what `compare` finds first, for who does not ask what became of the rest."""
    lead = _lead(old, new)
    if lead == len(old) or lead == len(new):
        return Placed(lead, [], (), Changes())
    is_by_digest = any(isinstance(side, LongMessages) for side in (old, new))
    sides = Side(old[lead:], is_by_digest), Side(new[lead:], is_by_digest)
    matched = _match(*sides, OVERLAP_EFFORT * (len(old) + len(new)))
    moved = tuple((lead + a, lead + b) for a, b in _moved(*sides, matched))
    same = [(lead + a, lead + b) for a, b in matched]
    found = changes(old, new, lead, same, moved)
    return Placed(lead, sorted([*same, *found.pairs]), moved, found)


def compare(old: Sequence[Message], new: Sequence[Message]) -> Comparison:
    """Return what became of the messages of `old` in `new`."""
    there = placed(old, new)
    lead, pairs, moved, found = there
    missing, harmless = vanished(old, new, lead, pairs, {index for index, _ in there.behind})
    found_new = {index for _, index in there.behind}
    return Comparison(
        old,
        new,
        lead,
        Pairs(lead, pairs),
        moved,
        tuple(missing),
        tuple(found.shortened),
        tuple(harmless),
        tuple(index for index in range(lead, len(new)) if index not in found_new),
        tuple(found.changed),
        tuple(found.sent),
    )


def is_beginning(old: Sequence[Message], new: Sequence[Message]) -> bool:
    """Return whether all of new is of old, in its order and as it was, or with its end cut off."""
    there = placed(old, new)
    found_new = {index for _, index in there.behind}
    is_all = there.lead + len(found_new) == len(new)
    return is_all and not there.moved and not there.changes.changed


def texts(*sides: Sequence[Message]) -> Callable[[Message], Hashable]:
    """Return what tells messages apart by their texts: the text, or, where one list is of a long file, what is shorter."""
    if any(isinstance(side, LongMessages) for side in sides):
        return lambda message: message.digest
    return lambda message: message.text


def _lead(old: Sequence[Message], new: Sequence[Message]) -> int:
    lead = 0
    for before, after in zip(old, new, strict=False):
        if not (before.text == after.text or _same_in_place(old, lead, before, after)):
            break
        lead += 1
    return lead


def _same_in_place(old: Sequence[Message], index: int, before: Message, after: Message) -> bool:
    """Return whether two messages at the same place are one message, perhaps stamped anew or changed harmlessly."""
    if before.identity == after.identity:
        return (
            stamps_agree(before, after)
            or bool(after.get("_active_turn_token"))
            or _precedes(after, old, index)
        )
    kind = benign.change(before, after)
    if kind and any(
        equal(later, after) for later in islice(old, index + 1, index + 1 + benign.WINDOW_MESSAGES)
    ):
        return False  # the message itself went, and what stood behind it moved up
    if kind == benign.streamed_on.__name__ and index < len(old) - 1 and not before.get("_partial"):
        return False
    replaced = bool(before.get("_partial")) or kind == benign.marker_replaced.__name__
    return bool(kind) and (replaced or stamps_agree(before, after))


def _precedes(after: Message, old: Sequence[Message], index: int) -> bool:
    """Return whether a message that was stamped anew still lies before the one that follows it; else it was said again."""
    behind = [
        message
        for message in islice(old, index + 1, index + 1 + benign.WINDOW_MESSAGES)
        if not (message.get("_partial") or benign.is_interruption_marker(message))
    ]
    follower = next((message.timestamp for message in behind if message.timestamp is not None), None)
    if follower is None:
        return index > 0 or len(old) == 1
    return after.timestamp is not None and after.timestamp <= follower


# ---- messages that are the same -----------------------------------------------------------------------------------------
# From here on places are counted behind the lead.


def _match(old: Side, new: Side, effort: int) -> list[Pair]:
    """Return the pairs of equal messages, both sides rising.

    Stamped messages are equal by identity and timestamp: who says "yes" again says something new. Messages without a
    timestamp are only believed where their surroundings confirm it: at the end of both lists, where the new list takes up
    the end of the old one (a stale writer that writes again), or in company.
    """
    overlap = _overlap(old, new, effort)
    tail = _tail(old, new)
    if len(overlap) >= len(tail) and overlap:
        return overlap
    end_old, end_new = len(old) - len(tail), len(new) - len(tail)
    same = rising(old.texts[:end_old], new.texts[:end_new])
    at_old = at_new = 0
    pairs: list[Pair] = []
    crossed = _crossed(old, new, same, end_old, end_new)
    texts_old, texts_new = old.texts, new.texts
    for index_old, index_new in (*same, (end_old, end_new)):
        if at_old < index_old and at_new < index_new:
            left_old = [index for index in range(at_old, index_old) if texts_old[index] not in crossed]
            left_new = [index for index in range(at_new, index_new) if texts_new[index] not in crossed]
            pairs += _same_of(old, new, left_old, left_new)
        if index_old < end_old:
            pairs.append((index_old, index_new))
        at_old, at_new = index_old + 1, index_new + 1
    return [*_confirmed(old, new, pairs, end_new), *tail]


def _crossed(old: Side, new: Side, pairs: Sequence[Pair], end_old: int, end_new: int) -> set[Hashable]:
    """Return the texts of stamped messages that both have, but not among these pairs: they stand in another order."""
    paired_old, paired_new = _places(pairs, end_old, end_new)
    left = {
        text
        for text, stamp, is_paired in zip(old.texts, old.stamps, paired_old, strict=False)
        if not is_paired and stamp is not None
    }
    return {
        text for text, is_paired in zip(new.texts, paired_new, strict=False) if not is_paired and text in left
    }


def _places(pairs: Iterable[Pair], count_old: int, count_new: int) -> tuple[bytearray, bytearray]:
    """Return for the places of both lists whether they are in one of the pairs."""
    paired_old, paired_new = bytearray(count_old), bytearray(count_new)
    for index, other in pairs:
        paired_old[index] = paired_new[other] = 1
    return paired_old, paired_new


def _same_of(old: Side, new: Side, left_old: list[int], left_new: list[int]) -> list[Pair]:
    """Return the pairs of messages of the same identity and stamp among these."""
    if not left_old or not left_new:
        return []
    if len(left_old) == len(left_new) == 1:
        a, b = left_old[0], left_new[0]
        stamps = old.stamps[a], new.stamps[b]
        may_be = None in stamps or stamps[0] == stamps[1]
        return [(a, b)] if may_be and old.is_same(a, new, b) else []
    if set(map(old.hashed, left_old)).isdisjoint(map(new.hashed, left_new)):
        return []
    sides = ((old, left_old), (new, left_new))
    said = [[side.messages[index].said for index in left] for side, left in sides]
    unstamped = {
        what
        for (side, left), found in zip(sides, said, strict=True)
        for index, what in zip(left, found, strict=True)
        if side.stamps[index] is None
    }
    keys = [
        [
            (what, None if what in unstamped else side.stamps[index])
            for index, what in zip(left, found, strict=True)
        ]
        for (side, left), found in zip(sides, said, strict=True)
    ]
    return [(left_old[a], left_new[b]) for a, b in rising(*keys)]


def _confirmed(old: Side, new: Side, pairs: list[Pair], count_new: int) -> Iterator[Pair]:
    """Yield the pairs that may be believed: stamped, in company, too long to be said twice, or all that there is in new.

    And what a /compress of an old release left without stamps, before all that was said since.
    """
    are_all = len(pairs) == count_new
    left_old, left_new = _unstamped(old), _unstamped(new)
    before = (-1, -1)
    for number, pair in enumerate(pairs):
        index, other = pair
        behind = pairs[number + 1] if number + 1 < len(pairs) else (-1, -1)
        in_company = before == (index - 1, other - 1) or behind == (index + 1, other + 1)
        is_left = index < left_old and other < left_new
        is_sure = old.stamps[index] is not None or old.length(index) >= LONG_CHARACTERS
        if in_company or are_all or is_left or is_sure:
            yield pair
        before = pair


def _unstamped(side: Side) -> int:
    """Return how many messages stand before the first that has a stamp; 0 where none has."""
    return next((index for index, stamp in enumerate(side.stamps) if stamp is not None), 0)


def _overlap(old: Side, new: Side, effort: int) -> list[Pair]:
    """Return the pairs of the longest end of old that new begins with, if so many comparisons find it."""
    last = len(old) - 1
    for start in range(max(0, len(old) - len(new)), len(old)):
        size = len(old) - start
        # Where both ends fit, what lies between is looked at.
        if not (old.is_equal(start, new, 0) and old.is_equal(last, new, size - 1)):
            continue
        steps = next((s for s in range(size) if not old.is_equal(start + s, new, s)), size)
        if steps == size:
            return [(start + step, step) for step in range(size)]
        effort -= steps
        if effort < 0:
            break
    return []


def _tail(old: Side, new: Side) -> list[Pair]:
    """Return the pairs of the longest end that both have in common."""
    count = 0
    while count < min(len(old), len(new)) and old.is_equal(len(old) - 1 - count, new, len(new) - 1 - count):
        count += 1
    return [(len(old) - step, len(new) - step) for step in range(count, 0, -1)]


def _moved(old: Side, new: Side, paired: Sequence[Pair]) -> list[Pair]:
    """Return the pairs of messages that are equal, but crossed, so that no rising pairs have them."""
    paired_old, paired_new = _places(paired, len(old), len(new))
    left_old = [index for index, is_paired in enumerate(paired_old) if not is_paired]
    left_new = [index for index, is_paired in enumerate(paired_new) if not is_paired]
    stamped: dict[Hashable, list[int]] = {}
    unstamped: dict[Hashable, list[int]] = {}
    for index in reversed(left_old):
        places = unstamped if old.stamps[index] is None else stamped
        places.setdefault(old.texts[index], []).append(index)
    moved: list[Pair] = []
    rest: list[int] = []
    for index in left_new if stamped else ():
        if waiting := stamped.get(new.texts[index]):
            moved.append((waiting.pop(), index))
        else:
            rest.append(index)
    left = sorted((index for found in stamped.values() for index in found), reverse=True) if rest else []
    places = {}
    for index in left:
        places.setdefault((old.messages[index].said, old.stamps[index]), []).append(index)
    for index in rest if places else ():
        if waiting := places.get((new.messages[index].said, new.stamps[index])):
            moved.append((waiting.pop(), index))
    if unstamped:
        moved += _moved_unstamped(new, left_new, unstamped)
    return sorted(moved, key=itemgetter(1))


def _moved_unstamped(new: Side, left_new: list[int], places: dict[Hashable, list[int]]) -> list[Pair]:
    """Return the pairs of messages without a stamp that say the same, but are crossed; none where much of new is really new."""
    moved: list[Pair] = []
    others = 0
    for index in left_new:
        if new.stamps[index] is not None:
            continue
        if waiting := places.get(new.texts[index]):
            moved.append((waiting.pop(), index))
        else:
            others += 1
    is_sure = len(moved) >= 2 or (not others and not any(places.values()))
    return moved if is_sure and len(moved) >= others else []


def _is_earlier(message: Message, other: Message) -> bool:
    """Return whether `message` was surely said before `other`: a stamp in whole seconds stands for any instant of its second."""
    first, second = message.timestamp or 0.0, other.timestamp or 0.0
    return first + (1.0 if first.is_integer() else 0.0) <= second and first < second


def _interleave(old: Sequence[Message], new: Sequence[Message], by_time: bool) -> Iterator[Message]:
    """Yield two runs of messages, each in its own order: `by_time`, where every message is stamped; else old before new."""
    if not by_time or any(message.timestamp is None for message in (*old, *new)):
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
