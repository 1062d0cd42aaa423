"""`status`: is everything well?"""

import argparse
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from hermesguard.cli.library import Library
from hermesguard.cli.lookup.guards import start_command
from hermesguard.cli.lookup.missed import KINDS, in_words, missed, summary
from hermesguard.cli.lookup.typed import as_typed
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import ago, counted, facts, moment
from hermesguard.cli.output.terminal import Style
from hermesguard.cli.output.transcript import wrapped
from hermesguard.cli.witnesses import lost_before
from hermesguard.config.settings import Settings
from hermesguard.config.units import about_size
from hermesguard.daemon import control
from hermesguard.errors import ExitCode, GuardError
from hermesguard.store.store import Store

_NAMED_AT_MOST: Final = 5
_UNKNOWN: Final = 3
_URGENT: Final = frozenset({"lost before", "unreadable", "not repaired", "uncertain", "not known"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not well, and what to do about it."""

    words: str
    remedy: str
    is_critical: bool


def status(arguments: argparse.Namespace, settings: Settings) -> int:
    """Say whether all is well, then what is known."""
    if arguments.nagios:
        return _nagios(settings)
    library = Library(settings)
    known = {**gather(settings), "last_guard": "", "last_guard_seen": ""}
    known["missed"] = summary(missed(library, is_quick=True))
    if known["pid"] is None:
        from hermesguard.cli.last_guard import last_guard  # no need of the journal while a guard answers

        known["last_guard_seen"], known["last_guard"] = last_guard(settings.store)
    known["notify"] = _notifier(settings.store)
    troubles = troubles_of(known)
    code = ExitCode.PROBLEM if troubles else ExitCode.OK
    if arguments.json:
        words = [{"what": trouble.words, "remedy": as_typed(trouble.remedy)} for trouble in troubles]
        missing = [{"kind": kind, "count": count} for kind, count in known.pop("missed").items()]
        print_json("status", {"healthy": not troubles, "problems": words, "missed": missing, **known})
        return code
    here = screen.of()
    style = Style.GREEN
    if troubles:
        style = Style.RED if any(trouble.is_critical for trouble in troubles) else Style.YELLOW
    if known["missed"]:
        for line in wrapped(here, missed_line(known), ""):
            here.write(here.paint(line, Style.YELLOW if set(known["missed"]) & _URGENT else Style.CYAN))
    here.write(here.paint(here.safe(headline(known, troubles)), style))
    for trouble in troubles:
        for line in wrapped(here, as_typed(trouble.remedy), "  "):
            here.write(line)
    if "lost before" not in known["missed"] and (count := lost_before(settings)):
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


def gather(settings: Settings) -> dict[str, Any]:
    """Return what the guard (or, without one, the store) says, and what the store's files say."""
    return {**control.ask(settings, "status"), "store_size_bytes": Store(settings.store).size_bytes()}


def troubles_of(known: dict[str, Any]) -> list[Trouble]:
    """Return what is not well in a status, the worst first."""
    found = []
    if not known["running"] and known["pid"] is not None:
        found.append(
            Trouble(
                f"{_holder(known)} holds the store, but does not answer",
                "It has just started, or cannot write its store: look for a full disk, a read-only file system",
                True,
            )
        )
    elif not known["running"]:
        found.append(
            Trouble(
                "no guard runs on this store",
                f"Start it: {start_command(Path(known['store']))}",
                True,
            )
        )
    elif not known["ready"]:
        reason = known["watch_reason"] or "the first scan is still in progress"
        found.append(Trouble(f"the guard is not ready, {reason}", "Wait for it, or see its log", True))
    elif known["watch_lost"]:
        found.append(
            Trouble(
                "the watch is lost",
                f"Periodic scans continue; {known['watch_reason'] or 'see its log'}",
                True,
            )
        )
    if known["running"] and known["ready"] and not known["sessions"]:
        found.append(
            Trouble(
                f"there is no conversation in {known['sessions_directory']}",
                "If hermes-webui has any, the guard looks at the wrong directory: name the right one (hermesguard config show)",
                False,
            )
        )
    if known["store_error"]:
        remedy = "Look for a full disk, a read-only file system, wrong owners"
        found.append(Trouble(f"the store is not writable ({known['store_error']})", remedy, True))
    if known["damaged_files"]:
        words = f"{counted(known['damaged_files'], 'file')} of the store {'is' if known['damaged_files'] == 1 else 'are'} damaged"
        found.append(Trouble(words, "See: hermesguard verify", True))
    if known["held"]:
        words = f"{counted(len(known['held']), 'session')} vanished at once"
        found.append(Trouble(words, "See: hermesguard restore --all-missing --dry-run", True))
    if known["unreadable"]:
        names = _named(sorted(known["unreadable"]))
        found.append(
            Trouble(
                f"{counted(len(known['unreadable']), 'session')} cannot be guarded ({names})",
                f"See: hermesguard explain {min(known['unreadable'])}",
                False,
            )
        )
    if known.get("notify"):
        from hermesguard.notify.state import troubles  # only where there is a notifier

        found += [Trouble(words, remedy, False) for words, remedy in troubles(known["notify"])]
    if known["unresolved"]:
        words = f"{counted(len(known['unresolved']), 'incident')} wait{'s' * (len(known['unresolved']) == 1)} for a user"
        number = known["unresolved"][-1]
        remedy = f"See: hermesguard explain {number}, which tells what answers it"
        found.append(Trouble(words, remedy, False))
    return found


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + more


def fact_lines(known: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is known as names and values."""
    running = "not running"
    if known["running"]:
        running = f"process {known['pid']}, since {moment(_time(known['since']))}"
    elif known["pid"] is not None:
        running = f"{_holder(known)}, which does not answer"
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


def _holder(known: dict[str, Any]) -> str:
    """Return what is known of who holds the store's lock; 0 is a process that cannot be seen from here."""
    return f"process {known['pid']}" if known["pid"] else "a process elsewhere"


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _nagios(settings: Settings) -> int:
    """Print one line as the Monitoring Plugins' guidelines ask: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    here = screen.of()
    try:
        found = summary(missed(Library(settings), is_quick=True))
        known = gather(settings) | {"notify": _notifier(settings.store)}
    except GuardError as error:
        here.write(here.safe(f"HERMESGUARD UNKNOWN - {error.what}"))
        return _UNKNOWN
    troubles = troubles_of(known)
    missing = {kind: count for kind, count in found.items() if kind in _URGENT}
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
