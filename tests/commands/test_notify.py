"""`hermesguard notify` as it is typed: tests, one look for a timer, mistakes, and what `status` says of it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hermesguard.notify import state as states
from tests.helpers import cli_store
from tests.helpers.cli_store import Scene
from tests.helpers.receivers import Http
from tests.helpers.waiting import until


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return cli_store.make(tmp_path_factory.mktemp("notify"))


@pytest.fixture
def scene(original: Scene, tmp_path: Path) -> Scene:
    return cli_store.copied(original, tmp_path / "copy")


def notify(scene: Scene, *words: str, **variables: str) -> tuple[int, str, str]:
    environment = {f"HERMESGUARD_NOTIFY_{key.upper()}": value for key, value in variables.items()}
    done = scene.run("notify", *words, environment={"HERMESGUARD_NOTIFY_SOURCE": "incidents", **environment})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_nobody_to_tell_is_a_mistake(scene: Scene) -> None:
    code, _, said = notify(scene)
    assert code == 12
    assert said.startswith("hermesguard: Nobody is named who could be told. Name an address")


def test_a_test_message_goes_to_each_address_and_each_answer_is_told(scene: Scene) -> None:
    server = Http()
    code, out, _ = notify(scene, "--test", urls=f"{server.url} json://127.0.0.1:1/secret")
    assert code == 1
    assert out.splitlines() == [
        "address 1 (ntfy): the test message was taken",
        "address 2 (json): it cannot be reached (Connection refused)",
    ]
    assert server.titles[0].endswith(": a test")
    assert notify(scene, "--test", urls=server.url)[0] == 0
    assert not states.directory_of(scene.store).exists()
    server.stop()


def test_one_look_tells_what_there_is_and_the_next_one_what_came_since(scene: Scene) -> None:
    log = scene.store / "incidents.jsonl"
    server = Http()
    asked = {"urls": server.url, "events": "urgent restored"}
    before = log.read_bytes()
    _redate(log)
    assert notify(scene, "--once", **asked)[0] == 0
    assert len(server.bodies) == 1
    assert "Lost messages were restored: 3f2a00000001, incident 1" in server.bodies[0]["message"]
    assert notify(scene, "--once", **asked)[0] == 0
    assert len(server.bodies) == 1
    server.mood = "refuse"
    log.write_bytes(before.replace(b'"id": "1"', b'"id": "9"'))
    _redate(log)
    code, _, said = notify(scene, "--once", **asked)
    assert code == 4
    assert "Trying again in" in said
    server.mood = "good"
    status = json.loads(scene.run("status", "--json").stdout)["notify"]
    assert (status["running"], status["problem"]) == (False, "")
    assert [(one["name"], one["delivered"], one["waiting"]) for one in status["addresses"]] == [
        ("address 1 (ntfy)", 1, 1)
    ]
    assert "address 1 (ntfy): 1 message sent" in " ".join(scene.run("status").stdout.decode().split())
    server.stop()


def _redate(log: Path) -> None:
    """Let the incidents be of now."""
    from datetime import UTC, datetime

    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    now = datetime.now(UTC).isoformat()
    log.write_text("".join(json.dumps(line | {"time": now}) + "\n" for line in lines), "utf-8")


def test_a_notifier_that_dies_is_told_by_status_and_one_that_ends_is_not(scene: Scene) -> None:
    environment = scene.environment(
        {"HERMESGUARD_NOTIFY_URLS": "json://127.0.0.1:1/x", "HERMESGUARD_NOTIFY_SOURCE": "incidents"}
    )
    for number, problem in ((signal.SIGKILL, "the notifier has ended without a word"), (signal.SIGTERM, "")):
        command = [sys.executable, "-m", "hermesguard", "notify"]
        process = subprocess.Popen(command, cwd=cli_store.ROOT, env=environment, stderr=subprocess.DEVNULL)
        with process:
            try:
                until(
                    lambda: (json.loads(scene.run("status", "--json").stdout)["notify"] or {}).get("running")
                )
            except BaseException:
                process.kill()
                raise
            os.kill(process.pid, number)
            assert process.wait(30) == (0 if number == signal.SIGTERM else -number)
        known = json.loads(scene.run("status", "--json").stdout)
        assert known["notify"]["problem"] == problem
        assert (problem in [one["what"] for one in known["problems"]]) is bool(problem)


def test_the_guards_own_files_stay_as_they_are(scene: Scene) -> None:
    before = {path: path.stat().st_mtime_ns for path in scene.store.rglob("*")}
    server = Http()
    assert notify(scene, "--once", urls=server.url)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in scene.store.rglob("*")} == before
    assert states.directory_of(scene.store).stat().st_mode & 0o777 == 0o700
    assert server.url.partition("//")[2] not in (states.directory_of(scene.store) / states.FILE).read_text(
        "utf-8"
    )
    server.stop()
