"""How the last guard of a store ended, by the journal: what `status` says beside "no guard runs".

The journal is read by `systemd.journal.Reader`, and only when no guard runs: the import takes 7 ms, a question to the
journal under one.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from hermesguard.events.catalog import BY_NAME
from hermesguard.events.journald import IDENTIFIER, journal_field

# systemd's own (sd-messages.h): a process of a unit ended, and a unit failed, with the reason.
PROCESS_EXIT: Final = "98e322203f7a4ed290d09fe03c09fe15"
UNIT_FAILED: Final = "d9b373ed55a64feb8242e02dbe79a49c"

_RESULTS: Final = {
    "watchdog": "was killed by systemd, for it gave no sign of life (watchdog)",
    "oom-kill": "was killed, for the machine or its unit had no memory left (oom-kill)",
    "timeout": "was killed by systemd, for it took too long (timeout)",
}


class LastGuard(NamedTuple):
    """What the journal shows of the guard of a store that was the last to write into it."""

    time: str
    """When it was last heard of, ISO 8601; empty when nothing is known."""
    words: str
    """Who it was and how it ended, or why that cannot be said; empty when the journal has nothing of this store."""


NOTHING: Final = LastGuard("", "")

_Entry = dict[str, Any]


def last_guard(store: Path) -> LastGuard:
    """Return how the last guard of `store` ended. Raises nothing: where the journal cannot be read, the words say so."""
    try:
        from systemd import journal  # libsystemd may be missing in a container

        with closing(journal.Reader()) as reader:
            return _found(reader, store)
    except (ImportError, OSError, ValueError) as error:  # ValueError: it takes no TZ of a day or more
        return LastGuard("", f"not known: the journal cannot be read here ({error})")


def _found(reader: Any, store: Path) -> LastGuard:
    # Anyone can write an entry that names this store, but not as the user whose store it is.
    owner = os.stat(store).st_uid
    ours = {"SYSLOG_IDENTIFIER": IDENTIFIER, journal_field("store"): str(store), "_UID": owner}
    last = next(_newest_first(reader, ours), None)
    if last is None or "_PID" not in last:
        return NOTHING
    who = f"process {last['_PID']}"
    if unit := last.get("_SYSTEMD_USER_UNIT") or last.get("_SYSTEMD_UNIT"):
        who += f" of {unit}"
    same = {"SYSLOG_IDENTIFIER": IDENTIFIER, "_PID": last["_PID"], "_BOOT_ID": _plain(last["_BOOT_ID"])}
    farewell = next(_newest_first(reader, same, MESSAGE_ID=[BY_NAME["stopped"].message_id]), None)
    if farewell:
        return LastGuard(_time(farewell), f"{who} was stopped")
    own = next(_newest_first(reader, same), last)
    if invocation := last.get("_SYSTEMD_INVOCATION_ID"):
        for field in ("INVOCATION_ID", "USER_INVOCATION_ID"):
            deaths = _newest_first(
                reader, {field: _plain(invocation)}, MESSAGE_ID=[PROCESS_EXIT, UNIT_FAILED]
            )
            if told := list(deaths):
                return LastGuard(_time(told[0]), f"{who} {_how(told)}")
    if _plain(last["_BOOT_ID"]) != _boot_id():
        return LastGuard(_time(own), f"{who} ended with the machine, which has been started since")
    return LastGuard(_time(own), f"{who} said this last; the journal does not show how it ended")


def _newest_first(reader: Any, matches: dict[str, Any], **any_of: list[str]) -> Iterator[_Entry]:
    """Yield the entries that match all of `matches`, and one of each list."""
    reader.flush_matches()
    for name, value in (
        *matches.items(),
        *((name, value) for name, values in any_of.items() for value in values),
    ):
        reader.add_match(**{name: value})
    reader.seek_tail()
    while entry := reader.get_previous():
        yield entry


def _how(told: list[_Entry]) -> str:
    for entry in told:
        if words := _RESULTS.get(str(entry.get("UNIT_RESULT", ""))):
            return words
    for entry in told:
        code, status = str(entry.get("EXIT_CODE", "")), str(entry.get("EXIT_STATUS", ""))
        if code == "exited":
            return f"ended with exit code {status}"
        if code:
            return f"was killed (signal {status})"
    return "failed"


def _plain(value: object) -> str:
    """Return an id as the journal's matches want it."""
    return str(value).replace("-", "")


def _boot_id() -> str:
    return _plain(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())


def _time(entry: _Entry) -> str:
    time: datetime = entry["__REALTIME_TIMESTAMP"]
    return time.isoformat()
