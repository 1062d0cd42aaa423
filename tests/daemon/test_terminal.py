"""What a user at a terminal sees of the daemon, and what a pipe does not get."""

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from tests.helpers.daemon_process import REPOSITORY, environment_for
from tests.helpers.waiting import until

SESSIONS = 300


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A directory of so many sessions that a first look takes a while."""
    app = App(tmp_path / "sessions", Era.OLD)
    text = app.create("first", turns=50).path.read_text()
    for number in range(SESSIONS - 1):
        (app.directory / f"{number:012x}.json").write_text(text)
    return app.directory


@contextmanager
def running(sessions: Path, stderr: int, **more: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "hermesguard", "run"]
    command += ["--sessions", str(sessions), "--store", str(sessions.with_name("store"))]
    process = subprocess.Popen(
        command,
        env=environment_for(sessions.parent, TERM="xterm", **more),
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_on(descriptor: int, until_said: bytes) -> bytes:
    """Read until that has been said."""
    os.set_blocking(descriptor, False)
    said = b""

    def more() -> bool:
        nonlocal said
        with suppress(BlockingIOError):
            said += os.read(descriptor, 1 << 16)
        return until_said in said

    until(more, 60)
    return said


def test_a_terminal_shows_sentences(many: Path) -> None:
    outer, inner = pty.openpty()
    with running(many, inner, HERMESGUARD_LOG="text") as process:
        said = read_on(outer, b"Guarding 300 sessions")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert b"\r\x1b" not in said
    os.close(outer)
    os.close(inner)


def test_a_pipe_gets_plain_lines(many: Path) -> None:
    reader, writer = os.pipe()
    with running(many, writer, HERMESGUARD_LOG="text"):
        said = read_on(reader, b"Guarding 300 sessions")
    os.close(reader)
    os.close(writer)
    assert b"\r" not in said
    assert b"\x1b" not in said


@pytest.mark.slow
def test_a_terminal_that_takes_nothing_stops_nothing(many: Path) -> None:
    outer, inner = pty.openpty()
    with running(many, inner, HERMESGUARD_LOG="text") as process:
        # Nobody reads, and Ctrl-S has been typed.
        termios.tcflow(inner, termios.TCOOFF)
        shadows = many.with_name("store") / "shadows"
        until(lambda: shadows.is_dir() and len(list(shadows.iterdir())) >= SESSIONS, 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    os.close(outer)
    os.close(inner)
