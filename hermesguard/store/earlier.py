"""Stores of format 1, as guards before 0.2.0 wrote them: read as they are, and taken over at the first start.

Only words and names differ. They are translated when read, so that commands work on such a store before a guard of today has
started; the guard renames one file after the other, and writes the new number last: a crash in the middle is gone on from.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hermesguard import files
from hermesguard.webui.text import written

FORMAT: Final = 1
LONGEST_LOG_BYTES: Final = 256 * 1024 * 1024
DELTA_SUFFIX: Final = ".tail"
STANDBY_SUFFIX: Final = ".spare"
"""Of files beside the sessions, which hold nothing that the store has not."""

REASONS: Final = {"meant": "intended", "doubt": "uncertain"}
_KEYS: Final = {"settles": "resolves"} | {
    f"rows_{when}": f"messages_{when}" for when in ("before", "live", "after")
}
EVENTS: Final = {"in_doubt": "uncertain", "settled": "resolved", "restored_by_hand": "restored_by_user"}
_VERDICTS: Final = {"deliberate": "intended", "doubt": "uncertain", "keep": "growth", "restore": "loss"}
_VERSION: Final = re.compile(r"([^-]+-\d+-)([a-z]+)(-[0-9a-f]{16}\.json\.gz)")


def incident(value: dict[str, Any]) -> dict[str, Any]:
    """Return a line of the incident log in the words of today; one of today as it is."""
    known = {_KEYS.get(key, key): entry for key, entry in value.items()}
    for key, words in (("event", EVENTS), ("action", EVENTS), ("verdict", _VERDICTS)):
        if isinstance(word := known.get(key), str):
            known[key] = words.get(word, word)
    return known


def change(value: dict[str, Any]) -> dict[str, Any]:
    """Return a line of a delta log in the words of today; one of today as it is."""
    if "rows" in value:
        value["message_count"] = value.pop("rows")
    return value


def take_over(root: Path) -> None:
    """Rename what has another name today, below a store that is locked. Raises OSError; what is done by then is whole."""
    for name in files.names(root / "shadows"):
        if name.endswith(DELTA_SUFFIX):
            files.move(root / "shadows" / name, root / "shadows" / f"{name.removesuffix(DELTA_SUFFIX)}.delta")
    for path in _versions(root / "history"):
        match = _VERSION.fullmatch(path.name)
        if match and match[2] in REASONS:
            files.move(path, path.with_name(f"{match[1]}{REASONS[match[2]]}{match[3]}"))
    log = root / "incidents.jsonl"
    try:
        lines = files.read(log, LONGEST_LOG_BYTES)[0].split(b"\n")
    except OSError:
        return  # there is none; or what stands there is none of ours, and is set aside
    files.write_durably(log, b"".join(_translated(line) + b"\n" for line in lines if line))


def _versions(history: Path) -> Iterator[Path]:
    for session in files.names(history):
        if os.path.isdir(history / session) and not os.path.islink(history / session):
            yield from (history / session / name for name in files.names(history / session))


def _translated(line: bytes) -> bytes:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return line  # a torn line, or none of ours, which whoever reads the log leaves out
    return written(incident(value)).encode() if isinstance(value, dict) else line
