"""The rules for a session whose file is gone or cannot be read (docs/hermes-webui.md, section 7). Pure.

They are asked in the order in which they stand here: what was renamed also has no message in the index any more.
"""

from collections.abc import Iterator
from typing import NamedTuple

from hermesguard.judge.facts import LOSS, MEANT
from hermesguard.judge.rule import Rule, rule, says
from hermesguard.judge.verdict import Action, Surroundings, Verdict
from hermesguard.webui.session import Document

UNREADABLE_WAIT_SECONDS = 1.0
MISSING_WAIT_SECONDS = 2.0
# Without a tombstone, a deletion is believed when no other session followed; and a file that was only moved aside comes back.
DELETION_WAIT_SECONDS = 10.0


class Unread(NamedTuple):
    """A live file that the application could not read either, and why."""

    reason: str
    around: Surroundings


class Missing(NamedTuple):
    """A shadow without a live file."""

    shadow: Document
    around: Surroundings

    @property
    def is_temporary(self) -> bool:
        """It was a side question, which the application unlinks at its end."""
        return self.shadow.title.startswith(("btw:", "bg:"))

    def facts(self) -> Iterator[tuple[str, str]]:
        """Yield (what it speaks for, sentence) of everything that can be seen."""
        around = self.around
        if around.tombstone:
            yield MEANT, "the application has noted its deletion"
        else:
            yield LOSS, "the application has not noted a deletion"
        if self.is_temporary:
            yield MEANT, "it was a temporary session"
        if around.index == "lists":
            yield LOSS, "the index still lists it"
        if around.index == "omits" and around.others_saved:
            yield (
                MEANT,
                "the index no longer lists it, but any save of another session drops the messages of files that are gone",
            )
        elif around.index == "omits":
            yield MEANT, "the index no longer lists it"
        if around.index == "unlinked":
            yield MEANT, "the index was removed just before, as at a deletion"
        if around.moved_to:
            yield LOSS, "a new session with the same creation time lacks messages of it"
        elif not around.renamed_to:
            yield LOSS, "its messages stand in no other session"


UNREADABLE_RULES: list[Rule[Unread]] = []
MISSING_RULES: list[Rule[Missing]] = []


# ---- a file that cannot be read ------------------------------------------------------------------------------------------


@rule(
    UNREADABLE_RULES,
    "1",
    "unreadable",
    "the file is empty or cannot be parsed, and still so after a second",
    "restore",
)
def _unreadable(unread: Unread) -> Verdict:
    if unread.around.waited_seconds < UNREADABLE_WAIT_SECONDS:
        return says(Action.WAIT, unread.reason, wait_seconds=UNREADABLE_WAIT_SECONDS)
    return says(Action.RESTORE, f"the file is unreadable: {unread.reason}", "it stayed so for a second")


# ---- a file that is not there --------------------------------------------------------------------------------------------


@rule(
    MISSING_RULES,
    "19",
    "renamed",
    "the file is gone, and was moved to a new id, or a new session with the same `created_at` holds all of its messages",
    "renamed: the shadow follows",
)
def _renamed(missing: Missing) -> Verdict | None:
    if not missing.around.renamed_to:
        return None
    verdict = says(Action.RENAMED, "another session has taken over its messages")
    return verdict._replace(renamed_to=missing.around.renamed_to)


@rule(
    MISSING_RULES,
    "18",
    "deleted",
    "the file is gone, and: a tombstone, or a title btw: or bg:, or its index entry went too, or `_index.json` was removed just"
    " before; without a tombstone it must stay so for ten seconds, and no new session that began as this one may lack messages"
    " of it (#2223)",
    "deleted",
)
def _deleted(missing: Missing) -> Verdict | None:
    around = missing.around
    if around.tombstone or missing.is_temporary:
        return says(Action.DELETED)
    index_went_along = around.index == "unlinked" or (around.index == "omits" and not around.others_saved)
    if not index_went_along or around.moved_to:
        return None
    if around.waited_seconds < DELETION_WAIT_SECONDS:
        return says(Action.WAIT, "others may follow", wait_seconds=DELETION_WAIT_SECONDS)
    return says(Action.DELETED)


@rule(
    MISSING_RULES,
    "20",
    "missing",
    "the file is gone, and after two seconds there is no evidence of a deletion",
    "uncertain",
)
def _missing(missing: Missing) -> Verdict | None:
    if missing.around.waited_seconds < MISSING_WAIT_SECONDS:
        return says(Action.WAIT, "a deletion may still be noted", wait_seconds=MISSING_WAIT_SECONDS)
    return says(Action.UNCERTAIN, f"the file stayed away for {MISSING_WAIT_SECONDS:.0f} seconds")
