"""Where the notifier reads what happened: the journal, by its own cursor, or the incidents of the store."""

import os
import pwd
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from hermesguard.events.catalog import BY_NAME
from hermesguard.events.journald import IDENTIFIER
from hermesguard.notify import alerts
from hermesguard.notify.alerts import Alert
from hermesguard.notify.state import State
from hermesguard.store import incidents

MOST_AT_ONCE: Final = 500
_REOPEN_SECONDS: Final = 600.0
# Not woken by each entry that anyone writes: messages are gathered for longer than this anyway.
_POLL_SECONDS: Final = 2.0


class Source(Protocol):
    """What happened, oldest first. `read` moves the position in `state` on; whoever calls it makes that durable."""

    def read(self, state: State) -> list[Alert]: ...

    def wait_seconds(self) -> float:
        """Return after how long it wants to be asked again."""
        ...

    def close(self) -> None: ...


class Identity(NamedTuple):
    """Whose entries in the journal count. Anybody can write an entry with our MESSAGE_ID, but not with these fields."""

    uid: int
    unit: str
    """Empty: any process of that user."""

    @classmethod
    def of(cls, store: Path, unit: str) -> "Identity":
        """Return who guards a store: its owner, or this user as long as there is none."""
        try:
            uid = os.stat(store).st_uid
        except OSError:
            uid = os.geteuid()
        return cls(uid, unit)

    def own(self) -> tuple[dict[str, str], ...]:
        """Return the trusted fields of what the guard itself writes: one of these, a unit of the system or of the user."""
        uid = {"_UID": str(self.uid)}
        if not self.unit:
            return ({**uid, "SYSLOG_IDENTIFIER": IDENTIFIER},)
        return ({**uid, "_SYSTEMD_UNIT": self.unit}, {**uid, "_SYSTEMD_USER_UNIT": self.unit})

    def of_manager(self) -> tuple[dict[str, str], ...]:
        """Return those of what the service manager writes about the guard; none when no unit is named."""
        if not self.unit:
            return ()
        manager = {"_UID": str(self.uid), "_SYSTEMD_UNIT": f"user@{self.uid}.service"}
        return ({"_PID": "1", "UNIT": self.unit}, {**manager, "USER_UNIT": self.unit})

    def wrote(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry is the guard's, or its manager's about it; the journal's matches say the same."""
        is_about = str(entry.get("MESSAGE_ID", "")).replace("-", "") == alerts.UNIT_FAILED
        return any(
            all(str(entry.get(name)) == value for name, value in fields.items())
            for fields in (self.of_manager() if is_about else self.own())
        )


class Journal:
    """The journal, followed by MESSAGE_ID and by who wrote. Raises OSError, ImportError when it cannot be read here."""

    def __init__(self, identity: Identity, names: frozenset[str], directory: Path | None = None) -> None:
        """Read the events `names`; `directory` is that of the journal's files, when it is not this machine's own."""
        self._identity = identity
        self._names = names
        self._directory = directory
        self._reader: Any = None
        self._opened = 0.0

    def read(self, state: State) -> list[Alert]:
        """Return what came since `state.cursor`, or, the first time, `state.since`; at most 500 at once."""
        now = time.monotonic()
        if self._reader is None or now - self._opened > _REOPEN_SECONDS:
            # Opened anew now and then: whatever a rotation, or a change of rights, has done to it is over then.
            self._open(state)
            self._opened = now
        else:
            self._reader.process()
        found: list[Alert] = []
        count = 0
        while count < MOST_AT_ONCE and (entry := self._reader.get_next()):
            if entry["__CURSOR"] == state.cursor:
                continue
            count += 1
            state.cursor = entry["__CURSOR"]
            if self._identity.wrote(entry) and (alert := alerts.of_entry(entry)):
                found.append(alert)
        return found

    def _open(self, state: State) -> None:
        self.close()
        self._reader = _reader(self._directory)
        self._reader.fileno()  # from now on `process` hears of new files
        _match(self._reader, self._identity, self._names)
        if state.cursor:
            with suppress(OSError):  # of another machine's journal: then by time
                self._reader.seek_cursor(state.cursor)
                return
        self._reader.seek_realtime(datetime.fromtimestamp(max(0.0, state.since), UTC))

    def wait_seconds(self) -> float:
        return _POLL_SECONDS

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _reader(directory: Path | None) -> Any:
    from systemd import journal  # libsystemd may be missing in a container

    return journal.Reader(path=str(directory)) if directory else journal.Reader()


def _match(reader: Any, identity: Identity, names: frozenset[str]) -> None:
    ids = [BY_NAME[name].message_id for name in sorted(names & BY_NAME.keys())]
    choices = [(fields, ids) for fields in identity.own() if ids]
    if "died" in names:
        choices += [(fields, [alerts.UNIT_FAILED]) for fields in identity.of_manager()]
    for number, (fields, wanted) in enumerate(choices):
        if number:
            reader.add_disjunction()
        for name, value in fields.items():
            reader.add_match(**{name: value})
        for message_id in wanted:
            reader.add_match(MESSAGE_ID=message_id)


def journal_knows(identity: Identity, directory: Path | None = None) -> bool:
    """Return whether the journal can be read here and has anything that this guard wrote."""
    try:
        with closing(_reader(directory)) as reader:
            _match(reader, identity, frozenset(BY_NAME))
            reader.seek_tail()
            return bool(reader.get_previous())
    except (ImportError, OSError):
        return False


class IncidentLog:
    """The incidents of the store, by their numbers, which only rise."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._seen: tuple[int, int] | None = None

    def read(self, state: State) -> list[Alert]:
        """Return the incidents with a higher number than `state.incident`, from `state.since` on."""
        stamp = _stamp(self._store / incidents.FILE_NAME)
        if stamp == self._seen:
            return []
        self._seen = stamp
        since = datetime.fromtimestamp(max(0.0, state.since), UTC)
        found = []
        fresh = [one for one in incidents.read_all(self._store) if int(one.id) > state.incident]
        for incident in fresh:
            alert = alerts.of_incident(incident)
            if alert and datetime.fromisoformat(incident.time) >= since:
                found.append(alert)
        # An incident that grew stands behind later ones.
        state.incident = max((int(one.id) for one in fresh), default=state.incident)
        return found

    def wait_seconds(self) -> float:
        return _POLL_SECONDS

    def close(self) -> None:
        """Nothing is held."""


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def user_of(identity: Identity) -> str:
    """Return the name of the guard's user, as messages name it."""
    try:
        return pwd.getpwuid(identity.uid).pw_name
    except KeyError:
        return str(identity.uid)
