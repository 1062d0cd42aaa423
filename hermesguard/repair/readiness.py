"""Being ready for a wipe before it comes, in moments in which there is nothing else to do."""

import heapq

from hermesguard.repair.standby import StandbyFiles
from hermesguard.store.cached_store import Copies
from hermesguard.webui import header as head
from hermesguard.webui import session
from hermesguard.webui.directory import Listing, SessionsDirectory

# A session whose stream is set is made ready once it has been quiet for so long: not at each of many fast saves.
QUIET_SECONDS = 0.25
# At the start, sessions are made ready that were written not longer ago than this.
RECENT_SECONDS = 600.0


class Readiness:
    """The sessions that can be wiped and are not ready for it yet, by when they are to be made so (monotonic)."""

    def __init__(self, copies: Copies, directory: SessionsDirectory) -> None:
        self._copies = copies
        self._due: dict[str, float] = {}
        self._saved: set[str] = set()
        """Those of them that were saved while this guard looked: only they get a standby file, for a start changes nothing."""
        self.standby = StandbyFiles(directory)

    def saved(self, name: str, could_be_wiped: bool, now: float) -> None:
        """Note that a session was saved."""
        if could_be_wiped:
            self._due[name] = now + QUIET_SECONDS
            self._saved.add(name)
        else:
            self._due.pop(name, None)
            self.standby.drop(name)

    def recent(self, sizes: dict[str, tuple[int, int]], now: float, now_ns: int) -> None:
        """Note the sessions that were written last, by (size in bytes, mtime_ns), as far as memory has room for them."""
        left_bytes = self._copies.cache_bytes
        since_ns = now_ns - int(RECENT_SECONDS * 1e9)
        for name in heapq.nlargest(100, sizes, key=lambda name: sizes[name][1]):
            size_bytes, mtime_ns = sizes[name]
            left_bytes -= size_bytes
            if mtime_ns < since_ns or left_bytes < 0:
                return
            self._due[name] = now

    def wait_seconds(self, now: float) -> float | None:
        """Return how long from `now` on nothing is to be done; None when there is nothing to do."""
        return max(0.0, min(self._due.values()) - now) if self._due else None

    def go_on(self, now: float) -> None:
        """Make one session ready, if one is due. Raises OSError when the store does not let its copy be read now."""
        name = next((name for name, due in self._due.items() if due <= now), None)
        if name is None:
            return
        del self._due[name]
        if (self._copies.held(name) or self._has_stream(name)) and (copy := self._copies.shadow(name)):
            copy.prepare()
            if name in self._saved and copy.answer:
                self.standby.make(name, copy.answer, self._copies.cache_bytes)
        self._saved.discard(name)

    def after_scan(self, listing: Listing) -> None:
        """Let go of the sessions that are not there any more, and of what was left of others' readiness."""
        self.standby.drop_others(listing.sessions)
        self.standby.remove_strays(listing.standby)

    def _has_stream(self, name: str) -> bool:
        """Return whether the head of a shadow says so; to load a session that cannot be wiped would be in vain."""
        try:
            return bool(head.read(self._copies.store.shadow_path(name), session.STREAM).get(session.STREAM))
        except FileNotFoundError:
            return False
