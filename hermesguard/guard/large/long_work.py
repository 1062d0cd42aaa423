"""Reading, judging and merging that takes long: done in the background, so that no other session waits for it.

That is so for sessions of megabytes, and where many other sessions are looked through for the messages of one.

A visit that would take long is put off: its parts are found out in the background, and then the session is visited again. If
its file is as it was, all is known by then; if not, it is put off again, but not for ever. What takes long to write is written
there too, and only one session is in memory for this at a time: the others wait unread.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.guard.act import reasons_of, stands
from hermesguard.guard.context import Context
from hermesguard.guard.large.background import Background
from hermesguard.guard.visit import Visit
from hermesguard.reader import Reader
from hermesguard.store.cache import Copy
from hermesguard.webui.session import Broken, TooDense

LONG_BYTES: Final = 2 * 1024 * 1024
"""What is larger takes longer than a turn of the loop to read, judge and merge."""
MOST_TRIES: Final = 3
"""A file that changes faster than it can be judged is judged at once after so many tries."""


class LongWork:
    """What is being found out for visits that were put off, and what was."""

    def __init__(
        self, context: Context, background: Background, visit: Callable[[str, int | None], object]
    ) -> None:
        """`visit` is called when a session can be visited again, with the process that saved it last, if that is known."""
        self._context = context
        self._background = background
        self._visit = visit
        self._missed: set[str] = set()
        self._tries: dict[str, int] = {}
        self._known: dict[str, Copy | None] = {}
        self._worked_out: dict[str, Visit] = {}
        self._waiting: dict[str, None] = {}
        self._writers: dict[str, int | None] = {}
        self._too_dense: dict[str, Stamp] = {}
        self._going_on = ""
        self.asked: set[str] = set()
        """Sessions that a user waits for: what is ready for them is needed yet."""
        background.ended = self._ended

    @property
    def sessions(self) -> frozenset[str]:
        """The sessions of which nothing can be said yet: what takes long of them is being found out, or waits for its turn."""
        return frozenset(self._missed) | self._waiting.keys()

    def is_idle(self) -> bool:
        """Return whether nothing is being found out, or was and is not used yet: a visit need not ask for anything."""
        return self._background.is_idle() and not (self._known or self._worked_out or self._too_dense)

    def puts_off(self, name: str, writer_pid: int | None) -> bool:
        """Return whether a session is being worked on, or has to wait for another one; it is visited again when that is over."""
        if self._background.is_busy(name):
            self._missed.add(name)
        elif not self._must_wait(name):
            return False
        self._note_writer(name, writer_pid)
        return True

    def _note_writer(self, name: str, writer_pid: int | None) -> None:
        if writer_pid is not None:
            self._writers[name] = writer_pid

    def writer(self, name: str, asked: int | None) -> int | None:
        """Return who saved last what waits to be visited, None where that is not known; `asked` when nothing waits."""
        return self._writers.get(name, asked)

    def forget_writer(self, name: str) -> None:
        """Note that a session was saved by nobody knows whom."""
        if name in self._writers or name in self.sessions:
            self._writers[name] = None

    def _ended(self, name: str) -> None:
        if name in self._missed and not self._background.is_busy(name):
            self._missed.discard(name)
            self._going_on = name
            self._visit(name, self._writers.pop(name, None))
            self._going_on = ""
        if name not in self.asked:
            self._let_go(name)
        while self._waiting and not self._background.has_urgent:
            other = next(iter(self._waiting))
            del self._waiting[other]
            self._visit(other, self._writers.pop(other, None))

    def answered(self, name: str) -> None:
        """Note that a user waits for a session no more."""
        self.asked.discard(name)
        self._let_go(name)

    def _let_go(self, name: str) -> None:
        """Give back what was found out of a session and was not used: its file is another one by now, or gone."""
        if not self._background.is_busy(name):
            copies = self._context.copies
            copies.pinned.discard(name)
            copies.store.written_before.drop(name, copies.cached(name))
            for known in (self._known, self._worked_out, self._tries):
                known.pop(name, None)
            if name not in self._waiting:
                self._writers.pop(name, None)

    def _must_wait(self, name: str) -> bool:
        """Return whether a long session has to wait for another one."""
        if not self._background.has_urgent or name == self._going_on:
            return False
        copies = self._context.copies
        found = files.stamp(self._context.directory.file(name))
        is_long = found is not None and found.size_bytes > LONG_BYTES
        if not is_long and (copies.cached(name) or copies.store.shadow_bytes(name) <= LONG_BYTES):
            return False
        self._waiting[name] = None
        return True

    def require_thin(self, name: str, stamp: Stamp) -> None:
        """Raise `files.TooLarge` when that state of a session was found to take many times its size in memory."""
        if self._too_dense.get(name) == stamp:
            path = self._context.directory.file(name)
            raise files.TooLarge(path, stamp, self._context.limit_bytes or 0)

    def loads(self, name: str, reader: Reader, size_bytes: int, writer_pid: int | None = None) -> bool:
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
            reader.release()
            self._note_writer(name, writer_pid)
            self._start(name, partial(self._loaded, name), partial(self._hold, name))
            return True
        if (not shadow_bytes or name in copies.store.too_dense) and size_bytes > LONG_BYTES:
            reader.release()
            self._note_writer(name, writer_pid)
            self._start(name, partial(self._read_live, name), partial(self._note, name))
            return True
        return False

    def _start(self, name: str, work: Callable[[], object], then: Callable[[object], None]) -> None:
        self._missed.add(name)
        self._context.copies.pinned.add(name)
        self._background.start(name, work, then, is_urgent=True, is_first=name == self._going_on)

    def _loaded(self, name: str) -> Copy | None:
        copies = self._context.copies
        try:
            return _read(copies.store.read_shadow(name))
        except TooDense:
            copies.too_dense(name)
        except Exception:  # noqa: BLE001
            pass
        return None  # the visit meets it again, and reports it

    def _read_live(self, name: str) -> Copy | None:
        try:
            data, stamp = files.read(self._context.directory.file(name), self._context.limit_bytes)
            copy = _read(data)
        except TooDense:
            self._too_dense[name] = stamp
            return None
        except Exception:  # noqa: BLE001
            return None
        if copy:
            self._context.copies.store.written_before.write_shadow(name, copy)
        return copy

    def _hold(self, name: str, copy: object) -> None:
        if isinstance(copy, Copy):
            self._context.copies.hold(name, copy)
        else:
            self._known[name] = None

    def _note(self, name: str, copy: object) -> None:
        self._known[name] = copy if isinstance(copy, Copy) else None

    def known(self, name: str, reader: Reader) -> Copy | None:
        """Return the live file as a copy, if it was read in the background and is as it was then."""
        copy = self._known.pop(name, None)
        return copy if copy and reader.is_same(copy.abridged.pieces) else None

    def data(self, name: str) -> bytes | None:
        """Return the live file as it was when it was last read in the background; None when nothing waits for its visit."""
        if visit := self._worked_out.get(name):
            return visit.data
        copy = self._known.get(name)
        return copy.data if copy else None

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
        is_paused = self._context.back_off.wait_seconds(name, self._context.clock.monotonic()) > 0
        work = partial(self._work_out, visit, is_paused)
        self._start(name, work, lambda _: self._worked_out.update({name: visit}))
        return None

    def _work_out(self, visit: Visit, is_paused: bool) -> None:
        """Find out all that acting on a visit needs, and write what it would write: under the reasons that it would give."""
        settings = self._context.settings
        try:
            visit.work_out(keeps_uncertain=settings.on_uncertain == "keep")
        except TooDense:
            self._too_dense[visit.name] = visit.stamp
            return
        history, now = self._context.copies.store, self._context.copies.version_time
        before, name = history.written_before, visit.name
        is_repaired = visit.known_copy is not None
        if not (is_repaired and is_paused):
            for reason in reasons_of(visit, settings):
                before.write_version(history, name, visit.shadow, reason, now())
        elif visit.verdict.comparison is None or not visit.verdict.comparison.added:
            return
        if visit.known_copy and visit.live:
            before.write_version(history, name, visit.live_copy, "displaced", now())
        if visit.known_copy and not is_paused:
            before.write_shadow(name, visit.known_copy)
        elif not visit.is_wipe and stands(visit, settings):
            before.write_shadow(name, visit.live_copy)


def _read(data: bytes) -> Copy | None:
    """Return a copy of which all is known, None when it is no session."""
    copy = Copy(data)
    try:
        _ = copy.document, copy.abridged
    except Broken:
        return None
    return copy
