"""What users took back on purpose, and whether a save brings it again, as hermes-webui's own recovery does (its #4836, #5532).

Such a save stands, for the application wrote it: it is reported, with the command that takes the messages away again. Of each act
the beginnings of two messages are in memory; the version in the history that holds all of them is only read when both are there.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from hermesguard.files import read
from hermesguard.reader import Reader
from hermesguard.store.cache import Copy
from hermesguard.store.cached_store import Copies
from hermesguard.store.history import CLEARED, DELETED
from hermesguard.store.incidents import INTENDED, MOST_TAKEN_BACK, IncidentLog
from hermesguard.webui import session
from hermesguard.webui.directory import SessionsDirectory
from hermesguard.webui.session import Document, Message, Unreadable

MOST_SESSIONS: Final = 4096
_MARK_BYTES: Final = 512
_TAKEN: Final = {DELETED: "deleted", CLEARED: "cleared", INTENDED: "cut"}
# Read again after a start of the guard; larger ones would hold the loop.
_LARGEST_PACKED_BYTES: Final = 512 * 1024


class Again(NamedTuple):
    """Messages of a save that had been taken back."""

    places: frozenset[int] = frozenset()
    """By index in what the save adds."""
    version: str = ""
    """The version that holds them, as they were taken back."""


class TakenBack:
    """The acts of each session that took something back, and what of it comes again."""

    def __init__(self, copies: Copies, incidents: IncidentLog, directory: SessionsDirectory) -> None:
        self._copies = copies
        self._incidents = incidents
        self._directory = directory
        self._marks: dict[str, dict[str, tuple[bytes, ...]]] = {}
        """By session and version: how the first and the last message begin that went."""

    def note(self, name: str, version: str, went: Sequence[Message]) -> None:
        """Note that a user took messages back, which `version` holds."""
        if went and version:
            self._of(name)[version] = _marks(went)

    def _of(self, name: str) -> dict[str, tuple[bytes, ...]]:
        known = self._marks.pop(name, {})
        while len(self._marks) >= MOST_SESSIONS:
            del self._marks[next(iter(self._marks))]
        self._marks[name] = known
        return known

    def may_come_again(self, name: str, live: Reader, shadow: Copy) -> tuple[str, ...]:
        """Return the versions that may hold something which this save brings again; `shadow` is what was there before it."""
        versions = self._incidents.taken_back.get(name)
        if not versions:
            return ()
        marks = self._of(name)
        for version in versions:
            if version not in marks:
                marks[version] = self._read_marks(name, version, shadow)
        marked = [version for version in versions if marks[version]]
        data = live.data if marked else b""
        return tuple(version for version in marked if all(mark in data for mark in marks[version]))

    def _read_marks(self, name: str, version: str, shadow: Copy) -> tuple[bytes, ...]:
        document = self._read(name, version, _LARGEST_PACKED_BYTES)
        there = {(message.identity, message.timestamp) for message in shadow.document.messages}
        went = [
            message
            for message in (document.messages if document else ())
            if (message.identity, message.timestamp) not in there
        ]
        return _marks(went) if went else ()

    def _read(self, name: str, version: str, most_bytes: int | None = None) -> Document | None:
        try:
            found = next(one for one in self._copies.store.versions(name) if one.name == version)
            if most_bytes is not None and found.size_bytes > most_bytes:
                return None
            return session.parse(self._copies.store.read_version(found))
        except (StopIteration, OSError, Unreadable):
            return None  # it is pruned, or verify tells of it

    def again(self, name: str, versions: Iterable[str], added: Sequence[Message]) -> Again:
        """Return which of the messages that a save adds were taken back.

        Who says the same once more says it at another time: so at least one of them must have its time stamp of before.
        """
        for version in versions:
            document = self._read(name, version)
            held = (
                {(message.identity, message.timestamp) for message in document.messages} if document else ()
            )
            places = [
                place for place, message in enumerate(added) if (message.identity, message.timestamp) in held
            ]
            if any(added[place].timestamp is not None for place in places):
                return Again(frozenset(places), version)
        return Again()

    def whole(self, name: str, live: Document) -> tuple[Again, str]:
        """Return what of a session that was not there had been taken away, and how: it was deleted, cleared or cut.

        An import of what was deleted makes another conversation, created at another time: that brings nothing again.
        """
        try:
            versions = sorted(
                self._copies.store.versions(name), key=lambda version: version.time, reverse=True
            )
        except OSError:
            return Again(), ""
        taken = [version for version in versions if version.reason in _TAKEN][:MOST_TAKEN_BACK]
        for version in taken:
            document = self._read(name, version.name, _LARGEST_PACKED_BYTES)
            if document and document.get(session.CREATED) == live.get(session.CREATED):
                again = self.again(name, (version.name,), live.messages)
                if again.places:
                    return again, _TAKEN[taken[0].reason]
        return Again(), ""

    def is_backup(self, name: str, data: bytes) -> bool:
        """Return whether a save is the application's own backup, which its recovery puts back at a start."""
        try:
            return read(self._directory.backup(name), len(data))[0] == data
        except OSError:
            return False

    def forget(self, name: str, versions: Iterable[str]) -> None:
        """Forget acts of which something came again, or whose messages are there: it is told once."""
        known = self._incidents.taken_back.get(name, [])
        for version in versions:
            self._marks.get(name, {}).pop(version, None)
            if version in known:
                known.remove(version)


def _marks(went: Sequence[Message]) -> tuple[bytes, ...]:
    ends = dict.fromkeys((went[0].text, went[-1].text))
    return tuple(text[:_MARK_BYTES].encode("utf-8", "surrogatepass")[:_MARK_BYTES] for text in ends)
