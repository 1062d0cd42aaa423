"""What a user may miss: repaired, uncertain, not known, shortened, cleared, deleted but kept, or lost before the guard came."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from hermesguard import files
from hermesguard.clock import moment
from hermesguard.lookup.library import Library
from hermesguard.lookup.overview import (
    count_of,
    live_count,
    of_session,
    reason_of,
    shortened,
    time_of,
    version_names,
)
from hermesguard.store.incidents import INTENDED, LOST_BEFORE, Incident

KINDS: Final = {
    "lost before": ("lost before the guard came", "may have been lost before the guard came"),
    "unreadable": ("broken, without a copy", "the file is broken, and there is no copy of it"),
    "not repaired": ("not repaired", "messages were lost and could not be put back"),
    "uncertain": ("uncertain", "messages vanished, perhaps on purpose"),
    "not known": ("gone", "the file is gone, and nothing says whether it was deleted or lost"),
    "cleared": ("cleared", "a user cleared it"),
    "shortened": ("shortened", "a user took messages back"),
    "deleted": ("deleted but still kept", "a user deleted it; a copy is still kept"),
    "repaired": ("repaired", "messages were lost, and put back"),
}
"""In the order of a summary: a word for a count of them, and what happened, in a sentence."""

_REPAIRED: Final = frozenset({"restored", "merged"})


class Missed(NamedTuple):
    """One thing about a session that its user may miss. `command` is what brings it back, or tells more."""

    time: datetime
    session: str
    kind: str
    """One of KINDS."""
    before: int | None
    now: int | None
    command: str
    evidence: tuple[str, ...] = ()
    incident: str = ""


def missed(library: Library, *, is_quick: bool = False) -> list[Missed]:
    """Return all that a user may miss, newest first.

    `is_quick` looks into the histories of those sessions alone that the log names, or that have no shadow.
    """
    shadows = frozenset(library.store.shadow_names())
    by_session = of_session(library.everything)
    names = set(by_session) | (library.kept - shadows)
    if not is_quick:
        names = set(library.kept) | names
    names |= library.broken
    if library.live is not None:
        names |= shadows - library.live
    found = [
        one for name in names - {""} for one in _of_session(library, name, by_session[name], name in shadows)
    ]
    return sorted(found, key=lambda one: (one.time, one.session), reverse=True)


def summary(found: Iterable[Missed]) -> dict[str, int]:
    """Return how many there are of each kind, in the order of KINDS, those of which there are none left out."""
    kinds = [one.kind for one in found]
    return {kind: kinds.count(kind) for kind in KINDS if kind in kinds}


def in_words(counts: dict[str, int]) -> str:
    """Return a summary as a sentence's part: "2 lost before the guard came, 1 shortened"."""
    return ", ".join(f"{count:,} {KINDS[kind][0]}" for kind, count in counts.items())


def _of_session(library: Library, name: str, log: list[Incident], has_shadow: bool) -> Iterator[Missed]:
    open_ones = [one for one in log if not one.is_by_user and one.id not in library.resolved]
    losses = [one for one in open_ones if not one.is_note]
    before = _last(one for one in open_ones if one.event == LOST_BEFORE)
    if before and (found := _lost_before(library, before)):
        yield found
    elif name in library.broken and (stamp := files.stamp(library.live_path(name))):
        changed = moment(stamp.mtime_ns)
        yield Missed(changed, name, "unreadable", None, None, f"hermesguard explain {name}")
    is_gone = has_shadow and library.live is not None and name not in library.live
    # What was listed a while ago may be there by now.
    is_gone = is_gone and files.stamp(library.live_path(name)) is None
    loss = _loss(losses[-1], has_shadow) if losses else None
    if is_gone and (loss is None or loss.kind == "repaired"):
        yield _vanished(library, name)
    elif loss:
        yield loss
    if is_gone or name not in library.kept:
        return
    names = version_names(library, name)
    if not has_shadow:
        if names and not (losses and losses[-1].event == "not_known"):
            yield _deleted(name, names, log)
    elif taken := shortened(log, names):
        yield _shortened(name, names, taken, log)


def _last(found: Iterable[Incident]) -> Incident | None:
    return [None, *found][-1]


def _loss(incident: Incident, has_shadow: bool) -> Missed:
    kind, command = "repaired", f"hermesguard diff {incident.session}"
    if incident.event == "not_known" or incident.action == "warned":
        kind, command = "not known", f"hermesguard restore {incident.session}"
    elif incident.event == "uncertain":
        kind, command = "uncertain", f"hermesguard explain {incident.id}"
    elif incident.event not in _REPAIRED and incident.action not in _REPAIRED:
        kind, command = "not repaired", f"hermesguard explain {incident.id}"
    elif incident.is_open:
        command = f"hermesguard explain {incident.id}"  # it asks for an answer
    elif not has_shadow:
        command = f"hermesguard show {incident.session}"
    now = incident.messages_after if incident.messages_after is not None else incident.messages_live
    time = datetime.fromisoformat(incident.time)
    before = incident.messages_before
    return Missed(time, incident.session, kind, before, now, command, incident.evidence, incident.id)


def _vanished(library: Library, name: str) -> Missed:
    """Return a conversation whose file is gone, and no guard has seen how."""
    note = library.store.shadow_note(name)
    stamp = files.stamp(library.store.shadow_path(name))
    time = moment(stamp.mtime_ns) if stamp else datetime.now(UTC)
    return Missed(time, name, "not known", note[1] if note else None, None, f"hermesguard restore {name}")


def _lost_before(library: Library, note: Incident) -> Missed | None:
    """Return what was lost before the guard came; None when as many messages are there by now."""
    now = live_count(library.live_path(note.session))
    if now is not None and note.messages_before is not None and now >= note.messages_before:
        return None
    command = f"hermesguard salvage --restore {note.session}"
    time = datetime.fromisoformat(note.time)
    return Missed(
        time, note.session, "lost before", note.messages_before, now, command, note.evidence, note.id
    )


def _deleted(name: str, names: list[str], log: list[Incident]) -> Missed:
    time = time_of(names[-1]) or datetime.min.replace(tzinfo=UTC)
    return Missed(time, name, "deleted", count_of(names[-1]), 0, f"hermesguard restore {name}")


def _shortened(name: str, names: list[str], taken: str, log: list[Incident]) -> Missed:
    newest = _last(one for one in log if one.event == INTENDED)
    note = _last(one for one in log if one.event == INTENDED and one.version == taken.split("-")[0])
    time = datetime.fromisoformat(newest.time) if newest else time_of(taken)
    return Missed(
        time or datetime.min.replace(tzinfo=UTC),
        name,
        "cleared" if reason_of(taken) == "clear" else "shortened",
        count_of(taken),
        newest.messages_live if newest else None,
        f"hermesguard restore {name}@-{len(names) - names.index(taken)}",
        note.evidence if note else (),
        note.id if note else "",
    )
