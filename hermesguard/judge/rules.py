"""The rules for a session whose file can be read (docs/hermes-webui.md, sections 3 to 5). Pure: no disk, no clock.

They are asked in the order in which they stand here, and the first that applies decides. docs/judgement.md is made of them
by tools/docs/rules.py.
"""

from hermesguard.judge.acts import ACTS, FIRST_TURN, Act, Part, nearest
from hermesguard.judge.case import WINDOW_MESSAGES, Case
from hermesguard.judge.rule import Rule, rule, says
from hermesguard.judge.verdict import Action, Verdict
from hermesguard.webui import benign, session

FIRST_TURN_WAIT_SECONDS = 2.5
SAVES_OF_A_TURN = 3  # it is cut, a prompt is pending, the turn ends

RULES: list[Rule[Case]] = []


def _restore_or_merge(case: Case, *evidence: str) -> Verdict:
    return says(Action.MERGE if case.comparison.added else Action.LOSS, *evidence)


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
    return says(Action.LOSS, "the exact trace of hermes-webui #1558: a metadata-only stub was saved")


@rule(RULES, "21", "never any messages", "no messages, and there never were any", "keep")
def _never_any(case: Case) -> Verdict | None:
    if case.shadow.messages or case.live.messages:
        return None
    return says(Action.GROWTH, "there never were messages")


@rule(
    RULES,
    "23",
    "other session",
    "`session_id` is another one: the file of another conversation was written over this one",
    "restore; nothing of it is merged in",
)
def _other_session(case: Case) -> Verdict | None:
    if not case.is_of_other_session or not case.shadow.messages:
        return None
    verdict = says(Action.LOSS, f"`{session.SESSION_ID}` is that of another session")
    return verdict._replace(is_foreign=True)


@rule(
    RULES,
    "24",
    "new conversation",
    "`created_at` is another one, and later than the shadow's last save, or no message is the same: the session was deleted, and"
    " then imported again under its old id",
    "intended; nothing of the old one is merged in",
)
def _new_conversation(case: Case) -> Verdict | None:
    if not case.is_new_chat or not case.is_lost:
        return None
    return says(Action.INTENDED, f"a new conversation under an old id: `{session.CREATED}` is another")


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
        Action.GROWTH, "every message is there", *(f"harmless: {kind.replace('_', ' ')}" for kind in kinds)
    )


@rule(
    RULES,
    "6a",
    "marked clear",
    "`clear_generation` was set anew, and what is there is new",
    "intended",
)
def _marked_clear(case: Case) -> Verdict | None:
    if case.changed(session.CLEAR_GENERATION) and (case.is_emptied or case.has_only_new_messages):
        return _cleared("the conversation was cleared and marked so")
    return None


def _cleared(evidence: str) -> Verdict:
    return says(Action.INTENDED, evidence)._replace(is_clear=True)


@rule(
    RULES,
    "4",
    "marked shrink",
    "`intentional_shrink_generation` was set anew, and live is the start of the shadow up to the boundary, with or without"
    " new messages; it is no older mark (the shadow has one too, and the token counters or the time go back)",
    "intended",
)
def _marked_shrink(case: Case) -> Verdict | None:
    if not case.is_shrink_marked or case.is_older_mark:
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
        case,
        f"hermes-webui of {case.live.writer} marks whatever is removed on purpose, and nothing is marked here",
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
    "8b",
    "cut behind news",
    "no new generation; `truncation_watermark` or `truncation_boundary` was set anew and fits, but new messages follow: it was"
    " cut and went on, perhaps more than once, between two looks",
    "intended",
)
def _cut_behind_news(case: Case) -> Verdict | None:
    if case.is_shrink_marked or not case.comparison.added or not _is_watermarked_turn(case):
        return None
    return says(Action.INTENDED, "it was cut where the watermark says, and went on")


@rule(
    RULES,
    "8c",
    "said anew",
    "no markers, or a watermark only; three saves or more lie between two looks: the last turn was cut (or the first one, of 30"
    " messages at most), then a prompt was sent and answered",
    "intended",
)
def _said_anew(case: Case) -> Verdict | None:
    added, shadow, live = case.comparison.added, case.shadow, case.live
    if case.marks_shrinks or case.saves < SAVES_OF_A_TURN or not added or not case.goes_on_anew:
        return None
    if case.is_said_before or case.is_answered_late or case.prompt_is_lost or case.time_goes_back:
        return None
    asks = benign.is_user_turn(live.messages[added[0]])
    if case.comparison.pairs:
        is_cut = case.lost_turns <= asks
    else:
        is_known = case.remembers or case.boundary == 0 or not shadow.context
        may_be_cut = len(shadow.messages) <= WINDOW_MESSAGES and not case.is_stale_writer
        is_cut = asks and is_known and may_be_cut
    if not is_cut or (shadow.context and not live.context):
        return None
    return says(Action.INTENDED, "it was cut and said anew, in as many saves as that takes")


def _by(act: Act) -> Rule[Case]:
    """Return the rule of an act: it applies where nothing of the change is left unexplained."""

    def decide(case: Case) -> Verdict | None:
        if case.is_shrink_marked or (case.marks_shrinks and not _marked_before_upgrade(case)):
            return None
        if (act.is_clear and case.marks_clears) or (case.is_said_before and not case.is_watermarked):
            return None
        if not case.is_same_chat or (case.is_emptied and case.is_stale_writer) or not act.explains(case):
            return None
        return says(Action.INTENDED, act.said)._replace(is_clear=act.is_clear)

    return Rule(
        act.number, act.name, f"what {act.noun} leaves, in every part (table below)", "intended", decide
    )


RULES.extend(map(_by, ACTS))


@rule(
    RULES,
    "10",
    "long cut",
    "no markers, or a watermark only; a start of the shadow; two or more user turns went in one write (#5096, a stale process)",
    "uncertain",
)
def _long_cut(case: Case) -> Verdict | None:
    if case.marks_shrinks or not case.is_start or case.lost_turns <= case.saves:
        return None
    return says(Action.UNCERTAIN, "one act of a user removes one turn at most (#5096, or a stale process)")


@rule(
    RULES,
    "25",
    "older state",
    "no markers, or a watermark only; a start of the shadow, or nothing, as an act would leave it, but in other parts of the file"
    " nothing that any act would leave",
    "restore",
)
def _older_state(case: Case) -> Verdict | None:
    if case.marks_shrinks or not _is_as_after_an_act(case):
        return None
    left_over = nearest(case)
    if case.is_start and case.is_said_before:
        return says(Action.LOSS, "its writer has not seen the repair, so it takes nothing back", *left_over)
    if not left_over or _may_be_said_anew(case):
        return None
    return says(Action.LOSS, "no act of a user leaves the file so", *left_over)


def _is_as_after_an_act(case: Case) -> bool:
    """The messages are as an act leaves them, and no bug is known to do the same."""
    return case.is_start or (case.is_emptied and not case.shadow.stream and not case.is_stale_writer)


def _may_be_said_anew(case: Case) -> bool:
    """The first turn may have been cut to be said again, and the new prompt may follow."""
    return case.is_emptied and not any(
        consequence.contradicts(case)
        for part, consequence in FIRST_TURN.parts.items()
        if part is not Part.MESSAGES
    )


@rule(
    RULES,
    "11b",
    "emptied",
    "no messages; the shadow had no stream; no markers, or a watermark only",
    "wait 2.5 s for the new prompt of an edit of the first turn; then uncertain",
)
def _emptied(case: Case) -> Verdict | None:
    if not case.is_emptied or case.shadow.stream or case.marks_shrinks or case.is_stale_writer:
        return None
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
    verdict = says(
        Action.MERGE, "only what is new, written from an empty memory: the conversation before it is missing"
    )
    return verdict._replace(is_newer=True)


@rule(
    RULES,
    "14",
    "clear, then a new chat",
    "only new messages, as in 13, but the title was made anew from the first of them, and the model still has the old context (a"
    " clear leaves it); releases that do not mark a clear",
    "intended",
)
def _cleared_and_begun_anew(case: Case) -> Verdict | None:
    is_begun = case.is_same_chat and case.has_only_new_messages and case.is_title_from_live
    if case.marks_clears or not is_begun:
        return None
    # What the model still has says it, or the mark; later releases count the tokens of the last turn alone.
    is_told = case.boundary == 0 or (case.remembers and not case.is_older_context)
    if not is_told and (case.shadow.context or case.counters_go_back):
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
    verdict = _restore_or_merge(
        case, "the application still writes from an empty memory over the repaired file"
    )
    return verdict._replace(is_newer=True)


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
