"""A scan: all of the directory, or, as long as a watch hears all that changes in it, what may have changed unheard.

What a watch that hears could miss is a file that is changed in place by a writer that does not close it, and a hard link. So
then a scan looks at the names if the directory's own time says that some came or went, and at a part of the files by stat, one
part after the other: each file is looked at within `ROUND_SCANS` scans. Everything else, and every doubt, is a look at all.
"""

import time
from collections.abc import Callable, Collection, Iterator, Set
from itertools import chain, islice
from typing import Final

from hermesguard.config.memory import give_back
from hermesguard.guard.context import Context
from hermesguard.guard.first_look import LookBack
from hermesguard.guard.gone.missing import MissingFiles
from hermesguard.repair.standby import Standby
from hermesguard.store.start.first_copies import FirstCopies
from hermesguard.webui.directory import DirectoryState, Listing

ROUND_SCANS: Final = 60
"""After so many scans every file was looked at."""
SMALLEST_PART: Final = 256
"""A directory of no more files is looked at as a whole by every scan."""
_FILES_AT_ONCE: Final = 64
MANY: Final = 32
"""So many first copies are worth being made durable together."""
SHARE_FOR_NAMES: Final = 0.005
"""Listing 100,000 names takes a while: not more than so much of the time, where names come and go all the time."""
CLOCK_TICK_NS: Final = 50_000_000
"""A directory that changed so recently may change again and show the same time."""


class Scans:
    """The scans of one guard."""

    def __init__(
        self,
        context: Context,
        missing_files: MissingFiles,
        standby: Standby,
        first_copies: FirstCopies,
        visit: Callable[[str], object],
        recover: Callable[[], None],
    ) -> None:
        """`recover` deals with what interrupted repairs have left in the directory."""
        self._context = context
        self._notes = context.notes
        self._missing_files = missing_files
        self._standby = standby
        self._first_copies = first_copies
        self._visit = visit
        self._recover = recover
        self._look_back = LookBack(context, first_copies)
        self.smallest_part: int | None = None
        """Of several directories each looks at less, so that a scan of all costs what one of one directory does."""
        self.turns = 1
        """Of several directories that are at rest, one scan in so many looks at more than the directory itself."""
        self._known: DirectoryState | None = None
        """The directory as the last scan began; None when that says nothing about the next one."""
        self._names_due = 0.0
        self._round: Iterator[str] = iter(())
        self._is_trusting = False
        self.is_all_owed = False
        """The first scan took the word of the guard before for it that nothing has changed: a look at all is to follow."""

    def trust(self, known: DirectoryState | None) -> None:
        """Take it that the directory is as it was known when it was in this state, for the first scan."""
        self._known = known
        self._is_trusting = known is not None

    @property
    def is_unchanged(self) -> bool:
        """Return whether the directory is in the state that was to be trusted. Raises OSError when it cannot be reached."""
        return self._is_trusting and self._known == self._context.directory.state()

    def is_at_rest(self) -> bool:
        """Return whether a scan behind a watch that hears everything could do no more than look at its part of the files.

        No name has come or gone, nothing is to be done about any session, and the store is there.
        """
        context = self._context
        if self.is_all_owed or not (
            self._notes.is_quiet
            and self._missing_files.is_idle
            and context.copies.is_idle
            and context.recorder.is_idle
        ):
            return False
        try:
            context.copies.store.place.check()
            return context.directory.state() == self._known
        except OSError:
            return False

    def scan(self, is_heard: bool) -> Iterator[None]:
        """Look at what may have changed, and visit what did; yields between visits, for other work.

        `is_heard`: a watch has heard all that it can hear since the last scan. Raises OSError when the directory cannot be
        read.
        """
        is_trusted = self.is_unchanged
        self._is_trusting = False
        before, state = self._known, self._context.directory.state()
        if not (is_heard or is_trusted) or before is None or before[:2] != state[:2]:
            yield from self._look_at_all()
            give_back()
            self.is_all_owed = False
        elif state != before and (began := time.monotonic()) >= self._names_due:
            yield from self._look_at_names()
            self._names_due = time.monotonic() + (time.monotonic() - began) / SHARE_FOR_NAMES
        else:
            state = before
            # What was trusted is looked at as a whole as soon as the guard is ready.
            yield from self._look_at_part(with_files=not is_trusted)
            self.is_all_owed |= is_trusted
        is_recent = time.time_ns() - state.mtime_ns < CLOCK_TICK_NS
        self._known = state._replace(mtime_ns=-1) if is_recent else state
        yield from self._end()

    def _look_at_all(self) -> Iterator[None]:
        context, notes = self._context, self._notes
        saves = self._missing_files.evidence.saves
        listing = yield from context.directory.look(notes.seen, notes.seen.is_as_seen)
        context.shield.run("look back", "", self._look_back.begin, None)
        if listing.has_leftovers:
            self._recover()
        pending = (name for name in context.copies.pending if name not in listing.gone)
        changed = dict.fromkeys((*listing.changed, *pending))
        notes.to_visit.intersection_update({*changed, *listing.gone})
        self._first_copies.is_open = len(changed) >= MANY
        for name in changed:
            self._visit(name)
            yield
        self._first_copies.is_open = False
        self._first_copies.finish()
        shadows = (name for name in context.copies.store.shadow_names() if name not in notes.seen)
        there = frozenset(changed)
        yield from self._look_for(listing, there, [name for name in shadows if name not in there], saves)
        yield from self._end_look_back(listing, there)

    def _end_look_back(self, listing: Listing, there: Set[str]) -> Iterator[None]:
        known = (name for name in self._notes.seen if name not in listing.gone and name not in there)
        try:
            yield from self._look_back.end(chain(known, there))
        except Exception as error:  # noqa: BLE001 - as the shield does
            self._context.shield.caught("look back", "", error)

    def _look_at_names(self) -> Iterator[None]:
        saves = self._missing_files.evidence.saves
        listing = yield from self._context.directory.look(self._notes.seen, None)
        if listing.has_leftovers:
            self._recover()
        for name in dict.fromkeys((*listing.changed, *self._open())):
            self._visit(name)
            yield
        yield from self._look_for(listing, frozenset(listing.changed), (), saves)
        yield from self._look_at_files()

    def _look_for(
        self, listing: Listing, there: Set[str], others: Collection[str], saves: int
    ) -> Iterator[None]:
        """Visit the sessions that are known and have no file, and those of which only a backup is left.

        `there` have a file, besides those that are known and not gone; `others` have a shadow and none.
        """
        evidence, seen = self._missing_files.evidence, self._notes.seen
        gone = {*listing.gone, *others}
        if listing.is_another:
            self._missing_files.hold(gone, "Another directory has taken its place")
        backups = [name for name in listing.backups if name not in seen and name not in there]
        for name in (*sorted(gone), *sorted(set(backups) - gone)):
            evidence.scan_saves = saves
            self._visit(name)
            evidence.scan_saves = None
            yield

        def is_there(name: str) -> bool:
            return name not in gone and (name in seen or name in there)

        self._missing_files.found(is_there)
        self._standby.after_scan(is_there, listing.standby)

    def _look_at_part(self, *, with_files: bool) -> Iterator[None]:
        for name in list(self._open()):
            self._visit(name)
            yield
        if with_files:
            yield from self._look_at_files()
        self._context.directory.index.note(read=True)

    def _look_at_files(self) -> Iterator[None]:
        """Look at the next part of the files, and visit those that are not as they were."""
        directory, seen = self._context.directory, self._notes.seen
        # Those that are at rest look so often in a round; a rest of it is not enough for one look more.
        looks = max(1, ROUND_SCANS // self.turns)
        part = self._next(max(self.smallest_part or SMALLEST_PART, len(seen) // looks + 1))
        for number, name in enumerate(part, 1):
            if name in seen and not directory.is_as(name, seen.is_as_seen):
                self._visit(name)
                yield
            elif number % _FILES_AT_ONCE == 0:
                yield

    def _next(self, count: int) -> list[str]:
        part = list(islice(self._round, count))
        if len(part) < count:
            self._round = iter(list(self._notes.seen))
            if not part:
                part = list(islice(self._round, count))
        return part

    def _open(self) -> set[str]:
        """Return the sessions with which something is still to be done."""
        return {*self._notes.to_visit, *self._context.copies.pending}

    def _end(self) -> Iterator[None]:
        copies = self._context.copies
        yield from copies.retry_pending()
        yield from copies.flush_delta_logs()
        copies.forget_idle()
        self._missing_files.after_scan()
        self._context.recorder.report_held_back()
        self._notes.totals.last_scan = self._context.clock.now().isoformat()
