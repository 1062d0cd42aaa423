"""The same session lost again and again: by a stale writer that still writes from an empty memory, or by another tool.

Ten repairs within a minute are made at once. From then on each repair is followed by a pause of twenty times what it cost, so
that a writer that never rests takes a twentieth of one core, and the conversation is whole for nearly all of the time. The
pause ends with the process that writes, and with the guard. What such a writer displaces is kept as long as it is all there
is of a message; of the rest, the newest few.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hermesguard.webui.session import Identity

WINDOW_SECONDS: Final = 60.0
REPAIRS_BEFORE_BACK_OFF: Final = 10
COSTS_PER_PAUSE: Final = 20.0
COSTS_REMEMBERED: Final = 5
SHORTEST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 60.0
"""A back-off is over when the session was not repaired for so long."""
ALERT_INTERVAL_SECONDS: Final = 60.0
MOST_VERSIONS: Final = 6
"""So many of the versions that one back-off makes are kept, when all that they hold stands in the newest copy."""


@dataclass(slots=True)
class _Pass:
    repairs: deque[float] = field(default_factory=lambda: deque(maxlen=REPAIRS_BEFORE_BACK_OFF))
    count: int = 0
    is_backing_off: bool = False
    pause_seconds: float = 0.0
    costs: deque[float] = field(default_factory=lambda: deque(maxlen=COSTS_REMEMBERED))
    writer_pid: int | None = None
    """Who wrote what was repaired last."""
    alerted: float | None = None
    incident: str = ""
    """The one that grows while it lasts."""
    first_version: str = ""
    versions: dict[str, frozenset[Identity]] = field(default_factory=dict)
    """Those it has made, oldest first, each with the messages of it that the newest copy did not have then."""


@dataclass(slots=True)
class BackOff:
    """Which sessions are damaged again and again, and how long the next repair of each waits."""

    _passes: dict[str, _Pass] = field(default_factory=dict)

    def wait_seconds(self, session: str, now: float) -> float:
        """Return how long a repair must still wait; 0 when it may be done."""
        current = self._passes.get(session)
        if current is None or not current.repairs:
            return 0.0
        return max(0.0, current.repairs[-1] + current.pause_seconds - now)

    def repaired(self, session: str, now: float, writer_pid: int | None = None) -> bool:
        """Note a repair; return whether it began a back-off, which is to be reported."""
        current = self._passes.setdefault(session, _Pass())
        current.repairs.append(now)
        current.count += 1
        current.writer_pid = writer_pid
        is_frequent = (
            len(current.repairs) == REPAIRS_BEFORE_BACK_OFF and now - current.repairs[0] <= WINDOW_SECONDS
        )
        begins = is_frequent and not current.is_backing_off
        if begins:
            current.is_backing_off = True
            current.alerted = now
        if current.is_backing_off:
            current.pause_seconds = SHORTEST_PAUSE_SECONDS
        return begins

    def cost(self, session: str, seconds: float) -> None:
        """Note what the last repair has cost: in a back-off, the pause behind it is many times as long.

        What else the machine was busy with only adds to it, so the least of the last few counts.
        """
        if (current := self._passes.get(session)) and current.is_backing_off:
            current.costs.append(seconds)
            pause = COSTS_PER_PAUSE * min(current.costs)
            current.pause_seconds = min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, pause))

    def lift(self, session: str) -> None:
        """End the pause: the writer has ended, or the guard is about to."""
        if current := self._passes.get(session):
            current.pause_seconds = 0.0

    def saved_all(self, session: str) -> None:
        """Note that the application has saved everything that is known: it does not write from an old memory.

        The next loss is one of its own, then, and repaired at once, however many there were before.
        """
        if current := self._passes.get(session):
            current.pause_seconds = 0.0
            current.incident = current.first_version = ""
            current.versions.clear()

    def writer(self, session: str) -> int | None:
        """Return who wrote what was repaired last, None when that is not known."""
        current = self._passes.get(session)
        return current.writer_pid if current else None

    def is_backing_off(self, session: str) -> bool:
        """Return whether a session is being damaged again and again."""
        current = self._passes.get(session)
        return current is not None and current.is_backing_off

    def incident(self, session: str) -> str:
        """Return the incident that grows with each further repair of the session; empty when there is none."""
        current = self._passes.get(session)
        return current.incident if current else ""

    def note_incident(self, session: str, incident: str) -> None:
        """Note the incident of a repair: in a back-off it grows from now on."""
        if (current := self._passes.get(session)) and current.is_backing_off:
            current.incident = incident

    def note_version(self, session: str, version: str, news: Iterable[Identity] = ()) -> None:
        """Note a version that a back-off made; `news` are the messages in it that the newest copy does not have yet."""
        current = self._passes.get(session)
        if current is None or not current.is_backing_off or not version:
            return
        current.first_version = current.first_version or version
        if version >= current.first_version:  # an older one of the same content is not the back-off's
            current.versions[version] = frozenset(news)

    def outdated(self, session: str, known: Iterable[Identity]) -> list[str]:
        """Return the versions that need not be kept, now that the newest copy has the messages `known`; they are forgotten."""
        current = self._passes.get(session)
        if current is None or len(current.versions) <= MOST_VERSIONS:
            return []
        found = frozenset(known)
        for version, news in current.versions.items():
            if news <= found:
                current.versions[version] = frozenset()
        old = list(current.versions)[:-MOST_VERSIONS]
        going = [version for version in old if not current.versions[version]]
        for version in going:
            del current.versions[version]
        return going

    @property
    def is_idle(self) -> bool:
        """Return whether no session was repaired lately."""
        return not self._passes

    def over(self, now: float) -> Iterator[tuple[str, int]]:
        """Forget the sessions that have long been quiet; yield those in a back-off, and how often they were repaired."""
        for session, current in list(self._passes.items()):
            last = max(current.alerted or 0.0, current.repairs[-1] if current.repairs else 0.0)
            if now - last > QUIET_SECONDS + current.pause_seconds:
                del self._passes[session]
                if current.is_backing_off:
                    yield session, current.count

    def alert(self, session: str, now: float) -> bool:
        """Return whether an alert about the session may go out now: at most one a minute."""
        current = self._passes.setdefault(session, _Pass())
        if current.alerted is not None and now - current.alerted < ALERT_INTERVAL_SECONDS:
            return False
        current.alerted = now
        return True


def writer(pid: int | None) -> dict[str, int | str]:
    """Return what is known of a writer: its pid, and its command name if it can still be read (proc_pid_comm(5))."""
    if pid is None:
        return {}
    try:
        command = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return {"writer_pid": pid}
    return {"writer_pid": pid, "writer_command": command}
