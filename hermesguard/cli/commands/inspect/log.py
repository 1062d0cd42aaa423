"""`log`: what happened."""

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from hermesguard.cli.commands.inspect.explain import counts_of, values_of
from hermesguard.cli.library import Library
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import Cell, Column, moment, table
from hermesguard.cli.output.terminal import Screen, Style
from hermesguard.cli.selectors import parse_moment
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode
from hermesguard.events.catalog import BY_NAME
from hermesguard.store import incidents
from hermesguard.store.incidents import Incident

_POLL_SECONDS: Final = 0.25
_LAST_LINES: Final = 10
_COLUMNS: Final = (
    Column("#", is_right=True),
    Column("WHEN", rank=1),
    Column("SESSION"),
    Column("WHAT"),
    Column("BEFORE > FOUND > NOW", rank=2),
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

    found = [incident for incident in library.incidents if is_asked(incident)]
    here = screen.of()
    if arguments.follow:
        shown = found if since else found[-_LAST_LINES:]
        for incident in chain(shown, _new_ones(settings, {incident.id for incident in found})):
            if is_asked(incident):
                _follow_line(here, incident, arguments.json)
        return ExitCode.OK
    if arguments.json:
        print_json("incidents", {"incidents": [incident._asdict() for incident in found]})
    elif found:
        here.write(table(here, _COLUMNS, [_message(incident) for incident in found]))
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
        print_json("incident", incident._asdict(), is_line=True)
    else:
        style = Style.PLAIN if incident.resolves else Style.YELLOW
        heading = here.paint(f"{moment(datetime.fromisoformat(incident.time))} #{incident.id}", style)
        here.write(f"{heading} {here.safe(_sentence(incident))}")
    here.stream.flush()


def _message(incident: Incident) -> tuple[Cell | str, ...]:
    style = {"unrepaired": Style.RED, "uncertain": Style.YELLOW, "missing": Style.YELLOW}.get(
        incident.event, Style.PLAIN
    )
    return (
        incident.id,
        moment(datetime.fromisoformat(incident.time)),
        incident.session,
        Cell(_what(incident), style),
        " > ".join(counts_of(incident)),
        "; ".join(incident.evidence),
    )


def _what(incident: Incident) -> str:
    words = incident.event.replace("_", " ")
    if incident.resolves:
        return f"{words} (#{incident.resolves})"
    return words if incident.action in ("", incident.event) else f"{words}, {incident.action}"


def _sentence(incident: Incident) -> str:
    event = BY_NAME.get(incident.event)
    return event.text(values_of(incident)) if event else f"{_what(incident)}: {incident.session}"
