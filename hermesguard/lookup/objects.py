"""The members of the documented JSON objects (docs/json.md), for `--json` and for the page."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from hermesguard.errors import GuardError
from hermesguard.events.event import Event
from hermesguard.lookup.changes import Change
from hermesguard.lookup.find.found import Found
from hermesguard.lookup.health import Trouble, troubles_of
from hermesguard.lookup.library import Copy, Library
from hermesguard.lookup.missed import Missed
from hermesguard.lookup.overview import Entry
from hermesguard.lookup.points import points
from hermesguard.lookup.typed import as_typed
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident
from hermesguard.webui.compare.parts import Gone
from hermesguard.webui.session import Document


def status_object(
    known: dict[str, Any],
    missing: dict[str, int],
    others: Sequence[Trouble] = (),
    hindrance: GuardError | None = None,
) -> dict[str, Any]:
    """Return `status`, of what the guard says of itself and how much of each kind may be missed.

    `others` are told of besides; `hindrance` is why no guard could run.
    """
    troubles = [*troubles_of(known, hindrance), *others]
    return {
        "healthy": not troubles,
        "problems": [_problem(trouble) for trouble in troubles],
        "missed": missed_object(missing),
        **{key: value for key, value in known.items() if key != "missed"},
    }


def _problem(trouble: Trouble) -> dict[str, Any]:
    return {"what": trouble.words, "remedy": as_typed(trouble.remedy)}


def missed_object(missing: dict[str, int]) -> list[dict[str, Any]]:
    """Return how much of each kind may be missed."""
    return [{"kind": kind, "count": count} for kind, count in missing.items()]


def session_object(entry: Entry) -> dict[str, Any]:
    """Return one entry of `sessions`."""
    return {
        "session": entry.session,
        "title": entry.title,
        "message_count": entry.messages,
        "changed": entry.changed.isoformat() if entry.changed else None,
        "versions": entry.versions,
        "last_incident": {"id": entry.incident.id, "event": entry.incident.event, "time": entry.incident.time}
        if entry.incident
        else None,
        "state": entry.state,
    }


def history_object(
    name: str, newest: Document, versions: Sequence[Version], incidents: Sequence[Incident]
) -> dict[str, Any]:
    """Return `history`."""
    return {
        "session": name,
        "title": newest.title,
        "points": [
            {"time": point.time.isoformat(), "message_count": point.messages, "mark": point.mark}
            for point in points(newest.messages, versions, incidents)
        ],
        "versions": [version_object(version) for version in versions],
        "incidents": [incident.id for incident in incidents],
    }


def version_object(version: Version) -> dict[str, Any]:
    """Return one entry of `history.versions`."""
    when: datetime = version.time
    return {
        "name": version.name,
        "time": when.isoformat(),
        "message_count": version.messages,
        "reason": version.reason,
        "digest": version.digest,
        "size_bytes": version.size_bytes,
        "file": str(version.path),
    }


def conversation_object(copy: Copy, last: int | None) -> dict[str, Any]:
    """Return `conversation`: the messages of a copy as hermes-webui wrote them, or the `last` of them."""
    messages = copy.document.messages
    first = max(0, len(messages) - last) if last else 0
    return {
        "session": copy.session,
        "version": copy.chosen.name,
        "title": copy.document.title,
        "message_count": len(messages),
        "first_message": first + 1,
        "messages": [message.value for message in messages[first:]],
    }


def difference_object(
    a: Copy, b: Copy, found: Iterable[Change], hung: Iterable[Gone], back: str = ""
) -> dict[str, Any]:
    """Return `difference`; `back` is the command that brings a part of A back, before the name of the part."""
    found = list(found)
    return {
        "session": a.session,
        "a": {"version": a.chosen.name, "message_count": len(a.document.messages)},
        "b": {"version": b.chosen.name, "message_count": len(b.document.messages)},
        "changes": [change_object(change) for change in found if change.kind != "same"],
        "same": sum(change.kind == "same" for change in found),
        "parts": [
            {
                "name": part,
                "a_numbers": [index + 1 for index, _ in pairs],
                "b_numbers": [index + 1 for _, index in pairs],
                "command": f"{back} {part}" if back else "",
            }
            for part, pairs in hung
        ],
    }


def change_object(change: Change) -> dict[str, Any]:
    """Return one entry of `difference.changes`."""
    return {"kind": change.kind, "a_number": change.in_a, "b_number": change.in_b, "why": change.why}


def lost_object(library: Library, one: Missed) -> dict[str, Any]:
    """Return one entry of `lost`."""
    return {
        "session": one.session,
        "title": library.title_once(one.session),
        "kind": one.kind,
        "time": one.time.isoformat(),
        "messages_before": one.before,
        "messages_now": one.now,
        "evidence": list(one.evidence),
        "incident": one.incident or None,
        "command": as_typed(one.command),
    }


def found_object(one: Found) -> dict[str, Any]:
    """Return one entry of `found`."""
    return {
        "session": one.hit.session,
        "title": one.title,
        "state": one.state,
        "is_phrase": one.hit.rank == 0,
        "source": one.hit.source,
        "version": one.hit.version.split("-")[0],
        "message": one.passage.number or None,
        "text": one.passage.text,
        "command": as_typed(one.command),
        "changed": one.changed.astimezone(UTC).isoformat() if one.changed else None,
    }


def meaning_of(incident: Incident) -> str:
    """Return the rule that decided, in words; empty when no rule did."""
    from hermesguard.judge.judge import TABLE  # an event needs no judge

    rule = next((rule for rule in TABLE if rule.label == incident.rule), None)
    if rule is None:
        return f"The rule that decided: {incident.rule}." if incident.rule else ""
    return f"The rule that decided is {rule.label}. Its evidence: {rule.evidence}. Its judgement: {rule.judgement}."


def event_object(event: Event) -> dict[str, Any]:
    """Return what is documented of an event."""
    return {
        "name": event.name,
        "message_id": event.message_id,
        "priority": int(event.priority),
        "title": event.title,
        "advice": event.advice,
        "fields": list(event.fields),
    }
