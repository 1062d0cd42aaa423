"""The first words of what would come and go: what a preview shows."""

from collections.abc import Sequence
from typing import Any, Final

from hermesguard.webui.compare.diff import Comparison
from hermesguard.webui.session import Message

_MOST: Final = 50
_LONGEST: Final = 200


def excerpts(comparison: Comparison) -> dict[str, Any]:
    """Return the messages that an act would bring (`back`) and take away (`gone`), and whether there are more than are shown."""
    gone = sorted({*comparison.missing, *(old for old, _ in comparison.shortened)})
    back = comparison.added
    return {
        "back": _shown(comparison.new, back),
        "gone": _shown(comparison.old, gone),
        "is_more": max(len(back), len(gone)) > _MOST,
    }


def _shown(messages: Sequence[Message], indices: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "number": index + 1,
            "role": messages[index].role[:_LONGEST],
            "text": messages[index].words[:_LONGEST],
        }
        for index in indices[:_MOST]
    ]
