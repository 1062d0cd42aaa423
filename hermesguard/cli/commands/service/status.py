"""`status`: is everything well?"""

import argparse
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import ago, counted, facts, moment
from hermesguard.cli.output.terminal import Style
from hermesguard.cli.output.transcript import wrapped
from hermesguard.cli.witnesses import lost_before
from hermesguard.config.settings import Settings
from hermesguard.config.units import about_size
from hermesguard.daemon import control
from hermesguard.daemon.status import resting_status
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.health import URGENT, Trouble, holder, troubles_of
from hermesguard.lookup.library import Library
from hermesguard.lookup.missed import KINDS, in_words, missed, summary
from hermesguard.lookup.objects import status_object
from hermesguard.lookup.typed import as_typed

_UNKNOWN: Final = 3


def status(arguments: argparse.Namespace, settings: Settings) -> int:
    """Say whether all is well, then what is known."""
    if arguments.nagios:
        return _nagios(settings)
    library = Library(settings)
    known = {**gather(settings, library), "last_guard": "", "last_guard_seen": ""}
    known["missed"] = summary(missed(library, is_quick=True))
    if known["pid"] is None:
        from hermesguard.cli.last_guard import last_guard  # no need of the journal while a guard answers

        known["last_guard_seen"], known["last_guard"] = last_guard(settings.store)
    known["notify"] = _notifier(settings.store)
    troubles = [*troubles_of(known, _hindrance(known, settings)), *_notifier_troubles(known)]
    code = ExitCode.PROBLEM if troubles else ExitCode.OK
    if arguments.json:
        print_json("status", status_object(known, known["missed"], _notifier_troubles(known)))
        return code
    here = screen.of()
    style = Style.GREEN
    if troubles:
        style = Style.RED if any(trouble.is_critical for trouble in troubles) else Style.YELLOW
    if known["missed"]:
        for line in wrapped(here, missed_line(known), ""):
            here.write(here.paint(line, Style.YELLOW if set(known["missed"]) & URGENT else Style.CYAN))
    here.write(here.paint(here.safe(headline(known, troubles)), style))
    for trouble in troubles:
        for line in wrapped(here, as_typed(trouble.remedy), "  "):
            here.write(line)
    if "lost before" not in known["missed"] and (count := lost_before(settings, library.store)):
        looks = "looks" if count == 1 else "look"
        here.write(
            here.paint(
                f"{counted(count, 'conversation')} {looks} lost from before the guard: {as_typed('hermesguard salvage')}",
                Style.YELLOW,
            )
        )
    here.write("\n" + facts(here, fact_lines(known)))
    return code


def missed_line(known: dict[str, Any]) -> str:
    """Return in one sentence what may be missed, and the command that lists it."""
    return f"Something missing? {in_words(known['missed'])}. See: {as_typed('hermesguard lost')}"


def headline(known: dict[str, Any], troubles: list[Trouble]) -> str:
    """Return in one sentence whether all is well."""
    if troubles:
        return "Not well: " + "; ".join(trouble.words for trouble in troubles) + "."
    return f"All is well: {_guarded(known)} guarded."


def _guarded(known: dict[str, Any]) -> str:
    return f"{counted(known['sessions'], 'session')} with {counted(known['messages'], 'message')}"


def gather(settings: Settings, library: Library) -> dict[str, Any]:
    """Return what the guard (or, without one, the store) says, and what the store's files say."""
    said = control.ask_running_guard(settings.store, "status", {})
    if said is None:
        said = resting_status(settings, library.store, library.everything)
    return {**said, "store_size_bytes": library.store.size_bytes()}


def _hindrance(known: dict[str, Any], settings: Settings) -> GuardError | None:
    """Return why this user could run no guard here; None when one could, or one runs."""
    if known["pid"] is not None:
        return None
    from hermesguard.daemon import permissions  # no need of it while a guard answers

    try:
        permissions.require(settings.sessions, came_late=False, is_start=True)
    except GuardError as error:
        return error
    except OSError:  # it is not there, and would be waited for
        return None
    return None


def fact_lines(known: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is known as names and values."""
    running = "not running"
    if known["running"]:
        running = f"process {known['pid']}, since {moment(_time(known['since']))}"
    elif known["pid"] is not None:
        running = f"{holder(known)}, which does not answer"
    elif known.get("last_guard"):
        seen = known["last_guard_seen"]
        running += f"; the last one: {known['last_guard']}" + (f", {moment(_time(seen))}" if seen else "")
    watch = known["watch"] + (f" ({known['watch_reason']})" if known["watch_reason"] else "")
    pairs = [
        ("guard", running),
        ("sessions", f"{_guarded(known)}, in {known['sessions_directory']}"),
        ("store", f"{known['store']}, {about_size(known['store_size_bytes'])}"),
        ("incidents", f"{known['incidents_today']} today, {known['incidents']} in all"),
    ]
    if known["last_incident"]:
        pairs.append(("last incident", moment(_time(known["last_incident"]))))
    pairs += [
        ("last save", ago(_time(known["last_save"]))),
        ("verified", ago(_time(known["verified"]))),
    ]
    if known["running"]:
        pairs += [("last scan", ago(_time(known["last_scan"]))), ("watch", watch)]
    if known.get("notify"):
        pairs.append(("notify", _told(known["notify"])))
    if known["unresolved"]:
        pairs.append(("open", ", ".join(f"#{number}" for number in known["unresolved"])))
    return pairs


def _notifier_troubles(known: dict[str, Any]) -> list[Trouble]:
    if not known.get("notify"):
        return []
    from hermesguard.notify.state import troubles  # only where there is a notifier

    return [Trouble(words, remedy, False) for words, remedy in troubles(known["notify"])]


def _notifier(store: Path) -> dict[str, Any] | None:
    """Return how the notifier of a store stands; None when it never had one."""
    if not store.with_name(f"{store.name}.notify").is_dir():
        return None
    from hermesguard.notify import state  # only where there is a notifier

    return state.summary(store, time.time())


def _told(notifier: dict[str, Any]) -> str:
    """Return in words what the notifier has sent, and what waits."""
    words = ["running" if notifier["running"] else "not running"]
    for address in notifier["addresses"]:
        sent = f"{counted(address['delivered'], 'message')} sent"
        if address["last_delivered"]:
            sent += f", the last {ago(_time(address['last_delivered']))}"
        waits = f", {address['waiting']} waiting" if address["waiting"] else ""
        words.append(f"{address['name']}: {sent}{waits}")
    if notifier["last_ping"]:
        words.append(f"last ping {ago(_time(notifier['last_ping']))}")
    return "; ".join(words)


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _nagios(settings: Settings) -> int:
    """Print one line as the Monitoring Plugins' guidelines ask: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    here = screen.of()
    try:
        library = Library(settings)
        found = summary(missed(library, is_quick=True))
        known = gather(settings, library) | {"notify": _notifier(settings.store)}
    except GuardError as error:
        here.write(here.safe(f"HERMESGUARD UNKNOWN - {error.what}"))
        return _UNKNOWN
    troubles = [*troubles_of(known, _hindrance(known, settings)), *_notifier_troubles(known)]
    missing = {kind: count for kind, count in found.items() if kind in URGENT}
    code = 2 if any(trouble.is_critical for trouble in troubles) else int(bool(troubles or missing))
    parts = [trouble.words for trouble in troubles]
    if missing:
        parts.append(f"something may be missing: {in_words(missing)}")
    words = "; ".join(parts) or "all is well"
    figures = {
        "sessions": known["sessions"],
        "messages": known["messages"],
        "incidents_today": known["incidents_today"],
        "store": f"{known['store_size_bytes']}B",
        "missing": sum(missing.values()),
        **{kind.replace(" ", "_"): found.get(kind, 0) for kind in KINDS},
    }
    performance = " ".join(f"{name}={value}" for name, value in figures.items())
    here.write(
        here.safe(
            f"HERMESGUARD {('OK', 'WARNING', 'CRITICAL')[code]} - {words.replace('|', '/')} | {performance}"
        )
    )
    return code
