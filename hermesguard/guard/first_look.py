"""The first look at a session of which there is no copy yet, or none that is good."""

import errno

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.guard.context import Guardroom
from hermesguard.judge.judge import Action, Surroundings, judge
from hermesguard.store.cache import Copy
from hermesguard.webui import session
from hermesguard.webui.session import Document, Unreadable

# Faults of the process and not of the file: what cannot be read now can be read soon.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class FirstLook:
    """Finds the first copy of sessions."""

    def __init__(self, room: Guardroom) -> None:
        self._room = room
        self._keeper = room.keeper

    def copy(self, name: str, data: bytes, stamp: Stamp) -> Copy | None:
        """Return the copy to judge a session by: the application's own backup, else live itself.

        None, told once, when there is nothing to judge by. Raises OSError when the store or the backup cannot be read now.
        """
        try:
            live: Document | None = session.parse(data)
        except Unreadable as error:
            live, reason = None, str(error)
        is_damaged = self._keeper.is_damaged(name)
        left, rows_before = self._keeper.salvage(name) if is_damaged else (None, None)
        for backup in filter(None, (left, self._backup(name))):
            if live is None or self._lost_since(backup.document, live):
                self._keeper.keep(name, backup, 0)
                return backup
        if live is None:
            self._room.cannot_read(name, "unreadable", reason)
            return None
        if is_damaged and rows_before is not None and len(live.rows) < rows_before and left is None:
            reason = f"the copy is damaged, and the file has {len(live.rows)} of its {rows_before} messages"
            remedy = f"See hermesguard history {name}; to take the file as it is: hermesguard accept {name}"
            self._room.cannot_read(name, "unreadable", reason, remedy)
            return None
        if not self._keeper.has_shadow(name):
            self._room.notes.newcomers[name] = self._room.clock.monotonic()
        copy = Copy(data, live)
        self._room.keep(name, copy, stamp)
        if is_damaged:
            path = str(self._keeper.store.shadow_path(name))
            self._room.reporter.tell("shadow_rebuilt", session=name, path=path, rows_after=copy.count)
        return copy

    def _backup(self, name: str) -> Copy | None:
        try:
            copy = Copy(files.read(self._room.directory.backup(name))[0])
            return copy if copy.document.rows else None
        except Unreadable:
            return None
        except OSError as error:
            if error.errno in _PASSING:
                raise
            return None

    def _lost_since(self, backup: Document, live: Document) -> bool:
        if len(backup.rows) <= len(live.rows):
            return False
        verdict = judge(backup, live, Surroundings(waited_seconds=60.0))
        comparison = verdict.comparison
        if verdict.action is Action.DOUBT and comparison and comparison.added and comparison.lost_turns <= 1:
            # `.bak` is older than all that was said since: one turn taken back, then others, is what people do.
            return False
        return verdict.action in (Action.RESTORE, Action.MERGE, Action.DOUBT)
