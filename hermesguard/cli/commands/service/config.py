"""`config`."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Final

from hermesguard.cli.commands.service.check import of_notify, of_offsite
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import Cell, Column, table
from hermesguard.config import tables
from hermesguard.config.options import OPTIONS, Option
from hermesguard.config.paths import configuration_files, found_sessions
from hermesguard.config.settings import FLAGS, Settings
from hermesguard.errors import ExitCode

_OTHER_VARIABLES: Final = frozenset(
    {"HERMESGUARD_DEBUG", "HERMESGUARD_LOG", "HERMESGUARD_LOG_LEVEL", "HERMESGUARD_OFFSITE_STATE"}
)


def config(arguments: argparse.Namespace, settings: Settings) -> int:
    """Show every value with its origin, or say that the files are right; a wrong one never gets here."""
    if arguments.action == "check":
        return _check(arguments, settings)
    if arguments.json:
        values = {
            option.key: {
                "value": _directories(settings)
                if option.field == "directories"
                else _plain(getattr(settings, option.field)),
                "written": option.written(settings),
                "origin": settings.origins[option.field],
            }
            for option in OPTIONS
        }
        for option, found in _of_tables(settings):
            # As written: what is secret in it is left out there.
            written = option.kind.write(found.values[option.field])
            values[option.key] = {"value": written, "written": written, "origin": found.origins[option.field]}
        print_json("configuration", {"settings": values})
        return ExitCode.OK
    here = screen.of()
    messages = [
        (option.key, option.written(settings), _origin(settings.origins[option.field])) for option in OPTIONS
    ]
    messages += [
        (option.key, option.kind.write(found.values[option.field]), _origin(found.origins[option.field]))
        for option, found in _of_tables(settings)
    ]
    here.write(
        table(
            here,
            (Column("KEY"), Column("VALUE"), Column("FROM")),
            messages,
        )
    )
    if settings.is_auto:
        paths = ", ".join(map(str, found_sessions(settings.environment)))
        here.write("")
        here.write(here.safe(f"The sessions directories that are found: {paths}"))
    return ExitCode.OK


def _check(arguments: argparse.Namespace, settings: Settings) -> int:
    named = getattr(arguments, "config", None) or os.environ.get("HERMESGUARD_CONFIG")
    paths = [Path(named)] if named else list(configuration_files(os.environ))
    found = [str(path) for path in paths if path.exists()]
    warnings = list(_warnings(settings))
    findings = of_notify(settings, arguments.network) + of_offsite(settings, arguments.network)
    warnings += [f"{one.what}. {one.remedy}" for one in findings if one.exit_code is ExitCode.OK]
    problems = [one for one in findings if one.exit_code is not ExitCode.OK]
    code = max((one.exit_code for one in problems), default=ExitCode.OK)
    if arguments.json:
        members = [{"what": one.what, "remedy": one.remedy} for one in problems]
        print_json("configuration check", {"files": found, "problems": members, "warnings": warnings})
        return code
    here = screen.of()
    where = ", ".join(found) or "no file; defaults are used where neither flag nor environment says otherwise"
    if not problems:
        here.write(here.safe(f"The configuration is right: {where}"))
    for problem in problems:
        here.write(here.safe(f"{problem.what}. {problem.remedy}."))
    for warning in warnings:
        print(here.safe(f"hermesguard: {warning}"), file=sys.stderr)
    return code


def _of_tables(settings: Settings) -> Iterator[tuple[Option, tables.Table]]:
    """Yield the options of the other processes, each with the table that has its value."""
    for name, options in tables.OPTIONS_OF.items():
        values = tables.load(settings, name)
        yield from ((option, values) for option in options)


def _warnings(settings: Settings) -> list[str]:
    """Return what is not wrong but perhaps not meant."""
    known = {"HERMESGUARD_" + key.upper() for key in FLAGS} | _OTHER_VARIABLES
    known |= {option.variable for options in tables.OPTIONS_OF.values() for option in options}
    unknown = sorted(name for name in os.environ if name.startswith("HERMESGUARD_") and name not in known)
    found = [f"the environment variable {name} means nothing to hermesguard" for name in unknown]
    for sessions in settings.directories or (settings.sessions,):
        if not sessions.is_dir():
            found.append(f"the sessions directory {sessions} is not there yet; the guard will wait for it")
    for command in (
        settings.alert_command,
        settings.heartbeat_command,
        settings.on_version_command,
    ):
        if command and which(command[0]) is None:
            found.append(f"the program {command[0]} is not found, or may not be run by this user")
    return found


def _directories(settings: Settings) -> object:
    """Return the sessions directories that are named, as the file would name them."""
    named = [str(path) for path in settings.directories]
    return named[0] if len(named) == 1 else named or "auto"


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _origin(origin: str) -> Cell:
    return Cell(origin, screen.Style.FAINT if origin == "default" else screen.Style.PLAIN)
