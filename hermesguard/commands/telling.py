"""`log` and `explain`: what happened, and what it means."""

import argparse
import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

from hermesguard import incidents, screen
from hermesguard.config import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.event import Event, Value
from hermesguard.events import BY_NAME, EVENTS, FIELDS
from hermesguard.incidents import Incident
from hermesguard.library import Library
from hermesguard.machine import print_json
from hermesguard.screen import Screen, Style
from hermesguard.selection import parse_moment
from hermesguard.units import about_duration
from hermesguard.view import Cell, Column, moment, table

_POLL_SECONDS: Final = 0.25
_LAST_LINES: Final = 10
_COLUMNS: Final = (
    Column("#", is_right=True),
    Column("WHEN", rank=1),
    Column("SESSION"),
    Column("WHAT"),
    Column("MESSAGES", rank=2),
    Column("WHY", least=24),
)


def log(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the incidents, oldest first, and with -f those that come, until interrupted."""
    library = Library(settings)
    now = datetime.now(UTC)
    since = parse_moment(arguments.since, now) if arguments.since else None
    name = library.find(arguments.session) if arguments.session else None

    def is_asked(incident: Incident) -> bool:
        return (not name or incident.session == name) and (
            not since or datetime.fromisoformat(incident.time) >= since
        )

    found = [incident for incident in incidents.read(settings.store) if is_asked(incident)]
    here = screen.of()
    if arguments.follow:
        shown = found if since else found[-_LAST_LINES:]
        for incident in chain(shown, _new_ones(settings, {incident.id for incident in found})):
            if is_asked(incident):
                _follow_line(here, incident, arguments.json)
        return ExitCode.OK
    if arguments.json:
        print_json("incidents", {"incidents": [dataclasses.asdict(incident) for incident in found]})
    elif found:
        here.write(table(here, _COLUMNS, [_row(incident) for incident in found]))
    else:
        here.write("No incidents" + (" in that time." if since else "."))
    return ExitCode.OK


def _new_ones(settings: Settings, known: set[str]) -> Iterator[Incident]:
    size_bytes = None
    while True:
        if size_bytes != (size_bytes := incidents.size_bytes(settings.store)):
            for incident in incidents.read(settings.store):
                if incident.id not in known:
                    known.add(incident.id)
                    yield incident
        time.sleep(_POLL_SECONDS)


def _follow_line(here: Screen, incident: Incident, as_json: bool) -> None:
    if as_json:
        print_json("incident", dataclasses.asdict(incident), is_line=True)
    else:
        style = Style.PLAIN if incident.settles else Style.YELLOW
        heading = here.paint(f"{moment(datetime.fromisoformat(incident.time))} #{incident.id}", style)
        here.write(f"{heading} {here.safe(_sentence(incident))}")
    here.stream.flush()


def _row(incident: Incident) -> tuple[Cell | str, ...]:
    style = {"unrepaired": Style.RED, "in_doubt": Style.YELLOW, "missing": Style.YELLOW}.get(
        incident.event, Style.PLAIN
    )
    counts = [incident.rows_before, incident.rows_live, incident.rows_after]
    return (
        incident.id,
        moment(datetime.fromisoformat(incident.time)),
        incident.session,
        Cell(_what(incident), style),
        " > ".join("?" if count is None else f"{count:,}" for count in counts)
        if any(c is not None for c in counts)
        else "",
        "; ".join(incident.evidence),
    )


def _what(incident: Incident) -> str:
    words = incident.event.replace("_", " ")
    if incident.settles:
        return f"{words} (#{incident.settles})"
    return words if incident.action in ("", incident.event) else f"{words}, {incident.action}"


def _sentence(incident: Incident) -> str:
    event = BY_NAME.get(incident.event)
    return event.text(_values(incident)) if event else f"{_what(incident)}: {incident.session}"


def _values(incident: Incident) -> dict[str, Value]:
    """Return an incident as the fields of its event."""
    known: dict[str, Any] = dataclasses.asdict(incident)
    known["incident"] = incident.settles or incident.id
    known["evidence"], known["against"] = list(incident.evidence), list(incident.against)
    if incident.rows_before is not None and incident.rows_live is not None:
        known["rows_lost"] = max(0, incident.rows_before - incident.rows_live)
    return {key: value for key, value in known.items() if key in FIELDS and value not in (None, "", [])}


# Explaining.


def explain(arguments: argparse.Namespace, settings: Settings) -> int:
    """Say what an incident or an event means, and what to do."""
    subject = arguments.subject.removeprefix("#")
    if subject.isdecimal() and len(subject) < 32:
        return _explain_incident(arguments, settings, subject)
    wanted = subject.casefold().replace("-", "_")
    event = next((event for event in EVENTS if wanted in (event.name, event.message_id)), None)
    if event is None:
        from difflib import get_close_matches

        nearest = get_close_matches(wanted, BY_NAME, n=3, cutoff=0.0)
        raise GuardError(
            f'There is no event "{arguments.subject}"',
            f"The nearest are {', '.join(nearest)}; incidents are numbers, as hermesguard log shows them",
            ExitCode.NOT_FOUND,
        )
    if arguments.json:
        print_json("event", _event_json(event))
        return ExitCode.OK
    here = screen.of()
    here.write(here.paint(f"{event.name}: {event.title}", Style.BOLD))
    here.write(
        f"priority {event.priority.value} ({event.priority.name.lower()}), MESSAGE_ID {event.message_id}\n"
    )
    here.write(_indented(here, "What to do", event.advice.splitlines()))
    if event.fields:
        fields = [f"HERMESGUARD_{name.upper()}: {FIELDS[name].meaning}" for name in event.fields]
        here.write("\n" + _indented(here, "Fields in the journal", fields))
    return ExitCode.OK


def _explain_incident(arguments: argparse.Namespace, settings: Settings, number: str) -> int:
    library = Library(settings)
    everything = incidents.read(settings.store)
    incident = next((incident for incident in everything if incident.id == number), None)
    if incident is None:
        newest = f"The newest is {everything[-1].id}" if everything else "There are none yet"
        raise GuardError(
            f"There is no incident {number}", f"{newest}; hermesguard log lists them", ExitCode.NOT_FOUND
        )
    event = BY_NAME.get(incident.event)
    settled_by = next((later for later in everything if later.settles == number), None)
    advice = (
        [
            dataclasses.replace(event, sentence=line).text(_values(incident))
            for line in event.advice.splitlines()
        ]
        if event
        else []
    )
    if arguments.json:
        members = {
            "incident": dataclasses.asdict(incident),
            "event": _event_json(event) if event else None,
            "advice": advice,
            "settled_by": settled_by.id if settled_by else None,
        }
        print_json("explanation", members)
        return ExitCode.OK
    here = screen.of()
    title = library.head(incident.session).get("title") if incident.session else None
    about = f"session {incident.session}" + (f', "{title}"' if title else "")
    here.write(here.paint(f"Incident {number}: {event.title if event else incident.event}", Style.BOLD))
    here.write(here.safe(f"{moment(datetime.fromisoformat(incident.time))}, {about}"))
    for heading, lines in (
        ("What the guard saw", _seen(incident)),
        ("What it did", _done(incident, settled_by)),
        ("What to do now", ["Nothing: it is settled."] if settled_by else advice),
        ("How to reverse it", [incident.undo] if incident.undo and not settled_by else []),
    ):
        if lines:
            here.write("\n" + _indented(here, heading, lines))
    return ExitCode.OK


def _seen(incident: Incident) -> list[str]:
    lines = [f"for: {sentence}" for sentence in incident.evidence]
    lines += [f"against: {sentence}" for sentence in incident.against] or (
        ["against: nothing"] if incident.evidence else []
    )
    if incident.rule:
        lines.append(f"the rule that decided: {incident.rule}")
    counts = [incident.rows_before, incident.rows_live, incident.rows_after]
    if any(count is not None for count in counts):
        before, live, after = ("?" if count is None else f"{count:,}" for count in counts)
        lines.append(f"messages: {before} before, {live} found, {after} now")
    if incident.writer_pid is not None:
        command = f" ({incident.writer_command})" if incident.writer_command else ""
        lines.append(f"written by process {incident.writer_pid}{command}")
    return lines


def _done(incident: Incident, settled_by: Incident | None) -> list[str]:
    took = f" in {about_duration(incident.duration_us / 1e6)}" if incident.duration_us is not None else ""
    lines = [f"{incident.action}{took}"]
    if incident.version:
        lines.append(f"what was there before is kept: hermesguard show {incident.session}@{incident.version}")
    if incident.displaced:
        lines.append(f"what it displaced is kept: hermesguard show {incident.session}@{incident.displaced}")
    if settled_by:
        lines.append(
            f"settled by incident {settled_by.id}: {settled_by.action}, {moment(datetime.fromisoformat(settled_by.time))}"
        )
    return lines


def _indented(here: Screen, heading: str, lines: list[str]) -> str:
    return "\n".join([here.paint(heading, Style.BOLD), *(f"  {here.safe(line)}" for line in lines)])


def _event_json(event: Event) -> dict[str, Any]:
    return {
        "name": event.name,
        "message_id": event.message_id,
        "priority": int(event.priority),
        "title": event.title,
        "advice": event.advice,
        "fields": list(event.fields),
    }
