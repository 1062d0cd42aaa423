"""Sessions whose file is gone: deleted by a person, renamed by the application, or lost (webui-contract, rules 18 to 20)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from hermesguard import files
from hermesguard.guard import back_off as fights
from hermesguard.guard import brake
from hermesguard.guard.brake import Brake
from hermesguard.guard.context import Guardroom
from hermesguard.judge.judge import Action, Surroundings, Verdict, judge_missing
from hermesguard.repair.merge import mend
from hermesguard.repair.replace import place
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


class Vanished:
    """The sessions that are missing, since when, and whether the brake is on."""

    def __init__(self, room: Guardroom) -> None:
        self._room = room
        self._absences: dict[str, _Absence] = {}
        self._settled: dict[str, str] = {}
        self._saves = 0
        self._brake = Brake(room.keeper.store.root / HELD_FILE, room.directory.path, room.reporter)
        self.moved: dict[str, str] = {}
        """Renames as the watch saw them: old session to new."""

    def read_held(self) -> str:
        """As `Brake.read`."""
        return self._brake.read()

    @property
    def held(self) -> Collection[str]:
        """Missing under the brake: nothing is done about them until they are back or a person decides."""
        return self._brake.held

    def is_here(self, name: str) -> bool:
        """Note that the session's file is there, and was perhaps saved; return whether it was missed."""
        self._saves += 1
        if name not in self._absences and name not in self._settled and not self._brake.held:
            return False
        self._absences.pop(name, None)
        self._brake.let_go(name)
        if incident := self._settled.pop(name, ""):
            self._room.casebook.settle(incident, name, "the file is back")
        return True

    def look_for(self, name: str) -> bool:
        """Judge a session whose file is not there, and act; return whether it turned out to be back meanwhile.

        Raises OSError when what the directory says cannot be read.
        """
        room = self._room
        if name in self._settled:
            return False
        has_tombstone = room.directory.has_tombstone(name)
        if name in self.held and not has_tombstone:
            return False
        copy = room.keeper.shadow(name)
        if copy is None and (copy := self._only_backup(name)) is None:
            self._done(name)
            return False
        now = room.clock.monotonic()
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
            room.notes.ask_later(name, None, FIRST_LOOK_SECONDS if is_first else EVIDENCE_SECONDS)
            return False
        is_believed = has_tombstone or verdict.action is Action.RENAMED
        if not is_believed and self._is_held_up(name, verdict, now):
            return False
        return self._act(name, copy, verdict, now)

    def _index_says(self, name: str, absence: _Absence) -> Literal["lists", "omits", "unlinked", "unknown"]:
        index = self._room.directory.index_says(name)
        absence.index_went_too |= index == "unlinked"
        if index == "lists":
            absence.listed_at, absence.others_saved = self._saves, None
            return index
        if index == "omits" and absence.others_saved is None:
            absence.others_saved = absence.listed_at is not None and absence.listed_at != self._saves
        # An index that went with the file may have been built anew by now.
        return "unlinked" if absence.index_went_too else index

    def _is_held_up(self, name: str, verdict: Verdict, now: float) -> bool:
        """Return whether a person has to decide, because too much is missing at once; then all of that is held."""
        recent = [
            other
            for other, absence in self._absences.items()
            if other == name or now - absence.since <= brake.SECONDS
        ]
        if self._brake.is_hot(now):
            reason = ""
        elif len(recent) > brake.MOST_SESSIONS:
            recent = [other for other in recent if not self._room.directory.has_tombstone(other)]
            reason = f"More than {brake.MOST_SESSIONS} within {brake.SECONDS:.0f} seconds"
            if len(recent) <= brake.MOST_SESSIONS:
                return False
        elif verdict.action is Action.WAIT or not (reason := self._room.directory.is_lost()):
            return False
        self._brake.pull(recent, now, reason)
        for other in recent:
            self._absences.pop(other, None)
            self._room.notes.questions.pop(other, None)
        return True

    def _act(self, name: str, copy: Copy, verdict: Verdict, now: float) -> bool:
        room = self._room
        rows = copy.count
        match verdict.action:
            case Action.WAIT:
                room.notes.ask_later(name, None, verdict.wait_seconds)
            case Action.DELETED:
                version = room.keeper.version(name, copy.data, rows, "deleted")
                if room.keeper.forget(name):
                    if room.settings.keep_deleted_seconds == 0:
                        room.keeper.store.purge(name)
                        version = ""
                    self._done(name)
                    room.casebook.tell("deleted", name, verdict, rows_before=rows, version=version)
            case Action.RENAMED:
                if room.keeper.rename(name, verdict.renamed_to):
                    self._done(name)
                    room.casebook.tell("renamed", verdict.renamed_to, verdict, previous_session=name)
            case _ if room.settings.on_missing == "restore":
                if (wait := room.fights.wait_seconds(name, now)) > 0:
                    room.notes.questions.pop(name, None)
                    room.notes.ask_later(name, None, wait)
                    return False
                return not self.bring_back(name, copy, verdict) and room.directory.file(name).exists()
            case _:
                self._warn(name, verdict, rows)
        return False

    def _warn(self, name: str, verdict: Verdict, rows: int) -> None:
        """Tell that a session is missing, once: also when another process told it."""
        room = self._room
        room.notes.questions.pop(name, None)
        incident = room.casebook.open_incident(name, "warned")
        if not incident:
            incident = room.casebook.record("missing", "warned", name, verdict, rows, 0, 0).id
        self._settled[name] = incident

    def bring_back(self, name: str, copy: Copy, verdict: Verdict) -> bool:
        """Put a missing session's newest good copy back; return whether the guard did (else it may be back by itself)."""
        room = self._room
        try:
            mended = self.put_back(name, copy)
        except FileExistsError:
            return False
        except OSError as error:
            room.cannot_repair(name, copy, None, verdict, error)
            return False
        room.casebook.record(
            "missing", "restored", name, verdict, copy.count, 0, mended.count, digest=mended.digest
        )
        room.notes.totals.restored += 1
        if room.fights.repaired(name, room.clock.monotonic()):
            room.reporter.tell("fight", session=name, count=fights.REPAIRS_BEFORE_FIGHT)
        return True

    def put_back(self, name: str, copy: Copy) -> Copy:
        """Make a missing session's newest good copy live, mended; return it. Raises OSError, FileExistsError when it is back."""
        mended = Copy(mend(copy.document))
        path = self._room.directory.file(name)
        place(path, [mended.data], None, self.like(), lambda placed: None)
        self.is_here(name)
        self._room.made_live(name, mended)
        return mended

    def like(self) -> files.Stamp | None:
        """Return a stamp whose owner, group and mode fit a file of the application.

        Those of any other session; without one, the directory's, as far as they suit a file.
        """
        room = self._room
        for name in reversed(room.notes.seen):
            if found := files.stamp(room.directory.file(name)):
                return found
        try:
            directory = files.Stamp.of(room.directory.path.stat())
        except OSError:
            return None
        return directory._replace(mode=directory.mode & 0o666)

    def _only_backup(self, name: str) -> Copy | None:
        """Return the application's own backup of a session of which nothing else is left (hermes-webui #2035).

        Only while the index lists the session: many releases leave the backup behind when a person deletes it.
        """
        if self._room.directory.index_says(name) != "lists":
            return None
        try:
            copy = Copy(files.read(self._room.directory.backup(name))[0])
            return copy if copy.document.rows else None
        except (OSError, Unreadable):
            return None

    def after_sweep(self, present: Collection[str]) -> None:
        """Forget what the sweep found back, and write down what is held."""
        for name in [*self._absences, *self.held, *self._settled]:
            if name in present:
                self.is_here(name)
        now = self._room.clock.monotonic()
        newcomers = self._room.notes.newcomers
        for name in [name for name, when in newcomers.items() if now - when >= RENAME_SECONDS]:
            del newcomers[name]
        for name in self.moved.keys() - self._absences.keys():
            del self.moved[name]
        if not self._absences:
            self._room.directory.forget_lists()
        keeper = self._room.keeper
        try:
            keeper.store.place.check()
            self._brake.write_down([name for name in self.held if keeper.has_shadow(name)])
        except OSError as error:
            keeper.refused(error)

    def _done(self, name: str) -> None:
        self._absences.pop(name, None)
        self._brake.let_go(name)
        self.moved.pop(name, None)
        self._room.notes.forget(name)

    def _successor(self, name: str, gone: Document) -> tuple[str, bool]:
        """Return the new session that began as this one, and whether it holds all of its messages; ("", False) without one."""
        seen_moving = [self.moved[name]] if name in self.moved else []
        moved_to = ""
        for other in seen_moving + list(self._room.notes.newcomers):
            if other != name and (found := self._began_as(gone, other)):
                if compare(gone.rows, found.rows).whole:
                    return other, True
                moved_to = moved_to or other
        return moved_to, False

    def _began_as(self, gone: Document, other: str) -> Document | None:
        path = self._room.directory.file(other)
        try:
            if not gone.rows or head.read(path, CREATED).get(CREATED) != gone.get(CREATED):
                return None
            return session.parse(files.read(path)[0])
        except (OSError, Unreadable):
            return None
