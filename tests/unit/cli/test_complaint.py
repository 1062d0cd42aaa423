"""Errors as sentences: in lines that fit a terminal, commands unbroken; whole for what is none."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr

import pytest

from hermesguard.cli.main import main
from hermesguard.cli.output.complaint import complain

LONG = "hermesguard: " + "the file is as it was and nothing of it has been changed, " * 3 + "that is all."


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def on_a_terminal(act: Callable[[], object]) -> list[str]:
    with redirect_stderr(Terminal()) as terminal:
        act()
    return terminal.getvalue().splitlines()


def test_a_terminal_gets_lines_that_fit_it() -> None:
    lines = on_a_terminal(lambda: complain(LONG))
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80
    assert " ".join(lines) == LONG


def test_what_is_no_terminal_gets_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain(LONG)
    assert capsys.readouterr().err == f"{LONG}\n"


def test_a_mistyped_command_is_told_so_too() -> None:
    lines = on_a_terminal(lambda: main(["nearest-to-nothing"]))
    assert len(lines) > 3
    assert max(map(len, lines)) <= 80
    assert lines[-1].endswith("See: hermesguard --help")


@pytest.mark.parametrize(
    "command",
    [
        "hermesguard --help",
        "chmod 600 /etc/hermesguard/notify-alice.urls",
        "sudo -u alice hermesguard restore 3f2a --dry-run",
        "pip install 'prometheus-client>=0.20'",
        "systemctl enable --now hermesguard-notify@alice.service",
    ],
)
@pytest.mark.parametrize("padding", range(0, 80, 8))
@pytest.mark.parametrize("behind", [".", "; or leave it.", ", and look again.", ". That is all."])
def test_no_line_ends_within_a_command(command: str, padding: int, behind: str) -> None:
    said = f"hermesguard: {'x' * padding} is not there, and that is why this cannot be done. Do: {command}{behind}"
    assert any(command in line for line in on_a_terminal(lambda: complain(said)))
