"""The rules for a session whose file can be read (docs/hermes-webui.md, sections 3 to 5). Pure: no disk, no clock.

They are asked in the order in which they stand here, and the first that applies decides. docs/judgement.md is made of them
by tools/docs/rules.py.
"""

from hermesguard.judge.case import Case
from hermesguard.judge.rule import Rule, rule, says
from hermesguard.judge.verdict import Action, Verdict
from hermesguard.webui import session

# The application shows and truncates by windows of this many messages (hermes-webui #5096).
WINDOW_MESSAGES = 30
FIRST_TURN_WAIT_SECONDS = 2.5

RULES: list[Rule[Case]] = []


def _restore_or_merge(case: Case, *evidence: str) -> Verdict:
    return says(Action.MERGE if case.comparison.added else Action.RESTORE, *evidence)


@rule(
    RULES,
    "3",
    "wipe",
    "exactly what a saved metadata-only stub leaves (hermes-webui #1558): stream, prompt, messages, tool calls and context gone,"
    " everything else as it was",
    "restore at once",
)
def _wipe(case: Case) -> Verdict | None:
    if not case.is_wiped:
        return None
    return says(Action.RESTORE, "the exact trace of hermes-webui #1558: a metadata-only stub was saved")


@rule(RULES, "21", "never any messages", "no messages, and there never were any", "keep")
def _never_any(case: Case) -> Verdict | None:
    if case.shadow.messages or case.live.messages:
        return None
    return says(Action.KEEP, "there never were messages")


@rule(
    RULES,
    "2",
    "growth",
    "every message of the shadow is there; only benign messages may be gone",
    "keep: live becomes the shadow",
)
def _growth(case: Case) -> Verdict | None:
    if case.is_lost:
        return None
    kinds = sorted({kind for _, kind in case.comparison.harmless})
    if case.pending_again:
        kinds.append("a prompt is running again")
    return says(
        Action.KEEP, "every message is there", *(f"harmless: {kind.replace('_', ' ')}" for kind in kinds)
    )


@rule(
    RULES,
    "6",
    "clear",
    "`clear_generation` was set anew, and what is there is new; in releases without that key: no messages, the title became"
    " Untitled, and the token counters do not go back",
    "intended",
)
def _clear(case: Case) -> Verdict | None:
    if case.changed(session.CLEAR_GENERATION) and (case.is_emptied or case.has_only_new_messages):
        return _cleared("the conversation was cleared and marked so")
    if case.marks_clears or case.counters_go_back:
        return None
    if case.is_emptied and case.is_untitled_now and case.is_same_chat:
        return _cleared("the conversation was cleared: empty, and untitled again")
    return None


def _cleared(evidence: str) -> Verdict:
    return says(Action.INTENDED, evidence)._replace(is_clear=True)


@rule(
    RULES,
    "4",
    "marked shrink",
    "`intentional_shrink_generation` was set anew, and live is the start of the shadow up to the boundary, with or without"
    " new messages; the token counters do not go back (a second server that writes an older state brings an older mark with it)",
    "intended",
)
def _marked_shrink(case: Case) -> Verdict | None:
    if not case.is_shrink_marked or case.counters_go_back:
        return None
    if case.is_cut_at_boundary:
        return says(Action.INTENDED, "a marked shrink that cut where it says")
    if case.is_cut_behind_news:
        return says(
            Action.INTENDED, "a marked shrink, then new messages and another shrink while nobody looked"
        )
    return None


@rule(
    RULES,
    "4b",
    "message deleted",
    "`intentional_shrink_generation` was set anew, one turn at most went from the middle (two messages), the boundary is the"
    " last message's timestamp (releases after exp-v0.52.216 delete single messages)",
    "intended",
)
def _message_deleted(case: Case) -> Verdict | None:
    comparison = case.comparison
    if not case.is_shrink_marked or comparison.added or comparison.shortened or not case.live.messages:
        return None
    if comparison.lost_messages > 2 or case.lost_turns > 1 or case.boundary != case.boundary_now:
        return None
    return says(Action.INTENDED, "single messages were deleted, and that is marked")


@rule(
    RULES,
    "5",
    "shorter than marked",
    "`intentional_shrink_generation` was set anew, but live is shorter than its boundary says",
    "restore up to the boundary",
)
def _shorter_than_marked(case: Case) -> Verdict | None:
    kept = case.messages_up_to_boundary if case.is_shrink_marked else None
    if kept is None or all(index >= kept for index in case.comparison.missing):
        return None
    there = kept - sum(index < kept for index in case.comparison.missing)
    verdict = _restore_or_merge(
        case, f"the shrink is marked down to {kept} messages, but only {there} of them are there"
    )
    return verdict._replace(keep_messages=kept)


@rule(
    RULES,
    "7",
    "unmarked loss",
    "`intentional_shrink_generation` is there and unchanged, and messages are missing",
    "restore; with new messages: merge",
)
def _unmarked_loss(case: Case) -> Verdict | None:
    if not case.marks_shrinks or case.is_shrink_marked or _marked_before_upgrade(case):
        return None
    return _restore_or_merge(
        case, f"{case.live.writer} marks every shrink that is meant, and this one is not marked"
    )


def _marked_before_upgrade(case: Case) -> bool:
    """The shadow's writer did not mark generations, and live carries the watermark that it would have set."""
    return session.GENERATION not in case.shadow and _is_watermarked_turn(case)


def _is_watermarked_turn(case: Case) -> bool:
    if not case.is_watermarked or case.lost_turns > 1 or case.counters_go_back or case.is_answered_late:
        return False
    return case.is_cut_at_boundary or case.is_cut_behind_news


@rule(
    RULES,
    "8",
    "watermarked shrink",
    "no generation key; `truncation_watermark` or `truncation_boundary` was set anew and fits the start of the shadow that is"
    " left; at most one user turn is gone",
    "intended",
)
def _watermarked_shrink(case: Case) -> Verdict | None:
    if case.is_shrink_marked or not _is_watermarked_turn(case):
        return None
    return says(Action.INTENDED, "the watermark was set where it was cut")


@rule(
    RULES,
    "9",
    "undo",
    "no markers; a proper, non-empty start of the shadow, in which no answer went on; at most one user turn is gone",
    "intended",
)
def _undo(case: Case) -> Verdict | None:
    if case.marks_shrinks or case.is_marked or not case.is_start:
        return None
    if case.lost_turns > 1 or case.counters_go_back or case.is_said_before:
        return None
    return says(Action.INTENDED, "the last turn was taken back")


@rule(
    RULES,
    "10",
    "long cut",
    "no markers, or a watermark only; a start of the shadow; two or more user turns went in one write (#5096, a stale"
    " process), or something contradicts that one was taken back",
    "uncertain",
)
def _long_cut(case: Case) -> Verdict | None:
    if case.marks_shrinks or not case.is_start:
        return None
    if case.lost_turns > 1:
        return says(
            Action.UNCERTAIN, "one act of a user removes one turn at most (#5096, or a stale process)"
        )
    return says(Action.UNCERTAIN, "the end is gone, and it was not taken back as a user does it")


@rule(
    RULES,
    "11",
    "emptied",
    "no messages (or the pending prompt alone, as a message); the shadow had no stream; no markers, or a watermark only",
    "the only turn: intended; followed by a new prompt within 2.5 s: intended (edit or retry of the first turn);"
    " else uncertain",
)
def _emptied(case: Case) -> Verdict | None:
    if not (case.is_emptied or case.is_only_asked):
        return None
    if case.shadow.stream or case.marks_shrinks or case.is_stale_writer:
        return None
    is_unharmed = case.is_same_chat and not case.counters_go_back
    if case.has_new_prompt and is_unharmed and len(case.shadow.messages) <= WINDOW_MESSAGES:
        return says(Action.INTENDED, "the first turn is said anew: its prompt is pending")
    if not case.is_emptied:
        return None
    if case.lost_turns == 1 and is_unharmed and not case.counters_go_on and not case.is_marked:
        return says(Action.INTENDED, "the only turn was taken back")
    if case.around.waited_seconds < FIRST_TURN_WAIT_SECONDS:
        return says(
            Action.WAIT,
            "emptied without a marker; a new prompt may follow",
            wait_seconds=FIRST_TURN_WAIT_SECONDS,
        )
    return says(
        Action.UNCERTAIN,
        f"emptied without a marker, and no new prompt came within {FIRST_TURN_WAIT_SECONDS} s",
    )


@rule(
    RULES,
    "12",
    "old compression",
    "`compression_anchor_*` changed, `messages` equal `context_messages`, no `message_count` key (/compress of releases before"
    " v0.51.139)",
    "intended; the shadow goes to the history",
)
def _old_compression(case: Case) -> Verdict | None:
    if session.MESSAGE_COUNT in case.live or not case.is_compressed:
        return None
    return says(Action.INTENDED, "a /compress of an old release: the summary took the place of the messages")


@rule(
    RULES,
    "13",
    "stale",
    "only new messages (or a new prompt), later than the shadow's end; title and `created_at` as they were; the shadow could be"
    " wiped (#1558) or was wiped before",
    "merge",
)
def _stale_writer(case: Case) -> Verdict | None:
    has_only_news = case.has_only_new_messages or (case.is_emptied and case.has_new_prompt)
    if not has_only_news or not case.could_be_wiped or case.is_marked or case.remembers:
        return None
    if not case.is_same_chat or not case.is_title_kept:
        return None
    return says(
        Action.MERGE, "only what is new, written from an empty memory: the conversation before it is missing"
    )


@rule(
    RULES,
    "14",
    "clear, then a new chat",
    "only new messages, as in 13, but the title was made anew from the first of them, and the model still has the old context (a"
    " clear leaves it); releases that do not mark a clear",
    "intended",
)
def _cleared_and_begun_anew(case: Case) -> Verdict | None:
    if case.marks_clears or not case.is_same_chat or case.counters_go_back:
        return None
    if not case.has_only_new_messages or not case.is_title_from_live:
        return None
    if case.shadow.context and not case.remembers and case.boundary != 0:
        return None
    return _cleared("a new conversation was begun after a clear")


@rule(
    RULES,
    "15",
    "stale writer again",
    "a stale writer goes on: the file begins with messages that were merged before, or is empty again; the rest is missing",
    "merge, nothing twice",
)
def _stale_writer_again(case: Case) -> Verdict | None:
    if not case.is_stale_writer:
        return None
    return _restore_or_merge(case, "the application still writes from an empty memory over the repaired file")


@rule(
    RULES,
    "16",
    "longer, yet less",
    "live is longer than the shadow, but messages of the shadow are missing (an older copy was put over it)",
    "merge",
)
def _longer_yet_less(case: Case) -> Verdict | None:
    if case.is_shrink_marked or not case.comparison.pairs or case.live.count <= case.shadow.count:
        return None
    return says(Action.MERGE, "live is longer than the shadow, yet messages of the shadow are missing")


@rule(
    RULES,
    "17",
    "other tail",
    "the start is the same, the end is another, and later turns are gone (a late worker, #2136 and #6623)",
    "uncertain",
)
def _other_tail(case: Case) -> Verdict | None:
    if not case.comparison.pairs:
        return None
    return says(Action.UNCERTAIN, "some of it is the same, the rest is another (a late worker, #2136, #6623)")


@rule(RULES, "22", "anything else", "messages are missing, and no rule explains it", "uncertain")
def _anything_else(case: Case) -> Verdict | None:
    return says(Action.UNCERTAIN, "messages are missing, and nothing explains it")
