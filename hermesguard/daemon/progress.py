"""A progress bar on the terminal during the first scan; nothing where there is no terminal."""

import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_MOST_COLUMNS: Final = 40
_FEWEST_COLUMNS: Final = 5
_WORDS: Final = "scanning sessions"


class Progress:
    """How far a scan is, drawn on the standard error. Never waits for a terminal that takes nothing."""

    def __init__(self, total: Callable[[], int]) -> None:
        """`total` counts the sessions; it is asked once, and only where a bar can be seen. It may raise OSError."""
        self._is_seen = sys.stderr is not None and sys.stderr.isatty()
        self._count = total
        self._total = 0
        self._shown = ""

    def show(self, done: int) -> None:
        """Draw that so many sessions have been scanned."""
        if not self._is_seen:
            return
        if not self._total:
            with suppress(OSError):
                self._total = self._count()
        import shutil  # only a terminal needs it, and it brings much along

        text = line(done, self._total, shutil.get_terminal_size().columns)
        # The cursor stays at the beginning, so that what is reported meanwhile is written over the bar.
        if text != self._shown and _write(f"\r{text}\x1b[K\r"):
            self._shown = text

    def clear(self) -> None:
        """Take the bar away."""
        if self._shown and _write("\r\x1b[K"):
            self._shown = ""


def line(done: int, total: int, columns: int) -> str:
    """Return the bar as text of fewer than `columns` characters; where there is no room for a bar, the numbers alone."""
    total = max(total, done, 1)
    numbers = f"{done} of {total}"
    context = min(_MOST_COLUMNS, columns - len(f"{_WORDS} [] {numbers}") - 1)
    if context < _FEWEST_COLUMNS:
        return numbers[: max(columns - 1, 0)]
    filled = context * done // total
    return f"{_WORDS} [{'#' * filled}{'.' * (context - filled)}] {numbers}"


def _write(text: str) -> bool:
    """Write to the standard error if it takes something now; return whether it did."""
    with suppress(OSError, ValueError):
        descriptor = sys.stderr.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0)) and os.write(descriptor, text.encode("ascii")) > 0
    return False
