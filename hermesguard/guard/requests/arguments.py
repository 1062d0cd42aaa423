"""What a request may bring: its arguments are checked before they become part of anything."""

import re
from collections.abc import Mapping
from typing import Any, Final

from hermesguard.errors import ExitCode, GuardError
from hermesguard.guard.requests.handover import is_handed_over
from hermesguard.store import incidents
from hermesguard.webui import session
from hermesguard.webui.document import PARTS

# What each request takes: what it needs, and what it may have.
_ARGUMENTS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "undo": (frozenset({"incident"}), frozenset({"merge", "dry_run", "details", "seen"})),
    "accept": (frozenset({"name"}), frozenset({"dry_run", "seen"})),
    "restore": (
        frozenset({"name"}),
        frozenset({"version", "replace", "dry_run", "part", "details", "seen"}),
    ),
    "restore_all_missing": (frozenset(), frozenset({"dry_run"})),
    "salvage": (frozenset({"name", "file"}), frozenset({"restore"})),
    "purge": (frozenset({"name"}), frozenset({"dry_run"})),
    "prune": (frozenset(), frozenset({"dry_run"})),
    "title": (frozenset({"name"}), frozenset()),
    "rebuild": (frozenset({"name"}), frozenset()),
    "verified": (frozenset({"files", "damaged"}), frozenset()),
}
_LONGEST_VERSION: Final = 200
_SEEN: Final = re.compile(r"(?:[0-9a-f]{16})?")


def _fits(name: str, value: object) -> bool:
    """Return whether a value may be the argument of that name."""
    match name:
        case "name":
            return session.is_session_id(value)
        case "incident":
            return isinstance(value, str) and incidents.is_incident_id(value)
        case "file":
            return isinstance(value, str) and is_handed_over(value)
        case "version":
            return isinstance(value, str) and len(value) <= _LONGEST_VERSION
        case "seen":
            return isinstance(value, str) and _SEEN.fullmatch(value) is not None
        case "part":
            return value in PARTS
        case "files" | "damaged":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
        case _:
            return isinstance(value, bool)


def require_arguments(verb: str, arguments: Mapping[str, Any]) -> None:
    """Raise GuardError unless these are the arguments of the request: no other name becomes part of a path."""
    needed, more = _ARGUMENTS[verb]
    for name, value in arguments.items():
        if name in needed | more and not _fits(name, value):
            what = f'"{ascii(str(value))[1:-1][:80]}" is no {_WORDS.get(name, name)}'
            raise GuardError(
                what, "hermesguard list and hermesguard log show what there is", ExitCode.NOT_FOUND
            )
    if not needed <= arguments.keys() <= needed | more:
        raise GuardError(
            f"The guard knows {verb} with other arguments",
            "It may be an older version: restart it",
            ExitCode.USAGE,
        )


_WORDS: Final = {"name": "session id", "incident": "incident number"}
