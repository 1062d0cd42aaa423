"""`lost`: everything that a user may miss, and the command for each."""

import argparse
from datetime import UTC, datetime
from typing import Final

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import counted, moment
from hermesguard.cli.output.terminal import Screen, Style, cut
from hermesguard.cli.output.transcript import wrapped
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode
from hermesguard.lookup.directories.together import library_of
from hermesguard.lookup.library import Library
from hermesguard.lookup.missed import KINDS, Missed, in_words, missed, summary
from hermesguard.lookup.objects import lost_object
from hermesguard.lookup.selectors import parse_moment
from hermesguard.lookup.typed import as_typed

_SHOWN: Final = 20
_STYLES: Final = {
    "lost before": Style.RED,
    "unreadable": Style.RED,
    "not repaired": Style.RED,
    "uncertain": Style.YELLOW,
    "not known": Style.YELLOW,
    "repaired": Style.CYAN,
}
_INDENT: Final = "  "


def lost(arguments: argparse.Namespace, settings: Settings) -> int:
    """List what may be missed, newest first."""
    library = library_of(settings)
    now = datetime.now(UTC)
    since = parse_moment(arguments.since, now) if arguments.since else None
    found = [one for one in missed(library) if not since or one.time >= since]
    if arguments.json:
        print_json("lost", {"lost": [lost_object(library, one) for one in found]})
        return ExitCode.OK
    here = screen.of()
    if not found:
        words = "Nothing is missing" + (" since then" if since else "") + ", as far as this guard knows"
        if not library.sessions:
            words += f": it has seen no conversation yet. Whether it looks at the right place: {as_typed('hermesguard status')}"
        here.write(words + ".")
        return ExitCode.OK
    for line in wrapped(
        here, f"{counted(len(found), 'thing')} that may be missed: {in_words(summary(found))}.", ""
    ):
        here.write(line)
    shown = found if arguments.all else found[:_SHOWN]
    for one in shown:
        here.write("\n" + _block(here, library, one))
    if len(found) > len(shown):
        here.write(f"\nThese are the newest {len(shown)}; all of them: {as_typed('hermesguard lost --all')}")
    return ExitCode.OK


def _block(here: Screen, library: Library, one: Missed) -> str:
    title = here.cell(library.title_once(one.session)) or "Untitled"
    when = moment(one.time)
    heading = f"{here.paint(cut(title, max(24, here.width - len(when) - 2)), Style.BOLD)}  {here.paint(when, Style.FAINT)}"
    directory = library.directory_of(one.session)
    what = KINDS[one.kind][1] + counts(one) + (f" (in {directory})" if directory else "")
    lines = [
        heading,
        *(here.paint(line, _STYLES.get(one.kind, Style.PLAIN)) for line in wrapped(here, what, _INDENT)),
    ]
    if one.kind == "lost before":
        for sentence in one.evidence:
            lines += wrapped(here, sentence, _INDENT)
    return "\n".join([*lines, _INDENT + here.safe(as_typed(one.command))])


def counts(one: Missed) -> str:
    """Return ": 40 messages before, 2 now", as far as that is known."""
    parts = []
    if one.before is not None:
        parts.append(f"{counted(one.before, 'message')} before")
    if one.now is not None and one.kind != "deleted":
        parts.append(f"{one.now:,} now")
    return ": " + ", ".join(parts) if parts else ""
