"""How a command speaks to the running guard: a Unix socket in the store, one JSON object each way.

The guard holds the store's lock, so commands that change something ask it; without a guard the command takes the lock and
does it itself, by the same code (guard/requests). Only the store's owner and root can reach the socket: the store is 0700.
A dry run needs neither guard nor lock: where it may not ask, or nobody answers, it goes by what it can read.
"""

import contextlib
import errno
import os
import resource
import socket
import stat
import time
from collections.abc import Callable, Generator
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Any

import orjson

from hermesguard.config.settings import Settings
from hermesguard.daemon.replies import Answer, encoded, read
from hermesguard.daemon.status import resting_status
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.shield import Shield
from hermesguard.store.place import Place, top_of, typed_by

SOCKET_NAME = "control"
ANSWER_SECONDS = 120.0
STATUS_SECONDS = 10.0
"""A question that costs nothing must fail soon when the guard hangs."""
_QUICK = frozenset({"status", "prove", "title"})
LONGEST_REQUEST_BYTES = 64 * 1024
MOST_CONVERSATIONS = max(2, min(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8))
"""More clients at once are no commands; each takes a descriptor, and without one the guard reads no session."""
_MOST_WAITING = 1024
"""Clients that connect in the same instant; the kernel turns away those that are more, as if no guard answered."""

Work = Generator[bool | None, None, Answer]
"""What does a request in little steps; one that gives True waits for the background."""
"""An answer that takes time: done in little steps, between which the guard guards."""
Answerer = Callable[[str, str, dict[str, Any]], Answer | Work]
"""Called with the name of one of several directories (or an empty one), the verb, and its arguments."""


class MayNotAsk(GuardError):
    """A guard runs, and this user may not ask it."""


class _Address:
    """The socket's address, short enough for the kernel (unix(7): 108 bytes) however long the store's path is."""

    def __init__(self, store: Path) -> None:
        self._directory = os.open(store, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.name = f"/proc/self/fd/{self._directory}/{SOCKET_NAME}"

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, *_: object) -> None:
        os.close(self._directory)


class ControlServer:
    """The guard's end. Never waits: slow clients are waited for by the loop's selector.

    Raises OSError when the store does not take the socket.
    """

    def __init__(self, store: Path, selector: BaseSelector, answer: Answerer, shield: Shield) -> None:
        self._shield = shield
        self._path = store / SOCKET_NAME
        self._selector = selector
        self._answer = answer
        self._working: list[_Conversation] = []
        self._open: list[_Conversation] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISDIR(os.lstat(self._path).st_mode):
                    Place(store).set_aside(self._path)
                else:
                    self._path.unlink()  # of a guard that was killed; the lock says that there is no other
            with _Address(store) as address:
                self._listener.bind(address)
            self._path.chmod(0o600)
            self._listener.listen(_MOST_WAITING)
        except OSError:
            self._listener.close()
            raise
        selector.register(self._listener, EVENT_READ, self._accept)

    def _accept(self, _: int) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._make_room()
            return
        connection.setblocking(False)
        if len(self._open) >= MOST_CONVERSATIONS and not self._make_room():
            connection.close()
            return
        conversation = _Conversation(
            connection, self._selector, self._answer, self._working, self._open, self._shield
        )
        self._selector.register(connection, EVENT_READ, conversation.step)

    def _make_room(self) -> bool:
        """Hang up on who has been connected for longest without anything being done for it; return whether there was one."""
        idle = next((other for other in self._open if not other.is_asking), None)
        if idle:
            idle.close()
        return idle is not None

    @property
    def is_working(self) -> bool:
        """Return whether an answer is being worked on that does not wait for something."""
        return any(not conversation.is_waiting for conversation in self._working)

    def go_on(self, seconds: float) -> None:
        """Go on for so long with the answers that take time, one after the other."""
        until = time.monotonic() + seconds
        for conversation in [other for other in self._working if other.is_waiting]:
            conversation.go_on()
        while time.monotonic() < until:
            active = next((other for other in self._working if not other.is_waiting), None)
            if active is None:
                break
            active.go_on()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._selector.unregister(self._listener)
        self._listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


class _Conversation:
    """One request and its answer."""

    def __init__(
        self,
        connection: socket.socket,
        selector: BaseSelector,
        answer: Answerer,
        working: "list[_Conversation]",
        others: "list[_Conversation]",
        shield: Shield,
    ) -> None:
        self._shield = shield
        self._connection = connection
        self._selector = selector
        self._answer = answer
        self._working = working
        self._open = others
        self._open.append(self)
        self._work: Work | None = None
        self.is_waiting = False
        self._request = b""
        self._reply = b""

    @property
    def is_asking(self) -> bool:
        """Return whether an answer to it is being worked on."""
        return self in self._working

    def step(self, events: int) -> None:
        """Read or write what can be read or written now; whatever goes wrong ends this conversation alone."""
        if self not in self._open:
            return  # it was hung up on since the selector named it
        try:
            if events & EVENT_READ and not self._reply:
                self._receive()
            elif events & EVENT_WRITE:
                self._send()
        except OSError:
            self.close()
        except Exception as error:  # noqa: BLE001
            self._shield.caught("request", "", error)
            self.close()

    def _receive(self) -> None:
        part = self._connection.recv(LONGEST_REQUEST_BYTES)
        self._request += part
        if not part or len(self._request) > LONGEST_REQUEST_BYTES:
            self.close()
        elif self._request.endswith(b"\n") and self._work is None:
            self._reply_with(self._answered(self._begin))

    def _begin(self) -> Answer | None:
        answer = self._answer(*_asked(self._request))
        if isinstance(answer, dict):
            return answer
        self._work = answer
        self._working.append(self)
        return None

    def go_on(self) -> None:
        """Do one step of the work; reply when that was the last."""
        assert self._work
        reply = self._answered(self._step)
        if reply is not None:
            self._working.remove(self)
            try:
                self._reply_with(reply)
            except OSError:
                self.close()

    def _answered(self, work: Callable[[], Answer | None]) -> Answer | None:
        """Return what to reply, None when there is nothing to reply yet."""
        try:
            answer = work()
            return None if answer is None else {"answer": answer}
        except GuardError as error:
            return _refusal(error.what, error.remedy, int(error.exit_code))
        except OSError as error:
            what = f"The running guard could not do that now: {error.strerror or error}"
            return _refusal(what, "Fix the cause and retry; hermesguard status shows more", 1)
        except Exception as error:  # noqa: BLE001
            reference = self._shield.caught("request", "", error)
            what = f"The running guard met an error of its own ({reference})"
            return _refusal(what, "See its log, and report it to the people who make hermesguard", 1)

    def _step(self) -> Answer | None:
        assert self._work
        try:
            self.is_waiting = next(self._work) is True
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        return None

    def _reply_with(self, reply: Answer | None) -> None:
        if reply is not None:
            self._reply = encoded(reply) + b"\n"
            self._selector.modify(self._connection, EVENT_WRITE, self.step)
            self._send()

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._reply = self._reply[self._connection.send(self._reply) :]
        if not self._reply:
            self.close()

    def close(self) -> None:
        """Hang up; what was being worked on for it ends."""
        self._open.remove(self)
        if self._work:
            self._work.close()
        if self in self._working:
            self._working.remove(self)
        self._selector.unregister(self._connection)
        self._connection.close()


def _asked(request: bytes) -> tuple[str, str, dict[str, Any]]:
    """Return the directory, the verb and the arguments of a request. GuardError when it is none."""
    try:
        value = orjson.loads(request)
    except ValueError:
        value = None
    verb = value.get("verb") if isinstance(value, dict) else None
    arguments = value.get("arguments") if isinstance(value, dict) else None
    directory = value.get("directory", "") if isinstance(value, dict) else None
    if not (isinstance(directory, str) and isinstance(verb, str) and isinstance(arguments, dict)):
        raise GuardError(
            "The running guard did not understand the request",
            "Restart it: it may be an older version",
            ExitCode.USAGE,
        )
    return directory, verb, arguments


def _refusal(what: str, remedy: str, exit_code: int) -> Answer:
    return {"error": {"what": what, "remedy": remedy, "exit_code": exit_code}}


def ask_running_guard(
    store: Path, verb: str, arguments: dict[str, Any], directory: str = ""
) -> dict[str, Any] | None:
    """Return the running guard's answer, None when no guard runs on this store. Raises GuardError with what it refused.

    `directory` names the one of several that is meant; `store` may be a part of one: then that of the part is.
    """
    request: dict[str, Any] = {"verb": verb, "arguments": arguments}
    if (top := top_of(store)) != store:
        directory, store = store.name, top
    if directory:
        request["directory"] = directory
    try:
        with _Address(store) as address, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(STATUS_SECONDS if verb in _QUICK else ANSWER_SECONDS)
            connection.connect(address)
            connection.sendall(encoded(request) + b"\n")
            reply = b""
            while part := connection.recv(1 << 20):
                reply += part
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except PermissionError:
        raise MayNotAsk(
            f"The guard of the store {store} may not be asked by this user",
            typed_by(os.stat(store).st_uid),
        ) from None
    except OSError as error:
        what = f"The guard of the store {store} does not answer ({error.strerror or 'timed out'})"
        raise GuardError(what, "See its log; systemd restarts one that hangs") from None
    if not reply.endswith(b"\n"):
        raise GuardError(f"The guard of the store {store} broke off its answer", "See its log, and try again")
    try:
        return read(reply, verb)
    except (ValueError, RecursionError):
        raise GuardError(
            f"What listens for the guard of the store {store} gives no answer that can be read",
            "Restart the guard: it may be of another version",
        ) from None


def ask(settings: Settings, verb: str, **arguments: Any) -> dict[str, Any]:
    """Have `verb` done: by the guard that runs on this store, or, when none does, here, under the store's lock.

    A dry run of a user who may not ask, or to whom no guard answers, is done here without the lock: it only reads.

    Raises GuardError: refused, no store, or a guard that holds the lock but does not listen.
    """
    is_dry = arguments.get("dry_run", False)
    try:
        answer = ask_running_guard(settings.store, verb, arguments, settings.profile)
    except MayNotAsk:
        if not is_dry:
            raise
        answer = None
    if answer is not None:
        return answer
    if verb == "status":
        return resting_status(settings)
    # Only an act without a running guard, or without asking it, needs all of it.
    from hermesguard.daemon.offline import at_rest, looking

    with (looking if is_dry else at_rest)(settings) as perform:
        return perform(verb, arguments)
