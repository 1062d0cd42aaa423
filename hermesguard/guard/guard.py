"""A visit: one look at one session, and the only place where a verdict becomes an act.

Knows no threads, no signals, no systemd: whoever owns the loop calls `visit` for a name that changed, `sweep` for a look at
everything, and `ask_again` for questions whose time has come.
"""

import math
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from hermesguard import files
from hermesguard.config.settings import Settings
from hermesguard.errors import GuardError
from hermesguard.files import Stamp
from hermesguard.guard import back_off as fights
from hermesguard.guard.context import Guardroom
from hermesguard.guard.first_look import FirstLook
from hermesguard.guard.missing import Vanished
from hermesguard.guard.notes import Question
from hermesguard.guard.recovery import Leftovers
from hermesguard.guard.visit import Sight
from hermesguard.judge.judge import Action, Surroundings, judge
from hermesguard.repair.readiness import Readiness
from hermesguard.repair.replace import Placed, place
from hermesguard.store.cache import Copy
from hermesguard.store.scrub import Rounds
from hermesguard.store.verify import damage_of_shadow
from hermesguard.webui.abridged import follow, only_adds, same
from hermesguard.webui.directory import signature
from hermesguard.webui.growth import grown

LOOK_AGAIN_SECONDS = 1.0
# The application writes its index some milliseconds after the session; on a busy machine it may be longer.
INDEX_SECONDS = 10.0


def _place(error: Exception) -> str:
    """Return where in our code an error came from: module and line, nothing that it quotes."""
    frames = traceback.extract_tb(error.__traceback__)
    return ", ".join(f"{Path(frame.filename).stem}:{frame.lineno}" for frame in frames[-3:])


class Guard:
    """Guards one sessions directory with one store."""

    def __init__(self, room: Guardroom) -> None:
        self.room = room
        self.settings = room.settings
        self.directory = room.directory
        self.notes = room.notes
        self.keeper = room.keeper
        self.casebook = room.casebook
        self.vanished = Vanished(room)
        self._leftovers = Leftovers(room)
        self._first_look = FirstLook(room)
        self.rounds = Rounds(self.keeper, self, room.reporter, room.clock)
        self._told_no_exchange = False
        self._repaired: dict[str, float] = {}
        self.readiness = Readiness(self.keeper, self.directory)
        self._reader = files.Reader()

    def adopt(self, settings: Settings) -> None:
        """Go on with other settings of the same directories."""
        self.settings = self.room.settings = settings

    # -- looking

    def begin(self) -> None:
        """Take over what the store knows from before: shadows whose live is unchanged need not be opened again.

        Raises GuardError when the store cannot be read at all.
        """
        try:
            self.casebook.incidents.load()
        except OSError as error:
            self.keeper.refused(error)
        try:
            self._take_over()
        except OSError as error:
            raise GuardError(
                f"The store {self.keeper.store.root} cannot be read: {error.strerror or error}",
                "Give the right to read it, or look at the disk",
            ) from None

    def _take_over(self) -> None:
        self.keeper.find_tails()
        self.keeper.fold_tails(quiet_seconds=0)
        for name, state, rows in self.keeper.store.take_stock():
            self.notes.seen[name] = state
            self.notes.rows[name] = self._count(name) if rows is None else rows

    def _count(self, name: str) -> int:
        try:
            copy = self.keeper.shadow(name)
        except OSError as error:
            self.keeper.refused(error)
            return 0
        return copy.count if copy else 0

    def finish_interrupted_repairs(self) -> None:
        """Look at what a crash or a fault in the middle of a repair left in the sessions directory, and take it away.

        Raises OSError when the directory cannot be read.
        """
        self._leftovers.take()

    def rebuild(self, name: str) -> bool:
        """Make a session's damaged shadow again, from memory or from a good live file; return whether it is good now."""
        if not self.keeper.rebuild(name):
            self.visit(name)
        if self.keeper.is_damaged(name) or self.keeper.owes(name):
            return False
        try:
            return damage_of_shadow(self.keeper.store, name) is None
        except OSError:
            return False

    def sweep(self) -> Iterator[None]:
        """Look at everything once, by stat; visit what is not as it was. Yields between visits, for other work.

        Raises OSError when the directory itself cannot be read.
        """
        saves = self.vanished.saves
        listing = yield from self.directory.look()
        if listing.has_leftovers:
            self.finish_interrupted_repairs()
        known = self.notes.seen.keys() | set(self.keeper.store.shadow_names())
        seen, owed = self.notes.seen, self.keeper.owed
        for name, state in listing.sessions.items():
            if seen.get(name) != state or name in owed:
                self.visit(name)
                yield
        gone = known - listing.sessions.keys()
        for name in (*sorted(gone), *sorted(listing.backups - listing.sessions.keys() - known)):
            self.vanished.scan_saves = saves
            self.visit(name)
            self.vanished.scan_saves = None
            yield
        self.keeper.pay_debts()
        self.keeper.fold_tails()
        self.keeper.forget_idle()
        self.vanished.after_sweep(listing.sessions)
        self.readiness.after_sweep(listing)
        self.casebook.tell_held_back()
        self.notes.totals.last_sweep = self.room.clock.now().isoformat()

    def visit(self, name: str, writer_pid: int | None = None) -> bool:
        """Look at one session: read, judge, act, report. Never raises: one bad session must not cost the others their guard.

        Returns whether there was nothing but growth, of which nothing follows: no event, no question, nothing to make ready.
        """
        try:
            return self._visit(name, writer_pid)
        except Exception as error:  # noqa: BLE001
            fault = f"{type(error).__name__} at {_place(error)}"
            if self.notes.unreadable.get(name) != fault:
                self.notes.unreadable[name] = fault
                self.room.reporter.tell("internal_error", error=fault, reason=f"looking at {name}")
            return False

    def _visit(self, name: str, writer_pid: int | None) -> bool:
        began_ns = time.perf_counter_ns()
        try:
            size_bytes, stamp = self._reader.read(self.directory.file_name(name))
        except (FileNotFoundError, NotADirectoryError):
            self._look_for(name)
            return False
        except OSError as error:
            self.room.cannot_read(
                name, "denied", os.strerror(error.errno or 0), "Run the guard as a user who may read it"
            )
            return False
        was_missed = self.vanished.is_here(name)
        try:
            shadow = self.keeper.shadow(name) or self._first_look.copy(name, self._reader.data, stamp)
        except OSError as error:
            # Without knowing what there was, nothing can be said of what there is; every sweep tries again.
            self.keeper.refused(error)
            self.notes.seen.pop(name, None)
            return False
        if shadow is None:
            return False
        if same(shadow.abridged, self._reader.buffer, size_bytes):
            self._in_order(name, stamp, shadow)
            return False
        self.notes.totals.last_save_ns = stamp.mtime_ns
        if copy := self._follow(name, shadow, size_bytes, stamp):
            return copy.is_stored and not (copy.could_be_wiped or was_missed)
        data = self._reader.data
        around = self._around(name, shadow, data)
        sight = Sight(
            name, shadow, data, stamp, around, writer_pid, began_ns, lambda: self.casebook.before_repair(name)
        )
        if sight.is_wipe:
            self._repair(sight)
        else:
            self._act(sight)
        shadow.lighten()
        if copy := self.keeper.held(name):
            self.readiness.saved(name, copy.could_be_wiped, self.room.clock.monotonic())
        return False

    def _around(self, name: str, shadow: Copy, data: bytes) -> Surroundings:
        repair = self.casebook.incidents.last_digest.get(name)
        return Surroundings(
            waited_seconds=self.notes.waited_seconds(name, data),
            repaired=repair is not None and repair == shadow.digest,
        )

    def _follow(self, name: str, shadow: Copy, size_bytes: int, stamp: Stamp) -> Copy | None:
        """Take a save that only added to what is known, at the cost of what it added; return it, None when it was none."""
        known = shadow.abridged
        if growth := grown(known, self._reader.buffer, size_bytes):
            copy = Copy(abridged=growth.abridged)
            copy.parts = growth.parts
        else:
            found = follow(known, self._reader.buffer, size_bytes)
            if found is None:
                return None
            if not only_adds(known, found):
                # What else is known of the session cannot speak against rows that are all there.
                verdict = judge(known.document, found.document)
                if verdict.action is not Action.KEEP or verdict.takes_away:
                    return None
            copy = Copy(abridged=found)
        self._goes_on(name)
        self.room.keep(name, copy, stamp, shadow)
        copy.tighten()
        self.readiness.saved(name, copy.could_be_wiped, self.room.clock.monotonic())
        return copy

    def _goes_on(self, name: str) -> None:
        """The application has saved all that is known: what was repaired is its own again."""
        self.room.fights.peace(name)
        self.casebook.incidents.goes_on(name)

    def _look_for(self, name: str) -> None:
        """Judge a session whose file is gone; if it is back by now, visit it."""
        try:
            is_back = self.vanished.look_for(name)
        except OSError as error:
            self.keeper.refused(error)
            self.notes.ask_later(name, None, LOOK_AGAIN_SECONDS)
            return
        if is_back:
            self.visit(name)

    def index_changed(self) -> None:
        """Look at the index that the application has just written: after a repair it may say what was true before."""
        self.directory.index.note()
        now = self.room.clock.monotonic()
        for name, since in list(self._repaired.items()):
            if now - since > INDEX_SECONDS:
                del self._repaired[name]
            elif name in self.notes.rows:
                self.directory.correct_index(name, self.notes.rows[name])

    def get_ready(self) -> None:
        """Make one session ready for a wipe, if it is time for one; for moments in which nothing else is to be done."""
        try:
            self.readiness.go_on(self.room.clock.monotonic())
        except OSError as error:
            self.keeper.refused(error)

    def ask_again(self, most_seconds: float = math.inf) -> float | None:
        """Visit the sessions whose question is due, for about so long (one at least).

        Returns the seconds until the next question is due, None when there is none.
        """
        until = time.monotonic() + most_seconds
        for name, question in self.notes.due():
            self.visit(name, question.writer_pid)
            if time.monotonic() >= until:
                break
        return self.notes.next_due_seconds()

    # -- acting

    def _in_order(self, name: str, stamp: Stamp, copy: Copy) -> None:
        if self.notes.seen.get(name) != signature(stamp) and not self.keeper.owes(name):
            self.keeper.touch(name, stamp.mtime_ns)
        self.notes.in_order(name, signature(stamp), copy.count)

    def _act(self, sight: Sight) -> None:
        match sight.verdict.action:
            case Action.WAIT:
                self.notes.ask_later(sight.name, sight.data, sight.verdict.wait_seconds, sight.writer_pid)
            case Action.KEEP if sight.live:
                if sight.verdict.takes_away:
                    self._version(sight, "tidied")
                self._goes_on(sight.name)
                self.room.keep(sight.name, Copy(sight.data, sight.live), sight.stamp)
            case Action.DELIBERATE if sight.live:
                version = self._withdrawn(sight)
                self.room.keep(sight.name, Copy(sight.data, sight.live), sight.stamp)
                self.casebook.tell(
                    "deliberate",
                    sight.name,
                    sight.verdict,
                    rows_before=sight.rows_before,
                    rows_live=sight.rows_live,
                    version=version,
                    writer_pid=sight.writer_pid,
                )
            case Action.DOUBT if sight.live and self.settings.on_doubt == "keep":
                version = self._version(sight, "doubt")
                self.room.keep(sight.name, Copy(sight.data, sight.live), sight.stamp)
                self.casebook.record(
                    "in_doubt",
                    "kept",
                    sight.name,
                    sight.verdict,
                    sight.rows_before,
                    sight.rows_live,
                    sight.rows_live,
                    version=version,
                    writer_pid=sight.writer_pid,
                )
                self.notes.totals.in_doubt += 1
            case _:
                self._repair(sight)

    def _withdrawn(self, sight: Sight) -> str:
        """Keep what somebody took away on purpose, unless it was cleared and such things are not to be kept at all."""
        if sight.verdict.is_clear and self.settings.keep_deleted_seconds == 0:
            return ""
        return self._version(sight, "clear" if sight.verdict.is_clear else "meant")

    def _version(self, sight: Sight, reason: str) -> str:
        return self.keeper.version(sight.name, sight.shadow.data, sight.rows_before, reason)

    def _repair(self, sight: Sight) -> None:
        name, now = sight.name, self.room.clock.monotonic()
        if (wait := self.room.fights.wait_seconds(name, now)) > 0:
            if sight.verdict.comparison and sight.verdict.comparison.added:
                self.room.keep_version(name, sight.data, "displaced")
            self.notes.questions[name] = Question(now, now + wait, sight.data, sight.writer_pid)
            return
        versions: list[str] = []

        def kept(placed: Placed) -> None:
            versions[:] = [self._version(sight, "loss")]
            versions.extend(
                self.room.keep_version(name, displaced, "displaced") for displaced in placed.displaced
            )
            for taken_back in placed.deliberate:
                self.room.keep_version(name, taken_back, "meant")

        spare = None
        if sight.updated:
            spare = self.readiness.spares.take(name, sight.shadow.answer, sight.updated, sight.stamp)
        ready, pieces = spare or (None, sight.mended())
        try:
            placed = place(
                self.directory.file(name),
                pieces,
                sight.data,
                sight.stamp,
                kept,
                lambda: sight.shadow.data,
                ready,
                sight.before_repair if sight.around.repaired else tuple,
            )
        except FileNotFoundError:
            self._look_for(name)
            return
        except OSError as error:
            self.room.cannot_repair(
                name, sight.shadow, sight.rows_live, sight.verdict, error, sight.writer_pid
            )
            return
        verdict = sight.verdict
        found = follow(sight.shadow.abridged, placed.live)
        copy = Copy(placed.live, abridged=found)
        self.room.made_live(name, copy, sight.shadow if found else None)
        self.directory.correct_index(name, copy.count)
        self._repaired[name] = now
        if not placed.exchanged and not self._told_no_exchange:
            self._told_no_exchange = True
            self.room.reporter.tell("exchange_unavailable", path=str(self.directory.path))
        if self.room.fights.repaired(name, now):
            count = fights.REPAIRS_BEFORE_FIGHT
            self.room.reporter.tell("fight", session=name, count=count, **fights.writer(sight.writer_pid))
        self.notes.totals.restored += 1
        added = verdict.comparison is not None and bool(verdict.comparison.added)
        event = {Action.DOUBT: "in_doubt", Action.MERGE: "merged"}.get(verdict.action, "restored")
        self.casebook.record(
            event,
            "merged" if added else "restored",
            name,
            verdict,
            sight.rows_before,
            sight.rows_live,
            copy.count,
            version=versions[0],
            displaced=versions[1] if len(versions) > 1 else "",
            # What the application has saved meanwhile is its own, not a repair that it has yet to see.
            digest="" if placed.live in placed.displaced else copy.digest,
            writer_pid=sight.writer_pid,
            duration_us=(placed.exchanged_ns - sight.began_ns) // 1000,
        )
