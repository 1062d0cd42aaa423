"""When many sessions vanish at once, that is no deletion: they are held until they are back or a user decides.

What is held survives a restart: `<store>/held`, one id a line. Nothing that is held is judged, and nothing of it is purged.
"""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from hermesguard import files
from hermesguard.events.reporter import Reporter
from hermesguard.guard.recorder import Recorder
from hermesguard.webui.session import is_session_id

SECONDS: Final = 10.0
"""Within so many seconds..."""
MOST_SESSIONS: Final = 3
"""...no more than so many sessions may vanish without evidence of a deletion, where a deletion leaves some."""
LARGEST_BATCH: Final = 50
"""Where no index lists them and there are no tombstones, no more than so many may, unless at least half of the sessions stay."""
QUIET_SECONDS: Final = 2.0
"""What comes so soon after another one belongs to it."""
LONGEST_BYTES: Final = 16 * 1024 * 1024
# Who empties a directory of thousands takes his time: what vanishes so soon after the last one belongs to it.
HOT_SECONDS: Final = 60.0


class MassChangeBrake:
    """The sessions that are held, written down at `path`."""

    def __init__(self, path: Path, directory: Path, reporter: Reporter) -> None:
        self.held: set[str] = set()
        self._path = path
        self._directory = directory
        self._reporter = reporter
        self._last = -HOT_SECONDS
        self._came_back = 0
        self._written: frozenset[str] = frozenset()

    def read(self) -> str:
        """Take over what was held before a restart; return why the file is none of ours, if it is not. Raises OSError."""
        try:
            words = files.read(self._path, LONGEST_BYTES)[0].decode("ascii", "replace").split()
        except FileNotFoundError:
            return ""
        self._written = frozenset(filter(is_session_id, words))
        self.held.update(self._written)
        return "" if len(self._written) == len(set(words)) else "it holds what is no session id"

    def is_hot(self, now: float) -> bool:
        """Return whether sessions have just been vanishing in numbers: what vanishes now is held with them."""
        return bool(self.held) and now - self._last < HOT_SECONDS

    def pull(self, names: Iterable[str], now: float, reason: str) -> None:
        """Hold these sessions; report it when they are the first."""
        is_first = not self.held
        self.held.update(names)
        self._last = now
        if is_first:
            self._came_back = 0
            self._reporter.report(
                "mass_change_held", count=len(self.held), path=str(self._directory), reason=reason
            )

    def let_go(self, name: str) -> None:
        """Hold a session no longer: it is back, or a user decided; report it when it was the last."""
        if name not in self.held:
            return
        self.held.discard(name)
        self._came_back += 1
        if not self.held:
            self._reporter.report("mass_change_released", count=self._came_back, path=str(self._directory))

    @property
    def is_written(self) -> bool:
        """Return whether what is held would survive a restart as it is."""
        return self.held == self._written

    def write_down(self, known: Collection[str]) -> None:
        """Make what is held survive a restart, without sessions that are not `known` any more. Raises OSError."""
        for name in self.held - set(known):
            self.let_go(name)
        if self.is_written:
            return
        if self.held:
            files.write_durably(self._path, "".join(f"{name}\n" for name in sorted(self.held)).encode())
        else:
            files.remove(self._path)
        self._written = frozenset(self.held)


class RolledBack:
    """Sessions that went back to an older state, and were repaired; of many at once one incident reports.

    A tool that synchronises directories, or a backup, puts older files over newer ones: what each of them shows alone could be
    an act of a user, what they show together cannot.
    """

    def __init__(self, recorder: Recorder, directory: Path) -> None:
        self._recorder = recorder
        self._directory = directory
        self._incidents: dict[str, str] = {}
        self._last = 0.0

    def belongs(self, now: float) -> bool:
        """Return whether another one now would belong to so many that one incident reports them."""
        self._forget(now)
        return len(self._incidents) >= MOST_SESSIONS

    def note(self, session: str, incident: str, now: float) -> None:
        """Note that a session went back, and which incident reports its repair."""
        self._forget(now)
        self._incidents[session] = incident
        self._last = now

    def wait_seconds(self, now: float) -> float | None:
        """Return the seconds until the incident is due that reports all; None when there is none."""
        if len(self._incidents) <= MOST_SESSIONS:
            return None
        return max(0.0, self._last + QUIET_SECONDS - now)

    def report(self, now: float, at_once: bool = False) -> None:
        """Record and report that many went back at once, when no more of them come, or at once."""
        wait = self.wait_seconds(now)
        if wait is None or (wait > 0 and not at_once):
            return
        incidents, self._incidents = self._incidents, {}
        self._recorder.rolled_back(incidents, self._directory)

    def _forget(self, now: float) -> None:
        if len(self._incidents) <= MOST_SESSIONS and now - self._last > SECONDS:
            self._incidents.clear()
