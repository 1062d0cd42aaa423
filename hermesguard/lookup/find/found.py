"""What there is to say of each conversation that a search found: where the words stand, and what brings them back."""

import contextlib
import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from hermesguard.config.units import moment
from hermesguard.errors import GuardError
from hermesguard.lookup.find.query import WORDS, Passage, Query
from hermesguard.lookup.find.search import Hit, chosen, elsewhere, search
from hermesguard.lookup.library import Library
from hermesguard.lookup.overview import entry_of, version_names


class Found(NamedTuple):
    """One conversation that has the words; `command` shows them or brings them back, `where` says in words where they are."""

    hit: Hit
    passage: Passage
    title: str
    state: str
    changed: datetime | None
    command: str
    where: str


def found_in(library: Library, query: Query, most: int | None) -> tuple[list[Found], int]:
    """Return the best conversations that have the words, at most `most`, and how many have them in all."""
    return best(library, query, search(library, query), most)


def best(library: Library, query: Query, hits: Sequence[Hit], most: int | None) -> tuple[list[Found], int]:
    """Return of what a search hit the best, at most `most`, and how many conversations it leaves in all.

    Where the words stand in nothing that people read, another copy of the conversation may say them.
    """
    queue = [(_order(library, query, hit), hit) for hit in hits]
    heapq.heapify(queue)
    look_elsewhere = elsewhere(library, query)
    others: dict[str, Iterator[Hit]] = {}
    found: list[Found] = []
    while queue and (most is None or len(found) < most):
        _, hit = heapq.heappop(queue)
        if one := _look_at(library, query, hit):
            found.append(one)
            continue
        if hit.session not in others:
            others[hit.session] = iter(look_elsewhere(hit))
        if other := next(others[hit.session], None):
            heapq.heappush(queue, (_order(library, query, other), other))
    return found, len(found) + len(queue)


def _order(library: Library, query: Query, hit: Hit) -> tuple[int, bool, float, str]:
    return hit.rank, not _is_in_title(library, query, hit), -_age(library, hit), hit.session


def _is_in_title(library: Library, query: Query, hit: Hit) -> bool:
    return query.rank(library.title(hit.session).encode("utf-8", "replace")) == hit.rank


def _age(library: Library, hit: Hit) -> float:
    """Return when the session was last changed."""
    for path in (library.live_path(hit.session), library.store.shadow_path(hit.session)):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _look_at(library: Library, query: Query, hit: Hit) -> Found | None:
    """Return what there is to say of a hit; None when the words stand in nothing that people read."""
    title = library.title_once(hit.session)
    passage: Passage | None = Passage(0, "", "")
    if (library.live and hit.session in library.live) or hit.session in library.kept:
        try:
            passage = query.passage(library.copy(hit.session, chosen(library, hit)).document, hit.rank)
        except GuardError:  # a torn file is no conversation that could be shown
            passage = query.passage_of_torn(title, _bytes(library, hit))
    if passage is None:
        return None
    entry = entry_of(library, hit.session)
    command, where = _way_back(library, hit, entry.state)
    if hit.rank == WORDS:
        where = f"the words stand apart; {where}"
    return Found(hit, passage, title or "Untitled", entry.state, entry.changed, command, where)


def _bytes(library: Library, hit: Hit) -> bytes:
    try:
        return library.read(hit.session, chosen(library, hit))
    except GuardError:
        return b""


def _way_back(library: Library, hit: Hit, state: str) -> tuple[str, str]:
    """Return the command that brings the words back, and in words where they are."""
    name = hit.session
    is_live = name in (library.live or ())
    if state in ("lost", "unreadable") and name not in library.kept:
        return f"hermesguard explain {name}", "there is no copy of it"
    if hit.source == "live" and is_live:
        return f"hermesguard show {name}", "it is in the conversation"
    if hit.source == "latest":
        return f"hermesguard restore {name}", "it is in the newest good copy" + (
            ", not in the file" if is_live else "; the file is gone"
        )
    names = version_names(library, name)
    back = len(names) - names.index(hit.version) if hit.version in names else 1
    kept = moment(datetime.fromisoformat(hit.version.split("-")[0])) if hit.version else ""
    if not library.store.has_shadow(name) and back == 1:
        return f"hermesguard restore {name}", "it is in the copy that is still kept"
    return f"hermesguard restore {name}@-{back}", f"it is not in the file now, but in the version of {kept}"
