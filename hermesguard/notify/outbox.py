"""What waits for one address: gathered for a while, sent, and tried again with growing pauses. Pure: the time is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from hermesguard.events.event import plain
from hermesguard.notify.alerts import Alert
from hermesguard.notify.digest import Digest, Message

FIRST_PAUSE_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 600.0
_LONGEST_ERROR: Final = 200


@dataclass
class Outbox:
    """The alerts for one address: each goes into exactly one message, which stays as it is until it was delivered.

    Times are seconds since 1970, so that they mean something after a restart.
    """

    key: str
    name: str
    number: int = 0
    """Of the newest message; messages that wait are sent again under the number that they have."""
    gathering: Digest = field(default_factory=Digest)
    since: float = 0.0
    """When the first of what is gathered came."""
    sending: Message | None = None
    attempts: int = 0
    """How often the present message was refused."""
    retry_at: float = 0.0
    error: str = ""
    """Why, the last time; empty when the last try went well."""
    delivered: int = 0
    delivered_at: float = 0.0
    is_told: set[str] = field(default_factory=set)
    """The troubles that this address was told of, and of whose end it is to hear."""

    @property
    def waiting(self) -> int:
        """Return how many messages wait, with the one that is being gathered."""
        return (self.sending is not None) + bool(self.gathering.kinds)

    def add(self, alert: Alert, title: str, now: float) -> None:
        """Gather an alert."""
        if not self.gathering.kinds:
            self.since = now
        self.gathering.add(alert, title)

    def due(self, now: float, gather_seconds: float) -> bool:
        """Return whether something is to be sent now. A clock that was set back makes nothing wait for longer."""
        if self.sending:
            return not 0 < self.retry_at - now <= LONGEST_PAUSE_SECONDS
        return bool(self.gathering.kinds) and not 0 <= now - self.since < gather_seconds

    def wait_seconds(self, now: float, gather_seconds: float) -> float | None:
        """Return how long until something is due; None when nothing waits."""
        if self.due(now, gather_seconds):
            return 0.0
        if self.sending:
            return self.retry_at - now
        return self.since + gather_seconds - now if self.gathering.kinds else None

    def next(self, host: str, sender: str) -> Message:
        """Return the message that is due; what comes from now on goes into another one."""
        if self.sending is None:
            self.number += 1
            self.sending = self.gathering.message(self.number, host, sender)
            self.gathering = Digest()
            self.attempts = 0
        return self.sending

    def done(self, now: float) -> None:
        """Note that the message was delivered."""
        self.sending = None
        self.attempts, self.retry_at, self.error = 0, 0.0, ""
        self.delivered += 1
        self.delivered_at = now

    def failed(self, error: str, now: float) -> None:
        """Note that it was not, and when to try again: 10 s later, then twice as long each time, at most 10 minutes."""
        self.attempts += 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self.attempts - 1, 20), LONGEST_PAUSE_SECONDS)
        self.retry_at = now + pause
        self.error = plain(error)[:_LONGEST_ERROR]

    def to_object(self) -> dict[str, Any]:
        """Return it for the state file."""
        return {
            "key": self.key,
            "name": self.name,
            "number": self.number,
            "gathering": self.gathering.to_object(),
            "since": self.since,
            "sending": self.sending._asdict() if self.sending else None,
            "attempts": self.attempts,
            "retry_at": self.retry_at,
            "error": self.error,
            "delivered": self.delivered,
            "delivered_at": self.delivered_at,
            "told": sorted(self.is_told),
        }

    @classmethod
    def from_object(cls, value: Mapping[str, Any]) -> "Outbox":
        """Return the outbox of a state file; KeyError, TypeError, ValueError when it is none."""
        sending = value["sending"]
        return cls(
            key=str(value["key"]),
            name=str(value["name"]),
            number=int(value["number"]),
            gathering=Digest.from_object(value["gathering"]),
            since=float(value["since"]),
            sending=_message(sending) if sending is not None else None,
            attempts=int(value["attempts"]),
            retry_at=float(value["retry_at"]),
            error=str(value["error"]),
            delivered=int(value["delivered"]),
            delivered_at=float(value["delivered_at"]),
            is_told={str(name) for name in value["told"]},
        )


def _message(value: Mapping[str, Any]) -> Message:
    return Message(int(value["number"]), str(value["title"]), str(value["body"]), str(value["kind"]))


def iso(seconds: float) -> str:
    """Return a time as UTC, ISO 8601; empty for none, and for one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else ""
    except (ValueError, OverflowError, OSError):
        return ""
