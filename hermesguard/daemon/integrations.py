"""What the guard does for others beyond the journal: configured commands and metrics.

Each has a module that is loaded only when the settings ask for it.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from hermesguard.config.settings import Settings
from hermesguard.events.reporter import Reporter

if TYPE_CHECKING:
    from hermesguard.events.hooks import Hooks
    from hermesguard.events.metrics import Figures, Metrics
    from hermesguard.guard.guard import Guard


def figures_of(guard: "Guard", is_watching: bool) -> "Figures":
    """Return the figures of a running guard for the metrics; reads no file."""
    from hermesguard.events.metrics import Figures

    notes, totals = guard.notes, guard.notes.totals
    return Figures(
        started=_seconds(totals.started),
        last_scan=_seconds(totals.last_scan),
        last_save=totals.last_save_ns / 1e9,
        sessions=len(notes.seen),
        messages=notes.seen.messages,
        sessions_missing=len(guard.missing_files.held),
        sessions_unreadable=len(notes.unreadable),
        is_watching=is_watching,
        is_store_writable=not guard.copies.broken,
        repairs=totals.restored,
        uncertain=totals.uncertain,
        unrepaired=totals.unrepaired,
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
