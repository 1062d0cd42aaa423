"""The shield of every step that concerns one session: an unexpected error costs that step, never the guard.

What is expected (OSError, Unreadable, GuardError) is dealt with where it happens. Everything else ends here: it is reported
once for each session and kind, by a reference that stays the same, and the step is tried again at the session's next change.
"""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from hermesguard.digests import sha256
from hermesguard.events.reporter import Reporter

T = TypeVar("T")

_FRAMES: Final = 3
_MOST_REMEMBERED: Final = 50_000


class Shield:
    """Runs steps and reports what they raise."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._reported: set[tuple[str, str]] = set()

    def run(self, step: str, session: str, work: Callable[[], T], failed: T) -> T:
        """Return what `work` returns, `failed` when it raises; `session` is empty for what concerns no single one."""
        try:
            return work()
        except Exception as error:  # noqa: BLE001
            self.caught(step, session, error)
            return failed

    def caught(self, step: str, session: str, error: Exception) -> str:
        """Report an unexpected error, once for each session and kind; return its reference."""
        reference = reference_of(step, error)
        if (session, reference) not in self._reported:
            if len(self._reported) >= _MOST_REMEMBERED:
                self._reported.clear()
            self._reported.add((session, reference))
            self._reporter.report(
                "internal_error",
                session=session or None,
                error=f"{type(error).__name__} at {_place(error)}",
                reason=step,
                reference=reference,
            )
        return reference


def reference_of(step: str, error: Exception) -> str:
    """Return the same short name for the same fault: of its type, the step and the functions it came through."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    functions = (f"{Path(frame.filename).stem}.{frame.name}" for frame in frames)
    kind = "|".join((type(error).__name__, step, *functions))
    return f"E{sha256(kind.encode()).hexdigest()[:6]}"


def _place(error: Exception) -> str:
    """Return where in our code an error came from: module and line, nothing that it quotes."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return ", ".join(f"{Path(frame.filename).stem}:{frame.lineno}" for frame in frames)
