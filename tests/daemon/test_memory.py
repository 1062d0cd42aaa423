"""The running daemon with a long session: its memory, and that a request about it holds nothing else up."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from hermesguard.config import memory
from hermesguard.daemon.control import ask_running_guard
from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from tests.helpers.daemon_process import Daemon
from tests.helpers.waiting import until

MESSAGES = 8000
BESIDE_BYTES = 28 * 1024 * 1024
"""What may be taken whatever the size of the file; four megabytes of it are OpenSSL, which comes with the first copy."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "webui" / "sessions" / "long.json"
    path.parent.mkdir(parents=True)
    return path


def long_session() -> dict[str, Any]:
    """A session of 16 MB, half of it what the model is sent; one emoji makes a text of it take four times its size."""
    said = [f"{number} {'word ' * 190}" for number in range(MESSAGES)]
    said[1] += "\U0001f600"
    sides = [(("user", "assistant")[number % 2], text) for number, text in enumerate(said)]
    return {
        "session_id": "long",
        "title": "Long",
        "updated_at": 2.5,
        "active_stream_id": "s",
        "pending_user_message": None,
        "messages": [
            {"role": role, "content": text, "timestamp": number + 0.5}
            for number, (role, text) in enumerate(sides)
        ],
        "tool_calls": [],
        "context_messages": [{"role": role, "content": text} for role, text in sides],
    }


def save(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.stem}.tmp.1.1")
    temporary.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")
    temporary.rename(path)


def incidents(daemon: Daemon) -> int:
    path = daemon.store / "incidents.jsonl"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def memory_bytes(daemon: Daemon, which: str) -> int:
    """What the kernel says of the daemon's memory, `VmRSS` or `VmHWM` (proc(5))."""
    assert daemon.process
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:")) * 1024


def peak_bytes(daemon: Daemon) -> int:
    """The most memory that the daemon had since `reset`."""
    return memory_bytes(daemon, "VmHWM")


def reset(daemon: Daemon) -> None:
    assert daemon.process
    Path(f"/proc/{daemon.process.pid}/clear_refs").write_text("5", encoding="ascii")


def test_a_long_session_takes_three_times_its_size(tmp_path: Path, path: Path) -> None:
    value = long_session()
    with Daemon(tmp_path) as daemon:
        daemon.start()
        idle_bytes = peak_bytes(daemon)

        def require_little(what: str) -> None:
            most = 3 * path.stat().st_size + BESIDE_BYTES
            taken = peak_bytes(daemon) - idle_bytes
            assert taken <= most, f"{what}: {taken >> 20} MB, and {most >> 20} MB are allowed"
            reset(daemon)

        save(path, value)
        shadow = daemon.store / "shadows" / "long.json"
        daemon.until(lambda: shadow.exists() and shadow.stat().st_size == path.stat().st_size, 60)
        require_little("the first copy")
        value["messages"].append({"role": "user", "content": "more", "timestamp": 1e9})
        save(path, value | {"updated_at": 3.5})
        daemon.until((daemon.store / "shadows" / "long.delta").exists, 60)
        require_little("growth")
        save(
            path,
            value | {"messages": [], "context_messages": [], "active_stream_id": None, "updated_at": 4.5},
        )
        daemon.until(lambda: incidents(daemon) == 1, 60)
        require_little("a wipe")
        new = {"role": "user", "content": "from a stale writer", "timestamp": 2e9}
        stale = value | {
            "messages": [*value["messages"][:-4], new],
            "active_stream_id": None,
            "updated_at": 5.5,
        }
        save(path, stale)
        daemon.until(lambda: incidents(daemon) == 2, 60)
        require_little("a merge")
        assert len(json.loads(path.read_bytes())["messages"]) == MESSAGES + 2
        answer = ask_running_guard(daemon.store, "undo", {"incident": "2"})
        assert answer
        assert answer["messages_after"] == MESSAGES - 2
        assert json.loads(path.read_bytes()) == stale
        require_little("an undo")
        answer = ask_running_guard(daemon.store, "restore", {"name": "long", "version": answer["version"]})
        assert answer
        assert answer["messages_after"] == MESSAGES + 2
        require_little("a restore")
        most = idle_bytes + 2 * path.stat().st_size + BESIDE_BYTES
        daemon.until(lambda: memory_bytes(daemon, "VmRSS") <= most, 60)
        assert not daemon.heard("internal_error")


def test_another_session_is_repaired_while_a_request_about_a_long_one_is_answered(
    tmp_path: Path, path: Path
) -> None:
    good: Chat = App(path.parent, Era.OLD).create(turns=5)
    good.send("unsent")
    value = long_session()
    save(path, value)
    with Daemon(tmp_path) as daemon:
        daemon.start()
        daemon.until(lambda: (daemon.store / "shadows" / "long.json").exists(), 60)
        del value["messages"][-4:]
        value["messages"].append({"role": "user", "content": "from a stale writer", "timestamp": 2e9})
        save(path, value)
        daemon.until(lambda: incidents(daemon) == 1, 60)
        answers: list[dict[str, Any] | None] = []
        asked = threading.Thread(
            target=lambda: answers.append(ask_running_guard(daemon.store, "undo", {"incident": "1"}))
        )
        asked.start()
        losses.wipe(good)
        until(lambda: len(json.loads(good.path.read_bytes())["messages"]) == 11)
        asked.join(60)
        daemon.until(lambda: incidents(daemon) == 3)
        assert answers
        assert answers[0]
        assert answers[0]["messages_after"] == MESSAGES - 3


def test_a_session_of_150_mb_fits_into_the_limit_of_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaging = Path(__file__).parents[2] / "packaging"
    for unit in ("hermesguard.service", "hermesguard@.service", "user/hermesguard.service"):
        limits = dict(
            line.split("=", 1)
            for line in (packaging / unit).read_text("utf-8").splitlines()
            if line.startswith("Memory")
        )
        high, most = (int(limits[name].removesuffix("M")) << 20 for name in ("MemoryHigh", "MemoryMax"))
        monkeypatch.setattr(memory, "memory_bytes", lambda groups, both=(high, most): min(both))
        limit_bytes = memory.session_limit_bytes(None)
        assert 150_000_000 <= limit_bytes <= 200_000_000
        assert memory.OWN_BYTES + 3 * limit_bytes <= high < most
