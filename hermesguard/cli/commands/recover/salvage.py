"""`salvage`: finds what was lost before the guard came, shows it, and brings it back."""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterable
from typing import Any, Final

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import Cell, Column, counted, moment, table
from hermesguard.cli.output.terminal import Screen, Style
from hermesguard.cli.output.transcript import wrapped
from hermesguard.config.settings import Settings
from hermesguard.daemon import control
from hermesguard.errors import ExitCode, GuardError
from hermesguard.guard.requests.handover import hand_over
from hermesguard.lookup.library import Library
from hermesguard.lookup.selectors import find_session
from hermesguard.lookup.typed import as_typed
from hermesguard.salvage.finding import Finding, State
from hermesguard.salvage.places import Places, places_of
from hermesguard.salvage.standing import Standing
from hermesguard.salvage.survey import Survey, survey
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
    places = places_of(settings, arguments.hermes_home)
    try:
        next(settings.sessions.iterdir(), None)
    except OSError as error:
        raise GuardError(
            f"The sessions directory {settings.sessions} cannot be read: {error.strerror}",
            "Name it with --sessions DIR, or run as a user who may read it",
        ) from None
    named = _named(places, settings, arguments.conversations)
    if arguments.show and not named:
        raise GuardError("--show needs a session", "Name one: hermesguard salvage SID --show", ExitCode.USAGE)
    notes: list[str] = []
    answers: list[dict[str, Any]] = []
    here = screen.of()
    with _Progress() as progress:
        for finding in survey(places, named, progress, notes):
            if arguments.show:
                progress.clear()
                answers.append(_shown(arguments, here, finding))
                continue
            answers.append(_done(arguments, settings, finding, bool(named)))
    if arguments.json:
        members = {"dry_run": arguments.dry_run, "conversations": answers, "notes": notes}
        print_json("salvage", members)
    elif not arguments.show:
        _report(here, arguments, answers, notes)
    return ExitCode.FAILED if any(answer["error"] for answer in answers) else ExitCode.OK


def _named(places: Places, settings: Settings, asked: Iterable[str]) -> list[str]:
    """Return the sessions that are meant; GuardError when one means none, or several."""
    texts = list(asked)
    if not texts:
        return []
    look = Survey(places)
    try:
        known = look.known()
    finally:
        look.close()
    with contextlib.suppress(GuardError):  # there need not be a store yet
        library = Library(settings)
        known = {**dict.fromkeys(library.sessions, ""), **known}
    return list(dict.fromkeys(find_session(text, known, lambda: known) for text in texts))


def _done(
    arguments: argparse.Namespace, settings: Settings, finding: Finding, is_named: bool
) -> dict[str, Any]:
    """Do with one finding what was asked for; return it with what was done."""
    answer: dict[str, Any] = {
        **finding.summary(),
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
    try:
        Store(settings.store).create()
        name = hand_over(settings.store, finding.session, finding.document(with_uncertain))
        done = control.ask(settings, "salvage", name=finding.session, file=name, restore=arguments.restore)
    except (GuardError, OSError) as error:
        answer["error"] = str(error)
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
    if lost and not arguments.restore:
        yield "To bring them back: hermesguard salvage --restore"
        yield "To see one message by message: hermesguard salvage SID --show"
    for answer in live:
        yield f"To reverse it: hermesguard undo {answer['incident']}"
    if doubtful and not arguments.conversations:
        ids = ", ".join(answer["session"] for answer in doubtful[:5]) + (", ..." if len(doubtful) > 5 else "")
        yield (
            f"{counted(len(doubtful), 'conversation')} may have been cut on purpose: {ids}. "
            "To bring back what is uncertain too, name it: hermesguard salvage SID --restore"
        )


def _shown(arguments: argparse.Namespace, here: Screen, finding: Finding) -> dict[str, Any]:
    """Print one conversation message by message; return it."""
    if not arguments.json:
        here.write(here.paint(here.safe(f"{finding.session}  {finding.title or 'Untitled'}"), Style.BOLD))
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
        **finding.summary(),
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
