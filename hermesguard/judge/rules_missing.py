"""The rules for a session whose file is gone or cannot be read (docs/hermes-webui.md, section 7). Pure.

A file that is gone has three answers: it was deleted, it was lost, or that cannot be known. A deletion leaves evidence, another
one in each release; what speaks for a loss is evidence too; and where there is neither, the guard does not guess. The rules are
asked in the order in which they stand here: what was renamed also has no entry in the index any more.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from hermesguard.judge.facts import INTENDED, LOSS
from hermesguard.judge.rule import Rule, rule, says
from hermesguard.judge.verdict import Action, IndexSays, Surroundings, Verdict
from hermesguard.webui import benign, session
from hermesguard.webui.session import Document

UNREADABLE_WAIT_SECONDS = 1.0
MISSING_WAIT_SECONDS = 2.0
# The application prunes the entry some milliseconds after the file; a machine may be busy, and a file moved aside for a moment.
PRUNED_WAIT_SECONDS = 3.0
# A directory that is being emptied looks like this at first; and a file that was only moved aside comes back.
UNLINKED_WAIT_SECONDS = 10.0
UNKNOWN_WAIT_SECONDS = 10.0
# An index that lists a session so long after its file has gone was not about to be corrected.
LISTED_ON_SECONDS = 1.0
# hermes-webui PR#7036: a clean-up that looked before the first turn was saved removes the file milliseconds after it.
CLEANUP_RACE_SECONDS = 2.0

# What the application takes for a messenger: their sessions have no tombstone in any release.
MESSENGERS: Final = frozenset(
    {"discord", "email", "wecom", "wecom_callback", "slack", "telegram", "weixin", "matrix"}
)


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
        """It was a side question, which the application unlinks at its end; no chat that a user began or named so."""
        title = " ".join(self.shadow.title.split())
        if not title.startswith(session.TEMPORARY) or self.shadow.get("manual_title"):
            return False
        first = next((message for message in self.shadow.messages if benign.is_user_turn(message)), None)
        return first is None or not " ".join(first.words.split()).startswith(title)

    @property
    def is_empty(self) -> bool:
        """It held nothing that anyone had said; the context that an old clear leaves behind is no message."""
        shadow = self.shadow
        has_context = bool(shadow.context) and shadow.title not in session.UNTITLED
        return not (shadow.messages or has_context or shadow.prompt.strip())

    @property
    def is_from_messenger(self) -> bool:
        """It belongs to a messenger, as the application decides that."""
        if self.shadow.get("session_source") == "messaging":
            return True
        sources = (self.shadow.get(key) for key in ("raw_source", "source_tag", "source"))
        first = next((text for source in sources if isinstance(source, str) and (text := source.strip())), "")
        return first.lower() in MESSENGERS

    @property
    def lacks_tombstone(self) -> bool:
        """A deletion would have left a tombstone, and there is none."""
        return not (self.around.tombstone or self.around.may_leave_none or self.is_from_messenger)

    @property
    def is_listed_on(self) -> bool:
        """The index went on listing it when a deletion would long have been over."""
        around = self.around
        return around.index == "lists" or around.listed_seconds >= LISTED_ON_SECONDS

    @property
    def has_just_begun(self) -> bool:
        """Its first messages came just before its file went."""
        return self.around.began_seconds is not None and self.around.began_seconds < CLEANUP_RACE_SECONDS

    @property
    def was_cleaned_up(self) -> bool:
        """A clean-up of empty sessions took it: this release removes the index only then, and it had got messages just before."""
        return self.around.index == "unlinked" and not self.around.unlinks_index and self.has_just_begun

    def facts(self) -> Iterator[tuple[str, str]]:
        """Yield (what it speaks for, sentence) of everything that can be seen."""
        around = self.around
        if around.tombstone:
            yield INTENDED, "the application has noted its deletion"
        elif self.lacks_tombstone and not self.is_temporary:
            yield LOSS, "the application notes every deletion, and has noted none of it"
        else:
            yield LOSS, "the application has not noted a deletion"
        if self.is_temporary:
            yield INTENDED, "it was a temporary session"
        if self.is_empty:
            yield INTENDED, "it held no message"
        yield _INDEX_FACTS[around.index]
        if around.index != "lists" and around.listed_seconds >= LISTED_ON_SECONDS:
            yield LOSS, "the index went on listing it after the file had gone"
        if around.index == "unlinked" and not around.unlinks_index:
            yield LOSS, "this release removes the index only when it cleans up empty sessions"
        if self.has_just_begun:
            yield LOSS, "its first messages came just before, as when a clean-up takes it for empty (PR#7036)"
        if around.moved_to:
            yield LOSS, "a new session with the same creation time lacks messages of it"
        elif not around.renamed_to:
            yield LOSS, "its messages stand in no other session"


_INDEX_FACTS: Final[dict[IndexSays, tuple[str, str]]] = {
    "lists": (LOSS, "the index still lists it"),
    "pruned": (INTENDED, "its entry in the index went with it"),
    "unlinked": (INTENDED, "the index was removed with it, as at a deletion"),
    "dropped": (
        INTENDED,
        "the index no longer lists it, but any save of another session drops the entries of files that are gone",
    ),
    "rebuilt": (
        INTENDED,
        "the index was built anew without it, as it is from the files that are there, or an older one was put back",
    ),
    "unlisted": (INTENDED, "the index does not list it, and was not seen to list it before"),
    "removed": (LOSS, "there is no index, for the guard removed it after a repair: that says nothing"),
    "none": (LOSS, "there is no index, which says nothing"),
}


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
    return says(Action.LOSS, f"the file is unreadable: {unread.reason}", "it stayed so for a second")


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
    "the file is gone, and: a tombstone, or a title btw: or bg: that no user gave; or it held no message and no index lists it;"
    " or, where the application leaves no tombstone, its entry went from an index that was seen to list it, or `_index.json` was"
    " removed with it (before v0.51.139); without a tombstone it must stay so for some seconds, and no new session that began as"
    " this one may lack messages of it (#2223)",
    "deleted",
)
def _deleted(missing: Missing) -> Verdict | None:
    around = missing.around
    if around.tombstone or missing.is_temporary:
        return says(Action.DELETED)
    if around.moved_to or around.index == "lists":
        return None
    if missing.is_empty:
        return _deleted_after(missing, PRUNED_WAIT_SECONDS)
    if missing.lacks_tombstone:
        return None
    if around.index == "pruned":
        return _deleted_after(missing, PRUNED_WAIT_SECONDS)
    if around.index == "unlinked" and around.unlinks_index and not missing.has_just_begun:
        return _deleted_after(missing, UNLINKED_WAIT_SECONDS)
    return None


def _deleted_after(missing: Missing, seconds: float) -> Verdict:
    if missing.around.waited_seconds < seconds:
        return says(Action.WAIT, "the file may come back", wait_seconds=seconds)
    return says(Action.DELETED)


@rule(
    MISSING_RULES,
    "20",
    "missing",
    "the file is gone, and after two seconds: the index lists it on; or the application leaves a tombstone of every deletion"
    " (v0.51.850 and later, messengers excepted) and there is none; or a clean-up of empty sessions took it just after its first"
    " turn (PR#7036); or a new session began as this one and lacks messages of it",
    "restore",
)
def _missing(missing: Missing) -> Verdict | None:
    around = missing.around
    if around.waited_seconds < MISSING_WAIT_SECONDS:
        return says(Action.WAIT, "a deletion may still be noted", wait_seconds=MISSING_WAIT_SECONDS)
    if not (missing.is_listed_on or missing.lacks_tombstone or missing.was_cleaned_up or around.moved_to):
        return None
    return says(Action.LOSS, f"the file stayed away for {MISSING_WAIT_SECONDS:.0f} seconds")


@rule(
    MISSING_RULES,
    "26",
    "not known",
    "the file is gone, and after ten seconds there is evidence of neither: no index, also because the guard removed it; an index"
    " that was never seen to list it, that was built anew or is an older one, or whose entry another save may have dropped",
    "not known: it stays away, its copy is kept as long as the history, and the log names the command that brings it back",
)
def _not_known(missing: Missing) -> Verdict | None:
    if missing.around.waited_seconds < UNKNOWN_WAIT_SECONDS:
        return says(Action.WAIT, "it may come back, or be noted", wait_seconds=UNKNOWN_WAIT_SECONDS)
    return says(
        Action.UNKNOWN, "nothing says that it was deleted, and nothing that an application still has it"
    )
