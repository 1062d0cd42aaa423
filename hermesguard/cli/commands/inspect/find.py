"""`find`: a conversation by words of its title or its text, wherever a copy of it is."""

import argparse
import shlex
from typing import Final

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import moment
from hermesguard.cli.output.terminal import Screen, Style, cut
from hermesguard.cli.output.transcript import wrapped
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.directories.together import library_of
from hermesguard.lookup.find.found import Found, found_in
from hermesguard.lookup.find.query import Query
from hermesguard.lookup.library import Library
from hermesguard.lookup.objects import found_object
from hermesguard.lookup.typed import as_typed

_SHOWN: Final = 10
_INDENT: Final = "  "


def find(arguments: argparse.Namespace, settings: Settings) -> int:
    """List the conversations that have the words, the best first."""
    library = library_of(settings)
    text = " ".join(arguments.words)
    query = Query(text)
    if not query.words:
        raise GuardError("find needs words", "Write some of the title, or of the text", ExitCode.USAGE)
    found, left = found_in(library, query, None if arguments.all else _SHOWN)
    if arguments.json:
        print_json(
            "found", {"words": text, "count": left, "found": [found_object(library, one) for one in found]}
        )
        return ExitCode.OK if found else ExitCode.NOT_FOUND
    if not found and not (library.kept or library.live):
        raise GuardError(
            f'No conversation has "{text}", for no copy is kept yet',
            "Whether the guard looks at the right place: hermesguard status",
            ExitCode.NOT_FOUND,
        )
    if not found:
        raise GuardError(
            f'No conversation has "{text}" in any copy that is kept',
            "Try fewer words, or parts of them; what is known to be missing: hermesguard lost",
            ExitCode.NOT_FOUND,
        )
    here = screen.of()
    here.write("\n\n".join(_block(here, library, one) for one in found))
    if left > len(found):
        begin = ["--"] if any(word.startswith("-") for word in arguments.words) else []
        command = as_typed(f"hermesguard find --all {shlex.join([*begin, *arguments.words])}")
        said = f"These are the best {len(found)} of {left:,}; all of them: {command}"
        here.write("\n" + "\n".join(wrapped(here, said, "")))
    return ExitCode.OK


def _block(here: Screen, library: Library, one: Found) -> str:
    directory = library.directory_of(one.hit.session)
    where = f" in {directory}" if directory else ""
    about = f"{one.hit.session}{where}, {one.state}" + (f", {moment(one.changed)}" if one.changed else "")
    title = cut(here.cell(one.title) or "Untitled", max(24, here.width))
    lines = [here.paint(title, Style.BOLD), _INDENT + here.paint(here.safe(about), Style.FAINT)]
    if one.passage.text:
        number = f"#{one.passage.number} " if one.passage.number else ""
        lines += wrapped(here, f"{number}{one.passage.role}: {one.passage.text}", _INDENT)
    lines += wrapped(here, f"{one.where}:", _INDENT)
    return "\n".join([*lines, _INDENT + here.safe(as_typed(one.command))])
