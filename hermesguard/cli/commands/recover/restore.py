"""`restore`, `undo`, `accept`, `prune`, `purge`: done by the running guard, or without one by this process with the same code."""

import argparse
import sys
from pathlib import Path
from typing import Any

from hermesguard import files
from hermesguard.cli.library import Library
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import Column, counted, table
from hermesguard.cli.selectors import Chosen
from hermesguard.config.paths import is_inside
from hermesguard.config.settings import Settings
from hermesguard.config.units import about_size
from hermesguard.daemon import control
from hermesguard.errors import ExitCode, GuardError


def restore(arguments: argparse.Namespace, settings: Settings) -> int:
    """Make a version live again, write it elsewhere, or restore every session whose file is missing."""
    if arguments.all_missing:
        if arguments.session or arguments.output or arguments.replace:
            raise GuardError(
                "--all-missing takes no session, no --output and no --replace",
                "Leave them out",
                ExitCode.USAGE,
            )
        return _restore_all_missing(arguments, settings)
    if not arguments.session:
        raise GuardError("restore needs a session", "Name one, or say --all-missing", ExitCode.USAGE)
    library = Library(settings)
    name, chosen = library.choose(arguments.session)
    chosen = chosen or library.newest(name)
    if arguments.output:
        return _write_elsewhere(arguments, library, name, chosen)
    if chosen.kind == "live":
        raise GuardError(f"@live is what {name} is now", "Choose another version", ExitCode.USAGE)
    version = chosen.version.name if chosen.version else ""
    answer = control.ask(
        settings,
        "restore",
        name=name,
        version=version,
        replace=arguments.replace,
        dry_run=arguments.dry_run,
        **({"part": arguments.part} if arguments.part else {}),
    )
    if answer["action"] == "unchanged":
        sentence = f"{name} has all of {name}@{chosen.name} already{_messages(answer)}. No action required."
        return _report(arguments, "restore", answer, sentence)
    would = "would be" if arguments.dry_run else "is"
    return _report(
        arguments,
        "restore",
        answer,
        f"{name}@{chosen.name} {would} live{_messages(answer)}.{_reverse(answer)}",
    )


def _restore_all_missing(arguments: argparse.Namespace, settings: Settings) -> int:
    answer = control.ask(settings, "restore_all_missing", dry_run=arguments.dry_run)
    if arguments.json:
        print_json("restore all missing", answer)
    else:
        here = screen.of()
        names = answer["missing"] if arguments.dry_run else answer["restored"]
        done = "would be restored" if arguments.dry_run else "restored"
        for name in names:
            here.write(here.safe(f"{name} {done}"))
        here.write(
            f"{counted(len(names), 'session')} {done}."
            if names or answer["failed"]
            else "No session is missing."
        )
    if answer["failed"]:
        raise GuardError(
            f"{counted(len(answer['failed']), 'session')} could not be restored: {', '.join(answer['failed'])}",
            f"hermesguard history {answer['failed'][0]} shows what there is of it, hermesguard verify what is damaged",
        )
    return ExitCode.OK


def _write_elsewhere(arguments: argparse.Namespace, library: Library, name: str, chosen: Chosen) -> int:
    data = library.copy(name, chosen).document.text.encode()
    if arguments.output == "-":
        if not arguments.dry_run:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return ExitCode.OK
    target = Path(arguments.output).absolute()
    if is_inside(target.parent, library.settings.sessions):
        raise GuardError(
            f"{target} lies in the sessions directory, where hermes-webui would take it for a session",
            "Choose another place, or leave -o out to make the version live",
            ExitCode.REFUSED,
        )
    if target.exists():
        raise GuardError(
            f"{target} exists already", "Choose another name, or remove it first", ExitCode.REFUSED
        )
    if not arguments.dry_run:
        files.write_durably(target, data)
    answer = {"session": name, "output": str(target), "size_bytes": len(data), "dry_run": arguments.dry_run}
    would = "would be" if arguments.dry_run else "is"
    return _report(
        arguments, "restore", answer, f"{name}@{chosen.name} {would} in {target} ({about_size(len(data))})."
    )


def undo(arguments: argparse.Namespace, settings: Settings) -> int:
    """Reverse what the guard did in one incident."""
    number = arguments.incident.removeprefix("#")
    answer = control.ask(settings, "undo", incident=number, merge=arguments.merge, dry_run=arguments.dry_run)
    done = "would be undone" if arguments.dry_run else "is undone"
    changes = _messages(answer) or ": the file is taken away again"
    sentence = f"Incident {number} {done}. {answer['session']}{changes}.{_reverse(answer)}"
    return _report(arguments, "undo", answer, sentence)


def accept(arguments: argparse.Namespace, settings: Settings) -> int:
    """Make the live file of a session the copy to trust."""
    name = Library(settings).find(arguments.session)
    answer = control.ask(settings, "accept", name=name, dry_run=arguments.dry_run)
    done = "would be accepted" if arguments.dry_run else "is accepted"
    messages = (
        f"{counted(answer['messages_live'], 'message')}, {answer['messages_before']:,} in the copy until now"
    )
    kept = f" That copy is kept as {name}@{answer['version']}." if answer.get("version") else ""
    return _report(arguments, "accept", answer, f"{name} {done} as it is: {messages}.{kept}")


def prune(arguments: argparse.Namespace, settings: Settings) -> int:
    """Remove what need not be kept, and say of each version why it stays or goes."""
    answer = control.ask(settings, "prune", dry_run=arguments.dry_run)
    if arguments.json:
        print_json("prune", answer)
        return ExitCode.OK
    here = screen.of()
    messages = [
        (f"{entry['session']}@{entry['version']}", "goes" if entry["goes"] else "stays", str(entry["why"]))
        for entry in answer["versions"]
    ]
    if messages:
        here.write(table(here, (Column("VERSION"), Column(""), Column("WHY", least=20)), messages))
    going = [entry for entry in answer["versions"] if entry["goes"]]
    size = about_size(sum(entry["size_bytes"] for entry in going))
    done = "would go" if arguments.dry_run else "gone"
    here.write(f"{counted(len(going), 'version')} {done} ({size}), {len(messages) - len(going):,} stay.")
    if not answer["clock_is_trusted"]:
        here.write("The clock jumped not long ago, so nothing goes by its age for a day.")
    if answer["excess_bytes"]:
        excess = about_size(answer["excess_bytes"])
        here.write(f"The store is {excess} larger than max_store_bytes allows, and nothing more may go.")
    return ExitCode.OK


def purge(arguments: argparse.Namespace, settings: Settings) -> int:
    """Remove every trace of a session from the store, after asking on a terminal."""
    library = Library(settings)
    name = library.find(arguments.session)
    if not (arguments.dry_run or arguments.yes or _is_terminal()):
        raise GuardError(
            f"Nothing was purged: there is no terminal to ask on whether {name} is to go for good",
            "Say --yes if it is, or look first with --dry-run",
            ExitCode.REFUSED,
        )
    if not arguments.dry_run and not arguments.yes:
        here = screen.of(sys.stderr)
        title = library.titles.get(name, "") or "Untitled"
        print(
            here.safe(f'Purge {name} "{title}" from the store, for good? [y/N] '),
            end="",
            file=sys.stderr,
            flush=True,
        )
        if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
            raise GuardError("Nothing was purged", "", ExitCode.REFUSED)
    answer = control.ask(settings, "purge", name=name, dry_run=arguments.dry_run)
    done = "would go" if arguments.dry_run else "are gone"
    size = about_size(answer["size_bytes"])
    return _report(
        arguments,
        "purge",
        answer,
        f"{name}: {counted(answer['files'], 'file')} ({size}) {done} from the store.{_stays(library, name)}",
    )


def _is_terminal() -> bool:
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # it was closed
        return False


def _stays(library: Library, name: str) -> str:
    """Return what whoever purges a session must know as long as hermes-webui has it."""
    if not library.live_path(name).exists():
        return ""
    return " Its file is still there, and a guard keeps a new copy of it: to be rid of it, delete it in hermes-webui first."


def _report(arguments: argparse.Namespace, kind: str, answer: dict[str, Any], sentence: str) -> int:
    if arguments.json:
        print_json(kind, answer)
    else:
        here = screen.of()
        here.write(here.safe(sentence))
    return ExitCode.OK


def _messages(answer: dict[str, Any]) -> str:
    """Return what an act changed, in messages: ": 1000 messages, 12 now (12 stay, 988 come back)"."""
    if "messages_gone" not in answer:
        return ""
    before, after = answer["messages_live"], answer["messages_after"]
    parts = [
        f"{answer['messages_back']:,} come back" if answer["messages_back"] else "",
        f"{answer['messages_gone']:,} go" if answer["messages_gone"] else "",
    ]
    what = " and ".join(filter(None, parts))
    return f": {counted(after, 'message')}, {before:,} before" + (f" ({what})" if what else "")


def _reverse(answer: dict[str, Any]) -> str:
    version = answer.get("version")
    return f" To reverse it: hermesguard restore {answer['session']}@{version} --replace" if version else ""
