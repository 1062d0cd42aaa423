"""Delivering one message to one address, in a process of its own: `python -m hermesguard.notify.deliver`.

Apprise is loaded only here, and only for as long as it takes: a service that hangs, or a plugin that breaks, costs the
notifier nothing. The process also writes down itself that it has delivered. So when the notifier is killed meanwhile, the
next one waits for this process, finds the receipt, and sends nothing twice.
"""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import IO, Any, Final

import hermesguard
from hermesguard.notify import state as states
from hermesguard.notify.digest import Message
from hermesguard.notify.settings import Address
from hermesguard.store.lock import Lock, lock_holder

LONGEST_SECONDS: Final = 60.0
"""A service that has not answered by then counts as one that refused."""
_CONNECT_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 40.0
_LEAST_SECRET: Final = 4
_NO_APPRISE: Final = 3
_REFUSED: Final = 1
_BUSY: Final = 4

INSTALL: Final = "Install it: apt install apprise, or from the sources pip install '.[notify]'"


# ---- the notifier's side


class Delivery:
    """A message on its way."""

    def __init__(self, directory: Path, address: Address, message: Message) -> None:
        """Start it; OSError when no process can be started. `directory` is that of the state."""
        self.address = address
        self._said: str | None = None
        self._process = subprocess.Popen(
            _command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(),
            cwd="/",
            start_new_session=True,  # Ctrl-C, and a signal to our group, let it finish
        )
        order = {
            "directory": str(directory),
            "key": address.key,
            "url": address.url,
            "message": message._asdict(),
        }
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(order).encode())
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already, and its exit code says why

    @property
    def pid(self) -> int:
        """Return the process, to wait for it (pidfd_open(2))."""
        return self._process.pid

    def result(self) -> str | None:
        """Return None as long as it is on its way, then why it was not delivered; empty when it was."""
        code = self._process.poll()
        if code is None:
            return None
        if self._said is None:
            self._said = _last_line(self._process.stderr)
        said = self._said
        if code == 0:
            return ""
        if code == -signal.SIGALRM:
            return f"no answer within {LONGEST_SECONDS:.0f} s"
        return said or (f"ended by signal {-code}" if code < 0 else f"ended with exit status {code}")

    def wait(self) -> str:
        """Wait for its end, which comes within a minute; return as `result` does."""
        self._process.wait()
        return self.result() or ""


def _command() -> list[str]:
    # As this process was started: without the user's own packages, where that was asked for.
    flags = ["-P", *(["-s"] if sys.flags.no_user_site else [])]
    return [sys.executable, *flags, "-m", __name__]


def _environment() -> dict[str, str]:
    place = str(Path(hermesguard.__file__).parents[1])
    others = os.environ.get("PYTHONPATH", "")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "WATCHDOG_"))
    }
    return kept | {"PYTHONPATH": f"{place}:{others}" if others else place}


def _last_line(stream: IO[bytes] | None) -> str:
    if stream is None:
        return ""
    with stream:
        lines = stream.read(64 * 1024).decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def is_under_way(directory: Path) -> bool:
    """Return whether a delivery goes on: one of a notifier that is gone, when this one has none."""
    return lock_holder(directory / states.DELIVERY_LOCK) is not None


def has_apprise() -> bool:
    """Return whether Apprise is installed, without loading it."""
    from importlib.util import find_spec

    return find_spec("apprise") is not None


# ---- the other process


def main() -> int:
    """Do what the order on the standard input says; exit code 0 when the message was delivered."""
    # Whoever ends the notifier lets this come to its end, which the alarm makes soon.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    order = json.loads(sys.stdin.buffer.read())
    directory, key = Path(order["directory"]), str(order["key"])
    message = Message(**order["message"])
    lock = Lock(directory / states.DELIVERY_LOCK)
    if not lock.take():
        return _say("another delivery goes on", _BUSY)
    if message.number and states.receipt(directory, key) >= message.number:
        return 0
    if not has_apprise():
        return _say(f"Apprise is not installed. {INSTALL}", _NO_APPRISE)
    error = send(order["url"], message)
    if error:
        return _say(error, _REFUSED)
    if message.number:
        states.write_receipt(directory, key, message.number)
    return 0


def _say(what: str, code: int) -> int:
    print(what, file=sys.stderr)
    return code


def send(url: str, message: Message) -> str:
    """Send a message by Apprise; return why it was refused, without anything of the address; empty when it was taken."""
    listener = _Listener()
    _keep_what_is_posted()
    service = instance(url)
    if service is None:
        return "Apprise knows no such address"
    try:
        taken = service.notify(title=message.title, body=message.body, notify_type=message.kind)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        return _without_secrets(f"{type(error).__name__}: {error}", url)
    if taken:
        return ""
    return _without_secrets(listener.last or "it was refused, the service does not say why", url)


def _keep_what_is_posted() -> None:
    """Make a redirection that drops what was posted a refusal: the message would be gone, and taken for delivered."""
    from requests import Response  # what Apprise sends by
    from requests.sessions import SessionRedirectMixin

    of_requests = SessionRedirectMixin.get_redirect_target

    def target(session: SessionRedirectMixin, response: Response) -> str | None:
        keeps = response.request.method in ("GET", "HEAD") or response.status_code in (307, 308)
        return of_requests(session, response) if keeps else None

    SessionRedirectMixin.get_redirect_target = target  # type: ignore[assignment, method-assign]


def instance(url: str) -> Any:
    """Return what Apprise makes of an address; None when that is none."""
    with warnings.catch_warnings():  # it and its plugins import what they find on the machine
        warnings.simplefilter("ignore")
        import apprise

    # No picture either: whoever gets the message would have it loaded from elsewhere.
    asset = apprise.AppriseAsset(
        app_id="hermesguard", app_desc="hermesguard", app_url="", image_url_mask="", image_url_logo=""
    )
    logging.getLogger("apprise").addHandler(logging.NullHandler())  # else it writes to the standard error
    with warnings.catch_warnings():  # its plugins import what they find on the machine
        warnings.simplefilter("ignore")
        service = apprise.Apprise.instantiate(url, asset=asset)
    if service is not None and not re.search(r"[?&][cr]to=", url):
        # Its own 4 s are short: a slow server may have taken the message, which would be sent again.
        service.socket_connect_timeout, service.socket_read_timeout = _CONNECT_SECONDS, _ANSWER_SECONDS
    return service


class _Listener(logging.Handler):
    """Hears what Apprise complains of, which it does to its log alone."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.last = ""
        log = logging.getLogger("apprise")
        log.setLevel(logging.DEBUG)
        log.propagate = False
        log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # Its warning says that it failed, the line of level debug behind it why.
        if record.levelno >= logging.WARNING:
            self.last = text
        elif self.last and "xception" in text:
            self.last = f"{self.last} ({text})"


def _without_secrets(text: str, url: str) -> str:
    """Return what a service complains of, in one line, without any word that stands in its address."""
    if cause := re.search(r"\[Errno -?\d+\] ([A-Za-z ]+)", text):
        return f"it cannot be reached ({cause[1].strip()})"
    words = {
        word for word in re.split(r"[^A-Za-z0-9]+", url.partition("://")[2]) if len(word) >= _LEAST_SECRET
    }
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(re.escape(word), "***", text, flags=re.IGNORECASE)
    return " ".join(text.split())


if __name__ == "__main__":
    raise SystemExit(main())
