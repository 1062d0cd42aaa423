"""What can be seen in a shadow and a live file that are to be judged, and what each thing seen speaks for. Pure.

A loss and an intention leave different traces: markers that newer releases set (docs/hermes-webui.md, sections 2 and 3),
the title, the token counters, the stream, and what the model's own context still knows.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import takewhile
from typing import Final

from hermesguard.judge.messages import Messages, is_number, says_something
from hermesguard.webui import benign, session
from hermesguard.webui.compare.diff import is_beginning
from hermesguard.webui.compare.parts import anchors
from hermesguard.webui.session import Document, Identity, Message

# The application shows and truncates by windows of this many messages (hermes-webui #5096).
WINDOW_MESSAGES = 30
# So far a time of saving may lie from now, in seconds, and still be the writer's clock.
CLOCK_SECONDS = 60.0
_CUTS: Final = (session.WATERMARK, session.BOUNDARY)
# What a stub of #1558 empties; everything else stays as it was.
_EMPTIED = frozenset({*session.LISTS, session.STREAM, session.MESSAGE_COUNT, session.UPDATED})


class Case(Messages):
    """A shadow and a live file, with what can be seen of them, each thing looked at once."""

    # -- saves

    @property
    def saves(self) -> int:
        """So many acts may lie between the two: as many as saves; one where nobody counted, or two processes are at work."""
        return max(1, self.around.saves or 1) if self.may_be_several else 1

    @property
    def may_be_several(self) -> bool:
        """More than one save may lie between the two, so that several acts may have been at work.

        When it was not the process that wrote the shadow, and not a new one, it may write from an older memory each time.
        """
        return self.around.saves != 1 and self.around.writer != "another"

    @property
    def time_goes_back(self) -> bool:
        """Live says that it was saved earlier than the shadow, and it is not the writer's clock that was put back."""
        before, after = self.shadow.get(session.UPDATED), self.live.get(session.UPDATED)
        if not (is_number(before) and is_number(after)) or after >= before:
            return False
        now = self.around.now
        return now is None or before <= now + 1 or abs(after - now) > CLOCK_SECONDS

    # -- markers

    def changed(self, key: str) -> bool:
        """The marker `key` was set anew by this write (it stands in live, and differs)."""
        return self.live.get(key) is not None and self.live.get(key) != self.shadow.get(key)

    @property
    def marks_shrinks(self) -> bool:
        """The writer of live marks every shrink that a user means (exp-v0.52.216 or later)."""
        return session.GENERATION in self.live

    @property
    def marks_clears(self) -> bool:
        """The writer of live marks every clear (v0.51.875 or later)."""
        return session.CLEAR_GENERATION in self.live

    @property
    def is_marked(self) -> bool:
        """Live carries a new marker of whatever kind."""
        return (
            self.changed(session.GENERATION) or self.changed(session.CLEAR_GENERATION) or self.is_watermarked
        )

    @property
    def is_shrink_marked(self) -> bool:
        """A user took something away, says live, for the first time in this write."""
        return self.changed(session.GENERATION)

    @property
    def is_watermarked(self) -> bool:
        """Live says anew where it was cut; this may also be a turn after an earlier cut."""
        return any(self.changed(key) and not self._is_earlier_cut(key) for key in _CUTS)

    @property
    def shows_earlier_cut(self) -> bool:
        """A marker of where it was cut differs, but only because the repair has moved it on."""
        return any(map(self.changed, _CUTS)) and not self.is_watermarked

    def _is_earlier_cut(self, key: str) -> bool:
        """What `key` says is of a cut before the repair, which has moved it on since, as each turn of an old memory does.

        Who cuts what the guard repaired leaves its beginning, or nothing at all, and then says 0.
        """
        return (
            self.around.repaired
            and is_number(self.shadow.get(key))
            and self.live.get(key) != 0
            and self.comparison.lead == 0
        )

    @cached_property
    def boundary(self) -> float | None:
        """Where a marked shrink says that it cut, in seconds; None when nothing says it."""
        for key in (session.BOUNDARY, session.WATERMARK):
            value = self.live.get(key)
            if is_number(value) and (self.is_shrink_marked or self.changed(key)):
                return float(value)
        return None

    @cached_property
    def is_cut_at_boundary(self) -> bool:
        """Live is the shadow up to the boundary, and what follows is new or was said again."""
        return self.goes_on_anew and self.boundary is not None and self.boundary in self._ends_of_kept()

    def _ends_of_kept(self) -> Iterator[float]:
        """Yield what the boundary may be: the last kept message's stamp, before or after this write.

        A message that was stamped anew may be one that was said again behind the cut (retry), so then the one before it too.
        The last one that was kept may have gone harmlessly since, or was said again right there (regenerate).
        """
        last_kept = self.comparison.pairs[-1][0] if self.comparison.pairs else -1
        first_gone = self.comparison.missing[0] if self.comparison.missing else len(self.shadow.messages)
        if self._is_said_again_first:
            yield boundary_of(self.shadow.messages[first_gone])
        for index, _ in self.comparison.harmless:
            if last_kept < index < first_gone:
                yield boundary_of(self.shadow.messages[index])
        for old, new in reversed(self.comparison.pairs):
            before, after = boundary_of(self.shadow.messages[old]), boundary_of(self.live.messages[new])
            yield before
            yield after
            if before == after:
                return
        yield 0.0

    @property
    def _is_said_again_first(self) -> bool:
        """The first that is gone is a question, and the first that is new says it again."""
        missing, added = self.comparison.missing, self.comparison.added
        if not (missing and added):
            return False
        gone = self.shadow.messages[missing[0]]
        return benign.is_user_turn(gone) and gone.said == self.live.messages[added[0]].said

    def fits_cut(self, key: str) -> bool:
        """What `key` says is where live was cut; nothing where the last kept message has no stamp."""
        value = self.live.get(key)
        if is_number(value):
            return float(value) in self._ends_of_kept()
        last = self.live.messages[-1] if self.live.messages else None
        return last is not None and boundary_of(last) == 0

    @cached_property
    def is_cut_behind_news(self) -> bool:
        """The boundary is a message that the shadow never saw: live was cut, went on, and was cut again while nobody looked."""
        if not self.goes_on_anew or not self.boundary:
            return False
        # The watermark alone also moves with each turn after a cut; where there was none before, there was a cut since.
        first_cut = self.changed(session.BOUNDARY) or self.shadow.get(session.WATERMARK) is None
        return (self.is_shrink_marked or first_cut) and any(
            boundary_of(self.live.messages[index]) == self.boundary for index in self.comparison.added
        )

    @property
    def boundary_now(self) -> float:
        """The boundary that fits live as it is."""
        return boundary_of(self.live.messages[-1]) if self.live.messages else 0.0

    @cached_property
    def messages_up_to_boundary(self) -> int | None:
        """So many messages of the shadow lie before the boundary (the most, when stamps repeat); None when nothing says it."""
        if not self.boundary:
            return None
        messages = self.shadow.messages
        return next(
            (
                count
                for count in range(len(messages), 0, -1)
                if boundary_of(messages[count - 1]) == self.boundary
            ),
            None,
        )

    # -- what the model sees

    @cached_property
    def is_context_beginning(self) -> bool:
        """The context is a beginning of what it was."""
        return is_beginning(self.shadow.context, self.live.context)

    @cached_property
    def context_lead(self) -> int:
        """So many messages at the start of the context are as they were."""
        both = zip(self.shadow.context, self.live.context, strict=False)
        return sum(1 for _ in takewhile(lambda pair: _is_as_it_was(*pair), both))

    @property
    def is_context_kept(self) -> bool:
        """The context is what it was."""
        return len(self.shadow.context) == len(self.live.context) == self.context_lead

    @property
    def is_older_context(self) -> bool:
        """The context lacks turns that it had, and a token counter is lower: a server that was cleared long ago wrote it."""
        return self.counters_go_back and self.context_lead < len(self.shadow.context)

    @property
    def tells_of_turns_between(self) -> bool:
        """More than one save may lie between the two, and live still has a context, or says anew where it was cut.

        A turn stands in the context that a clear leaves: one that only lacks its end is an older memory's.
        """
        if not self.live.context:
            return self.may_be_several and self.is_watermarked
        only_lacks_its_end = len(self.live.context) == self.context_lead < len(self.shadow.context)
        return self.may_be_several and not only_lacks_its_end

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
        """Live is another conversation under the same id: deleted, then imported again.

        What says the same, and began before the shadow was saved, is no other one: the application made the file anew out of the
        agent's database, which knows its own time of creation.
        """
        before, after = self.shadow.get(session.CREATED), self.live.get(session.CREATED)
        both = is_number(before) and is_number(after) and bool(self.live.messages)
        if not both or before == after or (after < before and self.time_goes_back):
            return False
        saved = self.shadow.get(session.UPDATED)
        return not self.comparison.pairs or not is_number(saved) or bool(after > saved)

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
        """Live still has context or tool calls of messages that it no longer shows: its writer never lost the session.

        What it shows itself tells nothing: the same short words are said again, and an empty memory counts its calls anew.
        """
        gone = [self.shadow.messages[index] for index in self.comparison.missing]
        called = set(map(_call_id, self.live.tool_calls))
        if called:
            called.intersection_update(tool for message in gone for tool in message.identity[2])
            if called.difference(*(said[2] for said in self._shown if called)):
                return True
        if not self.live.context:
            return False
        known = {(message.said, message.timestamp) for message in gone}
        stamps = {stamp for _, stamp in known}
        there = [
            (message.said, stamp)
            for message in self.live.context
            if (stamp := message.timestamp) is None or stamp in stamps
        ]
        if any(stamp is not None or said not in self._shown for said, stamp in known.intersection(there)):
            return True
        # Most releases keep no stamps there; then it takes more than one, for short words are said again.
        told = {what for what, _ in known}.intersection(what for what, stamp in there if stamp is None)
        return len(told) > 1 and len(told - self._shown) > 1

    @cached_property
    def _shown(self) -> frozenset[Identity]:
        """What the messages of live say."""
        return frozenset(message.said for message in self.live.messages)

    @cached_property
    def is_said_before(self) -> bool:
        """Live says again what one side said before the repair: its writer has not seen the repair, so it takes nothing back.

        The token counters are then as they were on that side; who takes something back leaves the greater ones of the repair. So
        are the anchors of a compression: who compresses what was repaired sets them anew.
        A prompt that the repair itself put there is no part of that: who takes it back has seen it, unless another is sent in the
        same moment, in which nobody can have taken it back first.
        """
        if not self.around.before_repair or not self.live.messages:
            return False
        if not self.has_new_prompt and all(
            self.shadow.messages[index].get("_recovered") for index in self.comparison.missing
        ):
            return False
        said = [message.said for message in self.live.messages]
        return any(
            said == [message.said for message in before.messages]
            and all(was == now for was, now in _counters(before, self.live))
            and all(before.get(key) == self.live.get(key) for key in anchors(tuple(self.live.keys)))
            for before in self.around.before_repair
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


def _is_as_it_was(before: Message, after: Message) -> bool:
    return before.text == after.text or before.identity == after.identity


def _call_id(call: Message) -> str:
    return str(call.get("tid") or "")


def boundary_of(message: Message) -> float:
    """Return the boundary that the application writes when this is the last message that it keeps, in seconds."""
    return session.number(message.get("timestamp")) or 0.0
