"""The same session lost again and again: by a ghost that still writes from an empty memory, or by another tool."""

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

WINDOW_SECONDS = 60.0
REPAIRS_BEFORE_FIGHT = 10
LONGEST_PAUSE_SECONDS = 60.0
ALERT_INTERVAL_SECONDS = 60.0


@dataclass(slots=True)
class _Round:
    repairs: deque[float] = field(default_factory=deque)
    pause_seconds: float = 0.0
    told: float | None = None
    alerted: float | None = None


@dataclass(slots=True)
class Fights:
    """Who is being fought with, and how long the next repair waits.

    After ten repairs a minute a pause that doubles to a minute, until the application has saved everything that is known.
    """

    _rounds: dict[str, _Round] = field(default_factory=dict)
    told_no_exchange: bool = False

    def wait_seconds(self, session: str, now: float) -> float:
        """Return how long a repair must still wait; 0 when it may be done."""
        current = self._rounds.get(session)
        if current is None or not current.repairs:
            return 0.0
        return max(0.0, current.repairs[-1] + current.pause_seconds - now)

    def repaired(self, session: str, now: float) -> bool:
        """Note a repair; return whether it is time to tell that this is a fight (once a minute)."""
        current = self._rounds.setdefault(session, _Round())
        current.repairs.append(now)
        horizon = now - WINDOW_SECONDS - current.pause_seconds
        while current.repairs[0] < horizon:
            current.repairs.popleft()
        if len(current.repairs) <= REPAIRS_BEFORE_FIGHT:
            current.pause_seconds = 0.0
            return False
        current.pause_seconds = min(LONGEST_PAUSE_SECONDS, current.pause_seconds * 2 or 1.0)
        if current.told is not None and now - current.told < ALERT_INTERVAL_SECONDS:
            return False
        current.told = now
        return True

    def peace(self, session: str) -> None:
        """Note that the application has saved everything that is known: it does not write from an old memory.

        The next loss is one of its own, then, and repaired at once, however many there were before.
        """
        if current := self._rounds.get(session):
            current.pause_seconds = 0.0

    def alert(self, session: str, now: float) -> bool:
        """Return whether an alert about the session may go out now: at most one a minute."""
        current = self._rounds.setdefault(session, _Round())
        if current.alerted is not None and now - current.alerted < ALERT_INTERVAL_SECONDS:
            return False
        current.alerted = now
        return True


def writer(pid: int | None) -> dict[str, int | str]:
    """Return what can be told of a writer: its pid, and its command name if it can still be read (proc_pid_comm(5))."""
    if pid is None:
        return {}
    try:
        command = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return {"writer_pid": pid}
    return {"writer_pid": pid, "writer_command": command}
