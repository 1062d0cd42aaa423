"""What a real journal tells of the end of a real guard."""

import os
from pathlib import Path

import pytest

from tests.helpers.namespaces import run_in_namespace

JOURNALD = "/lib/systemd/systemd-journald"


@pytest.mark.skipif(not os.access(JOURNALD, os.X_OK), reason="no journald here")
def test_a_real_journal_tells_of_a_real_guard(tmp_path: Path) -> None:
    printed = run_in_namespace(
        """
import signal, time
from hermesguard.cli.last_guard import last_guard
for place in ("/run", "/var/log"):
    mount("-t", "tmpfs", "none", place)
os.makedirs("/run/log/journal")
os.makedirs("/run/systemd/journal")
journald = subprocess.Popen(["/lib/systemd/systemd-journald"], stderr=subprocess.DEVNULL)

def until(condition):
    for _ in range(6000):
        if found := condition():
            return found
        select.select([], [], [], 0.01)
    raise AssertionError("it did not happen")

sessions, store = directory / "sessions", directory / "store"
sessions.mkdir()
until(lambda: os.path.exists("/run/systemd/journal/socket"))
try:
    for number in (signal.SIGTERM, signal.SIGKILL):
        words = [sys.executable, "-m", "hermesguard", "run", "--sessions", sessions, "--store", store]
        guard = subprocess.Popen(words, env=os.environ | {"HERMESGUARD_LOG": "journal"})
        until(lambda: f"process {guard.pid} " in last_guard(store).words)
        guard.send_signal(number)
        guard.wait()
        until(lambda: number == signal.SIGKILL or "stopped" in last_guard(store).words)
        print(last_guard(store).words.replace(str(guard.pid), "N"))
finally:
    journald.terminate()
    journald.wait()
""",
        tmp_path,
    )
    assert [" ".join(line.split(" of ")[0].split()[:2]) for line in printed.splitlines()] == ["process N"] * 2
    stopped, killed = printed.splitlines()
    assert stopped.endswith("was stopped")
    assert killed.endswith("the journal does not show how it ended")
