"""What is done about sessions whose file is gone: deleted, renamed by the application, lost, or not known.

What the verdicts mean: lost is restored, deleted and not known stay away; what is not known is kept as long as the history
(docs/hermes-webui.md, section 7).
"""

import contextlib
import os
from collections.abc import Callable, Collection, Iterable
from typing import Final

from hermesguard import files
from hermesguard.guard import back_off
from hermesguard.guard.context import Context
from hermesguard.guard.gone import brake
from hermesguard.guard.gone.brake import LONGEST_BYTES, MassChangeBrake
from hermesguard.guard.gone.evidence import Absence, Evidence
from hermesguard.guard.make_live import Target, make_live
from hermesguard.guard.recorder import found
from hermesguard.judge.judge import Action, Verdict, judge_missing
from hermesguard.pieces import pieces_of
from hermesguard.repair.merge import merged_file
from hermesguard.store.cache import Copy
from hermesguard.store.history import LEFT_AWAY
from hermesguard.webui.session import Unreadable

# The application prunes the index some milliseconds after it has removed the file, and notes the deletion right after that.
FIRST_LOOK_SECONDS: Final = 0.1
EVIDENCE_SECONDS: Final = 1.0
HELD_FILE: Final = "held"
LISTED_FILE: Final = "listed.json"


class MissingFiles:
    """The sessions that are missing, since when, and whether the brake is on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._absences: dict[str, Absence] = {}
        self._resolved: dict[str, str] = {}
        self.evidence = Evidence(context)
        self._listed_path = context.copies.store.root / LISTED_FILE
        self._remembered = b""
        self._remembered_at = -1
        self._brake = MassChangeBrake(
            context.copies.store.root / HELD_FILE, context.directory.path, context.reporter
        )

    def read_held(self) -> str:
        """As `MassChangeBrake.read`."""
        return self._brake.read()

    def read_listed(self) -> str:
        """Take over what the index said before a restart; return why the file is none of ours, if it is not. Raises OSError."""
        try:
            self._remembered = files.read(self._listed_path, LONGEST_BYTES)[0]
        except FileNotFoundError:
            return ""
        return self._context.directory.index.recall(self._remembered)

    @property
    def held(self) -> Collection[str]:
        """Missing under the brake: nothing is done about them until they are back or a user decides."""
        return self._brake.held

    def is_here(self, name: str) -> bool:
        """Note that the session's file is there, and was perhaps saved; return whether it was missed."""
        self.evidence.saves += 1
        if name not in self._absences and name not in self._resolved and not self._brake.held:
            return False
        self._absences.pop(name, None)
        self._brake.let_go(name)
        if incident := self._resolved.pop(name, ""):
            self._context.recorder.resolve(incident, name, "the file is back")
        return True

    def look_for(self, name: str) -> bool:
        """Judge a session whose file is not there, and act; return whether it turned out to be back meanwhile.

        Raises OSError when what the directory says cannot be read.
        """
        context = self._context
        if name in self._resolved:
            return False
        has_tombstone = context.directory.has_tombstone(name)
        if name in self.held and not has_tombstone:
            return False
        now = context.clock.monotonic()
        copy = context.copies.shadow(name)
        if copy is None and (copy := self._only_backup(name, now)) is None:
            self._done(name)
            return False
        absence = self._absences.get(name)
        if absence is None:
            absence = self._absences[name] = self.evidence.begins(now)
        around = self.evidence.around(name, copy, absence, has_tombstone, now)
        verdict = judge_missing(copy.document, around)
        absence.could_be_deleted = around.may_leave_none and around.index != "lists"
        absence.lacks_evidence = verdict.action not in (Action.DELETED, Action.RENAMED) and (
            verdict.action is not Action.WAIT or not verdict.rule.startswith("18 ")
        )
        if now - absence.since < EVIDENCE_SECONDS:
            if verdict.action in (Action.DELETED, Action.RENAMED):
                return self._act(name, copy, verdict, now)
            is_first = now - absence.since < FIRST_LOOK_SECONDS
            context.notes.defer(name, None, FIRST_LOOK_SECONDS if is_first else EVIDENCE_SECONDS)
            return False
        is_believed = has_tombstone or verdict.action is Action.RENAMED
        if not is_believed and self._is_held_up(name, verdict, now):
            return False
        return self._act(name, copy, verdict, now)

    # -- the brake

    def _is_held_up(self, name: str, verdict: Verdict, now: float) -> bool:
        """Return whether a user has to decide, because too much is missing at once without evidence; then that is held."""
        absence = self._absences[name]
        is_hot = self._brake.is_hot(now)
        recent = [
            other
            for other, known in self._absences.items()
            if other == name or now - known.since <= brake.SECONDS
        ]
        if verdict.action is not Action.WAIT and (reason := self._context.directory.is_lost()):
            together = recent
        elif absence.lacks_evidence and is_hot:
            together, reason = [other for other in recent if self._absences[other].lacks_evidence], ""
        elif absence.is_like_a_batch:
            if verdict.action is Action.WAIT:
                return False
            together = [other for other, known in self._absences.items() if known.is_like_a_batch]
            count = len(together) + (len(self.held) if is_hot else 0)
            if count <= brake.LARGEST_BATCH or 2 * count <= len(self._context.notes.seen):
                return False
            reason = "More than half of all sessions vanished, and no index lists them"
        elif absence.lacks_evidence:
            together = [other for other in recent if self._absences[other].is_strange]
            if len(together) <= brake.MOST_SESSIONS:
                return False
            reason = f"More than {brake.MOST_SESSIONS} within {brake.SECONDS:.0f} seconds"
        else:
            return False
        self.hold(together, reason)
        return True

    def hold(self, names: Iterable[str], reason: str) -> None:
        """Hold these sessions, but for those with a tombstone, until they are back or a user decides."""
        context, held = self._context, []
        for name in names:
            with contextlib.suppress(OSError):  # what cannot be read says nothing
                if context.directory.has_tombstone(name):
                    continue
            if name not in self.held and context.copies.has_shadow(name):
                held.append(name)
                self._absences.pop(name, None)
                context.notes.deferred.pop(name, None)
        if held:
            self._brake.pull(held, context.clock.monotonic(), reason)

    # -- acting

    def _act(self, name: str, copy: Copy, verdict: Verdict, now: float) -> bool:
        context = self._context
        messages = copy.count
        match verdict.action:
            case Action.WAIT:
                context.notes.defer(name, None, verdict.wait_seconds)
            case Action.DELETED:
                version = context.copies.version(name, copy.content, messages, "deleted")
                if context.copies.forget(name):
                    if context.settings.keep_deleted_seconds == 0:
                        context.copies.store.purge(name)
                        version = ""
                    self._done(name)
                    context.recorder.report(
                        "deleted", name, verdict, messages_before=messages, version=version
                    )
            case Action.UNKNOWN:
                version = context.copies.version(name, copy.content, messages, LEFT_AWAY)
                if context.copies.forget(name):
                    self._done(name)
                    context.recorder.record(
                        found("not_known", "left", name, verdict, messages_before=messages, version=version)
                    )
            case Action.RENAMED:
                if context.copies.rename(name, verdict.renamed_to):
                    self._done(name)
                    context.recorder.report("renamed", verdict.renamed_to, verdict, previous_session=name)
            case _ if context.settings.on_missing == "restore":
                if (wait := context.back_off.wait_seconds(name, now)) > 0:
                    context.notes.deferred.pop(name, None)
                    context.notes.defer(name, None, wait)
                    return False
                return not self.bring_back(name, copy, verdict) and os.path.exists(
                    context.directory.file(name)
                )
            case _:
                self._warn(name, verdict, messages)
        return False

    def _warn(self, name: str, verdict: Verdict, messages: int) -> None:
        """Report that a session is missing, once: also when another process reported it."""
        context = self._context
        context.notes.deferred.pop(name, None)
        incident = context.recorder.open_incident(name, "warned")
        if not incident:
            incident = context.recorder.record(
                found(
                    "missing",
                    "warned",
                    name,
                    verdict,
                    messages_before=messages,
                    messages_live=0,
                    messages_after=0,
                )
            ).id
        self._resolved[name] = incident

    def bring_back(self, name: str, copy: Copy, verdict: Verdict) -> bool:
        """Put a missing session's newest good copy back; return whether the guard did (else it may be back by itself)."""
        context = self._context
        try:
            repaired = self.put_back(name, copy)
        except FileExistsError:
            return False
        except OSError as error:
            context.cannot_repair(name, copy, None, verdict, error)
            return False
        context.recorder.record(
            found(
                "missing",
                "restored",
                name,
                verdict,
                messages_before=copy.count,
                messages_live=0,
                messages_after=repaired.count,
                digest=repaired.digest,
            )
        )
        context.notes.totals.restored += 1
        if context.back_off.repaired(name, context.clock.monotonic()):
            context.reporter.report("backing_off", session=name, count=back_off.REPAIRS_BEFORE_BACK_OFF)
        return True

    def put_back(self, name: str, copy: Copy) -> Copy:
        """Make a missing session's newest good copy live, repaired; return it. Raises OSError (FileExistsError: it is back)."""
        context = self._context
        like = context.directory.like(reversed(context.notes.seen))
        made = make_live(context, Target(name, None, like), pieces_of(merged_file(copy.document)))
        self.is_here(name)
        return made.copy

    def _only_backup(self, name: str, now: float) -> Copy | None:
        """Return the application's own backup of a session of which nothing else is left (hermes-webui #2035).

        Only while the index lists the session: many releases leave the backup behind when a user deletes it.
        """
        if self._context.directory.index.says(name, now) != "lists":
            return None
        try:
            copy = Copy(files.read(self._context.directory.backup(name), self._context.limit_bytes)[0])
            return copy if copy.document.messages else None
        except (OSError, Unreadable):
            return None

    def found(self, is_there: Callable[[str], bool]) -> None:
        """Forget what is missed of the sessions whose files are there."""
        for name in [*self._absences, *self.held, *self._resolved]:
            if is_there(name):
                self.is_here(name)

    @property
    def is_idle(self) -> bool:
        """Return whether nothing is missed, and all is written down that `after_scan` would write."""
        is_known = self._context.directory.index.changes == self._remembered_at
        is_written = is_known and self._brake.is_written
        return is_written and not (self._absences or self._resolved or self.held or self.evidence.moved)

    def after_scan(self) -> None:
        """Forget what is not missed any more, and write down what is held."""
        for name in self.evidence.moved.keys() - self._absences.keys():
            del self.evidence.moved[name]
        self._context.notes.forget_old()
        self._context.directory.index.forget(self._context.notes.seen)
        if not self._absences:
            self._context.directory.tombstones.forget()
            self.evidence.forget()
        copies = self._context.copies
        try:
            copies.store.place.check()
            self._brake.write_down([name for name in self.held if copies.has_shadow(name)])
        except OSError as error:
            copies.refused(error)
        self.remember()

    def remember(self) -> None:
        """Write down what the index says, for a deletion while no guard runs takes that away."""
        index = self._context.directory.index
        index.note(read=True)
        if index.changes == self._remembered_at:
            return
        self._remembered_at, state = index.changes, index.dump()
        if state in (b"", self._remembered):
            return
        try:
            self._context.copies.store.place.check()
            files.write_durably(self._listed_path, state)
            self._remembered = state
        except OSError as error:
            self._remembered_at = -1
            self._context.copies.refused(error)

    def _done(self, name: str) -> None:
        self._absences.pop(name, None)
        self._brake.let_go(name)
        self.evidence.moved.pop(name, None)
        self._context.notes.forget(name)
