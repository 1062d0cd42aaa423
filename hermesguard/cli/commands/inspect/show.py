"""`show` and `diff`: conversations for reading."""

import argparse
from datetime import datetime

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import counted, moment
from hermesguard.cli.output.terminal import Screen, Style, cut
from hermesguard.cli.output.transcript import (
    conversation,
    difference,
    markdown,
    part_lines,
    summary,
)
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.changes import changes
from hermesguard.lookup.library import Copy, Library
from hermesguard.lookup.objects import conversation_object, difference_object
from hermesguard.lookup.selectors import LIVE
from hermesguard.lookup.typed import as_typed
from hermesguard.webui.compare import parts
from hermesguard.webui.compare.diff import compare


def show(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print a conversation, for the eye, as Markdown or as JSON."""
    library = Library(settings)
    name, chosen = library.choose(arguments.session)
    copy = library.copy(name, chosen or library.newest(name))
    messages = copy.document.messages
    if arguments.json:
        print_json("conversation", conversation_object(copy, arguments.last))
        return ExitCode.OK
    here = screen.of()
    if arguments.markdown:
        text = markdown(copy.document.title, messages, last=arguments.last, full=arguments.full)
        here.write("\n".join(map(here.safe, text.split("\n"))) if here.is_terminal else text)
        return ExitCode.OK
    text = conversation(here, messages, last=arguments.last, full=arguments.full)
    heading = here.paint(cut(here.cell(copy.document.title) or "Untitled", here.width), Style.BOLD)
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
    repair = None if chosen or arguments.other else library.last_repair(name)
    first = chosen or (repair[1] if repair else library.before(name))
    second = library.version(name, _without_at(arguments.other)) if arguments.other else LIVE
    a, b = library.copy_or_nothing(name, first, repair is not None), library.copy(name, second)
    comparison = compare(a.document.messages, b.document.messages)
    found = changes(comparison)
    hung = list(parts.gone(a.document, b.document, comparison))
    is_way_back = second == LIVE and first != LIVE
    back = as_typed(f"hermesguard restore {name}@{first.name} --part") if is_way_back else ""
    if arguments.json:
        print_json("difference", difference_object(a, b, found, hung, back))
        return ExitCode.OK
    here = screen.of()
    lines = [
        here.safe(f"A  {_named(a)}, {counted(len(a.document.messages), 'message')}"),
        here.safe(f"B  {_named(b)}, {counted(len(b.document.messages), 'message')}"),
        *([f"What incident {repair[0].id} lost, and what came back:"] if repair else []),
        here.paint(summary(found, repair is not None), Style.BOLD),
        "",
        difference(here, comparison, found),
        *(map(here.safe, part_lines(hung, back))),
    ]
    _print(here, "\n".join(lines).rstrip(), arguments.no_pager)
    return ExitCode.OK


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
