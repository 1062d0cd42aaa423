"""`report`: a page about the store, to keep or to send to someone."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hermesguard import files
from hermesguard.cli.commands.inspect.lost import counts
from hermesguard.cli.commands.recover.restore import require_directory
from hermesguard.cli.commands.service.status import fact_lines, gather, headline
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import moment
from hermesguard.cli.report import series
from hermesguard.cli.report.page import Figure, Table, html
from hermesguard.config.paths import is_inside
from hermesguard.config.settings import Settings
from hermesguard.config.units import about_size
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.directories.together import library_of
from hermesguard.lookup.health import troubles_of
from hermesguard.lookup.library import Library
from hermesguard.lookup.missed import KINDS, Missed, missed
from hermesguard.lookup.overview import Entry, entries
from hermesguard.lookup.typed import as_typed
from hermesguard.store.incidents import Incident

DEFAULT_NAME: Final = "hermesguard-report.html"
_NEWEST_INCIDENTS: Final = 100


def report(arguments: argparse.Namespace, settings: Settings) -> int:
    """Write the page, or with --json print what it shows."""
    library = library_of(settings)
    now = datetime.now(UTC)
    known = gather(settings, library)
    charts = series.charts(library, now)
    sessions = entries(library)
    if arguments.json:
        print_json(
            "report", {"time": now.isoformat(), "status": known, "charts": [_chart_json(it) for it in charts]}
        )
        return ExitCode.OK
    text = _page(library, now, known, charts, sessions)
    if arguments.output == "-":
        sys.stdout.write(text)
        return ExitCode.OK
    target = Path(arguments.output or DEFAULT_NAME).absolute()
    if any(is_inside(target.parent, part.settings.sessions) for part in library.libraries):
        raise GuardError(
            f"{target} lies in the sessions directory, which belongs to hermes-webui",
            "Choose another place with -o FILE",
            ExitCode.REFUSED,
        )
    require_directory(target)
    if target.exists() and not target.is_file():
        raise GuardError(f"{target} is no file", "Choose another name with -o FILE", ExitCode.REFUSED)
    data = text.encode("utf-8", "backslashreplace")
    files.write_durably(target, data)
    here = screen.of()
    here.write(here.safe(f"The report is in {target} ({about_size(len(data))})."))
    return ExitCode.OK


def _page(
    library: Library,
    now: datetime,
    known: dict[str, Any],
    charts: list[series.Chart],
    sessions: list[Entry],
) -> str:
    from hermesguard.cli.report.charts import svg  # pygal may not be there, and then that is the sentence

    troubles = troubles_of(known)
    log = [incident for incident in reversed(library.incidents) if not incident.is_by_user]
    gone = missed(library)
    named = {one.session for one in log[:_NEWEST_INCIDENTS]} | {one.session for one in gone}
    named -= {"", *(entry.session for entry in sessions)}
    others = {name: library.title(name) for name in sorted(named)}
    return html(
        "hermesguard report",
        f"{moment(now)}, about {known['sessions_directory']}",
        headline(known, troubles),
        [as_typed(trouble.remedy) for trouble in troubles],
        not troubles,
        fact_lines(known),
        [Figure(chart.title, svg(chart), chart.explanation) for chart in charts],
        [_missed_table(library, gone), _incident_table(library, log), _session_table(sessions, others)],
    )


def _missed_table(library: Library, found: list[Missed]) -> Table:
    lines = [
        (
            moment(one.time),
            one.session,
            library.title(one.session) or "Untitled",
            KINDS[one.kind][1] + counts(one),
            as_typed(one.command),
        )
        for one in found
    ]
    return Table(
        "What may be missing",
        ("when", "session", "title", "what", "to type"),
        lines,
        "Nothing, as far as this guard knows.",
        links=1,
        code=4,
    )


def _incident_table(library: Library, log: list[Incident]) -> Table:
    """Return the newest of `log`, which has the newest first."""
    resolved = {later.resolves for later in library.incidents}
    names = ("messages_before", "messages_live", "messages_after")
    lines = [
        (
            f"#{incident.id}",
            moment(datetime.fromisoformat(incident.time)),
            incident.session,
            library.title(incident.session) or "Untitled",
            series.kind_of(incident) + (", resolved" if incident.id in resolved else ""),
            *("?" if (count := getattr(incident, name)) is None else f"{count:,}" for name in names),
        )
        for incident in log[:_NEWEST_INCIDENTS]
    ]
    return Table(
        "Newest incidents",
        ("#", "when", "session", "title", "what", "before", "found", "now"),
        lines,
        "There has been none.",
        frozenset({5, 6, 7}),
        f"The newest {_NEWEST_INCIDENTS} of {len(log):,}." if len(log) > _NEWEST_INCIDENTS else "",
        links=2,
    )


def _session_table(sessions: list[Entry], others: dict[str, str]) -> Table:
    """What is not fine comes first, then what changed last; at the end what the log alone still names (id: title)."""
    oldest = datetime.fromtimestamp(0, UTC)
    ordered = sorted(sessions, key=lambda entry: entry.changed or oldest, reverse=True)
    ordered.sort(key=lambda entry: entry.state == "fine")
    lines = [
        (
            entry.session,
            entry.title or "Untitled",
            "?" if entry.messages is None else f"{entry.messages:,}",
            moment(entry.changed),
            entry.state.replace("-", " "),
        )
        for entry in ordered
    ]
    lines += [(name, title or "Untitled", "?", "-", "no copy is kept") for name, title in others.items()]
    return Table(
        "Each session",
        ("session", "title", "messages", "last change", "state"),
        lines,
        "There is none yet.",
        frozenset({2}),
        targets=0,
    )


def _chart_json(chart: series.Chart) -> dict[str, Any]:
    return {
        "name": chart.name,
        "times": [tick.astimezone(UTC).isoformat() for tick in chart.ticks],
        "series": [{"name": series.name, "values": list(series.values)} for series in chart.series],
    }
