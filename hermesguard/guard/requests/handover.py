"""A file that a command hands over to the guard: in the store's directory, for a session may be too large for a message."""

import os
import re
from pathlib import Path
from typing import Final

from hermesguard import files

_NAME: Final = re.compile(r"\.handover-[0-9A-Za-z_-]+\.\d+\.tmp")


def hand_over(store: Path, session: str, data: bytes) -> str:
    """Leave `data` in the store for the guard to take; return its name there. Raises OSError."""
    name = f".handover-{session}.{os.getpid()}.tmp"
    files.write_durably(store / name, data)
    return name


def is_handed_over(name: str) -> bool:
    """Return whether this is a name that `hand_over` gives, and no path to anything else."""
    return _NAME.fullmatch(name) is not None
