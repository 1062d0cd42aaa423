"""The dead man's switch: a success is only told for what the guard has proved, and a guard that hangs proves nothing."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hermesguard.daemon import control
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.notify import ping
from tests.helpers.daemon_process import AS_NOBODY, Daemon
from tests.helpers.waiting import until


def proof(daemon: Daemon) -> ping.Proof:
    return ping.prove(daemon.store, datetime.now(UTC))


def test_a_guard_proves_itself_until_it_hangs_or_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "STATUS_SECONDS", 0.5)
    with Daemon(tmp_path, "--scan-interval", "200ms") as daemon:
        chat = App(daemon.sessions, Era.OLD).create("A garden", turns=2)
        daemon.start()
        first = proof(daemon)
        assert first.reason == ""
        assert first.started
        until(lambda: proof(daemon).scan > first.scan)
        answer = control.ask_running_guard(daemon.store, "title", {"name": chat.session_id})
        assert answer == {"session": chat.session_id, "title": "A garden"}
        assert control.ask_running_guard(daemon.store, "title", {"name": "absent"}) == {
            "session": "absent",
            "title": "",
        }
        assert daemon.process
        daemon.process.send_signal(signal.SIGSTOP)
        assert "does not answer" in proof(daemon).reason
        daemon.process.send_signal(signal.SIGCONT)
        until(lambda: proof(daemon).reason == "")
    assert proof(daemon).reason == "no guard runs"


def test_a_store_that_takes_nothing_is_found_by_the_proof_itself(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--scan-interval", "200ms", prefix=AS_NOBODY) as daemon:
        App(daemon.sessions, Era.OLD).create("A garden", turns=2)
        daemon.start()
        assert proof(daemon).reason == ""
        daemon.store.chmod(0o500)  # nothing is to be written there at present, so nobody has noticed
        assert "the store is not writable" in proof(daemon).reason
        assert daemon.until_heard("store_broken")
        daemon.store.chmod(0o700)
        daemon.until_heard("store_recovered")
        assert proof(daemon).reason == ""


def test_a_directory_that_is_gone_is_no_proof(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        App(daemon.sessions, Era.OLD).create("A garden", turns=2)
        daemon.start()
        os.rename(daemon.sessions, tmp_path / "elsewhere")
        until(lambda: proof(daemon).reason != "")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, ""),
        ({"ready": False, "watch_reason": ""}, "the first scan is not over"),
        ({"watch_lost": True, "watch_reason": "gone"}, "the watch is lost (gone)"),
        ({"watch_error": "A change was not seen."}, "A change was not seen."),
        ({"store_error": "No space left on device"}, "the store is not writable (No space left on device)"),
        ({"last_scan": "2027-01-15T07:58:00+00:00"}, "the last scan was at 2027-01-15T07:58:00+00:00"),
        ({"last_scan": ""}, "the last scan was at no time"),
    ],
)
def test_what_an_answer_proves(answer: dict[str, object], words: str) -> None:
    good = {
        "ready": True,
        "watch_lost": False,
        "watch_error": "",
        "store_error": "",
        "since": "2027-01-15T07:00:00+00:00",
        "last_scan": "2027-01-15T07:59:55+00:00",
        "scan_interval_seconds": 10.0,
    }
    assert ping.judged({**good, **answer}, datetime(2027, 1, 15, 8, tzinfo=UTC)).reason == words
