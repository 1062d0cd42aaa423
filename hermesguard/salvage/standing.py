"""What may come back: of each message that the file lacks, whether it was lost, taken back, or is uncertain. Pure.

To bring back what a user took back is the worse fault. So what a mark of hermes-webui, state.db or the guard's own history
says to have been taken back stays away whatever else is found, and what a release without marks may have taken back is uncertain.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from hermesguard.salvage.merge import Entry
from hermesguard.salvage.trace import BEFORE_A_SAVE, WRITTEN_BY_WEBUI, Kind, Trace, user_turns, worth_keeping
from hermesguard.webui import benign, session

_SAVE_SECONDS = 5.0
_STAMP_SECONDS = 1.5
Identity = tuple[str, str, tuple[str, ...]]


class Standing(StrEnum):
    """What becomes of a message."""

    PRESENT = "present"
    LOST = "lost"
    UNCERTAIN = "uncertain"
    TAKEN_BACK = "taken back"


class Judged(NamedTuple):
    """The standing of one message, and why."""

    standing: Standing
    why: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of the file and around it."""

    file: Literal["whole", "torn", "missing"]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The file's, as far as it can be read."""
    index_count: int | None = None
    """How many messages `_index.json` says that it has; None when it says nothing."""
    index_at: float | None = None
    """Of which moment that is, in seconds since the epoch."""
    saved_at: float | None = None
    """When the file was last saved, in seconds since the epoch."""
    withdrawn: frozenset[Identity] = frozenset()
    """What the guard saw being taken back."""
    doubt: str = ""
    """Why it is not certain that this conversation was lost at all; empty when it is."""

    @property
    def was_never_cut(self) -> bool:
        """The file was written by a release that marks whatever is taken back, and has no such mark.

        A mark is of the newest cut alone: where there is one, there may have been others before.
        """
        marks = session.GENERATION in self.metadata or session.BOUNDARY in self.metadata
        return marks and self.boundary is None and not self.metadata.get(session.GENERATION)

    @property
    def is_untitled(self) -> bool:
        """Its title is that of a conversation without one, as a clear leaves it."""
        title = self.metadata.get(session.TITLE)
        return isinstance(title, str) and title in session.UNTITLED

    @property
    def boundary(self) -> float | None:
        """The stamp of the last message that a cut kept, 0.0 for none; None when no cut is marked."""
        for key in (session.BOUNDARY, session.WATERMARK):
            value = self.metadata.get(key)
            # Without a boundary beside it the watermark is where the cut was; later it moves on with each turn.
            counts = key == session.BOUNDARY or value == 0 or session.BOUNDARY not in self.metadata
            if counts and (seconds := session.number(value)) is not None:
                return seconds
        return 0.0 if self.metadata.get(session.CLEAR_GENERATION) else None


def judged(entries: Sequence[Entry], traces: Sequence[Trace], situation: Situation) -> list[Judged]:
    """Return what becomes of each message."""
    return _Judgement(entries, traces, situation).all()


class _Judgement:
    def __init__(self, entries: Sequence[Entry], traces: Sequence[Trace], situation: Situation) -> None:
        self.entries = entries
        self.traces = traces
        self.situation = situation
        self.file = next((number for number, trace in enumerate(traces) if trace.kind is Kind.FILE), None)
        self.present = [index for index, entry in enumerate(entries) if self.file in entry.forms]
        self.stamps = self._stamps()
        lost = [entry.any for entry in entries if self.file not in entry.forms and worth_keeping(entry.any)]
        self.turns_lost = user_turns(lost)
        self.kept_until = len(entries)
        self.cut = self._cut()
        self.gone_later = self._gone_later()

    def all(self) -> list[Judged]:
        found = [self._one(index, entry) for index, entry in enumerate(self.entries)]
        return self._held_against_index(found)

    def _stamps(self) -> list[float]:
        """Return for each message when it was said, or at least not before."""
        stamps: list[float] = []
        for entry in self.entries:
            before = stamps[-1] if stamps else 0.0
            stamps.append(before if entry.timestamp is None else entry.timestamp)
        return stamps

    def _cut(self) -> tuple[float, float] | None:
        """Return between which two moments a marked cut took messages away."""
        boundary = self.situation.boundary
        if boundary is None:
            return None
        watermark = session.number(self.situation.metadata.get(session.WATERMARK))
        self.kept_until = self._kept_until(boundary)
        later = [self.stamps[index] for index in self.present if self.stamps[index] > boundary]
        if watermark is not None and watermark > boundary:
            later.append(watermark)
        return boundary, min(later, default=math.inf)

    def _kept_until(self, boundary: float) -> int:
        """Return the index of the last message that the cut kept; -1 for none.

        The mark has the stamp that the file had; another trace may have stamped the same message a little later.
        """
        near = [
            (abs(stamp - boundary), -index)
            for index, stamp in enumerate(self.stamps)
            if abs(stamp - boundary) <= _STAMP_SECONDS
        ]
        if boundary and near:
            return -min(near)[1]
        return max((index for index, stamp in enumerate(self.stamps) if stamp <= boundary), default=-1)

    def _gone_later(self) -> dict[int, str]:
        """Return the messages that a state of the page did not have although it went on behind their place, with its name."""
        found: dict[int, str] = {}
        for number, trace in enumerate(self.traces):
            if not trace.is_whole or trace.kind is Kind.FILE:
                continue
            has = [index for index, entry in enumerate(self.entries) if number in entry.forms]
            if not has:
                continue
            # What the agent's own log lacks at its beginning may have left it by a compression.
            begin = 0 if trace.kind in WRITTEN_BY_WEBUI else has[0]
            for index in range(begin, has[-1]):
                if number not in self.entries[index].forms and not self._was_there_later(index, trace):
                    found.setdefault(index, trace.kind.value)
        return found

    def _was_there_later(self, index: int, trace: Trace) -> bool:
        """Return whether a newer state of the page has the message: then the older one does not show that it was taken back."""
        return any(
            other.is_whole and (other.taken_at or 0.0) > (trace.taken_at or 0.0) and other is not trace
            for other in map(self.traces.__getitem__, self.entries[index].forms)
        )

    def _one(self, index: int, entry: Entry) -> Judged:
        if self.file in entry.forms:
            if self.situation.file == "whole":
                return Judged(Standing.PRESENT)
            return Judged(Standing.LOST, "the file is broken, and this much of it can still be read")
        if why := self._taken_back(index, entry):
            return Judged(Standing.TAKEN_BACK, why)
        if self.situation.doubt:
            return Judged(Standing.UNCERTAIN, self.situation.doubt)
        if self.situation.was_never_cut and self.situation.file != "missing":
            return Judged(
                Standing.LOST, "this release marks whatever is taken back, and there is no mark for it"
            )
        if self.cut and self._page_had_after_cut(index):
            return Judged(Standing.LOST, "the page had it after the last thing that was taken back")
        if index in self.gone_later:
            why = f"it stands no more in a later state ({self.gone_later[index]}), so it may have been taken back"
            return Judged(Standing.UNCERTAIN, why)
        if self.situation.file != "whole":
            return self._in_broken(index)
        if not self.present:
            return self._in_emptied()
        return self._in_shortened(index)

    def _taken_back(self, index: int, entry: Entry) -> str:
        newest = next((trace for trace in self.traces if trace.kind is Kind.DATABASE), None)
        for number, form in entry.forms.items():
            trace = self.traces[number]
            if trace is newest and trace.messages.index(form) in trace.withdrawn:
                return "state.db says that it was taken back"
            if form.identity in self.situation.withdrawn:
                return "the guard saw that it was taken back"
        is_behind_cut = self.cut is not None and index > self.kept_until and self.stamps[index] < self.cut[1]
        if is_behind_cut and not self._page_had_after_cut(index):
            return "the file's truncation mark says that it was taken back"
        return ""

    def _page_had_after_cut(self, index: int) -> bool:
        """Return whether a state of the page from after the first turn behind the newest cut has the message."""
        since = self.cut[1] if self.cut else math.inf
        having = map(self.traces.__getitem__, self.entries[index].forms)
        return any(one.kind in WRITTEN_BY_WEBUI and (one.taken_at or 0.0) >= since for one in having)

    def _in_broken(self, index: int) -> Judged:
        if self.present and index < self.present[-1]:
            return Judged(Standing.UNCERTAIN, "what is left of the file goes on behind its place without it")
        state = "gone" if self.situation.file == "missing" else "broken"
        return Judged(Standing.LOST, f"the file is {state}")

    def _in_emptied(self) -> Judged:
        if self.situation.is_untitled:
            return Judged(
                Standing.UNCERTAIN, "the file is empty and untitled, as a clear leaves it in this release"
            )
        if self.situation.index_count:
            return Judged(
                Standing.LOST,
                f"the file is empty, and the index still counts {self.situation.index_count} messages",
            )
        if self.turns_lost > 1:
            return Judged(
                Standing.LOST, "the file is empty and keeps its title, as #1558 leaves it and no clear does"
            )
        return Judged(
            Standing.UNCERTAIN, "the file is empty, as an undo of the only turn leaves it in this release"
        )

    def _in_shortened(self, index: int) -> Judged:
        saved_at = self.situation.saved_at
        if saved_at is not None and self.stamps[index] > saved_at + _SAVE_SECONDS:
            return Judged(Standing.LOST, "it was said after the file was last saved")
        counted = self.situation.index_count
        if counted is not None and counted > len(self.present):
            return Judged(
                Standing.LOST,
                f"the index counts {counted} messages, the file has {len(self.present)}",
            )
        if index < self.present[0]:
            first = self.entries[self.present[0]].any
            if self.situation.is_untitled or _begins(self.situation.metadata.get(session.TITLE), first.words):
                return Judged(
                    Standing.UNCERTAIN, "the file may have been cleared and begun anew: its title fits that"
                )
            return Judged(Standing.LOST, "the file has nothing but what was written after it")
        who = "only the agent's traces have it" if not self._page_had(index) else "the page had it once"
        return Judged(
            Standing.UNCERTAIN, f"{who}, and this release leaves no mark when something is taken back"
        )

    def _page_had(self, index: int) -> bool:
        return any(self.traces[number].kind in WRITTEN_BY_WEBUI for number in self.entries[index].forms)

    def _page_had_since(self, index: int) -> bool:
        since = (self.situation.index_at or math.inf) - _STAMP_SECONDS
        having = map(self.traces.__getitem__, self.entries[index].forms)
        return any(one.kind in WRITTEN_BY_WEBUI and (one.taken_at or 0.0) >= since for one in having)

    def _was_never_saved(self, index: int) -> bool:
        """Return whether only journals have the message, from before its turn was saved: the index need not count it."""
        return all(self.traces[number].kind in BEFORE_A_SAVE for number in self.entries[index].forms)

    def _is_counted(self, index: int) -> bool:
        """Return whether the index could count the message: it is no note, and was said before the index was written."""
        at = self.situation.index_at
        is_later = at is not None and self.stamps[index] > at + _SAVE_SECONDS
        return not is_later and not benign.is_control_message(self.entries[index].any)

    def _held_against_index(self, found: list[Judged]) -> list[Judged]:
        """Return the judgements; where the index counts fewer than there would be, some were taken back, and none is certain.

        Only where no mark shows it, and only messages that no state of the page had since the index was written.
        """
        counted = self.situation.index_count
        # An index that counts what the file has now was written with the file, and knows of no more.
        is_of_file = self.situation.file == "whole" and counted is not None and counted <= len(self.present)
        if self.situation.was_never_cut or not counted or is_of_file:
            return found
        known = [index for index in range(len(found)) if self._is_counted(index)]
        saved = [index for index in known if not self._was_never_saved(index)]
        kept = sum(found[index].standing in (Standing.PRESENT, Standing.LOST) for index in saved)
        if kept < counted:
            return found
        if kept == counted:
            why = f"the index counts {counted} messages, and as many were found without it, so it may have been taken back"
            return [
                Judged(Standing.UNCERTAIN, why)
                if one.standing is Standing.LOST and index in known and self._was_never_saved(index)
                else one
                for index, one in enumerate(found)
            ]
        why = f"the index counts {counted} messages and {kept} were found, so some may have been taken back"
        return [
            Judged(Standing.UNCERTAIN, why)
            if one.standing is Standing.LOST
            and index in known
            and self.file not in self.entries[index].forms
            and not self._page_had_since(index)
            else one
            for index, one in enumerate(found)
        ]


def _begins(title: Any, said: str) -> bool:
    """Return whether a title is nothing but the beginning of what was said first, as a new conversation's is."""
    if not isinstance(title, str) or not title.strip():
        return True
    return " ".join(said.split()).startswith(" ".join(title.rstrip(".… ").split()))
