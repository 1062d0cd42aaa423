"""Whatever the standard error of a process is (read late, closed, full, a stopped terminal), reporting never waits for it."""

import fcntl
import json
import os
import pty
import select
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from hermesguard.events.catalog import BY_NAME
from tests.helpers.journald import Journald

ROOT = Path(__file__).parents[2]

TELLER = """
import sys
from hermesguard.events.reporter import open_reporter
reporter = open_reporter(journal=__import__("pathlib").Path({journal!r}))
for number in range({count}):
    reporter.report("restored", session="abc", messages_before=2, messages_live=0, messages_after=2, writer_pid=number)
reporter.flush({flush})
print("done", file=sys.stdout, flush=True)
"""


@pytest.fixture
def teller(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a process that tells of so many repairs and then says that it is done."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        stderr: int | None,
        count: int = 1,
        flush: float = 0.0,
        journal: Path | None = None,
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        code = TELLER.format(count=count, flush=flush, journal=str(journal or tmp_path / "none"))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HERMESGUARD_")}
        command = [sys.executable, "-c", code]
        if stderr is None:
            command = ["sh", "-c", 'exec 2>&-; exec "$@"', "sh", *command]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**inherited, "PYTHONPATH": "", **environment},
            cwd=ROOT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def is_done(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], 20)
    return bool(ready) and process.stdout.readline() == b"done\n" and process.wait(20) == 0


def test_without_a_journal_a_pipe_gets_json_lines(teller: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = teller(subprocess.PIPE, count=2)
    _, errors = process.communicate(timeout=20)
    first, second = (json.loads(line) for line in errors.splitlines())
    assert first["event"] == second["event"] == "restored"
    assert first["message_id"] == BY_NAME["restored"].message_id
    assert (first["schema_version"], first["priority"], first["level"]) == (2, 4, "warning")
    assert (first["session"], first["messages_before"], first["messages_live"]) == ("abc", 2, 0)
    assert datetime.fromisoformat(first["time"]) <= datetime.fromisoformat(second["time"])


def test_with_a_journal_the_standard_error_is_silent(
    teller: Callable[..., subprocess.Popen[bytes]], journald: Journald
) -> None:
    process = teller(subprocess.PIPE, journal=journald.path)
    assert process.communicate(timeout=20) == (b"done\n", b"")
    assert [entry["HERMESGUARD_EVENT"] for entry in journald.read()] == ["restored"]


def test_a_pipe_that_nobody_reads_stops_nothing(teller: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = teller(subprocess.PIPE, count=3000)
    assert is_done(process)
    assert process.stderr
    lines = process.stderr.read().splitlines()
    assert 50 < len(lines) < 3000
    assert all(json.loads(line)["event"] == "restored" for line in lines[:-1])


def test_a_pipe_that_is_read_late_gets_everything(teller: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = teller(subprocess.PIPE, count=3000, flush=20.0)
    _, errors = process.communicate(timeout=20)
    assert [json.loads(line)["writer_pid"] for line in errors.splitlines()] == list(range(3000))


def test_a_closed_pipe_stops_nothing(teller: Callable[..., subprocess.Popen[bytes]]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = teller(writing, count=10)
    os.close(writing)
    assert is_done(process)


def test_no_standard_error_at_all_stops_nothing(teller: Callable[..., subprocess.Popen[bytes]]) -> None:
    assert is_done(teller(None, count=10))


def test_a_full_disk_behind_the_standard_error_stops_nothing(
    teller: Callable[..., subprocess.Popen[bytes]],
) -> None:
    with open("/dev/full", "wb") as full:
        assert is_done(teller(full.fileno(), count=10))


def test_a_socket_that_nobody_reads_stops_nothing(teller: Callable[..., subprocess.Popen[bytes]]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert is_done(teller(theirs.fileno(), count=3000))
        assert theirs.getblocking()
        assert json.loads(ours.recv(65536).splitlines()[0])["event"] == "restored"


def test_a_shared_file_is_appended_to(teller: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    path = tmp_path / "log"
    with open(path, "wb", buffering=0) as log:
        log.write(b"before\n")
        assert is_done(teller(log.fileno(), count=2))
        log.write(b"after\n")
    lines = path.read_bytes().splitlines()
    assert len(lines) == 4
    assert (lines[0], lines[3]) == (b"before", b"after")


def test_a_terminal_gets_sentences_and_keeps_its_flags(
    teller: Callable[..., subprocess.Popen[bytes]],
) -> None:
    ours, theirs = pty.openpty()
    try:
        assert is_done(teller(theirs, TERM="xterm", NO_COLOR="", LC_ALL="C.UTF-8"))
        assert not fcntl.fcntl(theirs, fcntl.F_GETFL) & os.O_NONBLOCK
        shown = os.read(ours, 65536).decode()
        assert shown.endswith(
            "\x1b[33mwarning \x1b[0m Restored abc; 2 messages before, 0 found, 2 now; "
            "written by process 0.\r\n"
        )
        assert is_done(teller(theirs, NO_COLOR="1"))
        assert b"\x1b" not in os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_that_was_stopped_stops_nothing(teller: Callable[..., subprocess.Popen[bytes]]) -> None:
    ours, theirs = pty.openpty()
    try:
        termios.tcflow(theirs, termios.TCOOFF)  # what Ctrl-S does
        assert is_done(teller(theirs, count=3000))
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_standard_error_that_is_the_journal_gets_priorities(
    teller: Callable[..., subprocess.Popen[bytes]],
) -> None:
    reading, writing = os.pipe()
    status = os.fstat(writing)
    process = teller(writing, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    os.close(writing)
    assert is_done(process)
    with open(reading, "rb") as pipe:
        assert pipe.read().startswith(b"<4>Restored abc")


@pytest.mark.parametrize(
    ("way", "begins"), [("json", b'{"schema_version":2,'), ("text", b""), ("quiet", b"")]
)
def test_the_way_can_be_chosen(
    teller: Callable[..., subprocess.Popen[bytes]], way: str, begins: bytes
) -> None:
    _, errors = teller(subprocess.PIPE, HERMESGUARD_LOG=way).communicate(timeout=20)
    assert errors.startswith(begins)
    assert (b"Restored abc" in errors) == (way != "quiet")
    assert errors.startswith(b"{") == (way == "json")
