"""Sessions whose file is gone: deleted by a user, renamed by the application, or lost (webui-contract, rules 18 to 20)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from hermesguard import files
from hermesguard.guard import back_off as back_off
from hermesguard.guard import brake
from hermesguard.guard.brake import MassChangeBrake
from hermesguard.guard.context import Context
from hermesguard.guard.make_live import Target, make_live
from hermesguard.guard.recorder import found
from hermesguard.judge.judge import Action, Surroundings, Verdict, judge_missing
from hermesguard.repair.merge import merge_documents
from hermesguard.store.cache import Copy
from hermesguard.webui import header as head
from hermesguard.webui import session
from hermesguard.webui.diff import compare
from hermesguard.webui.session import Document, Unreadable

# The application prunes the index 10 ms after it has removed the file, and notes the deletion 4 ms after that.
FIRST_LOOK_SECONDS: Final = 0.1
EVIDENCE_SECONDS: Final = 1.0
# A rotation saves the renamed session at once; what comes much later is another story.
RENAME_SECONDS: Final = 60.0
HELD_FILE: Final = "held"
CREATED: Final = "created_at"


@dataclass(slots=True)
class _Absence:
    """Since when a session has been missing, in seconds, and what the index said meanwhile."""

    since: float
    listed_at: int | None = None
    """How many saves there had been when the index listed it last."""
    others_saved: bool | None = None
    """Whether other sessions were saved from then until the index did no longer; None as long as it lists it."""
    index_went_too: bool = False


class MissingFiles:
    """The sessions that are missing, since when, and whether the brake is on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._absences: dict[str, _Absence] = {}
        self._resolved: dict[str, str] = {}
        self._saves = 0
        self._brake = MassChangeBrake(
            context.copies.store.root / HELD_FILE, context.directory.path, context.reporter
        )
        self.moved: dict[str, str] = {}
        """Renames as the watch saw them: old session to new."""

    def read_held(self) -> str:
        """As `MassChangeBrake.read`."""
        return self._brake.read()

    @property
    def held(self) -> Collection[str]:
        """Missing under the brake: nothing is done about them until they are back or a user decides."""
        return self._brake.held

    def is_here(self, name: str) -> bool:
        """Note that the session's file is there, and was perhaps saved; return whether it was missed."""
        self._saves += 1
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
        copy = context.copies.shadow(name)
        if copy is None and (copy := self._only_backup(name)) is None:
            self._done(name)
            return False
        now = context.clock.monotonic()
        absence = self._absences.setdefault(name, _Absence(now))
        index = self._index_says(name, absence)
        successor, is_whole = self._successor(name, copy.document)
        around = Surroundings(
            gone=True,
            waited_seconds=now - absence.since,
            tombstone=has_tombstone,
            index=index,
            others_saved=bool(absence.others_saved),
            renamed_to=successor if is_whole else "",
            moved_to="" if is_whole else successor,
        )
        verdict = judge_missing(copy.document, around)
        if around.waited_seconds < EVIDENCE_SECONDS:
            if verdict.action in (Action.DELETED, Action.RENAMED):
                return self._act(name, copy, verdict, now)
            is_first = around.waited_seconds < FIRST_LOOK_SECONDS
            context.notes.defer(name, None, FIRST_LOOK_SECONDS if is_first else EVIDENCE_SECONDS)
            return False
        is_believed = has_tombstone or verdict.action is Action.RENAMED
        if not is_believed and self._is_held_up(name, verdict, now):
            return False
        return self._act(name, copy, verdict, now)

    def _index_says(self, name: str, absence: _Absence) -> Literal["lists", "omits", "unlinked", "unknown"]:
        index = self._context.directory.index_says(name)
        absence.index_went_too |= index == "unlinked"
        if index == "lists":
            absence.listed_at, absence.others_saved = self._saves, None
            return index
        if index == "omits" and absence.others_saved is None:
            absence.others_saved = absence.listed_at is not None and absence.listed_at != self._saves
        # An index that went with the file may have been built anew by now.
        return "unlinked" if absence.index_went_too else index

    def _is_held_up(self, name: str, verdict: Verdict, now: float) -> bool:
        """Return whether a user has to decide, because too much is missing at once; then all of that is held."""
        recent = [
            other
            for other, absence in self._absences.items()
            if other == name or now - absence.since <= brake.SECONDS
        ]
        if self._brake.is_hot(now):
            reason = ""
        elif len(recent) > brake.MOST_SESSIONS:
            recent = [other for other in recent if not self._context.directory.has_tombstone(other)]
            reason = f"More than {brake.MOST_SESSIONS} within {brake.SECONDS:.0f} seconds"
            if len(recent) <= brake.MOST_SESSIONS:
                return False
        elif verdict.action is Action.WAIT or not (reason := self._context.directory.is_lost()):
            return False
        self._brake.pull(recent, now, reason)
        for other in recent:
            self._absences.pop(other, None)
            self._context.notes.deferred.pop(other, None)
        return True

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
        """Make a missing session's newest good copy live, repaired; return it. Raises OSError, FileExistsError when it is
        back.
        """
        made = make_live(self._context, Target(name, None, self.like()), [merge_documents(copy.document)])
        self.is_here(name)
        return made.copy

    def like(self) -> files.Stamp | None:
        """Return a stamp whose owner, group and mode fit a file of the application.

        Those of any other session; without one, the directory's, as far as they suit a file.
        """
        context = self._context
        for name in reversed(context.notes.seen):
            if found := files.stamp(context.directory.file(name)):
                return found
        try:
            directory = files.Stamp.of(context.directory.path.stat())
        except OSError:
            return None
        return directory._replace(mode=directory.mode & 0o666)

    def _only_backup(self, name: str) -> Copy | None:
        """Return the application's own backup of a session of which nothing else is left (hermes-webui #2035).

        Only while the index lists the session: many releases leave the backup behind when a user deletes it.
        """
        if self._context.directory.index_says(name) != "lists":
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
        now = self._context.clock.monotonic()
        newcomers = self._context.notes.newcomers
        for name in [name for name, when in newcomers.items() if now - when >= RENAME_SECONDS]:
            del newcomers[name]
        for name in self.moved.keys() - self._absences.keys():
            del self.moved[name]
        if not self._absences:
            self._context.directory.forget_lists()
        copies = self._context.copies
        try:
            copies.store.place.check()
            self._brake.write_down([name for name in self.held if copies.has_shadow(name)])
        except OSError as error:
            copies.refused(error)

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
            if other != name and (found := self._began_as(gone, other)):
                if compare(gone.messages, found.messages).whole:
                    return other, True
                moved_to = moved_to or other
        return moved_to, False

    def _began_as(self, gone: Document, other: str) -> Document | None:
        path = self._context.directory.file(other)
        try:
            if not gone.messages or head.read(path, CREATED).get(CREATED) != gone.get(CREATED):
                return None
            return session.parse(files.read(path)[0])
        except (OSError, Unreadable):
            return None
