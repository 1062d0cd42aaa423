"""`show` and `diff`: conversations for reading."""

import argparse
from datetime import datetime

from hermesguard.cli.library import Copy, Library
from hermesguard.cli.lookup.typed import as_typed
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import counted, moment
from hermesguard.cli.output.terminal import Screen, Style
from hermesguard.cli.output.transcript import (
    changes,
    conversation,
    difference,
    markdown,
    part_lines,
    summary,
)
from hermesguard.cli.selectors import LIVE, Chosen
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.store.incidents import LOST_BEFORE, Incident
from hermesguard.webui import session
from hermesguard.webui.compare import parts
from hermesguard.webui.compare.diff import compare


def show(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print a conversation, for the eye, as Markdown or as JSON."""
    library = Library(settings)
    name, chosen = library.choose(arguments.session)
    copy = library.copy(name, chosen or library.newest(name))
    messages = copy.document.messages
    if arguments.json:
        first = max(0, len(messages) - arguments.last) if arguments.last else 0
        members = {
            "session": copy.session,
            "version": copy.chosen.name,
            "title": copy.document.title,
            "message_count": len(messages),
            "first_message": first + 1,
            "messages": [message.value for message in messages[first:]],
        }
        print_json("conversation", members)
        return ExitCode.OK
    here = screen.of()
    if arguments.markdown:
        text = markdown(copy.document.title, messages, last=arguments.last, full=arguments.full)
        here.write("\n".join(map(here.safe, text.split("\n"))) if here.is_terminal else text)
        return ExitCode.OK
    text = conversation(here, messages, last=arguments.last, full=arguments.full)
    heading = here.paint(here.cell(copy.document.title or "Untitled"), Style.BOLD)
    about = here.safe(f"{_named(copy)}, {counted(len(messages), 'message')}")
    _print(
        here,
        f"{heading}\n{here.paint(about, Style.FAINT)}\n\n{text}".rstrip(),
        arguments.no_pager,
    )
    return ExitCode.OK


def diff(arguments: argparse.Namespace, settings: Settings) -> int:
    """Say message by message what became of A in B."""
    library = Library(settings)
    name, chosen = library.choose(arguments.session)
    repair = None if chosen or arguments.other else _last_repair(library, name)
    first = chosen or (repair[1] if repair else library.before(name))
    second = library.version(name, _without_at(arguments.other)) if arguments.other else LIVE
    a, b = _copy_or_nothing(library, name, first, repair is not None), library.copy(name, second)
    comparison = compare(a.document.messages, b.document.messages)
    found = changes(comparison)
    hung = list(parts.gone(a.document, b.document, comparison))
    is_way_back = second == LIVE and first != LIVE
    back = as_typed(f"hermesguard restore {name}@{first.name} --part") if is_way_back else ""
    if arguments.json:
        members = {
            "session": name,
            "a": {"version": first.name, "message_count": len(a.document.messages)},
            "b": {"version": second.name, "message_count": len(b.document.messages)},
            "changes": [
                {
                    "kind": change.kind,
                    "a_number": change.in_a,
                    "b_number": change.in_b,
                    "why": change.why,
                }
                for change in found
                if change.kind != "same"
            ],
            "same": sum(change.kind == "same" for change in found),
            "parts": [
                {
                    "name": part,
                    "a_numbers": [index + 1 for index, _ in pairs],
                    "b_numbers": [index + 1 for _, index in pairs],
                    "command": f"{back} {part}" if back else "",
                }
                for part, pairs in hung
            ],
        }
        print_json("difference", members)
        return ExitCode.OK
    here = screen.of()
    lines = [
        here.safe(f"A  {_named(a)}, {counted(len(a.document.messages), 'message')}"),
        here.safe(f"B  {_named(b)}, {counted(len(b.document.messages), 'message')}"),
        *([f"What incident {repair[0].id} lost, and what came back:"] if repair else []),
        here.paint(summary(found), Style.BOLD),
        "",
        difference(here, comparison, found),
        *(map(here.safe, part_lines(hung, back))),
    ]
    _print(here, "\n".join(lines).rstrip(), arguments.no_pager)
    return ExitCode.OK


def _last_repair(library: Library, name: str) -> tuple[Incident, Chosen] | None:
    """Return the newest repair and what it displaced, when nothing was taken away on purpose or decided by a user since."""
    versions = {version.name: version for version in library.store.versions(name)}
    log = [
        one
        for one in library.everything
        if one.session == name and one.event not in ("resolved", LOST_BEFORE)
    ]
    if not log or log[-1].is_by_user or log[-1].is_note:
        return None
    displaced = versions.get(log[-1].displaced)
    return (log[-1], Chosen("version", displaced)) if displaced else None


def _copy_or_nothing(library: Library, name: str, chosen: Chosen, is_displaced: bool) -> Copy:
    """Return a copy; of what a repair displaced and nobody can read, one without messages."""
    try:
        return library.copy(name, chosen)
    except GuardError:
        if not is_displaced:
            raise
        return Copy(name, chosen, session.parse(b"{}"))


def _without_at(text: str) -> str:
    if not text.startswith("@"):
        raise GuardError(f'"{text}" is not a version', "Write it with an @, as in @latest", ExitCode.USAGE)
    return text[1:]


def _named(copy: Copy) -> str:
    kept: datetime | None = copy.chosen.version.time if copy.chosen.version else None
    what = {"live": "the live file", "latest": "the newest good copy"}.get(
        copy.chosen.kind, f"kept {moment(kept)}"
    )
    return f"{copy.session}@{copy.chosen.name}, {what}"


def _print(here: Screen, text: str, no_pager: bool) -> None:
    if no_pager:
        here.write(text)
    else:
        here.page(text)
