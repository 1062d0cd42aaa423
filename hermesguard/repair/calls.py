"""The tool calls of a repaired file: those of both sides, each once, pointing to where its message stands now. Pure."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from hermesguard.repair.splice import dump
from hermesguard.webui.compare.diff import Comparison
from hermesguard.webui.session import Document, Message

_PLACE = "assistant_msg_idx"


def merged_calls(
    shadow: Document, live: Document | None, comparison: Comparison, messages: Sequence[Message]
) -> list[str]:
    """Return the texts of both sides' entries; `messages` are those of the repaired file.

    A call is known by its id, and where its message bears that, by its place too: providers give ids anew in each turn, and two
    writers count on from one place.
    """
    entries: list[str] = []
    seen: dict[str, set[int | None]] = {}
    for call, text, place in _entries(shadow, live, comparison, messages):
        places = seen.setdefault(str(call.get("tid") or text), set())
        if places and (place is None or not places.isdisjoint((place, None))):
            continue
        places.add(place)
        entries.append(text)
    return entries


def _entries(
    shadow: Document, live: Document | None, comparison: Comparison, messages: Sequence[Message]
) -> Iterator[tuple[Message, str, int | None]]:
    """Yield each entry with its text now, and its place where the message there makes that call."""
    starts = accumulate((message.count for message in messages), initial=0)
    now_at = {message.mark: start for message, start in zip(messages, starts, strict=False)}
    twin_new = {new: old for old, new in (*comparison.pairs, *comparison.shortened, *comparison.moved)}
    twin_old = {old: new for new, old in twin_new.items()}
    for side, own, twin, other in (
        (shadow, comparison.old, twin_old, comparison.new),
        (live, comparison.new, twin_new, comparison.old),
    ):
        begins = list(accumulate((message.count for message in own), initial=0))
        for call in side.tool_calls if side else ():
            at = call.get(_PLACE)
            if not isinstance(at, int) or not 0 <= at < begins[-1]:
                yield call, call.text, None
                continue
            index = bisect_right(begins, at) - 1  # a run stands for many
            now = now_at.get(own[index].mark)
            if now is None and index in twin:
                now = now_at.get(other[twin[index]].mark)
            place = at if now is None else now + at - begins[index]
            text = call.text if place == at else dump({**call.value, _PLACE: place}, level=2)
            bears = own[index].role == "assistant" and call.get("tid") in own[index].identity[2]
            yield call, text, place if bears else None
