"""What the store holds of each session, as far as names, times and notes show it: nothing is read that need not be."""

from collections.abc import Iterator
from typing import NamedTuple

from hermesguard import files
from hermesguard.store import delta_log as delta_logs
from hermesguard.store.store import Shadow, Store
from hermesguard.webui import header as head
from hermesguard.webui import session
from hermesguard.webui.session import Unreadable

_MESSAGE_COUNT = "message_count"


class ShadowEntry(NamedTuple):
    """The newest good copy of a session: its size, the mtime of the live file it was taken from, whether it has a delta log."""

    session: str
    size_bytes: int
    mtime_ns: int
    has_delta_log: bool


def shadow_entries(store: Store) -> Iterator[ShadowEntry]:
    """Yield what the store has of each session that has a shadow."""
    with_delta_logs = set(store.with_delta_logs())
    for shadow in store.shadows():
        yield _entry(store, shadow, shadow.session in with_delta_logs)


def shadow_entry(store: Store, session: str) -> ShadowEntry | None:
    """Return what the store holds of one session; None when it has no shadow."""
    stamp = files.stamp(store.shadow_path(session))
    if stamp is None:
        return None
    has_delta_log = files.stamp(store.delta_log_path(session)) is not None
    return _entry(store, Shadow(session, stamp.size_bytes, stamp.mtime_ns), has_delta_log)


def _entry(store: Store, shadow: Shadow, has_delta_log: bool) -> ShadowEntry:
    newest = delta_logs.newest(store.delta_log_path(shadow.session)) if has_delta_log else None
    size_bytes, mtime_ns = newest[:2] if newest else (shadow.size_bytes, shadow.mtime_ns)
    return ShadowEntry(shadow.session, size_bytes, mtime_ns, bool(newest))


def messages_of(store: Store, shadow: ShadowEntry) -> int | None:
    """Return how many messages a newest copy has, None when it is not known.

    As it was noted with the copy; where the file system takes no notes, as the application says in its own count (since
    v0.51.139), or by reading it.
    """
    if shadow.has_delta_log and (newest := delta_logs.newest(store.delta_log_path(shadow.session))):
        return newest[2]
    if note := store.shadow_note(shadow.session):
        return note[1]
    try:
        count = head.read(store.shadow_path(shadow.session), _MESSAGE_COUNT).get(_MESSAGE_COUNT)
        if isinstance(count, int):
            return count
        return len(session.parse(store.read_shadow(shadow.session)).messages)
    except (OSError, Unreadable):
        return None
