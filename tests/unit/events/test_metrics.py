"""Metrics for Prometheus: what is given out and under which names, what goes wrong, and that nothing of it costs the guard."""

import re
import socket
import struct
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from hermesguard.events import metrics
from hermesguard.events.catalog import BY_NAME
from hermesguard.events.metrics import HEARD, INTERVAL_SECONDS, Figures, Metrics
from hermesguard.events.sinks import Record
from hermesguard.repair.exchange import exchange
from tests.helpers.waiting import until

FIGURES = Figures(
    started=1000.5,
    last_scan=2000.25,
    last_save=0.0,
    sessions=3,
    messages=44,
    sessions_missing=1,
    sessions_unreadable=2,
    is_watching=True,
    is_store_writable=False,
    repairs=5,
    uncertain=6,
    unrepaired=7,
)


@dataclass
class MetricsSettings:
    store: Path
    metrics_textfile: Path | None = None
    metrics_port: int | None = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def scrape(port: int | None) -> str | None:
    """What the endpoint gives; None when nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            text: str = answer.read().decode()
            return text
    except OSError:
        return None


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(text: str, name: str, **labels: str) -> float:
    """The value of the one series of that name with these labels."""
    (found,) = [
        sample.value
        for family in families(text).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found


class Loop:
    """A loop that calls the metrics as the daemon does, ten seconds later each time."""

    def __init__(self, options: MetricsSettings) -> None:
        self.reported: list[dict[str, str]] = []
        self.figures: Figures | None = FIGURES
        self._now = 0.0
        self.metrics = Metrics(options, self._report)

    def _report(self, name: str, **fields: str) -> None:
        assert name == "metrics_failed"
        self.reported.append(fields)

    def turn(self) -> None:
        self._now += INTERVAL_SECONDS
        self.metrics.pump(self._now, lambda: self.figures)

    def until(self, condition: Callable[[], object]) -> None:
        def holds() -> object:
            self.turn()
            return condition()

        until(holds)


Started = Callable[..., Loop]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Started]:
    loops: list[Loop] = []

    def make(textfile: Path | None = None, port: int | None = None) -> Loop:
        loops.append(Loop(MetricsSettings(tmp_path / "store", textfile, port)))
        return loops[-1]

    yield make
    for loop in loops:
        loop.metrics.close()


def test_every_figure_is_given_out(start: Started, tmp_path: Path) -> None:
    textfile = tmp_path / "hermesguard.prom"
    loop = start(textfile)
    event = BY_NAME["restored"]
    loop.metrics.hear(Record(event, datetime.now(UTC), "", {}))
    loop.until(textfile.exists)
    text = textfile.read_text()
    assert {name: value(text, f"hermesguard_{name}") for name in EXPECTED} == EXPECTED
    assert value(text, "hermesguard_events_total", event="restored") == 1
    events = families(text)["hermesguard_events"].samples
    assert {sample.labels["event"] for sample in events} == HEARD
    assert sum(sample.value for sample in events) == 1
    stores = {sample.labels["store"] for family in families(text).values() for sample in family.samples}
    assert stores == {str(tmp_path / "store")}, "two guards on one machine must not have the same series"


EXPECTED = {
    "build_info": 1,
    "start_time_seconds": 1000.5,
    "last_scan_timestamp_seconds": 2000.25,
    "last_save_timestamp_seconds": 0,
    "sessions": 3,
    "messages": 44,
    "missing_sessions": 1,
    "unreadable_sessions": 2,
    "watching": 1,
    "store_writable": 0,
    "repairs_total": 5,
    "uncertain_total": 6,
    "unrepaired_total": 7,
}


def test_names_follow_the_conventions(start: Started, tmp_path: Path) -> None:
    """As `promtool check metrics` has them: units in full, a counter and nothing else ends in _total, each has a meaning."""
    textfile = tmp_path / "hermesguard.prom"
    start(textfile).until(textfile.exists)
    found = families(textfile.read_text())
    assert len(found) > 10
    for name, family in found.items():
        assert re.fullmatch(r"hermesguard(_[a-z]+)+", name)
        assert family.type in ("gauge", "counter")
        assert family.documentation.endswith(".")
        assert not re.search(r"_(total|count|sum|bucket|gauge|counter)$|_(ms|msec|us|kb|mb)(_|$)", name)
        for sample in family.samples:
            assert sample.name == name + ("_total" if family.type == "counter" else "")


def test_documented_metrics_are_those_given_out(start: Started, tmp_path: Path) -> None:
    textfile = tmp_path / "hermesguard.prom"
    start(textfile).until(textfile.exists)
    given = {sample.name for family in families(textfile.read_text()).values() for sample in family.samples}
    service = (Path(__file__).parents[3] / "docs" / "service.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(hermesguard_\w+)", service, re.MULTILINE)) == given


def test_nothing_is_given_out_before_there_is_something_to_say(start: Started, tmp_path: Path) -> None:
    textfile = tmp_path / "hermesguard.prom"
    loop = start(textfile)
    loop.figures = None
    assert loop.metrics.pump(100.0, lambda: None) == pytest.approx(1.0)
    assert loop.metrics.pump(100.5, lambda: FIGURES) == pytest.approx(0.5)
    assert loop.metrics.pump(101.0, lambda: FIGURES) == pytest.approx(1.0), "to hear of faults"
    assert loop.metrics.pump(101.25, lambda: FIGURES) == pytest.approx(0.75), "also when it was called before"
    assert loop.metrics.pump(102.0, lambda: FIGURES) == pytest.approx(INTERVAL_SECONDS - 1)
    until(textfile.exists)


def test_the_file_is_replaced_whole_and_everybody_may_read_it(start: Started, tmp_path: Path) -> None:
    textfile = tmp_path / "hermesguard.prom"
    textfile.write_text("of an earlier run\n")
    textfile.chmod(0o600)
    before = textfile.stat().st_ino
    loop = start(textfile)
    loop.until(lambda: textfile.stat().st_ino != before)
    assert textfile.stat().st_mode & 0o777 == 0o644
    loop.figures = replace(FIGURES, sessions=9)
    loop.until(lambda: value(textfile.read_text(), "hermesguard_sessions") == 9)
    loop.metrics.close()
    until(lambda: [path.name for path in tmp_path.iterdir()] == [textfile.name])


def test_a_missing_directory_is_reported_once_and_guarded_when_it_comes(
    start: Started, tmp_path: Path
) -> None:
    textfile = tmp_path / "later" / "hermesguard.prom"
    loop = start(textfile)
    for _ in range(5):
        loop.until(lambda: loop.reported)
    assert loop.reported == [
        {
            "error": "No such file or directory",
            "path": str(textfile),
            "remedy": "Let the unit write there (the example metrics.conf), and its user too",
        }
    ]
    textfile.parent.mkdir()
    loop.until(textfile.exists)
    loop.turn()
    in_the_way = tmp_path / "in the way"
    in_the_way.mkdir()
    exchange(in_the_way, textfile)  # at once: the metrics may be writing just now
    loop.until(lambda: len(loop.reported) == 2)
    assert loop.reported[1]["error"] == "Is a directory"
    until(lambda: list(textfile.parent.iterdir()) == [textfile])  # no new file is left behind


def test_a_port_in_use_is_told_once_and_taken_when_it_is_free(start: Started) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        loop = start(port=port)
        for _ in range(5):
            loop.until(lambda: loop.reported)
        assert loop.reported == [
            {
                "error": "Address already in use",
                "path": f"127.0.0.1:{port}",
                "remedy": "Allow it the network (the example network.conf), or choose another port",
            }
        ]
    loop.until(lambda: scrape(port))
    assert len(loop.reported) == 1


def test_only_the_loopback_address_is_served(start: Started) -> None:
    port = free_port()
    start(port=port).until(lambda: scrape(port))
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert [
        message[1] for message in listening if message[3] == "0A" and message[1].endswith(f":{port:04X}")
    ] == [f"0100007F:{port:04X}"]


def test_a_reader_who_goes_away_leaves_no_trace(start: Started, capfd: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    loop = start(port=port)
    loop.until(lambda: scrape(port))
    for said in (b"", b"GET /metrics HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port)) as reader:
            reader.sendall(said)
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert scrape(port)
    assert capfd.readouterr() == ("", "")


# -- requests


def ask(port: int, request: bytes) -> bytes:
    """What the endpoint answers to a request, until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    return answer


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"127.0.0.1:%d", b"200"),
        (b"localhost:%d", b"200"),
        (b"LOCALHOST", b"200"),
        (b"[::1]:%d", b"200"),
        (b"attacker.example", b"403"),
        (b"127.0.0.1.attacker.example:%d", b"403"),
        (b"", b"403"),
    ],
)
def test_only_who_asks_for_this_machine_is_answered(start: Started, host: bytes, status: bytes) -> None:
    port = free_port()
    loop = start(port=port)
    loop.until(lambda: scrape(port))
    name = host % port if b"%" in host else host
    answer = ask(port, b"GET /metrics HTTP/1.1\r\nHost: " + name + b"\r\nConnection: close\r\n\r\n")
    assert answer.split()[1] == status
    assert (b"hermesguard_sessions" in answer) == (status == b"200")


def test_a_request_that_never_ends_is_ended(start: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_READER_TIMEOUT_SECONDS", 0.2)
    port = free_port()
    loop = start(port=port)
    loop.until(lambda: scrape(port))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert slow.recv(100) == b""
    assert scrape(port)
