"""What the guard replies on its socket, as it is written and as it is read: a guard may be of another version."""

import json
from typing import Any, Final

import orjson

from hermesguard.daemon.status import OF_EACH
from hermesguard.errors import ExitCode, GuardError

Answer = dict[str, Any]
_STATUS: Final = frozenset({*OF_EACH, "version", "running", "pid", "since"})
_MERGED: Final = frozenset({"session", "action", "messages_live", "messages_after", "dry_run"})
_TOLD: Final = {
    "status": _STATUS,
    "undo": _MERGED,
    "restore": _MERGED | {"messages_gone", "messages_back"},
    "accept": frozenset({"session", "action", "messages_before", "messages_live", "dry_run"}),
    "restore_all_missing": frozenset({"missing", "restored", "failed"}),
    "salvage": frozenset({"action", "salvaged", "messages_after"}),
    "purge": frozenset({"session", "files", "size_bytes", "dry_run"}),
    "prune": frozenset({"versions", "store_size_bytes", "excess_bytes", "clock_is_trusted", "dry_run"}),
    "title": frozenset({"title"}),
    "rebuild": frozenset({"rebuilt"}),
}
"""By verb: the members without which nobody knows what was answered."""


def encoded(reply: Answer) -> bytes:
    """Return a reply as JSON; what orjson does not take (a path that is not UTF-8, a number of 400 digits) is escaped."""
    try:
        return orjson.dumps(reply)
    except TypeError:
        return json.dumps(reply, default=str).encode("ascii")


def read(reply: bytes, verb: str) -> Answer:
    """Return the answer in a reply. GuardError when the guard refused; ValueError when it is no reply to that."""
    try:
        value = orjson.loads(reply)
    except ValueError:
        value = json.loads(reply)
    match value:
        case {"error": {"what": str(what), "remedy": str(remedy), "exit_code": int(code)}}:
            raise GuardError(what, remedy, ExitCode(code))
        case {"answer": dict(answer)} if answer.keys() >= _TOLD.get(verb, frozenset()):
            return answer
    raise ValueError("no reply of a guard")
