"""Sessions whose file is gone: deleted by a person, renamed by the application, or lost (webui-contract, rules 18 to 20).

When many vanish at once, that is no deletion: then nothing is judged, nothing is purged, and a person is called.
"""

from collections.abc import Collection

from hermesguard import files, session
from hermesguard.compare import compare
from hermesguard.guardroom import Guardroom
from hermesguard.judge import Action, Surroundings, Verdict, judge_missing
from hermesguard.memory import Copy
from hermesguard.mend import mend
from hermesguard.repair import place
from hermesguard.session import Document, Unreadable

BRAKE_SECONDS = 10.0
BRAKE_SESSIONS = 3


class Vanished:
    """The sessions that are missing, since when, and whether the brake is on."""

    def __init__(self, room: Guardroom) -> None:
        self._room = room
        self._since: dict[str, float] = {}
        self._index_unlinked: set[str] = set()
        self._settled: set[str] = set()
        self.held: set[str] = set()
        """Missing under the brake: nothing is done about them until they are back or a person decides."""
        self.moved: dict[str, str] = {}
        """Renames as the watch saw them: old session to new."""

    def is_here(self, name: str) -> None:
        """Note that the session's file is there."""
        if self._since.pop(name, None) is not None or name in self.held:
            self._index_unlinked.discard(name)
            self.held.discard(name)
            self._settled.discard(name)

    def look_for(self, name: str) -> bool:
        """Judge a session whose file is not there, and act; return whether it turned out to be back meanwhile."""
        room = self._room
        if name in self.held or name in self._settled:
            return False
        copy = room.keeper.shadow(name)
        if copy is None and (copy := self._only_backup(name)) is None:
            self._done(name)
            return False
        now = room.clock.monotonic()
        since = self._since.setdefault(name, now)
        index = room.directory.index_says(name)
        if index == "unlinked":
            self._index_unlinked.add(name)
        elif index == "unknown" and name in self._index_unlinked:
            index = "unlinked"
        around = Surroundings(
            gone=True,
            waited_seconds=now - since,
            tombstone=room.directory.has_tombstone(name),
            index=index,
            renamed_to=self._renamed_to(name, copy.document),
        )
        if not around.tombstone and not around.renamed_to and self._brake(now):
            return False
        verdict = judge_missing(copy.document, around)
        if verdict.action is Action.DELETED and not around.tombstone and now - since < BRAKE_SECONDS:
            # Others may follow; and a file that was only moved aside for a moment comes back.
            room.notes.ask_later(name, None, BRAKE_SECONDS)
            return False
        return self._act(name, copy, verdict)

    def _act(self, name: str, copy: Copy, verdict: Verdict) -> bool:
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
                    self._done(name)
                    room.casebook.tell("deleted", name, verdict, rows_before=rows, version=version)
            case Action.RENAMED:
                if room.keeper.rename(name, verdict.renamed_to):
                    self._done(name)
                    room.casebook.tell("renamed", verdict.renamed_to, verdict, previous_session=name)
            case _ if room.settings.on_missing == "restore":
                return not self.bring_back(name, copy, verdict) and room.directory.file(name).exists()
            case _:
                self._settled.add(name)
                room.casebook.record("missing", "warned", name, verdict, rows, 0, 0)
        return False

    def bring_back(self, name: str, copy: Copy, verdict: Verdict) -> bool:
        """Put a missing session's newest good copy back; return whether the guard did (else it may be back by itself)."""
        room = self._room
        mended = Copy(mend(copy.document))
        try:
            place(room.directory.file(name), [mended.data], None, self.like(), lambda placed: None)
        except FileExistsError:
            return False
        except OSError as error:
            room.cannot_repair(name, copy, None, verdict, error)
            return False
        self.is_here(name)
        room.made_live(name, mended)
        rows = copy.count
        room.casebook.record(
            "missing", "restored", name, verdict, rows, 0, mended.count, digest=mended.digest
        )
        room.notes.totals.restored += 1
        return True

    def like(self) -> files.Stamp | None:
        """Return a stamp whose owner, group and mode fit a file of the application: those of any other session."""
        room = self._room
        for name in reversed(room.notes.seen):
            if found := files.stamp(room.directory.file(name)):
                return found
        return None

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

    def _brake(self, now: float) -> bool:
        """Return whether too many sessions are missing at once; then all of them are held."""
        recent = [
            name
            for name, since in self._since.items()
            if now - since <= BRAKE_SECONDS and name not in self._settled
        ]
        if len(recent) <= BRAKE_SESSIONS and not (self.held and recent):
            return False
        first = not self.held
        self.held.update(recent)
        for name in recent:
            self._room.notes.questions.pop(name, None)
        if first:
            self._room.reporter.tell("brake", count=len(self.held), path=str(self._room.directory.path))
        return True

    def after_sweep(self, present: Collection[str]) -> None:
        """Forget what the sweep found back."""
        for name in [name for name in self._since if name in present]:
            self.is_here(name)

    def _done(self, name: str) -> None:
        self._since.pop(name, None)
        self._index_unlinked.discard(name)
        self.moved.pop(name, None)
        self._room.notes.forget(name)

    def _renamed_to(self, name: str, gone: Document) -> str:
        room = self._room
        now = room.clock.monotonic()
        recent = [other for other, when in room.notes.newcomers.items() if now - when < 60.0]
        for other in ([self.moved[name]] if name in self.moved else []) + recent:
            if other != name and self._took_over(gone, other):
                return other
        return ""

    def _took_over(self, gone: Document, other: str) -> bool:
        try:
            found = session.parse(files.read(self._room.directory.file(other))[0])
        except (OSError, Unreadable):
            return False
        if not gone.rows or found.get("created_at") != gone.get("created_at"):
            return False
        return compare(gone.rows, found.rows).whole
