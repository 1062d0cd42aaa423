"""When two messages that do not say the same are one, edited. Pure."""

import re
from collections import Counter
from collections.abc import Iterable

from hermesguard.webui import benign
from hermesguard.webui.session import Message
from hermesguard.webui.text import text_of

# So much of the longer of two texts must be common to both for one to be the other, edited.
ALIKE_SHARE = 0.5
# Of more text the words are not looked at one by one.
WORDS_CHARACTERS = 64 * 1024
# What is shorter is no word that somebody takes out, as a password is: "yes" is another answer than "no".
REPLACED_CHARACTERS = 4
# Of less text half may be the same by chance.
EDITED_CHARACTERS = 12
# What words end with where something cut them off and says so.
_MARK_CHARACTERS = 64
_CUT_MARK = re.compile(
    r"\s*(?:\.\.\.|…)?\s*(?:[\[(][^\[\]()]*(?:truncated|shortened|omitted)[^\[\]()]*[\])])?\Z", re.IGNORECASE
)
_SPEAKERS = ("user", "assistant")
_NUMBER = re.compile(r"\d+")


def alike(before: Message, after: Message) -> bool:
    """Return whether two messages are one, edited: changed harmlessly, or half of the text or of the words is the same."""
    if before.identity[:2] == after.identity[:2] or benign.change(before, after):
        return True
    first, second = before.identity[1], after.identity[1]
    if not (first and second):
        return before.role == "tool" or bool(before.identity[2])
    return before.role == "tool" or _are_alike(first, second)


def _are_alike(first: str, second: str) -> bool:
    """Return whether half of the longer text is in the other, at its start and its end or word by word, or all of the shorter."""
    longest, shortest = max(len(first), len(second)), min(len(first), len(second))
    at_ends = len(first) - len(_differing(first, second)[0])
    if at_ends >= ALIKE_SHARE * longest or at_ends == shortest:
        return True
    words = Counter(first[:WORDS_CHARACTERS].split()) & Counter(second[:WORDS_CHARACTERS].split())
    return sum((len(word) + 1) * count for word, count in words.items()) >= ALIKE_SHARE * (longest + 1)


def questions(messages: Iterable[Message]) -> list[Message | None]:
    """Return for each message the question among these that it answers; None before the first."""
    found: list[Message | None] = []
    for message in messages:
        found.append(message if benign.is_user_turn(message) else found[-1] if found else None)
    return found


def may_be_one_question(before: Message | None, after: Message | None) -> bool:
    """Return whether two questions are one, edited or not; also where one of them is not known."""
    if before is None or after is None:
        return True
    if None in (before.timestamp, after.timestamp):
        return alike(before, after)
    return before.timestamp == after.timestamp or is_edited(before, after)


def is_edited(before: Message, after: Message) -> bool:
    """Return whether two messages are alike in more than a few words, and do not say other numbers in the same places."""
    first, second = before.identity[1], after.identity[1]
    if first == second:
        return before.role == after.role
    numbers, now = _NUMBER.findall(first), _NUMBER.findall(second)
    says_other = numbers != now and len(numbers) == len(now)
    return min(len(first), len(second)) >= EDITED_CHARACTERS and not says_other and alike(before, after)


def called(message: Message) -> str:
    """Return what the tool calls of a message ask for, whatever their ids."""
    lists = [message.get(key) for key in ("tool_calls", "content")]
    calls = [part for found in lists if isinstance(found, list) for part in found if isinstance(part, dict)]
    return str([call.get("function") or call.get("input") for call in calls if call.get("id")])


def is_other_call(before: Message, after: Message) -> bool:
    """Return whether messages with a tool id in common call something else, and not at the same time."""
    is_at_once = before.timestamp == after.timestamp is not None
    return not is_at_once and called(before) != called(after)


def is_rounded(before: Message, after: Message) -> bool:
    """Return whether the stamp of one is that of the other in whole seconds; two servers have fine stamps in one second."""
    first, second = before.timestamp, after.timestamp
    if first is None or second is None or first == second:
        return False
    return first == int(second) or second == int(first)


def is_replacement(pairs: Iterable[tuple[Message, Message]]) -> bool:
    """Return whether one word took the place of others throughout, as when passwords are taken out, and nothing else is new.

    Two servers may be asked and answer in the same whole seconds, but not so.
    """
    found = [_replaced(before, after) for before, after in pairs]
    words = set().union(*filter(None, found))
    is_one = None not in found and len({now for _, now in words}) == 1
    return is_one and all(len(word) >= REPLACED_CHARACTERS for word, _ in words)


def _replaced(before: Message, after: Message) -> set[tuple[str, str]] | None:
    """Return what took the place of what within the words; None where a word came or went."""
    first, second = before.identity[1].split(), after.identity[1].split()
    if len(first) != len(second):
        return None
    return {_differing(a, b) for a, b in zip(first, second, strict=True) if a != b}


def _differing(first: str, second: str) -> tuple[str, str]:
    shortest = min(len(first), len(second))
    start = _common(first, second, shortest)
    end = _common(first[::-1], second[::-1], shortest - start)
    return first[start : len(first) - end], second[start : len(second) - end]


def is_restamped(before: Message, after: Message) -> bool:
    """Return whether both say the same, each at a time of its own."""
    stamps = before.timestamp, after.timestamp
    return before.identity == after.identity and None not in stamps and stamps[0] != stamps[1]


def is_cut(before: Message, after: Message) -> bool:
    """Return whether a message is there with its end, or all of it, cut off, and not written anew."""
    if before.identity == after.identity or not before.role == after.role in _SPEAKERS:
        return False
    if not after.words.strip():
        is_said = not before.identity[2] and not benign.unsaid(before)
        return is_said and bool(text_of(before.get("content")).strip()) and benign.empty(after)
    stamps = before.timestamp, after.timestamp
    is_same_time = stamps[0] == stamps[1] is not None
    if is_same_time and _without_mark(before, after):
        return True
    if before.role == "user":
        is_start = before.identity[1].startswith(after.identity[1])
        return is_start and is_same_time and not benign.change(before, after)
    if not benign.streamed_on(after, before):
        return False
    return None in stamps or stamps[0] == stamps[1] or bool(after.get("_partial"))


def _without_mark(before: Message, after: Message) -> bool:
    """Return whether a message ends with a mark that says that it was cut, and begins as the longer one does.

    Where a mark stands for one word, somebody took a password out, as where another word does.
    """
    longer, words = before.identity[1], after.identity[1]
    mark = _CUT_MARK.search(words[-_MARK_CHARACTERS:])
    if not (mark and mark[0]) or len(words) >= len(longer):
        return False
    left = words.removesuffix(mark[0])
    is_start = len(left) >= EDITED_CHARACTERS and longer.startswith(left)
    return is_start and len(longer[len(left) :].split()) > 1


def _common(first: str, second: str, most: int) -> int:
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low
