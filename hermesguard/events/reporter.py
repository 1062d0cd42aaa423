"""Reporting: every event goes through here, to the journal or to the standard error, and never makes the guard wait."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from hermesguard.clock import Clock
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.catalog import BY_NAME, accepted
from hermesguard.events.event import Event, Priority, Value, as_typed
from hermesguard.events.journald import SOCKET, Journal, stderr_is_journal
from hermesguard.events.sinks import STDERR, JournalText, JsonLines, Outbox, Record, Sink, Text

WAYS: Final = ("auto", "journal", "json", "text", "quiet")
LEVELS: Final = {priority.name.lower(): priority for priority in Priority}
_FLUSH_PAUSE_SECONDS: Final = 0.02


class Reporter:
    """Where events go. One thread uses it; nothing here raises or waits, but for `flush`, which has a deadline."""

    def __init__(
        self, sinks: list[Sink], level: Priority = Priority.INFO, clock: Clock | None = None
    ) -> None:
        """Report to `sinks` what is of `level` or worse; times are those of `clock`."""
        self._clock = clock or Clock()
        self._level = level
        self._listeners: dict[str, list[Callable[[Record], None]]] = {}
        self._outboxes = [Outbox(sink, self._notice_for(sink)) for sink in sinks]

    def add(self, sink: Sink) -> None:
        """Report to one more sink."""
        self._outboxes.append(Outbox(sink, self._notice_for(sink)))

    def listen(self, listener: Callable[[Record], None], names: Iterable[str]) -> None:
        """Let `listener` hear of the events `names`, whatever their level; it must not wait (`hooks.Hooks.hear`)."""
        for name in names:
            self._listeners.setdefault(name, []).append(listener)

    def wants(self, name: str) -> bool:
        """Return whether the event goes anywhere, so that its fields need not be gathered in vain."""
        return name in self._listeners or BY_NAME[name].priority <= self._level

    def report(self, name: str, /, **fields: object) -> None:
        """Say that an event happened now.

        `fields` are those that the catalogue declares for it; None means not known. What is not declared, or not of its
        declared type, is left out and reported as `internal_error`: it could be text of a conversation.
        """
        try:
            self._report(name, fields)
        except Exception as error:  # noqa: BLE001 - reporting must never end a repair
            with suppress(Exception):
                self._report("internal_error", {"error": type(error).__name__, "reason": f"reporting {name}"})

    def _report(self, name: str, fields: Mapping[str, object]) -> None:
        event = BY_NAME[name]
        if not self.wants(name):
            return
        values, complaints = accepted(event, fields)
        values = as_typed(values)
        record = self._record(event, values)
        for listener in self._listeners.get(name, ()):
            listener(record)
        if event.priority <= self._level:
            for outbox in self._outboxes:
                outbox.put(outbox.sink.encode(record), event.priority < Priority.INFO)
                outbox.pump()
        for complaint in complaints:
            self._report("internal_error", {"error": complaint})

    def _record(self, event: Event, values: Mapping[str, Value]) -> Record:
        return Record(event, self._clock.now(), event.text(values), values)

    def _notice_for(self, sink: Sink) -> Callable[[int], bytes]:
        return lambda count: sink.encode(self._record(BY_NAME["dropped"], {"count": count}))

    def pump(self) -> float | None:
        """Send what is taken now; return seconds until this wants to be called again, None when all is said."""
        delays = [delay for outbox in self._outboxes if (delay := outbox.pump()) is not None]
        return min(delays, default=None)

    def flush(self, deadline_seconds: float) -> bool:
        """Wait until all is said, but no longer than `deadline_seconds`; return whether it is. For the end only."""
        deadline = time.monotonic() + deadline_seconds
        while (delay := self.pump()) is not None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            time.sleep(min(delay, remaining, _FLUSH_PAUSE_SECONDS))
        return True

    def close(self) -> None:
        """Give up what is still unsaid and close the ways out."""
        for outbox in self._outboxes:
            outbox.sink.close()
        self._outboxes.clear()


def open_reporter(
    environment: Mapping[str, str] = os.environ,
    way: str = "",
    clock: Clock | None = None,
    journal: Path = SOCKET,
) -> Reporter:
    """Return a reporter as HERMESGUARD_LOG and HERMESGUARD_LOG_LEVEL ask for; GuardError when they say something else.

    `way` wins over HERMESGUARD_LOG. "auto": the journal, if it takes entries, and text as well if the standard error is
    a terminal; otherwise JSON lines. "quiet", for commands that talk themselves: the journal or nothing. `journal` is
    the socket of journald.
    """
    way = way or environment.get("HERMESGUARD_LOG") or "auto"
    level = environment.get("HERMESGUARD_LOG_LEVEL") or "info"
    _check("HERMESGUARD_LOG", way, WAYS)
    _check("HERMESGUARD_LOG_LEVEL", level, tuple(LEVELS))
    return Reporter(_sinks(way, environment, journal), LEVELS[level], clock)


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise GuardError(
            f"{name} = {value!r}: invalid value", f"Allowed: {', '.join(allowed)}", ExitCode.CONFIG
        )


def _sinks(way: str, environment: Mapping[str, str], journal: Path) -> list[Sink]:
    sinks: list[Sink] = []
    if way in ("auto", "journal", "quiet"):
        try:
            sinks.append(Journal(journal))
        except OSError as error:
            if way == "journal":
                raise GuardError(
                    f"HERMESGUARD_LOG = journal, but {journal} takes no entries ({error.strerror})",
                    "Leave HERMESGUARD_LOG away, or mount the socket of the host's journal there",
                    ExitCode.CONFIG,
                ) from None
    with suppress(OSError):  # there is no standard error
        terminal = os.isatty(STDERR)
        if way == "text" or (way == "auto" and terminal):
            sinks.append(Text(environment=environment))
        elif way == "json" or (way == "auto" and not sinks):
            # Lines in the journal's own stream are its entries; JSON is for those who read a pipe.
            in_journal = way == "auto" and stderr_is_journal(environment)
            sinks.append(JournalText() if in_journal else JsonLines())
    return sinks
