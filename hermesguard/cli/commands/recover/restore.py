"""`restore`, `undo`, `accept`, `prune`, `purge`: done by the running guard, or without one by this process with the same code."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hermesguard import files
from hermesguard.cli.commands.inspect.list import reason_in_words
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import Column, counted, moment, table
from hermesguard.cli.output.terminal import cut
from hermesguard.config.paths import is_inside
from hermesguard.config.settings import Settings
from hermesguard.config.units import about_size
from hermesguard.daemon import control
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.directories.together import library_of
from hermesguard.lookup.library import Library
from hermesguard.lookup.selectors import Chosen
from hermesguard.lookup.typed import as_typed
from hermesguard.store.history import Version

_OLDER_SHOWN = 5
_TITLE_COLUMNS = 60


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
    library = library_of(settings)
    name, chosen = library.choose(arguments.session)
    chosen = chosen or library.newest(name)
    if name not in library.kept and name not in (library.live or ()):
        raise library.nothing_left(name)
    if arguments.output:
        return _write_elsewhere(arguments, library, name, chosen)
    if chosen.kind == "live":
        raise GuardError(f"@live is what {name} is now", "Choose another version", ExitCode.USAGE)
    version = chosen.version.name if chosen.version else ""
    part, own = library.place(name)
    answer = _asked(
        library,
        part,
        "restore",
        name=own,
        version=version,
        replace=arguments.replace,
        dry_run=arguments.dry_run,
        **({"part": arguments.part} if arguments.part else {}),
    )
    title = cut(" ".join(library.title_once(name).split()) or "Untitled", _TITLE_COLUMNS)
    if answer["action"] == "unchanged":
        sentence = f'"{title}" ({name}) has all of @{chosen.name} already{_messages(answer)}.'
        older = [] if chosen.version else library.store.versions(name)[: -_OLDER_SHOWN - 1 : -1]
        sentence += _closed(answer) or ("" if older else " No action required.")
        answer |= {"older": [version.name for version in older]}
        return _report(arguments, "restore", answer, sentence, _older(name, older))
    would = "would be" if arguments.dry_run else "is"
    return _report(
        arguments,
        "restore",
        answer,
        f'"{title}" ({name}@{chosen.name}) {would} live{_messages(answer)}.{_closed(answer)}{_reverse(answer)}',
    )


def _asked(library: Library, part: Library, verb: str, /, **arguments: Any) -> dict[str, Any]:
    """Have an act done in a part of the store; return the answer, its session called as it is here."""
    answer = control.ask(part.settings, verb, **arguments)
    if "session" in answer:
        answer["session"] = library.name_in(part, answer["session"])
    return answer


def _older(name: str, versions: list[Version]) -> list[str]:
    """Return what there is beside the newest copy: a chat that an act shortened has what was taken away there."""
    if not versions:
        return []
    lines = [
        f"  hermesguard restore {name}@-{back}  {version.messages:,} messages, kept {moment(version.time)}: "
        f"{reason_in_words(version)}"
        for back, version in enumerate(versions, 1)
    ]
    return ["Older versions that can be brought back:", *lines]


def _closed(answer: dict[str, Any]) -> str:
    """Return which open incidents an act has answered."""
    numbers = [f"#{number}" for number in answer.get("resolved", ())]
    return f" That answers {', '.join(numbers)}." if numbers else ""


def _restore_all_missing(arguments: argparse.Namespace, settings: Settings) -> int:
    answer: dict[str, Any] = {"missing": [], "restored": [], "failed": [], "dry_run": arguments.dry_run}
    library = library_of(settings)
    errors = []
    for part in library.libraries:
        if len(library.libraries) > 1 and not part.kept:
            continue
        try:
            found = control.ask(part.settings, "restore_all_missing", dry_run=arguments.dry_run)
        except GuardError as error:  # of this directory alone
            errors.append(error)
            continue
        for key in ("missing", "restored", "failed"):
            answer[key] += [library.name_in(part, name) for name in found[key]]
    if errors and len(errors) == len(library.libraries):
        raise errors[0]
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
            if not errors
            else "No session is missing elsewhere."
        )
    if answer["failed"]:
        raise GuardError(
            f"{counted(len(answer['failed']), 'session')} could not be restored: {', '.join(answer['failed'])}",
            f"hermesguard history {answer['failed'][0]} shows what there is of it, hermesguard verify what is damaged",
        )
    if errors:
        raise errors[0]
    return ExitCode.OK


def _write_elsewhere(arguments: argparse.Namespace, library: Library, name: str, chosen: Chosen) -> int:
    data = library.copy(name, chosen).document.text.encode()
    if arguments.output == "-":
        if not arguments.dry_run:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return ExitCode.OK
    target = Path(arguments.output).absolute()
    if any(is_inside(target.parent, part.settings.sessions) for part in library.libraries):
        raise GuardError(
            f"{target} lies in the sessions directory, where hermes-webui would take it for a session",
            "Choose another place, or leave -o out to make the version live",
            ExitCode.REFUSED,
        )
    require_directory(target)
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


def require_directory(target: Path) -> None:
    """Raise GuardError when there is no directory for a file that a user named."""
    if not target.parent.is_dir():
        raise GuardError(f"There is no directory {target.parent}", "Make it first, or choose another place")


def undo(arguments: argparse.Namespace, settings: Settings) -> int:
    """Reverse what the guard did in one incident."""
    number = arguments.incident.removeprefix("#")
    library = library_of(settings)
    part = library.of_incident(number)
    answer = _asked(library, part, "undo", incident=number, merge=arguments.merge, dry_run=arguments.dry_run)
    done = "would be undone" if arguments.dry_run else "is undone"
    changes = _messages(answer) or ": the file is taken away again"
    now = Library(part.settings).title(library.place(answer["session"])[1])
    title = cut(" ".join(now.split()), _TITLE_COLUMNS)
    named = f'"{title}" ({answer["session"]})' if title else answer["session"]
    sentence = f"Incident {number} {done}. {named}{changes}.{_reverse(answer)}"
    return _report(arguments, "undo", answer, sentence)


def accept(arguments: argparse.Namespace, settings: Settings) -> int:
    """Make the live file of a session the copy to trust."""
    library = library_of(settings)
    name = library.find(arguments.session)
    part, own = library.place(name)
    answer = _asked(library, part, "accept", name=own, dry_run=arguments.dry_run)
    done = "would be accepted" if arguments.dry_run else "is accepted"
    title = cut(" ".join(library.title(name).split()) or "Untitled", _TITLE_COLUMNS)
    messages = counted(answer["messages_live"], "message")
    if answer["messages_before"] != answer["messages_live"]:
        messages += f"; the newest good copy had {answer['messages_before']:,}"
    kept = f" That copy is kept as {name}@{answer['version']}." if answer.get("version") else ""
    return _report(arguments, "accept", answer, f'"{title}" ({name}) {done} as it is: {messages}.{kept}')


def prune(arguments: argparse.Namespace, settings: Settings) -> int:
    """Remove what need not be kept, and say of each version why it stays or goes."""
    library = library_of(settings)
    answers, errors = [], []
    for part in library.libraries:
        try:
            answers.append((part, control.ask(part.settings, "prune", dry_run=arguments.dry_run)))
        except GuardError as error:  # of this part alone
            errors.append(error)
    if not answers:
        raise errors[0]
    answer = _pruned(library, answers)
    _print_pruned(arguments, answer)
    if errors:
        raise errors[0]
    return ExitCode.OK


def _print_pruned(arguments: argparse.Namespace, answer: dict[str, Any]) -> None:
    if arguments.json:
        print_json("prune", answer)
        return
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


def _pruned(library: Library, answers: list[tuple[Library, dict[str, Any]]]) -> dict[str, Any]:
    """Return what was pruned in all parts of the store together."""
    answer = dict(answers[0][1])
    for key in ("store_size_bytes", "excess_bytes"):
        answer[key] = sum(one[key] for _, one in answers)
    answer["clock_is_trusted"] = all(one["clock_is_trusted"] for _, one in answers)
    answer["versions"] = [
        {**entry, "session": library.name_in(part, entry["session"])}
        for part, one in answers
        for entry in one["versions"]
    ]
    return answer


def purge(arguments: argparse.Namespace, settings: Settings) -> int:
    """Remove every trace of a session from the store, after asking on a terminal."""
    library = library_of(settings)
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
    part, own = library.place(name)
    answer = _asked(library, part, "purge", name=own, dry_run=arguments.dry_run)
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


def _report(
    arguments: argparse.Namespace, kind: str, answer: dict[str, Any], sentence: str, more: Iterable[str] = ()
) -> int:
    if arguments.json:
        print_json(kind, answer)
    else:
        here = screen.of()
        for line in (sentence, *more):
            here.write(here.safe(as_typed(line)))
    return ExitCode.OK


def _messages(answer: dict[str, Any]) -> str:
    """Return what an act changed, in messages: ": 1,000 messages instead of 12 (988 come back)"."""
    if "messages_gone" not in answer:
        return ""
    before, after = answer["messages_live"], answer["messages_after"]
    parts = [
        f"{answer['messages_back']:,} come back" if answer["messages_back"] else "",
        f"{answer['messages_gone']:,} go" if answer["messages_gone"] else "",
    ]
    what = " and ".join(filter(None, parts))
    instead = f" instead of {before:,}" if before != after or what else ""
    return f": {counted(after, 'message')}{instead}" + (f" ({what})" if what else "")


def _reverse(answer: dict[str, Any]) -> str:
    version = answer.get("version")
    if not version and answer["action"] in ("restored", "replaced") and not answer["dry_run"]:
        return " To reverse it: delete it in hermes-webui."
    return f" To reverse it: hermesguard restore {answer['session']}@{version} --replace" if version else ""
