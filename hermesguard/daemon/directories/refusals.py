"""The sessions directories that are not guarded though they are there, and why: reported once for each reason."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

from hermesguard.errors import GuardError
from hermesguard.events.reporter import Reporter

AGAIN_SECONDS: Final = 60.0
"""After so long a directory that was refused is tried again."""


class _Refusal(NamedTuple):
    what: str
    until_seconds: float
    """Monotonic: it is not tried again before."""
    is_anothers: bool
    """Another guard has it, so that nothing is wrong."""


class Refusals:
    """What was refused, by directory."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._known: dict[Path, _Refusal] = {}

    def waiting(self, now: float) -> set[Path]:
        """Return the directories that are not to be tried yet."""
        return {sessions for sessions, refusal in self._known.items() if now < refusal.until_seconds}

    def refuse(self, sessions: Path, error: GuardError | OSError, *, is_anothers: bool = False) -> None:
        """Report, once for each reason, that a directory cannot be guarded; a look after a while tries again."""
        before = self._known.get(sessions)
        what = error.what if isinstance(error, GuardError) else f"{error.filename}: {error.strerror}"
        self._known[sessions] = _Refusal(what, time.monotonic() + AGAIN_SECONDS, is_anothers)
        if before is None or before.what != what:
            remedy = error.remedy if isinstance(error, GuardError) else None
            self._reporter.report("directory_refused", path=str(sessions), error=what, remedy=remedy)

    def forget(self, sessions: Path) -> None:
        """Forget a directory that is guarded now."""
        self._known.pop(sessions, None)

    def forget_others(self, found: Collection[Path]) -> None:
        """Forget the directories that are not there any more."""
        for gone in self._known.keys() - set(found):
            del self._known[gone]

    def listed(self) -> list[dict[str, str]]:
        """Return those with which something is wrong, for `status`."""
        return [
            {"sessions_directory": str(sessions), "error": refusal.what}
            for sessions, refusal in self._known.items()
            if not refusal.is_anothers
        ]
