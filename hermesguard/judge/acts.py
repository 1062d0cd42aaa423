"""What each act of a user does to a whole session file, part by part: the table of which docs/judgement.md is made. Pure.

An act is a model, not a trait: it explains a change only if every part of the file is as the act leaves it. What is left
over is the evidence for a loss, in words that people read. Read from recorded saves of 40 releases; which release wrote a
file is shown by its keys (docs/hermes-webui.md, sections 2 and 3). Parts that are in no act's column, and keys that nobody
knows, speak neither way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from hermesguard.judge import consequences as c
from hermesguard.judge.case import Case


class Part(StrEnum):
    """A part of a session file that an act touches, or leaves alone."""

    MESSAGES = "messages"
    CONTEXT = "context_messages"
    CALLS = "tool_calls"
    TITLE = "title"
    COUNTERS = "token counters"
    TIME = "updated_at"
    MARKS = "marks"
    ANCHORS = "anchors"
    STREAM = "stream"
    SETTINGS = "settings"


class Consequence(NamedTuple):
    """What an act does to one part."""

    words: str
    """As the table says it."""
    contradicts: Callable[[Case], str]
    """Returns what the case has and the act would not leave, to be read behind "an undo would"; empty when it fits."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a user does."""

    number: str
    name: str
    noun: str
    """With its article, as sentences begin."""
    said: str
    """The evidence of the verdict."""
    releases: str
    parts: dict[Part, Consequence]
    is_clear: bool = False

    def fits(self, case: Case) -> bool:
        """Return whether the messages are as the act leaves them."""
        return not self.parts[Part.MESSAGES].contradicts(case)

    def unexplained(self, case: Case) -> Iterator[str]:
        """Yield a sentence for each part that is not as the act leaves it."""
        for consequence in self.parts.values():
            if left_over := consequence.contradicts(case):
                yield f"{self.noun} would {left_over}"

    def explains(self, case: Case) -> bool:
        """Return whether nothing is left unexplained."""
        return next(self.unexplained(case), None) is None


_UNTOUCHED = {
    Part.CALLS: Consequence("as they were", c.calls_change),
    Part.TITLE: Consequence("as it was", c.title_changes),
    Part.COUNTERS: Consequence("as they were", c.counters_change),
    Part.TIME: Consequence("goes on", c.time_goes_back),
    Part.ANCHORS: Consequence("as they were", c.anchors_change),
    Part.STREAM: Consequence(
        "as it was, and so is a pending prompt; one is sent by another save", c.stream_or_prompt_ends
    ),
    Part.SETTINGS: Consequence("as they were", c.settings_change),
}
_CUT_MARKS = Consequence(
    "watermark and boundary, from v0.51.137 and .628: the last kept stamp", c.marks_do_not_fit
)
_CONTEXT_LIKEWISE = Consequence("cut before its last question, or summary, likewise", c.context_is_not_undone)
_CONTEXT_BY_ERA = Consequence(
    "as it was until v0.51.149, cut likewise from .205", c.context_is_not_kept_or_cut
)

FIRST_TURN = Act(
    "11",
    "first turn",
    "an undo or an edit of the first turn",
    "the only turn was taken back, or the first one is said anew",
    "all",
    {
        Part.MESSAGES: Consequence(
            "empty: the only turn is gone, or a new prompt is pending", c.is_no_first_turn
        ),
        Part.CONTEXT: _CONTEXT_BY_ERA,
        Part.MARKS: _CUT_MARKS,
        **_UNTOUCHED,
        Part.STREAM: Consequence("none was set", c.stream_was_set),
    },
)

COMPRESSION = Act(
    "12",
    "compression",
    "a /compress",
    "a /compress of an old release: the summary took the place of the messages",
    "until v0.51.550; later ones leave the messages alone",
    {
        Part.MESSAGES: Consequence("a short list that begins with its summary", c.is_no_summary),
        Part.CONTEXT: Consequence("equal to the messages, where the release keeps one", c.context_is_another),
        **_UNTOUCHED,
        Part.CALLS: Consequence("empty", c.calls_are_left),
        Part.COUNTERS: Consequence("as they were", c.counters_are_of_no_turn),
        Part.ANCHORS: Consequence("set anew", c.anchors_stay),
        Part.STREAM: Consequence("none was set, and no prompt is pending any more", c.stream_ends),
        Part.MARKS: Consequence("no boundary yet", c.boundary_is_known),
    },
)

ACTS: tuple[Act, ...] = (
    Act(
        "9",
        "undo",
        "an undo",
        "the last turn was taken back",
        "all",
        {
            Part.MESSAGES: Consequence("cut before the last question of a user", c.is_no_undo),
            Part.CONTEXT: _CONTEXT_LIKEWISE,
            Part.MARKS: _CUT_MARKS,
            **_UNTOUCHED,
        },
    ),
    Act(
        "8",
        "truncate",
        "an edit or a regeneration",
        "the conversation was cut to say its last turn again",
        "all",
        {
            Part.MESSAGES: Consequence("cut; one turn of a user is gone at most", c.is_no_truncate),
            Part.CONTEXT: _CONTEXT_BY_ERA,
            Part.MARKS: _CUT_MARKS,
            **_UNTOUCHED,
        },
    ),
    FIRST_TURN,
    Act(
        "8d",
        "stop",
        "the end of a stopped turn",
        "the last turn was stopped, and its worker ended later, without an answer",
        "until v0.51.58; later ones keep what was said so far",
        {
            Part.MESSAGES: Consequence(
                "as they were, without what was said so far and the mark of the stop", c.is_no_stopped_turn
            ),
            Part.CONTEXT: Consequence("ends with the question, which is new there", c.context_is_not_told),
            **_UNTOUCHED,
            Part.CALLS: Consequence("those of the calls that are there", c.calls_go),
            Part.TITLE: Consequence("as it was, or the first that there is", c.title_is_another),
            Part.COUNTERS: Consequence("go on, or as they were", c.counters_go_back),
            Part.MARKS: Consequence("none yet", c.marks_are_known),
        },
    ),
    Act(
        "6",
        "clear",
        "a clear",
        "the conversation was cleared: empty, and untitled again",
        "until v0.51.874; later ones mark it",
        {
            Part.MESSAGES: Consequence("empty, but for the end of a turn that was stopped", c.is_not_cleared),
            Part.CONTEXT: Consequence("as it was until v0.51.859, empty from .860", c.context_is_not_cleared),
            **_UNTOUCHED,
            Part.CALLS: Consequence("empty", c.calls_are_left),
            Part.TITLE: Consequence("Untitled", c.title_is_left),
            Part.COUNTERS: Consequence("as they were", c.counters_are_of_no_turn),
            Part.ANCHORS: Consequence("as they were", c.anchors_change_unless_before),
            Part.STREAM: Consequence("no new prompt is pending", c.prompt_is_new),
            Part.MARKS: Consequence("0.0 where the context is emptied too", c.clear_marks_do_not_fit),
        },
        is_clear=True,
    ),
    COMPRESSION,
)


def nearest(case: Case) -> tuple[str, ...]:
    """Return what is left unexplained by the act that comes nearest, as sentences; empty when no act fits the messages."""
    tried = [tuple(act.unexplained(case)) for act in ACTS if act.fits(case)]
    return min(tried, key=len, default=())
