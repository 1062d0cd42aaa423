"""The marks that newer releases leave in a file: where it was cut, and that it was meant (docs/hermes-webui.md). Pure."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from hermesguard.judge.verdict import Surroundings
from hermesguard.webui import session
from hermesguard.webui.compare.diff import Comparison, compare
from hermesguard.webui.session import Document, Message

_CUTS: Final = (session.WATERMARK, session.BOUNDARY)
_ANCHOR_PREFIX = "compression_anchor_"


class Marks:
    """A shadow and a live file, compared, and what their marks say."""

    def __init__(self, shadow: Document, live: Document, around: Surroundings) -> None:
        self.shadow, self.live, self.around = shadow, live, around

    @cached_property
    def comparison(self) -> Comparison:
        """What became of the messages."""
        # Of another session's file nothing is ever merged in: it is as if there were none.
        live = () if self.is_of_other_session else self.live.messages
        return compare(self.shadow.messages, live)

    @cached_property
    def goes_on_anew(self) -> bool:
        """Live is the start of the shadow (but for messages gone harmlessly), and what follows is new."""
        comparison = self.comparison
        if comparison.shortened or comparison.moved:
            return False
        last_old, last_new = comparison.pairs[-1] if comparison.pairs else (-1, -1)
        return all(index > last_old for index in comparison.missing) and all(
            index > last_new and self._is_later(self.live.messages[index]) for index in comparison.added
        )

    def _is_later(self, message: Message) -> bool:
        """Whether a message may have been said after all that the shadow has; those of an older state were not."""
        end = self.shadow.end
        return end is None or message.timestamp is None or message.timestamp >= int(end)

    @property
    def is_of_other_session(self) -> bool:
        """Live says that it is another session, and the shadow did not."""
        before, after = self.shadow.get(session.SESSION_ID), self.live.get(session.SESSION_ID)
        are_ids = isinstance(before, str) and isinstance(after, str)
        return are_ids and after not in (before, self.around.name)

    def changed(self, key: str) -> bool:
        """The marker `key` was set anew by this write (it stands in live, and differs)."""
        return self.live.get(key) is not None and self.live.get(key) != self.shadow.get(key)

    @property
    def marks_shrinks(self) -> bool:
        """The writer of live marks every shrink that someone means (exp-v0.52.216 or later)."""
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
        The last one that was kept may have gone harmlessly since.
        """
        last_kept = self.comparison.pairs[-1][0] if self.comparison.pairs else -1
        first_gone = self.comparison.missing[0] if self.comparison.missing else len(self.shadow.messages)
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

    @property
    def is_compressed(self) -> bool:
        """The anchors of a /compress were set anew, and what is left is exactly what the model goes on with."""
        return (
            any(
                key.startswith(_ANCHOR_PREFIX) and self.changed(key) and says_something(self.live.get(key))
                for key in self.live.keys
            )
            and bool(self.live.messages)
            and [message.value for message in self.live.messages]
            == [message.value for message in self.live.context]
        )


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a number to reckon with."""
    return session.number(value) is not None


def says_something(value: Any) -> bool:
    """Return whether a JSON value is neither null nor empty."""
    return value not in (None, "", [], {})


def boundary_of(message: Message) -> float:
    """Return the boundary that the application writes when this is the last message that it keeps, in seconds."""
    return session.number(message.get("timestamp")) or 0.0
