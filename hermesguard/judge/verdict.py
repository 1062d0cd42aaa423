"""What the judge says of a session, and what it may know beside the two files."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from hermesguard.webui import benign
from hermesguard.webui.diff import Comparison
from hermesguard.webui.session import Document


class Action(StrEnum):
    """What a verdict asks of the guard."""

    KEEP = "keep"
    INTENDED = "intended"
    RESTORE = "restore"
    MERGE = "merge"
    UNCERTAIN = "uncertain"
    DELETED = "deleted"
    RENAMED = "renamed"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else the directory and the past say about a session, beside shadow and live."""

    gone: bool = False
    """There is no file of that name."""
    waited_seconds: float = 0.0
    """How long the present state of live has been looked at."""
    repaired: bool = False
    """The shadow is the guard's own repair: the application has not saved all of it since."""
    before_repair: tuple[Document, ...] = ()
    """The files that the repairs were made of, as far as they are asked for."""
    tombstone: bool = False
    """The id stands in `_deleted_webui_sessions.json`."""
    index: Literal["lists", "omits", "unlinked", "unknown"] = "unknown"
    """What `_index.json` says of the id; unlinked: it was there at the last look and is gone."""
    others_saved: bool = False
    """Another session was saved since the index still listed this one; such a save drops the message of any file that is gone."""
    renamed_to: str = ""
    """The session that took over this one's messages, if there is one."""
    moved_to: str = ""
    """A new session that began as this one, but lacks messages of it."""


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
    """Someone cleared the conversation: what is kept of it goes as soon as what is kept of a deleted one."""
    loses_prompt: bool = False
    """The shadow has a prompt that was sent and stands nowhere now."""

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
            return self.action is not Action.KEEP
        gone = any(kind not in benign.REPEATED for _, kind in comparison.harmless)
        lost = not comparison.whole or gone or self.loses_prompt
        return lost or self.action not in (Action.KEEP, Action.WAIT)
