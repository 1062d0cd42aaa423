"""The process: sockets from systemd or its own, a few threads, and an end when nobody asks any more."""

import errno
import ipaddress
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.page.app import Gate, build

LOOPBACK: Final = "127.0.0.1"
_THREADS: Final = 4
_SLOW_SECONDS: Final = 10
_MOST_CONNECTIONS: Final = 64
_MOST_HEADER_BYTES: Final = 32 * 1024
_MOST_BODY_BYTES: Final = 1024 * 1024
_LOOKS_SECONDS: Final = 1.0


def serve(settings: Settings, token_file: Path, ready: Callable[[str], None] = lambda address: None) -> int:
    """Answer until nobody has asked for `page_idle`, or a signal says stop; return the exit code.

    Raises GuardError: no address, or one that others could reach.
    """
    signal.signal(signal.SIGTERM, _stop)  # before anybody can know that it listens
    import waitress.server

    for name in ("waitress", "waitress.queue"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # nothing of a request goes into a log
    sockets = _inherited() or [_bound(settings.page_port)]
    gate, jobs, cache = build(settings, token_file)
    threading.Thread(target=cache.prepare, name="prepare", daemon=True).start()
    server = waitress.server.create_server(
        gate,
        sockets=sockets,
        threads=_THREADS,
        channel_timeout=_SLOW_SECONDS,
        cleanup_interval=2,
        connection_limit=_MOST_CONNECTIONS,
        max_request_header_size=_MOST_HEADER_BYTES,
        max_request_body_size=_MOST_BODY_BYTES,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )
    if settings.page_idle_seconds:
        watch = threading.Thread(
            target=_end_when_idle,
            args=(gate, lambda: jobs.is_running, settings.page_idle_seconds),
            daemon=True,
        )
        watch.start()
    host, port = sockets[0].getsockname()[:2]
    ready(f"http://{host}:{port}")
    _notify("READY=1")
    try:
        server.run()
    finally:
        server.close()
    return ExitCode.OK


def _stop(*_: object) -> None:
    raise SystemExit(0)  # waitress ends its threads at this


def _end_when_idle(gate: Gate, is_busy: Callable[[], bool], idle_seconds: float) -> None:
    while time.monotonic() - gate.last_request < idle_seconds or is_busy():
        time.sleep(min(_LOOKS_SECONDS, idle_seconds / 4))
    os.kill(os.getpid(), signal.SIGTERM)


def _inherited() -> list[socket.socket]:
    """Return the sockets that systemd hands over. Raises GuardError when others could reach one."""
    try:
        from systemd import daemon
    except ImportError:  # libsystemd may be missing in a container
        return []
    found = [socket.socket(fileno=number) for number in daemon.listen_fds(True)]
    for one in found:
        if one.family not in (socket.AF_INET, socket.AF_INET6) or not _is_loopback(one):
            raise GuardError(
                f"The socket {one.getsockname()} is none of the loopback address",
                "Let ListenStream= of the socket unit begin with 127.0.0.1:",
                ExitCode.REFUSED,
            )
    return found


def _is_loopback(one: socket.socket) -> bool:
    address: Any = one.getsockname()
    return ipaddress.ip_address(address[0]).is_loopback


def _bound(port: int) -> socket.socket:
    """Return a socket that listens on the loopback address. Raises GuardError when the port cannot be had."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        used = error.errno == errno.EADDRINUSE
        raise GuardError(
            f"Port {port} of {LOOPBACK} cannot be had: {error.strerror}",
            "The page may run already: hermesguard open; or choose another with page_port"
            if used
            else "Choose another with page_port",
        ) from None
    listener.listen(_MOST_CONNECTIONS)
    return listener


def _notify(message: str) -> None:
    with suppress(ImportError, OSError):
        from systemd import daemon

        daemon.notify(message)
