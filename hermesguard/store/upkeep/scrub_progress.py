"""How far the reading of the whole store has come: `<store>/verified.json`, which the guard's rounds write."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from hermesguard import files

FILE_NAME: Final = "verified.json"


@dataclass(slots=True)
class Progress:
    """How far the reading has come. Times are UTC, ISO 8601; empty when there was none."""

    began: str = ""
    after: str = ""
    """The round has come to this session, inclusive; empty when no round is going on."""
    files: int = 0
    damaged: int = 0
    """Of the round that is going on."""
    finished: str = ""
    finished_files: int = 0
    finished_damaged: int = 0
    """Of the last one that came to its end."""


def progress_of(store: Path) -> Progress:
    """Return how far the reading of the store has come; nothing when that cannot be read."""
    try:
        progress = Progress(**orjson.loads(files.read(store / FILE_NAME)[0]))
        for time in filter(None, (progress.began, progress.finished)):
            datetime.fromisoformat(time)
    except (OSError, ValueError, TypeError):
        return Progress()
    return progress
