"""The service manager hears what it must, and a manager that hangs or is not there costs nothing."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermesguard.daemon.systemd import Service
from tests.helpers.waiting import until


class Manager:
    """A stand-in for PID 1: a datagram socket that is read when a test says so."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self._socket.setblocking(False)

    def read(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


@pytest.fixture
def service(manager: Manager) -> Iterator[Service]:
    service = Service({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "10000000"})
    yield service
    service.close()


def test_the_life_of_a_service(manager: Manager, service: Service) -> None:
    service.extend_timeout(12.5)
    service.ready("Guarding 3 sessions\nwith 12 messages")
    service.watchdog()
    service.status("All is well")
    service.stopping()
    assert manager.read() == [
        "EXTEND_TIMEOUT_USEC=12500000",
        "READY=1\nSTATUS=Guarding 3 sessions with 12 messages",
        "WATCHDOG=1",
        "STATUS=All is well",
        "STOPPING=1\nSTATUS=Stopping",
    ]


def test_a_reload_carries_its_time(manager: Manager, service: Service) -> None:
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    service.reloading()
    (message,) = manager.read()
    fields = dict(line.split("=", 1) for line in message.splitlines())
    assert fields["RELOADING"] == "1"
    assert before_us <= int(fields["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_manager_that_hangs_costs_nothing_and_hears_what_matters(
    manager: Manager, service: Service
) -> None:
    for _ in range(
        5000
    ):  # a socket that is not read from takes a few hundred; then a send would wait for ever
        service.watchdog()
    service.ready("Guarding")
    for _ in range(100):
        service.watchdog()
    assert service.pump() is not None
    heard: list[str] = []

    def all_said() -> bool:
        heard.extend(manager.read())
        return service.pump() is None

    until(all_said)
    heard.extend(manager.read())
    assert heard.count("READY=1\nSTATUS=Guarding") == 1


def test_an_abstract_address() -> None:
    manager = Manager(f"@hermesguard-test-{os.getpid()}")
    service = Service({"NOTIFY_SOCKET": manager.address})
    service.ready("Guarding")
    assert manager.read() == ["READY=1\nSTATUS=Guarding"]
    service.close()
    manager.close()


@pytest.mark.parametrize(
    "address", ["", "/nowhere/at/all", "nonsense", "vsock:2:1", "/" + 200 * "x", "@gone"]
)
def test_no_manager_costs_nothing(address: str) -> None:
    service = Service({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "5"})
    service.ready("\udcff")
    service.watchdog()
    assert service.pump() is None
    service.close()
    service.stopping()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "9" * 400}, None),
        ({}, None),
    ],
)
def test_how_often_the_watchdog_wants_to_be_fed(environment: dict[str, str], seconds: float | None) -> None:
    assert Service(environment).watchdog_interval_seconds == seconds


def test_no_watchdog_no_sign_of_life(manager: Manager) -> None:
    service = Service({"NOTIFY_SOCKET": manager.address})
    service.watchdog()
    assert not manager.read()
    service.close()
