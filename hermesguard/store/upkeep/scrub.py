"""Reading the whole store once a week, a little at a time, so that rot is found while there is still a good copy.

`<store>/verified.json` (module verified) says how far it has come; it is written when a round ends, and now and then between,
never at a start.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final, Protocol

import orjson

from hermesguard import files
from hermesguard.clock import Clock
from hermesguard.events.reporter import Reporter
from hermesguard.store.cached_store import Copies
from hermesguard.store.store import Store
from hermesguard.store.upkeep import verify as checkup
from hermesguard.store.upkeep.scrub_progress import FILE_NAME, Progress, read
from hermesguard.store.upkeep.verify import Tally

INTERVAL: Final = timedelta(days=7)
"""How long after the beginning of one round the next one begins."""
SCRUB_SECONDS: Final = 86400.0
"""How long a round takes when nothing else is to be done: sessions are spread over this time."""
SAVE_SECONDS: Final = 600.0


class _Rebuilder(Protocol):
    def rebuild(self, name: str) -> bool: ...


class Scrub:
    """Reads one session after another when asked to, and reports damage; one owner, the loop."""

    def __init__(self, copies: Copies, rebuilder: _Rebuilder, reporter: Reporter, clock: Clock) -> None:
        self._copies = copies
        self._store: Store = copies.store
        self._rebuilder = rebuilder
        self._reporter = reporter
        self._clock = clock
        self._progress = Progress()
        self._saved = clock.monotonic()
        self._names: list[str] | None = None
        self._has_moved = False

    def load(self) -> str:
        """Take over how far it had come; return why the file is none of ours, if it is not. Raises OSError."""
        try:
            self._progress = read(self._store.root)
        except FileNotFoundError:
            pass
        except ValueError as error:
            return "it is not JSON" if isinstance(error, orjson.JSONDecodeError) else str(error)
        return ""

    def is_due(self) -> bool:
        """Return whether there is a session to read: a round is going on, or it is time for the next one."""
        if self._progress.after:
            return True
        began = _moment(self._progress.began)
        now = self._clock.now()
        return began is None or now - began >= INTERVAL or began > now + INTERVAL

    @property
    def pause_seconds(self) -> float:
        """How long to wait between two sessions."""
        return SCRUB_SECONDS / max(1, len(self._names or ()))

    def read_next(self) -> Iterator[None]:
        """Read the files of the next session, yielding between little pieces of work."""
        if not self._progress.after:
            self._progress.began = self._clock.now().isoformat()
            self._progress.files = self._progress.damaged = 0
            self._names = None
        if self._names is None:
            self._names = self._store.sessions()
        name = next((entry for entry in self._names if entry > self._progress.after), None)
        if name is None:
            self._end()
            return
        tally = Tally()
        try:
            yield from checkup.little_by_little(self._store, name, tally)
        except Exception:
            self._progress.after = name  # whatever was met there, the next step goes on behind it
            raise
        self._progress.after = name
        self._has_moved = True
        self._progress.files += tally.files
        for damage in tally.damaged:
            self._report(damage)
        if self._clock.monotonic() - self._saved >= SAVE_SECONDS:
            self.save()

    def _report(self, damage: checkup.Damage) -> None:
        if damage.version:
            self._reporter.report(
                "verify_failed",
                session=damage.session,
                path=str(damage.path),
                version=damage.version,
                error=damage.error,
            )
            self._progress.damaged += 1
        # One that is too large was read in pieces, and is not read again while the guard waits.
        elif self._store.is_too_large(damage.session) or checkup.damage_of_shadow(
            self._store, damage.session
        ):
            self._copies.report_damage(damage.session, damage.error)
            self._progress.damaged += 1
            self._rebuilder.rebuild(damage.session)

    def _end(self) -> None:
        self.note_finished(self._progress.files, self._progress.damaged)
        self._names = None
        self._reporter.report(
            "verified",
            files=self._progress.finished_files,
            count=self._progress.finished_damaged,
            sessions=len(self._store.sessions()),
        )

    def note_finished(self, count: int, damaged: int) -> None:
        """Note that the whole store has been read just now. Raises OSError."""
        now = self._clock.now().isoformat()
        began = self._progress.began if self._progress.after else now
        self._progress = Progress(began, "", 0, 0, now, count, damaged)
        self.save()

    def put_down(self) -> None:
        """Note on disk how far it has come, if it has come further. Raises OSError."""
        if self._has_moved:
            self.save()

    def save(self) -> None:
        """Note on disk how far it has come. Raises OSError."""
        self._saved = self._clock.monotonic()
        self._has_moved = False
        data = orjson.dumps(asdict(self._progress), option=orjson.OPT_APPEND_NEWLINE)
        self._store.place.check()
        files.write_durably(self._store.root / FILE_NAME, data)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
