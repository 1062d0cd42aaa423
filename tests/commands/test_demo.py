"""The demo tells the truth: it ends well only when every message is there, and it leaves nothing behind."""

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from hermesguard.demo import narrator, stage, story
from hermesguard.errors import ExitCode, GuardError
from tests.helpers.waiting import until

READY = """print('{"event": "ready"}', file=sys.stderr, flush=True)"""
SLEEP = "time.sleep(600)"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of our own for temporary files, in which the demo must leave nothing."""
    directory = tmp_path / "t"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", None)
    return directory


@pytest.fixture
def stand_in_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a program that does so many lines of Python instead of guarding; returns the file that gets its pid."""

    def make(*lines: str) -> Path:
        program, pid_file = tmp_path / "guard", tmp_path / "pid"
        body = [
            "import os, pathlib, sys, time",
            f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))",
            *lines,
        ]
        program.write_text(f"#!{sys.executable}\n" + "\n".join(body) + "\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        return pid_file

    return make


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
def test_the_story_with_the_real_guard(temporary: Path) -> None:
    out = io.StringIO()
    code = story.run(out)
    reported = out.getvalue()
    assert code == ExitCode.OK, reported
    assert "restored 1001 messages" in reported
    assert "1007 messages" in reported
    assert re.search(r"^Every message is there, 1049 of 1049 in 4 sessions", reported, re.MULTILINE)
    assert max(map(len, reported.splitlines())) <= 80
    assert "\x1b" not in reported
    assert all(line.isprintable() for line in reported.splitlines())
    assert list(temporary.iterdir()) == []


def test_a_guard_that_does_nothing_is_found_out(
    temporary: Path, stand_in_guard: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "REPAIR_SECONDS", 0.2)
    pid_file = stand_in_guard(READY, SLEEP)
    out = io.StringIO()
    assert story.run(out) == ExitCode.FAILED
    last = " ".join(out.getvalue().split("\n\n")[-1].split())
    assert last.startswith(
        'Not every message is as it must be: "Moving the server room": the guard has not brought'
    )
    assert is_gone(int(pid_file.read_text()))
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ["print('No room left.', file=sys.stderr)", "sys.exit(3)"],
            r"by itself, with exit code 3; it said: No room left\.",
        ),
        (
            [
                'print(\'{"event": "x", "priority": 2, "message": "Watch lost."}\', file=sys.stderr)',
                "sys.exit(1)",
            ],
            r"by itself, with exit code 1; it said: Watch lost\.",
        ),
        ([READY, "os.kill(os.getpid(), 9)"], r"by itself, killed by SIGKILL; it said: nothing\."),
    ],
)
def test_a_guard_that_dies_is_one_sentence(
    temporary: Path, stand_in_guard: Callable[..., Path], lines: list[str], sentence: str
) -> None:
    stand_in_guard(*lines)
    with pytest.raises(GuardError, match=sentence) as caught:
        story.run(io.StringIO())
    assert caught.value.exit_code == ExitCode.FAILED
    assert list(temporary.iterdir()) == []


def test_a_guard_that_never_says_ready(
    temporary: Path, stand_in_guard: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "READY_SECONDS", 0.2)
    stand_in_guard(SLEEP)
    with pytest.raises(GuardError, match="was not ready"):
        story.run(io.StringIO())
    assert list(temporary.iterdir()) == []


def test_a_guard_that_will_not_stop_is_ended(
    temporary: Path, stand_in_guard: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "STOP_SECONDS", 0.2)
    monkeypatch.setattr(story, "REPAIR_SECONDS", 0.2)
    pid_file = stand_in_guard("import signal", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", READY, SLEEP)
    assert story.run(io.StringIO()) == ExitCode.FAILED
    assert is_gone(int(pid_file.read_text()))


def a_story(directory: Path) -> story.Story:
    return story.Story(directory, narrator.Narrator(io.StringIO()))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda reported: reported.long.messages.pop(7), "has 999 messages, not its 1000"),
        (
            lambda reported: reported.long.messages.append(reported.long.messages[-1]),
            "has 1001 messages, not its 1000",
        ),
        (lambda reported: reported.code.messages.reverse(), "has 24 messages, not its 24"),
        (lambda reported: reported.quiet.rename("Bread"), "was touched"),
        (lambda reported: reported.long.send("And?"), "still has the dead stream"),
        (lambda reported: reported.long.document.update(context_messages=[]), "its model has lost messages"),
    ],
)
def test_the_last_look_misses_nothing(
    tmp_path: Path, spoil: Callable[[story.Story], object], sentence: str
) -> None:
    reported = a_story(tmp_path)
    reported.check()
    spoil(reported)
    for chat in (reported.long, reported.code):
        chat.save()
    with pytest.raises(story.Untold, match=sentence):
        reported.check()


def test_the_last_look_sees_a_file_that_is_gone(tmp_path: Path) -> None:
    reported = a_story(tmp_path)
    reported.trip.path.unlink()
    with pytest.raises(story.Untold, match="has no messages, not its 12"):
        reported.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_behind_when_the_demo_is_interrupted(
    temporary: Path, stand_in_guard: Callable[..., Path], tmp_path: Path, number: signal.Signals
) -> None:
    interpreter = sys.executable
    pid_file = stand_in_guard(READY, SLEEP)
    source = f"""
        import sys
        from hermesguard.demo import story
        sys.executable = {str(sys.executable)!r}
        sys.exit(story.run())
    """
    process = subprocess.Popen(
        [interpreter, "-c", textwrap.dedent(source)],
        cwd=Path(story.__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: pid_file.exists() and pid_file.read_text())
        assert any(temporary.iterdir())
        process.send_signal(number)
        code = process.wait(20)
    finally:
        process.kill()
        process.wait()
    assert code in (-number, 128 + number)
    until(lambda: is_gone(int(pid_file.read_text())))
    assert list(temporary.iterdir()) == []


def test_the_guard_of_the_story_knows_nothing_of_the_caller(
    temporary: Path, stand_in_guard: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERMESGUARD_ALERT_COMMAND", "wake everybody")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/nowhere")
    monkeypatch.setattr(story, "REPAIR_SECONDS", 0.1)
    environment = tmp_path / "environment"
    stand_in_guard(
        f"pathlib.Path({str(environment)!r}).write_text('\\n'.join(sorted(os.environ)))", READY, SLEEP
    )
    story.run(io.StringIO())
    names = environment.read_text().split()
    assert [name for name in names if name.startswith("HERMESGUARD_")] == [
        "HERMESGUARD_CONFIG",
        "HERMESGUARD_LOG",
    ]
    assert "NOTIFY_SOCKET" not in names
    assert os.environ["NOTIFY_SOCKET"] == "/run/nowhere"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def reported(out: io.StringIO) -> str:
    teller = narrator.Narrator(out)
    teller.step("A step")
    teller.guard(
        "A sentence that is long enough to be wrapped, since it has very many words in it, and more."
    )
    return out.getvalue()


def test_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    assert "\x1b[1m1. A step\x1b[0m" in reported(Terminal())
    assert "\x1b" not in reported(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in reported(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in reported(Terminal())


@pytest.mark.parametrize(("columns", "width"), [(200, 80), (60, 60), (10, 40)])
def test_the_story_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, width: int) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    assert width - 15 < max(map(len, reported(Terminal()).splitlines())) <= width


def test_a_title_cannot_speak_to_the_terminal() -> None:
    out = io.StringIO()
    narrator.Narrator(out).say("red \x1b[31m title")
    assert out.getvalue() == "red \\x1b[31m title\n"


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(0.04, "less than 0.1 ms"), (1.84, "1.8 ms"), (12.3, "12 ms"), (1234.0, "1.2 s")],
)
def test_durations(milliseconds: float, words: str) -> None:
    assert narrator.duration(milliseconds) == words
