"""Commands beside a running guard: it is asked, and its troubles are said."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.errors import ExitCode
from tests.helpers.daemon_process import REPOSITORY, Daemon, environment_for, hermesguard


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path, "--scan-interval", "1s") as found:
        yield found


def command(daemon, *words, **more):
    """Run a command on the daemon's directories; return how it ended."""
    places = ["--sessions", daemon.sessions, "--store", daemon.store]
    return hermesguard(daemon.store.parent, *words, *places, TZ="UTC", **more)


def known(daemon):
    return json.loads(command(daemon, "status", "--json").stdout)


def until_status(daemon, words):
    """Wait until the head of status, above its facts, holds these words; return all of it."""

    def says():
        result = command(daemon, "status")
        return result if words in result.stdout.partition("\n\n")[0] else None

    return daemon.until(says)


def test_well(daemon):
    chat = App(daemon.sessions, Era.NEW).create("A title", turns=3)
    daemon.start()
    result = command(daemon, "status")
    assert result.returncode == 0, result.stdout
    assert result.stdout.startswith("All is well: 1 session with 6 messages guarded.\n")
    assert known(daemon)["running"] is True
    chat.turn("one more", "indeed")
    daemon.until_kept(chat.path)
    assert re.search(r"^last save +(just now|\d+ s ago)$", command(daemon, "status").stdout, re.MULTILINE)
    assert command(daemon, "status", "--nagios").stdout.startswith(
        "HERMESGUARD OK - all is well | sessions=1 messages=8"
    )
    assert daemon.stop() == 0
    stopped = command(daemon, "status")
    assert stopped.returncode == ExitCode.PROBLEM
    assert stopped.stdout.startswith("Not well: no guard runs on this store.\n  Start it: ")
    assert "\nlast save " in stopped.stdout


def test_a_save_of_long_ago_is_known_when_the_guard_starts(daemon):
    when = int(time.time()) - 9 * 86400
    chat = App(daemon.sessions, Era.NEW).create("Of another time", turns=3)
    for _ in range(2):  # with what the first one noted at its end, too
        os.utime(chat.path, (when, when))
        daemon.start()
        assert datetime.fromisoformat(known(daemon)["last_save"]).timestamp() == when
        said = command(daemon, "status")
        assert re.search("^last save +9 d ago$", said.stdout, re.MULTILINE)
        assert said.stdout.startswith("All is well: 1 session with 6 messages guarded.\nNobody has saved")
        assert said.returncode == 0
        assert daemon.stop() == 0


def test_not_ready(daemon):
    daemon.start(ready=False)
    daemon.until_heard("waiting")
    result = until_status(daemon, "the guard is not ready")
    assert result.returncode == ExitCode.PROBLEM
    first, _, rest = result.stdout.partition("\n")
    assert f"there is no directory {daemon.sessions}" in first
    assert "hermes-webui makes it at its first start" in " ".join(rest.split())
    assert json.loads(command(daemon, "status", "--json").stdout)["directories"][0]["missing"]


def test_status_while_the_watch_is_lost(daemon):
    App(daemon.sessions, Era.NEW).create(turns=3)
    daemon.start()
    daemon.sessions.rename(daemon.sessions.with_name("elsewhere"))
    result = until_status(daemon, "the watch is lost")
    assert result.returncode == ExitCode.PROBLEM
    assert command(daemon, "status", "--nagios").returncode == 2


def test_sessions_that_vanished_at_once(daemon):
    app = App(daemon.sessions, Era.NEW)
    chats = [app.create(f"chat {number}", turns=2) for number in range(6)]
    daemon.start()
    for chat in chats[:5]:
        chat.path.unlink()
    result = until_status(daemon, "5 sessions vanished at once")
    assert f"hermesguard --store {daemon.store} restore --all-missing --dry-run" in " ".join(
        result.stdout.split()
    )
    assert command(daemon, "list", "--state", "missing").stdout.count("missing") == 5
    done = command(daemon, "restore", "--all-missing")
    assert done.stdout.endswith("5 sessions restored.\n"), done.stderr
    until_status(daemon, "All is well: 6 sessions")


def test_a_session_that_cannot_be_guarded(daemon):
    App(daemon.sessions, Era.NEW).create(turns=2)
    (daemon.sessions / "broken.json").write_text("{")
    daemon.start()
    result = until_status(daemon, "1 session cannot be guarded (broken)")
    assert result.returncode == ExitCode.PROBLEM
    assert command(daemon, "status", "--nagios").returncode == 1


def test_a_store_that_takes_nothing(tmp_path):
    script = """
        mkdir -p "$here/store"
        mount -t tmpfs -o size=160k tmpfs "$here/store"
        exec "$@"
    """
    enter = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", script, "sh"]
    with Daemon(
        tmp_path, "--scan-interval", "1s", prefix=enter, environment={"here": str(tmp_path)}
    ) as daemon:
        chat = App(daemon.sessions, Era.NEW).create(turns=3)
        daemon.start()
        App(daemon.sessions, Era.NEW, seed=7).create(turns=900)
        daemon.until_heard("store_broken")
        inside = ["nsenter", f"--target={daemon.process.pid}", "--user", "--mount", "--preserve-credentials"]
        asked = [sys.executable, "-m", "hermesguard", "status"]
        result = subprocess.run(
            [*inside, *asked, "--sessions", daemon.sessions, "--store", daemon.store],
            cwd=REPOSITORY,
            env=environment_for(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == ExitCode.PROBLEM, result.stderr
        assert "the store is not writable (No space left on device)" in result.stdout.partition("\n")[0]
        assert chat.path.exists()


def test_restore_undo_accept_and_purge_are_done_by_the_guard(daemon):
    chat = App(daemon.sessions, Era.OLD).create("A title", turns=20)
    daemon.start()
    chat.send("unsent")
    daemon.until_kept(chat.path)
    losses.wipe(chat)
    daemon.until(lambda: len(chat.on_disk()["messages"]) == 41)

    undone = command(daemon, "undo", "1")
    assert undone.returncode == 0, undone.stderr
    assert chat.on_disk()["messages"] == []
    again = command(daemon, "undo", "1")
    assert (again.returncode, "resolved already" in again.stderr) == (ExitCode.REFUSED, True)

    versions = json.loads(command(daemon, "history", chat.session_id, "--json").stdout)["versions"]
    whole = next(entry["name"] for entry in versions if entry["message_count"] == 40)
    dry = command(daemon, "restore", f"{chat.session_id}@{whole}", "--dry-run")
    assert (
        "would be live: 41 messages instead of 0 (41 come back)" in dry.stdout
    )  # the unsent prompt among them
    assert chat.on_disk()["messages"] == []
    done = command(daemon, "restore", f"{chat.session_id}@{whole}")
    assert "is live: 41 messages instead of 0 (41 come back)" in done.stdout, done.stderr
    assert len(chat.on_disk()["messages"]) == 41
    daemon.until_kept(chat.path)
    daemon.until_heard("restored_by_user")

    accepted = command(daemon, "accept", "A title")
    assert "is accepted as it is: 41 messages" in accepted.stdout, accepted.stderr
    assert command(daemon, "verify").returncode == 0
    assert re.search(r"^verified +(just now|\d+ s ago)$", command(daemon, "status").stdout, re.MULTILINE)
    purged = command(daemon, "purge", "--yes", chat.session_id)
    assert "are gone from the store" in purged.stdout, purged.stderr
    assert not list(daemon.store.glob("history/*/*"))
    assert chat.path.exists()


def test_a_reload_says_what_is_other_and_takes_it(tmp_path):
    file = tmp_path / "hermesguard.toml"
    file.write_text("")
    with Daemon(tmp_path, "--config", file, "--scan-interval", "1s") as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=3)
        daemon.start()
        file.write_text('watch = "polling"\nkeep_history = "90d"\n')
        daemon.process.send_signal(signal.SIGHUP)
        reported = daemon.until_heard("reloaded")
        assert reported["reason"] == "changed: keep_history, watch"
        daemon.until(lambda: known(daemon)["watch"] == "polling")
        assert ".." not in daemon.until_heard("polling")["message"]
        chat.turn("one more", "indeed")
        daemon.until_kept(chat.path)
        os.kill(daemon.process.pid, signal.SIGHUP)
        daemon.until_heard("reloaded", reason="no changes")
        assert not daemon.heard("watch_lost")
