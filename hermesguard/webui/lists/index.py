"""The application's index, `_index.json`: what it says of a session, and what it said before (docs/hermes-webui.md, section 7).

Most releases leave nothing behind a deletion but what happens to the index: the entry goes with the file (v0.51.139 and later),
or the whole index does (before). An entry is evidence only if it was seen, and an index that is not there says nothing: least of
all one that the guard removed itself. So what it last said is remembered, also over a restart.
"""

import json
import os
import time
from collections.abc import Callable, Container
from heapq import nlargest
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.webui.grammar import memory_bytes
from hermesguard.webui.session import is_session_id, number

LONGEST_LIST_BYTES = 64 * 1024 * 1024
_MOST_MEMORY_BYTES: Final = 256 * 1024 * 1024
"""What a list may take in memory: an index of that length, as the application writes it, takes less."""
INDEX: Final = "_index.json"
Says = Literal["lists", "pruned", "unlisted", "rebuilt", "removed", "none"]
NEAR_SECONDS: Final = 2.0
"""What is noticed so far apart may be one act."""
# The index is written after every save, and is large where there are many sessions: to read it may take so much of the time.
_SHARE_OF_TIME: Final = 0.02
_SHORTEST_PAUSE_SECONDS: Final = 0.2
# So many of the sessions that were saved last tell an older index from a newer one.
_NEWEST: Final = 16


class Index:
    """The index at `path`; only reads, but for removing it when it is wrong. Times are seconds of `monotonic`."""

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._monotonic = monotonic
        self._state: Literal["there", "gone", "removed", "none"] = "none"
        self._stamp: Stamp | None = None
        self._read_at = 0.0
        self._pause_seconds = _SHORTEST_PAUSE_SECONDS
        self._is_behind = False
        """It was saved since it was read."""
        self._is_readable = False
        self._listed: frozenset[str] = frozenset()
        """What the newest index that was read listed, wherever it is now."""
        self._saved: dict[str, float] = {}
        """When it said that the sessions were saved last, of those that were saved last of all."""
        self._dropped: dict[str, float] = {}
        """Sessions that an index listed and then no longer did, and when that was noticed."""
        self._left_out: set[str] = set()
        """Sessions that an index listed, and the one that was built anew after it, or is an older one, did not."""
        self.went: float | None = None
        """When it was noticed last that the application, or anyone but the guard, had removed it."""
        self.went_unseen = False
        """It went while no guard was running."""
        self.changes = 0
        """How often what `dump` gives has changed."""
        self._place: tuple[int, int] | None = None
        """Inode and device of its directory; the device is 0 when it is of an earlier guard: a mount may have another one."""

    # -- looking

    def is_elsewhere(self) -> bool:
        """Note in which directory it is; return whether that is another one than before: then nothing of before holds here.

        Raises OSError when there is none.
        """
        found = os.stat(self.path.parent)
        before, self._place = self._place, (found.st_ino, found.st_dev)
        if before == self._place:
            return False
        self.changes += 1
        if before is None or before == (found.st_ino, 0):
            return False
        self._left_out |= self._listed
        self._listed, self._dropped, self._stamp, self.went = frozenset(), {}, None, None
        self._saved = {}
        self._state = "none"
        return True

    def note(self, *, read: bool = False) -> bool:
        """Note whether the index is there, for its going is evidence, and now and then (or `read`) what it lists.

        Returns whether it is there.
        """
        if not self.path.exists():
            self._is_gone()
        elif read or self._state != "there" or self._monotonic() - self._read_at >= self._pause_seconds:
            self._read_again()
        else:
            self._is_behind = True
        return self._state == "there"

    def wait_seconds(self) -> float | None:
        """Return the seconds until `note` is to be called again, for what was saved meanwhile; None when nothing was."""
        if not self._is_behind:
            return None
        return max(0.0, self._read_at + self._pause_seconds - self._monotonic())

    def catch_up(self) -> None:
        """Read what was saved while it was too early for it, if it is time."""
        if self.wait_seconds() == 0:
            self.note()

    def says(self, session: str, since: float) -> Says:
        """Return what the index says of a session whose file was found gone at `since`.

        pruned: it listed the session and, at about that time, no longer did. unlisted: it never did, as far as was seen.
        rebuilt: the one before it listed the session, and it was built anew, or is an older one. removed: the guard itself
        removed it, and nothing has been built since.
        Raises OSError when it cannot be read: that is no evidence of anything.
        """
        self._read(files.stamp(self.path))
        if self._state == "there" and self._is_readable and session in self._listed:
            return "lists"
        if self._dropped.get(session, -NEAR_SECONDS) >= since - NEAR_SECONDS:
            return "pruned"
        if self._state == "there":
            if not self._is_readable:
                return "none"
            return "rebuilt" if session in self._left_out else "unlisted"
        return "removed" if self._state == "removed" else "none"

    def _read_again(self) -> None:
        try:
            self._read(files.stamp(self.path))
        except OSError:
            self._is_readable = self._is_behind = False  # asking what it says reports why

    def _read(self, stamp: Stamp | None) -> None:
        if stamp is None:
            self._is_gone()
            return
        self._read_at, self._is_behind = self._monotonic(), False
        if stamp == self._stamp and self._state == "there":
            return
        self.changes += 1
        began_seconds = time.perf_counter()
        value = load(self.path)
        found, saved = ids_in(value), _saved_in(value)
        self._pause_seconds = max(
            _SHORTEST_PAUSE_SECONDS, (time.perf_counter() - began_seconds) / _SHARE_OF_TIME
        )
        self._stamp, self._is_readable = stamp, found is not None
        if found is not None:
            missing = self._listed - found
            # A backup that was put back knows nothing of what came since: no save takes an entry's time back.
            is_older = any(saved.get(name, when) < when for name, when in self._saved.items())
            self._saved = dict(nlargest(_NEWEST, saved.items(), key=itemgetter(1)))
            if self._state == "there" and not is_older:
                self._dropped.update(dict.fromkeys(missing, self._read_at))
            else:
                self._left_out |= missing
            self._listed = found
            for session in [name for name in self._dropped if name in found]:
                del self._dropped[session]
            self._left_out -= found
        self._state = "there"

    def _is_gone(self) -> None:
        if self._state == "there":
            self._state, self.went, self.went_unseen = "gone", self._monotonic(), False
            self.changes += 1
        self._stamp, self._is_behind = None, False

    # -- acting

    def correct(self, session: str, messages: int) -> bool:
        """Remove the index when its entry for the session has another count; return whether it did.

        The application builds it anew; patching the entry would race with that (docs/hermes-webui.md, section 6).
        """
        try:
            stamp = files.stamp(self.path)
            value = load(self.path)
        except OSError:
            return False
        if not isinstance(value, list):
            return False
        entry = next((entry for entry in value if _entry_id(entry) == session), None)
        if entry is not None and entry.get("message_count", messages) == messages:
            return False
        try:
            self._read(stamp)  # what it says is evidence, and gone for good in a moment
            removed = files.remove(self.path)
        except OSError:
            return False
        self._state, self._stamp, self._is_behind = "removed", None, False
        self.changes += 1
        return removed

    # -- memory

    def forget(self, known: Container[str]) -> None:
        """Forget what was noted of sessions that are not `known` any more."""
        # Those that were noted are few, the known ones many: they are looked up, not gone through.
        self._dropped = {name: when for name, when in self._dropped.items() if name in known}
        self._left_out = {name for name in self._left_out if name in known}

    def dump(self) -> bytes:
        """Return what has to be remembered over a restart; empty when there is nothing."""
        if self._state == "none" and not self._listed:
            return b""
        state = "gone" if self._state == "none" and self._listed else self._state
        listed = sorted(filter(is_session_id, self._listed))
        return orjson.dumps({"index": state, "listed": listed, "inode": self._place[0] if self._place else 0})

    def recall(self, dumped: bytes) -> str:
        """Take over what an earlier guard remembered; return why it is nothing that one wrote, if it is not."""
        strange = "it is not what hermesguard writes"
        try:
            value = orjson.loads(dumped)
        except ValueError:
            return strange
        if not isinstance(value, dict) or value.get("index") not in ("there", "gone", "removed"):
            return strange
        listed, inode = value.get("listed"), value.get("inode")
        if not isinstance(listed, list) or not isinstance(inode, int):
            return strange
        if not all(isinstance(name, str) and is_session_id(name) for name in listed):
            return strange
        if inode:
            self._place = inode, 0
        self._listed = frozenset(listed)
        self._state = value["index"]
        if self._state == "there" and not self.path.exists():
            self._is_gone()
            self.went_unseen = True
        return ""


def load(path: Path) -> Any:
    """Return the JSON value in one of the application's lists; None when there is none that can be read. Raises OSError.

    One that is too long, or would take many times its size in memory, is no list of the application's, and is not read.
    """
    try:
        data = files.read(path, LONGEST_LIST_BYTES)[0]
    except (FileNotFoundError, files.TooLarge):  # the second would be taken for the size of a session
        return None
    if memory_bytes(data) > _MOST_MEMORY_BYTES:
        return None
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    try:
        return json.loads(data)  # the application writes what only Python reads: NaN, integers of any size
    except (ValueError, RecursionError):
        return None


def load_if_readable(path: Path) -> Any:
    """As `load`, but None also for a list that cannot be read: it tells nothing."""
    try:
        return load(path)
    except OSError:
        return None


def ids_in(value: Any) -> frozenset[str] | None:
    """Return the session ids in an index (a list of entries) or in tombstones (an object with a list of ids)."""
    if isinstance(value, list):
        return frozenset(found for entry in value if isinstance(found := _entry_id(entry), str))
    ids = value.get("ids") if isinstance(value, dict) else None
    return frozenset(found for found in ids if isinstance(found, str)) if isinstance(ids, list) else None


def _saved_in(value: Any) -> dict[str, float]:
    """Return when an index says that its sessions were saved."""
    if not isinstance(value, list):
        return {}
    return {
        name: when
        for entry in value
        if isinstance(name := _entry_id(entry), str) and (when := number(entry.get("updated_at"))) is not None
    }


def _entry_id(entry: Any) -> Any:
    return entry.get("session_id") if isinstance(entry, dict) else None
