"""What takes long to write of long files, written in the background before it is decided that it counts."""

import contextlib
from datetime import datetime
from pathlib import Path

from hermesguard import files
from hermesguard.pieces import Pieces
from hermesguard.store.cache import Copy
from hermesguard.store.history import History

SUFFIX = ".ready.tmp"


class WrittenBefore:
    """Shadows that have only to be renamed, and versions that nobody was told of yet."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._shadows: dict[str, tuple[Pieces, Path]] = {}
        self._versions: dict[Path, tuple[str, Copy]] = {}

    def write_shadow(self, session: str, copy: Copy) -> None:
        """Write what may become the shadow of a session. For the background; what the disk refuses is met again then."""
        path = self._directory / f".{session}.json{SUFFIX}"
        self._shadows.pop(session, None)
        if copy.is_long and isinstance(copy.content, Pieces):
            with contextlib.suppress(OSError):
                files.write_durably(path, copy.content, note=f"{copy.digest} {copy.count}".encode())
                self._shadows[session] = (copy.content, path)

    def write_version(self, history: History, session: str, copy: Copy, reason: str, now: datetime) -> None:
        """Write what may become a version, in the same way."""
        if copy.is_long:
            with contextlib.suppress(OSError):
                kept = history.add_version(session, copy.content, copy.count, reason, now)
                if kept.time == now:
                    self._versions[kept.path] = session, copy

    def install(self, session: str, content: object, mtime_ns: int, target: Path) -> bool:
        """Make what was written the shadow, if it is this content; return whether it was. Raises OSError."""
        known, path = self._shadows.pop(session, (None, target))
        if known is None:
            return False
        if known is not content:
            files.remove(path)
            return False
        try:
            files.set_mtime(path, mtime_ns)
            files.sync_file(path)
        except FileNotFoundError:
            return False
        return files.move(path, target)

    def drop(self, session: str, shadow: Copy | None) -> None:
        """Take away what was written for a session and was not needed: of the versions those of what is the `shadow` yet."""
        known = self._shadows.pop(session, None)
        if known:
            with contextlib.suppress(OSError):
                files.remove(known[1])
        for path, (name, copy) in list(self._versions.items()):
            if name == session:
                del self._versions[path]
                if copy is shadow:
                    with contextlib.suppress(OSError):
                        files.remove(path)
                        files.remove_directory(path.parent)

    def is_untold(self, version: Path) -> bool:
        """Return whether a version was written so and is told for the first time."""
        return self._versions.pop(version, None) is not None
