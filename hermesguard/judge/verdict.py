"""What the judge says of a session, and what it may know beside the two files."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from hermesguard.webui import benign
from hermesguard.webui.compare.diff import Comparison
from hermesguard.webui.session import Document


class Action(StrEnum):
    """What a verdict asks of the guard."""

    GROWTH = "growth"
    INTENDED = "intended"
    LOSS = "loss"
    MERGE = "merge"
    UNCERTAIN = "uncertain"
    DELETED = "deleted"
    RENAMED = "renamed"
    UNKNOWN = "not known"
    WAIT = "wait"


IndexSays = Literal["lists", "pruned", "unlinked", "dropped", "rebuilt", "unlisted", "removed", "none"]
"""What the index says of a session whose file is gone.

lists: it lists it. pruned: the entry went when the file did. unlinked: the index itself went when the file did. dropped: the
entry went, but another session was saved meanwhile, and such a save drops the entry of any file that is gone. rebuilt: the
index was built anew, from the files that were there, or is an older one. unlisted: it was never seen to list it. removed: the
guard removed the index. none: there is none.
"""
Writer = Literal["same", "new", "another", "unknown"]
"""The process that wrote a file. same: it wrote the state before, too. new: it was never seen before, as after a restart.
another: it has written here before, and so has the one that wrote the state before: two are at work. unknown: no sign."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else the directory and the past say about a session, beside shadow and live."""

    name: str = ""
    """The session's id, as the name of its file has it."""
    gone: bool = False
    """There is no file of that name."""
    saves: int | None = 1
    """How many saves lie between shadow and live; None when that is not known, as after a stop of the guard."""
    now: float | None = None
    """The time of day, in seconds since the epoch, where it matters whether a clock was put back."""
    waited_seconds: float = 0.0
    """How long the present state of live has been looked at."""
    repaired: bool = False
    """The shadow is the guard's own repair: the application has not saved all of it since."""
    before_repair: tuple[Document, ...] = ()
    """The files that the repairs were made of, as far as they are asked for."""
    tombstone: bool = False
    """The id stands in `_deleted_webui_sessions.json`."""
    may_leave_none: bool = True
    """The application that writes here may leave no tombstone of a deletion."""
    unlinks_index: bool = True
    """The application that writes here may remove the whole index at a deletion, not the entry alone."""
    index: IndexSays = "none"
    """What `_index.json` says of a session whose file is gone."""
    listed_seconds: float = 0.0
    """For so long after the file had gone the index still listed the session."""
    began_seconds: float | None = None
    """How long before the file went the session had no message yet; None when it had some when it was first seen."""
    renamed_to: str = ""
    """The session that took over this one's messages, if there is one."""
    moved_to: str = ""
    """A new session that began as this one, but lacks messages of it."""
    writer: Writer = "unknown"
    """The process that wrote live, beside the one that wrote the shadow."""
    titles: tuple[str, ...] = ()
    """Titles that the session had before the shadow's."""


class Verdict(NamedTuple):
    """What the judge says of a shadow and a live file."""

    action: Action
    rule: str
    evidence: tuple[str, ...]
    against: tuple[str, ...] = ()
    comparison: Comparison | None = None
    keep_messages: int | None = None
    """Only so many messages of the shadow are to come back; None means all of them."""
    wait_seconds: float = 0.0
    renamed_to: str = ""
    is_clear: bool = False
    """A user cleared the conversation: what is kept of it goes as soon as what is kept of a deleted one."""
    taken: tuple[str, ...] = ()
    """What hangs on the messages and is gone, though they are all there (module parts)."""
    lessens: bool = False
    """Something smaller than a part is gone, which is worth a version, but no word."""
    is_foreign: bool = False
    """Live is the file of another session: nothing of it is to be merged in."""
    strangers: frozenset[int] = frozenset()
    """Messages of live, by index, that belong to another session, or had been taken back: nothing of them is merged in."""
    is_newer: bool = False
    """Live was written later whatever its times say: its writer goes on from an empty memory."""
    returned: int = 0
    """So many of the messages that live adds had been taken back by a user."""
    loses_prompt: bool = False
    """The shadow has a prompt that was sent and stands nowhere now."""

    def without(self, strangers: frozenset[int], why: str) -> "Verdict":
        """Return the verdict when some of what live adds does not belong here; `why` goes on from "some of the new messages"."""
        comparison = self.comparison
        if comparison is None or not strangers:
            return self
        added = tuple(index for index in comparison.added if index not in strangers)
        action = Action.LOSS if self.action is Action.MERGE and not added else self.action
        count = len(strangers)
        return self._replace(
            action=action,
            evidence=(*self.evidence, f"{count} of the new messages {why}"),
            comparison=comparison._replace(added=added),
            strangers=self.strangers | strangers,
        )

    def __repr__(self) -> str:
        """Leave the comparison out: it would quote messages."""
        fields = self._replace(comparison=None)._asdict().items()
        return f"Verdict({', '.join(f'{name}={value!r}' for name, value in fields if name != 'comparison')})"

    @property
    def is_wipe(self) -> bool:
        """Return whether it is the exact trace of hermes-webui #1558."""
        return self.rule.startswith("3 ")

    @property
    def messages_lost(self) -> int | None:
        """How many messages of the shadow live lacks; None when live is no session at all."""
        return self.comparison.lost_messages if self.comparison else None

    @property
    def takes_away(self) -> bool:
        """Return whether live lacks something of the shadow that stands nowhere else, so that the shadow is worth a version."""
        comparison = self.comparison
        if comparison is None:
            return self.action is not Action.GROWTH
        gone = any(kind not in benign.REPEATED for _, kind in comparison.harmless)
        lost = not comparison.whole or gone or bool(comparison.changed) or self.lessens or self.loses_prompt
        return lost or self.action not in (Action.GROWTH, Action.WAIT)
