"""The messages of all traces in one order, each once, with who has it. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hermesguard.salvage.align import Pair, pairs
from hermesguard.salvage.trace import BEST_FIRST, Kind, Trace, worth_keeping
from hermesguard.webui.session import Message


@dataclass(eq=False, slots=True)
class Entry:
    """One message of the conversation, in the form of each trace that has it."""

    forms: dict[int, Message] = field(default_factory=dict)
    """By the number of the trace."""

    @property
    def any(self) -> Message:
        """Return the form of the first trace that has it."""
        return next(iter(self.forms.values()))

    @property
    def timestamp(self) -> float | None:
        """Return when it was said, as the first trace says that knows it."""
        return next((form.timestamp for form in self.forms.values() if form.timestamp is not None), None)


def in_order(traces: Sequence[Trace]) -> list[Trace]:
    """Return the traces in the order in which they are to be merged: the file first, the newest of a kind before the older."""
    return sorted(
        (trace for trace in traces if trace.messages),
        key=lambda trace: (BEST_FIRST.index(trace.kind), -(trace.taken_at or 0.0)),
    )


def merged(traces: Sequence[Trace]) -> list[Entry]:
    """Return every message of the traces once, in the order of the conversation. The first trace's own order stands."""
    entries: list[Entry] = []
    for number, trace in enumerate(traces):
        entries = _joined(entries, number, trace)
    return entries


def _joined(entries: list[Entry], number: int, trace: Trace) -> list[Entry]:
    found = pairs([entry.any for entry in entries], trace.messages)
    crossed = _crossed(entries, trace, found)
    result: list[Entry] = []
    at_old = at_new = 0
    for old, new in (*found, (len(entries), len(trace.messages))):
        fresh = [
            Entry({number: message})
            for index, message in enumerate(trace.messages[at_new:new], at_new)
            if not _is_taken(crossed.get(index), number, message)
            if trace.kind is Kind.FILE or worth_keeping(message)
        ]
        result += _interleaved(entries[at_old:old], fresh, trace.taken_at)
        if old < len(entries):
            entries[old].forms[number] = trace.messages[new]
            result.append(entries[old])
        at_old, at_new = old + 1, new + 1
    return result


def _crossed(entries: Sequence[Entry], trace: Trace, found: Sequence[Pair]) -> dict[int, Entry]:
    """Return the messages of a trace that stand in the merged ones too, but in another order, so that no pair has them."""
    old, new = {one for one, _ in found}, {two for _, two in found}
    known: dict[tuple[object, ...], Entry] = {}
    for index, entry in enumerate(entries):
        if index not in old and (stamp := entry.timestamp) is not None and math.isfinite(stamp):
            known.setdefault((*entry.any.identity, round(stamp)), entry)
    crossed: dict[int, Entry] = {}
    for index, message in enumerate(trace.messages):
        stamp = message.timestamp
        if index in new or stamp is None or not known or not math.isfinite(stamp):
            continue
        for second in (0, -1, 1):
            if twin := known.pop((*message.identity, round(stamp) + second), None):
                crossed[index] = twin
                break
    return crossed


def _is_taken(twin: Entry | None, number: int, message: Message) -> bool:
    if twin is None:
        return False
    twin.forms.setdefault(number, message)
    return True


def _interleaved(known: list[Entry], fresh: list[Entry], taken_at: float | None) -> Iterator[Entry]:
    """Yield two runs of messages between the same neighbours: by time where that is known, each run in its own order."""
    if not known or not fresh:
        yield from known or fresh
        return
    stamps_known, stamps_fresh = _stamps(known), _stamps(fresh)
    if stamps_known is None or stamps_fresh is None:
        first = next((entry.timestamp for entry in known if entry.timestamp is not None), None)
        is_older = taken_at is not None and first is not None and taken_at < first
        yield from (*fresh, *known) if is_older else (*known, *fresh)
        return
    at = 0
    for entry, stamp in zip(fresh, stamps_fresh, strict=True):
        while at < len(known) and _is_not_later(stamps_known[at], stamp):
            yield known[at]
            at += 1
        yield entry
    yield from known[at:]


def _stamps(run: Sequence[Entry]) -> list[float] | None:
    """Return when each was said, those without a stamp as the one before; None when the first has none."""
    stamps: list[float] = []
    for entry in run:
        stamp = entry.timestamp
        if stamp is None and not stamps:
            return None
        # What was stamped at a flush may go back a little within a run, which keeps its own order.
        stamps.append(max(stamp or 0.0, stamps[-1] if stamps else 0.0))
    return stamps


def _is_not_later(first: float, second: float) -> bool:
    """Return whether the first was not surely said after the second: a stamp in whole seconds is any instant of them."""
    return first <= second or (first.is_integer() and int(first) == int(second))


def kinds_of(entry: Entry, traces: Sequence[Trace]) -> Mapping[Kind, int]:
    """Return which kinds of trace have the message, with the number of the first trace of each."""
    found: dict[Kind, int] = {}
    for number in entry.forms:
        found.setdefault(traces[number].kind, number)
    return found
