"""The journal's own socket, spoken to directly and without waiting."""

import errno
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from hermesguard.events.event import Value
from hermesguard.events.sinks import STDERR, Offer, Record

SOCKET: Final = Path("/run/systemd/journal/socket")
IDENTIFIER: Final = "hermesguard"
_FACILITY_DAEMON: Final = 3

# `journalctl -o json` shows values over 4096 bytes as null, and an entry must fit into one datagram.
_MOST_VALUE_BYTES: Final = 3500


class Journal:
    """A sink to journald.

    `systemd.journal.sendv` is not used to send: it waits for journald while it holds the GIL, so that a journald that hangs
    would stop every repair. To ask first whether journald takes an entry narrows that and does not end it, for another
    sender may take the last place meanwhile: of 100 hangs one stopped the repairs to its end, with this none
    (`bench/journald_hang.py`). This is the protocol that it speaks (systemd, JOURNAL_NATIVE_PROTOCOL) on a socket that does
    not block. The journal is read by `systemd.journal.Reader` (`hermesguard/cli/last_guard.py`).
    """

    def __init__(self, path: Path = SOCKET) -> None:
        """Connect; OSError when nothing takes entries there."""
        self._path = path
        self._socket = self._connected()

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        return connection

    def encode(self, record: Record) -> bytes:
        return b"".join(
            (
                _entry("MESSAGE", record.message),
                _entry("MESSAGE_ID", record.event.message_id),
                _entry("PRIORITY", str(int(record.event.priority))),
                _entry("SYSLOG_IDENTIFIER", IDENTIFIER),
                _entry("SYSLOG_FACILITY", str(_FACILITY_DAEMON)),
                _entry("HERMESGUARD_EVENT", record.event.name),
                _entry("HERMESGUARD_TIME", record.iso_time),
                *(_entry(journal_field(name), _text(value)) for name, value in record.values.items()),
            )
        )

    def offer(self, payload: bytes) -> Offer:
        try:
            self._socket.send(payload)
        except BlockingIOError:
            return Offer.LATER
        except OSError as error:
            return self._after(error)
        return Offer.TAKEN

    def _after(self, error: OSError) -> Offer:
        if error.errno == errno.EMSGSIZE:
            return Offer.LOST
        if error.errno not in (errno.ENOBUFS, errno.ENOMEM):
            # The socket's other end was made anew; the next offer goes to the new one.
            with suppress(OSError):
                fresh = self._connected()
                self._socket.close()
                self._socket = fresh
        return Offer.LATER

    def finish(self) -> bool:
        return True  # a datagram is taken whole

    def close(self) -> None:
        self._socket.close()


def journal_field(name: str) -> str:
    """Return the name under which the field `name` stands in the journal."""
    return f"HERMESGUARD_{name.upper()}"


def _text(value: Value) -> str:
    if isinstance(value, list):
        return "\n".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _entry(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    if len(data) > _MOST_VALUE_BYTES:
        data = data[:_MOST_VALUE_BYTES].decode("utf-8", "ignore").encode() + " …".encode()
    if b"\n" in data:
        return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


def stderr_is_journal(environment: Mapping[str, str], descriptor: int = STDERR) -> bool:
    """Return whether the standard error leads to the journal already: JOURNAL_STREAM, systemd.exec(5)."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
