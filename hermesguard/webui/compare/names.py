"""The names of what can be taken away alone, and brought back alone: the command line needs them, and no more of this room."""

from typing import Final

# What a user sets, each by an act of its own: two of them in one save are no act.
SETTINGS: Final = ("title", "project_id", "pinned", "archived", "composer_draft")
PARTS: Final = (
    "reasoning",
    "attachments",
    "pictures",
    "calls",
    "tool_calls",
    "context_messages",
    "order",
    *SETTINGS,
)
