"""The incident log: one line per loss and what was done about it, append-only, synced, without message text."""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from hermesguard import files

FILE_NAME = "incidents.jsonl"
# So many servers that each go on from a memory of their own are more than anyone has on one directory.
MOST_REPAIRS = 6

_BY_USER = frozenset({"undone", "accepted", "restored_by_user", "purged"})


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
    version: str = ""
    """The version that holds the shadow as it was before."""
    displaced: str = ""
    """The version that holds what live was when it was found."""
    digest: str = ""
    """The digest of what was made live."""
    writer_pid: int | None = None
    writer_command: str = ""
    duration_us: int | None = None
    resolves: str = ""
    undo: str = ""
    """The command that reverses it."""
    names: tuple[str, ...] = ()
    """Of an incident of many sessions: all of them."""
    members: tuple[str, ...] = ()
    """Of an incident of many sessions: the incidents of each."""

    @property
    def is_by_user(self) -> bool:
        """Return whether a user did this, by a command, and the guard only wrote it down."""
        return self.event in _BY_USER

    @property
    def is_open(self) -> bool:
        """Return whether a user should look at it: it was uncertain, or nothing could be done."""
        return self.event in ("uncertain", "missing") or self.action in ("failed", "kept", "warned")

    def line(self) -> bytes:
        """Return the incident as its line in the log."""
        kept = {key: value for key, value in self._asdict().items() if value not in (None, "", ())}
        return json.dumps(kept, ensure_ascii=False).encode() + b"\n"


_FIELDS = set(Incident._fields)
_LISTS = {"evidence", "against", "names", "members"}


def _from_line(line: bytes) -> Incident | None:
    try:
        value: Any = json.loads(line)
        known: dict[str, Any] = {
            key: tuple(entry) if key in _LISTS else entry for key, entry in value.items() if key in _FIELDS
        }
        incident = Incident(**known)
        datetime.fromisoformat(incident.time)
    except (ValueError, TypeError, AttributeError):
        return None  # a torn line of a crash, which the next append closed; or rot
    return incident


def read(store: Path) -> list[Incident]:
    """Return all incidents in the log at `store`, oldest first; none when there is no log.

    A line that stands there twice (the disk took it, and said that it had not) counts once.
    """
    try:
        lines = (store / FILE_NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [incident for line in dict.fromkeys(lines) if (incident := _from_line(line))]


@dataclass
class IncidentLog:
    """The log as the guard keeps it: it alone appends. A line that cannot be written yet waits in `unwritten`."""

    store: Path
    count: int = 0
    last_digest: dict[str, str] = field(default_factory=dict)
    """By session: the digest of the guard's newest repair."""
    repairs: dict[str, list[Incident]] = field(default_factory=dict)
    """By session: its last repairs, the newest last."""
    unwritten: list[Incident] = field(default_factory=list)
    _last_id: int = 0

    def load(self) -> None:
        """Read the log once, at start. Raises OSError; then ids go on where no earlier one can have been."""
        self._last_id = int(time.time())
        entries = read(self.store)
        self._last_id = 0
        for incident in entries:
            self._note(incident)

    def all(self) -> list[Incident]:
        """Return every incident, oldest first, those that the store has not taken yet too."""
        return read(self.store) + self.unwritten

    def _note(self, incident: Incident) -> None:
        self.count += not incident.resolves
        if incident.id.isdecimal():
            self._last_id = max(self._last_id, int(incident.id))
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
        """Return an id that no incident has had: a short number that people can type."""
        self._last_id += 1
        return str(self._last_id)

    def append(self, incident: Incident) -> None:
        """Add an incident; durable when this returns, or in `unwritten` when the store cannot take it (OSError)."""
        self._note(incident)
        self.unwritten.append(incident)
        self.flush()

    def flush(self) -> None:
        """Write what waits; OSError when the store still cannot take it, and nothing is lost."""
        while self.unwritten:
            files.append_durably(self.store / FILE_NAME, self.unwritten[0].line())
            self.unwritten.pop(0)

    def purge(self, session: str) -> int:
        """Remove a session's incidents, leaving nothing but their numbers; return how many there were."""
        kept = read(self.store)
        count = sum(incident.session == session for incident in kept)
        if count or any(session in incident.names for incident in kept):
            lines = (
                Incident(incident.id, incident.time, "", "purged", "purged")
                if incident.session == session
                else incident._replace(names=tuple(name for name in incident.names if name != session))
                for incident in kept
            )
            files.write_durably(self.store / FILE_NAME, b"".join(incident.line() for incident in lines))
        self.last_digest.pop(session, None)
        self.repairs.pop(session, None)
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
