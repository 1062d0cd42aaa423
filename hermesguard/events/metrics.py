"""Figures for Prometheus: a file for the node exporter's textfile collector, an endpoint on the loopback address, or both.

All that could wait (importing the client library, a hanging disk, a slow reader) happens in threads of its own, which see
nothing but the figures that the loop has laid down.
"""

import os
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Protocol

from hermesguard import __version__
from hermesguard.events.catalog import EVENTS
from hermesguard.events.event import Priority
from hermesguard.events.sinks import Record
from hermesguard.files import write_all

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

HEARD: Final = frozenset(event.name for event in EVENTS if event.priority <= Priority.WARNING)
"""The events that `Metrics.hear` counts."""

INTERVAL_SECONDS: Final = 10.0
LOOPBACK: Final = "127.0.0.1"
_OWN_NAMES: Final = frozenset({LOOPBACK, "localhost", "[::1]"})
_RECHECK_SECONDS: Final = 1.0
_READER_TIMEOUT_SECONDS: Final = 5.0
_PORT_PATIENCE_SECONDS: Final = 2.0
_LIBRARY: Final = "prometheus-client"
_INSTALL: Final = "Install it: pip install 'prometheus-client>=0.20'"
_NETWORK: Final = "Allow it the network (the example network.conf), or choose another port"
_WRITABLE: Final = "Let the unit write there (the example metrics.conf), and its user too"


class MetricsSettings(Protocol):
    """The settings that matter here (`config.Settings`)."""

    @property
    def store(self) -> Path: ...
    @property
    def metrics_textfile(self) -> Path | None: ...
    @property
    def metrics_port(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """What the loop knows at one instant. Times are seconds since the epoch, 0 for never; counts are since the start."""

    started: float
    last_scan: float
    last_save: float
    sessions: int
    messages: int
    sessions_missing: int
    sessions_unreadable: int
    is_watching: bool
    is_store_writable: bool
    repairs: int
    uncertain: int
    unrepaired: int


class Metrics:
    """What is given out. The loop calls every method, and none of them waits.

    A fault is reported as `metrics_failed`, once until it is repaired; every ten seconds it is tried again.
    """

    def __init__(self, options: MetricsSettings, report: Callable[..., None]) -> None:
        self._report = report
        self._due = 0.0
        self._faults_due = 0.0
        self._reported: dict[str, str] = {}
        self._desk = _Desk(options)
        threading.Thread(target=_Exporter(self._desk).work, name="metrics", daemon=True).start()

    def configure(self, options: MetricsSettings) -> None:
        """Use other settings from now on (a reload)."""
        self._desk.options = options
        self._reported.clear()
        self._desk.news.set()

    def hear(self, record: Record) -> None:
        """Count an event."""
        self._desk.events[record.event.name] += 1

    def pump(self, now: float, look: Callable[[], Figures | None]) -> float:
        """Publish fresh figures when it is time, report what went wrong; return seconds until the next call.

        `now` is monotonic; `look` returns None as long as there is nothing to say yet.
        """
        self._hear_of_faults()
        if now >= self._due:
            figures = look()
            self._due = now + (INTERVAL_SECONDS if figures else _RECHECK_SECONDS)
            self._faults_due = now + _RECHECK_SECONDS
            if figures:
                self._desk.figures = figures
                self._desk.news.set()
        return (self._faults_due if now < self._faults_due else self._due) - now

    def _hear_of_faults(self) -> None:
        with suppress(Empty):
            while True:
                place, error, remedy = self._desk.faults.get_nowait()
                if error and self._reported.get(place) != error:
                    self._report("metrics_failed", error=error, path=place, remedy=remedy)
                self._reported[place] = error

    def close(self) -> None:
        """Give nothing out any more. The file stays as it is: that its times stand still is the alarm."""
        self._desk.is_closed = True
        self._desk.news.set()


@dataclass
class _Desk:
    """What the loop lays down and the threads take up; each member is replaced as a whole."""

    options: MetricsSettings
    figures: Figures | None = None
    events: Counter[str] = field(default_factory=Counter)
    news: threading.Event = field(default_factory=threading.Event)
    faults: SimpleQueue[tuple[str, str, str]] = field(default_factory=SimpleQueue)
    """(place, error, remedy); without an error the place works."""
    is_closed: bool = False


class _Exporter:
    """The thread that writes the file and keeps the endpoint."""

    def __init__(self, desk: _Desk) -> None:
        self._desk = desk
        self._registry: CollectorRegistry | None = None
        self._textfile: Path | None = None
        self._server: _Server | None = None

    def work(self) -> None:
        while not self._desk.is_closed:
            self._desk.news.wait()
            self._desk.news.clear()
            if self._desk.figures and not self._desk.is_closed:
                self._give_out(self._desk.options.metrics_textfile, self._desk.options.metrics_port)
        self._end_server()

    def _give_out(self, textfile: Path | None, port: int | None) -> None:
        if self._textfile and textfile != self._textfile:
            with suppress(OSError):
                self._textfile.unlink()
            self._textfile = None
        if self._server and port != self._server.server_address[1]:
            self._end_server()
        if (textfile or port) and not self._attempt(_LIBRARY, self._import, _INSTALL):
            return
        if textfile:
            self._attempt(str(textfile), lambda: self._write(textfile), _WRITABLE)
        if port and self._server is None:
            self._attempt(f"{LOOPBACK}:{port}", lambda: self._serve(port), _NETWORK)

    def _attempt(self, place: str, act: Callable[[], None], remedy: str) -> bool:
        try:
            act()
        except (OSError, ImportError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            self._desk.faults.put((place, reason or str(error), remedy))
            return False
        self._desk.faults.put((place, "", ""))
        return True

    def _import(self) -> None:
        if self._registry is None:
            from prometheus_client import CollectorRegistry

            registry = CollectorRegistry()
            registry.register(_Collector(self._desk))
            self._registry = registry

    def _write(self, path: Path) -> None:
        """Replace the file, whole and readable by everybody: the node exporter is another user, and our umask is 077."""
        from prometheus_client import generate_latest

        assert self._registry
        data = generate_latest(self._registry)
        new = path.with_name(f".{path.name}.new")  # no name that the node exporter reads
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(new, flags, 0o644)
        try:
            write_all(descriptor, data)
            os.fchmod(descriptor, 0o644)
            os.rename(new, path)
        except OSError:
            with suppress(OSError):
                os.unlink(new)
            raise
        finally:
            os.close(descriptor)
        self._textfile = path

    def _serve(self, port: int) -> None:
        from prometheus_client import MetricsHandler

        class Reader(_Polite, MetricsHandler):
            pass

        assert self._registry
        Reader.registry = self._registry
        self._server = _Server((LOOPBACK, port), Reader)
        threading.Thread(
            target=self._server.serve_forever,
            args=(_PORT_PATIENCE_SECONDS,),
            name="metrics-port",
            daemon=True,
        ).start()

    def _end_server(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Polite(BaseHTTPRequestHandler):
    """Gives each request so many seconds as a whole, and answers only who asked for this machine by its own name.

    A page of another site can make a browser ask here under that site's name (DNS rebinding); a reader that sends a byte
    now and then would keep all others waiting.
    """

    def setup(self) -> None:
        super().setup()
        self._deadline = threading.Timer(_READER_TIMEOUT_SECONDS, self._hang_up)
        self._deadline.daemon = True
        self._deadline.start()

    def _hang_up(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        self._deadline.cancel()
        super().finish()

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if not _is_own_name(self.headers.get("Host")):
            self.send_error(403, "This is not the name of this machine for itself")
            return False
        return True


def _is_own_name(host: str | None) -> bool:
    """Return whether a Host header names the loopback address; a request of HTTP/1.0 has none."""
    if host is None:
        return True
    name, _, port = host.strip().rpartition(":")
    if not name or not port.isdecimal():
        name = host.strip()
    return name.lower().rstrip(".") in _OWN_NAMES


class _Server(socketserver.TCPServer):
    """Serves one reader after the other: however many come, they take one thread."""

    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader who went away is no fault of ours."""


class _Collector:
    """Makes metrics of the figures that lie on the desk at the moment; called by whichever thread gives them out."""

    def __init__(self, desk: _Desk) -> None:
        self._desk = desk

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        figures, store = self._desk.figures, str(self._desk.options.store)
        if figures is None:
            return
        build = GaugeMetricFamily(
            "hermesguard_build_info", "The program that runs.", labels=["store", "version"]
        )
        build.add_metric([store, __version__], 1)
        yield build
        for name, (value, meaning) in _gauges(figures).items():
            gauge = GaugeMetricFamily(f"hermesguard_{name}", meaning, labels=["store"])
            gauge.add_metric([store], value)
            yield gauge
        for name, (value, meaning) in _counters(figures).items():
            counter = CounterMetricFamily(f"hermesguard_{name}", meaning, labels=["store"])
            counter.add_metric([store], value)
            yield counter
        events = CounterMetricFamily(
            "hermesguard_events",
            "Alerts: events of priority warning or worse, by their names in hermesguard(7).",
            labels=["store", "event"],
        )
        for name in sorted(HEARD):
            events.add_metric([store, name], self._desk.events[name])
        yield events


def _gauges(figures: Figures) -> Mapping[str, tuple[float, str]]:
    return {
        "start_time_seconds": (figures.started, "When the guard started, in seconds since the epoch."),
        "last_scan_timestamp_seconds": (
            figures.last_scan,
            "When every session was last looked at, in seconds since the epoch; 0 for never.",
        ),
        "last_save_timestamp_seconds": (
            figures.last_save,
            "When a session was last saved, in seconds since the epoch; 0 for never.",
        ),
        "sessions": (figures.sessions, "Sessions that are guarded."),
        "messages": (figures.messages, "Messages in the sessions that are guarded."),
        "missing_sessions": (
            figures.sessions_missing,
            "Sessions that vanished together and wait for a user.",
        ),
        "unreadable_sessions": (figures.sessions_unreadable, "Sessions with which nothing can be done."),
        "watching": (
            figures.is_watching,
            "1 when the watch sees changes, 0 when only scans find them.",
        ),
        "store_writable": (figures.is_store_writable, "1 when the store is writable, else 0."),
    }


def _counters(figures: Figures) -> Mapping[str, tuple[float, str]]:
    return {
        "repairs": (figures.repairs, "Losses that were repaired."),
        "uncertain": (figures.uncertain, "Changes that were uncertain, whatever was done."),
        "unrepaired": (figures.unrepaired, "Losses that could not be repaired."),
    }
