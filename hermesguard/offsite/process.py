"""The process: one for a store, until it is stopped. It may be killed at any instruction, and so it is by SIGTERM."""

import contextlib
import signal
import time
from pathlib import Path
from typing import Final, NoReturn

from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import Reporter
from hermesguard.events.sinks import FileLog
from hermesguard.offsite import access
from hermesguard.offsite.bucket import Bucket
from hermesguard.offsite.settings import OffsiteSettings, require_url
from hermesguard.offsite.state import LOCK, State
from hermesguard.offsite.upload.uploader import Uploader
from hermesguard.store.lock import Lock

LOG: Final = "events.jsonl"
"""What it reports, for who reads no journal: `hermesguard notify` in a container."""
_SAY_AT_LEAST_SECONDS: Final = 0.5


def bucket_of(options: OffsiteSettings, environment: dict[str, str]) -> Bucket:
    """Return the storage that is configured; GuardError (exit code 12) when it, or its key, cannot be used."""
    require_url(options)
    credentials = None
    if options.url.startswith("s3://"):
        credentials = access.credentials(options.credentials, environment)
    return Bucket(options.url, options.endpoint, options.region, credentials)


def run(options: OffsiteSettings, reporter: Reporter, environment: dict[str, str], once: bool = False) -> int:
    """Copy until stopped; with `once`, until all is copied or something fails. GuardError when it cannot begin."""
    recipients = access.recipients(options.recipients)
    bucket = bucket_of(options, environment)
    try:
        state = State(options.state)
    except OSError as error:
        raise _not_writable(options, error) from None
    with contextlib.closing(state):
        lock = Lock(options.state / LOCK)
        try:
            is_taken = lock.take()
        except OSError as error:
            raise _not_writable(options, error) from None
        if not is_taken:
            raise GuardError(
                "Another hermesguard offsite copies this store",
                "Stop that one first (systemctl stop hermesguard-offsite)",
                ExitCode.LOCKED,
            )
        try:
            reporter.add(FileLog(options.state / LOG))
        except OSError as error:
            raise _not_writable(options, error) from None
        state.note(once=int(once))
        uploader = Uploader(options, state, bucket, recipients, report=reporter.report)
        reporter.report("offsite_started", path=str(options.store), target=options.url)
        reporter.flush(_SAY_AT_LEAST_SECONDS)
        return _once(uploader, reporter) if once else _for_ever(uploader, reporter)


def _not_writable(options: OffsiteSettings, error: OSError) -> GuardError:
    return GuardError(
        f"The state {options.state} cannot be written: {error.strerror or error}",
        "Give the right to write there, or name another place with HERMESGUARD_OFFSITE_STATE",
    )


def _for_ever(uploader: Uploader, reporter: Reporter) -> NoReturn:
    # Whatever is half done is finished or undone by the next start: there is nothing to wait for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    while True:
        wait = uploader.turn()
        reporter.flush(_SAY_AT_LEAST_SECONDS)
        time.sleep(max(wait, 0.01))


def _once(uploader: Uploader, reporter: Reporter) -> int:
    while uploader.turn() == 0.0:
        pass
    reporter.flush(_SAY_AT_LEAST_SECONDS)
    if uploader.failure:
        raise GuardError(
            f"Not all could be copied: {uploader.failure}", "What was copied is safe; run it again"
        )
    return ExitCode.OK


def state_for_change(directory: Path) -> State:
    """Return the state that a process has, to be changed beside it; GuardError when there is none."""
    if not directory.is_dir():
        raise GuardError(
            "There are no offsite copies of this store yet", "See docs/offsite.md", ExitCode.NO_STORE
        )
    return State(directory)
