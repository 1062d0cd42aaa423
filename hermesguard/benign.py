"""The harmless ways in which hermes-webui itself changes or drops rows (webui-contract, section 3).

Each kind is one small predicate; none of them takes words away that a person or the model said and that stand nowhere else.
"""

import re
from collections.abc import Callable, Sequence

from hermesguard.session import Row, Run

_MARKUP = re.compile(
    r"<(?P<tag>(?:｜DSML｜)?function_calls|think|thinking|tool_call|invoke)\b.*?(?:</(?P=tag)\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_PICTURE = re.compile(r"data:image/[\w.+-]+;base64,[A-Za-z0-9+/=]+|[A-Za-z0-9+/]{512,}={0,2}")

_COMPACTION_OPENINGS = (
    "[context compaction",
    "[context summary",
    "[session arc summary",
    "[prior context",
    "[your active task list was preserved across context compression]",
)
_CONTROL_OPENINGS = (
    "[important: background process ",
    "continue from the compressed conversation context above.",
    "you've reached the maximum number of tool-calling iterations allowed.",
)
_CONTROL_FLAGS = ("_verification_stop_synthetic", "_pre_verify_synthetic")
_INTERRUPTION_OPENINGS = (
    "**response interrupted",
    "**previous turn did not complete",
    "*task cancelled",
    "task cancelled",
)


def _words(row: Row) -> str:
    return " ".join(row.words.split())


def is_compaction_marker(row: Row) -> bool:
    """A card that says that the context was compacted; nobody said it."""
    opening = row.words.lower().lstrip()
    return row.role != "tool" and (
        opening.startswith(_COMPACTION_OPENINGS)
        or (bool(row.get("_compressed_summary")) and opening.startswith("context compaction"))
    )


def is_control_row(row: Row) -> bool:
    """A row that the agent speaks to itself in the role of the user: wake-ups, the iteration limit, hidden rows."""
    if any(row.get(flag) for flag in _CONTROL_FLAGS) or row.get("_source") == "delegation_wakeup":
        return True
    return row.role == "user" and row.words.lower().lstrip().startswith(_CONTROL_OPENINGS)


def is_interruption_marker(row: Row) -> bool:
    """The mark that a turn was broken off or failed; replaced when the turn is finished after all."""
    return bool(row.get("_error")) or (
        row.role == "assistant" and row.words.lower().lstrip().startswith(_INTERRUPTION_OPENINGS)
    )


def is_user_turn(row: Row) -> bool:
    """Return whether a reader sees this row as something that a person said."""
    if row.role != "user" or is_compaction_marker(row) or is_control_row(row):
        return False
    return bool(row.words.strip() or row.get("attachments"))


def user_turns(row: Row) -> int:
    """Return how many turns of a person the row stands for: one or none, but in an abridged document."""
    return row.turns if isinstance(row, Run) else int(is_user_turn(row))


# ---- rows that vanish ----------------------------------------------------------------------------------------------


def _beside(rows: Sequence[Row], index: int) -> list[Row]:
    return [*rows[max(0, index - 1) : index], *rows[index + 1 : index + 2]]


def duplicate_partial(rows: Sequence[Row], index: int) -> bool:
    """One of several equal `_partial` rows side by side, collapsed when the application loads the session."""
    row = rows[index]
    return bool(row.get("_partial")) and any(
        other.get("_partial") and other.identity == row.identity for other in _beside(rows, index)
    )


def superseded_partial(rows: Sequence[Row], index: int) -> bool:
    """A `_partial` row whose text stands whole in a row beside it: the turn ended and the finished answer took its place."""
    row = rows[index]
    return bool(row.get("_partial")) and any(
        other.role == row.role and _words(row) in _words(other) for other in _beside(rows, index)
    )


def duplicate_user(rows: Sequence[Row], index: int) -> bool:
    """The same user row twice, side by side: one is dropped when the turn is settled."""
    row = rows[index]
    return row.role == "user" and any(other.identity == row.identity for other in _beside(rows, index))


def compaction_marker(rows: Sequence[Row], index: int) -> bool:
    """A compaction card, dropped when a turn ends."""
    return is_compaction_marker(rows[index])


def control_row(rows: Sequence[Row], index: int) -> bool:
    """A synthetic control row, dropped when a turn ends."""
    return is_control_row(rows[index])


def interruption_marker(rows: Sequence[Row], index: int) -> bool:
    """An "interrupted" or `_error` marker, replaced when the turn is finished after all."""
    return is_interruption_marker(rows[index])


def empty_row(rows: Sequence[Row], index: int) -> bool:
    """A row in which nobody said anything and no tool was called."""
    row = rows[index]
    return not row.words.strip() and not row.identity[2] and not row.get("attachments")


VANISHING: tuple[Callable[[Sequence[Row], int], bool], ...] = (
    duplicate_partial,
    superseded_partial,
    duplicate_user,
    compaction_marker,
    control_row,
    interruption_marker,
    empty_row,
)

# Their content stands in the row that stays, so the shadow before them is worth no version.
REPEATED = frozenset({"duplicate_partial", "superseded_partial", "duplicate_user", "empty_row"})


# ---- rows that change where they stand -------------------------------------------------------------------------------


def streamed_on(old: Row, new: Row) -> bool:
    """The answer that was still being written went on: the old text begins the new one."""
    if old.role != "assistant" or new.role != "assistant":
        return False
    return _words(new).startswith(_words(old)) and set(old.identity[2]) <= set(new.identity[2])


def pictures_replaced(old: Row, new: Row) -> bool:
    """Image bytes in a tool's row were replaced by `[screenshot]`."""
    if old.role != new.role or "[screenshot]" not in new.words or old.identity[2] != new.identity[2]:
        return False
    return " ".join(_PICTURE.sub("[screenshot]", old.words).split()) == _words(new)


def markup_stripped(old: Row, new: Row) -> bool:
    """XML that the model wrote as text (tool calls, thoughts; an unclosed one reaches to the end) was taken out of an answer."""
    if old.role != "assistant" or new.role != "assistant" or "<" not in old.words:
        return False
    return " ".join(_MARKUP.sub("", old.words).split()) == _words(new)


def marker_replaced(old: Row, new: Row) -> bool:
    """An "interrupted" or `_error` marker gave way to the answer, or to another such marker."""
    return is_interruption_marker(old) and new.role == "assistant"


CHANGING: tuple[Callable[[Row, Row], bool], ...] = (
    streamed_on,
    pictures_replaced,
    markup_stripped,
    marker_replaced,
)


def change(old: Row, new: Row) -> str:
    """Return the name of the harmless change that made `new` out of `old`; empty when there is none."""
    return next((kind.__name__ for kind in CHANGING if kind(old, new)), "")


def vanishing(rows: Sequence[Row], index: int) -> str:
    """Return the name of the harmless reason for which `rows[index]` may be missing; empty when there is none."""
    return next((kind.__name__ for kind in VANISHING if kind(rows, index)), "")
