"""The rights that repairs need (capabilities(7)): what is bound to fail is reported at the start, not when a repair needs it."""

import contextlib
import os
from pathlib import Path

from hermesguard.config.paths import OUTSIDE_VARIABLE
from hermesguard.errors import ExitCode, GuardError

_CAP_CHOWN = 0


def may_give_away() -> bool:
    """Return whether this process may give a file to another user, as a repair of that user's file must."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return False
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> _CAP_CHOWN & 1)


def require(sessions: Path, *, came_late: bool, is_start: bool) -> None:
    """Raise GuardError when repairs in the sessions directory cannot be made.

    `came_late`: it was waited for; `is_start`: the guard is not ready yet, and a refusal ends it.
    """
    try:
        is_read_only = os.statvfs(sessions).f_flag & os.ST_RDONLY
    except PermissionError:
        raise GuardError(
            f"{sessions} cannot be read: Permission denied", remedy_for(sessions), ExitCode.REFUSED
        ) from None
    if came_late and os.environ.get("NOTIFY_SOCKET") and is_read_only:
        # A directory that came after the sandbox was built is read-only in it; a restart builds it anew.
        raise GuardError(
            f"{sessions} appeared, but is read-only here",
            "The service manager starts the guard again, which repairs it",
        )
    if not is_start:
        return
    is_readable = os.access(sessions, os.R_OK | os.X_OK, effective_ids=True)
    is_writable = os.access(sessions, os.W_OK, effective_ids=True)
    if not is_readable or not (is_writable or is_read_only):
        raise GuardError(
            f"{sessions} cannot be {'written' if is_readable else 'read'}: Permission denied",
            remedy_for(sessions),
            ExitCode.REFUSED,
        )
    found = os.stat(sessions)
    if found.st_uid != os.geteuid() and not may_give_away():
        raise GuardError(
            f"{sessions} belongs to uid {found.st_uid}, and a repair by uid {os.geteuid()} would take the file away from it",
            _as_that_user(found),
            ExitCode.REFUSED,
        )


def remedy_for(sessions: Path) -> str:
    """Return what to do where the guard may not read or write in that directory, or not even look for it."""
    if os.environ.get(OUTSIDE_VARIABLE):
        for directory in (sessions, *sessions.parents):
            with contextlib.suppress(OSError):
                return _as_that_user(os.stat(directory))
    return "Run the guard as the user of hermes-webui, or give its user the right to read and write there"


def _as_that_user(found: os.stat_result) -> str:
    if os.environ.get(OUTSIDE_VARIABLE):
        return (
            f"Run the container as that user: UID={found.st_uid} and GID={found.st_gid} in .env and `up --build` once more, "
            f"or runAsUser: {found.st_uid}"
        )
    return "Run the guard as that user: User= in the unit, or hermesguard@USER.service"
