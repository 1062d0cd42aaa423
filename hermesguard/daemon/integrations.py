"""What the guard does for others beyond the journal: configured commands and metrics.

Each has a module that is loaded only when the settings ask for it.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hermesguard.config.settings import Settings
from hermesguard.events.reporter import Reporter

if TYPE_CHECKING:
    from hermesguard.events.hooks import Hooks
    from hermesguard.events.metrics import Figures, Metrics
    from hermesguard.guard.guard import Guard


def figures_of(guards: "Sequence[Guard]", is_watching: bool) -> "Figures":
    """Return the figures of the guards of all directories for the metrics; reads no file."""
    from hermesguard.events.metrics import Figures

    notes = [guard.notes for guard in guards]
    totals = [it.totals for it in notes]
    return Figures(
        started=_seconds(totals[0].started),
        last_scan=_seconds(min(filter(None, (it.last_scan for it in totals)), default="")),
        last_save=max(it.last_save_ns for it in notes) / 1e9,
        sessions=sum(len(it.seen) for it in notes),
        messages=sum(it.seen.messages for it in notes),
        sessions_missing=sum(len(guard.missing_files.held) for guard in guards),
        sessions_unreadable=sum(len(it.unreadable) for it in notes),
        is_watching=is_watching,
        is_store_writable=not any(guard.copies.broken for guard in guards),
        repairs=sum(it.restored for it in totals),
        uncertain=sum(it.uncertain for it in totals),
        unrepaired=sum(it.unrepaired for it in totals),
    )


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() if time else 0.0


class Integrations:
    """The commands and the metrics of the settings. Nothing here waits or raises, but for `flush`, which has a deadline."""

    def __init__(self, settings: Settings, reporter: Reporter, look: "Callable[[], Figures | None]") -> None:
        """`look` returns the figures for the metrics, None as long as there is nothing to say yet."""
        self._reporter = reporter
        self._look = look
        self._hooks: Hooks | None = None
        self._metrics: Metrics | None = None
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Use these settings from now on."""
        if self._hooks:
            self._hooks.configure(settings)
        elif settings.alert_command or settings.heartbeat_command or settings.on_version_command:
            from hermesguard.events import hooks

            self._hooks = hooks.Hooks(settings, self._reporter.report)
            self._reporter.listen(self._hooks.hear, hooks.HEARD)
        if self._metrics:
            self._metrics.configure(settings)
        elif settings.metrics_textfile or settings.metrics_port:
            from hermesguard.events import metrics

            self._metrics = metrics.Metrics(settings, self._reporter.report)
            self._reporter.listen(self._metrics.hear, metrics.HEARD)

    def scanned(self, sessions: int, messages: int) -> None:
        """Say that a scan proved the watch, and what it found."""
        if self._hooks:
            self._hooks.heartbeat(sessions=sessions, messages=messages)

    def pump(self) -> float | None:
        """Do what is to be done now; return seconds until this wants to be called again, None when idle."""
        waits = []
        if self._hooks:
            waits.append(self._hooks.pump())
        if self._metrics:
            waits.append(self._metrics.pump(time.monotonic(), self._look))
        return min((wait for wait in waits if wait is not None), default=None) if waits else None

    def flush(self, deadline_seconds: float) -> None:
        """Wait for commands that are to be run, but no longer than `deadline_seconds`."""
        if self._hooks:
            self._hooks.flush(deadline_seconds)

    def close(self) -> None:
        """End commands that still run, and give no metrics out any more."""
        if self._hooks:
            self._hooks.close()
        if self._metrics:
            self._metrics.close()
