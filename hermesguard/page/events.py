"""Lines of the log as the page shows them: what happened, in which words, and what can be done about it."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from hermesguard.errors import GuardError
from hermesguard.lookup.missed import Missed
from hermesguard.lookup.objects import meaning_of
from hermesguard.lookup.overview import count_of, reason_of, time_of, version_names
from hermesguard.lookup.selectors import LIVE
from hermesguard.page.read_cache import View
from hermesguard.store.incidents import INTENDED, LOST_BEFORE, RETURNED, Incident

_REPAIRED: Final = frozenset({"restored", "merged"})
_BY_USER: Final = {
    "restored_by_user": "restored_by_you",
    "undone": "reversed_by_you",
    "accepted": "accepted_by_you",
}

_MOST_NAMES: Final = 100
_MOST_SENTENCES: Final = 20
_SENTENCE_CHARACTERS: Final = 500

Act = dict[str, Any]


def events(view: View, most: int, session: str = "", before: str = "") -> Iterator[dict[str, Any]]:
    """Yield the newest lines of the log, newest first, of one session or of all; those older than the line `before`."""
    left = most
    is_older = not before
    for incident in reversed(view.library.everything):
        if is_older and left and _is_shown(incident) and (not session or incident.session == session):
            yield event(view, incident)
            left -= 1
        is_older = is_older or incident.id == before


def _is_shown(incident: Incident) -> bool:
    """Return whether a line tells of something; some only say that an earlier one is answered."""
    return (
        bool(incident.session or incident.names)
        and incident.event not in ("resolved", "purged")
        and not (incident.resolves and incident.action == "unchanged")
    )


def waiting(view: View) -> list[Incident]:
    """Return what waits for a user, newest first; of each session only the newest, which answers the others too."""
    library = view.library
    found: dict[str, Incident] = {}
    for one in reversed(library.everything):
        is_waiting = one.is_open and not (one.is_by_user or one.is_note or one.resolves)
        if is_waiting and one.id not in library.resolved and one.session:
            found.setdefault(one.session, one)
    return list(found.values())


def event(view: View, incident: Incident) -> dict[str, Any]:
    """Return a line of the log as an event of the API."""
    what = what_happened(view, incident)
    resolved_by = view.answers.get(incident.id)
    is_waiting = resolved_by is None and incident.is_open and not incident.is_by_user and not incident.is_note
    back = None
    if what in ("brought_back", "not_sure", "restored_by_you") and incident.messages_after is not None:
        found = incident.messages_live if not incident.is_by_user else incident.messages_before
        back = max(0, incident.messages_after - (found or 0))
    return {
        "id": incident.id,
        "time": incident.time,
        "session": incident.session,
        "title": view.title(incident.session) if incident.session else "",
        "state": view.state(incident.session) if incident.session else "",
        "what": what,
        "messages_before": incident.messages_before,
        "messages_live": incident.messages_live,
        "messages_after": incident.messages_after,
        "messages_lost": incident.messages_lost,
        "messages_back": back,
        "evidence": _sentences(incident.evidence),
        "against": _sentences(incident.against),
        "meaning": meaning_of(incident),
        "error": incident.error[:_SENTENCE_CHARACTERS],
        "duration_us": incident.duration_us,
        "version": incident.version,
        "displaced": incident.displaced,
        "resolved_by": resolved_by,
        "sides": _sides(view, incident) if is_waiting else [],
        "acts": acts_on(incident, what) if resolved_by is None else [],
        "incident": _incident(incident),
    }


def _incident(incident: Incident) -> dict[str, Any]:
    return incident._asdict() | {
        "evidence": _sentences(incident.evidence),
        "against": _sentences(incident.against),
        "names": list(incident.names[:_MOST_NAMES]),
        "members": list(incident.members[:_MOST_NAMES]),
        "error": incident.error[:_SENTENCE_CHARACTERS],
        "writer_command": incident.writer_command[:_SENTENCE_CHARACTERS],
    }


def _sentences(found: Sequence[str]) -> list[str]:
    return [sentence[:_SENTENCE_CHARACTERS] for sentence in found[:_MOST_SENTENCES]]


def what_happened(view: View, incident: Incident) -> str:
    """Return the word of the API for what a line of the log tells."""
    if incident.event in _BY_USER:
        return _BY_USER[incident.event]
    if incident.event == INTENDED:
        names = version_names(view.library, incident.session)
        reason = next((reason_of(name) for name in names if name.split("-")[0] == incident.version), "")
        return "cleared" if reason == "clear" else "taken_back"
    if incident.event == LOST_BEFORE:
        return "lost_before"
    if incident.event == RETURNED:
        return "came_again"
    if incident.event == "not_known" or incident.action == "warned":
        return "gone"
    if incident.event == "uncertain":
        return "not_sure"
    if incident.event == "unrepaired" or incident.action == "failed":
        return "not_brought_back"
    if incident.event in _REPAIRED or incident.action in _REPAIRED:
        return "brought_back"
    return "unreadable" if incident.event in ("unreadable", "denied", "too_large") else "other"


def acts_on(incident: Incident, what: str) -> list[Act]:
    """Return what can be done about a line of the log that nothing has answered yet, the likeliest first."""
    name = incident.session
    if what in ("restored_by_you", "reversed_by_you", "accepted_by_you"):
        return [restore(name, incident.version, replace=True)] if incident.version and name else []
    if what in ("taken_back", "cleared"):
        return [restore(name, incident.version)] if incident.version and name else []
    if what in ("gone", "not_brought_back"):
        return [restore(name, incident.version or "latest")] if name else []
    if what in ("brought_back", "came_again") or (what == "not_sure" and incident.displaced):
        is_reversible = incident.members or incident.displaced or incident.event == "missing"
        return [{"act": "undo", "incident": incident.id}] if is_reversible else []
    return [restore(name, incident.version)] if what == "not_sure" and incident.version else []


def restore(name: str, version: str, *, replace: bool = False) -> Act:
    """Return the act that brings a version back."""
    act: Act = {"act": "restore", "session": name, "version": version}
    return act | ({"replace": True} if replace else {})


def _sides(view: View, incident: Incident) -> list[dict[str, Any]]:
    """Return what a user chooses between: the file as it is now, and what stands against it."""
    name = incident.session
    live = _count(view, name)
    sides = [
        {
            "version": "live",
            "message_count": live,
            "is_now": True,
            "can_read": live is not None,
            "act": {"act": "accept", "session": name} if live is not None else None,
        }
    ]
    is_repaired = incident.action in _REPAIRED
    other = incident.displaced if is_repaired else incident.version
    if other or not is_repaired:
        version = next((one for one in view.library.store.versions(name) if one.name == other), None)
        act = {"act": "undo", "incident": incident.id} if is_repaired else restore(name, other or "latest")
        sides.append(
            {
                "version": other or "latest",
                "message_count": version.messages if version else incident.messages_before,
                "is_now": False,
                "can_read": version is not None or not other,
                "act": act,
            }
        )
    return sides


def _count(view: View, name: str) -> int | None:
    try:
        return len(view.read(name, LIVE).copy.document.messages)
    except GuardError:
        return None


def deletion(view: View, name: str) -> dict[str, Any] | None:
    """Return the event that a user deleted a session whose copy is still kept; None when it was not deleted."""
    names = version_names(view.library, name)
    if view.state(name) != "deleted" or not names:
        return None
    version, time = names[-1].split("-")[0], time_of(names[-1])
    count = count_of(names[-1])
    nothing = dict.fromkeys(("messages_lost", "messages_back", "duration_us", "resolved_by", "incident"))
    return {
        "id": "",
        "time": time.isoformat() if time else "",
        "session": name,
        "title": view.title(name),
        "state": "deleted",
        "what": "deleted",
        "messages_before": count,
        "messages_live": 0,
        "messages_after": 0,
        "evidence": [],
        "against": [],
        "meaning": "",
        "error": "",
        "version": version,
        "displaced": "",
        "sides": [],
        "acts": [restore(name, version)],
        **nothing,
    }


def acts_on_missed(view: View, one: Missed) -> list[Act]:
    """Return what can be done about something that may be missed; empty where only a command helps."""
    if one.kind in ("lost before", "unreadable"):
        return []
    if one.kind in ("cleared", "shortened"):
        taken = [
            name
            for name in version_names(view.library, one.session)
            if reason_of(name) in ("intended", "clear", "meant")
        ]
        return [restore(one.session, taken[-1].split("-")[0])] if taken else []
    if one.kind == "deleted":
        names = version_names(view.library, one.session)
        return [restore(one.session, names[-1].split("-")[0])] if names else []
    incident = next((it for it in view.library.everything if it.id == one.incident), None)
    return acts_on(incident, what_happened(view, incident)) if incident else []
