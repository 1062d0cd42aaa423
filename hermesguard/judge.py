"""Is what became of a session a loss, or did somebody mean it? Pure: no disk, no clock, no logging.

The rules are those of webui-contract, section 6, in its order and by its numbers; the first that applies decides.
A verdict carries the evidence for it and what spoke against it, in sentences that quote no message.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Literal

from hermesguard import benign, session
from hermesguard.compare import Comparison, compare
from hermesguard.session import Document

# The application shows and truncates by windows of this many rows (hermes-webui #5096).
WINDOW_ROWS = 30
UNREADABLE_WAIT_SECONDS = 1.0
FIRST_TURN_WAIT_SECONDS = 2.5
DELETION_WAIT_SECONDS = 2.0


class Action(StrEnum):
    """What a verdict asks of the guard."""

    KEEP = "keep"
    DELIBERATE = "deliberate"
    RESTORE = "restore"
    MERGE = "merge"
    DOUBT = "doubt"
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
    tombstone: bool = False
    """The id stands in `_deleted_webui_sessions.json`."""
    index: Literal["lists", "omits", "unlinked", "unknown"] = "unknown"
    """What `_index.json` says of the id; unlinked: it was there at the last look and is gone."""
    renamed_to: str = ""
    """The session that took over this one's rows, if there is one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge says of a shadow and a live file."""

    action: Action
    rule: str
    evidence: tuple[str, ...]
    against: tuple[str, ...] = ()
    comparison: Comparison | None = field(default=None, repr=False)
    keep_rows: int | None = None
    """Only so many rows of the shadow are to come back; None means all of them."""
    wait_seconds: float = 0.0
    renamed_to: str = ""
    is_abridged: bool = False
    """It was given on an abridged shadow (module abridge)."""

    @property
    def is_wipe(self) -> bool:
        """Return whether it is the exact trace of hermes-webui #1558."""
        return self.rule.startswith("3 ")

    @property
    def rows_lost(self) -> int | None:
        """How many rows of the shadow live lacks; None when live is no session at all."""
        return self.comparison.lost_rows if self.comparison else None

    @property
    def takes_away(self) -> bool:
        """Return whether live lacks something of the shadow that stands nowhere else, so that the shadow is worth a version."""
        comparison = self.comparison
        if comparison is None:
            return self.action is not Action.KEEP
        lost = not comparison.whole or any(kind not in benign.REPEATED for _, kind in comparison.harmless)
        return lost or self.action not in (Action.KEEP, Action.WAIT)


class Case:
    """A shadow and a live file, with what can be seen of them, each thing looked at once."""

    def __init__(self, shadow: Document, live: Document, around: Surroundings) -> None:
        self.shadow, self.live, self.around = shadow, live, around

    @cached_property
    def comparison(self) -> Comparison:
        return compare(self.shadow.rows, self.live.rows)

    @property
    def lost(self) -> bool:
        return not self.comparison.whole

    @property
    def emptied(self) -> bool:
        return bool(self.shadow.rows) and not self.live.rows

    def changed(self, key: str) -> bool:
        """The marker `key` was set anew by this write (it stands in live, and differs)."""
        return self.live.get(key) is not None and self.live.get(key) != self.shadow.get(key)

    @property
    def marks_shrinks(self) -> bool:
        """The writer of live marks every shrink that somebody means (exp-v0.52.216 or later)."""
        return session.GENERATION in self.live

    @property
    def marked(self) -> bool:
        return any(
            map(
                self.changed,
                (session.GENERATION, session.CLEAR_GENERATION, session.WATERMARK, session.BOUNDARY),
            )
        )

    @cached_property
    def boundary(self) -> float | None:
        """Where a marked shrink says that it cut, in seconds; None when nothing says it."""
        for key in (session.BOUNDARY, session.WATERMARK):
            value = self.live.get(key)
            if isinstance(value, int | float) and (self.marks_shrinks or self.changed(key)):
                return float(value)
        return None

    @cached_property
    def boundary_rows(self) -> tuple[int, ...]:
        """So many rows of the shadow may lie before the boundary; several when timestamps repeat, none when none match."""
        if self.boundary is None:
            return ()
        rows = self.shadow.rows
        stamps = [
            0.0,
            *(float(row.get("timestamp") or 0) if _number(row.get("timestamp")) else 0.0 for row in rows),
        ]
        return tuple(count for count in range(len(rows)) if stamps[count] == self.boundary)

    @property
    def cut_at_boundary(self) -> bool:
        """Live starts with the shadow's rows up to the boundary, and what follows is new or was said again."""
        return any(count <= self.comparison.lead for count in self.boundary_rows) and self.goes_on_anew

    @property
    def goes_on_anew(self) -> bool:
        """Behind the common start, live has nothing of the shadow."""
        return len(self.comparison.pairs) == self.comparison.lead and not self.comparison.shortened

    @cached_property
    def lost_turns(self) -> int:
        return self.comparison.lost_turns

    @property
    def counters_go_back(self) -> bool:
        return any(
            _number(before := self.shadow.get(key))
            and _number(after := self.live.get(key))
            and after < before
            for key in session.TOKEN_COUNTERS
        )

    @property
    def same_conversation(self) -> bool:
        return self.shadow.title == self.live.title and self.shadow.get("created_at") == self.live.get(
            "created_at"
        )

    @property
    def untitled_now(self) -> bool:
        return self.live.title in session.UNTITLED and self.shadow.title not in session.UNTITLED

    @cached_property
    def only_new_rows(self) -> bool:
        """Live has rows, none of them the shadow's, all of them later than its end."""
        if not self.live.rows or self.comparison.pairs or self.comparison.shortened:
            return False
        end = self.shadow.end
        return end is None or all(row.timestamp is None or row.timestamp >= end for row in self.live.rows)

    @property
    def title_from_live(self) -> bool:
        """The title was made anew from live's first question."""
        first = next((row for row in self.live.rows if benign.is_user_turn(row)), None)
        if first is None or self.live.title == self.shadow.title or not self.live.title.strip():
            return False
        return " ".join(first.words.split()).startswith(" ".join(self.live.title.split()))

    @property
    def could_be_wiped(self) -> bool:
        """The shadow had what bug #1558 needs, or the bug has struck and the application has not yet seen the repair."""
        return bool(self.shadow.stream) or self.around.repaired

    @cached_property
    def wiped(self) -> bool:
        """Exactly the difference that a saved metadata-only stub makes (hermes-webui #1558)."""
        shadow, live = self.shadow, self.live
        if not shadow.stream or live.stream or live.rows or not (shadow.rows or shadow.prompt):
            return False
        if live.prompt or (session.CONTEXT in live and live.context):
            return False
        emptied = {
            session.MESSAGES,
            session.TOOL_CALLS,
            session.CONTEXT,
            session.STREAM,
            session.MESSAGE_COUNT,
            "updated_at",
        }
        return all(
            key in emptied
            or key.startswith(session.PENDING_PREFIX)
            or not _says_something(shadow.get(key))
            or key not in live
            or live.get(key) == shadow.get(key)
            or not _says_something(live.get(key))
            for key in shadow.keys
            if key != session.TITLE
        ) and (live.title == shadow.title)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _says_something(value: object) -> bool:
    return value not in (None, "", [], {})


# ---- facts: each speaks for a loss or for an intention ---------------------------------------------------------------

LOSS, MEANT = "loss", "meant"


def _facts(case: Case) -> list[tuple[str, str]]:
    """Return (what it speaks for, sentence) of everything that can be seen in a case with missing rows."""
    comparison, shadow, live = case.comparison, case.shadow, case.live
    gone = comparison.lost_rows
    facts: list[tuple[str, str]] = []

    def add(holds: object, speaks_for: str, sentence: str) -> None:
        if holds:
            facts.append((speaks_for, sentence))

    add(gone, LOSS, f"{gone} of {shadow.count} rows are gone")
    add(case.emptied, LOSS, "no message is left")
    add(comparison.shortened, LOSS, "the last answer was cut short")
    add(shadow.stream and not live.stream, LOSS, "active_stream_id went from set to null")
    add(shadow.prompt and not live.prompt and case.emptied, LOSS, "the unsent prompt was destroyed")
    add(case.lost_turns > 1, LOSS, f"{case.lost_turns} turns of a person went in one write")
    add(case.counters_go_back, LOSS, "the token counters went backwards")
    add(case.around.repaired, LOSS, "the application has not saved what the guard repaired")
    add(comparison.added, LOSS, f"live has {len(comparison.added)} new rows that must not be lost either")
    add(
        case.marks_shrinks and not case.changed(session.GENERATION),
        LOSS,
        f"{session.GENERATION} is unchanged",
    )
    add(case.changed(session.GENERATION), MEANT, f"{session.GENERATION} was set anew")
    add(case.changed(session.CLEAR_GENERATION), MEANT, f"{session.CLEAR_GENERATION} was set anew")
    add(case.changed(session.WATERMARK), MEANT, f"{session.WATERMARK} was set anew")
    add(
        case.boundary_rows and case.cut_at_boundary,
        MEANT,
        "the boundary is the timestamp of the last row that was kept",
    )
    add(comparison.is_prefix and live.rows, MEANT, "what is left is the start of the conversation, unharmed")
    add(case.lost_turns == 1, MEANT, "one turn of a person is gone, as after an undo")
    add(case.untitled_now, MEANT, f'the title became "{live.title}", as after a clear')
    add(case.title_from_live, MEANT, "the title was made anew from the first new question")
    add(case.emptied and live.prompt, MEANT, "a new prompt is pending")
    add(case.same_conversation and not live.rows, LOSS, "the title is unchanged")
    return facts


# ---- the table ----------------------------------------------------------------------------------------------------

RuleFunction = Callable[[Case], Verdict | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: a number and a name to cite, the evidence and the judgement in words, and the predicate."""

    number: str
    name: str
    evidence: str
    judgement: str
    decide: RuleFunction

    @property
    def label(self) -> str:
        """How verdicts, logs and the manual cite it."""
        return f"{self.number} {self.name}"


RULES: list[Rule] = []


def _rule(number: str, name: str, evidence: str, judgement: str) -> Callable[[RuleFunction], RuleFunction]:
    def register(decide: RuleFunction) -> RuleFunction:
        RULES.append(Rule(number, name, evidence, judgement, decide))
        return decide

    return register


def _verdict(
    action: Action, *evidence: str, keep_rows: int | None = None, wait_seconds: float = 0.0
) -> Verdict:
    return Verdict(action, "", tuple(evidence), keep_rows=keep_rows, wait_seconds=wait_seconds)


def _restore_or_merge(case: Case, *evidence: str) -> Verdict:
    return _verdict(Action.MERGE if case.comparison.added else Action.RESTORE, *evidence)


@_rule(
    "3",
    "wipe",
    "the exact difference of a saved stub (#1558): stream gone, rows gone, all else as it was",
    "restore at once",
)
def _wipe(case: Case) -> Verdict | None:
    return (
        _verdict(Action.RESTORE, "the exact trace of hermes-webui #1558: a metadata-only stub was saved")
        if case.wiped
        else None
    )


@_rule("21", "never any messages", "`[]`, and there never were messages", "keep")
def _never_any(case: Case) -> Verdict | None:
    if case.shadow.rows or case.live.rows:
        return None
    return _verdict(Action.KEEP, "there never were messages")


@_rule("2", "growth", "every row of the shadow is in live, but for benign ones", "keep: new shadow")
def _growth(case: Case) -> Verdict | None:
    if case.lost:
        return None
    kinds = sorted({kind for _, kind in case.comparison.harmless})
    return _verdict(
        Action.KEEP, "every row is still there", *(f"harmless: {kind.replace('_', ' ')}" for kind in kinds)
    )


@_rule(
    "6",
    "clear",
    "`clear_generation` changed; without such a key: `[]` and the title became Untitled",
    "deliberate",
)
def _clear(case: Case) -> Verdict | None:
    if case.comparison.pairs:
        return None
    if case.changed(session.CLEAR_GENERATION):
        return _verdict(Action.DELIBERATE, "the conversation was cleared and marked so")
    if session.CLEAR_GENERATION not in case.live and case.emptied and case.untitled_now:
        return _verdict(Action.DELIBERATE, "the conversation was cleared: empty, and untitled again")
    return None


@_rule(
    "4",
    "marked shrink",
    "generation changed, and live is the shadow up to the boundary, with or without new rows",
    "deliberate",
)
def _marked_shrink(case: Case) -> Verdict | None:
    if case.changed(session.GENERATION) and case.cut_at_boundary:
        return _verdict(Action.DELIBERATE, "a marked shrink that cut where it says")
    return None


@_rule(
    "4b",
    "message deleted",
    "generation changed, at most one turn's rows are gone from the middle, the boundary is the last row's timestamp",
    "deliberate",
)
def _message_deleted(case: Case) -> Verdict | None:
    if not case.changed(session.GENERATION) or case.comparison.added or len(case.comparison.missing) > 2:
        return None
    last = case.live.rows[-1].timestamp if case.live.rows else 0.0
    if case.boundary == (last or 0.0) and case.lost_turns <= 1:
        return _verdict(Action.DELIBERATE, "single messages were deleted, and the shrink is marked")
    return None


@_rule(
    "5",
    "shorter than marked",
    "generation changed but live is shorter than its boundary says",
    "restore up to the boundary",
)
def _shorter_than_marked(case: Case) -> Verdict | None:
    if not case.changed(session.GENERATION) or not case.boundary_rows:
        return None
    kept = min(case.boundary_rows) if case.boundary else 0
    if case.comparison.lead >= kept:
        return None
    verdict = _restore_or_merge(
        case, f"the shrink is marked down to {kept} rows, but only {case.comparison.lead} are there"
    )
    return replace(verdict, keep_rows=kept)


@_rule(
    "7",
    "unmarked loss",
    "generation key present and unchanged, rows missing that are not benign",
    "restore; with new rows: merge",
)
def _unmarked_loss(case: Case) -> Verdict | None:
    if not case.marks_shrinks or case.changed(session.GENERATION):
        return None
    return _restore_or_merge(
        case, "this version marks every shrink that is meant, and this one is not marked"
    )


@_rule(
    "12",
    "old compression",
    "`compression_anchor_*` changed, `messages` equal `context_messages`, no `message_count` key",
    "deliberate; the shadow goes to the history",
)
def _old_compression(case: Case) -> Verdict | None:
    anchored = any(key.startswith("compression_anchor_") and case.changed(key) for key in case.live.keys)
    if not anchored or session.MESSAGE_COUNT in case.live or not case.live.rows:
        return None
    if [row.value for row in case.live.rows] != [row.value for row in case.live.context]:
        return None
    return _verdict(
        Action.DELIBERATE, "a /compress of an old release: the summary took the place of the messages"
    )


@_rule(
    "15",
    "ghost again",
    "a later write continues a ghost: it begins with rows already merged (or is empty again), and lacks the rest",
    "merge, nothing twice",
)
def _ghost_again(case: Case) -> Verdict | None:
    if not case.around.repaired or case.marked or not case.same_conversation or case.comparison.lead:
        return None
    return _restore_or_merge(case, "the application still writes from an empty memory over the repaired file")


@_rule(
    "13",
    "ghost",
    "live holds only new rows, title and created_at are as they were, and the shadow could be wiped or was wiped before",
    "merge",
)
def _ghost(case: Case) -> Verdict | None:
    if case.only_new_rows and case.same_conversation and case.could_be_wiped and not case.marked:
        return _verdict(
            Action.MERGE,
            "only new rows, written from an empty memory: the conversation before them is missing",
        )
    return None


@_rule("14", "clear, then a new chat", "as 13, but the title is made from live's first row", "deliberate")
def _cleared_and_begun_anew(case: Case) -> Verdict | None:
    if case.only_new_rows and case.title_from_live and not case.marked:
        return _verdict(Action.DELIBERATE, "a new conversation was begun after a clear")
    return None


@_rule(
    "8",
    "watermarked shrink",
    "no generation key; the watermark changed and matches the prefix; at most one turn removed",
    "deliberate",
)
def _watermarked_shrink(case: Case) -> Verdict | None:
    if case.marks_shrinks or not (case.changed(session.WATERMARK) or case.changed(session.BOUNDARY)):
        return None
    if case.cut_at_boundary and case.lost_turns <= 1 and not case.counters_go_back:
        return _verdict(Action.DELIBERATE, "the watermark was set to the last row that was kept")
    return None


@_rule("9", "undo", "no markers; a proper non-empty prefix; at most one turn removed", "deliberate")
def _undo(case: Case) -> Verdict | None:
    if case.marks_shrinks or case.marked or not case.comparison.is_prefix or not case.live.rows:
        return None
    if case.lost_turns <= 1 and not case.counters_go_back:
        return _verdict(Action.DELIBERATE, "the last turn was taken back")
    return None


@_rule(
    "10",
    "long cut",
    "no markers or a watermark only; a prefix; two or more turns removed in one write",
    "in doubt",
)
def _long_cut(case: Case) -> Verdict | None:
    if case.marks_shrinks or not case.comparison.is_prefix or not case.live.rows:
        return None
    return _verdict(Action.DOUBT, "one act of a person removes at most one turn (#5096, stale processes)")


@_rule(
    "11",
    "emptied",
    "`[]`, the shadow had no stream, no markers",
    "one turn: deliberate; else in doubt, after waiting for a new prompt (edit or retry of the first turn)",
)
def _emptied(case: Case) -> Verdict | None:
    if not case.emptied or case.shadow.stream or case.marks_shrinks:
        return None
    if case.live.prompt and case.live.prompt != case.shadow.prompt and len(case.shadow.rows) <= WINDOW_ROWS:
        return _verdict(Action.DELIBERATE, "the first turn is said anew: its prompt is pending")
    if not case.marked and case.lost_turns == 1:
        return _verdict(Action.DELIBERATE, "the only turn was taken back")
    if case.around.waited_seconds < FIRST_TURN_WAIT_SECONDS:
        return _verdict(
            Action.WAIT,
            "emptied without a marker; a new prompt may follow",
            wait_seconds=FIRST_TURN_WAIT_SECONDS,
        )
    return _verdict(
        Action.DOUBT, f"emptied without a marker, and no new prompt came within {FIRST_TURN_WAIT_SECONDS} s"
    )


@_rule("16", "longer, yet less", "live is longer, but the shadow's newest rows are missing", "merge")
def _longer_yet_less(case: Case) -> Verdict | None:
    if case.marked or len(case.live.rows) <= len(case.shadow.rows) or not case.comparison.pairs:
        return None
    return _verdict(
        Action.MERGE,
        "live is longer than the shadow, yet rows of the shadow are missing (an older copy was put over it)",
    )


@_rule("17", "other tail", "a common start, another tail, the later turn gone", "in doubt")
def _other_tail(case: Case) -> Verdict | None:
    if not case.comparison.pairs:
        return None
    return _verdict(
        Action.DOUBT, "the start is the same, the end is another (a late worker, #2136 and #6623)"
    )


@_rule("22", "anything else", "rows are missing and nothing explains it", "in doubt")
def _anything_else(case: Case) -> Verdict | None:
    return _verdict(Action.DOUBT, "rows are missing and nothing explains it")


# Rules 1 and 18 to 20 judge what is not there; they have no Case.
RULE_UNREADABLE = Rule(
    "1", "unreadable", "empty or unparsable, and still so after about a second", "restore", lambda case: None
)
RULE_DELETED = Rule(
    "18",
    "deleted",
    "file gone, and: a tombstone, or its index row gone, or `_index.json` unlinked just before, or a title btw: or bg:",
    "deleted",
    lambda case: None,
)
RULE_RENAMED = Rule(
    "19", "renamed", "file gone, and another session has taken over its rows", "renamed", lambda case: None
)
RULE_MISSING = Rule(
    "20",
    "missing",
    "file gone, the index still lists it after a grace time, no tombstone",
    "in doubt",
    lambda case: None,
)

TABLE: tuple[Rule, ...] = (RULE_UNREADABLE, *RULES, RULE_DELETED, RULE_RENAMED, RULE_MISSING)


def judge(shadow: Document, live: Document, around: Surroundings | None = None) -> Verdict:
    """Return what became of a session whose last good copy is `shadow` and whose file now says `live`."""
    case = Case(shadow, live, around or Surroundings())
    for rule in RULES:
        if (verdict := rule.decide(case)) is not None:
            return _explained(case, rule, verdict)
    raise AssertionError("the last rule always applies")


def _explained(case: Case, rule: Rule, verdict: Verdict) -> Verdict:
    facts = _facts(case) if verdict.action is not Action.KEEP else []
    side = MEANT if verdict.action is Action.DELIBERATE else LOSS
    return replace(
        verdict,
        rule=rule.label,
        evidence=(*verdict.evidence, *(sentence for speaks_for, sentence in facts if speaks_for == side)),
        against=tuple(sentence for speaks_for, sentence in facts if speaks_for != side),
        comparison=case.comparison,
    )


def judge_unreadable(reason: str, around: Surroundings) -> Verdict:
    """Return what to do about a live file that the application could not read (rule 1); `reason` says why it could not."""
    if around.waited_seconds < UNREADABLE_WAIT_SECONDS:
        return Verdict(Action.WAIT, RULE_UNREADABLE.label, (reason,), wait_seconds=UNREADABLE_WAIT_SECONDS)
    return Verdict(
        Action.RESTORE,
        RULE_UNREADABLE.label,
        (f"the file is unreadable: {reason}", "it stayed so for a second"),
    )


def judge_missing(shadow: Document, around: Surroundings) -> Verdict:
    """Return what became of a session whose file is gone (rules 18 to 20)."""
    lists = ("the index still lists it",) if around.index == "lists" else ()
    if around.renamed_to:
        return Verdict(
            Action.RENAMED,
            RULE_RENAMED.label,
            ("another session has taken over its rows",),
            lists,
            renamed_to=around.renamed_to,
        )
    evidence = []
    if around.tombstone:
        evidence.append("the application has noted its deletion")
    if shadow.title.startswith(("btw:", "bg:")):
        evidence.append("it was a temporary session")
    if around.index == "omits":
        evidence.append("the index no longer lists it")
    if around.index == "unlinked":
        evidence.append("the index was removed just before, as at a deletion")
    if evidence:
        return Verdict(Action.DELETED, RULE_DELETED.label, tuple(evidence), lists)
    if around.waited_seconds < DELETION_WAIT_SECONDS:
        return Verdict(Action.WAIT, RULE_MISSING.label, lists, wait_seconds=DELETION_WAIT_SECONDS)
    return Verdict(
        Action.DOUBT, RULE_MISSING.label, (*lists, "no tombstone", "its rows stand in no other session")
    )
