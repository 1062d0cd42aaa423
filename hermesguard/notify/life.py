"""The life of the notifier as a process: turn after turn, until it is told to end."""

import os
import select
import signal
import socket
import time
from contextlib import suppress
from types import FrameType
from typing import Final

from hermesguard.errors import ExitCode
from hermesguard.notify.notifier import Notifier

_TROUBLED_SECONDS: Final = 30.0
_BRIEF_SECONDS: Final = 0.2
_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


def run(notifier: Notifier, only_once: bool = False) -> int:
    """Go on until SIGTERM (returns 0) or SIGINT (130), or, `only_once`, until all was tried once (0, or 4 if something waits).

    Signals are heeded before it takes its lock: whoever finds it running may end it in order.
    """
    with _Sleep() as sleep, notifier:
        manager = _Manager()
        while True:
            try:
                wait = notifier.turn()
            except OSError as error:
                # A full disk: nothing is sent that could not be noted, and nothing is lost, for the journal has it.
                notifier.around.say(f"The state cannot be kept: {error.strerror or error}; trying again.")
                notifier.forget()
                wait = _TROUBLED_SECONDS
            manager.alive(notifier.words())
            if only_once and notifier.is_done():
                notifier.end()
                waits = any(outbox.waiting for outbox in notifier.state.outboxes)
                return ExitCode.PROBLEM if waits else ExitCode.OK
            if only_once:
                wait = min(wait, _BRIEF_SECONDS)
            number = sleep.until(wait, notifier.delivering)
            if number is not None:
                with suppress(OSError):
                    notifier.finish_delivery()
                notifier.end()
                return ExitCode.OK if number == signal.SIGTERM else 128 + number


class _Sleep:
    """Sleeps until time is over, a process has ended, or a signal to end has come. Use it as a context."""

    def __init__(self) -> None:
        self._came: list[int] = []
        self._reader, self._writer = socket.socketpair()

    def __enter__(self) -> "_Sleep":
        for end in (self._reader, self._writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in _ENDING:
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()

    def _note(self, number: int, _: FrameType | None) -> None:
        self._came.append(number)

    def until(self, seconds: float, pid: int | None) -> int | None:
        """Sleep so long, or until the child `pid` ends; return the signal that came."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        descriptor = os.pidfd_open(pid) if pid is not None else None
        try:
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
            if not self._came:
                poll.poll(max(0.0, seconds) * 1000)
            with suppress(BlockingIOError):
                self._reader.recv(4096)
        finally:
            if descriptor is not None:
                os.close(descriptor)
        return self._came[0] if self._came else None


class _Manager:
    """The service manager, if one started us. (The guard has its own way, for this one may wait.)"""

    def __init__(self) -> None:
        self._is_ready = False
        self._due = 0.0

    def alive(self, words: str) -> None:
        """Say that the loop turns, the first time that the service has started."""
        now = time.monotonic()
        if not os.environ.get("NOTIFY_SOCKET") or now < self._due:
            return
        self._due = now + 10.0
        with suppress(ImportError, OSError):
            from systemd import daemon

            ready = "" if self._is_ready else "READY=1\n"
            daemon.notify(f"{ready}WATCHDOG=1\nSTATUS={words}")
            self._is_ready = True
