"""How the daemon begins and ends: what it waits for, what it refuses with which sentence, and what signals do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.errors import ExitCode
from hermesguard.store.start import snapshot
from hermesguard.webui.directory import DirectoryState
from tests.helpers.daemon_process import (
    AS_NOBODY,
    REPOSITORY,
    Daemon,
    cpu_seconds,
    environment_for,
    hermesguard,
)
from tests.helpers.waiting import until


def refused(done: subprocess.CompletedProcess[str], code: ExitCode, *words: str | Path) -> None:
    """Check the exit code, and that the error is told in sentences with these words in them, on stderr alone."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("hermesguard: ")
    assert sentence.endswith(".")
    for word in words:
        assert str(word) in sentence


def run(tmp_path: Path, sessions: Path, store: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return hermesguard(tmp_path, "run", "--sessions", sessions, "--store", store, **more)


# -- the sessions directory


def test_a_missing_directory_is_waited_for(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.start(ready=False)
        waiting = daemon.until_heard("waiting")
        assert str(daemon.sessions) in waiting["message"]
        status = hermesguard(tmp_path, "status", "--store", daemon.store)
        assert status.returncode == ExitCode.PROBLEM, status.stderr
        chat = App(daemon.sessions, Era.OLD).create(turns=5)
        assert daemon.until_heard("ready")["mode"] == "inotify"
        daemon.until_kept(chat.path)
        chat.send("unsent")
        daemon.until_kept(chat.path)
        losses.wipe(chat)
        daemon.until(lambda: len(chat.on_disk()["messages"]) == 11)
        assert len(daemon.heard("waiting")) == 1


def test_the_end_while_it_waits(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.start(ready=False)
        daemon.until_heard("waiting")
        assert daemon.stop() == ExitCode.OK


def test_a_file_instead_of_a_directory(tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    sessions.write_text("no directory")
    refused(run(tmp_path, sessions, tmp_path / "store"), ExitCode.REFUSED, sessions, "is not a directory")


def run_as_nobody(tmp_path: Path, sessions: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [*(AS_NOBODY if os.geteuid() == 0 else ()), sys.executable, "-m", "hermesguard", "run"]
    return subprocess.run(
        [*command, "--sessions", str(sessions), "--store", str(tmp_path / "store")],
        env=environment_for(tmp_path) | more,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
def test_an_unreadable_directory(tmp_path: Path, mode: int) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    (sessions / "abc.json").write_text("{}")
    sessions.chmod(mode)
    try:
        done = run_as_nobody(tmp_path, sessions)
    finally:
        sessions.chmod(0o700)
    refused(done, ExitCode.REFUSED, sessions, "cannot be read: Permission denied")


@pytest.mark.parametrize("name", ["home", "home/webui/sessions"])
def test_in_a_container_it_is_said_as_whom_to_run(tmp_path: Path, name: str) -> None:
    """hermes-agent keeps its home to its user: then nobody else can even look for the sessions directory in it."""
    sessions = tmp_path / "home" / "webui" / "sessions"
    sessions.mkdir(parents=True)
    (tmp_path / name).chmod(0)
    try:
        done = run_as_nobody(tmp_path, sessions, HERMESGUARD_COMMAND="docker exec hermesguard hermesguard")
    finally:
        (tmp_path / name).chmod(0o700)
    owner = f"UID={os.geteuid()} and GID={os.getegid()} in .env"
    refused(done, ExitCode.REFUSED, sessions, "cannot be read: Permission denied", owner)


def test_a_directory_in_which_nothing_could_be_repaired(tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    sessions.chmod(0o500)
    refused(run_as_nobody(tmp_path, sessions), ExitCode.REFUSED, sessions)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of another user")
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777])
def test_a_directory_of_another_user(tmp_path: Path, mode: int) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    os.chown(sessions, 12345, 12345)
    sessions.chmod(mode)
    refused(run_as_nobody(tmp_path, sessions), ExitCode.REFUSED, sessions)


def test_a_directory_that_becomes_unreadable(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--scan-interval", "1s", prefix=AS_NOBODY if os.geteuid() == 0 else ()) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=5)
        daemon.start()
        assert daemon.process
        daemon.sessions.chmod(0o600)
        try:
            daemon.until_heard("watch_lost")
            used_seconds = cpu_seconds(daemon.process.pid)
            time.sleep(2)
            assert cpu_seconds(daemon.process.pid) - used_seconds < 1  # it does not try without a pause
        finally:
            daemon.sessions.chmod(0o700)
        daemon.until_heard("watch_restored")
        chat.turn("one more", "indeed")
        daemon.until_kept(chat.path)


def test_a_directory_that_is_taken_away_and_comes_back(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--scan-interval", "1s") as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=5)
        daemon.start()
        away = daemon.sessions.with_name("elsewhere")
        daemon.sessions.rename(away)
        daemon.until_heard("watch_lost")
        daemon.until_heard("waiting")
        away.rename(daemon.sessions)
        daemon.until_heard("watch_restored")
        chat.send("unsent")
        daemon.until_kept(chat.path)
        losses.wipe(chat)
        daemon.until(lambda: len(chat.on_disk()["messages"]) == 11)
        assert daemon.heard("deleted") == []


# -- the store


@pytest.mark.parametrize("way", ["inside", "through a link", "the same", "around"])
def test_a_store_that_is_not_apart(tmp_path: Path, way: str) -> None:
    sessions = tmp_path / "webui" / "sessions"
    sessions.mkdir(parents=True)
    (tmp_path / "link").symlink_to(sessions)
    store = {
        "inside": sessions / "store",
        "through a link": tmp_path / "link" / "store",
        "the same": sessions,
        "around": tmp_path / "webui",
    }[way]
    before = sorted(tmp_path.rglob("*"))
    refused(run(tmp_path, sessions, store), ExitCode.CONFIG, store, sessions, "--store DIR")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_second_guard(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.sessions.mkdir(parents=True)
        daemon.start()
        assert daemon.process
        for verb in ("run", "scan"):
            done = hermesguard(tmp_path, verb, "--sessions", daemon.sessions, "--store", daemon.store)
            refused(done, ExitCode.LOCKED, daemon.store, f"process {daemon.process.pid}")
        assert daemon.stop() == ExitCode.OK
        daemon.start()


def test_a_store_of_a_newer_hermesguard(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    (store / "format").write_text("99\n")
    before = sorted(store.iterdir())
    refused(run(tmp_path, tmp_path / "sessions", store), ExitCode.REFUSED, store, "99")
    assert sorted(store.iterdir())[: len(before)] == before


def test_a_store_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(
        run(tmp_path, tmp_path / "sessions", tmp_path / "file" / "store"),
        ExitCode.FAILED,
        tmp_path / "file" / "store",
    )


def in_namespace(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount; `$guard` is the command, its directory is `tmp_path`."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", script]
    environment = environment_for(tmp_path, guard=f"{sys.executable} -m hermesguard", here=str(tmp_path))
    return subprocess.run(
        command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )


def test_a_store_on_a_full_disk(tmp_path: Path) -> None:
    done = in_namespace(
        tmp_path,
        """
        mkdir "$here/small"
        mount -t tmpfs -o size=16k tmpfs "$here/small"
        head -c 1M /dev/zero > "$here/small/fills" 2>/dev/null || true
        exec $guard run --sessions "$here/sessions" --store "$here/small/store"
        """,
    )
    refused(done, ExitCode.FAILED, tmp_path / "small" / "store", "No space left on device", "--store DIR")


def test_a_store_on_a_read_only_file_system(tmp_path: Path) -> None:
    done = in_namespace(
        tmp_path,
        """
        mkdir "$here/still"
        mount -t tmpfs -o ro tmpfs "$here/still"
        exec $guard run --sessions "$here/sessions" --store "$here/still/store"
        """,
    )
    refused(done, ExitCode.FAILED, tmp_path / "still" / "store", "Read-only file system")


# -- signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_that_end_it(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=5)
        daemon.start()
        chat.turn("one more", "indeed")
        daemon.until_kept(chat.path)
        assert daemon.stop(number) == code
        assert daemon.heard("stopping")[-1]["reason"] == number.name
        assert daemon.heard("stopped")
        assert (daemon.store / "shadows" / chat.path.name).read_bytes() == chat.path.read_bytes()
        assert not (daemon.store / "control").exists()


def test_signals_that_mean_nothing_do_not_end_it(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=5)
        daemon.start()
        assert daemon.process
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            daemon.process.send_signal(number)
        chat.turn("one more", "indeed")
        daemon.until_kept(chat.path)
        assert daemon.stop() == ExitCode.OK


def test_who_says_that_it_has_started_ends_in_good_order(tmp_path: Path) -> None:
    """A signal that comes with the very first word: a service manager, or a script, that has read it."""
    program = """
import os, signal, sys
from hermesguard.cli.main import main
from hermesguard.events.reporter import Reporter

report = Reporter.report

def signalled(self, name, **fields):
    report(self, name, **fields)
    if name == "started":
        os.kill(os.getpid(), signal.SIGTERM)

Reporter.report = signalled
sys.exit(main(["run", *sys.argv[1:]]))
"""
    (sessions := tmp_path / "sessions").mkdir()
    words = [sys.executable, "-c", program, "--sessions", str(sessions), "--store", str(tmp_path / "store")]
    done = subprocess.run(
        words, env=environment_for(tmp_path), capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.returncode == ExitCode.OK, done.stderr
    assert '"event":"stopped"' in done.stdout + done.stderr


def test_the_end_in_the_middle_of_a_first_scan(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        app = App(daemon.sessions, Era.OLD)
        text = app.create("first", turns=2).path.read_text()
        for number in range(1000):
            (daemon.sessions / f"{number:012x}.json").write_text(text)
        daemon.start(ready=False)
        daemon.until(lambda: daemon.shadow(app.path("000000000001")) is not None)
        assert daemon.stop() == ExitCode.OK
        daemon.start()
        assert daemon.heard("ready")[-1]["sessions"] == 1001


def test_hangup_reloads(tmp_path: Path) -> None:
    file = tmp_path / "hermesguard.toml"
    file.write_text('on_uncertain = "restore"\n')
    with Daemon(tmp_path, "--config", file) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=40)
        daemon.start()
        assert daemon.process

        file.write_text("on_uncertain = maybe\n")
        daemon.process.send_signal(signal.SIGHUP)
        reported = daemon.until_heard("config_invalid")
        assert str(file) in reported["message"]
        losses.window_truncate(chat)
        daemon.until(lambda: len(chat.on_disk()["messages"]) == 80)

        file.write_text('on_uncertain = "keep"\n')
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until_heard("reloaded")
        chat.reload()
        losses.window_truncate(chat)
        until(lambda: any(incident["action"] == "kept" for incident in daemon.incidents()))
        assert len(chat.on_disk()["messages"]) == 28


def test_a_shorter_pause_between_scans_holds_at_once(tmp_path: Path) -> None:
    file = tmp_path / "hermesguard.toml"
    file.write_text('scan_interval = "1h"\n')
    with Daemon(tmp_path, "--config", file) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=40)
        daemon.start()
        assert daemon.process
        daemon.until_kept(chat.path)
        good = chat.path.read_bytes()
        with chat.path.open("r+b") as kept_open:
            kept_open.truncate(len(good) // 2)
            file.write_text('scan_interval = "200ms"\n')
            daemon.process.send_signal(signal.SIGHUP)
            daemon.until(lambda: chat.path.read_bytes() == good)


# -- the snapshot of the guard that ended


def kept_at_rest(daemon: Daemon, count: int) -> list[Path]:
    """Sessions that a guard has seen and left in order, in a directory that has not changed since."""
    app = App(daemon.sessions, Era.OLD)
    paths = [app.create(turns=5).path for _ in range(count)]
    os.utime(daemon.sessions, ns=(10**18, 10**18))
    daemon.start()
    daemon.until_heard("ready")
    assert daemon.stop() == ExitCode.OK
    return paths


def test_a_start_on_what_a_guard_left_in_peace_is_ready_by_its_snapshot(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        paths = kept_at_rest(daemon, 3)
        found = snapshot.read(daemon.store)
        assert isinstance(found, snapshot.Snapshot)
        assert found.sessions == DirectoryState.of(daemon.sessions)
        assert sorted(found.names) == sorted(path.stem for path in paths)
        before = {path: path.stat() for path in daemon.store.iterdir() if path.is_file()}
        daemon.start()
        assert daemon.heard("ready")[-1]["sessions"] == 3
        assert daemon.heard("ready")[-1]["messages"] == 30
        assert daemon.stop() == ExitCode.OK
        assert {path: path.stat() for path in before if path.name == "snapshot"} == {
            path: stamp for path, stamp in before.items() if path.name == "snapshot"
        }


def test_what_was_changed_in_place_while_no_guard_ran_is_found_after_the_start(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--scan-interval", "1h") as daemon:
        path = kept_at_rest(daemon, 3)[1]
        good = path.read_bytes()
        path.write_bytes(good[:-30])  # in place: no name comes or goes
        os.utime(daemon.sessions, ns=(10**18, 10**18))
        daemon.start()
        daemon.until(lambda: path.read_bytes() != good[:-30])
        assert daemon.until_heard("restored", session=path.stem)


def test_a_single_scan_finds_what_was_changed_in_place_while_no_guard_ran(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        path = kept_at_rest(daemon, 3)[1]
        good = path.read_bytes()
        path.write_bytes(good[:-30])
        os.utime(daemon.sessions, ns=(10**18, 10**18))
        done = hermesguard(tmp_path, "scan", "--sessions", daemon.sessions, "--store", daemon.store)
        assert done.returncode == ExitCode.OK, done.stderr
        assert path.read_bytes() == good


def test_what_was_saved_while_no_guard_ran_is_seen_before_it_is_ready(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        paths = kept_at_rest(daemon, 3)
        App(daemon.sessions, Era.OLD).open(paths[0].stem).turn("one more", "indeed")
        paths[1].unlink()
        daemon.start()
        assert daemon.shadow(paths[0]) == paths[0].read_bytes()
        assert daemon.stop() == ExitCode.OK


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format":1}\nabc'])
def test_a_snapshot_that_is_none_is_set_aside(tmp_path: Path, damage: bytes) -> None:
    with Daemon(tmp_path) as daemon:
        kept_at_rest(daemon, 3)
        (daemon.store / "snapshot").write_bytes(damage)
        daemon.start()
        assert daemon.heard("set_aside")
        assert daemon.heard("ready")[-1]["sessions"] == 3


def test_a_store_that_a_guard_left_by_force_is_gone_through(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        paths = kept_at_rest(daemon, 3)
        daemon.start()
        chat = App(daemon.sessions, Era.OLD, seed=7).create(turns=1)
        daemon.until_kept(chat.path)
        daemon.kill()
        assert snapshot.read(daemon.store) is None
        daemon.start()
        assert daemon.heard("ready")[-1]["sessions"] == 1 + len(paths)
