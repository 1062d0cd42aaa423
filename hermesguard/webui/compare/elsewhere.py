"""Messages of one session that stand whole in another one's file: an answer that was written into the wrong session."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hermesguard import files
from hermesguard.webui import session
from hermesguard.webui.session import Message, Unreadable

MOST_FILES: Final = 64
MOST_BYTES: Final = 32 * 1024 * 1024
MUCH_BYTES: Final = 1024 * 1024
"""To look through more takes longer than one turn of a loop that has others to serve."""


def is_much(others: Iterable[Path]) -> bool:
    """Return whether to look through the other files takes long."""
    left_bytes = MUCH_BYTES
    for path in others:
        try:
            left_bytes -= os.stat(path).st_size
        except OSError:
            continue
        if left_bytes < 0:
            return True
    return False


def strangers(
    messages: Sequence[Message], shadow: Sequence[Message], others: Iterable[Path]
) -> frozenset[int]:
    """Return which of the messages, by index, stand whole in one of the other files: the same words with the same time stamp.

    `shadow` is what the session said before; a file that begins as it does is a branch of it, and says nothing. Only so many
    files are read, and only such as can be read.
    """
    known = {
        (message.identity, message.timestamp): index
        for index, message in enumerate(messages)
        if message.timestamp is not None and message.words.strip()
    }
    stamps = [str(messages[index].get("timestamp")).encode() for index in known.values()]
    own = {(message.identity, message.timestamp) for message in shadow[:1]}
    found: set[int] = set()
    left_bytes = MOST_BYTES
    for _, path in zip(range(MOST_FILES), others, strict=False):
        if not known or left_bytes <= 0:
            break
        try:
            data, _ = files.read(path, left_bytes)
            left_bytes -= len(data)
            if not any(stamp in data for stamp in stamps):
                continue
            said = {
                (message.identity, message.timestamp)
                for message in session.parse(data).messages
                if message.timestamp is not None
            }
        except (OSError, Unreadable):
            continue
        if not own & said:
            found.update(index for key, index in known.items() if key in said)
    return frozenset(found)
