"""How the story is told: plain lines that fit 80 columns, a little colour on a terminal that wants it."""

import os
import shutil
import textwrap
from collections.abc import Sequence
from typing import TextIO

from hermesguard.events.event import plain

WIDTH = 80
NARROWEST = 40
COLUMN = 14
SHOWN_EVIDENCE = 3
BOLD, DIM, GREEN, RED = "1", "2", "32", "31"


def duration(milliseconds: float) -> str:
    """Return a time as people read it."""
    if milliseconds < 0.1:
        return "less than 0.1 ms"
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


class Narrator:
    """Writes to `out`; all text is shown without control characters."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        terminal = out.isatty()
        self._colours = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        columns = shutil.get_terminal_size((WIDTH, 24)).columns if terminal else WIDTH
        self._width = max(NARROWEST, min(WIDTH, columns))
        self._number = 0

    def say(self, text: str = "", *, label: str = "", colour: str = "") -> None:
        """Print one paragraph; `label` stands in front of its first line, the others are indented as far."""
        lines = textwrap.wrap(
            plain(text),
            self._width,
            initial_indent=label,
            subsequent_indent=" " * len(label),
            break_on_hyphens=False,
        )
        for line in lines or [""]:
            painted = f"\x1b[{colour}m{line}\x1b[0m" if self._colours and colour else line
            print(painted, file=self._out)
        self._out.flush()

    def step(self, title: str) -> None:
        """Begin the next step, with its number."""
        self._number += 1
        self.say()
        self.say(title, label=f"{self._number}. ", colour=BOLD)

    def app(self, text: str) -> None:
        """Say what was done to the file."""
        self.say(text, label="   the app".ljust(COLUMN))

    def guard(self, text: str, colour: str = GREEN) -> None:
        """Say what the guard made of it."""
        self.say(text, label="   the guard".ljust(COLUMN), colour=colour)

    def because(self, sentences: Sequence[str]) -> None:
        """Say what the guard saw."""
        for sentence in sentences[:SHOWN_EVIDENCE]:
            self.say(sentence, label="- ".rjust(COLUMN + 2), colour=DIM)
