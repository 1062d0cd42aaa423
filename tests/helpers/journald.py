"""A stand-in for journald: a real datagram socket that is read only when a test says so, so that it can hang."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

Entry = dict[str, str]


class Journald:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = self._bound()

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(str(self.path))
        listener.setblocking(False)
        return listener

    def stop(self) -> None:
        """Go away and leave the socket file, as a journald does that was killed."""
        self._socket.close()

    def restart(self) -> None:
        self.stop()
        self.path.unlink()
        self._socket = self._bound()

    def read(self) -> list[Entry]:
        """Return what has come since the last time."""
        entries = []
        while True:
            try:
                entries.append(parse(self._socket.recv(1 << 20)))
            except BlockingIOError:
                return entries


def parse(data: bytes) -> Entry:
    """Read one entry as systemd's JOURNAL_NATIVE_PROTOCOL describes it."""
    entry = {}
    while data:
        name, mark, rest = min(
            (data.partition(mark) for mark in (b"=", b"\n")), key=lambda split: len(split[0])
        )
        if mark == b"=":
            value, _, data = rest.partition(b"\n")
        else:
            size = int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + size], rest[8 + size :]
            assert data[:1] == b"\n"
            data = data[1:]
        assert name.decode() not in entry
        entry[name.decode()] = value.decode()
    return entry


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    """A stand-in that is stopped after the test."""
    journald = Journald(tmp_path / "socket")
    yield journald
    journald.stop()
