"""What looks lost although nobody saw it happen: signs that the application left in its directory (docs/hermes-webui.md).

The index counts more messages than the file holds; the model's context or a journal of turns is there and the conversation
is not; a file is torn; only a backup or a temporary file is left; the index lists a session without a file. Nothing here
repairs anything, and nothing is read that need not be.
"""

import os
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, Final, NamedTuple

from hermesguard import files
from hermesguard.webui import session
from hermesguard.webui.lists.index import INDEX, load_if_readable
from hermesguard.webui.lists.tombstones import TOMBSTONES
from hermesguard.webui.session import Document, Unreadable, is_session_id

_TEMPORARY: Final = (".tmp.", ".json.recover.tmp", ".json.reconcile.tmp.", ".json.bak.tmp.")
_BACKUP: Final = ".json.bak"
_JOURNALS: Final = ("_run_journal", "_turn_journal")
# What is longer is no remnant worth the time: these are read one after the other, before anything else is done.
_LONGEST_BYTES: Final = 64 * 1024 * 1024
_MOST_MESSAGES: Final = 2**53
"""No file has so many, and not every reader of events takes such a number."""


class Listed(NamedTuple):
    """What the index says of a session."""

    messages: int
    title: str


class Remains(NamedTuple):
    """What lay beside the session files at one moment."""

    listed: Mapping[str, Listed]
    backups: Mapping[str, Path]
    temporary: Mapping[str, list[Path]]
    journals: frozenset[str]
    deleted: frozenset[str]


class Sign(NamedTuple):
    """Why a session looks lost. `messages` is how many it once had, as far as anything tells; `live` how many there are."""

    session: str
    title: str
    messages: int | None
    live: int | None
    evidence: tuple[str, ...]


def remains(directory: Path) -> Remains:
    """Return what lies beside the session files now. Raises OSError when the directory cannot be read."""
    backups: dict[str, Path] = {}
    temporary: dict[str, list[Path]] = {}
    for name in os.listdir(directory):
        if name.endswith(_BACKUP):
            if is_session_id(name.removesuffix(_BACKUP)):
                backups[name.removesuffix(_BACKUP)] = directory / name
        elif ".tmp" in name and (owner := _owner(name)):
            temporary.setdefault(owner, []).append(directory / name)
    return Remains(
        _listed(load_if_readable(directory / INDEX)),
        backups,
        temporary,
        _journals(directory),
        _deleted(directory),
    )


def signs(
    directory: Path, found: Remains, counts: Mapping[str, int | None], but: Set[str] = frozenset()
) -> Iterator[Sign | None]:
    """Yield the sessions that look lost, by id, and None for each other one that was looked at, for that may take a second.

    Nothing is read of those that are left out (`but`).
    `counts` has how many messages each session's file holds, None where it cannot be read.
    """
    suspects = {
        name
        for name, listed in found.listed.items()
        if listed.messages > 0 and ((count := counts.get(name)) is None or listed.messages > count)
    }
    suspects |= {name for name, count in counts.items() if not count}
    suspects |= found.backups.keys() - counts.keys() | found.temporary.keys()
    for name in sorted(suspects - found.deleted - but):
        yield _sign(directory, name, found, counts)


def _sign(directory: Path, name: str, found: Remains, counts: Mapping[str, int | None]) -> Sign | None:
    count, listed = counts.get(name), found.listed.get(name, Listed(0, ""))
    evidence: list[str] = []
    once = [listed.messages]
    title = listed.title
    live = _document(directory / f"{name}.json") if not count else None
    if name not in counts:
        if listed.messages:
            evidence.append(f"the index lists it with {listed.messages} messages, and there is no file")
        if (backup := found.backups.get(name)) and (document := _document(backup)) and document.count:
            evidence.append(f"only the application's backup is left, with {document.count} messages")
            once.append(document.count)
            title = document.title or title
    elif count is None:
        evidence.append("the file is broken")
    elif listed.messages > count:
        evidence.append(f"the index counts {listed.messages} messages, the file has {count}")
    title = (live.title if live else "") or title
    if live and not live.messages and not _was_emptied_on_purpose(live):
        if live.context:
            evidence.append(f"the model's context has {len(live.context)} messages, the conversation none")
            once.append(len(live.context))
        if name in found.journals:
            evidence.append("a journal of its turns is there, and no message")
    for path in found.temporary.get(name, ()) if not count else ():
        document = _document(path)
        if document and document.count > (count or 0):
            evidence.append(f"a temporary file is whole, with {document.count} messages")
            once.append(document.count)
            title = document.title or title
    if not evidence:
        return None
    return Sign(name, title, max(once) or None, count, tuple(evidence))


def _was_emptied_on_purpose(document: Document) -> bool:
    """Return whether a clear, or an undo of the only turn, explains a conversation without messages."""
    marks = (document.get(session.BOUNDARY), document.get(session.WATERMARK))
    return (
        document.title in session.UNTITLED
        or bool(document.get(session.CLEAR_GENERATION))
        or any(mark == 0 and not isinstance(mark, bool) for mark in marks)
    )


def _owner(name: str) -> str:
    """Return the session that a temporary file is of; empty when it is of none."""
    for infix in _TEMPORARY:
        stem, mark, _ = name.partition(infix)
        if mark and is_session_id(stem):
            return stem
    return ""


def _listed(value: Any) -> dict[str, Listed]:
    found = {}
    for entry in value if isinstance(value, list) else ():
        name = entry.get("session_id") if isinstance(entry, dict) else None
        if not is_session_id(name):
            continue
        count, title = entry.get(session.MESSAGE_COUNT), entry.get(session.TITLE)
        is_count = type(count) is int and 0 <= count < _MOST_MESSAGES
        found[str(name)] = Listed(count if is_count else 0, title if isinstance(title, str) else "")
    return found


def titles(directory: Path) -> dict[str, str]:
    """Return the titles that the index knows."""
    known = _listed(load_if_readable(directory / INDEX))
    return {name: listed.title for name, listed in known.items() if listed.title}


def _deleted(directory: Path) -> frozenset[str]:
    value = load_if_readable(directory / TOMBSTONES)
    ids = value.get("ids") if isinstance(value, dict) else None
    return frozenset(name for name in ids if isinstance(name, str)) if isinstance(ids, list) else frozenset()


def _journals(directory: Path) -> frozenset[str]:
    found: set[str] = set()
    for folder in _JOURNALS:
        try:
            names = os.listdir(directory / folder)
        except OSError:
            continue
        found.update(name.removesuffix(".jsonl").split("~", 1)[0] for name in names)
    return frozenset(found)


def _document(path: Path) -> Document | None:
    try:
        return session.parse(files.read(path, _LONGEST_BYTES)[0])
    except (OSError, Unreadable):
        return None
