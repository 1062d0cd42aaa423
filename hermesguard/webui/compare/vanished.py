"""Messages of an older list that are nowhere in the newer one: lost, or gone in a way that the application has. Pure."""

from collections.abc import Hashable, Sequence

from hermesguard.webui import benign
from hermesguard.webui.compare.alignment import Pair
from hermesguard.webui.compare.replays import repeated
from hermesguard.webui.long.document import LongMessages
from hermesguard.webui.session import Message

Vanished = tuple[list[int], list[tuple[int, str]]]
"""Those that are lost, and those that went harmlessly, with the kind (module benign)."""


def vanished(
    old: Sequence[Message], new: Sequence[Message], lead: int, pairs: Sequence[Pair], found: set[int]
) -> Vanished:
    """Return which messages behind the lead are not `found`; `pairs` are those (old, new) that are one behind the lead."""
    return _some(old, new, lead, pairs, found) if new else _all(old)


def _some(
    old: Sequence[Message], new: Sequence[Message], lead: int, pairs: Sequence[Pair], found: set[int]
) -> Vanished:
    missing: list[int] = []
    harmless: list[tuple[int, str]] = []
    place = dict(pairs)
    at = max(0, lead - 1)
    behind = sorted(found)
    behind.append(len(old))
    number = 0
    window: benign.Window | None = None
    partials: dict[Hashable, int] | None = None
    again = repeated(old, lead, found)
    for index in range(lead, len(old)):
        if index in found:
            number += 1
            if index in place:
                at, window = place[index], None
            continue
        if window is None:
            window = benign.Window(new[at : at + benign.WINDOW_MESSAGES])
        beside = (behind[number - 1] if number else lead - 1, behind[number])
        now = (
            (new[place[beside[0]]] if beside[0] in place else None),
            (new[place[beside[1]]] if beside[1] in place else None),
        )
        message = old[index]
        is_later = False
        if message.get("_partial"):
            if partials is None:
                partials = {benign.half_said(m): last for last, m in enumerate(new) if m.get("_partial")}
            is_later = partials.get(benign.half_said(message), -1) >= at
        gone = benign.Gone(message, old, index, beside, window, now, index in again, is_later)
        kind = benign.vanishing(gone) if message.count == 1 else ""
        harmless.append((index, kind)) if kind else missing.append(index)
    return missing, harmless


def _all(old: Sequence[Message]) -> Vanished:
    """Return it where new has no message: none is there that could stand for one of old."""
    missing: list[int] = []
    harmless: list[tuple[int, str]] = []
    for index, message in enumerate(old.read() if isinstance(old, LongMessages) else old):
        kind = benign.unsaid(message) if message.count == 1 else ""
        harmless.append((index, kind)) if kind else missing.append(index)
    return missing, harmless
