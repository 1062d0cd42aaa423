"""Configured commands get their data, are ended in time, and are never waited for."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hermesguard.events.catalog import BY_NAME
from hermesguard.events.hooks import HEARD, Hooks
from hermesguard.events.sinks import Record
from tests.helpers.waiting import until

NOW = datetime(2026, 11, 22, 12, 0, 0, 0, UTC)


@dataclass
class Commands:
    alert_command: tuple[str, ...] = ()
    heartbeat_command: tuple[str, ...] = ()
    on_version_command: tuple[str, ...] = ()
    hook_timeout_seconds: float = 20.0


@dataclass
class Time:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


Started = Callable[..., Hooks]


@pytest.fixture
def failures() -> list[dict[str, object]]:
    return []


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def start(failures: list[dict[str, object]], time: Time) -> Iterator[Started]:
    made: list[Hooks] = []

    def make(**commands: object) -> Hooks:
        hooks = Hooks(Commands(**commands), lambda name, **fields: failures.append(fields), time)  # type: ignore[arg-type]
        made.append(hooks)
        return hooks

    yield make
    for hooks in made:
        hooks.close()


def record(name: str = "restored", **values: str | int) -> Record:
    return Record(BY_NAME[name], NOW, BY_NAME[name].text(values), values)


def python(*lines: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "\n".join(lines))


def run_all(hooks: Hooks) -> None:
    until(lambda: hooks.pump() is None)


def test_an_alert_is_json_on_standard_input_and_no_shell(start: Started, tmp_path: Path) -> None:
    out = tmp_path / "out; touch oops $(id)"
    hooks = start(
        alert_command=(*python("import sys", "open(sys.argv[1], 'w').write(sys.stdin.read())"), str(out))
    )
    hooks.hear(record(session="abc", messages_before=2))
    run_all(hooks)
    text = out.read_text()
    assert text.endswith("\n")
    assert json.loads(text) == {
        "schema_version": 2,
        "event": "restored",
        "message_id": BY_NAME["restored"].message_id,
        "time": "2026-11-22T12:00:00.000000Z",
        "priority": 4,
        "level": "warning",
        "message": "Restored abc; 2 messages before.",
        "session": "abc",
        "messages_before": 2,
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name]


def test_versions_go_to_their_own_command(start: Started, tmp_path: Path) -> None:
    code = python(
        "import sys, os", "open(os.path.join(sys.argv[1], sys.argv[2]), 'a').write(sys.stdin.read())"
    )
    hooks = start(
        alert_command=(*code, str(tmp_path), "alert"), on_version_command=(*code, str(tmp_path), "version")
    )
    hooks.hear(record("version_kept", session="abc", version="v"))
    hooks.hear(record("restored"))
    run_all(hooks)
    assert json.loads((tmp_path / "version").read_text())["version"] == "v"
    assert json.loads((tmp_path / "alert").read_text())["event"] == "restored"


def test_alerts_are_events_of_priority_warning_or_worse() -> None:
    assert {"restored", "uncertain", "mass_change_held", "hook_failed", "waiting"} <= HEARD
    assert not {"resolved", "intended", "ready", "watch_restored"} & HEARD


def test_without_a_command_nothing_is_run(start: Started) -> None:
    hooks = start()
    hooks.hear(record())
    hooks.heartbeat()
    assert hooks.pump() is None


def test_at_most_four_run_at_once(start: Started, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    hooks = start(
        alert_command=(
            *python(
                "import os, sys, time",
                "open(os.path.join(sys.argv[1], str(os.getpid())), 'w')",
                "while not os.path.exists(sys.argv[1] + '/gate'): time.sleep(0.01)",
            ),
            str(tmp_path),
        )
    )
    for _ in range(6):
        hooks.hear(record())
    assert hooks.pump() is not None
    until(lambda: len(list(tmp_path.iterdir())) == 4)
    assert hooks.pump() is not None
    assert len(hooks._running) == 4
    gate.touch()
    run_all(hooks)
    assert len(list(tmp_path.iterdir())) == 7


def test_the_queue_is_bounded_and_what_is_dropped_is_told(
    start: Started, failures: list[dict[str, object]], time: Time
) -> None:
    hooks = start(alert_command=python("pass"))
    for _ in range(300):
        hooks.hear(record())
    assert failures == [
        {
            "command": "alert_command",
            "error": "too many are waiting to be run",
            "exit_status": None,
            "count": None,
            "duration_us": None,
        }
    ]
    assert len(hooks._waiting) == 256
    time.seconds = 601
    hooks.hear(record())
    assert failures[1]["count"] == 43


def test_a_command_that_takes_too_long_is_ended_with_its_children(
    start: Started, failures: list[dict[str, object]], time: Time, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pids"
    hooks = start(
        alert_command=(
            *python(
                "import os, signal, subprocess, sys, time",
                "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
                "child = subprocess.Popen([sys.executable, '-c',"
                " 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)'])",
                "open(sys.argv[1] + '~', 'w').write(f'{os.getpid()} {child.pid}')",
                "os.rename(sys.argv[1] + '~', sys.argv[1])",
                "time.sleep(600)",
            ),
            str(pid_file),
        )
    )
    hooks.hear(record())
    hooks.pump()
    until(pid_file.exists)
    assert hooks.pump() is not None
    assert not failures

    def is_gone(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    def is_over() -> bool:
        time.seconds += 1
        return hooks.pump() is None

    time.seconds = 21
    until(is_over)
    until(lambda: all(is_gone(int(pid)) for pid in pid_file.read_text().split()))
    assert failures[0]["error"] == "it took longer than 20 s"
    assert failures[0]["exit_status"] == -9


def test_standard_input_that_is_never_read_stops_nothing(
    start: Started, failures: list[dict[str, object]]
) -> None:
    hooks = start(alert_command=python("pass"))
    hooks.hear(record("config_invalid", error="x" * 1_000_000))
    run_all(hooks)
    assert not failures


def test_a_flood_of_complaints_stops_nothing_and_the_last_is_told(
    start: Started, failures: list[dict[str, object]]
) -> None:
    hooks = start(
        alert_command=python(
            "import sys",
            "sys.stdout.write('x' * 1000000)",
            "sys.stderr.write('y' * 1000000)",
            "sys.exit('no \\x1b host')",
        )
    )
    hooks.hear(record())
    run_all(hooks)
    (failure,) = failures
    assert failure["exit_status"] == 1
    assert str(failure["error"]).startswith("it ended with exit status 1 (y")
    assert str(failure["error"]).endswith(r"yno \x1b host)")
    assert len(str(failure["error"])) < 400


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (("/nowhere/program",), "/nowhere/program: No such file or directory"),
        (("/etc/passwd",), "/etc/passwd: Permission denied"),
        (("/bin/sh\0",), "/bin/sh\0: embedded null byte"),
    ],
)
def test_a_command_that_cannot_be_started_is_told(
    start: Started, failures: list[dict[str, object]], command: tuple[str, ...], error: str
) -> None:
    hooks = start(alert_command=command)
    hooks.hear(record())
    assert hooks.pump() is None
    assert failures[0]["error"] == error


def test_a_lasting_failure_is_told_once_in_ten_minutes(
    start: Started, failures: list[dict[str, object]], time: Time
) -> None:
    hooks = start(heartbeat_command=("false",))
    for _ in range(12):
        hooks.heartbeat(sessions=1)
        run_all(hooks)
        time.seconds += 60
    assert [failure["count"] for failure in failures] == [None, 9]
    hooks.configure(Commands(heartbeat_command=("true",)))
    hooks.heartbeat()
    run_all(hooks)
    hooks.configure(Commands(heartbeat_command=("false",)))
    time.seconds += 60
    hooks.heartbeat()
    run_all(hooks)
    assert len(failures) == 3


def test_an_alert_about_a_failed_alert_is_not_tried(start: Started) -> None:
    hooks = start(alert_command=python("pass"))
    hooks.hear(record("hook_failed", command="alert_command", error="x"))
    assert hooks.pump() is None
    hooks.hear(record("hook_failed", command="heartbeat_command", error="x"))
    assert hooks.pump() is not None


def test_a_heartbeat_at_most_once_a_minute(start: Started, time: Time, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hooks = start(
        heartbeat_command=(*python("import sys", "open(sys.argv[1], 'a').write(sys.stdin.read())"), str(out))
    )
    for _ in range(13):
        hooks.heartbeat(sessions=3)
        run_all(hooks)
        time.seconds += 10
    beats = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(beats) == 3
    assert (beats[0]["event"], beats[0]["sessions"]) == ("heartbeat", 3)


def test_a_command_cannot_speak_for_the_service(
    start: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("HERMESGUARD_TEST", "1")
    out = tmp_path / "out"
    hooks = start(
        alert_command=(
            *python("import os, sys", "open(sys.argv[1], 'w').write(' '.join(os.environ))"),
            str(out),
        )
    )
    hooks.hear(record())
    run_all(hooks)
    names = out.read_text().split()
    assert "HERMESGUARD_TEST" in names
    assert "NOTIFY_SOCKET" not in names


def test_no_descriptor_of_ours_is_inherited_or_left(start: Started, tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    out = tmp_path / "out"
    with open(tmp_path / "secret", "w") as _:
        hooks = start(
            alert_command=(
                *python(
                    "import os, sys",
                    "open(sys.argv[1], 'w').write('\\n'.join(os.path.realpath(f'/proc/self/fd/{n}') "
                    "for n in os.listdir('/proc/self/fd')))",
                ),
                str(out),
            )
        )
        hooks.hear(record())
        run_all(hooks)
    assert "secret" not in out.read_text()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_flush_waits_for_the_last_alert_but_not_for_ever(start: Started, tmp_path: Path) -> None:
    hooks = start(
        alert_command=(
            *python("import sys, time", "time.sleep(0.05)", "open(sys.argv[1], 'w')"),
            str(tmp_path / "out"),
        )
    )
    hooks.hear(record())
    assert hooks.flush(20.0)
    assert (tmp_path / "out").exists()
    hooks.configure(Commands(alert_command=python("import time", "time.sleep(600)")))
    hooks.hear(record())
    assert not hooks.flush(0.01)
