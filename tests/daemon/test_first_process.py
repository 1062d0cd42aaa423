"""As a container's own process: what a restart does not change is said once a minute, not at once again."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hermesguard.cli.commands.service import run
from hermesguard.errors import ExitCode
from tests.helpers.daemon_process import environment_for
from tests.helpers.namespaces import REPOSITORY
from tests.helpers.waiting import until

AS_FIRST = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")


def started(root: Path, *before: str, **variables: str) -> subprocess.Popen[str]:
    environment = environment_for(root, HERMESGUARD_SESSIONS=str(root / "sessions"), **variables)
    return subprocess.Popen(
        [*before, sys.executable, "-m", "hermesguard", "run"],
        cwd=REPOSITORY,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def child_of(process: subprocess.Popen[str]) -> int:
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def ended(process: subprocess.Popen[str], first: int) -> bool:
    """Ask the first process to end; it does not get a signal that it neither heeds nor waits for yet."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGTERM)
    return process.poll() is not None


def test_a_container_says_what_is_wrong_and_stays_to_be_asked(tmp_path: Path) -> None:
    with started(tmp_path, *AS_FIRST, HERMESGUARD_SCAN_INTERVAL="soon") as process:
        assert process.stderr
        assert "HERMESGUARD_SCAN_INTERVAL" in process.stderr.readline()
        first = child_of(process)
        until(lambda: ended(process, first), seconds=50)  # docker stop
        assert process.returncode == ExitCode.CONFIG


def test_any_other_process_ends_at_once(tmp_path: Path) -> None:
    with started(tmp_path, HERMESGUARD_SCAN_INTERVAL="soon") as process:
        assert process.wait(60) == ExitCode.CONFIG


@pytest.mark.parametrize("code", [ExitCode.USAGE, ExitCode.CONFIG, ExitCode.REFUSED])
def test_it_waits_for_a_signal_as_long_as_a_restart_is_put_off(
    monkeypatch: pytest.MonkeyPatch, code: ExitCode
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(run.signal, "pthread_sigmask", lambda *_: None)
    monkeypatch.setattr(run.signal, "sigtimedwait", lambda _, seconds: waited.append(seconds))
    run.wait_before_a_restart(code)
    assert waited == [60.0]


@pytest.mark.parametrize("code", [ExitCode.FAILED, ExitCode.NO_STORE, ExitCode.LOCKED])
def test_what_heals_by_itself_is_tried_again_at_once(monkeypatch: pytest.MonkeyPatch, code: ExitCode) -> None:
    monkeypatch.setattr(run.signal, "sigtimedwait", lambda *_: pytest.fail("waits"))
    run.wait_before_a_restart(code)


def test_the_same_codes_are_lasting_for_systemd() -> None:
    unit = (REPOSITORY / "packaging" / "hermesguard.service").read_text(encoding="utf-8")
    (line,) = (line for line in unit.splitlines() if line.startswith("RestartPreventExitStatus="))
    assert {int(code) for code in line.partition("=")[2].split()} == set(map(int, run._LASTING))
