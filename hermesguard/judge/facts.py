"""What can be seen in a case with missing messages, each fact with what it speaks for: a loss, or an intention. Pure."""

from collections.abc import Iterator

from hermesguard.judge.case import Case
from hermesguard.webui import session

LOSS, INTENDED = "loss", "intended"


def facts(case: Case) -> Iterator[tuple[str, str]]:
    """Yield (what it speaks for, sentence) of everything that can be seen in a case with missing messages."""
    comparison, shadow, live = case.comparison, case.shadow, case.live
    if gone := comparison.lost_messages:
        yield LOSS, f"{gone} of {shadow.count} messages {'is' if gone == 1 else 'are'} gone"
    if case.is_emptied:
        yield LOSS, "no message is left"
    if comparison.shortened:
        yield LOSS, "an answer was cut short"
    if case.is_answered_late:
        yield LOSS, "an answer that was broken off came after all, so the writer was at work"
    if shadow.stream and not live.stream:
        yield LOSS, f"{session.STREAM} went from set to null"
    if case.prompt_is_lost:
        yield LOSS, "the prompt that was sent and not yet answered is gone too"
    if case.lost_turns > 1:
        yield LOSS, f"{case.lost_turns} user turns went in one write"
    if case.counters_go_back:
        yield LOSS, "the token counters went backwards, as when an older state is written"
    if case.around.repaired:
        yield LOSS, "the application has not saved yet what the guard repaired"
    if case.around.writer == "another":
        yield LOSS, "another process wrote it than the state before, and both have written here before"
    if case.is_said_before:
        yield LOSS, "live says again what it said before the repair"
    if number := len(comparison.added):
        yield (
            LOSS,
            f"live has {number} new message{'' if number == 1 else 's'}, which must not be lost either",
        )
    if case.marks_shrinks and not case.is_shrink_marked:
        yield (
            LOSS,
            f"hermes-webui of {live.writer} marks what is meant by a new {session.GENERATION}, and there is none",
        )
    if case.marks_clears and not case.changed(session.CLEAR_GENERATION) and case.is_emptied:
        yield (
            LOSS,
            f"hermes-webui of {live.writer} marks a clear by a new {session.CLEAR_GENERATION}, and there is none",
        )
    if case.is_emptied and case.is_title_kept:
        yield LOSS, "the title is as it was"
    if shadow.context and not case.remembers:
        yield LOSS, "they are gone from the model's context too"
    if not case.is_same_chat:
        yield LOSS, f"{session.CREATED} is another, as if the file had been made anew"
    if case.is_shrink_marked:
        yield INTENDED, f"{session.GENERATION} was set anew"
    if case.changed(session.CLEAR_GENERATION):
        yield INTENDED, f"{session.CLEAR_GENERATION} was set anew"
    if case.is_watermarked:
        yield INTENDED, "the truncation watermark was set anew"
    elif case.shows_earlier_cut:
        yield LOSS, "the truncation watermark is that of an earlier cut"
    if case.is_cut_at_boundary:
        yield INTENDED, "the boundary is the timestamp of the last message that was kept"
    elif case.boundary is not None:
        yield LOSS, "the boundary is not the timestamp of the last message that was kept"
    if case.is_start:
        yield INTENDED, "what is left is the start of the conversation, unharmed"
    if case.lost_turns == 1:
        yield INTENDED, "one user turn is gone, as after an undo"
    if case.is_untitled_now:
        yield INTENDED, "the title was taken away, as by a clear"
    if case.is_title_from_live:
        yield INTENDED, "the title was made anew from the first new question"
    if case.is_emptied and case.has_new_prompt:
        yield INTENDED, "a new prompt is pending"
    if case.remembers:
        yield INTENDED, "they are still in the model's context, so the writer knew them"
