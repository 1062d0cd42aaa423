"""When many sessions vanish at once, that is no deletion: they are held until they are back or a user decides.

What is held survives a restart: `<store>/held`, one id a line. Nothing that is held is judged, and nothing of it is purged.
"""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from hermesguard import files
from hermesguard.events.reporter import Reporter
from hermesguard.webui.session import is_session_id

SECONDS: Final = 10.0
"""Within so many seconds..."""
MOST_SESSIONS: Final = 3
"""...no more than so many sessions may vanish without a tombstone."""
_LONGEST_BYTES: Final = 16 * 1024 * 1024
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
            words = files.read(self._path, _LONGEST_BYTES)[0].decode("ascii", "replace").split()
        except FileNotFoundError:
            return ""
        self._written = frozenset(filter(is_session_id, words))
        self.held.update(self._written)
        return "" if len(self._written) == len(set(words)) else "it holds what is no session id"

    def is_hot(self, now: float) -> bool:
        """Return whether sessions have just been vanishing in numbers: what vanishes now is held with them."""
        return bool(self.held) and now - self._last < HOT_SECONDS

    def pull(self, names: Iterable[str], now: float, reason: str) -> None:
        """Hold these sessions; tell it when they are the first."""
        is_first = not self.held
        self.held.update(names)
        self._last = now
        if is_first:
            self._came_back = 0
            self._reporter.report(
                "mass_change_held", count=len(self.held), path=str(self._directory), reason=reason
            )

    def let_go(self, name: str) -> None:
        """Hold a session no more: it is back, or someone decided; tell it when it was the last."""
        if name not in self.held:
            return
        self.held.discard(name)
        self._came_back += 1
        if not self.held:
            self._reporter.report("mass_change_released", count=self._came_back, path=str(self._directory))

    def write_down(self, known: Collection[str]) -> None:
        """Make what is held survive a restart, without sessions that are not `known` any more. Raises OSError."""
        for name in self.held - set(known):
            self.let_go(name)
        if self.held == self._written:
            return
        if self.held:
            files.write_durably(self._path, "".join(f"{name}\n" for name in sorted(self.held)).encode())
        else:
            files.remove(self._path)
        self._written = frozenset(self.held)
