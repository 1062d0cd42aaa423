"""What the notifier must not forget: how far it has read, and what waits for whom. One file, replaced whole, durable.

It lies beside the store (`STORE.notify`), for the notifier has no right to write into the store. Where it has read to and
what it has read are in the same file, so that neither can be without the other. `hermesguard status` reads it too.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from hermesguard import files
from hermesguard.notify.outbox import Outbox, iso
from hermesguard.store.lock import lock_holder

SUFFIX: Final = ".notify"
LOCK: Final = "lock"
FILE: Final = "state.json"
DELIVERY_LOCK: Final = "delivery.lock"
ALIVE_SECONDS: Final = 60.0
"""How often a notifier gives a sign of life (the lock file's mtime)."""
_SILENT_SECONDS: Final = 300.0
_VERSION: Final = 1
_LARGEST_BYTES: Final = 64 * 1024 * 1024
_FAILED_ATTEMPTS: Final = 3
"""So many refusals in a row are worth a word in `status`."""


def directory_of(store: Path) -> Path:
    """Return where the state of the notifier of a store is."""
    return store.with_name(store.name + SUFFIX)


@dataclass
class State:
    """All of it. `source` is empty as long as it is not known where the guard reports to."""

    since: float = 0.0
    """What happened before is not told."""
    source: str = ""
    cursor: str = ""
    """Of the journal: the last entry that was read."""
    incident: int = 0
    """Of the incident log: the highest number that was read."""
    incident_mark: str = ""
    """Of that one: by what it is known again, so that another log with the same numbers is seen."""
    offsite: int = 0
    """Of the log of the offsite copies: the highest number that was read."""
    read_until: float = 0.0
    """When what was read last happened."""
    outboxes: list[Outbox] = field(default_factory=list)
    ping: dict[str, Any] = field(default_factory=dict)
    """Of the dead man's switch, for `status`: "sent", "error", "reason"."""
    is_stopped: bool = False
    """Whether the last notifier was ended as it should."""

    @property
    def position(self) -> tuple[str, int, int]:
        """How far was read, in all sources."""
        return self.cursor, self.incident, self.offsite

    def line(self) -> bytes:
        """Return it as the file has it."""
        value = {
            "version": _VERSION,
            "since": self.since,
            "source": self.source,
            "cursor": self.cursor,
            "incident": self.incident,
            "incident_mark": self.incident_mark,
            "offsite": self.offsite,
            "read_until": self.read_until,
            "outboxes": [outbox.to_object() for outbox in self.outboxes],
            "ping": self.ping,
            "stopped": self.is_stopped,
        }
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def read(directory: Path) -> State | None:
    """Return the state; None when there is none. Raises OSError, ValueError when the file is none of ours or damaged."""
    try:
        data = files.read(directory / FILE, _LARGEST_BYTES)[0]
    except FileNotFoundError:
        return None
    try:
        value: Mapping[str, Any] = orjson.loads(data)
        if value["version"] != _VERSION:
            raise ValueError("it is of another version of hermesguard")
        ping = value["ping"]
        return State(
            since=float(value["since"]),
            source=str(value["source"]),
            cursor=str(value["cursor"]),
            incident=int(value["incident"]),
            incident_mark=str(value.get("incident_mark", "")),
            offsite=int(value.get("offsite", 0)),
            read_until=float(value.get("read_until", 0.0)),
            outboxes=[Outbox.from_object(one) for one in value["outboxes"]],
            ping={str(key): ping[key] for key in ping if isinstance(ping[key], str | float)},
            is_stopped=bool(value["stopped"]),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it lacks {error}") from None


def write(directory: Path, state: State) -> None:
    """Make the state durable. Raises OSError."""
    files.write_durably(directory / FILE, state.line())


def set_aside(directory: Path) -> Path:
    """Give a state that cannot be read another name; return that. Raises OSError."""
    target = directory / f"{FILE}.damaged"
    files.move(directory / FILE, target)
    return target


# ---- receipts: what was delivered, noted by whoever delivered it, whatever becomes of the notifier meanwhile


def receipt(directory: Path, key: str) -> int:
    """Return the number of the last message that was delivered to an address; 0 when there was none."""
    with suppress(OSError, ValueError):
        return int(files.read(directory / f"delivered-{key}", 64)[0])
    return 0


def write_receipt(directory: Path, key: str, number: int) -> None:
    """Note durably that a message was delivered. Raises OSError."""
    files.write_durably(directory / f"delivered-{key}", f"{number}\n".encode())


# ---- for `hermesguard status`


def summary(store: Path, now: float) -> dict[str, Any] | None:
    """Return what `status` says of the notifier of a store; None when there never was one. Raises nothing."""
    directory = directory_of(store)
    try:
        state = read(directory)
    except (OSError, ValueError) as error:
        return {**_OF_NONE, "problem": f"its state {directory / FILE} cannot be read ({error})"}
    if state is None:
        return None
    running = lock_holder(directory / LOCK) is not None
    problem = ""
    if not running and not state.is_stopped:
        problem = "the notifier has ended without a word"
    elif running and now - _alive(directory) > _SILENT_SECONDS:
        problem = "the notifier hangs"
    return {
        "running": running,
        "problem": problem,
        "source": state.source,
        "addresses": [
            {
                "name": outbox.name,
                "waiting": outbox.waiting,
                "alerts_waiting": outbox.gathering.count,
                "attempts": outbox.attempts,
                "error": outbox.error,
                "next_try": iso(outbox.retry_at) if outbox.sending else "",
                "delivered": outbox.delivered,
                "last_delivered": iso(outbox.delivered_at),
            }
            for outbox in state.outboxes
        ],
        "last_ping": iso(_number(state.ping.get("sent"))),
        "ping_error": str(state.ping.get("error", "")),
    }


_OF_NONE: Final = {"running": False, "source": "", "addresses": [], "last_ping": "", "ping_error": ""}


def troubles(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong in a summary, each with what to do about it."""
    found = []
    if known["problem"]:
        found.append((known["problem"], "See: systemctl status hermesguard-notify, or start it again"))
    for address in known["addresses"]:
        if address["attempts"] >= _FAILED_ATTEMPTS:
            messages = "a message waits" if address["waiting"] == 1 else f"{address['waiting']} messages wait"
            found.append(
                (
                    f"{messages} for {address['name']}: {address['error']}",
                    "It is tried again by itself; to try now: hermesguard notify --test",
                )
            )
    if known["ping_error"]:
        found.append((f"ping_url cannot be reached: {known['ping_error']}", "It is tried again every minute"))
    return found


def _alive(directory: Path) -> float:
    try:
        return os.stat(directory / LOCK).st_mtime
    except OSError:
        return 0.0


def _number(value: object) -> float:
    return value if isinstance(value, float) else 0.0
