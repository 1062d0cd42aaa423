"""The control socket: answers at once, answers that take time, and people who go away meanwhile."""

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
        self.server = ControlServer(store, self._selector, self._answer, Shield(Ear()))
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
    assert ask_running_guard(tmp_path, "status", {"a": 1}) == {"verb": "status", "a": 1}
    with pytest.raises(GuardError, match="That is refused") as refused:
        ask_running_guard(tmp_path, "refuse", {})
    assert refused.value.exit_code == ExitCode.REFUSED


def test_the_loop_turns_and_answers_others_while_it_works(guard: Guard, tmp_path: Path) -> None:
    answers: list[Any] = []
    asking = threading.Thread(
        target=lambda: answers.append(ask_running_guard(tmp_path, "work", {"seconds": 1.0}))
    )
    asking.start()
    until(lambda: guard.steps)
    turns = guard.turns
    assert ask_running_guard(tmp_path, "status", {}) == {"verb": "status"}
    assert not answers
    asking.join()
    assert answers[0]["done"]
    assert len(answers[0]["long"]) == 3_000_000
    assert guard.turns > turns + 20


def test_work_can_be_refused_in_the_middle(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="The work is refused"):
        ask_running_guard(tmp_path, "work", {"seconds": 0.01, "refuse": True})
    assert ask_running_guard(tmp_path, "status", {}) == {"verb": "status"}


def test_who_goes_away_ends_the_work(guard: Guard, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(tmp_path / "control"))
        connection.sendall(b'{"verb": "work", "arguments": {"seconds": 60}}\n')
        until(lambda: guard.steps)
    until(lambda: not guard.server.is_working)
    until(lambda: guard.was_closed)


@pytest.mark.parametrize("words", [b"no json\n", b"[]\n", b"{}\n"])
def test_what_is_not_understood_is_a_sentence(guard: Guard, tmp_path: Path, words: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(tmp_path / "control"))
        connection.sendall(words)
        assert b"did not understand" in connection.recv(10_000)


def test_a_guard_that_hangs_is_told_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "STATUS_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control"))
        listener.listen()
        with pytest.raises(GuardError, match="does not answer"):
            ask_running_guard(tmp_path, "status", {})
