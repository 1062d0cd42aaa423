"""A visit: one look at one session, and the only place where a verdict becomes an act.

Knows no threads, no signals, no systemd: whoever owns the loop calls `visit` for a name that changed, `scan` for a look at
everything, and `run_deferred` for the checks whose time has come.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from hermesguard import files
from hermesguard.config.settings import Settings
from hermesguard.errors import GuardError
from hermesguard.files import Stamp
from hermesguard.guard.act import Acts
from hermesguard.guard.context import Context, state_of
from hermesguard.guard.first_look import FirstLook
from hermesguard.guard.gone.missing import MissingFiles
from hermesguard.guard.large.background import Background
from hermesguard.guard.large.large import LargeSessions
from hermesguard.guard.large.long_work import LONG_BYTES, LongWork
from hermesguard.guard.recovery import Recovery
from hermesguard.guard.scans.scan import Scans
from hermesguard.guard.scans.unfinished import Unfinished
from hermesguard.guard.start import Start
from hermesguard.guard.visit import Visit
from hermesguard.judge.judge import Action, Surroundings, judge
from hermesguard.judge.verdict import Writer
from hermesguard.pieces import Rests
from hermesguard.reader import Reader
from hermesguard.repair.standby import Standby, awaited_number
from hermesguard.store.cache import Copy
from hermesguard.store.start import snapshot
from hermesguard.store.start.first_copies import FirstCopies
from hermesguard.store.start.snapshot import Snapshot
from hermesguard.store.upkeep.scrub import Scrub
from hermesguard.store.upkeep.verify import damage_of_shadow
from hermesguard.webui.abridged import followed, only_adds
from hermesguard.webui.delta import grown
from hermesguard.webui.directory import DirectoryState, signature
from hermesguard.webui.session import TooDense

RECHECK_SECONDS = 1.0


class Guard:
    """Guards one sessions directory with one store."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.settings = context.settings
        self.directory = context.directory
        self.notes = context.notes
        self.copies = context.copies
        self.recorder = context.recorder
        self.shield = context.shield
        self.missing_files = MissingFiles(context)
        self.scrub = Scrub(self.copies, self, context.reporter, context.clock)
        self._reported_two_writers = False
        self.standby = Standby(self.copies, self.directory)
        self._acts = Acts(context, self.standby)
        self.rolled_back = self._acts.rolled_back
        self.unfinished = Unfinished(self.directory)
        self.unfinished.limit_bytes = self.settings.cache_bytes
        self._reader = Reader()
        self.background = Background(partial(self.shield.caught, "background work"))
        self._recovery = Recovery(context, self.background.is_busy)
        self.first_copies = FirstCopies(self.copies.store, self._start_sync, self.copies.refused)
        self.copies.make_durable = self.first_copies.make_durable
        self._first_look = FirstLook(context, self.first_copies, self._acts.taken_back)
        self.scans = Scans(
            context,
            self.missing_files,
            self.standby,
            self.first_copies,
            self.visit,
            self.finish_interrupted_repairs,
        )
        self.large = LargeSessions(context, self.background)
        self.long_work = LongWork(context, self.background, self.visit)
        self.saves_to_come: Callable[[str, Callable[[], bool]], int] = lambda name, is_as_read: 0
        """How many saves of a session the watch knows of that no visit was made for; set by the owner of the watch."""

    def _start_sync(self, work: Callable[[], OSError | None], then: Callable[[OSError | None], None]) -> None:
        self.background.start("", work, then, is_urgent=True)

    def adopt(self, settings: Settings) -> None:
        """Go on with other settings of the same directories."""
        self.settings = self.context.settings = settings

    def begin(self) -> None:
        """Take over what the store knows from before: shadows whose live is unchanged need not be opened again.

        Raises GuardError when the store cannot be read at all.
        """
        start = Start(self.context, self.missing_files, self.scrub, self.scans)
        start.read_state_files()
        start.note_guarded()
        try:
            start.take_over()
        except OSError as error:
            raise GuardError(
                f"The store {self.copies.store.root} cannot be read: {error.strerror or error}",
                "Give the right to read it, or look at the disk",
            ) from None

    def finish_interrupted_repairs(self) -> None:
        """Look at what a crash or a fault in the middle of a repair left in the sessions directory, and take it away.

        Raises OSError when the directory cannot be read.
        """
        # What stands there while the bookkeeping of repairs waits is not left over: the next scan looks again.
        if not self.unfinished.repairs and not self.scans.is_unchanged:
            self._recovery.take()

    def end(self) -> Iterator[None]:
        """Make durable what is not yet, and write down what is still to be; yields between sessions, to show that it goes on."""
        while self.unfinished.repairs:
            self.finish_repairs(most_seconds=0)
            yield
        self.first_copies.end()
        yield from self.copies.retry_pending()
        yield from self.copies.flush_delta_logs(quiet_seconds=0)
        self.missing_files.remember()

    def leave_snapshot(self, sessions: DirectoryState | None) -> None:
        """Write down what is known of each session, if nothing is left to be done; `sessions` is the directory's state.

        None when it may have changed unseen. For the very end: a shadow that changes later makes it worthless.
        """
        copies = self.copies
        if copies.broken or copies.pending or copies.store.with_delta_logs():
            return
        try:
            copies.store.place.check()
            to_visit = sorted(self.notes.to_visit)
            snapshot.write(copies.store.root, Snapshot(*self.notes.seen.dump(), to_visit, sessions))
        except OSError as error:
            copies.refused(error)

    def rebuild(self, name: str) -> bool:
        """Make a session's damaged shadow again, from memory or from a good live file; return whether it is good now."""
        if not self.copies.rebuild(name):
            self.visit(name)
        if self.copies.is_damaged(name) or self.copies.has_pending(name):
            return False
        try:
            is_large = self.copies.store.is_too_large(name)  # the next save makes it again, in the background
            return not is_large and damage_of_shadow(self.copies.store, name) is None
        except OSError:
            return False

    def scan(self, is_heard: bool = False) -> Iterator[None]:
        """Look at everything once, by stat, or at what may have changed unheard (module scan); visit what is not as it was.

        `is_heard`: a watch has heard all that it can hear since the last scan. Yields between visits, for other work. Raises
        OSError when the directory itself cannot be read.
        """
        return self.scans.scan(is_heard)

    def visit(self, name: str, writer_pid: int | None = None, saves: int = 0) -> bool:
        """Look at one session: read, judge, act, report. Never raises: one bad session must not cost the others their guard.

        `saves` says how often it was saved since the last visit, if that was counted. Returns whether there was nothing but
        growth, of which nothing follows: no event, no question, nothing to make ready.
        """
        if saves:
            self.notes.saves[name] = self.notes.saves.get(name, 0) + saves
            if writer_pid is None:
                self.long_work.forget_writer(name)
        self.notes.to_visit.add(name)
        try:
            if self.unfinished.repairs:
                if self.unfinished.is_own(name):
                    return False
                self.unfinished.finish(name)
            return self._visit(name, writer_pid)
        except TooDense:
            self.large.found_dense(name)
        except Exception as error:  # noqa: BLE001
            reference = self.shield.caught("visit", name, error)
            self.notes.unreadable[name] = f"internal error {reference}"
        finally:
            if self._reader.is_long:
                self._reader.let_go(LONG_BYTES)
        return False

    def _visit(self, name: str, writer_pid: int | None) -> bool:
        work = None if self.long_work.is_idle() else self.long_work
        if work and work.puts_off(name, writer_pid):
            return False
        began_ns = time.perf_counter_ns()
        try:
            path, known = self.directory.file_name(name), work.data(name) if work else None
            before = shadow.known if (shadow := self.copies.cached(name)) else None
            runs = before.runs if before else ()
            size_bytes, stamp = self._reader.read(path, self.context.limit_bytes, known, runs)
            if work:
                work.require_thin(name, stamp)
        except (FileNotFoundError, NotADirectoryError):
            self._look_for(name)
            return False
        except files.TooLarge as error:
            self.missing_files.is_here(name)
            self.large.found(name, error.stamp)
            return False
        except OSError as error:
            self.context.report_denied(name, error)
            return False
        was_missed = self.missing_files.is_here(name)
        shadow = shadow or self._shadow(name, size_bytes, stamp, writer_pid)
        if shadow is None:
            return False
        writer = self._written_by(name, writer_pid)
        before = before or shadow.abridged
        rests = self._reader.around(before.runs)
        if size_bytes == before.size_bytes and (rests == before.rests or self._reader.is_same(before.pieces)):
            self.notes.writers.stands(name, writer_pid)
            if self.notes.seen.get(name) != signature(stamp) and not self.copies.has_pending(name):
                self.copies.touch(name, stamp.mtime_ns)
            self.notes.in_order(name, signature(stamp), shadow.count)
            return False
        self.notes.totals.last_save_ns = stamp.mtime_ns
        if size_bytes - before.size_bytes > LONG_BYTES:
            rests = None  # what came is parsed as a whole to be followed, and takes many times its size in memory then
        if rests and (is_quiet := self._follow(name, shadow, rests, size_bytes, stamp)) is not None:
            if writer != "same":
                self.notes.writers.stands(name, writer_pid)
            return is_quiet and not was_missed
        data = self._reader.data
        around = self._around(name, shadow, data, stamp, writer)
        visit = self.long_work.worked_out(
            Visit(
                name,
                shadow,
                data,
                stamp,
                around,
                writer_pid,
                began_ns,
                lambda: self.recorder.before_repair(name),
                lambda: map(self.directory.file, self.notes.saved_last(name)),
                coming := self._acts.taken_back.may_come_again(name, self._reader, shadow),
                partial(self._acts.taken_back.again, name, coming),
            )
        )
        if visit is None:
            return False
        acted = partial(self._acted, name, shadow)
        if visit.is_wipe:
            self.unfinished.begin(name, self._acts.repairing(visit), shadow.size_bytes, acted)
        else:
            acted(self._acts.act(visit))
        return False

    def _shadow(self, name: str, size_bytes: int, stamp: Stamp, writer_pid: int | None) -> Copy | None:
        """Return a session's shadow, which is not in memory, or the first copy; None when no more is to be said of it now."""
        try:
            if self.long_work.loads(name, self._reader, size_bytes, writer_pid):
                return None
            shadow = self.copies.shadow(name)
            if shadow or self._first_look.is_kept(name, self._reader, stamp):
                return shadow
            return self._first_look.copy(name, self._reader, stamp, self.long_work.known(name, self._reader))
        except files.TooLarge:
            self.large.judge(name, self._reader.data, stamp)
        except OSError as error:
            # Without knowing what there was, nothing can be said of what there is; every scan tries again.
            self.copies.refused(error)
            self.notes.revisit(name)
        return None

    def _acted(self, name: str, shadow: Copy, is_gone: bool) -> None:
        """Go on behind an act; `is_gone`: the file went away meanwhile."""
        if is_gone:
            self._look_for(name)
        shadow.lighten()
        if copy := self.copies.cached(name):
            self.standby.saved(name, copy.could_be_wiped, self.context.clock.monotonic())

    def finish_repairs(self, most_seconds: float = math.inf) -> None:
        """Do the bookkeeping of the repairs that wait for it, for about so long."""
        until = time.monotonic() + most_seconds
        while name := self.unfinished.next():
            self.shield.run("repair", name, partial(self.unfinished.finish, name), None)
            if time.monotonic() >= until:
                return

    def _written_by(self, name: str, pid: int | None) -> Writer:
        """Note which process has saved a session; report once when two do so by turns."""
        writers = self.notes.writers
        writer = writers.of(name, pid)
        if pid is None or pid == writers.last:
            return writer
        asked = self.notes.deferred.get(name)
        if asked is not None and asked.state == state_of(self._reader.data):
            return writer  # it was noted when it came
        other = writers.saved(pid)
        if other is not None and not self._reported_two_writers:
            self._reported_two_writers = True
            pids = {"writer_pid": pid, "other_writer_pid": other}
            self.context.reporter.report("two_writers", session=name, path=str(self.directory.path), **pids)
        return writer

    def _around(self, name: str, shadow: Copy, data: bytes, stamp: Stamp, writer: Writer) -> Surroundings:
        repair = self.recorder.incidents.last_digest.get(name)
        saves = self.notes.saves.get(name, 0)
        # How many saves led to the awaited stub changes nothing about it, and each look at the watch makes its repair later.
        if not awaited_number(shadow, data):
            saves += self.saves_to_come(name, lambda: files.stamp(self.directory.file(name)) == stamp)
        if saves:
            self.notes.saves[name] = saves
        return Surroundings(
            name=name,
            saves=saves or None,
            now=self.context.clock.now().timestamp(),
            waited_seconds=self.notes.waited_seconds(name, data),
            repaired=repair is not None and repair == shadow.digest,
            writer=writer,
            titles=tuple(self.notes.titles.get(name, ())),
        )

    def _follow(self, name: str, shadow: Copy, rests: Rests, size_bytes: int, stamp: Stamp) -> bool | None:
        """Take a save that only added, at the cost of what it added; return if nothing follows of it, None if it did more."""
        known = shadow.abridged
        found, made = grown(known, rests, size_bytes) or (followed(known, rests, size_bytes), None)
        if found is None:
            return None
        if found.count > known.count and self._acts.taken_back.may_come_again(name, self._reader, shadow):
            return None
        if made is None and not only_adds(known, found):
            # What else is known of the session cannot speak against messages that are all there.
            verdict = judge(known.document, found.document)
            if verdict.action is not Action.GROWTH or verdict.takes_away:
                return None
        copy = Copy(abridged=found)
        if made is None:
            self.notes.retitled(name, known.settings, found.settings)
        self._acts.goes_on(name)
        self.context.keep(name, copy, stamp, shadow, made)
        copy.tighten()
        self.standby.saved(name, could_be_wiped := bool(found.stream), self.context.clock.monotonic())
        return copy.is_stored and not could_be_wiped

    def _look_for(self, name: str) -> None:
        """Judge a session whose file is gone; if it is back by now, visit it."""
        try:
            is_back = self.missing_files.look_for(name)
        except files.TooLarge:
            self.shield.run("missing", name, partial(self.large.is_missing, name), None)
            return
        except OSError as error:
            self.context.refused(name, error)
            self.notes.defer(name, None, RECHECK_SECONDS)
            return
        except Exception as error:  # noqa: BLE001
            self.shield.caught("missing", name, error)
            return
        if is_back:
            self.visit(name)

    def index_changed(self) -> None:
        """Look at the index that the application has just written: after a repair it may say what was true before."""
        self.shield.run("index", "", self._acts.index_changed, None)

    def get_ready(self) -> None:
        """Make one session ready for a wipe, if it is time for one; for moments in which nothing else is to be done."""
        self.directory.index.catch_up()
        name = self.standby.next_due(self.context.clock.monotonic())
        if name is None:
            return
        try:
            if self.standby.is_needed(name) and self.long_work.loads(name, self._reader, 0):
                self.standby.later(name, self.context.clock.monotonic())
            else:
                self.standby.make_ready(name)
        except OSError as error:
            self.copies.refused(error)
        except Exception as error:  # noqa: BLE001
            self.shield.caught("standby repair", name, error)

    def run_deferred(self, most_seconds: float = math.inf) -> float | None:
        """Visit the sessions whose question is due, for about so long (one at least); return the seconds until the next is."""
        until = time.monotonic() + most_seconds
        for name, question in self.notes.due():
            self.visit(name, self.long_work.writer(name, question.writer_pid))
            if name in self.long_work.sessions:
                self.notes.stays_open(question)
            if time.monotonic() >= until:
                break
        return self.notes.next_due_seconds()

    def repair_now(self, names: Iterable[str] | None = None) -> None:
        """Repair the sessions (all of them) whose repair waits for the end of a pause."""
        now = self.context.clock.monotonic()
        for name in list(self.notes.deferred if names is None else names):
            if self.context.back_off.wait_seconds(name, now) > 0:
                self.context.back_off.lift(name)
                self.visit(name)
