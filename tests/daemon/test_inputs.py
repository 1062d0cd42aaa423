"""The running daemon with inputs that would hold it up: it guards the others, heeds signals, and comes back to them."""

import json
import random
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from selectors import DefaultSelector
from typing import Any

import pytest

from hermesguard.daemon.writers import Writers
from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from tests.helpers.daemon_process import Daemon, cpu_seconds
from tests.helpers.waiting import until

MANY = 60_000


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    path = tmp_path / "webui" / "sessions"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def good(sessions: Path) -> Chat:
    chat = App(sessions, Era.OLD).create(turns=5)
    chat.send("unsent")
    return chat


def save(path: Path, value: dict[str, Any], pid: int = 1) -> None:
    temporary = path.with_name(f"{path.stem}.tmp.{pid}.1")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    temporary.rename(path)


def count(path: Path) -> int:
    return len(json.loads(path.read_bytes())["messages"])


@pytest.fixture
def shuffled(tmp_path: Path, sessions: Path, good: Chat) -> Iterator[tuple[Daemon, Path]]:
    """A daemon that compares a long session with a shuffled half of itself."""
    path = sessions / "long.json"
    messages = [
        {"role": "user", "content": f"{number} said", "timestamp": number + 0.5} for number in range(MANY)
    ]
    value = {
        "session_id": "long",
        "title": "Long",
        "created_at": 1.5,
        "active_stream_id": None,
        "messages": messages,
    }
    save(path, value)
    with Daemon(tmp_path) as daemon:
        daemon.start()
        random.Random(1).shuffle(messages)
        assert daemon.process
        daemon.process.send_signal(signal.SIGSTOP)  # it begins once the test has done its part
        save(path, value | {"messages": messages[: MANY // 2]})
        yield daemon, path


def go_on(daemon: Daemon) -> None:
    assert daemon.process
    daemon.process.send_signal(signal.SIGCONT)


def test_another_session_is_repaired_while_a_long_one_is_compared(
    shuffled: tuple[Daemon, Path], good: Chat
) -> None:
    daemon, path = shuffled
    losses.wipe(good)
    go_on(daemon)
    until(lambda: count(good.path) == 11)
    daemon.until(lambda: daemon.heard("restored", session=good.session_id))
    daemon.until(lambda: count(path) == MANY, 60)
    said = [event["session"] for event in daemon.events if event.get("incident")]
    assert said[0] == good.session_id


def test_a_signal_is_heeded_while_a_long_session_is_compared(shuffled: tuple[Daemon, Path]) -> None:
    daemon, _ = shuffled
    go_on(daemon)
    assert daemon.process
    before = cpu_seconds(daemon.process.pid)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert daemon.stop(signal.SIGTERM) == 0
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = now.ru_utime + now.ru_stime - ended.ru_utime - ended.ru_stime - before
    # By the clock 0.06 to 0.22 s, also with files of 130 MB, on a machine that does nothing else.
    assert used < 0.5, "it compared to the end"


def test_a_session_that_is_too_large_comes_back(tmp_path: Path, good: Chat) -> None:
    before = json.loads(good.path.read_bytes())["messages"]
    with Daemon(tmp_path, "--max-session-bytes", "1000") as daemon:
        daemon.start()
        daemon.until(lambda: (daemon.store / "shadows" / good.path.name).exists())
        stub = {"session_id": good.session_id, "title": good.document["title"], "messages": []}
        save(good.path, stub)
        daemon.until(lambda: json.loads(good.path.read_bytes())["messages"] == before)
        daemon.until(lambda: daemon.heard("restored", session=good.session_id))
        assert len(daemon.heard("too_large")) == 1


def test_the_end_of_a_writer_is_noticed_at_once() -> None:
    ended: list[str] = []
    with DefaultSelector() as selector:
        writers = Writers(selector, ended.append)
        process = subprocess.Popen(["sleep", "600"])
        gone = subprocess.Popen(["true"])
        gone.wait()
        for _ in range(2):
            writers.follow({process.pid: "stale", gone.pid: "of another namespace"})
        assert selector.select(0) == []
        process.kill()
        for key, events in selector.select(20):
            key.data(events)
        process.wait()
        assert ended == ["stale"]
        writers.close()
        assert not selector.get_map()
