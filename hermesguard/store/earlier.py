"""Stores of format 1, as guards before 0.2.0 wrote them: read as they are, and taken over at the first start.

Only words and names differ. They are translated when read, so that commands work on such a store before a guard of today has
started; the guard renames one file after the other, and writes the new number last: a crash in the middle is gone on from.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hermesguard import files
from hermesguard.webui.text import written

FORMAT: Final = 1
_LONGEST_LOG_BYTES: Final = 256 * 1024 * 1024
_LONGEST_LINE_BYTES: Final = 64 * 1024
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


def take_over(root: Path, set_aside: Callable[[Path], object]) -> None:
    """Rename what has another name today, below a store that is locked; what is done by then is whole.

    Raises OSError when all but something was taken over: one file that cannot be renamed keeps no other one from it. What
    stands in the way of a name and is no file is `set_aside`.
    """
    problem: OSError | None = None
    for path, target in (*_delta_logs(root / "shadows"), *_versions(root / "history")):
        try:
            if os.path.isdir(target):
                set_aside(target)
            files.move(path, target)
        except OSError as error:
            problem = error
    _take_over_log(root / "incidents.jsonl")
    if problem:
        raise problem


def _delta_logs(shadows: Path) -> Iterator[tuple[Path, Path]]:
    for name in files.names(shadows):
        if name.endswith(DELTA_SUFFIX):
            yield shadows / name, shadows / f"{name.removesuffix(DELTA_SUFFIX)}.delta"


def _versions(history: Path) -> Iterator[tuple[Path, Path]]:
    for session in files.names(history):
        with suppress(
            OSError
        ):  # no directory, or one that cannot be read: its versions have other names as long
            for name in os.listdir(history / session) if not os.path.islink(history / session) else ():
                match = _VERSION.fullmatch(name)
                if match and match[2] in REASONS:
                    now = f"{match[1]}{REASONS[match[2]]}{match[3]}"
                    yield history / session / name, history / session / now


def _take_over_log(log: Path) -> None:
    found = files.stamp(log)
    if found is None or found.size_bytes > _LONGEST_LOG_BYTES:
        return  # there is none; or what stands there is none of ours, and is set aside
    lines = files.lines(log, _LONGEST_LOG_BYTES, _LONGEST_LINE_BYTES)
    files.write_durably(log, (line if is_rest else _translated(line) for line, is_rest in lines))


def _translated(line: bytes) -> bytes:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return line  # a torn line, or none of ours, which whoever reads the log leaves out
    return written(incident(value)).encode() + b"\n" if isinstance(value, dict) else line
