"""What can be seen in a shadow and a live file that are to be judged, and what each thing seen speaks for. Pure.

A loss and an intention leave different traces: markers that newer releases set (docs/hermes-webui.md, sections 2 and 3),
the title, the token counters, the stream, and what the model's own context still knows.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Final

from hermesguard.judge.marks import Marks, is_number, says_something
from hermesguard.webui import benign, session
from hermesguard.webui.session import Document, Message

# The application shows and truncates by windows of this many messages (hermes-webui #5096).
WINDOW_MESSAGES = 30
# So far a time of saving may lie from now, in seconds, and still be the writer's clock.
CLOCK_SECONDS = 60.0
_CUTS: Final = (session.WATERMARK, session.BOUNDARY)
# What a stub of #1558 empties; everything else stays as it was.
_EMPTIED = frozenset({*session.LISTS, session.STREAM, session.MESSAGE_COUNT, "updated_at"})
_ANCHOR_PREFIX = "compression_anchor_"


class Case(Marks):
    """A shadow and a live file, with what can be seen of them, each thing looked at once."""

    # -- messages

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
        return frozenset(
            index
            for index in self.comparison.missing
            if prompt
            and live.stream
            and shadow.messages[index].get("_recovered")
            and shadow.messages[index].identity[1] == prompt
        )

    @property
    def is_emptied(self) -> bool:
        """There were messages, and there are none."""
        return bool(self.shadow.messages) and not self.live.messages

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
        return self.comparison.lost_turns

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
        return [message.identity for message in self.live.messages] == [
            ("user", prompt, ())
        ] and self.has_only_new_messages

    # -- saves

    @property
    def saves(self) -> int:
        """So many saves may lie between the two; one where nobody counted."""
        return max(1, self.around.saves or 1)

    @property
    def may_be_several(self) -> bool:
        """More than one save may lie between the two, so that several acts may have been at work."""
        return self.around.saves != 1

    @property
    def time_goes_back(self) -> bool:
        """Live says that it was saved earlier than the shadow, and it is not the writer's clock that was put back."""
        before, after = self.shadow.get(session.UPDATED), self.live.get(session.UPDATED)
        if not (is_number(before) and is_number(after)) or after >= before:
            return False
        now = self.around.now
        return now is None or before <= now + 1 or abs(after - now) > CLOCK_SECONDS

    # -- what stands beside the messages

    @property
    def counters_go_back(self) -> bool:
        """A token counter is lower than it was: an older state was written."""
        return any(before > after for before, after in _counters(self.shadow, self.live))

    @property
    def counters_go_on(self) -> bool:
        """A token counter is higher than it was: there were turns that the shadow never saw."""
        return any(before < after for before, after in _counters(self.shadow, self.live))

    @property
    def is_older_mark(self) -> bool:
        """The mark of live may be that of an older state: the shadow has one too, and a counter or the time goes back."""
        was_marked = self.shadow.get(session.GENERATION) is not None
        return was_marked and (self.counters_go_back or self.time_goes_back)

    @property
    def is_new_chat(self) -> bool:
        """Live is another conversation under the same id: deleted, then imported again."""
        before, after = self.shadow.get(session.CREATED), self.live.get(session.CREATED)
        both = is_number(before) and is_number(after) and bool(self.live.messages)
        return both and before != after and not (after < before and self.time_goes_back)

    @property
    def is_same_chat(self) -> bool:
        """The file was not made anew under the same id."""
        return bool(self.shadow.get(session.CREATED) == self.live.get(session.CREATED))

    @property
    def was_untitled(self) -> bool:
        return self.shadow.title in session.UNTITLED

    @property
    def is_title_kept(self) -> bool:
        """The title is as it was, or is the first that there is."""
        return self.was_untitled or self.shadow.title == self.live.title

    @property
    def is_untitled_now(self) -> bool:
        """The title was taken away."""
        title = self.live.get(session.TITLE)
        return isinstance(title, str) and title in session.UNTITLED and not self.was_untitled

    @property
    def is_title_from_live(self) -> bool:
        """The title gave way to one that was made from live's first question."""
        if self.is_title_kept or not self.live.title.strip():
            return False
        first = next((message for message in self.live.messages if benign.is_user_turn(message)), None)
        return first is not None and " ".join(first.words.split()).startswith(
            " ".join(self.live.title.split())
        )

    @cached_property
    def remembers(self) -> bool:
        """Live still has context or tool calls of messages that it no longer shows: its writer never lost the session."""
        missing = [self.shadow.messages[index] for index in self.comparison.missing]
        tools = {tool for message in missing for tool in message.identity[2]}
        if any(_call_id(call) in tools for call in self.live.tool_calls):
            return True
        known = {(message.identity, message.timestamp) for message in missing}
        return any((message.identity, message.timestamp) in known for message in self.live.context)

    @cached_property
    def is_said_before(self) -> bool:
        """Live says again what one side said before the repair: its writer has not seen the repair, so it takes nothing back.

        The token counters are then as they were on that side; who takes something back leaves the greater ones of the repair.
        A prompt that the repair itself put there is no part of that: who takes it back has seen it.
        """
        said = [message.identity for message in self.live.messages]
        return (
            bool(said)
            and not all(self.shadow.messages[index].get("_recovered") for index in self.comparison.missing)
            and any(
                said == [message.identity for message in before.messages]
                and all(was == now for was, now in _counters(before, self.live))
                for before in self.around.before_repair
            )
        )

    @property
    def could_be_wiped(self) -> bool:
        """The shadow had what #1558 needs, or the bug has struck and the application has not yet seen the repair."""
        return bool(self.shadow.stream) or self.around.repaired

    @property
    def is_stale_writer(self) -> bool:
        """The application writes from an empty memory over what the guard repaired."""
        return (
            self.around.repaired
            and self.is_same_chat
            and not (self.is_marked or self.is_untitled_now or self.is_title_from_live)
            and self.comparison.lead == 0
            and not self.remembers
        )

    @cached_property
    def is_wiped(self) -> bool:
        """Exactly the difference that a saved metadata-only stub makes (hermes-webui #1558)."""
        shadow, live = self.shadow, self.live
        if (
            not shadow.stream
            or live.stream
            or live.prompt
            or live.messages
            or not (shadow.messages or shadow.prompt)
        ):
            return False
        if live.context or self.is_marked or live.title != shadow.title:
            return False
        return all(
            key in _EMPTIED
            or key.startswith(session.PENDING_PREFIX)
            or key not in live
            or live.get(key) == shadow.get(key)
            or not says_something(live.get(key))
            for key in shadow.keys
        )


def _counters(before: Document, after: Document) -> Iterator[tuple[float, float]]:
    for key in session.TOKEN_COUNTERS:
        was, now = before.get(key), after.get(key)
        if is_number(was) and is_number(now):
            yield was, now


def _call_id(call: Message) -> str:
    return str(call.get("tid") or "")
