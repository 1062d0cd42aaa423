"""The control socket: answers at once, answers that take time, and people who go away meanwhile."""

import errno
import os
import selectors
import socket
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hermesguard.daemon import control
from hermesguard.daemon.control import ControlServer, ask_running_guard
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.shield import Shield
from tests.helpers.waiting import until
from tests.helpers.world import Ear


class Guard:
    """A loop that turns in a thread of its own, and answers as it is told to."""

    def __init__(self, store: Path) -> None:
        self.turns = 0
        self.steps = 0
        self.was_closed = False
        self._ended = False
        self._selector = selectors.DefaultSelector()
        self.ear = Ear()
        self.server = ControlServer(store, self._selector, self._answer, Shield(self.ear))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended:
            for key, events in self._selector.select(0.0 if self.server.is_working else 0.01):
                key.data(events)
            self.server.go_on(0.001)
            self.turns += 1

    def close(self) -> None:
        self._ended = True
        self._thread.join()
        self.server.close()
        self._selector.close()

    def _answer(self, directory: str, verb: str, arguments: dict[str, Any]) -> Any:
        if verb == "work":
            return self._work(**arguments)
        if verb == "trouble":
            raise OSError(errno.EMFILE, "Too many open files")
        if verb == "refuse":
            raise GuardError("That is refused", "Do not ask", ExitCode.REFUSED)
        return {"verb": verb, **arguments}

    def _work(self, seconds: float, refuse: bool = False) -> Generator[None, None, dict[str, Any]]:
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                self.steps += 1
                time.sleep(0.0005)
                yield
            if refuse:
                raise GuardError("The work is refused", "", ExitCode.REFUSED)
            return {"done": True, "long": "x" * 3_000_000}
        except GeneratorExit:
            self.was_closed = True
            raise


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    guard = Guard(tmp_path)
    yield guard
    guard.close()


def test_an_answer_at_once(guard: Guard, tmp_path: Path) -> None:
    assert ask_running_guard(tmp_path, "prove", {"a": 1}) == {"verb": "prove", "a": 1}
    with pytest.raises(GuardError, match="That is refused") as refused:
        ask_running_guard(tmp_path, "refuse", {})
    assert refused.value.exit_code == ExitCode.REFUSED


def ask_for_work(guard: Guard, store: Path, seconds: float) -> tuple[threading.Thread, list[Any]]:
    """Ask for what takes so long, in a thread, and wait until it is begun; return the thread, and where the answer will be."""
    answers: list[Any] = []
    asking = threading.Thread(
        target=lambda: answers.append(ask_running_guard(store, "work", {"seconds": seconds}))
    )
    asking.start()
    until(lambda: guard.steps)
    return asking, answers


def test_the_loop_turns_and_answers_others_while_it_works(guard: Guard, tmp_path: Path) -> None:
    asking, answers = ask_for_work(guard, tmp_path, 1.0)
    turns = guard.turns
    assert ask_running_guard(tmp_path, "prove", {}) == {"verb": "prove"}
    assert not answers
    asking.join()
    assert answers[0]["done"]
    assert len(answers[0]["long"]) == 3_000_000
    assert guard.turns > turns + 20


def test_work_can_be_refused_in_the_middle(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="The work is refused"):
        ask_running_guard(tmp_path, "work", {"seconds": 0.01, "refuse": True})
    assert ask_running_guard(tmp_path, "prove", {}) == {"verb": "prove"}


def test_who_goes_away_ends_the_work(guard: Guard, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(tmp_path / "control"))
        connection.sendall(b'{"verb": "work", "arguments": {"seconds": 60}}\n')
        until(lambda: guard.steps)
    until(lambda: not guard.server.is_working)
    until(lambda: guard.was_closed)


def test_a_directory_in_the_place_of_the_socket_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "note").write_text("x")
    guard = Guard(tmp_path)
    try:
        assert ask_running_guard(tmp_path, "prove", {}) == {"verb": "prove"}
    finally:
        guard.close()
    assert (tmp_path / "set-aside" / "control.1" / "note").read_text() == "x"


def test_what_the_system_refuses_is_a_sentence(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="could not do that now: Too many open files"):
        ask_running_guard(tmp_path, "trouble", {})
    assert not guard.ear.heard


@pytest.mark.parametrize("words", [b"no json\n", b"[]\n", b"{}\n"])
def test_what_is_not_understood_is_a_sentence(guard: Guard, tmp_path: Path, words: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(tmp_path / "control"))
        connection.sendall(words)
        assert b"did not understand" in connection.recv(10_000)


def test_more_clients_than_can_be_commands_cost_the_guard_nothing(guard: Guard, tmp_path: Path) -> None:
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3 * control.MOST_CONVERSATIONS)]
    try:
        before = len(os.listdir("/proc/self/fd"))
        for number, client in enumerate(clients):
            client.connect(str(tmp_path / "control"))
            if number % 3:
                client.sendall((b"half a request", b'{"verb": "status", "arguments": {}}\n')[number % 3 - 1])
        assert ask_running_guard(tmp_path, "prove", {}) == {"verb": "prove"}
        assert len(os.listdir("/proc/self/fd")) <= before + control.MOST_CONVERSATIONS
        clients[0].settimeout(10)
        assert clients[0].recv(1) == b""  # who said nothing for longest was hung up on
    finally:
        for client in clients:
            client.close()
    assert ask_running_guard(tmp_path, "prove", {}) == {"verb": "prove"}


def test_who_waits_for_an_answer_is_not_hung_up_on(guard: Guard, tmp_path: Path) -> None:
    asking, answers = ask_for_work(guard, tmp_path, 0.5)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(2 * control.MOST_CONVERSATIONS)]
    for client in clients:
        client.connect(str(tmp_path / "control"))
    asking.join()
    assert answers[0]["done"]
    for client in clients:
        client.close()


def test_as_many_as_connect_in_one_instant_are_let_in(tmp_path: Path) -> None:
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    with selectors.DefaultSelector() as selector:
        server = ControlServer(tmp_path, selector, lambda *_: {}, Shield(Ear()))
        clients = [socket.socket(socket.AF_UNIX) for _ in range(min(300, most))]
        try:
            for client in clients:
                client.setblocking(False)
                client.connect(
                    str(tmp_path / "control")
                )  # what the kernel has no room for raises BlockingIOError
        finally:
            for client in clients:
                client.close()
            server.close()


def test_who_is_idle_makes_room_and_who_waits_for_an_answer_does_not(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MOST_CONVERSATIONS", 3)
    asking, answers = ask_for_work(guard, tmp_path, 0.5)  # it is the one that has been connected for longest
    assert until(lambda: guard.server.is_working)
    idle = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    for client in idle:
        client.settimeout(10)
        client.connect(str(tmp_path / "control"))
    assert [client.recv(1) for client in idle[:2]] == [b"", b""]
    asking.join()
    assert answers[0]["done"]
    for client in idle:
        client.close()


def test_without_a_descriptor_who_is_idle_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def accept(listener: socket.socket) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    def turn() -> None:
        for key, events in selector.select(10):
            key.data(events)

    with selectors.DefaultSelector() as selector, socket.socket(socket.AF_UNIX) as client:
        server = ControlServer(tmp_path, selector, lambda *_: {}, Shield(Ear()))
        client.settimeout(10)
        client.connect(str(tmp_path / "control"))
        turn()
        monkeypatch.setattr(socket.socket, "accept", accept)
        with socket.socket(socket.AF_UNIX) as another:
            another.connect(str(tmp_path / "control"))
            turn()
            assert client.recv(1) == b""
        server.close()


def test_who_was_hung_up_on_since_the_selector_named_it_is_passed_over(tmp_path: Path) -> None:
    with selectors.DefaultSelector() as selector, socket.socket(socket.AF_UNIX) as client:
        ear = Ear()
        server = ControlServer(tmp_path, selector, lambda *_: {}, Shield(ear))
        client.connect(str(tmp_path / "control"))
        [(listening, events)] = selector.select(10)
        listening.data(events)
        client.sendall(b"half a request")
        [(named, events)] = selector.select(10)
        server._make_room()
        named.data(events)
        assert ear.heard == []
        server.close()


def replied(store: Path, reply: bytes, verb: str) -> dict[str, Any] | None:
    """Return what is read of a reply on the socket of a store."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(reply + b"\n")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(store / "control"))
        listener.listen()
        answering = threading.Thread(target=answer)
        answering.start()
        try:
            return ask_running_guard(store, verb, {})
        finally:
            answering.join()


@pytest.mark.parametrize(
    "reply",
    [
        b"no json", b"null", b"[]", b"5", b"{}", b'{"answer": 5}', b'{"error": 5}', b"\xff", b"[" * 100_000,
        b'{"error": {"what": "x", "remedy": "y", "exit_code": 99}}', b'{"error": {"what": 5}}',
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_a_sentence(tmp_path: Path, reply: bytes) -> None:
    with pytest.raises(GuardError, match="no answer that can be read"):
        replied(tmp_path, reply, "prove")


@pytest.mark.parametrize(
    "verb",
    [
        "status",
        "undo",
        "restore",
        "accept",
        "restore_all_missing",
        "salvage",
        "purge",
        "prune",
        "title",
        "rebuild",
    ],
)
@pytest.mark.parametrize("answer", [b"{}", b'{"session": "s", "action": "restored", "version": "9"}'])
def test_an_answer_of_another_version_is_a_sentence(tmp_path: Path, verb: str, answer: bytes) -> None:
    with pytest.raises(GuardError, match="no answer that can be read"):
        replied(tmp_path, b'{"answer": %b}' % answer, verb)


def test_a_guard_that_hangs_is_told_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "STATUS_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control"))
        listener.listen()
        with pytest.raises(GuardError, match="does not answer"):
            ask_running_guard(tmp_path, "status", {})
