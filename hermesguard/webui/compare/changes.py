"""Messages that were changed where they stand: restamped, enriched, redacted, cut, replaced by a marker. Pure.

Between messages that are the same on both sides, what is left is paired: the surest sign first, and no pair crosses another. What
is paired so is one message in two forms, never one that was lost and one that is new.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from operator import attrgetter

from hermesguard.webui import benign
from hermesguard.webui.compare.alignment import Pair, rising
from hermesguard.webui.compare.alike import (
    alike,
    called,
    is_cut,
    is_edited,
    is_other_call,
    is_replacement,
    is_restamped,
    is_rounded,
    may_be_one_question,
    questions,
)
from hermesguard.webui.session import Message

# So many messages that say the same one after another, all stamped anew, are a conversation stamped anew and none said again.
RESTAMPED_MESSAGES = 3
RESTAMPED_CHARACTERS = 20
# So is one of which so much stands in the same order, although messages came between.
RESTAMPED_SHARE = 0.5
# So many of one stamp each are the same messages, even if others stand between and behind them.
STAMPED_ALIKE_MESSAGES = 6
# Ids that a provider gives anew in each turn are looked for so far before the first message that is not the same.
REUSED_WITHIN_MESSAGES = 256


@dataclass(slots=True)
class Changes:
    """What was found."""

    pairs: list[Pair] = field(default_factory=list)
    """(old, new) of messages that are one message in another form, but for those of `shortened`."""
    changed: list[Pair] = field(default_factory=list)
    """Those of the pairs whose words are others, in no way that the application has (module benign)."""
    sent: list[Pair] = field(default_factory=list)
    """Those of the pairs that are one prompt: in old as it was recovered while it was pending, in new as its turn left it."""
    shortened: list[Pair] = field(default_factory=list)
    """(old, new) of answers that are there with their end cut off."""


def changes(
    old: Sequence[Message],
    new: Sequence[Message],
    lead: int,
    same: Sequence[Pair],
    moved: Sequence[Pair] = (),
) -> Changes:
    """Return what was changed in place behind the lead.

    `same` are the pairs there that are the same, both rising, `moved` those that are the same in another order.
    """
    found = Changes()
    moved_old, moved_new = {index for index, _ in moved}, {index for _, index in moved}
    gaps: list[tuple[list[int], list[int], bool, bool]] = []
    at_old = at_new = lead
    for old_index, new_index in (*same, (len(old), len(new))):
        if at_old < old_index and at_new < new_index:
            left_old = [index for index in range(at_old, old_index) if index not in moved_old]
            left_new = [index for index in range(at_new, new_index) if index not in moved_new]
            if left_old and left_new:
                is_bounded = old_index < len(old) or new_index < len(new)
                gaps.append((left_old, left_new, is_bounded, at_old > 0))
        at_old, at_new = old_index + 1, new_index + 1
    left_old = [place for gap in gaps for place in gap[0]]
    left_new = [place for gap in gaps for place in gap[1]]
    calls, calls_now = _calls(old, left_old), _calls(new, left_new)
    is_renamed = bool(calls and calls_now) and calls.keys().isdisjoint(calls_now)
    reused = {tool for tool in calls.keys() & calls_now if is_other_call(calls[tool], calls_now[tool])}
    asked = (calls.keys() & _tools(new, left_new)) | (calls_now.keys() & _tools(old, left_old))
    if asked:
        outside = set(range(max(0, lead - REUSED_WITHIN_MESSAGES), len(old))).difference(left_old)
        reused |= asked & _calls(old, outside).keys()
    for gap in gaps:
        _Gap(old, new, *gap, is_renamed, reused).fill(found, _SIGNS)
    found.pairs.sort()
    return found


def _tools(messages: Sequence[Message], places: Iterable[int]) -> set[str]:
    return {tool for place in places for tool in messages[place].identity[2]}


def _calls(messages: Sequence[Message], places: Iterable[int]) -> dict[str, Message]:
    """Return the ids of the tool calls that are made at these places, each with the message that makes it."""
    there = (messages[place] for place in places)
    return {tool: message for message in there if message.role != "tool" for tool in message.identity[2]}


@dataclass(frozen=True, slots=True)
class _Gap:
    """What is left of both lists between two messages that are the same; one that is not bounded reaches to both ends."""

    messages_old: Sequence[Message]
    messages_new: Sequence[Message]
    old: list[int]
    new: list[int]
    is_bounded: bool
    is_next: bool
    """It begins right behind two messages that are one."""
    is_renamed: bool
    """No tool id of the older list behind the lead stands in the newer one, as when another provider gave them."""
    reused: set[str]
    """Tool ids that another call has too: they tell no call from another."""

    @property
    def sides(self) -> tuple[list[Message], list[Message]]:
        return [self.messages_old[i] for i in self.old], [self.messages_new[i] for i in self.new]

    def fill(self, found: Changes, signs: "Sequence[Callable[[_Gap], Iterable[Pair]]]") -> None:
        """Add the pairs that the first of the signs gives, and in the gaps between them those of the others."""
        if not signs or not self.old or not self.new:
            return
        at_old = at_new = 0
        for a, b in signs[0](self):
            self._part((at_old, at_new), (a, b), True).fill(found, signs[1:])
            self._note(found, (self.old[a], self.new[b]), signs[0])
            at_old, at_new = a + 1, b + 1
        end = (len(self.old), len(self.new))
        self._part((at_old, at_new), end, self.is_bounded).fill(found, signs[1:])

    def _part(self, start: Pair, end: Pair, is_bounded: bool) -> "_Gap":
        old, new = self.old[start[0] : end[0]], self.new[start[1] : end[1]]
        is_next = self.is_next or start != (0, 0)
        return replace(self, old=old, new=new, is_bounded=is_bounded, is_next=is_next)

    def _note(self, found: Changes, pair: Pair, sign: object) -> None:
        before, after = self.messages_old[pair[0]], self.messages_new[pair[1]]
        if sign is not _restamped and is_cut(before, after):
            found.shortened.append(pair)
            return
        found.pairs.append(pair)
        if sign is _sent:
            found.sent.append(pair)
        elif not benign.change(before, after) and not _says_as_much(before, after):
            found.changed.append(pair)


def _restamped(gap: _Gap) -> Iterable[Pair]:
    """Messages that say the same between the same messages; at the end so many of them that nobody said all that again."""
    said = [list(map(_said if gap.is_renamed else attrgetter("said"), side)) for side in gap.sides]
    if gap.is_bounded:
        return rising(*said)
    old, new = gap.sides
    size = _run(old, new, said)
    if not (_is_spoken(old[:size]) and (size >= RESTAMPED_MESSAGES or size == len(old) >= 2)):
        size = 0
    pairs = rising(*said)
    is_sure = len(pairs) >= max(RESTAMPED_MESSAGES, RESTAMPED_SHARE * len(old))
    if not size and not (is_sure and _is_spoken(old[a] for a, _ in pairs)):
        return []
    start = [(index, index) for index in range(size)]
    # Behind them a short word may be said again.
    return [*start, *(pair for pair in pairs if min(pair) >= size and (not size or _is_long(old[pair[0]])))]


def _is_long(message: Message) -> bool:
    return len(message.identity[1]) >= RESTAMPED_CHARACTERS or bool(message.identity[2])


def _run(old: Sequence[Message], new: Sequence[Message], said: Sequence[Sequence[Hashable]]) -> int:
    """Return how many messages at the start say the same on both sides."""
    names: dict[str, str] = {}
    for at, (before, after) in enumerate(zip(old, new, strict=False)):
        if said[0][at] == said[1][at] or _says_as_much(before, after):
            names.update(zip(before.identity[2], after.identity[2], strict=False))
        elif not _answers(before, after, names):
            return at
    return min(len(old), len(new))


def _answers(before: Message, after: Message, names: dict[str, str]) -> bool:
    """Return whether two messages answer the same call, which got another of the `names`."""
    first, second = before.identity[2], after.identity[2]
    same = len(first) == len(second) and all(names.get(a) == b for a, b in zip(first, second, strict=True))
    return bool(first) and same and before.role == after.role == "tool"


def _is_spoken(messages: Iterable[Message]) -> bool:
    return any(m.role == "assistant" or benign.is_compaction_marker(m) for m in messages)


def _said(message: Message) -> Hashable:
    """Return what a message says and calls, whatever the ids of the calls."""
    role, words, tools = message.said
    return role, words, len(tools), called(message)


def _tool_ids(gap: _Gap) -> Iterator[Pair]:
    """Messages of one role with a tool id in common: no list may hold one twice, unless each turn counts anew.

    Or two writers count on from the same place: what another question called is another call.
    """
    old, new = gap.sides
    asked, asks = questions(old), questions(new)
    for a, b in _by_key(
        old,
        new,
        lambda message: [(message.role, tool) for tool in message.identity[2] if tool not in gap.reused],
    ):
        if may_be_one_question(asked[a], asks[b]):
            yield a, b


def _stamps(gap: _Gap) -> Iterable[Pair]:
    """Messages of one role and one time stamp that is nobody else's, whose words are alike or changed harmlessly.

    At the end a question is another if its stamp is in whole seconds, which two writers may share; so is what answers it. Stamps
    that are finer are shared by nobody, nor are many one after another: those messages are the same, whatever they say.
    """
    old, new = gap.sides
    pairs = list(
        _by_key(old, new, lambda message: [(message.role, message.timestamp)] if message.timestamp else [])
    )
    fewer = min(len(old), len(new))
    are_many = len(pairs) >= RESTAMPED_MESSAGES and len(pairs) == fewer
    are_many |= len(pairs) >= max(STAMPED_ALIKE_MESSAGES, RESTAMPED_SHARE * fewer)
    for a, b in pairs:
        before, after = old[a], new[b]
        is_rough = float(before.timestamp or 0).is_integer() and not are_many
        is_other = before.identity != after.identity and not _is_cleaned(before, after)
        if not gap.is_bounded and is_rough and is_other:
            asked = any(map(benign.is_user_turn, (*old[: a + 1], *new[: b + 1])))
            if asked:
                return
        if _may_be_one(gap, before, after) and (not is_rough or alike(before, after)):
            yield a, b


def _is_cleaned(before: Message, after: Message) -> bool:
    """Return whether what stood before a prompt was taken out, as the prompt before it that was not answered is."""
    words = after.identity[1]
    return before.role == after.role == "user" and bool(words) and before.identity[1].endswith(f" {words}")


def _roles(gap: _Gap) -> Iterable[Pair]:
    """Messages that say the same at the same time in another role, as who imports and exports them may call it."""
    return _by_key(*gap.sides, lambda m: [(m.said[1:], m.timestamp)] if m.timestamp and m.said[1] else [])


def _sent(gap: _Gap) -> Iterable[Pair]:
    """A prompt that was recovered while it was pending and stands unanswered, and the same prompt as its turn left it."""
    old, new = gap.sides
    for a, before in enumerate(old):
        if not before.get("_recovered") or before.role != "user":
            continue
        if a + 1 < len(old) and old[a + 1].role == "assistant":
            continue
        for b, after in enumerate(new):
            if after.identity == before.identity and _is_not_earlier(after, before):
                yield a, b
                return


def _first(gap: _Gap) -> Iterable[Pair]:
    """The first message of either side, when the newer one is the older one with its end cut off."""
    old, new = gap.sides
    if is_cut(old[0], new[0]):
        yield 0, 0


def _position(gap: _Gap) -> Iterable[Pair]:
    """As many messages of the same roles, one after another, between equal ones, stamped alike or with like words."""
    old, new = gap.sides
    pairs = list(zip(old, new, strict=False))
    if not gap.is_bounded or len(old) != len(new) or any(a.role != b.role for a, b in pairs):
        return []
    is_stamped = not _is_restamped_beside(gap)
    return [
        (index, index)
        for index, (a, b) in enumerate(pairs)
        if _may_be_one(gap, a, b)
        and (
            _says_as_much(a, b)
            or (a.timestamp == b.timestamp if is_stamped and a.timestamp and b.timestamp else alike(a, b))
        )
    ]


def _is_restamped_beside(gap: _Gap) -> bool:
    """Return whether what follows says the same at another time: then the messages before it were stamped anew too."""
    old, new = gap.old[-1] + 1, gap.new[-1] + 1
    if old >= len(gap.messages_old) or new >= len(gap.messages_new):
        return False
    return is_restamped(gap.messages_old[old], gap.messages_new[new])


def _next(gap: _Gap) -> Iterable[Pair]:
    """Messages without a stamp that say the same right behind the same message: those are one as they are at the start."""
    if not gap.is_next:
        return
    for index, (before, after) in enumerate(zip(*gap.sides, strict=False)):
        if before.identity != after.identity or None not in (before.timestamp, after.timestamp):
            return
        yield index, index


def _edited(gap: _Gap) -> Iterable[Pair]:
    """Messages at the end in nearly the same words, one after another, that nobody can have said beside those before."""
    if gap.is_bounded:
        return []
    old, new = gap.sides
    pairs = list(takewhile(lambda pair: _is_edited(gap, *pair), zip(old, new, strict=False)))
    size = len(pairs)
    is_all = size == len(old) and gap.old[0] == gap.new[0] == 0
    is_same_time = size >= 2 and all(a.timestamp and a.timestamp == b.timestamp for a, b in pairs)
    is_anew = (is_all and size >= STAMPED_ALIKE_MESSAGES) or _is_restamped_before(gap)
    if (
        ((is_same_time or is_anew) and is_replacement(pairs))
        or (size >= 2 and all(is_rounded(a, b) for a, b in pairs))
        or (gap.is_next and size == len(old) == len(new) == 1 and _is_unstamped_answer(*pairs[0]))
    ):
        return [(index, index) for index in range(size)]
    return []


def _is_edited(gap: _Gap, before: Message, after: Message) -> bool:
    return before.role == after.role and _may_be_one(gap, before, after) and is_edited(before, after)


def _is_restamped_before(gap: _Gap) -> bool:
    """Return whether what stands right before says the same at another time: then what follows was stamped anew too."""
    if not gap.is_next or 0 in (gap.old[0], gap.new[0]):
        return False
    return is_restamped(gap.messages_old[gap.old[0] - 1], gap.messages_new[gap.new[0] - 1])


def _is_unstamped_answer(before: Message, after: Message) -> bool:
    """Return whether it is an answer without a stamp, of which no two stand behind one question."""
    return before.role == "assistant" and before.timestamp is after.timestamp is None


_SIGNS: tuple[Callable[[_Gap], Iterable[Pair]], ...] = (
    _restamped,
    _tool_ids,
    _stamps,
    _roles,
    _sent,
    _first,
    _position,
    _next,
    _edited,
)


def _by_key(
    old: Sequence[Message], new: Sequence[Message], keys: Callable[[Message], Sequence[Hashable]]
) -> Iterator[Pair]:
    """Yield the pairs of messages with a key in common that no other message of either side has, both rising."""
    often = [Counter(key for message in side for key in keys(message)) for side in (old, new)]

    def only(message: Message) -> Hashable:
        return next(
            (key for key in keys(message) if often[0][key] == often[1][key] == 1), message.start + 0.5
        )

    known = [[only(message) for message in side] for side in (old, new)]
    shared = set(known[0]) & set(known[1])
    for a, b in rising(*known):
        if known[0][a] in shared and not isinstance(known[0][a], float):
            yield a, b


def _says_as_much(before: Message, after: Message) -> bool:
    """Return whether nothing of the words and the tool ids is gone."""
    return before.identity[:2] == after.identity[:2] and set(before.identity[2]) <= set(after.identity[2])


def _may_be_one(gap: _Gap, before: Message, after: Message) -> bool:
    """Return whether no tool ids say that these are two messages."""
    first, second = before.identity[2], after.identity[2]
    if gap.is_renamed and len(first) == len(second) and called(before) == called(after):
        return True
    return not (first and second) or not set(first).isdisjoint(second)


def _is_not_earlier(message: Message, other: Message) -> bool:
    if message.timestamp is None or other.timestamp is None:
        return True
    return message.timestamp >= other.timestamp - 1
