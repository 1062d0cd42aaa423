"""The releases of hermes-webui that the stand-in can be, and the members that each writes, in its order.

Only presence and order matter here: a reader tells the release from the members, and hermes-webui reads
everything before `messages` as metadata.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeAlias


class Era(IntEnum):
    """A release whose files differ from those of the release before; later releases are greater."""

    OLD = 0
    V137 = 1
    V720 = 2
    V875 = 3
    NEW = 4

    @property
    def release(self) -> str:
        """The tag of hermes-webui that this era stands for."""
        return ("v0.50.283", "v0.51.137", "v0.51.720", "v0.51.875", "exp-v0.52.216")[self]

    @property
    def keeps_backup(self) -> bool:
        """A save with fewer messages than the file first copies the file to `.bak` (since v0.50.284, hermes-webui #1558)."""
        return self >= Era.V137

    @property
    def renames_on_rotation(self) -> bool:
        """Compression with a new id renames the old file (until v0.51.59)."""
        return self == Era.OLD

    @property
    def marks_watermark(self) -> bool:
        """A shrink sets `truncation_watermark` (since v0.51.137)."""
        return self >= Era.V137

    @property
    def compress_replaces_messages(self) -> bool:
        """/compress replaces the visible messages, not the context alone (until v0.51.551, hermes-webui #3133)."""
        return self <= Era.V137

    @property
    def accepts_negative_keep(self) -> bool:
        """Truncate takes a negative count as a slice (until v0.51.233, hermes-webui #3487)."""
        return self <= Era.V137

    @property
    def truncates_by_window(self) -> bool:
        """Edit and regenerate count from the loaded window (v0.50.229 to v0.51.719, hermes-webui #5096)."""
        return self <= Era.V137

    @property
    def rereads(self) -> bool:
        """The app reads a session again when the file's `message_count` exceeds what it holds (since v0.51.327)."""
        return self >= Era.V720

    @property
    def marks_boundary(self) -> bool:
        """A shrink sets `truncation_boundary` too (since v0.51.628)."""
        return self >= Era.V720

    @property
    def clears_all(self) -> bool:
        """Clear marks itself by `clear_generation` and empties context, stream and prompt (since v0.51.875)."""
        return self >= Era.V875

    @property
    def unlinks_index(self) -> bool:
        """Delete removes the whole index, not the one entry (until v0.51.138)."""
        return self < Era.V720

    @property
    def buries(self) -> bool:
        """Delete leaves the id in `_deleted_webui_sessions.json`."""
        return self >= Era.V875

    @property
    def marks_shrink(self) -> bool:
        """Every meant shrink has a new `intentional_shrink_generation` (since exp-v0.52.216)."""
        return self >= Era.NEW


Default: TypeAlias = Callable[[], Any]


def _null() -> None:
    return None


def _zero() -> int:
    return 0


def _scene_members(era: Era) -> tuple[list[tuple[str, Default]], list[tuple[str, Default]]]:
    # Until #5854 (exp-v0.52.19) the scenes stood among the metadata, in front of the count.
    if era >= Era.NEW:
        return [("message_count", _zero), ("anchor_scene_index", dict)], [("anchor_activity_scenes", dict)]
    if era >= Era.V720:
        return [("anchor_activity_scenes", dict), ("message_count", _zero)], []
    return [], []


_METADATA: tuple[tuple[str, Era, Default], ...] = (
    ("session_id", Era.OLD, str),
    ("title", Era.OLD, lambda: "Untitled"),
    ("workspace", Era.OLD, lambda: "/home/hermes/workspace"),
    ("created_workspace", Era.NEW, lambda: "/home/hermes/workspace"),
    ("model", Era.OLD, lambda: "anthropic/claude-sonnet-4.5"),
    ("model_provider", Era.OLD, _null),
    ("model_explicit_pick_signature", Era.V875, _null),
    ("created_at", Era.OLD, float),
    ("updated_at", Era.OLD, float),
    ("pinned", Era.OLD, bool),
    ("archived", Era.OLD, bool),
    ("project_id", Era.OLD, _null),
    ("profile", Era.OLD, lambda: "default"),
    ("input_tokens", Era.OLD, _zero),
    ("output_tokens", Era.OLD, _zero),
    ("estimated_cost", Era.OLD, _null),
    ("cache_read_tokens", Era.V137, _zero),
    ("cache_write_tokens", Era.V137, _zero),
    ("personality", Era.OLD, _null),
    ("active_stream_id", Era.OLD, _null),
    ("pending_user_message", Era.OLD, _null),
    ("pending_attachments", Era.OLD, list),
    ("pending_started_at", Era.OLD, _null),
    ("pending_user_source", Era.V720, _null),
    ("compression_anchor_visible_idx", Era.OLD, _null),
    ("compression_anchor_message_key", Era.OLD, _null),
    ("compression_anchor_summary", Era.V137, _null),
    ("pre_compression_snapshot", Era.V137, bool),
    ("context_engine", Era.V137, _null),
    ("compression_anchor_engine", Era.V137, _null),
    ("compression_anchor_mode", Era.V137, _null),
    ("compression_anchor_details", Era.V137, dict),
    ("context_engine_state", Era.V137, dict),
    ("context_length", Era.OLD, _null),
    ("threshold_tokens", Era.OLD, _null),
    ("last_prompt_tokens", Era.OLD, _null),
    ("post_compression_context_tokens_estimate", Era.V720, _null),
    ("compression_recovery", Era.V720, dict),
    ("recommended_recovery_action", Era.V720, _null),
    ("compression_recovery_source_session_id", Era.V720, _null),
    ("compression_recovery_action", Era.V720, _null),
    ("truncation_watermark", Era.V137, _null),
    ("truncation_boundary", Era.V720, _null),
    ("clear_generation", Era.V875, _null),
    ("intentional_shrink_generation", Era.NEW, _null),
    ("gateway_routing", Era.V137, _null),
    ("gateway_routing_history", Era.V137, list),
    ("llm_title_generated", Era.V137, bool),
    ("manual_title", Era.V720, bool),
    ("parent_session_id", Era.OLD, _null),
    ("worktree_path", Era.V137, _null),
    ("worktree_branch", Era.V137, _null),
    ("worktree_repo_root", Era.V137, _null),
    ("worktree_created_at", Era.V137, _null),
    ("is_cli_session", Era.OLD, bool),
    ("source_tag", Era.OLD, _null),
    ("raw_source", Era.V137, _null),
    ("session_source", Era.OLD, _null),
    ("source_label", Era.OLD, _null),
    ("read_only", Era.V137, bool),
    ("enabled_toolsets", Era.OLD, _null),
    ("composer_draft", Era.V137, dict),
    ("process_wakeup_pause", Era.V720, dict),
    ("share_token", Era.V875, _null),
    ("share_created_at", Era.V875, _null),
)


def members(era: Era) -> dict[str, Default]:
    """Return the members of a session file of `era` in their order, each with what makes its value in a new session."""
    before, after = _scene_members(era)
    return dict(
        [(key, default) for key, since, default in _METADATA if era >= since]
        + before
        + [("messages", list), ("tool_calls", list)]
        + after
        + [("context_messages", list)]
    )
