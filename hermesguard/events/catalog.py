"""The catalogue of events: everything that hermesguard reports, each with the constant id that alerts are made of.

`python -m tools.docs.events catalog` prints the journal's catalogue file, `python -m tools.docs.events markdown` the
page docs/journal.md. A MESSAGE_ID never changes and is never used again for something else: alerts depend on it.
"""

from collections.abc import Mapping
from typing import Final

from hermesguard.events.event import Event, Field, Value, fitted
from hermesguard.events.guard_events import GUARD_EVENTS
from hermesguard.events.session_events import SESSION_EVENTS

FIELDS: Final[dict[str, Field]] = {
    "session": Field(str, "id of the session, the name of its file without .json"),
    "previous_session": Field(str, "id that the session had before it was renamed"),
    "incident": Field(
        str, "id of the incident, to be typed after `hermesguard undo` and `hermesguard explain`"
    ),
    "verdict": Field(
        str, "what the judge said: keep, intended, restore, merge, uncertain, deleted, renamed, not known"
    ),
    "rule": Field(str, "name of the rule that decided"),
    "evidence": Field(list[str], "what spoke for the verdict, one sentence a line"),
    "against": Field(list[str], "what spoke against it, one sentence a line"),
    "parts": Field(list[str], "what a save took away of what belongs to messages"),
    "action": Field(str, "what was done"),
    "undo": Field(str, "the command that reverses it"),
    "messages_before": Field(int, "messages in the last good copy"),
    "messages_live": Field(int, "messages in the file as it was found"),
    "messages_after": Field(int, "messages in the file now"),
    "messages_lost": Field(int, "messages that were missing in the file as it was found"),
    "version": Field(str, "name of the version in the history that holds what was there before"),
    "displaced": Field(str, "name of the version in the history that holds what a repair displaced"),
    "writer_pid": Field(int, "process that wrote the file, by the name of its temporary file"),
    "other_writer_pid": Field(int, "another process that writes, by the names of its temporary files"),
    "writer_command": Field(str, "command name of that process"),
    "duration_us": Field(int, "microseconds that it took"),
    "sessions": Field(int, "number of sessions"),
    "names": Field(list[str], "ids of the sessions that are meant, one a line"),
    "messages": Field(int, "number of messages"),
    "incidents": Field(int, "number of incidents"),
    "count": Field(int, "how many"),
    "versions": Field(int, "number of versions"),
    "files": Field(int, "number of files"),
    "size_bytes": Field(int, "size in bytes"),
    "limit_bytes": Field(int, "the configured limit in bytes"),
    "seconds": Field(float, "a span of time in seconds"),
    "path": Field(str, "the file or directory that is meant"),
    "target": Field(str, "where it is now"),
    "store": Field(str, "directory in which the copies are kept"),
    "directory": Field(
        str, "name of the sessions directory, where it is not the first of several: that of its profile"
    ),
    "lease": Field(str, "the Lease of the Kubernetes cluster, as NAMESPACE/NAME"),
    "holder": Field(str, "who holds it: name of a pod, and a number of its own"),
    "mode": Field(str, "how changes are seen: inotify or polling"),
    "reason": Field(str, "why"),
    "error": Field(str, "what went wrong, as the system says it"),
    "remedy": Field(str, "what to do about it"),
    "reference": Field(str, "name of a fault of hermesguard itself, the same each time it happens"),
    "command": Field(str, "name of the configured command, not its arguments"),
    "exit_status": Field(int, "exit status of that command; negative: ended by that signal"),
    "program_version": Field(str, "version of hermesguard"),
}
"""Every field that an event may carry; in the journal `messages_before` stands as HERMESGUARD_MESSAGES_BEFORE."""

_OF_A_DIRECTORY: Final = frozenset(
    {
        *("waiting", "ready", "watch_lost", "watch_restored", "polling", "overflow", "elsewhere"),
        *("directory_found", "store_broken", "store_recovered", "set_aside", "over_limit", "pruned"),
        *("exchange_unavailable", "verify_failed", "verified", "internal_error"),
        *(event.name for event in SESSION_EVENTS),
    }
)
"""What happens in one sessions directory, or in its part of the store; the rest is about the guard as a whole."""

EVENTS: Final[tuple[Event, ...]] = tuple(
    event._replace(fields=(*event.fields, "directory")) if event.name in _OF_A_DIRECTORY else event
    for event in (*GUARD_EVENTS, *SESSION_EVENTS)
)
BY_NAME: Final[dict[str, Event]] = {event.name: event for event in EVENTS}


def accepted(event: Event, values: Mapping[str, object]) -> tuple[dict[str, Value], list[str]]:
    """Return the values that `event` may carry, and a complaint for each that it may not; None means not known.

    This is the gate that keeps text of conversations in: only declared fields pass, only of their declared types.
    """
    passed: dict[str, Value] = {}
    complaints: list[str] = []
    for name, value in values.items():
        if value is None:
            continue
        if name not in event.fields:
            complaints.append(f"{event.name} has no field {name}")
        elif (fit := fitted(value, FIELDS[name].kind)) is None:
            complaints.append(f"{event.name}: {name} is {type(value).__name__}")
        else:
            passed[name] = fit
    return passed, complaints
