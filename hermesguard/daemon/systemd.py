"""Talking to the service manager: sd_notify(3) by a datagram of our own.

`systemd.daemon.notify` is not used: it waits, with the GIL held, while the manager's queue is full (seen: for ever), and
raises when NOTIFY_SOCKET leads nowhere.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_RETRY_SECONDS: Final = 0.1
_MOST_PENDING: Final = 32
_MICROSECONDS: Final = 1_000_000
_MUST_ARRIVE: Final = (b"READY=", b"RELOADING=", b"STOPPING=")


class Service:
    """The service manager that started us, if one did. Nothing here waits or raises; without a manager nothing happens.

    What the manager does not take at once waits for `pump`.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._watchdog_seconds = _watchdog_seconds(environment)
        self._pending: list[bytes] = []
        self._socket: socket.socket | None = None
        if self._address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    @property
    def watchdog_interval_seconds(self) -> float | None:
        """Seconds between two calls of `watchdog` that keep the manager content; None when it does not ask for them."""
        return self._watchdog_seconds

    def ready(self, status: str) -> None:
        """Say that the service has started, or that a reload is over."""
        self._say(f"READY=1\nSTATUS={_line(status)}")

    def status(self, text: str) -> None:
        """Show `text` in `systemctl status`."""
        self._say(f"STATUS={_line(text)}")

    def reloading(self, status: str = "Reading the configuration again") -> None:
        """Say that a reload begins; `ready` ends it."""
        monotonic_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._say(f"RELOADING=1\nMONOTONIC_USEC={monotonic_us}\nSTATUS={_line(status)}")

    def stopping(self, status: str = "Stopping") -> None:
        """Say that the service is about to end."""
        self._say(f"STOPPING=1\nSTATUS={_line(status)}")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for `seconds` from now for the start, the reload or the stop that is under way."""
        self._say(f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}")

    def watchdog(self) -> None:
        """Say that the loop turns. Call it only from a loop that has really turned, sees, and can write."""
        if self._watchdog_seconds is not None:
            self._say("WATCHDOG=1")

    def pump(self) -> float | None:
        """Say again what was not taken; return seconds until the next try, None when all is said."""
        while self._pending:
            if not self._send(self._pending[0]):
                return _RETRY_SECONDS
            del self._pending[0]
        return None

    def close(self) -> None:
        """Say what still waits, if it is taken now, and close the socket."""
        self.pump()
        if self._socket:
            self._socket.close()
            self._socket = None

    def _say(self, message: str) -> None:
        if self._socket is None:
            return
        self._pending.append(message.encode())
        # Readiness and the end of a reload must arrive; a sign of life that is late is better said anew.
        while len(self._pending) > _MOST_PENDING:
            dispensable = (
                index for index, message in enumerate(self._pending) if not message.startswith(_MUST_ARRIVE)
            )
            del self._pending[next(dispensable, 0)]
        self.pump()

    def _send(self, message: bytes) -> bool:
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            if self._socket:
                self._socket.sendto(message, address)
        except BlockingIOError:
            return False
        except OSError:
            pass  # nobody listens there
        return True


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """Return half of what sd_watchdog_enabled(3) says, as its manual advises."""
    owner = environment.get("WATCHDOG_PID")
    if owner and owner != str(os.getpid()):
        return None
    with suppress(ValueError, OverflowError):
        if (microseconds := int(environment.get("WATCHDOG_USEC", ""))) > 0:
            return microseconds / _MICROSECONDS / 2
    return None


def _line(text: str) -> str:
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())
