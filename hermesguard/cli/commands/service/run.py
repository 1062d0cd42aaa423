"""`run`, `scan` and `demo`: the guard at work."""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import Reporter, open_reporter
from hermesguard.lookup import typed
from hermesguard.lookup.typed import as_typed

_PARTING_SECONDS: Final = 1.0
_RESTART_SECONDS: Final = 60.0
# As RestartPreventExitStatus= in the unit: these do not heal by themselves.
_LASTING: Final = frozenset({ExitCode.USAGE, ExitCode.CONFIG, ExitCode.REFUSED})


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Guard until stopped; with a Lease, whenever that is held."""
    if arguments.lease:
        return _reporting_failure(lambda reporter: _stand_by(arguments, settings, reporter))
    gc.disable()  # until all that stays is in memory (`Daemon._scanned`)
    from hermesguard.config import memory
    from hermesguard.daemon import loop as daemon
    from hermesguard.reader import LONG_BYTES

    memory.give_long_back(LONG_BYTES)
    typed.use(typed.command_in_reports(settings, os.environ))
    return _reporting_failure(lambda reporter: daemon.run(settings, reporter))


def _stand_by(arguments: argparse.Namespace, settings: Settings, reporter: Reporter) -> int:
    from hermesguard.lease.keeper import keep  # the guard itself has no need of the network

    return keep(arguments.lease, arguments.lease_duration, settings.store, reporter)


def _reporting_failure(work: Callable[[Reporter], int]) -> int:
    """Return what `work` returns; what it could not begin is reported too."""
    reporter = open_reporter()
    try:
        return work(reporter)
    except GuardError as error:
        if not sys.stderr.isatty():  # there the user reads the same sentence a line below
            reporter.report("failed", error=error.what, remedy=error.remedy)
            reporter.flush(_PARTING_SECONDS)
        raise


def wait_before_a_restart(code: int) -> None:
    """As a container's own process: wait a minute, or for a signal, where a restart changes nothing.

    An engine restarts what ended whatever its exit code is, and while nothing runs nobody can ask what is wrong.
    """
    if code not in _LASTING:
        return
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(
        signal.SIG_BLOCK, signals
    )  # the first process does not get what it neither heeds nor blocks
    signal.sigtimedwait(signals, _RESTART_SECONDS)


def scan(arguments: argparse.Namespace, settings: Settings) -> int:
    """Look at everything once: repair, or with --check only say what is wrong."""
    from hermesguard.daemon import offline as local

    if arguments.check:
        found = local.check(settings)
        _print_scan(arguments, "check", found, _check_lines(found, settings.sessions))
        return ExitCode.PROBLEM if found["wrong"] or found.get("refused") else ExitCode.OK
    reporter = open_reporter()
    try:
        status = local.scan(settings, reporter)
    finally:
        reporter.close()
    _print_scan(arguments, "scan", status, _scan_lines(status))
    wrong = status["unreadable"] or status["held"] or status["store_error"] or status.get("refused")
    return ExitCode.PROBLEM if wrong else ExitCode.OK


def _print_scan(arguments: argparse.Namespace, kind: str, found: dict[str, Any], lines: list[str]) -> None:
    if arguments.json:
        from hermesguard.cli.output.json import print_json

        print_json(kind, found)
    else:
        from hermesguard.cli.output import terminal as screen
        from hermesguard.cli.output.transcript import wrapped

        here = screen.of()
        for line in lines:
            for part in wrapped(here, as_typed(line), ""):
                here.write(part)


def _check_lines(found: dict[str, Any], sessions: Path) -> list[str]:
    from hermesguard.cli.output.tables import counted  # a guard has no need of it

    lines = []
    new = sum(finding["state"] == "new" for finding in found["findings"])
    for finding in found["findings"]:
        if finding["state"] == "new":
            continue
        known = ((finding["messages_before"], "before"), (finding["messages_live"], "now"))
        messages = (
            ", ".join(f"{count:,} {when}" for count, when in known if count is not None) or "none known"
        )
        why = "; ".join(finding["evidence"])
        title = f' "{finding["title"]}"' if finding["title"] else ""
        where = f" in {finding['directory']}" if "directory" in finding else ""
        state = "looks lost from before the guard" if finding["state"] == "lost before" else finding["state"]
        what = f"{finding['session']}{title}{where}: {state} (messages: {messages})"
        lines.append(what + (f": {why}" if why else ""))
    lines += [f"Not looked at: {one['error']}." for one in found.get("refused", ())]
    if new:
        lines.append(f"{counted(new, 'session')} of which no copy is kept yet.")
    wrong, total = found["wrong"], found["sessions"]
    before = sum(finding["state"] == "lost before" for finding in found["findings"])
    if before:
        lines.append(
            f"{counted(before, 'conversation')} may have been lost before the guard came.{_way_on()}"
        )
    if not total and wrong > before:
        lines.append(
            f"All {wrong - before} sessions are gone from {sessions}. If it is the right directory, "
            "and mounted: hermesguard restore --all-missing --dry-run"
        )
    elif wrong > before:
        lines.append(
            f"{wrong - before} of {counted(total, 'session')} need repair. To repair them: {as_typed('hermesguard scan')}"
        )
    elif not wrong:
        lines.append(f"Nothing is wrong with any of {counted(total, 'session')}.")
    return lines


def _way_on() -> str:
    from hermesguard.cli.verbs import VERBS

    has_salvage = any(verb.name == "salvage" for verb in VERBS)
    salvage = " To see what can be brought back: hermesguard salvage --dry-run" if has_salvage else ""
    return as_typed(salvage or " hermesguard scan takes over the others; then: hermesguard lost")


def _scan_lines(status: dict[str, Any]) -> list[str]:
    from hermesguard.cli.output.tables import counted

    lines = [f"{name}: cannot be guarded: {reason}" for name, reason in status["unreadable"].items()]
    lines += [
        f"{name}: vanished with many others; see: hermesguard restore --all-missing --dry-run"
        for name in status["held"]
    ]
    lines += [f"Not scanned: {one['error']}." for one in status.get("refused", ())]
    if status["store_error"]:
        lines.append(f"Store is not writable: {status['store_error']}")
    lines.append(
        f"Scanned {counted(status['sessions'], 'session')} with {counted(status['messages'], 'message')}; "
        f"repaired {status['repairs']:,}."
    )
    return lines


def demo(arguments: argparse.Namespace, settings: None) -> int:
    """Play the demo's story."""
    from hermesguard.demo import story

    return story.run()
