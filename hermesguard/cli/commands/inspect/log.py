"""`log`: what happened."""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

from hermesguard.cli.commands.inspect.explain import counts_of, values_of
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import Cell, Column, counted, moment, table
from hermesguard.cli.output.terminal import Screen, Style, columns_of
from hermesguard.cli.output.transcript import wrapped
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode
from hermesguard.events.catalog import BY_NAME
from hermesguard.lookup.directories.together import library_of
from hermesguard.lookup.library import Library
from hermesguard.lookup.selectors import parse_moment
from hermesguard.lookup.typed import as_typed
from hermesguard.store import incidents
from hermesguard.store.incidents import Incident

_POLL_SECONDS: Final = 0.25
_LAST_LINES: Final = 10
_INDENT: Final = "    "
_COLUMNS: Final = (
    Column("#", is_right=True),
    Column("WHEN"),
    Column("TITLE", least=11),
    Column("WHAT", least=19),
    Column("SESSION", rank=3),
    Column("BEFORE > FOUND > NOW", rank=2),
    Column("WHY"),
)


def log(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the incidents, oldest first, and with -f those that come, until interrupted."""
    library = library_of(settings)
    now = datetime.now(UTC)
    since = parse_moment(arguments.since, now) if arguments.since else None
    asked = arguments.named or arguments.session
    name = library.find(asked) if asked else None

    def is_asked(incident: Incident) -> bool:
        return (not name or incident.session == name) and (
            not since or datetime.fromisoformat(incident.time) >= since
        )

    found = [incident for incident in library.everything if is_asked(incident)]
    here = screen.of()
    if arguments.follow:
        shown = found if since else found[-_LAST_LINES:]
        for incident in chain(shown, _new_ones(library, {incident.id for incident in found})):
            if is_asked(incident):
                _follow_line(here, incident, arguments.json)
        return ExitCode.OK
    if arguments.json:
        members = {
            "incidents": [incident._asdict() for incident in found if not incident.is_note],
            "notes": [incident._asdict() for incident in found if incident.is_note],
        }
        print_json("incidents", members)
    elif found:
        here.write(_table(here, [_cells(library, incident) for incident in found]))
    else:
        here.write("No incidents" + (" in that time." if since else "."))
    return ExitCode.OK


def _table(here: Screen, rows: list[tuple[Cell | str, ...]]) -> str:
    """Return a line for each incident; where the reasons do not fit into it, each stands whole below its line."""
    boundless = replace(here, has_colour=False, width=screen.UNBOUNDED)
    lines = table(boundless, _COLUMNS, rows).split("\n")
    if max(columns_of(line) for line in lines) <= here.width:
        return table(here, _COLUMNS, rows)
    heading, *lines = table(here, _COLUMNS[:-1], [row[:-1] for row in rows]).split("\n")
    found = [heading]
    for line, row in zip(lines, rows, strict=True):
        found.append(line)
        if why := str(row[-1]):
            found += wrapped(here, why, _INDENT)
    return "\n".join(found)


def _new_ones(library: Library, known: set[str]) -> Iterator[Incident]:
    sizes_bytes: dict[Path, int] = {}
    while True:
        for store in (part.store.root for part in library.libraries):
            if sizes_bytes.get(store) != (size_bytes := incidents.size_bytes(store)):
                sizes_bytes[store] = size_bytes
                for incident in incidents.read_all(store):
                    if incident.id not in known:
                        known.add(incident.id)
                        yield incident
        time.sleep(_POLL_SECONDS)


def _follow_line(here: Screen, incident: Incident, as_json: bool) -> None:
    if as_json:
        print_json("incident", incident._asdict(), is_line=True)
    else:
        style = Style.PLAIN if incident.resolves else Style.YELLOW
        heading = here.paint(f"{moment(datetime.fromisoformat(incident.time))} #{incident.id}", style)
        here.write(f"{heading} {here.safe(as_typed(_sentence(incident)))}")
    here.stream.flush()


def _cells(library: Library, incident: Incident) -> tuple[Cell | str, ...]:
    style = {"unrepaired": Style.RED, "uncertain": Style.YELLOW, "missing": Style.YELLOW}.get(
        incident.event, Style.FAINT if incident.is_note else Style.PLAIN
    )
    return (
        incident.id,
        moment(datetime.fromisoformat(incident.time)),
        library.title_once(incident.session) or incident.session or _several(incident),
        Cell(_what(incident), style),
        incident.session,
        " > ".join(counts_of(incident)[: 2 if incident.is_note else 3]),
        "; ".join(_why(incident)),
    )


def _several(incident: Incident) -> str:
    """Return what stands for a title where an incident is of no session: of several at once, or of one that was purged."""
    return counted(len(incident.names), "session") if incident.names else "purged"


def _why(incident: Incident) -> list[str]:
    """Return the evidence without what other columns say already: how many messages are gone, and that a user asked for it."""
    if incident.is_by_user:
        return []
    counted = (f"{incident.messages_lost} of {incident.messages_before} ", "no message is left")
    told = [line for line in dict.fromkeys(incident.evidence) if not line.startswith(counted)]
    return told or list(incident.evidence)


def _what(incident: Incident) -> str:
    words = incident.event.replace("_", " ")
    if incident.resolves:
        return f"{words.removesuffix(' by user')} (#{incident.resolves})"
    if incident.event == incidents.LOST_BEFORE:
        return "lost before"
    if incident.is_note or incident.is_by_user:
        return words
    return words if incident.action in ("", incident.event) else f"{words}, {incident.action}"


def _sentence(incident: Incident) -> str:
    event = BY_NAME.get(incident.event)
    if incident.event == incidents.LOST_BEFORE:
        return f"{incident.session} looks lost from before: {'; '.join(incident.evidence)}. See: hermesguard lost"
    return event.text(values_of(incident)) if event else f"{_what(incident)}: {incident.session}"
