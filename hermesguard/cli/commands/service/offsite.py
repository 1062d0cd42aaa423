"""`offsite`: encrypted copies on other storage."""

import argparse
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import ago, counted, facts, moment, moment_of
from hermesguard.cli.output.terminal import Style
from hermesguard.config.settings import Settings
from hermesguard.config.units import about_duration, about_size
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.typed import owner_of
from hermesguard.offsite import access, process
from hermesguard.offsite import settings as offsite_settings
from hermesguard.offsite.back.restore import Restored, Restoring, choose_folder
from hermesguard.offsite.bucket import Bucket, BucketError, folders
from hermesguard.offsite.overview import Overview, overview
from hermesguard.offsite.settings import OffsiteSettings
from hermesguard.offsite.state import FILE_NAME, State
from hermesguard.store.place import user_name

_SAMPLE: Final = 10
_SHOWN_AT_MOST: Final = 20


def offsite(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what the action says."""
    flags = {key: getattr(arguments, key) for key in ("url", "endpoint", "region", "credentials")}
    options = offsite_settings.load(settings, flags)
    _refuse_strange(arguments)
    match arguments.action:
        case "status":
            return _status(arguments, options)
        case "verify":
            return _verify(arguments, options)
        case "restore":
            return _restore(arguments, options)
        case "accept":
            return _accept(arguments, options)
    return _run(arguments, options)


def _refuse_strange(arguments: argparse.Namespace) -> None:
    """Raise GuardError (exit code 2) for what the action has no use for."""
    uses = {
        "identity": ("restore", "verify"),
        "at": ("restore",),
        "folder": ("restore", "verify"),
        "once": ("run",),
        "all": ("verify",),
        "names": ("restore",),
    }
    for name, actions in uses.items():
        if getattr(arguments, name) and arguments.action not in actions:
            flag = {"names": "DIR", "folder": "--from"}.get(name, f"--{name}")
            raise GuardError(
                f"{flag} means nothing to offsite {arguments.action}",
                f"It belongs to: {', '.join(f'hermesguard offsite {action}' for action in actions)}",
                ExitCode.USAGE,
            )


def _run(arguments: argparse.Namespace, options: OffsiteSettings) -> int:
    from hermesguard.events.reporter import open_reporter

    offsite_settings.require_url(options)
    owner = owner_of(options.store)
    if owner is not None and owner != os.geteuid():
        raise GuardError(
            f"The store {options.store} belongs to {user_name(owner)}",
            f"Run it as that user: sudo -u {user_name(owner)} hermesguard offsite",
            ExitCode.REFUSED,
        )
    return process.run(options, open_reporter(), dict(os.environ), arguments.once)


# -- status


def _status(arguments: argparse.Namespace, options: OffsiteSettings) -> int:
    offsite_settings.require_url(options)
    found = overview(options)
    problems = found.problems()
    if arguments.json:
        listed = [{"what": what, "remedy": remedy} for what, remedy in problems]
        print_json("offsite status", {"healthy": not problems, "problems": listed, **found.as_answer()})
        return ExitCode.PROBLEM if problems else ExitCode.OK
    here = screen.of()
    words = "Not well: " + "; ".join(what for what, _ in problems) + "." if problems else _well(found)
    here.write(here.paint(here.safe(words), Style.YELLOW if problems else Style.GREEN))
    for _, remedy in problems:
        here.write(here.safe(f"  {remedy}"))
    here.write("\n" + facts(here, _facts(found)))
    return ExitCode.PROBLEM if problems else ExitCode.OK


def _well(found: Overview) -> str:
    if not found.waiting_files:
        return f"All is safe: {counted(found.sessions, 'session')}."
    return f"All is well: {found.sessions_safe:,} of {counted(found.sessions, 'session')} safe, the rest on their way."


def _facts(found: Overview) -> list[tuple[str, str]]:
    lag = f"{about_duration(found.lag_seconds)}, {counted(found.waiting_files, 'file')} waiting"
    pairs = [
        ("storage", found.url),
        ("process", "running" if found.running else "by a timer" if found.by_timer else "not running"),
        ("safe", f"{found.sessions_safe:,} of {counted(found.sessions, 'session')}"),
        ("lag", lag if found.waiting_files else "none"),
        ("size", f"{about_size(found.size_bytes)} in {counted(found.objects, 'object')}"),
        ("requests", f"{found.requests_today:,} in 24 hours, of {found.requests_per_day:,}"),
        ("interval", about_duration(found.interval_seconds)),
        ("last copy", ago(moment_of(found.last_copy))),
        ("last look", ago(moment_of(found.last_look))),
    ]
    if found.machine:
        pairs.append(("folder", found.machine))
    if found.strangers:
        words = f"{counted(found.strangers, 'object')} in the folder that are not known here"
        if found.strangers_until:
            until = moment(moment_of(found.strangers_until))
            words += f"; if the store was lost, offsite restore brings them back: they go {until}"
        pairs.append(("strangers", words))
    return pairs


# -- reading back


def _bucket(options: OffsiteSettings) -> Bucket:
    return process.bucket_of(options, dict(os.environ))


def _verify(arguments: argparse.Namespace, options: OffsiteSettings) -> int:
    from hermesguard.offsite.back.verify import verify

    keys = access.identities(Path(arguments.identity)) if arguments.identity else []
    bucket, known, folder = _bucket(options), {}, arguments.folder
    if folder is None and (options.state / FILE_NAME).exists():
        state = State(options.state, writes=False)
        known = {one.name: (one.size_bytes, one.sha256) for one in state.objects("stored")}
        folder = state.facts().get("machine")
        state.close()
    try:
        stored = choose_folder(folders(bucket.names()), folder)
        found = verify(bucket, stored, known, None if arguments.all else _SAMPLE, keys)
    except BucketError as error:
        raise GuardError(
            f"The copies cannot be read: {error}", "Try again when the storage answers"
        ) from None
    if arguments.json:
        wrong = [{"object": name, "error": why} for name, why in found.wrong]
        members = {"objects": found.objects, "checked": found.checked, "size_bytes": found.size_bytes}
        print_json("offsite verification", {**members, "files": found.files, "wrong": wrong})
    else:
        here = screen.of()
        for name, why in found.wrong[:_SHOWN_AT_MOST]:
            here.write(here.safe(f"{name}: {why}"))
        inner = f", {counted(found.files, 'file')} decrypted and compared" if keys else ""
        here.write(
            f"{found.checked:,} of {counted(found.objects, 'object')} read back ({about_size(found.size_bytes)}){inner}; "
            f"{len(found.wrong):,} not as they should be."
        )
    return ExitCode.PROBLEM if found.wrong else ExitCode.OK


def _restore(arguments: argparse.Namespace, options: OffsiteSettings) -> int:
    from hermesguard.lookup.selectors import parse_moment

    if not arguments.names:
        raise GuardError(
            "restore needs a directory to restore into",
            "Name an empty one: hermesguard offsite restore --identity FILE [SID...] DIR",
            ExitCode.USAGE,
        )
    if not arguments.identity:
        raise GuardError(
            "restore needs the private key",
            "Name the file that age-keygen wrote: --identity FILE",
            ExitCode.USAGE,
        )
    keys = access.identities(Path(arguments.identity))
    at = parse_moment(arguments.at, datetime.now(UTC)) if arguments.at else None
    *sessions, into = arguments.names

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{done:,} of {total:,} objects read", end="", file=sys.stderr, flush=True)

    restoring = Restoring(_bucket(options), keys, Path(into).absolute(), sessions, at, progress)
    try:
        found = restoring.run(arguments.folder)
    finally:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    _say_restored(arguments, found, Path(into).absolute())
    return ExitCode.PROBLEM if found.damaged else ExitCode.OK


def _say_restored(arguments: argparse.Namespace, found: Restored, into: Path) -> None:
    if arguments.json:
        damaged = [{"object": name, "error": why} for name, why in found.damaged]
        members = {"sessions": found.sessions, "versions": found.versions, "messages": found.messages}
        print_json(
            "offsite restore", {"into": str(into), **members, "objects": found.objects, "damaged": damaged}
        )
        return
    here = screen.of()
    for name, why in found.damaged[:_SHOWN_AT_MOST]:
        here.write(here.safe(f"{name}: {why}"))
    words = f"{counted(found.sessions, 'session')} with {counted(found.messages, 'message')}"
    here.write(
        here.safe(f"{words} and {counted(found.versions, 'version')} are in {into}, a store of hermesguard.")
    )
    place = shlex.quote(str(into))
    here.write(here.safe(f"To look: hermesguard list --store {place}"))
    here.write(
        here.safe(f"To make them live: hermesguard restore --all-missing --store {place} --sessions DIR")
    )


def _accept(arguments: argparse.Namespace, options: OffsiteSettings) -> int:
    state = process.state_for_change(options.state)
    try:
        count = state.accept()
    except OSError as error:
        raise GuardError(f"That could not be noted: {error}", "Try again") from None
    finally:
        state.close()
    if arguments.json:
        print_json("offsite accept", {"files": count})
    else:
        screen.of().write(f"{counted(count, 'file')} will leave the offsite copies too.")
    return ExitCode.OK
