"""`find`: a conversation by words of its title or its text, wherever a copy of it is."""

import argparse
import contextlib
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from hermesguard.cli.library import Library
from hermesguard.cli.lookup.search import Hit, Passage, Query, chosen, search
from hermesguard.cli.lookup.typed import as_typed
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import moment
from hermesguard.cli.output.terminal import Screen, Style, cut
from hermesguard.cli.output.transcript import wrapped
from hermesguard.cli.overview import entry_of, version_names
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError

_SHOWN: Final = 10
_INDENT: Final = "  "


class _Found(NamedTuple):
    hit: Hit
    passage: Passage
    title: str
    state: str
    changed: datetime | None
    command: str
    where: str


def find(arguments: argparse.Namespace, settings: Settings) -> int:
    """List the conversations that have the words, the best first."""
    library = Library(settings)
    text = " ".join(arguments.words)
    query = Query(text)
    if not query.words:
        raise GuardError("find needs words", "Write some of the title, or of the text", ExitCode.USAGE)
    hits = search(library, query)
    hits.sort(
        key=lambda hit: (hit.rank, not _is_in_title(library, query, hit), -_age(library, hit), hit.session)
    )
    found: list[_Found] = []
    left = len(hits)
    for hit in hits:
        if len(found) == (left if arguments.all else _SHOWN):
            break
        if one := _look_at(library, query, hit):
            found.append(one)
        else:
            left -= 1
    if arguments.json:
        print_json("found", {"words": text, "count": left, "found": [_as_json(one) for one in found]})
        return ExitCode.OK if found else ExitCode.NOT_FOUND
    if not found:
        raise GuardError(
            f'No conversation has "{text}", in no copy that is kept',
            "Try fewer words, or parts of them; what is known to be missing: hermesguard lost",
            ExitCode.NOT_FOUND,
        )
    here = screen.of()
    here.write("\n\n".join(_block(here, one) for one in found))
    if left > len(found):
        command = as_typed(f"hermesguard find --all {text}")
        here.write(here.safe(f"\nThese are the best {len(found)} of {left:,}; all of them: {command}"))
    return ExitCode.OK


def _is_in_title(library: Library, query: Query, hit: Hit) -> bool:
    return query.rank(library.title(hit.session).encode("utf-8", "replace")) == hit.rank


def _age(library: Library, hit: Hit) -> float:
    """Return when the session was last changed."""
    for path in (library.live_path(hit.session), library.store.shadow_path(hit.session)):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _look_at(library: Library, query: Query, hit: Hit) -> _Found | None:
    """Return what there is to say of a hit; None when the words stand in nothing that people read."""
    title = library.title(hit.session)
    passage: Passage | None = Passage(0, "", "")
    if (library.live and hit.session in library.live) or hit.session in library.kept:
        try:
            passage = query.passage(library.copy(hit.session, chosen(library, hit)).document, hit.rank)
        except GuardError:  # a torn file is no conversation that could be shown
            passage = query.passage_of_torn(title, _bytes(library, hit))
    if passage is None:
        return None
    entry = entry_of(library, hit.session)
    command, where = _way_back(library, hit, entry.state)
    return _Found(hit, passage, title or "Untitled", entry.state, entry.changed, command, where)


def _bytes(library: Library, hit: Hit) -> bytes:
    try:
        return library.read(hit.session, chosen(library, hit))
    except GuardError:
        return b""


def _way_back(library: Library, hit: Hit, state: str) -> tuple[str, str]:
    """Return the command that brings the words back, and in words where they are."""
    name = hit.session
    is_live = name in (library.live or ())
    if state in ("lost", "unreadable") and name not in library.kept:
        return f"hermesguard explain {name}", "there is no copy of it"
    if hit.source == "live" and is_live:
        return f"hermesguard show {name}", "it is in the conversation"
    if hit.source == "latest":
        return f"hermesguard restore {name}", "it is in the newest good copy" + (
            ", not in the file" if is_live else "; the file is gone"
        )
    names = version_names(library, name)
    back = len(names) - names.index(hit.version) if hit.version in names else 1
    kept = moment(datetime.fromisoformat(hit.version.split("-")[0])) if hit.version else ""
    if not library.store.has_shadow(name) and back == 1:
        return f"hermesguard restore {name}", "it is in the copy that is still kept"
    return f"hermesguard restore {name}@-{back}", f"it is not in the file now, but in the version of {kept}"


def _block(here: Screen, one: _Found) -> str:
    about = f"{one.hit.session}, {one.state}" + (f", {moment(one.changed)}" if one.changed else "")
    title = cut(here.cell(one.title), max(24, here.width))
    lines = [here.paint(title, Style.BOLD), _INDENT + here.paint(here.safe(about), Style.FAINT)]
    if one.passage.text:
        number = f"#{one.passage.number} " if one.passage.number else ""
        lines += wrapped(here, f"{number}{one.passage.role}: {one.passage.text}", _INDENT)
    lines += wrapped(here, f"{one.where}:", _INDENT)
    return "\n".join([*lines, _INDENT + here.safe(as_typed(one.command))])


def _as_json(one: _Found) -> dict[str, Any]:
    return {
        "session": one.hit.session,
        "title": one.title,
        "state": one.state,
        "is_phrase": one.hit.rank == 0,
        "source": one.hit.source,
        "version": one.hit.version.split("-")[0],
        "message": one.passage.number or None,
        "text": one.passage.text,
        "command": as_typed(one.command),
        "changed": one.changed.astimezone(UTC).isoformat() if one.changed else None,
    }
