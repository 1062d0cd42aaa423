"""A notifier whose clock a test turns: on a journal of real files, with deliveries that are real or noted only."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hermesguard.clock import Clock
from hermesguard.config import settings as config
from hermesguard.config.settings import Settings
from hermesguard.notify import settings as notify_settings
from hermesguard.notify.deliver import Delivery
from hermesguard.notify.digest import Message
from hermesguard.notify.notifier import Notifier, Surroundings
from hermesguard.notify.ping import Proof, Signal
from hermesguard.notify.settings import Address, NotifySettings
from tests.helpers.journals import UNIT, Journals
from tests.helpers.waiting import until


class Noted:
    """In place of a delivery: an answer that is known at once."""

    pid = os.getpid()

    def __init__(self, address: Address, answer: str) -> None:
        self.address = address
        self._answer = answer

    def result(self) -> str:
        return self._answer

    def wait(self) -> str:
        return self._answer


class Desk:
    """Everything about one notifier; `answer` is why deliveries fail (empty: they do not), None for real ones."""

    def __init__(self, root: Path, *, urls: tuple[str, ...] = ("json://nobody/a",), **table: object) -> None:
        self.now = 1_800_000_000.0
        self.root = root
        self.answer: str | None = ""
        self.sent: list[tuple[str, Message]] = []
        self.said: list[str] = []
        self.pings: list[Signal] = []
        self.ping_answer = ""
        self.proof = Proof("", "start-1", "scan-1")
        self.journals = Journals(root / "journal")
        self.settings, self.options = options(root, urls=list(urls), unit=UNIT, source="journal", **table)
        self.notifier = self.made()

    def made(self) -> Notifier:
        clock = Clock(monotonic=lambda: self.now, now=lambda: datetime.fromtimestamp(self.now, UTC))
        around = Surroundings(
            clock=clock,
            host="host-a",
            journal=self.journals.directory,
            say=self.said.append,
            deliver=self._deliver,
            prove=lambda store, now: self.proof,
            visit=self._visit,
        )
        return Notifier(self.settings, self.options, around)

    def restart(self) -> None:
        """As after a kill: a new notifier, on what the old one has left on the disk."""
        self.notifier.__exit__()
        self.notifier = self.made()
        self.notifier.__enter__()

    def _deliver(self, directory: Path, address: Address, message: Message) -> Any:
        self.sent.append((address.name, message))
        return Delivery(directory, address, message) if self.answer is None else Noted(address, self.answer)

    def _visit(self, url: str, style: str, signal: Signal) -> str:
        self.pings.append(signal)
        return self.ping_answer

    def until_idle(self) -> None:
        """Turn until nothing is left to be done at this instant."""
        while True:
            sent = len(self.sent)
            self.notifier.turn()
            if (delivery := self.notifier._delivery) is not None:
                until(lambda delivery=delivery: delivery.result() is not None)  # type: ignore[misc]
            elif sent == len(self.sent) and not self.notifier._has_more:
                return

    def sleep(self, seconds: float, step_seconds: float = 1.0) -> None:
        """Let time go by, turning all the while."""
        until_then = self.now + seconds
        while self.now < until_then:
            self.now = min(until_then, self.now + step_seconds)
            self.until_idle()


def options(root: Path, **table: object) -> tuple[Settings, NotifySettings]:
    """The settings of a file with this table [notify], and what they ask for."""
    path = root / "hermesguard.toml"
    path.write_text("[notify]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in table.items()))
    path.chmod(0o600)
    places = {"sessions": str(root / "sessions"), "store": str(root / "store")}
    settings = config.load(places, {"HOME": str(root)}, [path])
    return settings, notify_settings.load(settings, {})


def toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'
