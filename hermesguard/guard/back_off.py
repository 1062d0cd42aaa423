"""The same session lost again and again: by a stale writer that still writes from an empty memory, or by another tool."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WINDOW_SECONDS = 60.0
REPAIRS_BEFORE_BACK_OFF = 10
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
ALERT_INTERVAL_SECONDS = 60.0


@dataclass(slots=True)
class _Pass:
    repairs: deque[float] = field(default_factory=lambda: deque(maxlen=REPAIRS_BEFORE_BACK_OFF))
    count: int = 0
    is_backing_off: bool = False
    pause_seconds: float = 0.0
    alerted: float | None = None


@dataclass(slots=True)
class BackOff:
    """Who is being fought with, and how long the next repair waits.

    After ten repairs within a minute a pause that doubles to a minute, until the application has saved everything that is
    known. A back-off is over when its longest pause has gone by without a repair.
    """

    _scrub: dict[str, _Pass] = field(default_factory=dict)

    def wait_seconds(self, session: str, now: float) -> float:
        """Return how long a repair must still wait; 0 when it may be done."""
        current = self._scrub.get(session)
        if current is None or not current.repairs:
            return 0.0
        return max(0.0, current.repairs[-1] + current.pause_seconds - now)

    def repaired(self, session: str, now: float) -> bool:
        """Note a repair; return whether it made this a back-off, which is to be told."""
        current = self._scrub.setdefault(session, _Pass())
        current.repairs.append(now)
        current.count += 1
        if current.is_backing_off:
            current.pause_seconds = min(
                LONGEST_PAUSE_SECONDS, current.pause_seconds * 2 or FIRST_PAUSE_SECONDS
            )
            return False
        if len(current.repairs) < REPAIRS_BEFORE_BACK_OFF or now - current.repairs[0] > WINDOW_SECONDS:
            return False
        current.is_backing_off = True
        current.pause_seconds = FIRST_PAUSE_SECONDS
        current.alerted = now
        return True

    def peace(self, session: str) -> None:
        """Note that the application has saved everything that is known: it does not write from an old memory.

        The next loss is one of its own, then, and repaired at once, however many there were before.
        """
        if current := self._scrub.get(session):
            current.pause_seconds = 0.0

    def over(self, now: float) -> Iterator[tuple[str, int]]:
        """Forget the sessions that have long been quiet; yield those that were fought over, and how often they were repaired."""
        for session, current in list(self._scrub.items()):
            last = max(current.alerted or 0.0, current.repairs[-1] if current.repairs else 0.0)
            if now - last > LONGEST_PAUSE_SECONDS + current.pause_seconds:
                del self._scrub[session]
                if current.is_backing_off:
                    yield session, current.count

    def alert(self, session: str, now: float) -> bool:
        """Return whether an alert about the session may go out now: at most one a minute."""
        current = self._scrub.setdefault(session, _Pass())
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
