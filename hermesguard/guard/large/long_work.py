"""Reading, judging and merging that takes long: done in the background, so that no other session waits for it.

That is so for sessions of megabytes, and where many other sessions are looked through for the messages of one.

A visit that would take long is put off: its parts are found out in the background, and then the session is visited again. If
its file is as it was, all is known by then; if not, it is put off again, but not for ever.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from hermesguard.guard.context import Context
from hermesguard.guard.large.background import Background
from hermesguard.guard.visit import Visit
from hermesguard.reader import Reader
from hermesguard.store.cache import Copy
from hermesguard.webui.session import Unreadable

LONG_BYTES: Final = 2 * 1024 * 1024
"""What is larger takes longer than a turn of the loop to read, judge and merge."""
MOST_TRIES: Final = 3
"""A file that changes faster than it can be judged is judged at once after so many tries."""


class LongWork:
    """What is being found out for visits that were put off, and what was."""

    def __init__(self, context: Context, background: Background, visit: Callable[[str], object]) -> None:
        """`visit` is called when a session can be visited again."""
        self._context = context
        self._background = background
        self._visit = visit
        self._missed: set[str] = set()
        self._tries: dict[str, int] = {}
        self._known: dict[str, Copy | None] = {}
        self._worked_out: dict[str, Visit] = {}
        background.ended = self._ended

    def is_busy(self, name: str) -> bool:
        """Return whether a session is being worked on; it is visited again when that is over."""
        if not self._background.is_busy(name):
            return False
        self._missed.add(name)
        return True

    def _ended(self, name: str) -> None:
        if name in self._missed and not self._background.is_busy(name):
            self._missed.discard(name)
            self._visit(name)

    def loads(self, name: str, reader: Reader, size_bytes: int) -> bool:
        """Have what a session is compared with read in the background, if that takes long; return whether it is."""
        copies = self._context.copies
        if not self._background.is_threaded or copies.cached(name):
            return False
        if name in self._known:
            if self._known[name] is None:
                del self._known[name]  # it could not be read: the visit meets why
            return False
        shadow_bytes = copies.store.shadow_bytes(name)
        if shadow_bytes > LONG_BYTES and not copies.store.is_too_large(name):
            self._start(name, partial(self._loaded, name), partial(self._hold, name))
            return True
        if not shadow_bytes and size_bytes > LONG_BYTES:
            self._start(name, partial(_read, reader.data), partial(self._note, name))
            reader.release()
            return True
        return False

    def _start(self, name: str, work: Callable[[], object], then: Callable[[object], None]) -> None:
        self._missed.add(name)
        self._background.start(name, work, then, is_urgent=True)

    def _loaded(self, name: str) -> Copy | None:
        try:
            return _read(self._context.copies.store.read_shadow(name))
        except OSError:
            return None  # the visit meets it again, and reports it

    def _hold(self, name: str, copy: object) -> None:
        if isinstance(copy, Copy):
            self._context.copies.hold(name, copy)
        else:
            self._known[name] = None

    def _note(self, name: str, copy: object) -> None:
        self._known[name] = copy if isinstance(copy, Copy) else None

    def known(self, name: str, reader: Reader, size_bytes: int) -> Copy | None:
        """Return the live file as a copy, if it was read in the background and is as it was then."""
        copy = self._known.pop(name, None)
        is_same = copy is not None and copy.size_bytes == size_bytes and reader.is_same(copy.data)
        return copy if is_same else None

    def worked_out(self, visit: Visit) -> Visit | None:
        """Return a visit of which all is known; None when that is being found out in the background."""
        name = visit.name
        before = self._worked_out.pop(name, None)
        if (
            before
            and before.shadow is visit.shadow
            and before.stamp == visit.stamp
            and before.data == visit.data
        ):
            self._tries.pop(name, None)
            return before
        if visit.updated or not self._background.is_threaded:
            return visit
        if len(visit.data) <= LONG_BYTES and visit.is_wipe:
            return visit  # its repair needs nothing that is not known
        is_short = len(visit.data) + visit.shadow.size_bytes <= LONG_BYTES
        if is_short and not visit.reads_much:
            return visit
        if self._tries.get(name, 0) >= MOST_TRIES:
            del self._tries[name]
            return visit
        self._tries[name] = self._tries.get(name, 0) + 1
        _ = visit.others  # what is known of other sessions belongs to the loop
        self._start(name, visit.work_out, lambda _: self._worked_out.update({name: visit}))
        return None


def _read(data: bytes) -> Copy | None:
    """Return a copy of which all is known, None when it is no session."""
    copy = Copy(data)
    try:
        _ = copy.document, copy.abridged
    except Unreadable:
        return None
    return copy
