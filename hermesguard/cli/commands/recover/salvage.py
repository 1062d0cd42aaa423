"""`salvage`: finds what was lost before the guard came, shows it, and brings it back."""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from hermesguard import files
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import Cell, Column, counted, moment, table
from hermesguard.cli.output.terminal import Screen, Style
from hermesguard.cli.output.transcript import wrapped
from hermesguard.config.settings import Settings
from hermesguard.daemon import control
from hermesguard.errors import ExitCode, GuardError
from hermesguard.guard.requests.handover import hand_over
from hermesguard.lookup.directories.together import SEPARATOR, library_of
from hermesguard.lookup.library import Library
from hermesguard.lookup.selectors import find_session
from hermesguard.lookup.typed import as_typed
from hermesguard.salvage.finding import Finding, State
from hermesguard.salvage.places import Places, places_of
from hermesguard.salvage.standing import Standing
from hermesguard.salvage.survey import Survey, survey
from hermesguard.store.directories.parts import Part, meant, part_settings
from hermesguard.store.store import Store

_PROGRESS_AFTER_SECONDS: Final = 1.0
_SIGNS: Final = {
    Standing.PRESENT: (" ", Style.FAINT),
    Standing.LOST: ("+", Style.GREEN),
    Standing.UNCERTAIN: ("?", Style.YELLOW),
    Standing.TAKEN_BACK: ("-", Style.FAINT),
}


def salvage(arguments: argparse.Namespace, settings: Settings) -> int:
    """Look for what was lost, and do with it what was asked for."""
    notes: list[str] = []
    parts = _parts(settings, notes)
    places = [places_of(part_settings(settings, part), arguments.hermes_home) for part in parts]
    named = _named(parts, places, settings, arguments.conversations)
    if arguments.show and not any(named):
        raise GuardError(
            "--show needs a session", "Name one of these: hermesguard salvage --dry-run", ExitCode.USAGE
        )
    answers: list[dict[str, Any]] = []
    here = screen.of()
    others = _elsewhere(settings)
    called = _names(settings)
    with _Progress() as progress:
        for part, place, names in zip(parts, places, named, strict=True):
            if arguments.conversations and not names:
                continue
            for finding in survey(place, names, progress, notes):
                if finding.session in others(place.sessions):
                    continue
                known = {**finding.summary(), "session": called(part, finding.session)}
                if len(places) > 1:
                    known["directory"] = part.name
                if arguments.show:
                    progress.clear()
                    answers.append(_shown(arguments, here, finding, known))
                    continue
                answers.append(_done(arguments, part_settings(settings, part), finding, known, bool(names)))
    if arguments.json:
        members = {"dry_run": arguments.dry_run, "conversations": answers, "notes": notes}
        print_json("salvage", members)
    elif not arguments.show:
        _report(here, arguments, answers, notes)
    return ExitCode.FAILED if any(answer["error"] for answer in answers) else ExitCode.OK


def _parts(settings: Settings, notes: list[str]) -> list[Part]:
    """Return the directories in which to look, with a note of each other one; GuardError when none can be read."""
    found, errors = [], []
    for part in meant(settings):
        try:
            next(part.sessions.iterdir(), None)
        except OSError as error:
            what = f"The sessions directory {part.sessions} cannot be read: {error.strerror}"
            errors.append((part, what))
        else:
            found.append(part)
    if not found:
        raise GuardError(errors[0][1], "Name it with --sessions DIR, or run as a user who may read it")
    notes += [
        f"{what}; nothing was looked for there." for part, what in errors if Store(part.root).sessions()
    ]
    return found


def _names(settings: Settings) -> Callable[[Part, str], str]:
    """Return what tells how a session of a part is called: by the name of the part too when another one has it as well."""
    if len(meant(settings)) == 1:
        return lambda _, session: session
    library = library_of(settings)
    libraries = {one.settings.sessions: one for one in library.libraries}
    return lambda part, session: library.name_in(libraries[part.sessions], session)


def _elsewhere(settings: Settings) -> Callable[[Path], frozenset[str]]:
    """Return what tells the sessions that are in another directory and not in this one: the traces of profiles are shared."""
    if len(meant(settings)) == 1:
        return lambda _: frozenset()
    libraries = library_of(settings).libraries
    known = {one.settings.sessions: {*one.sessions, *(one.live or ())} for one in libraries}

    def others(sessions: Path) -> frozenset[str]:
        return (
            frozenset().union(*(names for path, names in known.items() if path != sessions)) - known[sessions]
        )

    return others


def _titled(known: Mapping[str, str], stores: Iterable[Library]) -> dict[str, str]:
    """Return the title of each conversation, of those that no index and no database names as its copies have it."""
    return {
        name: title or next((store.title_once(name) for store in stores if name in store.sessions), "")
        for name, title in known.items()
    }


def _named(
    parts: list[Part], places: list[Places], settings: Settings, asked: Iterable[str]
) -> list[list[str]]:
    """Return the sessions that are meant, of each directory; GuardError when one means none, or several."""
    texts = list(asked)
    found: list[list[str]] = [[] for _ in places]
    if not texts:
        return found
    known = []
    for place in places:
        look = Survey(place)
        try:
            known.append(look.known())
        finally:
            look.close()
    stores: dict[Path, Library] = {}
    with contextlib.suppress(GuardError):  # there need not be a store yet
        stores = {one.settings.sessions: one for one in library_of(settings).libraries}
        for number, part in enumerate(parts):
            known[number] = {**dict.fromkeys(stores[part.sessions].sessions, ""), **known[number]}
    others = _elsewhere(settings)
    everything = {name: title for names in reversed(known) for name, title in names.items()}
    for text in dict.fromkeys(texts):
        directory, separator, rest = text.partition(SEPARATOR)
        if separator and len(parts) > 1 and directory in (by_name := [part.name for part in parts]):
            mine = by_name.index(directory)
            name = find_session(rest, known[mine], partial(_titled, known[mine], stores.values()))
            if name not in found[mine]:
                found[mine].append(name)
            continue
        name = find_session(text, everything, partial(_titled, everything, stores.values()))
        having = [
            number
            for number, names in enumerate(known)
            if name in names and name not in others(places[number].sessions)
        ]
        for number in having:
            if name not in found[number]:
                found[number].append(name)
    return found


def _done(
    arguments: argparse.Namespace,
    settings: Settings,
    finding: Finding,
    known: dict[str, Any],
    is_named: bool,
) -> dict[str, Any]:
    """Do with one finding what was asked for; return it with what was done."""
    answer: dict[str, Any] = {
        **known,
        "action": "none",
        "version": "",
        "incident": "",
        "error": "",
    }
    with_uncertain = is_named and finding.state in (State.LOST, State.UNCERTAIN)
    if not finding.lost and not (with_uncertain and finding.uncertain):
        return answer
    if with_uncertain:
        answer["messages_after"] = finding.messages_after + finding.uncertain
    if arguments.dry_run:
        return answer
    name = ""
    try:
        Store(settings.store).create()
        name = hand_over(settings.store, finding.session, finding.document(with_uncertain))
        done = control.ask(settings, "salvage", name=finding.session, file=name, restore=arguments.restore)
    except (GuardError, OSError) as error:
        answer["error"] = str(error)
        if name:
            files.remove(settings.store / name)  # nobody has taken it
        return answer
    return {
        **answer,
        "action": done["action"],
        "version": done["salvaged"],
        "incident": done.get("incident", ""),
        "messages_after": done["messages_after"],
    }


# -- what people read


def _report(
    here: Screen, arguments: argparse.Namespace, answers: list[dict[str, Any]], notes: list[str]
) -> None:
    if answers:
        columns = (
            Column("SESSION"),
            Column("TITLE", least=12),
            Column("NOW", is_right=True),
            Column("AFTER", is_right=True),
            Column("UNCERTAIN", is_right=True, rank=2),
            Column("TAKEN BACK", is_right=True, rank=3),
            Column("", least=20),
        )
        here.write(table(here, columns, [_row(answer) for answer in answers]))
    for answer in answers:
        lines = [f"{answer['session']}: {why}" for why in answer["why"]]
        traces = ", ".join(f"{one['kind']} ({one['messages']:,})" for one in answer["traces"])
        lines += [f"{answer['session']}: from {traces}"] if traces else []
        lines += [f"{answer['session']}: {note}" for note in answer["notes"]]
        if answer["error"]:
            lines.append(f"{answer['session']}: {answer['error']}")
        for line in lines:
            here.write("\n".join(wrapped(here, line, "  ")))
    for note in notes:
        here.write("\n".join(wrapped(here, note, "")))
    for line in _closing(arguments, answers):
        here.write("\n".join(wrapped(here, as_typed(line), "")))


def _row(answer: dict[str, Any]) -> list[Cell | str]:
    now = "none" if answer["messages_now"] is None else f"{answer['messages_now']:,}"
    style = Style.GREEN if answer["state"] == State.LOST else Style.YELLOW
    done = {
        "none": answer["state"],
        "kept": "in the history",
        "salvaged": f"live, incident {answer['incident']}",
        "unchanged": "live already",
    }
    return [
        answer["session"],
        answer["title"] or "Untitled",
        now,
        f"{answer['messages_after']:,}",
        f"{answer['messages_uncertain']:,}",
        f"{answer['messages_taken_back']:,}",
        Cell("failed" if answer["error"] else done[answer["action"]], style),
    ]


def _closing(arguments: argparse.Namespace, answers: list[dict[str, Any]]) -> Iterable[str]:
    """Yield what was found in one sentence, and what to type next."""
    lost = [answer for answer in answers if answer["state"] == State.LOST]
    doubtful = [answer for answer in answers if answer["messages_uncertain"]]
    back = sum(answer["messages_lost"] for answer in lost)
    if not answers:
        yield "No conversation looks shorter than its traces say."
        return
    if not lost and not doubtful:
        yield "No trace has a message that is not there already."
        return
    yield f"{counted(len(lost), 'conversation')} lost {counted(back, 'message')} that can come back."
    live = [answer for answer in answers if answer["action"] == "salvaged"]
    if lost and (arguments.dry_run or not arguments.restore):
        named = [answer["session"] for answer in lost] if arguments.conversations else []
        yield " ".join(["To bring them back: hermesguard salvage --restore", *named])
        yield f"To see one message by message: hermesguard salvage {lost[0]['session']} --show"
    for answer in live:
        yield f"To reverse it: hermesguard undo {answer['incident']}"
    if doubtful and not arguments.conversations:
        ids = ", ".join(answer["session"] for answer in doubtful[:5]) + (", ..." if len(doubtful) > 5 else "")
        yield (
            f"{counted(len(doubtful), 'conversation')} may have been cut on purpose: {ids}. "
            f"To bring back what is uncertain too, name it: hermesguard salvage {doubtful[0]['session']} --restore"
        )


def _shown(
    arguments: argparse.Namespace, here: Screen, finding: Finding, known: dict[str, Any]
) -> dict[str, Any]:
    """Print one conversation message by message; return it."""
    if not arguments.json:
        here.write(here.paint(here.safe(f"{known['session']}  {finding.title or 'Untitled'}"), Style.BOLD))
        for message, one in finding.preview():
            sign, style = _SIGNS[one.standing]
            said = " ".join(message.words.split()) or ", ".join(message.identity[2])
            when = moment(message.timestamp) if message.timestamp else ""
            here.write(here.paint(here.cell(f"{sign} {when:16} {message.role:9} {said[:160]}"), style))
        for line in (*finding.why, *finding.notes):
            here.write("\n".join(wrapped(here, line, "  ")))
        here.write("+ comes back   ? comes back when the session is named   - was taken back and stays so")
    messages = [
        {"standing": one.standing.value, "why": one.why, "message": message.value}
        for message, one in finding.preview()
    ]
    return {
        **known,
        "action": "none",
        "version": "",
        "incident": "",
        "error": "",
        "messages": messages,
    }


class _Progress:
    """One line on a terminal's stderr, from the second second on."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._is_shown = False

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if now - self._began < _PROGRESS_AFTER_SECONDS or now - self._last < 0.1 or not sys.stderr.isatty():
            return
        self._last, self._is_shown = now, True
        print(f"\r\x1b[K{done:,} of {total:,} conversations {what}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._is_shown = False
