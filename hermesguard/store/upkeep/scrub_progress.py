"""How far the scrub has come: `<store>/verified.json`."""

from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from hermesguard import files
from hermesguard.webui.session import is_session_id

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


_FIELDS: Final = {field.name for field in fields(Progress)}
_LONGEST_BYTES: Final = 64 * 1024
_LARGEST: Final = 2**53


def progress_of(store: Path) -> Progress:
    """Return how far the reading of the store has come; nothing when that cannot be read."""
    try:
        return read(store)
    except (OSError, ValueError):
        return Progress()


def read(store: Path) -> Progress:
    """As `progress_of`; raises OSError when the file cannot be read, ValueError when it is none of ours."""
    value = orjson.loads(files.read(store / FILE_NAME, _LONGEST_BYTES)[0])
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise ValueError("not what hermesguard writes")
    progress = Progress(**value)
    for time in (progress.began, progress.finished):
        if not isinstance(time, str) or (time and datetime.fromisoformat(time).tzinfo is None):
            raise ValueError("a time is none")
    if progress.after != "" and not is_session_id(progress.after):
        raise ValueError("a session id is none")
    for count in (progress.files, progress.damaged, progress.finished_files, progress.finished_damaged):
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < _LARGEST:
            raise ValueError("a count is none")
    return progress
