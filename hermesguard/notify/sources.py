"""Where the notifier reads what happened: the journal, by its own cursor, or the incidents of the store."""

import os
import pwd
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from hermesguard.events.catalog import BY_NAME
from hermesguard.events.journald import IDENTIFIER
from hermesguard.events.sinks import read_log
from hermesguard.notify import alerts
from hermesguard.notify.alerts import Alert
from hermesguard.notify.state import State
from hermesguard.store import incidents
from hermesguard.store.directories.parts import parts_of
from hermesguard.store.incidents import Incident

MOST_AT_ONCE: Final = 500
OFFSITE_LOG: Final = "events.jsonl"
"""In the state directory of the offsite copies (offsite/process)."""
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

    @property
    def offsite_unit(self) -> str:
        """The unit of the offsite copies beside the guard's; empty when that has none."""
        if not self.unit:
            return ""
        rest = self.unit.removeprefix("hermesguard")
        return f"{alerts.OFFSITE_UNIT}{rest if rest.startswith('@') else '.service'}"

    def own(self, unit: str) -> tuple[dict[str, str], ...]:
        """Return the trusted fields of what a process of ours writes: one of these, a unit of the system or of the user."""
        uid = {"_UID": str(self.uid)}
        if not unit:
            return ({**uid, "SYSLOG_IDENTIFIER": IDENTIFIER},)
        return ({**uid, "_SYSTEMD_UNIT": unit}, {**uid, "_SYSTEMD_USER_UNIT": unit})

    def of_manager(self, unit: str) -> tuple[dict[str, str], ...]:
        """Return those of what the service manager writes about a unit of ours; none when no unit is named."""
        if not unit:
            return ()
        manager = {"_UID": str(self.uid), "_SYSTEMD_UNIT": f"user@{self.uid}.service"}
        return ({"_PID": "1", "UNIT": unit}, {**manager, "USER_UNIT": unit})

    def matches(self, names: frozenset[str]) -> list[tuple[dict[str, str], list[str]]]:
        """Return which events, by MESSAGE_ID, are believed of whoever has which trusted fields.

        The guard is believed what is the guard's, and the process of the offsite copies, which has the network, only what
        is its own.
        """
        offsite = names & alerts.OFFSITE
        found = []
        for unit, ours, death in (
            (self.unit, names - offsite if self.unit else names, "died"),
            (self.offsite_unit, offsite if self.unit else frozenset(), "offsite_died"),
        ):
            ids = [BY_NAME[name].message_id for name in sorted(ours & BY_NAME.keys())]
            found += [(fields, ids) for fields in self.own(unit) if ids]
            if death in names:
                found += [(fields, [alerts.UNIT_FAILED]) for fields in self.of_manager(unit)]
        return found

    def wrote(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry is of who it has to be of: what the journal's matches say, once more."""
        message_id = str(entry.get("MESSAGE_ID", "")).replace("-", "")
        return any(
            message_id in ids and all(str(entry.get(name)) == value for name, value in fields.items())
            for fields, ids in self.matches(frozenset(alerts.KNOWN))
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
            state.read_until = max(state.read_until, _received(entry))
            if self._identity.wrote(entry) and (alert := alerts.of_entry(entry)):
                found.append(alert)
        return found

    def _open(self, state: State) -> None:
        self.close()
        self._reader = _reader(self._directory)
        self._reader.fileno()  # from now on `process` hears of new files
        _match(self._reader, self._identity, self._names)
        if state.cursor:
            with suppress(OSError, ValueError):  # it is none: then by time
                self._reader.seek_cursor(state.cursor)
                return
        begin = max(0.0, state.since, state.read_until + 1e-6 if state.cursor else 0.0)
        self._reader.seek_realtime(datetime.fromtimestamp(begin, UTC))

    def wait_seconds(self) -> float:
        return _POLL_SECONDS

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _received(entry: Mapping[str, Any]) -> float:
    received = entry.get("__REALTIME_TIMESTAMP")
    return received.timestamp() if isinstance(received, datetime) else 0.0


def _reader(directory: Path | None) -> Any:
    """Return a reader of the journal. Raises OSError; ImportError where libsystemd is missing, or takes no such TZ."""
    try:
        from systemd import journal
    except ValueError as error:
        raise ImportError(str(error)) from None
    return journal.Reader(path=str(directory)) if directory else journal.Reader()


def _match(reader: Any, identity: Identity, names: frozenset[str]) -> None:
    for number, (fields, wanted) in enumerate(identity.matches(names)):
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
    """The incidents of all parts of the store, by their numbers, which only rise as long as the logs are the same."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._seen: tuple[tuple[int, int] | None, ...] = ()

    def read(self, state: State) -> list[Alert]:
        """Return the incidents with a higher number than `state.incident`, from `state.since` on.

        Of a log that begins anew (the store was lost, or put back from a copy) those that are younger than what was read.
        """
        stores = [part.root for part in parts_of(self._store, self._store)]
        stamp = tuple(_stamp(store / incidents.FILE_NAME) for store in stores)
        if stamp == self._seen:
            return []
        self._seen = stamp
        known = _all_of(stores)
        if stamp != tuple(_stamp(store / incidents.FILE_NAME) for store in stores):
            # A log that was read first may lack what was written before the newest of another one.
            highest = max((int(one.id) for one in known), default=0)
            known = [one for one in _all_of(stores) if int(one.id) <= highest]
        since = datetime.fromtimestamp(max(0.0, state.since), UTC)
        if self._is_another(known, state):
            state.incident = 0
            since = max(since, datetime.fromtimestamp(state.read_until, UTC) + _TICK)
        found = []
        fresh = [one for one in known if int(one.id) > state.incident]
        for incident in fresh:
            alert = alerts.of_incident(incident)
            if alert and datetime.fromisoformat(incident.time) >= since:
                found.append(alert)
        if fresh:
            # An incident that grew stands behind later ones.
            newest = max(fresh, key=lambda one: int(one.id))
            state.incident, state.incident_mark = int(newest.id), _mark(newest)
            times = [datetime.fromisoformat(one.time).timestamp() for one in fresh]
            state.read_until = max(state.read_until, *times)
        return found

    def _is_another(self, known: list[Incident], state: State) -> bool:
        """Return whether the log is not the one that was read before."""
        if not state.incident or not known:
            return False
        same = next((one for one in known if int(one.id) == state.incident), None)
        return same is None or bool(state.incident_mark and _mark(same) not in (state.incident_mark, _PURGED))

    def wait_seconds(self) -> float:
        return _POLL_SECONDS

    def close(self) -> None:
        """Nothing is held."""


def _all_of(stores: Iterable[Path]) -> list[Incident]:
    return [one for store in stores for one in incidents.read_all(store)]


_TICK: Final = timedelta(microseconds=1)
_PURGED: Final = "purged "


def _mark(incident: Incident) -> str:
    """Return by what an incident is known again, whatever was added to it."""
    return f"{incident.event} {incident.session}"


class OffsiteLog:
    """What `hermesguard offsite` has written down beside its copies' state, where no journal has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def read(self, state: State) -> list[Alert]:
        """Return the events with a higher number than `state.offsite`, from `state.since` on. Raises OSError."""
        stamp = _stamp(self._path)
        if stamp is None or stamp == self._seen:
            return []
        found = []
        since = datetime.fromtimestamp(max(0.0, state.since), UTC)
        for number, value in read_log(self._path):
            if number > state.offsite:
                state.offsite = number
                alert = alerts.of_logged(value)
                if alert and datetime.fromisoformat(alert.time) >= since:
                    found.append(alert)
        self._seen = stamp
        return found

    def wait_seconds(self) -> float:
        return _POLL_SECONDS

    def close(self) -> None:
        """Nothing is held."""


class Files:
    """All that a machine without a journal has: the incidents of the store, and the log of the offsite copies."""

    def __init__(self, store: Path) -> None:
        state = os.environ.get("HERMESGUARD_OFFSITE_STATE") or store.with_name(f"{store.name}.offsite")
        self._sources = (IncidentLog(store), OffsiteLog(Path(state) / OFFSITE_LOG))

    def read(self, state: State) -> list[Alert]:
        """Return what is new in both."""
        return [alert for source in self._sources for alert in source.read(state)]

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
