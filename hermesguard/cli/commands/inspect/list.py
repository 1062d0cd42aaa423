"""`list` and `history`: the sessions, and the life of one."""

import argparse
from typing import Final

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import Cell, Column, counted, moment, table
from hermesguard.cli.output.terminal import Style, cut
from hermesguard.cli.output.timeline import drawn
from hermesguard.config.settings import Settings
from hermesguard.config.units import about_size
from hermesguard.errors import ExitCode
from hermesguard.lookup.directories.together import library_of
from hermesguard.lookup.objects import history_object, in_directory, session_object
from hermesguard.lookup.overview import entries, order
from hermesguard.lookup.points import points
from hermesguard.lookup.selectors import NEVER_GOOD, has_words
from hermesguard.lookup.typed import as_typed
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident

STATE_STYLES: Final = {
    "fine": Style.GREEN,
    "shortened": Style.CYAN,
    "unreadable": Style.RED,
    "lost": Style.RED,
    "restored": Style.CYAN,
    "uncertain": Style.YELLOW,
    "unrepaired": Style.RED,
    "missing": Style.RED,
    "deleted": Style.FAINT,
}
_REASONS: Final = {
    "loss": "a write lost messages",
    "displaced": "displaced by a repair",
    "intended": "shortened by a user",
    "clear": "cleared by a user",
    "tidied": "tidied up by hermes-webui",
    "stripped": "a save took something from its messages",
    "returned": "what was removed on purpose came again",
    "uncertain": "uncertain",
    "deleted": "deleted by a user",
    "accepted": "another state was accepted",
    "leftover": "left over from a crash",
}
_NUMBERS: Final = 3
_LIST_COLUMNS: Final = (
    Column("ID"),
    Column("TITLE", least=20),
    Column("MESSAGES", is_right=True),
    Column("LAST CHANGE", rank=1),
    Column("VERSIONS", is_right=True, rank=3),
    Column("LAST INCIDENT", rank=2),
    Column("STATE"),
)


def list_sessions(arguments: argparse.Namespace, settings: Settings) -> int:
    """List the sessions in the order that was asked for."""
    words = " ".join(arguments.words)
    library = library_of(settings)
    found = [
        entry
        for entry in entries(library)
        if (not arguments.state or entry.state == arguments.state)
        and (entry.session.startswith(words) or has_words(entry.title, arguments.words))
    ]
    found.sort(key=lambda entry: order(entry, arguments.sort))
    if arguments.json:
        objects = [session_object(entry) | in_directory(library, entry.session) for entry in found]
        print_json("sessions", {"sessions": objects})
        return ExitCode.OK
    here = screen.of()
    columns = (*_LIST_COLUMNS, Column("DIRECTORY")) if len(library.libraries) > 1 else _LIST_COLUMNS
    lines: list[tuple[Cell | str, ...]] = [
        (
            entry.session,
            entry.title or "Untitled",
            "?" if entry.messages is None else f"{entry.messages:,}",
            moment(entry.changed),
            str(entry.versions),
            f"#{entry.incident.id} {entry.incident.event.replace('_', ' ')}" if entry.incident else "",
            Cell(entry.state.replace("-", " "), STATE_STYLES[entry.state]),
            *in_directory(library, entry.session).values(),
        )
        for entry in found
    ]
    here.write(
        table(here, columns, lines)
        if lines
        else "No session fits."
        if words or arguments.state
        else as_typed("No session yet. Whether the guard looks at the right place: hermesguard status")
    )
    return ExitCode.OK


def history(arguments: argparse.Namespace, settings: Settings) -> int:
    """Draw the life of a session, and list its versions, newest first."""
    library = library_of(settings)
    name = library.find(arguments.session)
    versions = library.store.versions(name)
    log = [one for one in library.everything if one.session == name]
    if name not in library.kept and name not in (library.live or ()):
        raise library.nothing_left(name)
    newest = library.copy(name, library.newest(name))
    messages = newest.document.messages
    incidents = [one for one in log if not one.is_note]
    if arguments.json:
        members = history_object(name, newest.document, versions, incidents)
        print_json("history", members)
        return ExitCode.OK
    here = screen.of()
    title = library.title_once(name)
    here.write(here.paint(cut(here.cell(title) or "Untitled", here.width), Style.BOLD))
    here.write(
        here.paint(here.safe(f"{name}, {counted(len(messages), 'message')} in the newest copy"), Style.FAINT)
        + "\n"
    )
    line = drawn(here, points(messages, versions, incidents))
    if line:
        here.write(line + "\n")
    columns = (
        Column("TYPE"),
        Column("VERSION", rank=3),
        Column("KEPT", rank=1),
        Column("MESSAGES", is_right=True),
        Column("SIZE", is_right=True, rank=2),
        Column("INCIDENT"),
        Column("WHY", least=24),
    )
    lines = [_version_line(version, log, back) for back, version in enumerate(reversed(versions), 1)]
    if library.store.has_shadow(name):
        size = about_size(library.store.shadow_path(name).stat().st_size)
        lines.insert(0, ("@latest", "", "", f"{len(messages):,}", size, "", "the newest good copy"))
    here.write(table(here, columns, lines) if lines else "The store has no copy of it.")
    good = [back for back, version in enumerate(reversed(versions), 1) if version.reason not in NEVER_GOOD]
    if good:
        here.write(f"\nTo have one back: {as_typed(f'hermesguard restore {name}@-{good[0]}')}")
    return ExitCode.OK


def _version_line(version: Version, log: list[Incident], back: int) -> tuple[str, ...]:
    numbers = [
        f"#{incident.id}" for incident in log if version.name in (incident.version, incident.displaced)
    ]
    was_asked_for = any(one.is_by_user and one.version == version.name for one in log)
    is_put_aside = was_asked_for and version.reason == "displaced"
    return (
        f"@-{back}",
        f"@{version.name}",
        moment(version.time),
        f"{version.messages:,}",
        about_size(version.size_bytes),
        ", ".join(numbers[:_NUMBERS]) + (f" +{len(numbers) - _NUMBERS}" if len(numbers) > _NUMBERS else ""),
        "displaced by a user's command" if is_put_aside else reason_in_words(version),
    )


def reason_in_words(version: Version) -> str:
    """Return in words why a version is in the history."""
    return _REASONS.get(version.reason, version.reason)
