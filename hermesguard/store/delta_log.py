"""A delta log beside a shadow: what the newest saves changed of it, so that a save costs the store what it changes.

`shadows/<sid>.delta` is text, one JSON object on each line. The first names the shadow that it belongs to by its digest and
its mtime; each further line makes the next state of the session out of the one before: `parts` are texts, or [offset,
length] in bytes of the state before. A line is appended and synced before it counts, mostly over NULs that were written
behind the lines before. A torn last line is a save that was not confirmed; a log whose shadow is another one is left over
from a crash just after the shadow was written whole, and counts for nothing. When a session is quiet, and when the guard
stops, the log is flushed into the shadow: a store at rest is plain copies.
"""

import contextlib
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from hermesguard import files
from hermesguard.appending import Appending
from hermesguard.store import earlier
from hermesguard.webui.delta import Part
from hermesguard.webui.grammar import memory_bytes

SUFFIX = ".delta"
FORMAT: Final = 2
_FORMATS: Final = (FORMAT,)  # the first one had no number in it
_MEMBERS: Final = frozenset({"size", "mtime_ns", "message_count", "adler32", "parts"})
MOST_OPEN = 32
MOST_BYTES: Final = 16 * 1024 * 1024
"""A log that is longer is flushed into its shadow before anything more is added."""
# One more save, and escapes, may be behind that; what is longer, or takes so much memory, no guard wrote.
_MOST_READ_BYTES: Final = 4 * MOST_BYTES
_MOST_MEMORY_BYTES: Final = 256 * 1024 * 1024


def change(parts: Sequence[Part], size_bytes: int, mtime_ns: int, messages: int, checksum: int) -> bytes:
    """Return what one save made of the state before, as its line in the delta log.

    `checksum` is the Adler-32 of the whole new state: of all checksums the one that a long text need not be read again for.
    """
    value = {
        "size": size_bytes,
        "mtime_ns": files.kept_ns(mtime_ns),
        "message_count": messages,
        "adler32": checksum,
        "parts": parts,
    }
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def most_bytes(size_bytes: int, least_bytes: int) -> int:
    """Return how long a delta log of a session of so many bytes may be before the shadow is written anew."""
    return min(max(least_bytes, size_bytes // 2), MOST_BYTES)


class State(NamedTuple):
    """A session as a delta log gives it."""

    data: bytes
    mtime_ns: int
    messages: int


def begin(path: Path, shadow_digest: str, shadow_mtime_ns: int) -> None:
    """Begin a delta log for the shadow of that digest and mtime."""
    value = {"format": FORMAT, "shadow": shadow_digest, "mtime_ns": shadow_mtime_ns}
    files.write_durably(path, orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))


class DeltaLogs:
    """The delta logs that this guard has begun, by session; those that were added to last are held open."""

    def __init__(self, path_of: Callable[[str], Path]) -> None:
        self._path_of = path_of
        self.begun: set[str] = set()
        """The sessions that have one."""
        self._open: OrderedDict[str, Appending] = OrderedDict()

    def begin(self, session: str, shadow_digest: str, shadow_mtime_ns: int) -> None:
        """As `begin`; an older delta log of that session counts no longer."""
        self.drop(session)
        begin(self._path_of(session), shadow_digest, shadow_mtime_ns)
        self.begun.add(session)

    def append(self, session: str, line: bytes) -> None:
        """Add a change to a delta log that was begun; durable when this returns.

        Raises OSError; the delta log then counts as not begun, so that the next change begins anew from what is durable.
        """
        try:
            log = self._open.get(session)
            if log is None:
                log = self._open[session] = Appending(self._path_of(session))
                if len(self._open) > MOST_OPEN:
                    self._open.popitem(last=False)[1].close()
            else:
                self._open.move_to_end(session)
            log.append(line)
        except OSError:
            self.drop(session)
            raise

    def drop(self, session: str) -> None:
        """Let go of a delta log, before it is removed or because it is."""
        self.begun.discard(session)
        if session in self._open:
            self._open.pop(session).close()


def newest(path: Path) -> tuple[int, int, int, int] | None:
    """Return (size in bytes, mtime_ns, messages, Adler-32) of the newest state; None without one."""
    lines = _lines(path)
    if lines is None or len(lines) < 2 or not _is_change(lines[-1]):
        return None
    last = lines[-1]
    return last["size"], last["mtime_ns"], last["message_count"], last["adler32"]


def apply(path: Path, shadow: bytes, shadow_digest: str, shadow_mtime_ns: int) -> "State | None":
    """Return the newest state of a session whose shadow file holds `shadow`; None when no delta log counts for it.

    Raises `Damaged` when the delta log does not give what it says; OSError when it cannot be read.
    """
    lines = _counting(path, shadow_digest, shadow_mtime_ns)
    if not lines:
        return None
    state = shadow
    try:
        for line in lines:
            state = _after(state, line)
        if zlib.adler32(state) == lines[-1]["adler32"]:
            return State(state, lines[-1]["mtime_ns"], lines[-1]["message_count"])
    except (KeyError, TypeError, IndexError):
        pass
    raise files.Damaged(f"{path.name} is damaged: what it gives has another checksum")


def salvage(path: Path, shadow: bytes, shadow_digest: str, shadow_mtime_ns: int) -> bytes:
    """Return the newest state that a damaged delta log still gives for certain; the shadow's own at worst."""
    state = shadow
    with contextlib.suppress(OSError, KeyError, TypeError, IndexError):
        for line in _counting(path, shadow_digest, shadow_mtime_ns):
            after = _after(state, line)
            if zlib.adler32(after) != line["adler32"]:
                break
            state = after
    return state


def _counting(path: Path, shadow_digest: str, shadow_mtime_ns: int) -> list[dict[str, Any]]:
    """Return the changes in a delta log if it belongs to this shadow."""
    lines = _lines(path)
    if not lines or not _is_header(lines[0]):
        return []
    is_of_shadow = (lines[0]["shadow"], lines[0]["mtime_ns"]) == (shadow_digest, shadow_mtime_ns)
    return lines[1:] if is_of_shadow else []


def strangeness(path: Path) -> str:
    """Return in words why a delta log is none of ours; empty when it is one, or not there. Raises OSError.

    One of a shape that is not known is not damaged: a newer hermesguard may read it.
    """
    lines = _lines(path)
    if lines is None:
        return ""
    number = lines[0].get("format", FORMAT) if lines else FORMAT
    if lines and number not in _FORMATS:
        return f"it has the format {ascii(number)[:20]}, and this hermesguard knows {FORMAT}"
    if not lines or not _is_header(lines[0]):
        return "it does not begin as a delta log does"
    return "" if all(map(_is_change, lines[1:])) else "it holds what no delta log does"


def _is_header(value: dict[str, Any]) -> bool:
    is_known = value.get("format", FORMAT) in _FORMATS and value.keys() - {"format"} == {"shadow", "mtime_ns"}
    return is_known and isinstance(value["shadow"], str) and _is_number(value["mtime_ns"])


def _is_change(value: dict[str, Any]) -> bool:
    if value.keys() != _MEMBERS or not isinstance(value["parts"], list):
        return False
    return all(_is_number(value[key]) for key in _MEMBERS - {"parts"}) and all(map(_is_part, value["parts"]))


def _is_part(part: Any) -> bool:
    if isinstance(part, str):
        return True
    return (
        isinstance(part, list) and len(part) == 2 and all(_is_number(entry) and entry >= 0 for entry in part)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _after(state: bytes, line: dict[str, Any]) -> bytes:
    """Return the state after a change; IndexError when it takes anything twice, or from behind: no save makes much of little."""
    made, end = [], 0
    for part in line["parts"]:
        if isinstance(part, str):
            made.append(part.encode("utf-8"))
        elif part[0] < end:
            raise IndexError
        else:
            end = part[0] + part[1]
            made.append(state[part[0] : end])
    return b"".join(made)


def _lines(path: Path) -> list[dict[str, Any]] | None:
    """Return what each line says, up to one that is none of ours; None when there is no log."""
    try:
        text = files.read(path, _MOST_READ_BYTES)[0]
    except FileNotFoundError:
        return None
    except files.TooLarge:
        return []
    if memory_bytes(text) > _MOST_MEMORY_BYTES:
        return []
    found: list[dict[str, Any]] = []
    for line in text.split(b"\n"):
        try:
            value = orjson.loads(line)
        except ValueError:
            continue  # the torn line of a save that was not confirmed; the checksum shows if it was another one
        is_first = not found
        found.append(earlier.change(value) if isinstance(value, dict) else {"": value})
        if not is_first and not _is_change(found[-1]):
            break
    return found
