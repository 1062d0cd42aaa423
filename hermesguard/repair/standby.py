"""The standby repair: the repaired file of a wipe, made and written before the wipe.

The stub that hermes-webui #1558 saves is known beforehand but for its `updated_at`: it is the file without its messages, its
stream and its prompt. So the repair is known beforehand too, and while every moment counts nothing is parsed, judged or merged:

1. `prepare` makes both out of the shadow, `Prepared`: the awaited stub, and the pieces of the file that undoes it (pure).
2. `Standby.saved` notes a session whose stream is set: only such a session can be wiped so. Once it has been quiet for a
   moment, `Standby.go_on` has its repair prepared, and `StandbyFiles` writes it beside the session as
   `.hermesguard-<sid>.standby`, with room for the one number that is not known yet. The application neither reads nor removes
   that name.
3. When the stub comes, the number is written into the file and the two names are exchanged (`StandbyFiles.take`).

It is an optimisation, worth 0.75 ms at 400 KB and 6 ms at 20 MB: a save that differs in one byte from what was awaited is judged
as any other, and a file that cannot be written beforehand is staged when it is needed. Nothing is in a standby file that
the store has not: it may be removed at any time.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Set
from pathlib import Path
from typing import NamedTuple

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.judge.judge import is_wipe
from hermesguard.pieces import Piece
from hermesguard.repair import exchange as staging
from hermesguard.repair.merge import merged_text, started_seconds
from hermesguard.store.cache import Copy
from hermesguard.store.cached_store import Copies
from hermesguard.webui import header, session
from hermesguard.webui.abridged import Abridged, Hole
from hermesguard.webui.directory import SessionsDirectory, standby_name
from hermesguard.webui.session import Document
from hermesguard.webui.text import written

# A session whose stream is set is made ready once it has been quiet for so long: not at each of many fast saves.
QUIET_SECONDS = 0.25
# At the start, sessions are made ready that were written not longer ago than this.
RECENT_SECONDS = 600.0
MOST_RECENT = 100
# A float as Python writes it has up to 24 characters; the white space that fills the rest is none of JSON's business.
PLACE_BYTES = 24

_UPDATED = "updated_at"
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# A number that stands nowhere else.
_PLACE = str(int.from_bytes(os.urandom(16), "big") | 1 << 127)

# ---- prepared: pure


class Prepared(NamedTuple):
    """The stub that is awaited, and the file that undoes it, each up to its `updated_at` and from there on."""

    stub_start: bytes
    stub_end: bytes
    repaired_start: tuple[Piece, ...]
    repaired_end: tuple[Piece, ...]

    def updated(self, data: bytes) -> bytes:
        """Return the `updated_at` of `data` if it is the awaited stub; empty when it must be judged."""
        start, end = len(self.stub_start), len(data) - len(self.stub_end)
        if not (data.startswith(self.stub_start) and data.endswith(self.stub_end) and start < end):
            return b""
        updated = data[start:end]
        return updated if _NUMBER.fullmatch(updated) else b""

    def pieces(self, updated: bytes) -> list[Piece]:
        """Return the pieces of the repaired file."""
        return [*self.repaired_start, updated, *self.repaired_end]

    @property
    def updated_offset_bytes(self) -> int:
        """Where in the repaired file `updated_at` stands."""
        return sum(map(len, self.repaired_start))


def prepare(known: Abridged) -> Prepared | None:
    """Return the answer to the wipe of a session; None when it cannot be wiped, or not everything is known beforehand."""
    document = known.document
    if not document.stream or _UPDATED not in document or not tells_all(known):
        return None
    stub = _stub(document)
    live = session.parse(stub.encode("utf-8"))
    if not is_wipe(document, live):
        return None
    repaired = merged_text(document, live)
    if stub.count(_PLACE) != 1 or repaired.count(_PLACE) != 1:
        return None
    before, _, after = stub.partition(_PLACE)
    first, _, last = repaired.partition(_PLACE)
    start, end = fill(first, known), fill(last, known)
    if len(start) + len(end) != len(fill(repaired, known)) + 1:
        return None  # a run stands on neither side as a whole
    return Prepared(before.encode("utf-8"), after.encode("utf-8"), tuple(start), tuple(end))


def _stub(document: Document) -> str:
    """Return the awaited stub: members in their order, emptied as the application empties them; lists behind the messages too."""
    members = []
    is_behind = False
    for key in document.keys:
        value = document.get(key)
        if key in session.LISTS:
            text = "[]"
        elif key == _UPDATED:
            text = _PLACE
        elif key == session.STREAM or key.startswith(session.PENDING_PREFIX):
            text = "[]" if key == session.PENDING_ATTACHMENTS else "null"
        elif key == session.MESSAGE_COUNT:
            text = "0"
        elif is_behind and isinstance(value, list | dict):
            text = "[]" if isinstance(value, list) else "{}"
        else:
            text = document.raw(key)
        is_behind = is_behind or key == session.MESSAGES
        members.append(f"  {written(key)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}"


def prepared(copy: Copy) -> Prepared | None:
    """Return the repair that is prepared for the wipe of this copy; None while there is none."""
    return copy.prepared if isinstance(copy.prepared, Prepared) else None


def awaited_number(copy: Copy, data: bytes) -> bytes:
    """Return the `updated_at` of `data` if it is the stub that the prepared repair of this copy awaits; empty when it is not."""
    known = prepared(copy)
    return known.updated(data) if known else b""


def fill(text: str, known: Abridged) -> list[Piece]:
    """Return the pieces of an abridged `text` made from `known`, with the runs' own bytes where they belong.

    In whatever order they stand there: the file that is repaired may have its members in another one than the shadow.
    """
    places = sorted((text.find(hole.run.text), number) for number, hole in enumerate(known.holes))
    pieces: list[Piece] = []
    position = 0
    for place, number in places:
        if place >= 0:
            hole = known.holes[number]
            pieces += [text[position:place].encode("utf-8"), *hole.chunks]
            position = place + len(hole.run.text)
    return [*pieces, text[position:].encode("utf-8")]


def tells_all(known: Abridged) -> bool:
    """Return whether an empty live file can be repaired from the abridged form as from the full one.

    That is so when no message of a run can be the pending prompt, or was stamped after it was sent.
    """
    prompt = known.document.prompt
    if not prompt.strip():
        return True
    sent = started_seconds(known.document)
    runs = [hole for hole in known.holes if hole.key != session.TOOL_CALLS]
    if sent is None or any(hole.run.latest > sent for hole in runs):
        return not runs
    return all(hole.run.latest < int(sent) - 1 or not _may_say(hole, prompt) for hole in runs)


def _may_say(hole: Hole, prompt: str) -> bool:
    """Return whether a message of the run may have these words: the longest of them stands somewhere in its text."""
    word = json.dumps(max(prompt.split(), key=len), ensure_ascii=False)[1:-1]
    try:
        sought = word.encode("utf-8")
    except UnicodeEncodeError:
        return True
    escaped = not word.isascii() and any(b"\\u" in chunk for chunk in hole.chunks)
    return escaped or any(sought in chunk for chunk in hole.chunks)


# ---- the files beside the sessions


class _Standby(NamedTuple):
    prepared: Prepared
    like: Stamp
    """Of the live file when the standby file was made: owner, group and mode are as there."""
    written: Stamp
    """Of the standby file: whatever has been touched since is not used."""


class StandbyFiles:
    """The standby files of one sessions directory, made by this guard."""

    def __init__(self, directory: SessionsDirectory) -> None:
        self._directory = directory
        self._standby: dict[str, _Standby] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._standby

    @property
    def size_bytes(self) -> int:
        """How many bytes all standby have."""
        return sum(standby_file.written.size_bytes for standby_file in self._standby.values())

    def make(self, name: str, prepared: Prepared, limit_bytes: int) -> None:
        """Write a session's standby file, if `limit_bytes` for all of them and the disk allow it.

        Never raises: without room or rights there is none, and the repair itself will report a lasting fault.
        """
        known = self._standby.get(name)
        if known and known.prepared is prepared:
            return
        live = self._directory.file(name)
        pieces = prepared.pieces(b"0".ljust(PLACE_BYTES))
        others_bytes = self.size_bytes - (known.written.size_bytes if known else 0)
        try:
            like = files.stamp(live)
            if like is None or others_bytes + sum(map(len, pieces)) > limit_bytes:
                self.drop(name)
                return
            written = staging.write_standby(standby_name(live), live, pieces, like)
        except OSError:
            self._standby.pop(name, None)
            self._remove(name)
        else:
            self._standby[name] = _Standby(prepared, like, written)

    def take(
        self, name: str, prepared: Prepared | None, updated: bytes, like: Stamp
    ) -> tuple[Path, list[Piece]] | None:
        """Return the standby file, staged with `updated` in its place, and its pieces, and forget it; None when it does not fit.

        `prepared` is what is to be put in place, `like` the stamp of the file that it is to displace.
        """
        standby_file = self._standby.get(name)
        if standby_file is None:
            return None
        is_alike = (standby_file.like.mode, standby_file.like.uid, standby_file.like.gid) == (
            like.mode,
            like.uid,
            like.gid,
        )
        if standby_file.prepared is prepared and is_alike and len(updated) <= PLACE_BYTES:
            live = self._directory.file(name)
            filled = updated.ljust(PLACE_BYTES)
            with contextlib.suppress(OSError):
                staged = staging.stage_standby(
                    standby_name(live),
                    live,
                    standby_file.written,
                    filled,
                    prepared.updated_offset_bytes,
                )
                del self._standby[name]
                return staged, prepared.pieces(filled)
        return None

    def drop(self, name: str) -> None:
        """Remove a session's standby file, if there is one."""
        if self._standby.pop(name, None):
            self._remove(name)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            files.remove(standby_name(self._directory.file(name)))

    def drop_others(self, is_kept: Callable[[str], bool]) -> None:
        """Remove the standby files of the sessions of which that is not so."""
        for name in [name for name in self._standby if not is_kept(name)]:
            self.drop(name)

    def remove_strays(self, found: Set[str]) -> None:
        """Remove, of the standby that were found, those that are none of ours, or could not be removed before."""
        for name in found - self._standby.keys():
            self._remove(name)


# ---- which sessions, and when


class Standby:
    """The sessions that can be wiped and are not ready for it yet, by when they are to be made so (monotonic)."""

    def __init__(self, copies: Copies, directory: SessionsDirectory) -> None:
        self._copies = copies
        self._due: dict[str, float] = {}
        self._saved: set[str] = set()
        """Those of them that were saved while this guard looked: only they get a standby file, for a start changes nothing."""
        self.files = StandbyFiles(directory)

    def saved(self, name: str, could_be_wiped: bool, now: float) -> None:
        """Note that a session was saved."""
        if could_be_wiped:
            self._due[name] = now + QUIET_SECONDS
            self._saved.add(name)
        else:
            self._due.pop(name, None)
            self.files.drop(name)

    def recent(self, newest: Iterable[tuple[str, int, int]], now: float) -> None:
        """Note the sessions that were written last, (name, size in bytes, mtime_ns) each, as far as memory has room for them."""
        left_bytes = self._copies.cache_bytes
        for name, size_bytes, _ in newest:
            left_bytes -= size_bytes
            if left_bytes < 0:
                return
            self._due[name] = now

    def wait_seconds(self, now: float) -> float | None:
        """Return how long from `now` on nothing is to be done; None when there is nothing to do."""
        return max(0.0, min(self._due.values()) - now) if self._due else None

    def next_due(self, now: float) -> str | None:
        """Take and return a session that is to be made ready now; None when there is none."""
        name = next((name for name, due in self._due.items() if due <= now), None)
        if name is not None:
            del self._due[name]
        return name

    def later(self, name: str, now: float) -> None:
        """Make a session ready somewhat later: its copy is being read."""
        self._due[name] = now + QUIET_SECONDS

    def is_awaited(self, name: str) -> bool:
        """Return whether a session is known to be one that can be wiped; nothing is read for that."""
        return name in self.files or ((copy := self._copies.cached(name)) is not None and copy.could_be_wiped)

    def is_needed(self, name: str) -> bool:
        """Return whether there is anything to make ready of a session."""
        if self._copies.store.is_too_large(name):
            return False
        return bool(self._copies.cached(name)) or self._has_stream(name)

    def make_ready(self, name: str) -> None:
        """Make a session ready. Raises OSError when the store does not let its copy be read now."""
        if self.is_needed(name) and (copy := self._copies.shadow(name)):
            known = prepared(copy)
            if known is None:
                known = copy.prepared = prepare(copy.abridged)
            if name in self._saved and known:
                self.files.make(name, known, self._copies.cache_bytes)
        self._saved.discard(name)

    def after_scan(self, is_there: Callable[[str], bool], found: Set[str]) -> None:
        """Let go of the sessions that are not there any more, and of the standby files that were `found` and are none of ours."""
        self.files.drop_others(is_there)
        self.files.remove_strays(found)

    def _has_stream(self, name: str) -> bool:
        """Return whether the head of a shadow says so; to load a session that cannot be wiped would be in vain."""
        try:
            return bool(header.read(self._copies.store.shadow_path(name), session.STREAM).get(session.STREAM))
        except FileNotFoundError:
            return False
