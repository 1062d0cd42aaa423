"""What this process may do to other users' files (capabilities(7))."""

from pathlib import Path

_CAP_CHOWN = 0


def may_give_away() -> bool:
    """Return whether this process may give a file to another user, as a repair of that user's file must."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return False
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> _CAP_CHOWN & 1)
