"""What the store holds of each session, as far as names, times and notes show it: nothing is read that need not be."""

from collections.abc import Iterator
from typing import NamedTuple

from hermesguard.store import delta_log as delta_logs
from hermesguard.store.store import Store
from hermesguard.webui import header as head
from hermesguard.webui import session
from hermesguard.webui.session import Unreadable

_MESSAGE_COUNT = "message_count"


class Entry(NamedTuple):
    """The newest good copy of a session: its size, the mtime of the live file it was taken from, whether it has a delta log."""

    session: str
    size_bytes: int
    mtime_ns: int
    has_delta_log: bool


def holdings(store: Store) -> Iterator[Entry]:
    """Yield what the store holds of each session that has a shadow."""
    with_delta_logs = set(store.with_delta_logs())
    for shadow in store.shadows():
        newest = (
            delta_logs.newest(store.delta_log_path(shadow.session))
            if shadow.session in with_delta_logs
            else None
        )
        size_bytes, mtime_ns = newest[:2] if newest else (shadow.size_bytes, shadow.mtime_ns)
        yield Entry(shadow.session, size_bytes, mtime_ns, bool(newest))


def messages_of(store: Store, holding: Entry) -> int | None:
    """Return how many messages a newest copy has, None when it is not known.

    As it was noted with the copy; where the file system takes no notes, as the application says in its own count (since
    v0.51.139), or by reading it.
    """
    if holding.has_delta_log and (newest := delta_logs.newest(store.delta_log_path(holding.session))):
        return newest[2]
    if note := store.shadow_note(holding.session):
        return note[1]
    try:
        count = head.read(store.shadow_path(holding.session), _MESSAGE_COUNT).get(_MESSAGE_COUNT)
        if isinstance(count, int):
            return count
        return len(session.parse(store.read_shadow(holding.session)).messages)
    except (OSError, Unreadable):
        return None
