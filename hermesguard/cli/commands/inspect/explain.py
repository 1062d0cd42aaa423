"""`explain`: what an event or an incident means, and what to do."""

import argparse
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from hermesguard.cli.library import Library
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import moment
from hermesguard.cli.output.terminal import Screen, Style
from hermesguard.cli.output.transcript import wrapped
from hermesguard.cli.witnesses import witnesses
from hermesguard.config.settings import Settings
from hermesguard.config.units import about_duration
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.catalog import BY_NAME, EVENTS, FIELDS
from hermesguard.events.event import Event, Value, paragraphs
from hermesguard.store.incidents import Incident

# A MESSAGE_ID has so many digits, all of them decimal once in a while; no incident's number has.
_MESSAGE_ID_DIGITS: Final = 32

_DEEDS: Final = {
    "restored": "restored what was lost",
    "merged": "merged what was lost with what was new",
    "kept": "left the file as it was found; what was there before is in the history (on_uncertain = keep)",
    "warned": "left the session missing and reported it (on_missing = warn)",
    "left": "left the session missing, for there is no evidence of a deletion or of a loss; its copy is in the history",
    "failed": "could not write the file; retried at every scan",
    "undone": "made the file again what it was before the repair, at a user's request",
    "removed": "removed the file again, at a user's request",
    "replaced": "made a version live, at a user's request",
    "salvaged": "restored a conversation rebuilt from other traces, at a user's request",
    "accepted": "accepted the live file, at a user's request",
    "purged": "removed every trace of the session, at a user's request",
}


def explain(arguments: argparse.Namespace, settings: Settings) -> int:
    """Say what an incident or an event means, and what to do."""
    subject = arguments.subject.removeprefix("#")
    if subject.isdecimal() and len(subject) < _MESSAGE_ID_DIGITS:
        return _explain_incident(arguments, settings, subject)
    return _explain_event(arguments, subject)


def _explain_event(arguments: argparse.Namespace, subject: str) -> int:
    wanted = subject.casefold().replace("-", "_").replace(" ", "_")
    event = next((event for event in EVENTS if wanted in (event.name, event.message_id)), None)
    if event is None:
        from difflib import get_close_matches  # only a mistake needs it

        nearest = get_close_matches(wanted, BY_NAME, n=3, cutoff=0.0)
        raise GuardError(
            f'There is no event "{arguments.subject}"',
            f"The nearest are {', '.join(nearest)}; incidents are numbers, as hermesguard log shows them",
            ExitCode.NOT_FOUND,
        )
    if arguments.json:
        print_json("event", event_json(event))
        return ExitCode.OK
    here = screen.of()
    about = f"priority {event.priority.value} ({event.priority.name.lower()}), MESSAGE_ID {event.message_id}"
    fields = [f"HERMESGUARD_{name.upper()}: {FIELDS[name].meaning}" for name in event.fields]
    _write_heading(here, f"{event.name}: {event.title}", about)
    _write_sections(here, [("What to do now", paragraphs(event, {})), ("Fields in the journal", fields)])
    return ExitCode.OK


def _explain_incident(arguments: argparse.Namespace, settings: Settings, number: str) -> int:
    library = Library(settings)
    incident = next((incident for incident in library.incidents if incident.id == number), None)
    if incident is None:
        newest = f"The newest is {library.incidents[-1].id}" if library.incidents else "There are none yet"
        raise GuardError(
            f"There is no incident {number}", f"{newest}; hermesguard log lists them", ExitCode.NOT_FOUND
        )
    event = BY_NAME.get(incident.event)
    resolved_by = next((later for later in library.incidents if later.resolves == number), None)
    meaning, reversal = _meaning(incident), "" if resolved_by else _reversal(incident)
    advice = _advice(incident, event, reversal) if event and not resolved_by else []
    others = witnesses(settings, library, incident) if incident.is_open and not resolved_by else []
    if arguments.json:
        members = {
            "incident": incident._asdict(),
            "event": event_json(event) if event else None,
            "meaning": meaning,
            "advice": advice,
            "witnesses": others,
            "reversal": reversal,
            "resolved_by": resolved_by.id if resolved_by else None,
        }
        print_json("explanation", members)
        return ExitCode.OK
    here = screen.of()
    title = library.title(incident.session) if incident.session else ""
    about = f"session {incident.session}" if incident.session else "a session that was purged"
    about = f"{_when(incident)}, {about}" + (f', "{here.cell(title)}"' if title else "")
    _write_heading(here, f"Incident {number}: {event.title if event else incident.event}", about)
    _write_sections(
        here,
        [
            ("What this means", [meaning] if meaning else []),
            ("What the guard saw", _seen(incident)),
            ("What other traces say", others),
            ("What it did", _done(incident)),
            ("What to do now", [_resolved(resolved_by)] if resolved_by else advice),
            ("How to reverse it", [reversal] if reversal else []),
        ],
    )
    return ExitCode.OK


def _write_heading(here: Screen, title: str, about: str) -> None:
    for text, style in ((title, Style.BOLD), (about, Style.FAINT)):
        for line in wrapped(here, text, ""):
            here.write(here.paint(line, style))


def _write_sections(here: Screen, sections: Iterable[tuple[str, Sequence[str]]]) -> None:
    for heading, lines in sections:
        if lines:
            here.write("\n" + here.paint(heading, Style.BOLD))
            for line in lines:
                here.write("\n".join(wrapped(here, line, "  ")))


def _meaning(incident: Incident) -> str:
    """Return the rule that decided, in words; empty when no rule did."""
    from hermesguard.judge.judge import TABLE  # an event needs no judge

    rule = next((rule for rule in TABLE if rule.label == incident.rule), None)
    if rule is None:
        return f"The rule that decided: {incident.rule}." if incident.rule else ""
    return f"The rule that decided is {rule.label}. Its evidence: {rule.evidence}. Its judgement: {rule.judgement}."


def _seen(incident: Incident) -> list[str]:
    lines = [f"for: {sentence}" for sentence in incident.evidence]
    lines += [f"against: {sentence}" for sentence in incident.against]
    if incident.evidence and not incident.against:
        lines.append("against: nothing")
    if counts := counts_of(incident):
        names = ("before", "found", "afterwards") if len(counts) == 3 else ("before", "afterwards")
        lines.append(f"messages: {', '.join(map(' '.join, zip(counts, names, strict=True)))}")
    if incident.writer_pid is not None:
        command = f" ({incident.writer_command})" if incident.writer_command else ""
        lines.append(f"written by process {incident.writer_pid}{command}")
    return lines


def counts_of(incident: Incident) -> list[str]:
    """Return the messages before, found and afterwards, "?" for what was unreadable; a user's act finds nothing new."""
    counts = [incident.messages_before, incident.messages_live, incident.messages_after]
    if all(count is None for count in counts):
        return []
    if incident.is_by_user and incident.messages_live is None:
        del counts[1]
    return ["?" if count is None else f"{count:,}" for count in counts]


def _done(incident: Incident) -> list[str]:
    took = f", in {about_duration(incident.duration_us / 1e6)}" if incident.duration_us is not None else ""
    lines = [f"{_DEEDS.get(incident.action, incident.action)}{took}"]
    for what, version in (("was there before", incident.version), ("it displaced", incident.displaced)):
        if version:
            lines += [f"what {what} is kept:", f"  hermesguard show {incident.session}@{version}"]
    return lines


def _advice(incident: Incident, event: Event, reversal: str) -> list[str]:
    """Return the event's advice without what the reader has read here already, or cannot do."""
    useless = {f"hermesguard explain {incident.id}"} | (
        {incident.undo} if incident.undo and not reversal else set()
    )
    return [line for line in paragraphs(event, values_of(incident)) if not any(map(line.endswith, useless))]


def _resolved(by: Incident) -> str:
    return f"Nothing: incident {by.id} resolved it ({by.event.replace('_', ' ')}, {_when(by)})."


def _reversal(incident: Incident) -> str:
    """Return the command that reverses an incident; empty when there is nothing to reverse (module operations)."""
    if incident.action == "salvaged":
        return f"hermesguard undo {incident.id}"
    if incident.is_by_user:
        replaced = incident.version and incident.event != "purged"
        return f"hermesguard restore {incident.session}@{incident.version} --replace" if replaced else ""
    displaced_a_session = incident.displaced and incident.messages_live is not None
    was_brought_back = (incident.event, incident.action) == ("missing", "restored")
    was_kept = incident.action == "kept" and incident.version
    return incident.undo if displaced_a_session or was_brought_back or was_kept else ""


def _when(incident: Incident) -> str:
    return moment(datetime.fromisoformat(incident.time))


def values_of(incident: Incident) -> dict[str, Value]:
    """Return an incident as the fields of its event."""
    known: dict[str, Any] = incident._asdict()
    known["incident"] = incident.resolves or incident.id
    known["evidence"], known["against"] = list(incident.evidence), list(incident.against)
    if incident.messages_before is not None and incident.messages_live is not None:
        known["messages_lost"] = max(0, incident.messages_before - incident.messages_live)
    return {key: value for key, value in known.items() if key in FIELDS and value not in (None, "", [])}


def event_json(event: Event) -> dict[str, Any]:
    """Return what is documented of an event."""
    return {
        "name": event.name,
        "message_id": event.message_id,
        "priority": int(event.priority),
        "title": event.title,
        "advice": event.advice,
        "fields": list(event.fields),
    }
