"""The incident log: one line per loss and what was done about it, append-only, synced, without message text."""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, get_type_hints

import orjson

from hermesguard import files
from hermesguard.store import earlier
from hermesguard.webui.session import is_session_id
from hermesguard.webui.text import written

FILE_NAME = "incidents.jsonl"
# So many servers that each go on from a memory of their own are more than anyone has on one directory.
MOST_REPAIRS = 6
# An incident that grows leaves its older lines behind until there are so many.
MOST_OUTDATED = 100

_ALWAYS_WRITTEN = frozenset({"id", "time", "session", "event", "action"})
_BY_USER = frozenset({"undone", "accepted", "restored_by_user", "purged"})
INTENDED = "intended"
LOST_BEFORE = "lost_before"
RETURNED = "returned"
_NO_LOSSES = frozenset({INTENDED, LOST_BEFORE, RETURNED})
MOST_TAKEN_BACK = 4


class Incident(NamedTuple):
    """One line of the log. `resolves` names an earlier incident that this one (an undo, an accept) put an end to."""

    id: str
    time: str
    """UTC, ISO 8601."""
    session: str
    event: str
    action: str
    """What was done: restored, merged, kept, undone, ..."""
    verdict: str = ""
    rule: str = ""
    evidence: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    messages_before: int | None = None
    messages_live: int | None = None
    messages_after: int | None = None
    messages_lost: int | None = None
    """How many were missing in live as it was found."""
    version: str = ""
    """The version that holds the shadow as it was before."""
    displaced: str = ""
    """The version that holds what live was when it was found."""
    digest: str = ""
    """The digest of what was made live."""
    writer_pid: int | None = None
    writer_command: str = ""
    duration_us: int | None = None
    error: str = ""
    """Why nothing could be done."""
    resolves: str = ""
    undo: str = ""
    """The command that reverses it."""
    names: tuple[str, ...] = ()
    """Of an incident of many sessions: all of them."""
    members: tuple[str, ...] = ()
    """Of an incident of many sessions: the incidents of each."""
    title: str = ""
    """Of what was lost before the guard came, for nothing else may tell it: what the session was called. Never reported."""

    @property
    def is_by_user(self) -> bool:
        """Return whether a user did this, by a command, and the guard only wrote it down."""
        return self.event in _BY_USER

    @property
    def is_note(self) -> bool:
        """Return whether it is no loss that the guard saw: an act that a user meant, its end, or what was lost before it came."""
        return self.event in _NO_LOSSES

    @property
    def is_open(self) -> bool:
        """Return whether a user should look at it: it was uncertain, or nothing could be done."""
        return self.event in ("uncertain", "missing") or self.action in ("failed", "kept", "warned")

    @property
    def way_back(self) -> str:
        """Return the command that reverses what a user did; empty when there is none."""
        if not self.is_by_user or not self.version or self.event == "purged":
            return ""
        return f"hermesguard restore {self.session}@{self.version} --replace"

    def line(self) -> bytes:
        """Return the incident as its line in the log."""
        kept = {
            key: value
            for key, value in self._asdict().items()
            if key in _ALWAYS_WRITTEN or value not in (None, "", ())
        }
        return written(kept).encode() + b"\n"


_WORD = re.compile(r"[a-z_]{1,40}")
_ID = re.compile(r"[0-9]{1,15}")
_NAME = re.compile(r"(?:[0-9]{8}T[0-9]{6}\.[0-9]{6}Z)?")
_DIGEST = re.compile(r"(?:[0-9a-f]{16})?")
_LONGEST_LINE_BYTES = 64 * 1024
_LONGEST_LOG_BYTES = 128 * 1024 * 1024
# Twice those of the largest directory, were all of it wiped at once; and lines enough to be sorted out in seconds. More would
# take the memory of the unit, or its time.
_MOST_INCIDENTS = 200_000
_MOST_LINES = 1_000_000
_LARGEST = 2**53
# Numbers rise by one, or up to the time in seconds; past a higher one they would soon have more digits than are read.
_MOST_BETWEEN = 10**10


def is_incident_id(text: str) -> bool:
    """Return whether `text` can be the id of an incident."""
    return _ID.fullmatch(text) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _texts_of(form: Callable[[str], object]) -> Callable[[Any], object]:
    return lambda value: isinstance(value, str) and form(value)


_OF_A_TYPE: Final[dict[Any, Callable[[Any], object]]] = {
    str: _is_text,
    int | None: _is_number,
    tuple[str, ...]: _are_texts,
}
_FITS: Final = {key: _OF_A_TYPE[kind] for key, kind in get_type_hints(Incident).items()} | {
    "id": _texts_of(is_incident_id),
    "time": _is_time,
    "session": _texts_of(lambda text: text == "" or is_session_id(text)),
    "event": _texts_of(_WORD.fullmatch),
    "action": _texts_of(_WORD.fullmatch),
    "version": _texts_of(_NAME.fullmatch),
    "displaced": _texts_of(_NAME.fullmatch),
    "digest": _texts_of(_DIGEST.fullmatch),
    "resolves": _texts_of(lambda text: text == "" or is_incident_id(text)),
}
"""Of each field, what tells whether a value has the type and the range that ours have."""


def _from_line(line: bytes) -> Incident | None:
    """Return the incident of a line of the log; None when it is none of ours (a torn line, rot, an editor)."""
    if len(line) > _LONGEST_LINE_BYTES:
        return None
    try:
        value: Any = orjson.loads(line)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    value = earlier.incident(value)
    known: dict[str, Any] = {key: entry for key, entry in value.items() if key in _FITS}
    if not known.keys() >= _ALWAYS_WRITTEN:
        return None
    if not all(_FITS[key](entry) for key, entry in known.items()):
        return None
    for key, entry in known.items():
        if isinstance(entry, list):
            known[key] = tuple(entry)
    return Incident(**known)


def read(store: Path) -> list[Incident]:
    """Return all incidents in the log at `store`, oldest first; none when there is no log. Notes are left out (`read_all`)."""
    return [incident for incident in read_all(store) if not incident.is_note]


def read_all(store: Path) -> list[Incident]:
    """Return the incidents and the notes in the log at `store`, oldest first; none when there is no log.

    Of an incident that grew, in a back-off, the newest line counts. A line that stands there twice (the disk took it, and
    said that it had not) counts once; one that is none of ours does not count at all.
    """
    try:
        return sort_out(store)[0]
    except (FileNotFoundError, files.TooLarge):
        return []


@dataclass
class Strange:
    """The lines of the log that are none of ours, as they stand there: in one piece, for there may be millions."""

    data: bytearray = field(default_factory=bytearray)
    count: int = 0


def sort_out(store: Path) -> tuple[list[Incident], Strange]:
    """Return the incidents in the log, and the lines that are none of ours; what a crash tore off is neither.

    Raises OSError when the log cannot be read, `files.TooLarge` when it is no log of ours by its size alone.
    """
    found: dict[str, Incident] = {}
    strange = Strange()
    known: set[int] = set()
    highest = 0
    path = store / FILE_NAME
    for number, (line, is_rest) in enumerate(files.lines(path, _LONGEST_LOG_BYTES, _LONGEST_LINE_BYTES)):
        if number == _MOST_LINES or len(known) > _MOST_INCIDENTS:
            raise files.TooLarge(path, files.Stamp.of(os.stat(path)), _LONGEST_LOG_BYTES)
        incident = None if is_rest else _from_line(line.rstrip(b"\n"))
        if incident is not None and int(incident.id) <= highest + _MOST_BETWEEN:
            if hash(line) in known:
                continue
            known.add(hash(line))
            highest = max(highest, int(incident.id))
            found.pop(incident.id, None)
            found[incident.id] = incident
        elif is_rest or (line != b"\n" and not _is_torn(line.rstrip(b"\n"))):
            strange.data += line
            strange.count += not is_rest
    return list(found.values()), strange


def _is_torn(line: bytes) -> bool:
    return len(line) <= _LONGEST_LINE_BYTES and line.startswith(b'{"id": "') and not line.endswith(b"}")


@dataclass
class IncidentLog:
    """The log as the guard keeps it: it alone appends. A line that cannot be written yet waits in `unwritten`."""

    store: Path
    count: int = 0
    last_digest: dict[str, str] = field(default_factory=dict)
    """By session: the digest of the guard's newest repair."""
    repairs: dict[str, list[Incident]] = field(default_factory=dict)
    """By session: its last repairs, the newest last."""
    taken_back: dict[str, list[str]] = field(default_factory=dict)
    """By session: the versions that hold what a user took back last, as long as it stays so, the newest last."""
    resolved: set[str] = field(default_factory=set)
    """Ids of the incidents that a later line put an end to."""
    unwritten: list[Incident] = field(default_factory=list)
    check: Callable[[], None] = lambda: None
    """Called before each write: raises OSError when the store is not there any more."""
    last_elsewhere: Callable[[], int] = lambda: 0
    """Returns the highest number in the other parts of the store."""
    _last_id: int = 0
    _newest: str = ""
    _outdated: int = 0
    """How many lines of the log a newer one of the same incident has replaced."""

    def load(self) -> Strange:
        """Read the log once, at start; return the lines that are none of ours.

        Raises OSError; then ids go on where no earlier one can have been.
        """
        self._last_id = int(time.time())
        try:
            entries, strange = sort_out(self.store)
        except FileNotFoundError:
            entries, strange = [], Strange()
        self._last_id = 0
        for incident in entries:
            self._note(incident)
        return strange

    def keep_only_ours(self) -> None:
        """Write the log anew, without lines that are none of ours or outdated. Raises OSError.

        One that cannot be read is left as it is: `read_all` has nothing of it.
        """
        self.check()
        self._replace(sort_out(self.store)[0])
        self._outdated = 0

    def _replace(self, entries: Iterable[Incident]) -> None:
        files.write_durably(self.store / FILE_NAME, b"".join(entry.line() for entry in entries))

    def all(self) -> list[Incident]:
        """Return every incident, oldest first, those that the store has not taken yet too."""
        return read_all(self.store) + self.unwritten

    def _note(self, incident: Incident) -> None:
        self.count += not (incident.resolves or incident.is_note) and incident.id != self._newest
        self._newest = incident.id
        if incident.resolves:
            self.resolved.add(incident.resolves)
        self._last_id = max(self._last_id, int(incident.id))
        if incident.event == INTENDED and incident.version:
            taken = self.taken_back.setdefault(incident.session, [])
            taken[:] = [*(version for version in taken if version != incident.version), incident.version]
            del taken[:-MOST_TAKEN_BACK]
        elif incident.event == RETURNED and incident.version in self.taken_back.get(incident.session, ()):
            self.taken_back[incident.session].remove(incident.version)
        if incident.digest:
            self.last_digest[incident.session] = incident.digest
            repairs = self.repairs.setdefault(incident.session, [])
            repairs.append(incident)
            del repairs[:-MOST_REPAIRS]

    def goes_on(self, session: str) -> None:
        """Note that the application has saved all that is known: what was repaired is its own again."""
        self.last_digest.pop(session, None)
        self.repairs.pop(session, None)

    def next_id(self) -> str:
        """Return an id that no incident has had, in no part of the store: a short number that people can type."""
        self._last_id = max(self._last_id, self.last_elsewhere()) + 1
        return str(self._last_id)

    @property
    def last_id(self) -> int:
        """The highest number that was given."""
        return self._last_id

    def append(self, incident: Incident) -> None:
        """Add an incident; durable when this returns, or in `unwritten` when the store cannot take it (OSError)."""
        self._outdated += incident.id == self._newest
        self._note(incident)
        self.unwritten.append(incident)
        self.flush()
        if self._outdated >= MOST_OUTDATED:
            self._outdated = 0
            with contextlib.suppress(files.TooLarge):  # it is set aside at the next start
                self.keep_only_ours()

    def flush(self) -> None:
        """Write what waits; OSError when the store still cannot take it, and nothing is lost."""
        while self.unwritten:
            self.check()
            files.append_durably(self.store / FILE_NAME, self.unwritten[0].line())
            self.unwritten.pop(0)

    def purge(self, session: str) -> int:
        """Remove a session's incidents, leaving nothing but their numbers; return how many there were."""
        self.check()
        kept = read_all(self.store)
        count = sum(incident.session == session for incident in kept)
        if count or any(session in incident.names for incident in kept):
            lines = (
                Incident(incident.id, incident.time, "", "purged", "purged")
                if incident.session == session
                else incident._replace(names=tuple(name for name in incident.names if name != session))
                for incident in kept
            )
            self._replace(lines)
        for known in (self.last_digest, self.repairs, self.taken_back):
            known.pop(session, None)
        return count


def resolved(incidents: Iterable[Incident]) -> set[str]:
    """Return the ids of the incidents that a later line put an end to."""
    return {incident.resolves for incident in incidents if incident.resolves}


def size_bytes(store: Path) -> int:
    """Return the size of the log; 0 when there is none."""
    try:
        return os.stat(store / FILE_NAME).st_size
    except FileNotFoundError:
        return 0
