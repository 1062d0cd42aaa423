"""What a command found out at some cost, kept for the next one in the user's cache directory, and of which state it is true.

`$XDG_CACHE_HOME`, else `~/.cache`; a file of mode 0600 for each store. It holds ids, numbers and file names, never text, and
can be removed at any time: then the next command is slower.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from hermesguard import files
from hermesguard.config.paths import absolute_variable

FORMAT: Final = 1
_LONGEST_BYTES: Final = 256 * 1024 * 1024
_SETTLED_NS: Final = 2_000_000_000
"""A change within one tick of the file system's clock leaves no trace in the time: what is this old has seen none."""


class Notes:
    """What is noted of one store under the name `kind`: a list for each session, of which `is_note` tells whether it is one."""

    def __init__(
        self,
        kind: str,
        store: Path,
        is_note: Callable[[list[Any]], bool],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        place = os.fsencode(os.path.realpath(store))
        self._store = place.decode("utf-8", "backslashreplace")
        self._path = _path(kind, place, environment)
        self._began_ns = time.time_ns()
        self.known: dict[str, list[Any]] = self._read(is_note) if self._path else {}

    def is_settled(self, changed_ns: int) -> bool:
        """Return whether what was last changed then cannot have changed again in the very moment in which it was looked at."""
        return changed_ns < self._began_ns - _SETTLED_NS

    def write(self, found: dict[str, list[Any]], there: Container[str]) -> None:
        """Note this of some sessions besides, and forget those that are not `there` any longer.

        Where that is not possible, the next command is slower.
        """
        if self._path is None:
            return
        sessions = {name: note for name, note in (self.known | found).items() if name in there}
        if sessions == self.known:
            return
        with contextlib.suppress(OSError, TypeError):  # a name that is no UTF-8 cannot be noted
            data = orjson.dumps({"format": FORMAT, "store": self._store, "sessions": sessions})
            folder = self._path.parent
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.stat(folder).st_uid == os.geteuid():
                files.write_durably(self._path, data, is_lasting=False)

    def _read(self, is_note: Callable[[list[Any]], bool]) -> dict[str, list[Any]]:
        """Return what was noted; nothing when it cannot be read, others may write it, or it is not what was written."""
        assert self._path
        try:
            data, stamp = files.read(self._path, _LONGEST_BYTES)
            if stamp.uid != os.geteuid() or stamp.mode & 0o022:
                return {}
            said = orjson.loads(data)
            if (said["format"], said["store"]) != (FORMAT, self._store):
                return {}
            sessions = said["sessions"]
            return sessions if all(type(one) is list and is_note(one) for one in sessions.values()) else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def _path(kind: str, store: bytes, environment: Mapping[str, str]) -> Path | None:
    """Return where the notes of a store are kept; None where this user has no directory of his own for them."""
    own = absolute_variable(environment, "XDG_CACHE_HOME")
    base = own or absolute_variable(environment, "HOME")
    try:
        # As root with the home of somebody else, what is written there would be in that user's way.
        if base is None:
            return None
        there = next(one for one in (base, *base.parents) if one.exists())  # it may yet be to be made
        if there.stat().st_uid != os.geteuid():
            return None
    except OSError:
        return None
    name = hashlib.sha256(store).hexdigest()[:16]
    return (own or base / ".cache") / "hermesguard" / f"{kind}-{name}.json"
