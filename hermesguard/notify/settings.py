"""What `hermesguard notify` is to do: the table [notify], and the addresses from wherever they are kept."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple

from hermesguard.config import tables
from hermesguard.config.addresses import is_web_address
from hermesguard.config.secrets import read_secret, require_private
from hermesguard.config.settings import Settings
from hermesguard.config.tables import Span, Table
from hermesguard.errors import ExitCode, GuardError, nearest_of
from hermesguard.notify.alerts import ALERTS, KNOWN, URGENT

CREDENTIAL: Final = "notify.urls"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://\S")
_GROUPS: Final = {"urgent": URGENT, "alerts": ALERTS}


class Address(NamedTuple):
    """Where messages go. Everything in `url` may be secret; `name` is what may be said of it."""

    url: str
    name: str

    @property
    def key(self) -> str:
        """By what it is known in the state: the same address, wherever it stands."""
        return sha256(self.url.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """The table [notify]. `events` are names of `alerts.KNOWN`; `unit` is empty for whatever the store's owner runs."""

    addresses: tuple[Address, ...]
    events: frozenset[str]
    gather_seconds: float
    quiet_hours: Span | None
    titles: bool
    unit: str
    source: Literal["auto", "journal", "incidents"]
    ping_url: str
    ping_style: Literal["auto", "healthchecks", "kuma", "plain"]

    @property
    def is_idle(self) -> bool:
        """Return whether nobody is to hear of anything."""
        return not (self.addresses or self.ping_url)


def load(settings: Settings, environment: Mapping[str, str] = os.environ) -> NotifySettings:
    """Return what [notify] asks for. Raises GuardError (exit code 12): a wrong value, or secrets that others may read."""
    table = tables.load(settings, "notify")
    for field in ("urls", "ping_url"):
        if table.values[field] and Path(table.origins[field]).is_absolute():
            require_private(Path(table.origins[field]), f"notify.{field}")
    urls, ping_url = list(table.values["urls"]), table.values["ping_url"]
    for path, is_of_systemd in _secret_files(table, environment):
        more, ping = _read_secrets(path, is_of_systemd)
        urls += more
        ping_url = ping or ping_url
    values = {key: value for key, value in table.values.items() if key not in ("urls", "urls_file")}
    values |= {"events": _events(table), "ping_url": ping_url}
    return NotifySettings(addresses=_addresses(urls), **values)


def _addresses(urls: list[str]) -> tuple[Address, ...]:
    found = []
    for number, url in enumerate(dict.fromkeys(urls), 1):
        match = _SCHEME.match(url)
        if match is None:
            raise GuardError(
                f"notify.urls: address {number} is none",
                "An address begins with the name of a service, as in ntfys://ntfy.example.org/my-topic: see docs/notify.md",
                ExitCode.CONFIG,
            )
        found.append(Address(url, f"address {number} ({match[1].lower()})"))
    return tuple(found)


def _events(table: Table) -> frozenset[str]:
    names: set[str] = set()
    for word in table.values["events"]:
        if word in _GROUPS:
            names |= _GROUPS[word]
        elif word in KNOWN:
            names.add(word)
        else:
            raise GuardError(
                f"{table.origins['events']}: notify.events has {ascii(word)[:60]}, which is no event",
                nearest_of(word, [*_GROUPS, *KNOWN], "hermesguard(7) lists the events"),
                ExitCode.CONFIG,
            )
    return frozenset(names)


def _secret_files(table: Table, environment: Mapping[str, str]) -> list[tuple[Path, bool]]:
    """Return the files with addresses, and of each whether systemd has laid it out for this user alone."""
    found = []
    if table.values["urls_file"]:
        found.append((table.values["urls_file"], False))
    if directory := environment.get("CREDENTIALS_DIRECTORY"):
        credential = Path(directory) / CREDENTIAL
        if credential.exists():
            found.append((credential, True))
    return found


def _read_secrets(path: Path, is_of_systemd: bool) -> tuple[list[str], str]:
    """Return (addresses, ping_url) of a file: a line each, what follows # at its beginning is a remark."""
    text = read_secret(path, "addresses of notify", is_of_systemd)
    lines = [line.strip() for line in text.splitlines()]
    pings = [line.removeprefix("ping ").strip() for line in lines if line.startswith("ping ")]
    urls = [line for line in lines if line and not line.startswith(("#", "ping "))]
    if len(pings) > 1 or not all(is_web_address(ping) for ping in pings):
        raise GuardError(
            f"{path}: the line that begins with ping is wrong",
            "There may be one, with an address that begins with http:// or https://",
            ExitCode.CONFIG,
        )
    return urls, pings[0] if pings else ""
