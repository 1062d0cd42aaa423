"""`status`: health and open problems."""

import argparse
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import ago, counted, facts, moment, moment_of
from hermesguard.cli.output.terminal import Style
from hermesguard.cli.output.transcript import wrapped
from hermesguard.cli.witnesses import lost_before
from hermesguard.config.settings import Settings
from hermesguard.config.tables import has_table
from hermesguard.config.units import about_duration, about_size
from hermesguard.daemon import control
from hermesguard.daemon.status import resting_status
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.directories.together import library_of
from hermesguard.lookup.health import URGENT, Trouble, holder, quiet, troubles_of
from hermesguard.lookup.library import Library
from hermesguard.lookup.missed import KINDS, in_words, missed, summary
from hermesguard.lookup.objects import status_object
from hermesguard.lookup.typed import as_typed
from hermesguard.store.directories.parts import meant
from hermesguard.store.place import top_of

_UNKNOWN: Final = 3


def status(arguments: argparse.Namespace, settings: Settings) -> int:
    """Say whether all is well, then what is known."""
    if arguments.nagios:
        return _nagios(settings)
    library = library_of(settings)
    known = {**gather(settings, library), "last_guard": "", "last_guard_seen": ""}
    known["missed"] = summary(missed(library, is_quick=True))
    if known["pid"] is None:
        from hermesguard.cli.last_guard import last_guard  # no need of the journal while a guard answers

        known["last_guard_seen"], known["last_guard"] = last_guard(top_of(settings.store))
    known |= _others(settings)
    hindrance, others = _hindrance(known, settings), _other_troubles(known)
    troubles = [*troubles_of(known, hindrance), *others]
    code = ExitCode.PROBLEM if troubles else ExitCode.OK
    if arguments.json:
        print_json("status", status_object(known, known["missed"], others, hindrance))
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
    for line in wrapped(here, as_typed(quiet(known, datetime.now(UTC))), ""):
        here.write(line)
    if "lost before" not in known["missed"] and (count := lost_before(library)):
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
    said = control.ask_running_guard(settings.store, "status", {}, settings.profile)
    if said is None:
        said = resting_status(settings, [(part.store, part.everything) for part in library.libraries])
    known = {"directories": [], "refused": []} | said
    if len(settings.directories) == 1:  # of a guard of several the one that was named
        mine = [one for one in known["directories"] if one["store"] == str(settings.store)]
        known |= {"directories": mine, **(mine[0] if mine else {})}
        for name in ("name", "missing"):
            known.pop(name, None)
    return {**known, "store_size_bytes": library.size_bytes()}


def _hindrance(known: dict[str, Any], settings: Settings) -> GuardError | None:
    """Return why this user could run no guard here; None when one could, or one runs."""
    if known["pid"] is not None:
        return None
    hindrances = [_hindrance_of(part.sessions) for part in meant(settings)]
    return hindrances[0] if all(hindrances) else None


def _hindrance_of(sessions: Path) -> GuardError | None:
    from hermesguard.daemon.directories import permissions  # no need of it while a guard answers

    try:
        permissions.require(sessions, came_late=False, is_start=True)
    except GuardError as error:
        return error
    except OSError as error:
        what = f"the sessions directory {sessions} cannot be read: {error.strerror}"
        return GuardError(what, "Mount it, or name the right one with --sessions DIR")
    return None


def fact_lines(known: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is known as names and values."""
    running = "not running"
    if known["running"]:
        running = f"process {known['pid']}, since {moment(moment_of(known['since']))}"
    elif known["pid"] is not None:
        running = f"{holder(known)}, which does not answer"
    elif known.get("last_guard"):
        seen = known["last_guard_seen"]
        running += f"; the last one: {known['last_guard']}" + (f", {moment(moment_of(seen))}" if seen else "")
    watch = known["watch"] + (f" ({known['watch_reason']})" if known["watch_reason"] else "")
    several = known["directories"] if len(known["directories"]) > 1 else []
    where = f"{len(several)} directories" if several else known["sessions_directory"]
    pairs = [
        ("guard", running),
        ("sessions", f"{_guarded(known)}, in {where}"),
        *((one["name"], _directory(one, known["running"])) for one in several),
        ("store", f"{known['store']}, {about_size(known['store_size_bytes'])}"),
        ("incidents", f"{known['incidents_today']} today, {known['incidents']} in all"),
    ]
    if known["last_incident"]:
        pairs.append(("last incident", moment(moment_of(known["last_incident"]))))
    pairs += [
        ("last save", ago(moment_of(known["last_save"]))),
        ("verified", ago(moment_of(known["verified"]))),
    ]
    if known["running"]:
        pairs += [("last scan", ago(moment_of(known["last_scan"]))), ("watch", watch)]
    if known.get("notify"):
        pairs.append(("notify", _told(known["notify"])))
    if known.get("offsite"):
        pairs.append(("offsite", _copied(known["offsite"])))
    if known["unresolved"]:
        pairs.append(("open", ", ".join(f"#{number}" for number in known["unresolved"])))
    return pairs


def _directory(one: dict[str, Any], is_running: bool) -> str:
    """Return in words how one of several directories stands."""
    if is_running and one["missing"] and not one["sessions"]:
        return f"nothing yet: there is no {one['sessions_directory']}"
    words = f"{_guarded(one)}, in {one['sessions_directory']}"
    if one["incidents"]:
        words += f"; {counted(one['incidents'], 'incident')}"
    if one["last_save"]:
        words += f"; last save {ago(moment_of(one['last_save']))}"
    if is_running and (one["watch_lost"] or one["watch"] != "inotify"):
        reason = f" ({one['watch_reason']})" if one["watch_reason"] else ""
        words += f"; watch {'lost' if one['watch_lost'] else one['watch']}{reason}"
    return words


def _others(settings: Settings) -> dict[str, Any]:
    """Return how the notifier and the offsite copies of a store stand; None for what it never had."""
    known: dict[str, Any] = {"notify": None, "offsite": None}
    store = top_of(settings.store)
    if store.with_name(f"{store.name}.notify").is_dir():
        from hermesguard.notify import state  # only where there is a notifier

        known["notify"] = state.summary(store, time.time())
    if has_table(settings, "offsite"):
        from hermesguard.offsite import brief  # only where there are copies

        known["offsite"] = brief.summary(replace(settings, store=store))
    return known


def _other_troubles(known: dict[str, Any]) -> list[Trouble]:
    found: list[tuple[str, str]] = []
    if known["notify"]:
        from hermesguard.notify.state import troubles as of_notifier

        found += of_notifier(known["notify"])
    if known["offsite"]:
        from hermesguard.offsite.brief import troubles as of_copies

        found += of_copies(known["offsite"])
    return [Trouble(words, remedy, False) for words, remedy in found]


def _told(notifier: dict[str, Any]) -> str:
    """Return in words what the notifier has sent, and what waits."""
    words = ["running" if notifier["running"] else "not running"]
    for address in notifier["addresses"]:
        sent = f"{counted(address['delivered'], 'message')} sent"
        if address["last_delivered"]:
            sent += f", the last {ago(moment_of(address['last_delivered']))}"
        waits = f", {address['waiting']} waiting" if address["waiting"] else ""
        words.append(f"{address['name']}: {sent}{waits}")
    if notifier["last_ping"]:
        words.append(f"last ping {ago(moment_of(notifier['last_ping']))}")
    return "; ".join(words)


def _copied(copies: dict[str, Any]) -> str:
    """Return in words how the offsite copies stand."""
    if copies["problem"]:
        return str(copies["problem"])
    words = ["running" if copies["running"] else "by a timer" if copies["by_timer"] else "not running"]
    if copies["waiting_files"]:
        waits = (
            f"{counted(copies['waiting_files'], 'file')} waiting for {about_duration(copies['lag_seconds'])}"
        )
        words.append(f"{waits}, as of {ago(moment_of(copies['last_look']))}")
    elif copies["last_look"]:
        words.append(f"all was safe {ago(moment_of(copies['last_look']))}")
    if copies["error"]:
        words.append(f"failing: {copies['error']}")
    if copies["held_sessions"]:
        words.append(f"{counted(copies['held_sessions'], 'session')} held")
    return "; ".join(words)


def _nagios(settings: Settings) -> int:
    """Print one line as the Monitoring Plugins' guidelines ask: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    here = screen.of()
    try:
        library = library_of(settings)
        found = summary(missed(library, is_quick=True))
        known = gather(settings, library) | _others(settings)
    except GuardError as error:
        here.write(here.safe(f"HERMESGUARD UNKNOWN - {error.what}"))
        return _UNKNOWN
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        here.write(here.safe(f"HERMESGUARD UNKNOWN - {place}{error.strerror or error}"))
        return _UNKNOWN
    troubles = [*troubles_of(known, _hindrance(known, settings)), *_other_troubles(known)]
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
