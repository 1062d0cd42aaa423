"""Whether all is well, by what the guard and the store say of themselves."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from hermesguard.config.paths import OUTSIDE_VARIABLE
from hermesguard.config.units import counted
from hermesguard.errors import GuardError
from hermesguard.lookup.guards import start_command
from hermesguard.store.place import top_of

_NAMED_AT_MOST: Final = 5
_QUIET_DAYS: Final = 7
URGENT: Final = frozenset({"lost before", "unreadable", "not repaired", "uncertain", "not known"})
"""Kinds of what may be missed (module missed) that wait for a user."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not well, and what to do about it."""

    words: str
    remedy: str
    is_critical: bool


def troubles_of(known: dict[str, Any], hindrance: GuardError | None = None) -> list[Trouble]:
    """Return what is not well in a status, the worst first; `hindrance` is why no guard could run."""
    found = []
    if not known["running"] and known["pid"] is not None:
        far = "It may be in another container, or on another machine: ask there. Else it"
        remedy = "has just started, or cannot write its store: look for a full disk, a read-only file system"
        words = f"{holder(known)} holds the store, but does not answer"
        found.append(Trouble(words, f"{'It' if known['pid'] else far} {remedy}", True))
    elif not known["running"] and hindrance:
        words = f"no guard runs on this store, and none can: {hindrance.what}"
        found.append(Trouble(words, hindrance.remedy, True))
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
        remedy = "Wait for it, or see its log"
        if _is_nowhere(known):
            remedy = f"hermes-webui makes it at its first start. {_elsewhere('If it was started already')}"
        found.append(Trouble(f"the guard is not ready, {reason}", remedy, True))
    elif known["watch_lost"] and len(known.get("directories", ())) < 2:
        found.append(
            Trouble(
                "the watch is lost",
                f"Periodic scans continue; {known['watch_reason'] or 'see its log'}",
                True,
            )
        )
    found += _of_directories(known)
    if known["running"] and known["ready"] and not known["sessions"]:
        words = f"there is no conversation in {_where(known)}"
        found.append(Trouble(words, _elsewhere("If hermes-webui has any"), False))
    if known["store_error"]:
        remedy = "Look for a full disk, a read-only file system, wrong owners"
        found.append(Trouble(f"the store is not writable ({known['store_error']})", remedy, True))
    if known["damaged_files"]:
        words = f"{counted(known['damaged_files'], 'file')} of the store {'is' if known['damaged_files'] == 1 else 'are'} damaged"
        found.append(Trouble(words, "See: hermesguard verify", True))
    if known["held"]:
        words = f"{counted(len(known['held']), 'session')} vanished at once"
        remedy = "See: hermesguard restore --all-missing --dry-run"
        if _is_inside():
            remedy = (
                f"{_elsewhere('If they are all there')}. If they are gone, {remedy[0].lower()}{remedy[1:]}"
            )
        found.append(Trouble(words, remedy, True))
    if known["unreadable"]:
        names = _named(sorted(known["unreadable"]))
        found.append(
            Trouble(
                f"{counted(len(known['unreadable']), 'session')} cannot be guarded ({names})",
                f"See: hermesguard explain {min(known['unreadable'])}",
                False,
            )
        )
    if known["unresolved"]:
        words = f"{counted(len(known['unresolved']), 'incident')} wait{'s' * (len(known['unresolved']) == 1)} for a user"
        number = known["unresolved"][-1]
        remedy = f"See: hermesguard explain {number}, which tells what answers it"
        found.append(Trouble(words, remedy, False))
    return found


def quiet(known: dict[str, Any], now: datetime) -> str:
    """Return, where nobody has saved a conversation for days, what that may mean; empty otherwise.

    No trouble: people are away for weeks. But where hermes-webui is used, it is used with another directory.
    """
    if not (known["running"] and known["ready"] and known["sessions"] and known["last_save"]):
        return ""
    days = (now - datetime.fromisoformat(known["last_save"])).days
    if days < _QUIET_DAYS or known["held"]:
        return ""
    what = f"Nobody has saved a conversation in {_where(known)} for {days:,} days"
    return f"{what}. {_elsewhere('If hermes-webui was used since')}."


def _is_nowhere(known: dict[str, Any]) -> bool:
    """Return whether there is no sessions directory at all, as far as the guard says; an older one does not."""
    directories = known.get("directories", ())
    return bool(directories) and all(one.get("missing", False) for one in directories)


def _elsewhere(condition: str) -> str:
    """Return what to do where, on that condition, the guard looks at the wrong directory."""
    if _is_inside():
        return (
            f"{condition}, another place is mounted here than the one where hermes-webui keeps its conversations: where its "
            "compose file has the volume hermes-home, add compose.volume.yaml (its first lines say how)"
        )
    return (
        f"{condition}, the guard looks at the wrong directory: name the right one (hermesguard config show)"
    )


def _is_inside() -> bool:
    """Return whether this is a container as packaging/container makes it: who reads this types his commands outside."""
    return bool(os.environ.get(OUTSIDE_VARIABLE))


def _of_directories(known: dict[str, Any]) -> list[Trouble]:
    """Return what is not well with some of several directories, where that is not told of the guard as a whole."""
    found = [
        Trouble(
            f"{one['sessions_directory']} cannot be guarded ({one['error']})",
            "See what it needs: hermesguard explain directory_refused",
            False,
        )
        for one in known.get("refused", ())
    ]
    several = known.get("directories", ())
    if len(several) < 2 or not known["running"]:
        return found
    for one in several:
        if one["missing"]:
            if not one["sessions"]:
                continue  # the application may keep its conversations there, and never did
            remedy = f"What is kept of its {counted(one['sessions'], 'conversation')} stays: bring it back, or mount it"
            if top_of(Path(one["store"])) != Path(one["store"]):
                remedy += f". If it is gone for good, remove its part of the store: {one['store']}"
            words = f"the directory {one['name']} is missing ({one['sessions_directory']})"
            found.append(Trouble(words, remedy, False))
        elif one["watch_lost"]:
            reason = f" ({one['watch_reason']})" if one["watch_reason"] else ""
            remedy = "See its log; it is tried again all the time, and the other directories are guarded"
            found.append(Trouble(f"the directory {one['name']} is not watched{reason}", remedy, True))
    return found


def _where(known: dict[str, Any]) -> str:
    several = len(known.get("directories", ()))
    return f"any of {several} directories" if several > 1 else str(known["sessions_directory"])


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + more


def holder(known: dict[str, Any]) -> str:
    """Return what is known of who holds the store's lock; 0 is a process that cannot be seen from here."""
    return f"process {known['pid']}" if known["pid"] else "a process elsewhere"
