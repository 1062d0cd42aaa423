"""`explain`: what an event or an incident means, and what to do."""

import argparse
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import moment
from hermesguard.cli.output.terminal import Screen, Style
from hermesguard.cli.output.transcript import wrapped
from hermesguard.cli.verbs import VERBS
from hermesguard.cli.witnesses import witnesses
from hermesguard.config.settings import Settings
from hermesguard.config.units import about_duration
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.catalog import BY_NAME, EVENTS, FIELDS
from hermesguard.events.event import Event, Value, paragraphs
from hermesguard.lookup.directories.together import InSeveral, library_of
from hermesguard.lookup.library import Library
from hermesguard.lookup.objects import event_object, meaning_of
from hermesguard.lookup.overview import entry_of, live_count
from hermesguard.lookup.selectors import LIVE, SeveralFit
from hermesguard.lookup.typed import as_typed
from hermesguard.store import earlier
from hermesguard.store.incidents import LOST_BEFORE, Incident

# A MESSAGE_ID has so many digits, all of them decimal once in a while; no incident's number has.
_MESSAGE_ID_DIGITS: Final = 32

_INCIDENT_DIGITS: Final = 10
_WIPED: Final = (
    "If it happens often, update hermes-webui: releases up to v0.50.283 lose sessions in this way (#1558)."
)
_TORN: Final = (
    "A file that breaks off is what a power cut, a full disk or a killed process leaves behind: look at df, at dmesg, and "
    "at the log of hermes-webui of that moment."
)
_DEEDS: Final = {
    "stands": "let it stand: it carries the marks of a user's act; what was there before is kept in the history",
    "found": "nothing: it was so before the guard came",
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
    """Say what an incident, an event, or the state of a session means, and what to do."""
    subject = arguments.subject.removeprefix("#")
    if subject.isdecimal() and len(subject) < _MESSAGE_ID_DIGITS and not _is_session(settings, subject):
        return _explain_incident(arguments, settings, subject)
    event = _event(subject)
    return _explain_event(arguments, settings, event) if event else _explain_session(arguments, settings)


def _is_session(settings: Settings, subject: str) -> bool:
    """Return whether a number is the whole id of a session: some are decimal by chance."""
    return len(subject) > _INCIDENT_DIGITS and subject in library_of(settings).sessions


def _event(subject: str) -> Event | None:
    wanted = subject.casefold().replace("-", "_").replace(" ", "_")
    wanted = earlier.EVENTS.get(wanted, wanted)
    return next((event for event in EVENTS if wanted in (event.name, event.message_id)), None)


def _explain_session(arguments: argparse.Namespace, settings: Settings) -> int:
    """Explain the newest incident of a session that waits for a user, else the newest one, else why there is none."""
    try:
        library = library_of(settings)
        name = library.find(arguments.subject)
    except (InSeveral, SeveralFit):
        raise
    except GuardError:
        from difflib import get_close_matches  # only a mistake needs it

        nearest = get_close_matches(arguments.subject.casefold(), BY_NAME, n=3, cutoff=0.0)
        raise GuardError(
            f'There is no event "{arguments.subject}", and no session that is called so',
            f"The nearest are {', '.join(nearest)}; incidents are numbers, as hermesguard log shows them",
            ExitCode.NOT_FOUND,
        ) from None
    log = [
        one for one in library.everything if one.session == name and not one.is_by_user and not one.resolves
    ]
    waiting = [
        one for one in log if one.id not in library.resolved and (one.is_open or one.event == LOST_BEFORE)
    ]
    if log:
        return _explain_incident(arguments, settings, (waiting or log)[-1].id)
    entry = entry_of(library, name)
    lines = [f"Nothing has happened to it that the guard saw. It is {entry.state}."]
    advice = [f"To read it: hermesguard show {name}"]
    if entry.state == "unreadable":
        try:
            library.copy(name, LIVE)
        except GuardError as error:
            lines = [f"{error.what}."]
        advice = paragraphs(BY_NAME["unreadable"], {"session": name})
    if arguments.json:
        members = {
            "session": name,
            "state": entry.state,
            "meaning": lines[0],
            "advice": [*map(as_typed, advice)],
        }
        print_json("explanation", members)
        return ExitCode.OK
    here = screen.of()
    _write_heading(here, library.title_once(name) or "Untitled", f"session {name}, {entry.state}")
    _write_sections(here, [("What is known", lines), ("What to do now", advice)])
    return ExitCode.OK


def _explain_event(arguments: argparse.Namespace, settings: Settings, event: Event) -> int:
    if arguments.json:
        print_json("event", event_object(event))
        return ExitCode.OK
    here = screen.of()
    about = f"priority {event.priority.value} ({event.priority.name.lower()}), MESSAGE_ID {event.message_id}"
    fields = [f"HERMESGUARD_{name.upper()}: {FIELDS[name].meaning}" for name in event.fields]
    newest = _newest(settings, event)
    heading, advice = "What to do now", _without_values(event)
    if newest:
        heading = f"What to do now, of the newest one (incident {newest.id})"
        advice = _advice(newest, event, newest.undo)
    _write_heading(here, f"{event.name}: {event.title}", about)
    _write_sections(here, [(heading, advice), ("Fields in the journal", fields if arguments.fields else [])])
    return ExitCode.OK


def _newest(settings: Settings, event: Event) -> Incident | None:
    """Return the newest incident of that kind, an open one rather than another; None when there is none, or no store."""
    try:
        library = library_of(settings)
        found = [one for one in library.everything if one.event == event.name and one.session]
    except (GuardError, OSError):
        return None
    waiting = [one for one in found if one.id not in library.resolved]
    return next(reversed(waiting or found), None)


def _without_values(event: Event) -> list[str]:
    """Return the advice of an event of which there is none yet: what would need its values is left out."""
    bare = [line for line in event.advice.splitlines() if "{" not in line]
    plain = paragraphs(event._replace(advice="\n".join(bare)), {}) if bare else []
    if "{" in event.advice:
        plain.append(
            "With its number, hermesguard explain adds the commands to type; the numbers: hermesguard log"
        )
    return plain


def _explain_incident(arguments: argparse.Namespace, settings: Settings, number: str) -> int:
    library = library_of(settings)
    incident = next((incident for incident in library.everything if incident.id == number), None)
    if incident is None:
        newest = f"The newest is {library.everything[-1].id}" if library.everything else "There are none yet"
        raise GuardError(
            f"There is no incident {number}", f"{newest}; hermesguard log lists them", ExitCode.NOT_FOUND
        )
    event = BY_NAME.get(incident.event)
    resolved_by = next((later for later in library.everything if later.resolves == number), None)
    meaning, reversal = meaning_of(incident), "" if resolved_by else _reversal(incident)
    advice = _advice(incident, event, reversal) if event and not resolved_by else []
    if incident.event == LOST_BEFORE and not resolved_by:
        advice = _what_to_do_about_lost(library, incident)
    others = witnesses(library, incident) if incident.is_open and not resolved_by else []
    if arguments.json:
        members = {
            "incident": incident._asdict(),
            "event": event_object(event) if event else None,
            "meaning": meaning,
            "advice": [*map(as_typed, advice)],
            "witnesses": others,
            "reversal": as_typed(reversal),
            "resolved_by": resolved_by.id if resolved_by else None,
        }
        print_json("explanation", members)
        return ExitCode.OK
    here = screen.of()
    title = library.title_once(incident.session) if incident.session else ""
    about = f"session {incident.session}" if incident.session else "a session that was purged"
    about = f"{_when(incident)}, {about}" + (f', "{here.cell(title)}"' if title else "")
    heading = "This conversation looks lost from before" if incident.event == LOST_BEFORE else ""
    _write_heading(here, f"Incident {number}: {heading or (event.title if event else incident.event)}", about)
    _write_sections(
        here,
        [
            ("What this means", [meaning] if meaning else []),
            ("What the guard saw", _seen(library, incident)),
            ("What other traces say", others),
            ("What it did", _done(incident)),
            ("What to do now", [_resolved(resolved_by)] if resolved_by else advice),
            (
                "How to reverse it",
                [reversal] if reversal and not any(reversal in line for line in advice) else [],
            ),
        ],
    )
    return ExitCode.OK


def _what_to_do_about_lost(library: Library, note: Incident) -> list[str]:
    """Return what can be done about what was lost before the guard came."""
    lines = []
    if any(verb.name == "salvage" for verb in VERBS):
        lines += [
            "To look for it in all that hermes-webui and hermes-agent keep, without changing anything:",
            f"  hermesguard salvage {note.session}",
            f"To bring back what is found: hermesguard salvage --restore {note.session}",
        ]
    else:
        lines.append(
            "It is named here so that it can be looked for: in backups of the sessions directory first."
        )
    if note.session in (library.live or ()) and live_count(library.live_path(note.session)) is not None:
        lines.append(f"If it is right as it is: hermesguard accept {note.session}")
    return lines


def _write_heading(here: Screen, title: str, about: str) -> None:
    for text, style in ((title, Style.BOLD), (about, Style.FAINT)):
        for line in wrapped(here, text, ""):
            here.write(here.paint(line, style))


def _write_sections(here: Screen, sections: Iterable[tuple[str, Sequence[str]]]) -> None:
    for heading, lines in sections:
        if lines:
            here.write("\n" + here.paint(heading, Style.BOLD))
            for line in lines:
                here.write("\n".join(wrapped(here, as_typed(line), "  ")))


_COUNTED: Final = ("before", "found", "afterwards")


def _seen(library: Library, incident: Incident) -> list[str]:
    lines = [f"for: {sentence}" for sentence in incident.evidence]
    lines += [f"against: {sentence}" for sentence in incident.against]
    if incident.evidence and not incident.against:
        lines.append("against: nothing")
    if counts := counts_of(incident):
        names = _COUNTED if len(counts) == len(_COUNTED) else (_COUNTED[0], _COUNTED[-1])
        known = [f"{count} {name}" for count, name in zip(counts, names, strict=True) if count != "?"]
        is_unreadable = counts[1] == "?" and len(counts) == len(_COUNTED)
        unreadable = ""
        if is_unreadable:
            is_there = incident.session in (library.live or ()) or incident.displaced
            unreadable = "; what was found could not be read" if is_there else "; no file was found"
        lines.append(f"messages: {', '.join(known)}{unreadable}")
    if incident.writer_pid is not None:
        command = f" ({incident.writer_command})" if incident.writer_command else ""
        lines.append(f"written by process {incident.writer_pid}{command}")
    return lines


def counts_of(incident: Incident) -> list[str]:
    """Return the messages before, found and afterwards, "?" for what was unreadable; a user's act finds nothing new."""
    counts = [incident.messages_before, incident.messages_live, incident.messages_after]
    if counts == [None] * len(counts):  # no generator: an interrupt that comes while one is closed is lost
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
    """Return the event's advice without what the reader has read here already, or cannot do, and with what fits the cause."""
    useless = {f"hermesguard explain {incident.id}"} | (
        {incident.undo} if incident.undo and not reversal else set()
    )
    if (incident.event, incident.action) == (
        "missing",
        "restored",
    ):  # the guard would keep a copy of it again
        useless.add(f"hermesguard purge {incident.session}")
    advice = [line for line in paragraphs(event, values_of(incident)) if not any(map(line.endswith, useless))]
    if any("#1558" in sentence for sentence in incident.evidence):
        advice.append(_WIPED)
    elif "unreadable" in incident.rule:
        advice.append(_TORN)
    return advice


def _resolved(by: Incident) -> str:
    return f"Nothing: incident {by.id} resolved it ({by.event.replace('_', ' ')}, {_when(by)})."


def _reversal(incident: Incident) -> str:
    """Return the command that reverses an incident; empty when there is nothing to reverse (module operations)."""
    if incident.action == "salvaged":
        return f"hermesguard undo {incident.id}"
    if incident.is_by_user:
        return incident.way_back
    if incident.is_note:
        return incident.undo
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
