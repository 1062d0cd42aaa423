"""The application's tombstones, `_deleted_webui_sessions.json`: which sessions a user deleted (v0.51.850 and later)."""

from pathlib import Path
from typing import Final

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.webui.lists.index import ids_in, load

TOMBSTONES: Final = "_deleted_webui_sessions.json"
# The application keeps no more; of the ids it keeps those that sort last.
_MOST_IDS: Final = 1000


class Tombstones:
    """The list at `path`, read again only when it has changed. What cannot be read raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[Stamp, frozenset[str]] | None = None

    def __contains__(self, session: str) -> bool:
        return session in self._ids()

    def may_lack(self, session: str) -> bool:
        """Return whether the list is full, and the application would leave this session's id out."""
        ids = self._ids()
        return len(ids) >= _MOST_IDS and session < min(ids)

    def forget(self) -> None:
        """Give back the memory, while nobody asks."""
        self._known = None

    def _ids(self) -> frozenset[str]:
        stamp = files.stamp(self._path)
        if stamp is None:
            return frozenset()
        if self._known is None or self._known[0] != stamp:
            self._known = stamp, ids_in(load(self._path)) or frozenset()
        return self._known[1]
