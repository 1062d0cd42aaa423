"""What a watch hands on: names of the directory in which something changed, once each."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

SUFFIX = ".json"
"""Only names that end so are handed on: sessions, and the application's own lists such as `_index.json`."""


class Change(NamedTuple):
    """A hint that the file `name` of the watched directory appeared, changed or vanished: look at it."""

    name: str
    """A plain file name, undecodable bytes as surrogates (`os.fsencode` gives them back)."""

    writer_pid: int | None = None
    """The process that saved it, from the name `<sid>.tmp.<pid>.<tid>` of the temporary file that was renamed onto it;
    a number in the application's pid namespace. None for every other kind of change."""

    moved_from: str | None = None
    """The other `*.json` name that was renamed to this one; that name has a change of its own."""

    saves: int = 0
    """So many times it was saved since the last look; 0 when that was not counted."""


Pending = dict[str, Change]
"""Changes not yet taken, by name, in the order in which the names first came."""


def note(
    pending: Pending,
    name: str,
    writer_pid: int | None = None,
    moved_from: str | None = None,
    saves: int = 0,
) -> None:
    """Add a change. Of two with one name the later writer stands, the later `moved_from` that is known, and all saves count."""
    if (earlier := pending.get(name)) is not None:
        moved_from = moved_from or earlier.moved_from
        saves += earlier.saves
    pending[name] = Change(name, writer_pid, moved_from, saves)


class Changes(Pending):
    """Changes that were taken from the watch and not yet looked at: each name once, with all of its saves."""

    def add(self, changes: Iterable[Change]) -> None:
        """Add what the watch has given."""
        for change in changes:
            if change.name in self:
                note(self, *change)
            else:
                self[change.name] = change

    def take_saves(self, name: str, is_as_read: Callable[[], bool]) -> int:
        """Return how many saves of `name` lie before what was read of it just now; they are not counted again.

        What was read may be newer than the events that were taken before, and older than those that were taken since: when the
        file is not as it was read any more, the last of its saves came later.
        """
        change = self.get(name)
        if change is None or not change.saves:
            return 0
        later = 0 if is_as_read() else 1
        self[name] = change._replace(saves=later)
        return change.saves - later
