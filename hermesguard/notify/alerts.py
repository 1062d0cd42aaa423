"""What may be told of one event: its name, its time, and those of its fields that the catalogue declares."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, get_origin

from hermesguard.events.catalog import BY_NAME, EVENTS, FIELDS, accepted
from hermesguard.events.event import Event, Priority, Value
from hermesguard.events.journald import journal_field
from hermesguard.store.incidents import Incident

# systemd's own (sd-messages.h): a unit failed, with the reason.
UNIT_FAILED: Final = "d9b373ed55a64feb8242e02dbe79a49c"
OFFSITE_UNIT: Final = "hermesguard-offsite"
"""How the names of the units of offsite copies begin."""

_DIED: Final = Event(
    "died",
    UNIT_FAILED,
    Priority.CRITICAL,
    "The guard died",
    "{path} died: {reason}. systemd starts it again, and what was lost meanwhile is restored then.",
    "If it goes on dying: journalctl -u {path}",
    ("path", "reason"),
)
_OFFSITE_DIED: Final = Event(
    "offsite_died",
    UNIT_FAILED,
    Priority.ERROR,
    "Offsite copies have stopped",
    "{path} ended: {reason}. Sessions are guarded, and what is new is on this machine only.",
    "Look at: systemctl status {path}, and hermesguard offsite status",
    ("path", "reason"),
)
_UNWELL: Final = Event(
    "unwell",
    "",
    Priority.CRITICAL,
    "The guard is not well",
    "The guard is not well: {reason}.",
    "See: hermesguard status",
    ("reason",),
)
_WELL: Final = Event(
    "well_again",
    "",
    Priority.NOTICE,
    "The guard is well again",
    "The guard is well again.",
    "No action required.",
)
KNOWN: Final[Mapping[str, Event]] = {
    **BY_NAME,
    **{event.name: event for event in (_DIED, _OFFSITE_DIED, _UNWELL, _WELL)},
}
"""By name: what can be told. The last four do not come from the guard: a dead one does not tell that it died."""

URGENT: Final = frozenset(
    {
        *("died", "unwell", "failed", "watch_lost", "waiting", "store_broken", "over_limit", "set_aside"),
        *("config_invalid", "internal_error", "verify_failed", "shadow_rebuilt", "hook_failed"),
        *(
            "unrepaired",
            "unreadable",
            "lost_before",
            "denied",
            "too_large",
            "uncertain",
            "missing",
            "not_known",
        ),
        *("rolled_back", "mass_change_held", "backing_off", "two_writers"),
        *("offsite_failing", "offsite_held", "offsite_died"),
    }
)
"""What a user must hear of: something is lost or not guarded, or waits for a decision. What was repaired is none of it."""
ALERTS: Final = frozenset(
    {event.name for event in EVENTS if event.priority <= Priority.WARNING}
    | {"died", "offsite_died", "unwell", "suppressed"}
)
RELIEF: Final[Mapping[str, frozenset[str]]] = {
    "watch_restored": frozenset({"watch_lost"}),
    "ready": frozenset({"died", "failed", "waiting"}),
    "store_recovered": frozenset({"store_broken"}),
    "mass_change_released": frozenset({"mass_change_held"}),
    "well_again": frozenset({"unwell"}),
    "offsite_started": frozenset({"offsite_died"}),
    "offsite_again": frozenset({"offsite_failing", "offsite_died"}),
}
"""By event that ends a trouble: which. It is told to whoever was told of the trouble."""

OFFSITE: Final = frozenset(name for name in KNOWN if name.startswith("offsite_"))
"""What `hermesguard offsite` says, or is said of it: a process of its own, with a unit of its own."""


class Alert(NamedTuple):
    """One event that happened. `values` are declared fields of their declared types: no text of a conversation."""

    name: str
    time: str
    """UTC, ISO 8601."""
    values: Mapping[str, Value]

    @property
    def event(self) -> Event:
        """Return its kind."""
        return KNOWN[self.name]


def of_entry(entry: Mapping[str, Any]) -> Alert | None:
    """Return the alert in an entry of the journal that the guard, or systemd about the guard, has written; else None."""
    message_id = str(entry.get("MESSAGE_ID", "")).replace("-", "")
    if message_id == UNIT_FAILED:
        unit = str(entry.get("UNIT") or entry.get("USER_UNIT"))
        result = entry.get("UNIT_RESULT")
        name = "offsite_died" if unit.startswith(OFFSITE_UNIT) else "died"
        return Alert(name, _time(entry), {"path": unit, "reason": str(result or "not known why")[:80]})
    event = BY_NAME.get(str(entry.get("HERMESGUARD_EVENT", "")))
    if event is None or event.message_id != message_id:
        return None
    found = {
        name: _typed(name, entry[field]) for name in event.fields if (field := journal_field(name)) in entry
    }
    return Alert(event.name, _time(entry), accepted(event, found)[0])


def _time(entry: Mapping[str, Any]) -> str:
    told = entry.get("HERMESGUARD_TIME")
    try:
        moment = datetime.fromisoformat(str(told))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC).isoformat()
    except ValueError:
        pass
    received = entry.get("__REALTIME_TIMESTAMP")
    return (received if isinstance(received, datetime) else datetime.now(UTC)).astimezone(UTC).isoformat()


def _typed(name: str, text: object) -> object:
    """Return a field of the journal, which has text only, as the catalogue declares it; None when it is none of that."""
    kind = FIELDS[name].kind
    if not isinstance(text, str):
        return None
    if get_origin(kind) is list:
        return text.split("\n")
    try:
        if kind is int or kind is float:
            return kind(text)
    except ValueError:
        return None
    return text == "true" if kind is bool else text


def of_incident(incident: Incident) -> Alert | None:
    """Return the alert in a line of the incident log; None when it is no event of the guard's."""
    event = BY_NAME.get(incident.event)
    if event is None or incident.is_by_user:
        return None
    values: dict[str, object] = {**incident._asdict(), "incident": incident.id}
    values = {name: values[name] for name in event.fields if values.get(name) not in (None, "", ())}
    if incident.event == "lost_before":
        values["count"] = 1
    return Alert(event.name, incident.time, accepted(event, values)[0])


def of_logged(value: Mapping[str, Any]) -> Alert | None:
    """Return the alert in a line of the log of `hermesguard offsite`; None when it is none of its events."""
    name, time = value.get("event"), value.get("time")
    if name not in OFFSITE & BY_NAME.keys() or not isinstance(time, str):
        return None
    try:
        moment = datetime.fromisoformat(time).astimezone(UTC).isoformat()
    except ValueError:
        return None
    event = BY_NAME[name]
    return Alert(name, moment, accepted(event, {key: value.get(key) for key in event.fields})[0])
