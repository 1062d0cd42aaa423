"""What was found of one conversation: what it has now, what can come back, and what cannot or must not. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from hermesguard.repair.merge import merge_documents
from hermesguard.salvage.merge import Entry, kinds_of
from hermesguard.salvage.rebuild import Plan, best_form, rebuilt
from hermesguard.salvage.standing import Judged, Standing
from hermesguard.salvage.trace import Trace, worth_keeping
from hermesguard.webui.session import Document, Message


class State(StrEnum):
    """What can be said of a conversation as a whole."""

    LOST = "lost"
    """Messages of it are lost for certain, and can come back."""
    UNCERTAIN = "uncertain"
    """Messages are gone, and whether a user took them back is not known."""
    WHOLE = "whole"
    """Nothing is missing but what was taken back."""
    DELETED = "deleted"
    """The conversation was deleted, and stays so."""


class Gave(NamedTuple):
    """What one trace gave."""

    kind: str
    place: str
    messages: int
    """How many messages it has."""
    only: int
    """How many of those that can come back only it has."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One conversation, looked at with all its traces."""

    session: str
    title: str
    state: State
    messages_now: int | None
    """Messages in the file; None when there is no file, or none that can be read."""
    why: tuple[str, ...] = ()
    """The evidence, most weighty first."""
    notes: tuple[str, ...] = ()
    """Traces that could not be used, each in a sentence."""
    gave: tuple[Gave, ...] = ()
    entries: Sequence[Entry] = field(default=(), repr=False)
    traces: Sequence[Trace] = field(default=(), repr=False)
    judged: Sequence[Judged] = field(default=(), repr=False)
    file: Document | None = field(default=None, repr=False)
    metadata: dict[str, Any] = field(default_factory=dict, repr=False)
    template: Document | None = field(default=None, repr=False)

    def count(self, standing: Standing) -> int:
        """Return how many messages stand so."""
        return sum(one.standing is standing for one in self.judged)

    @property
    def lost(self) -> int:
        """How many messages are lost for certain."""
        return self.count(Standing.LOST)

    @property
    def uncertain(self) -> int:
        """How many messages are gone, and may have been taken back."""
        return self.count(Standing.UNCERTAIN)

    @property
    def messages_after(self) -> int:
        """How many messages the file has when what is certain is back."""
        return self.count(Standing.PRESENT) + self.lost

    def preview(self) -> list[tuple[Message, Judged]]:
        """Return every message in the form in which it would come back, with what becomes of it."""
        return [
            (best_form(entry, self.traces), one) for entry, one in zip(self.entries, self.judged, strict=True)
        ]

    def document(self, with_uncertain: bool = False) -> bytes:
        """Return the session file with what is certain, and on demand with what is not; ready to be made live."""
        standings = {Standing.PRESENT, Standing.LOST} | ({Standing.UNCERTAIN} if with_uncertain else set())
        wanted = {index for index, one in enumerate(self.judged) if one.standing in standings}
        plan = Plan(self.session, self.entries, self.traces, wanted, self.file, self.metadata, self.template)
        return merge_documents(rebuilt(plan), self.file)

    def knows(self, messages: Sequence[Message]) -> "Witness":
        """Return what the traces say of messages that are missing (a second witness for an uncertain verdict)."""
        by_identity = {
            form.identity: number
            for number, entry in enumerate(self.entries)
            for form in entry.forms.values()
        }
        known: Counter[str] = Counter()
        removed = 0
        for message in messages:
            number = by_identity.get(message.identity)
            if number is None:
                continue
            removed += self.judged[number].standing is Standing.TAKEN_BACK
            known.update(kind.value for kind in kinds_of(self.entries[number], self.traces))
        return Witness(len(messages), dict(known), removed)

    def summary(self) -> dict[str, Any]:
        """Return the finding for programs."""
        return {
            "session": self.session,
            "title": self.title,
            "state": self.state.value,
            "messages_now": self.messages_now,
            "messages_after": self.messages_after,
            "messages_lost": self.lost,
            "messages_uncertain": self.uncertain,
            "messages_taken_back": self.count(Standing.TAKEN_BACK),
            "why": list(self.why),
            "notes": list(self.notes),
            "traces": [one._asdict() for one in self.gave],
        }


class Witness(NamedTuple):
    """What the traces know of messages that are missing."""

    asked: int
    known: dict[str, int]
    """By kind of trace: how many of them it has."""
    removed: int
    """How many of them some trace says to have been taken back."""

    def sentences(self) -> list[str]:
        """Return it in words."""
        lines = [
            f"{kind} knows {count} of the {self.asked} missing messages" for kind, count in self.known.items()
        ]
        if self.removed:
            lines.append(f"{self.removed} of them were taken back, as a trace says")
        return lines or ["no trace beside hermesguard's own copies knows the missing messages"]


def gave_of(traces: Sequence[Trace], entries: Sequence[Entry], judged: Sequence[Judged]) -> tuple[Gave, ...]:
    """Return what each trace gave."""
    only: Counter[int] = Counter()
    for entry, one in zip(entries, judged, strict=True):
        if one.standing in (Standing.LOST, Standing.UNCERTAIN) and len(entry.forms) == 1:
            only.update(list(entry.forms))
    return tuple(
        Gave(trace.kind.value, trace.place, len(trace.messages), only[number])
        for number, trace in enumerate(traces)
    )


def reasons(entries: Sequence[Entry], judged: Sequence[Judged]) -> tuple[str, ...]:
    """Return why messages are gone, each reason once with how many, the most frequent first."""
    found = Counter(
        (one.standing, one.why)
        for entry, one in zip(entries, judged, strict=True)
        if one.standing is not Standing.PRESENT and worth_keeping(entry.any)
    )
    return tuple(f"{count} {standing.value}: {why}" for (standing, why), count in found.most_common())
