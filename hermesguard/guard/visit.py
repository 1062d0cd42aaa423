"""One session as a visit finds it. What it says and what became of it is found out when it is asked for, and once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hermesguard.files import Stamp
from hermesguard.guard.gone.taken_back import Again
from hermesguard.guard.make_live import Target
from hermesguard.judge.judge import Action, Surroundings, Verdict, is_wipe, judge, judge_unreadable
from hermesguard.pieces import Piece, pieces_of
from hermesguard.repair.merge import merged_file, merged_text
from hermesguard.repair.shortened import without_messages
from hermesguard.repair.standby import awaited_number, fill, prepared, tells_all
from hermesguard.store.cache import Copy
from hermesguard.webui import session
from hermesguard.webui.compare.diff import texts
from hermesguard.webui.compare.elsewhere import is_much, strangers
from hermesguard.webui.session import Broken, Document, Identity, Message, Unreadable


@dataclass(frozen=True)
class Visit:
    """A shadow and a live file that differ, and what there is to do about it."""

    name: str
    shadow: Copy
    data: bytes
    stamp: Stamp
    around: Surroundings
    writer_pid: int | None
    began_ns: int
    before_repair: Callable[[], tuple[Document, ...]] = tuple
    """Gives the messages of the files that the last repairs were made of."""
    other_sessions: Callable[[], Iterable[Path]] = tuple
    """Gives the files of the other sessions, those saved last first."""
    may_come_again: tuple[str, ...] = ()
    """Versions that may hold messages which a user took back, and which live adds."""
    taken_back: Callable[[Sequence[Message]], Again] = lambda added: Again()
    """Tells which of the messages had been taken back, by those versions."""

    @cached_property
    def _read(self) -> Document | str:
        try:
            return session.parse(self.data)
        except Broken as error:
            return str(error)

    @property
    def live(self) -> Document | None:
        """What live says; None when it could not be read."""
        return self._read if isinstance(self._read, Document) else None

    @cached_property
    def updated(self) -> bytes:
        """The `updated_at` of the stub that the standby repair awaits; empty when live is not that stub."""
        return awaited_number(self.shadow, self.data)

    @cached_property
    def is_wipe(self) -> bool:
        """Whether it is the exact trace of hermes-webui #1558, and the abridged shadow says all that is needed to undo it.

        Every moment counts then: the verdict, with all its evidence, can be given when live is right again.
        """
        if self.updated:
            return True
        live = self.live
        if live is None or live.messages or not tells_all(self.shadow.abridged):
            return False
        return is_wipe(self.shadow.abridged.document, live)

    @cached_property
    def verdict(self) -> Verdict:
        """What became of the session."""
        if self.live is None:
            verdict = judge_unreadable(str(self._read), self.around)
            return self._with_beginning(verdict) if verdict.action is Action.LOSS else verdict
        if self._is_asked_elsewhere:
            return self._with_again.without(self._strangers, "stand whole in another session")
        return self._with_again

    @cached_property
    def _judged(self) -> Verdict:
        """What became of a session whose file can be read, by the two files alone."""
        live = self.live
        assert live is not None
        shadow = self.shadow.abridged.document if self.is_wipe else self.shadow.document
        verdict = judge(shadow, live, self.around)
        is_loss = verdict.action in (Action.LOSS, Action.MERGE, Action.UNCERTAIN)
        if is_loss and not self.is_wipe and (before := self.shadow.stripped):
            # An act is measured by what its writer knew: of two, one may not have read what the other's older memory has left.
            by_other = judge(before.document, live, self.around)
            if by_other.action is Action.INTENDED:
                return by_other
        if verdict.action is Action.INTENDED and self.around.repaired:
            # Who has not seen a repair cannot have meant to take it back: that is worth a look into the history.
            return judge(shadow, live, replace(self.around, before_repair=self.before_repair()))
        return verdict

    @cached_property
    def again(self) -> Again:
        """Which of the messages that live adds had been taken back by a user."""
        comparison = self._judged.comparison
        if not self.may_come_again or comparison is None:
            return Again()
        return self.taken_back([comparison.new[index] for index in comparison.added])

    @cached_property
    def _with_again(self) -> Verdict:
        """The verdict with what is known of messages that had been taken back: no repair brings them again."""
        verdict, count = self._judged, len(self.again.places)
        if verdict.action is Action.GROWTH and count:
            said = f"{count} of the new messages had been removed on purpose"
            return verdict._replace(evidence=(*verdict.evidence, said), returned=count)
        if verdict.action in (Action.MERGE, Action.UNCERTAIN) and verdict.comparison:
            added = verdict.comparison.added
            places = frozenset(added[place] for place in self.again.places)
            if places and len(places) == len(added):
                verdict = verdict._replace(action=Action.MERGE)  # it is an older state, put over a newer one
            return verdict.without(places, "had been removed on purpose before")
        return verdict

    @property
    def _is_asked_elsewhere(self) -> bool:
        """Whether the other sessions are to be asked for the messages that live adds."""
        verdict = self._with_again
        if verdict.action not in (Action.MERGE, Action.UNCERTAIN) or verdict.is_newer:
            return False
        found = verdict.comparison
        return found is not None and any(found.new[index].timestamp is not None for index in found.added)

    @cached_property
    def others(self) -> tuple[Path, ...]:
        """The files of the other sessions that may be asked; found out by the loop, which owns what is known of them."""
        return tuple(self.other_sessions())

    @property
    def reads_much(self) -> bool:
        """Whether the verdict takes more reading, in the history or in other sessions, than a turn has time for."""
        if self.live is None:
            return False
        return bool(self.may_come_again) or (self._is_asked_elsewhere and is_much(self.others))

    @property
    def _strangers(self) -> frozenset[int]:
        """Which of the messages that live adds stand whole in another session, by index in live."""
        comparison = self._with_again.comparison
        if comparison is None:
            return frozenset()
        added = [comparison.new[index] for index in comparison.added]
        found = strangers(added, self.shadow.document.messages, self.others)
        return frozenset(comparison.added[index] for index in found)

    @cached_property
    def _beginning(self) -> tuple[bytes, Document] | None:
        """The newest save, if it stands whole at the beginning of a file that could not be read."""
        whole = session.whole_beginning(self.data) if self.live is None else b""
        try:
            return (whole, session.parse(whole)) if whole else None
        except Unreadable:
            return None

    @cached_property
    def _beginning_verdict(self) -> Verdict | None:
        """What is to be said of that save."""
        return judge(self.shadow.document, self._beginning[1], self.around) if self._beginning else None

    def _with_beginning(self, verdict: Verdict) -> Verdict:
        """Add to the verdict on an unreadable file what its whole beginning says."""
        found = self._beginning_verdict
        if found is None or found.is_foreign:
            return verdict
        merges = found.comparison is not None and bool(found.comparison.added)
        return verdict._replace(
            action=Action.MERGE if merges else Action.LOSS,
            evidence=(*verdict.evidence, "the newest save stands whole in it"),
            comparison=found.comparison,
            keep_messages=found.keep_messages,
        )

    @property
    def goes_back(self) -> bool:
        """Whether live says that it was written before the shadow: an older state, put over a newer one."""
        if self.live is None or self.is_wipe:
            return False
        before, now = (document.get(session.UPDATED) for document in (self.shadow.document, self.live))
        return isinstance(before, int | float) and isinstance(now, int | float) and now < before

    @property
    def news(self) -> Iterator[Identity]:
        """The messages of live that the shadow does not have."""
        comparison = self.verdict.comparison
        return (comparison.new[index].identity for index in comparison.added) if comparison else iter(())

    @property
    def messages_before(self) -> int:
        """How many messages the shadow has."""
        return self.shadow.count

    @property
    def messages_live(self) -> int | None:
        """How many messages live has; None when it could not be read."""
        return self.live.count if self.live else None

    @cached_property
    def live_copy(self) -> Copy:
        """Live as a copy to keep; only when it could be read."""
        return Copy(self.data, self.live)

    @property
    def target(self) -> Target:
        """What a repair is to displace; of a long file all is known by then, and need not be found out once more."""
        if len(self.data) > session.LONG_BYTES and self.live:
            return Target(self.name, self.data, self.stamp, self.live.count, self.live_copy.content)
        return Target(self.name, self.data, self.stamp)

    @cached_property
    def repaired_copy(self) -> Copy:
        """The repaired file as a copy to keep, proved to have everything; not for a wipe, which is repaired by pieces."""
        live = None if self.verdict.is_foreign else self.live
        if (beginning := self._beginning) and (found := self._beginning_verdict) and not found.is_foreign:
            if found.action in (Action.GROWTH, Action.INTENDED, Action.WAIT):
                return Copy(beginning[0])
            live = beginning[1]
        if live is not None:
            live = without_messages(live, self.verdict.strangers)
        copy = Copy(
            merged_file(
                self.shadow.document,
                live,
                self.verdict.keep_messages,
                is_newer=self.verdict.is_newer,
                titles=self.around.titles,
            )
        )
        self._prove(copy.document)
        return copy

    @property
    def known_copy(self) -> Copy | None:
        """The repaired file as a copy, if that was found out; None when it would have to be."""
        known: Copy | None = vars(self).get("repaired_copy")
        return known

    def work_out(self, *, keeps_uncertain: bool = False) -> None:
        """Find out all that acting on it needs, so that nothing is left to be found out then."""
        if self.is_wipe:
            return
        keeps = keeps_uncertain and self.live is not None and self.verdict.action is Action.UNCERTAIN
        if self.verdict.action in (Action.LOSS, Action.MERGE, Action.UNCERTAIN) and not keeps:
            self.repaired_copy.lighten()
        elif self.live is not None:
            _ = self.live_copy.abridged

    @cached_property
    def pieces(self) -> Sequence[Piece]:
        """Return the pieces of the repaired file; those of a wipe are the shadow's own bytes, but for what must change."""
        if self.updated and (known := prepared(self.shadow)):
            return known.pieces(self.updated)
        if self.is_wipe:
            shadow = self.shadow.abridged
            return fill(merged_text(shadow.document, self.live), shadow)
        return pieces_of(self.repaired_copy.content)

    def _prove(self, repaired: Document) -> None:
        """Raise unless everything that must come back is in the repaired file: what is not proved does not become live."""
        old, comparison = self.shadow.document.messages, self.verdict.comparison
        back = (
            range(len(old))
            if comparison is None
            else (*comparison.missing, *(pair[0] for pair in comparison.shortened))
        )
        new = [comparison.new[index] for index in comparison.added] if comparison else []
        kept = [
            old[index]
            for index in back
            if self.verdict.keep_messages is None or index < self.verdict.keep_messages
        ]
        text_of = texts(old, repaired.messages, comparison.new if comparison else ())
        wanted = {text_of(message) for message in (*kept, *new)}
        for message in repaired.messages:
            wanted.discard(text_of(message))
        if wanted:
            raise AssertionError("the repaired file lacks messages")
