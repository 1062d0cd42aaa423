"""How hermes-webui writes JSON and files, and what it takes from a message."""

import json
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
Document: TypeAlias = dict[str, Any]


def dumps(value: Any) -> str:
    """Return `value` as the application writes JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def text_of(message: Message) -> str:
    """Return the text of a message: its content, or the texts of its parts."""
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return str(content or "")


def tokens_of(messages: Iterable[Message]) -> tuple[int, int]:
    """Return (input tokens, output tokens) that these messages would have cost."""
    messages = list(messages)
    sent = sum(len(text_of(message)) // 4 + 3 for message in messages if message.get("role") != "assistant")
    answered = sum(
        len(text_of(message)) // 4 + 3 for message in messages if message.get("role") == "assistant"
    )
    return sent, answered


def replace_file(path: Path, text: str, process_id: int) -> int:
    """Write `text` as the application does: temp file beside `path`, fsync of the file, rename; the directory is not synced.

    Returns the time of the rename, in nanoseconds of the monotonic clock.
    """
    temporary = path.with_suffix(f".tmp.{process_id}.{threading.get_ident()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return time.monotonic_ns()
