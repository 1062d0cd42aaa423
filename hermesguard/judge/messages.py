"""What can be seen of the messages of a shadow and a live file that are to be judged. Pure."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from hermesguard.judge.verdict import Surroundings
from hermesguard.webui import benign, session
from hermesguard.webui.compare.diff import Comparison, compare
from hermesguard.webui.session import Document, Message


class Messages:
    """A shadow and a live file, with what can be seen of their messages, each thing looked at once."""

    def __init__(self, shadow: Document, live: Document, around: Surroundings) -> None:
        self.shadow, self.live, self.around = shadow, live, around

    @cached_property
    def comparison(self) -> Comparison:
        # Of another session's file nothing is ever merged in: it is as if there were none.
        live = () if self.is_of_other_session else self.live.messages
        return compare(self.shadow.messages, live)

    @property
    def is_lost(self) -> bool:
        """Messages of the shadow are missing, and not harmlessly."""
        return bool(self.comparison.shortened) or any(
            index not in self.pending_again for index in self.comparison.missing
        )

    @cached_property
    def pending_again(self) -> frozenset[int]:
        """Messages that are missing because they are a prompt that runs again: the guard took its turn for dead, and it was
        not.
        """
        shadow, live = self.shadow, self.live
        prompt = " ".join(live.prompt.split())
        if not prompt or not live.stream:
            return frozenset()
        return frozenset(
            index
            for index in self.comparison.missing
            if shadow.messages[index].get("_recovered") and shadow.messages[index].identity[1] == prompt
        )

    @property
    def is_emptied(self) -> bool:
        """There were messages, and there are none."""
        return bool(self.shadow.messages) and not self.live.messages

    @cached_property
    def goes_on_anew(self) -> bool:
        """Live is the start of the shadow (but for messages gone harmlessly, or back again), and what follows is new."""
        comparison = self.comparison
        if comparison.shortened or comparison.moved:
            return False
        last_old, last_new = comparison.pairs[-1] if comparison.pairs else (-1, -1)
        return all(index > last_old for index in comparison.missing) and all(
            index < last_new or self._is_later(self.live.messages[index]) for index in comparison.added
        )

    def _is_later(self, message: Message) -> bool:
        """Whether a message may have been said after all that the shadow has; those of an older state were not."""
        end = self.shadow.end
        return end is None or message.timestamp is None or message.timestamp >= int(end)

    @property
    def is_start(self) -> bool:
        """Live is the start of the shadow (but for messages gone harmlessly), not empty, and nothing else."""
        is_cut = bool(self.live.messages) and self.goes_on_anew and not self.comparison.added
        return is_cut and not self.is_answered_late

    @cached_property
    def is_answered_late(self) -> bool:
        """An answer that was broken off went on, or came after all: who wrote this was at work, and took nothing back."""
        messages = (
            (self.shadow.messages[old], self.live.messages[new]) for old, new in self.comparison.pairs
        )
        return any(benign.says_more(before, after) for before, after in messages)

    @cached_property
    def lost_turns(self) -> int:
        """How many user turns are missing."""
        return self.comparison.lost_turns + len(self.repeated_questions)

    @cached_property
    def repeated_questions(self) -> frozenset[int]:
        """Questions that went with a missing answer, and are harmless alone: each looks like one message that stood twice, for
        the application gave it the stamp of an earlier question in the same words ("yes", "yes"), or they stand side by side.
        """
        missing = frozenset(self.comparison.missing)
        return frozenset(
            index
            for index, kind in self.comparison.harmless
            if kind in benign.REPEATED
            and index + 1 in missing
            and benign.is_user_turn(self.shadow.messages[index])
        )

    @cached_property
    def has_only_new_messages(self) -> bool:
        """Live has messages, none of them the shadow's, and none from before its end."""
        comparison = self.comparison
        if not self.live.messages or comparison.pairs or comparison.shortened or comparison.moved:
            return False
        return all(map(self._is_later, self.live.messages))

    @cached_property
    def prompt_is_lost(self) -> bool:
        """The shadow's pending prompt is no longer pending, and stands in no message."""
        prompt = " ".join(self.shadow.prompt.split())
        if not prompt or prompt == " ".join(self.live.prompt.split()):
            return False
        started = self.shadow.get(session.PENDING_STARTED)
        since = started - 1 if is_number(started) else None
        return not any(
            message.role == "user"
            and message.identity[1] == prompt
            and (since is None or message.timestamp is None or message.timestamp >= since)
            for message in reversed(self.live.messages)
        )

    @property
    def has_new_prompt(self) -> bool:
        """A prompt is pending that was not when the shadow was written."""
        shadow, live = self.shadow, self.live
        return bool(live.prompt.strip()) and (live.prompt, live.stream) != (shadow.prompt, shadow.stream)

    @property
    def is_only_asked(self) -> bool:
        """Nothing is left but the pending prompt, which one of the application's save modes writes as a message at once."""
        prompt = " ".join(self.live.prompt.split())
        return [message.identity for message in self.live.messages[:2]] == [
            ("user", prompt, ())
        ] and self.has_only_new_messages

    @property
    def is_of_other_session(self) -> bool:
        """Live says that it is another session, and the shadow did not."""
        before, after = self.shadow.get(session.SESSION_ID), self.live.get(session.SESSION_ID)
        are_ids = isinstance(before, str) and isinstance(after, str)
        return are_ids and after not in (before, self.around.name)


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a number to reckon with."""
    return session.number(value) is not None


def says_the_same(one: Sequence[Message], other: Sequence[Message]) -> bool:
    """Return whether two lists hold the same values."""
    return len(one) == len(other) and all(a.value == b.value for a, b in zip(one, other, strict=True))


def says_something(value: Any) -> bool:
    """Return whether a JSON value is neither null nor empty."""
    return value not in (None, "", [], {})
