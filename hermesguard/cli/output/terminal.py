"""What the reader's screen can take: its width, its colours, its characters; and text that can do it no harm."""

import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TextIO

from hermesguard.events.event import plain

UNBOUNDED: Final = 1_000_000
"""The width of what is no screen: a pipe or a file gets whole lines."""
_COLUMNS: Final = re.compile(r"0*[1-9][0-9]{0,5}")
"""A width that a screen may be said to have; more digits are a slip, and Python does not even read thousands of them."""

_LEFT_TO_RIGHT_MARK: Final = "\u200e"
# Hebrew to Arabic Extended-A, their presentation forms, and the right-to-left scripts of the supplementary plane.
_RIGHT_TO_LEFT: Final = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_ASCII_DRAWING: Final = str.maketrans({
    "─": "-", "│": "|", "┼": "+", "┤": "+", "├": "+", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "┬": "+", "┴": "+",
    "…": "~", "▸": ">", "•": "*", "✓": "+", "✗": "x", "→": "->", "≈": "~", "µ": "u", "–": "-",
})  # fmt: skip


class Style(Enum):
    """How a piece of text stands out, as an SGR parameter (ECMA-48, 8.3.117)."""

    PLAIN = ""
    BOLD = "1"
    FAINT = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


@dataclass(frozen=True, slots=True)
class Screen:
    """Where output goes. `width` is in columns; a terminal is paged when the text is longer than `height` lines."""

    stream: TextIO
    width: int
    height: int
    is_terminal: bool
    has_colour: bool
    is_ascii: bool

    def paint(self, text: str, style: Style) -> str:
        """Return `text` in a style, where the screen has colours."""
        return f"\x1b[{style.value}m{text}\x1b[0m" if self.has_colour and style.value and text else text

    def drawn(self, text: str) -> str:
        """Return our own drawing in the characters that the screen has."""
        return text.translate(_ASCII_DRAWING) if self.is_ascii else text

    def safe(self, text: str) -> str:
        """Return text of a session as one line that cannot move the cursor, colour, or turn the direction of writing."""
        line = plain(text)
        return line.encode("ascii", "backslashreplace").decode() if self.is_ascii else line

    def cell(self, text: str) -> str:
        """Return `safe` text with single spaces that leaves its neighbours in place, also when it runs right to left."""
        if text.isascii() and text.isprintable() and "  " not in text and text.strip(" ") == text:
            return text
        line = self.safe(" ".join(text.split()))
        if not line.isascii() and _RIGHT_TO_LEFT.search(line):
            return _LEFT_TO_RIGHT_MARK + line + _LEFT_TO_RIGHT_MARK
        return line

    def write(self, text: str) -> None:
        """Print `text`, a line's end behind it."""
        self.stream.write(text + "\n")

    def page(self, text: str) -> None:
        """Print `text`, through a pager when the screen is a terminal that is too small for it."""
        if not self.is_terminal or text.count("\n") < self.height or not _through_pager(text):
            self.write(text)


def of(stream: TextIO | None = None, environment: Mapping[str, str] | None = None) -> Screen:
    """Return what `stream` (default: stdout) can take: colours only on a terminal and without NO_COLOR (no-color.org).

    A terminal is as wide as it says (COLUMNS overrides it); anything else takes lines of any length, unless COLUMNS is set.
    """
    stream = stream or sys.stdout
    environment = os.environ if environment is None else environment
    is_terminal = stream.isatty()
    asked = environment.get("COLUMNS", "")
    size = shutil.get_terminal_size() if is_terminal else os.terminal_size((UNBOUNDED, 24))
    encoding = (stream.encoding or "ascii").lower().replace("-", "").replace("_", "")
    return Screen(
        stream=stream,
        width=int(asked) if _COLUMNS.fullmatch(asked) else size.columns,
        height=size.lines,
        is_terminal=is_terminal,
        has_colour=is_terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb",
        is_ascii=encoding not in ("utf8", "utf8sig") or environment.get("LC_ALL") in ("C", "POSIX"),
    )


def columns_of(text: str) -> int:
    """Return how many columns of a terminal `text` takes: two for wide characters, none for marks."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text.replace(_LEFT_TO_RIGHT_MARK, ""))


def cut(text: str, columns: int) -> str:
    """Return `text` in at most `columns` columns, with an ellipsis where something was cut off."""
    if columns_of(text) <= columns:
        return text
    marked = text.startswith(_LEFT_TO_RIGHT_MARK)
    kept, used = [], 0
    for character in text.replace(_LEFT_TO_RIGHT_MARK, ""):
        used += columns_of(character)
        if used > columns - 1:
            break
        kept.append(character)
    while kept and (unicodedata.combining(kept[-1]) or kept[-1] == "\u200d"):
        kept.pop()
    line = "".join(kept) + "…" if columns > 0 else ""
    return _LEFT_TO_RIGHT_MARK + line + _LEFT_TO_RIGHT_MARK if marked and line else line


def _through_pager(text: str) -> bool:
    """Show `text` by $PAGER or less; return whether there was one."""
    command = os.environ.get("PAGER") or "less"
    if command in ("cat", ""):
        return False
    try:
        pager = subprocess.Popen(
            ["/bin/sh", "-c", command],  # $PAGER is shell input by custom (environ(7))
            stdin=subprocess.PIPE,
            env={"LESS": "FRX", **os.environ},
        )
    except OSError:
        return False
    try:
        pager.communicate((text + "\n").encode("utf-8", "backslashreplace"))
    except KeyboardInterrupt:
        pager.wait()  # less keeps the terminal for itself until it is left
    return pager.returncode != 127
