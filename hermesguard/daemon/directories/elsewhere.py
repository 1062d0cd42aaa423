"""Whether conversations seem to be elsewhere now: one directory is quiet since another one of the same user has come alive.

So it is when hermes-webui was started with another HERMES_HOME, or as another profile. Pure: knows neither disk nor clock.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

QUIET_SCANS: Final = 60
"""So many scan intervals without a save are quiet."""
_ASLEEP_SECONDS: Final = 7 * 86400.0
"""A directory that was not written to for so long comes alive with its next save."""
_REMEMBERED_SECONDS: Final = 30 * 86400.0
"""A directory that was quiet for longer than this before has not become so."""


class Life(NamedTuple):
    """What is known of the saves in one directory."""

    name: str
    last_save: float
    """When it was saved last (POSIX); 0 when it never was."""
    is_new: bool
    """It was not guarded before this guard started."""
    is_there: bool


class Elsewhere:
    """Follows the saves of all directories; says each pair of them once."""

    def __init__(self) -> None:
        self._saves: dict[str, float] = {}
        self._came_alive: dict[str, float] = {}
        self._told: set[tuple[str, str]] = set()

    def look(self, lives: Iterable[Life], now: float, quiet_seconds: float) -> Iterator[tuple[str, str]]:
        """Yield (the quiet one, the one that came alive) for each pair of which that can be said now."""
        lives = list(lives)
        for one in lives:
            before = self._saves.get(one.name)
            self._saves[one.name] = one.last_save
            was_asleep = not before or one.last_save - before > _ASLEEP_SECONDS
            is_awake = one.is_new if before is None else was_asleep
            if one.last_save and one.last_save != before and is_awake:
                self._came_alive.setdefault(one.name, one.last_save)
        for alive, since in list(self._came_alive.items()):
            others = [one for one in lives if one.name != alive and one.last_save]
            for one in others:
                if one.last_save >= since or since - one.last_save > _REMEMBERED_SECONDS:
                    continue
                if (
                    now - since >= (quiet_seconds if one.is_there else 0.0)
                    and (one.name, alive) not in self._told
                ):
                    self._told.add((one.name, alive))
                    yield one.name, alive
