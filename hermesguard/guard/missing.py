"""Sessions whose file is gone: deleted, renamed by the application, lost, or not known; the evidence is gathered here.

What the verdicts mean: lost is put back, deleted and not known stay away; what is not known is kept as long as the history.
"""

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from hermesguard import files
from hermesguard.guard import back_off as back_off
from hermesguard.guard import brake
from hermesguard.guard.brake import LONGEST_BYTES, MassChangeBrake
from hermesguard.guard.context import SHORTEST_WAIT_SECONDS, Context
from hermesguard.guard.make_live import Target, make_live
from hermesguard.guard.recorder import found
from hermesguard.judge.judge import Action, Surroundings, Verdict, judge_missing
from hermesguard.judge.verdict import IndexSays
from hermesguard.repair.merge import merge_documents
from hermesguard.store.cache import Copy
from hermesguard.store.history import LEFT_AWAY
from hermesguard.webui.diff import compare
from hermesguard.webui.directory import Release
from hermesguard.webui.lists.index import NEAR_SECONDS
from hermesguard.webui.session import Document, Unreadable

# The application prunes the index some milliseconds after it has removed the file, and notes the deletion right after that.
FIRST_LOOK_SECONDS: Final = 0.1
EVIDENCE_SECONDS: Final = 1.0
# Which release writes here does not change from one moment to the next.
_RELEASE_SECONDS: Final = 1.0
HELD_FILE: Final = "held"
LISTED_FILE: Final = "listed.json"


@dataclass(slots=True)
class _Absence:
    """Since when a session has been missing (monotonic seconds), and what the index said meanwhile."""

    since: float
    saves: int
    """How many saves there had been then, or when the index listed it last."""
    listed_seconds: float = 0.0
    """How long after the file had gone the index still listed it."""
    omitted_at: float | None = None
    """When the entry was found gone with the file."""
    others_saved: bool = False
    """Another session was saved before that."""
    index_went_too: bool = False
    lacks_evidence: bool = False
    """So far nothing says that it was deleted or renamed."""
    could_be_deleted: bool = False
    """There is no index, and nothing else that a deletion would leave behind in this release."""

    @property
    def is_like_a_batch(self) -> bool:
        """It may have been deleted with others, as the application's batch button does it where the index goes."""
        return self.index_went_too or (self.lacks_evidence and self.could_be_deleted)

    @property
    def is_strange(self) -> bool:
        """A deletion would have left something behind, and there is nothing."""
        return self.lacks_evidence and not self.could_be_deleted


class MissingFiles:
    """The sessions that are missing, since when, and whether the brake is on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._absences: dict[str, _Absence] = {}
        self._resolved: dict[str, str] = {}
        self.saves = 0
        """How many saves were seen so far."""
        self.scan_saves: int | None = None
        """How many there had been when the scan began that looks for a session now; None when none does."""
        self._batch_until = 0.0
        self._gone_unseen: set[str] = set()
        """Sessions that went while no guard was running, as the index did."""
        self._release: tuple[float, Release] | None = None
        self._listed_path = context.copies.store.root / LISTED_FILE
        self._remembered = b""
        self._brake = MassChangeBrake(
            context.copies.store.root / HELD_FILE, context.directory.path, context.reporter
        )
        self.moved: dict[str, str] = {}
        """Renames as the watch saw them: old session to new."""

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
        self.saves += 1
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
            saves = self.saves if self.scan_saves is None else self.scan_saves
            absence = self._absences[name] = _Absence(now, saves)
        around = self._around(name, copy, absence, has_tombstone, now)
        verdict = judge_missing(copy.document, around)
        absence.could_be_deleted = around.may_leave_none and around.index in ("none", "removed")
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

    # -- evidence

    def _around(
        self, name: str, copy: Copy, absence: _Absence, has_tombstone: bool, now: float
    ) -> Surroundings:
        release = self._writing_here(now)
        successor, is_whole = self._successor(name, copy.document)
        began = self._context.notes.began.get(name)
        return Surroundings(
            gone=True,
            waited_seconds=now - absence.since,
            tombstone=has_tombstone,
            may_leave_none=not release.leaves_tombstones or self._context.directory.tombstones.may_lack(name),
            unlinks_index=release.unlinks_index,
            index=self._index_says(name, absence, now),
            listed_seconds=absence.listed_seconds,
            began_seconds=None if began is None else absence.since - began,
            renamed_to=successor if is_whole else "",
            moved_to="" if is_whole else successor,
        )

    def _index_says(self, name: str, absence: _Absence, now: float) -> IndexSays:
        index = self._context.directory.index
        said = index.says(name, absence.since)
        if said == "lists":
            absence.listed_seconds = now - absence.since
            absence.saves, absence.omitted_at, absence.index_went_too = self.saves, None, False
            return "lists"
        if absence.index_went_too or self._went_too(name, absence):
            return "unlinked"
        if said != "pruned":
            return said
        # What was saved just now may be visited after this: it takes a moment until the order is known.
        if absence.omitted_at is None:
            absence.omitted_at = now
        if now - absence.omitted_at <= FIRST_LOOK_SECONDS + SHORTEST_WAIT_SECONDS:
            absence.others_saved = self.saves != absence.saves
        return "dropped" if absence.others_saved else "pruned"

    def _went_too(self, name: str, absence: _Absence) -> bool:
        """Return whether the index was removed when the file was, or so shortly before that both were one batch."""
        index = self._context.directory.index
        if index.went is None:
            return False
        if index.went_unseen:
            # Nobody saw in which order they went: of several, the index tells of one at most.
            if abs(absence.since - index.went) <= NEAR_SECONDS:
                self._gone_unseen.add(name)
            return self._gone_unseen == {name}
        is_near = abs(absence.since - index.went) <= NEAR_SECONDS
        if is_near or index.went < absence.since <= self._batch_until:
            self._batch_until = absence.since + NEAR_SECONDS
            absence.index_went_too = True
        return absence.index_went_too

    def _writing_here(self, now: float) -> Release:
        """Return how the application that saved here last deletes."""
        if self._release is None or now - self._release[0] > _RELEASE_SECONDS:
            self._release = now, self._release_of_newest()
        return self._release[1]

    def _release_of_newest(self) -> Release:
        seen = self._context.notes.seen
        if not seen:
            return Release()
        name = max(seen, key=lambda session: seen[session][1])
        try:
            return self._context.directory.release_of(name)
        except OSError:
            shadow = self._context.copies.shadow(name)
            return Release.with_keys(shadow.document.keys if shadow else ())

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
            if count <= brake.LARGEST_BATCH or 2 * count <= len(self._context.notes.messages):
                return False
            reason = "More than half of all sessions vanished, and there is no index"
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
                version = context.copies.version(name, copy.data, messages, "deleted")
                if context.copies.forget(name):
                    if context.settings.keep_deleted_seconds == 0:
                        context.copies.store.purge(name)
                        version = ""
                    self._done(name)
                    context.recorder.report(
                        "deleted", name, verdict, messages_before=messages, version=version
                    )
            case Action.UNKNOWN:
                version = context.copies.version(name, copy.data, messages, LEFT_AWAY)
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
                return not self.bring_back(name, copy, verdict) and context.directory.file(name).exists()
            case _:
                self._warn(name, verdict, messages)
        return False

    def _warn(self, name: str, verdict: Verdict, messages: int) -> None:
        """Tell that a session is missing, once: also when another process told it."""
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
        made = make_live(context, Target(name, None, like), [merge_documents(copy.document)])
        self.is_here(name)
        return made.copy

    def _only_backup(self, name: str, now: float) -> Copy | None:
        """Return the application's own backup of a session of which nothing else is left (hermes-webui #2035).

        Only while the index lists the session: many releases leave the backup behind when a user deletes it.
        """
        if self._context.directory.index.says(name, now) != "lists":
            return None
        try:
            copy = Copy(files.read(self._context.directory.backup(name))[0])
            return copy if copy.document.messages else None
        except (OSError, Unreadable):
            return None

    def after_scan(self, present: Collection[str]) -> None:
        """Forget what the scan found back, and write down what is held."""
        for name in [*self._absences, *self.held, *self._resolved]:
            if name in present:
                self.is_here(name)
        for name in self.moved.keys() - self._absences.keys():
            del self.moved[name]
        self._context.notes.forget_old()
        self._context.directory.index.forget(self._context.notes.messages)
        if not self._absences:
            self._context.directory.tombstones.forget()
            self._gone_unseen.clear()
        copies = self._context.copies
        try:
            copies.store.place.check()
            self._brake.write_down([name for name in self.held if copies.has_shadow(name)])
        except OSError as error:
            copies.refused(error)
        self.remember()

    def remember(self) -> None:
        """Write down what the index says, for a deletion while no guard runs takes that away."""
        state = self._context.directory.index.dump()
        if state in (b"", self._remembered):
            return
        try:
            self._context.copies.store.place.check()
            files.write_durably(self._listed_path, state)
            self._remembered = state
        except OSError as error:
            self._context.copies.refused(error)

    def _done(self, name: str) -> None:
        self._absences.pop(name, None)
        self._brake.let_go(name)
        self.moved.pop(name, None)
        self._context.notes.forget(name)

    def _successor(self, name: str, gone: Document) -> tuple[str, bool]:
        """Return the new session that began as this one, and whether it holds all of its messages; ("", False) without one."""
        seen_moving = [self.moved[name]] if name in self.moved else []
        moved_to = ""
        for other in seen_moving + list(self._context.notes.newcomers):
            if other != name and (found := self._context.directory.successor(gone, other)):
                if compare(gone.messages, found.messages).whole:
                    return other, True
                moved_to = moved_to or other
        return moved_to, False
