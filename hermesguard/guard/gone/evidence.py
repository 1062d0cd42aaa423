"""What speaks for a deletion, and what for a loss, of a session whose file is gone; gathered as time goes by."""

from dataclasses import dataclass
from typing import Final

from hermesguard.guard.context import SHORTEST_WAIT_SECONDS, Context
from hermesguard.judge.verdict import IndexSays, Surroundings
from hermesguard.store.cache import Copy
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.directory import Release
from hermesguard.webui.lists.index import NEAR_SECONDS
from hermesguard.webui.session import Document

# What was saved just now may be visited after what went: it takes a moment until the order is known.
ORDER_SECONDS: Final = 0.1
# Which release writes here does not change from one moment to the next.
_RELEASE_SECONDS: Final = 1.0


@dataclass(slots=True)
class Absence:
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
    """No index lists it, and nothing else shows a deletion in this release: it may be one of a batch."""

    @property
    def is_like_a_batch(self) -> bool:
        """It may have been deleted with others, as the application's batch button does it where the index goes."""
        return self.index_went_too or (self.lacks_evidence and self.could_be_deleted)

    @property
    def is_strange(self) -> bool:
        """A deletion would have left something behind, and there is nothing."""
        return self.lacks_evidence and not self.could_be_deleted


class Evidence:
    """What the directory says, and said before, of sessions that are gone."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.saves = 0
        """How many saves were seen so far."""
        self.scan_saves: int | None = None
        """How many there had been when the scan began that looks for a session now; None when none does."""
        self._batch_until = 0.0
        self._gone_unseen: set[str] = set()
        """Sessions that went while no guard was running, as the index did."""
        self._release: tuple[float, Release] | None = None
        self.moved: dict[str, str] = {}
        """Renames as the watch saw them: old session to new."""

    def begins(self, now: float) -> Absence:
        """Return the absence of a session that was just found gone."""
        return Absence(now, self.saves if self.scan_saves is None else self.scan_saves)

    def forget(self) -> None:
        """Nothing is missing: what was noted of what went while no guard ran is of no use any more."""
        self._gone_unseen.clear()

    def around(
        self, name: str, copy: Copy, absence: Absence, has_tombstone: bool, now: float
    ) -> Surroundings:
        """Return what the judge may know beside the copy. Raises OSError when the directory cannot be read."""
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

    def _index_says(self, name: str, absence: Absence, now: float) -> IndexSays:
        index = self._context.directory.index
        said = index.says(name, absence.since)
        if said == "lists":
            absence.listed_seconds = now - absence.since
            absence.saves, absence.omitted_at, absence.index_went_too = self.saves, None, False
            return "lists"
        if said == "pruned":
            if absence.omitted_at is None:
                absence.omitted_at = now
            if now - absence.omitted_at <= ORDER_SECONDS + SHORTEST_WAIT_SECONDS:
                absence.others_saved = self.saves != absence.saves
            if not absence.others_saved:
                return "pruned"
        if absence.index_went_too or self._went_too(name, absence):
            return "unlinked"
        return "dropped" if said == "pruned" else said

    def _went_too(self, name: str, absence: Absence) -> bool:
        """Return whether the index was removed when the file was, or so shortly before that both were one batch."""
        index = self._context.directory.index
        if index.went is None:
            return False
        if index.went_unseen:
            # Nobody saw in which order they went: of several, the index shows one at most.
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
        name = self._context.notes.seen.newest_one()
        if not name:
            return Release()
        try:
            return self._context.directory.release_of(name)
        except OSError:
            shadow = self._context.copies.shadow(name)
            return Release.with_keys(shadow.document.keys if shadow else ())

    def _successor(self, name: str, gone: Document) -> tuple[str, bool]:
        """Return the new session that began as this one, and whether it holds all of its messages; ("", False) without one."""
        seen_moving = [self.moved[name]] if name in self.moved else []
        moved_to = ""
        for other in seen_moving + list(self._context.notes.newcomers):
            if other != name and (
                found := self._context.directory.successor(gone, other, self._context.limit_bytes)
            ):
                if compare(gone.messages, found.messages).whole:
                    return other, True
                moved_to = moved_to or other
        return moved_to, False
