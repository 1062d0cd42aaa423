"""What the page asks for: one function for each answer of the API that only reads."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.catalog import BY_NAME
from hermesguard.lookup.find.found import best
from hermesguard.lookup.find.query import Query
from hermesguard.lookup.find.search import Hit, looking
from hermesguard.lookup.health import URGENT
from hermesguard.lookup.missed import KINDS, summary
from hermesguard.lookup.objects import (
    event_object,
    found_object,
    lost_object,
    meaning_of,
    missed_object,
    session_object,
    status_object,
)
from hermesguard.lookup.overview import entry_of, order
from hermesguard.lookup.selectors import has_words
from hermesguard.page import events
from hermesguard.page.access import Home
from hermesguard.page.answers import Problem, clipped, fitting
from hermesguard.page.jobs import Job
from hermesguard.page.read_cache import ReadCache, Row, View

API: Final = 1
STATES: Final = (
    *("fine", "shortened", "restored", "uncertain", "unrepaired", "unreadable", "lost"),
    *("missing", "deleted"),
)
ORDERS: Final = ("changed", "title", "messages", "versions", "incident")
_REPAIRS: Final = ("brought_back", "not_sure")
_EVENTS_OF_A_SESSION: Final = 50
_MOST_DECISIONS: Final = 20
_MOST_LIST_BYTES: Final = 400 * 1024
_MOST_EVENTS_BYTES: Final = 200 * 1024
_FOUND_AT_MOST: Final = 100
_LONGEST_WORDS: Final = 400
_AT_ONCE: Final = 200
_FRESH_SECONDS: Final = 1.0
_OLD_SECONDS: Final = 15.0
"""A badge that is looked at every few seconds must cost the guard nothing."""


def status(view: View, home: Home) -> dict[str, Any]:
    """Return `status`."""
    known = view.status(_FRESH_SECONDS)
    missing = summary(view.missed_quickly)
    said = status_object(known, missing)
    for name in ("unreadable",):
        said[name] = dict(list(said[name].items())[:_AT_ONCE])
    return {
        "state": _state(known, said, missing),
        **said,
        "waiting": said["waiting"][:_AT_ONCE],
        "held": said["held"][:_AT_ONCE],
        "unresolved": said["unresolved"][-_AT_ONCE:],
        "now": datetime.now(UTC).isoformat(),
        "page": {"api": API, "home": home, "can_act": bool(known["running"])},
    }


def _state(known: Mapping[str, Any], said: Mapping[str, Any], missing: Mapping[str, int]) -> str:
    is_well = known["running"] and known["ready"] and not known["watch_lost"]
    if not is_well or known["store_error"] or known["damaged_files"] or known["unreadable"]:
        return "trouble"
    return "well" if not (known["unresolved"] or known["held"] or set(missing) & URGENT) else "decide"


def pulse(view: View, session: str) -> dict[str, Any]:
    """Return `pulse`: in what state things are, and the newest of what happened to a session."""
    log = view.library.everything
    known = view.status(_OLD_SECONDS)
    missing = summary(view.missed_quickly)
    found: dict[str, Any] = {
        "state": _state(known, known, missing),
        "decisions": len(events.waiting(view)),
        "newest": log[-1].id if log else "",
    }
    if session:
        own = [one for one in log if one.session == session]
        repair = next((one for one in reversed(own) if events.what_happened(view, one) in _REPAIRS), None)
        told = events.event(view, repair) if repair else None
        found["session"] = {
            "session": session,
            "known": view.knows(session),
            "newest": own[-1].id if own else "",
            "repair": told
            and {
                "incident": told["id"],
                "time": told["time"],
                "what": told["what"],
                "messages_back": told["messages_back"],
                "messages_after": told["messages_after"],
                "resolved_by": told["resolved_by"],
            },
        }
    return found


def now(view: View, home: Home, lately: int) -> dict[str, Any]:
    """Return `now`: the first page."""
    said = status(view, home)
    waiting = events.waiting(view)
    decisions = [events.event(view, one) for one in waiting[:_MOST_DECISIONS]]
    numbers = {one.id for one in waiting}
    recent = [one for one in events.events(view, lately + len(numbers)) if one["id"] not in numbers]
    recent += [
        gone
        for one in view.missed_quickly[:lately]
        if one.kind == "deleted" and (gone := events.deletion(view, one.session))
    ]
    recent.sort(key=lambda one: str(one["time"]), reverse=True)
    return {
        "status": said,
        "missed": said["missed"],
        "decisions": fitting(decisions, _MOST_EVENTS_BYTES),
        "decisions_count": len(waiting),
        "lately": fitting(recent[:lately], _MOST_EVENTS_BYTES),
    }


def sessions(view: View, search: str, state: str, sort: str, offset: int, limit: int) -> dict[str, Any]:
    """Return `sessions`: those that fit, in that order, a page of them."""
    if state and state not in STATES:
        raise Problem(400, "usage", f"state is one of {', '.join(STATES)}")
    if sort not in ORDERS:
        raise Problem(400, "usage", f"sort is one of {', '.join(ORDERS)}")
    rows = list(view.rows.values())
    words = search.split()
    if words:
        rows = [
            row
            for row in rows
            if row.session.startswith(search.strip()) or has_words(view.title(row.session), words)
        ]
    counts = Counter(row.state for row in rows)
    fitting_rows = [row for row in rows if not state or row.state == state]
    fitting_rows.sort(key=lambda row: _order(view, row, sort))
    shown = fitting(
        (session_object(view.entry(row)) for row in fitting_rows[offset : offset + limit]), _MOST_LIST_BYTES
    )
    after = offset + len(shown)
    return {
        "sessions": shown,
        "total": len(fitting_rows),
        "offset": offset,
        "limit": limit,
        "next": after if shown and after < len(fitting_rows) else None,
        "states": {name: counts[name] for name in STATES if counts[name]},
    }


def _order(view: View, row: Row, sort: str) -> tuple[Any, ...]:
    if sort in ("title", "messages"):
        return order(view.entry(row), sort)
    changed = -row.changed.timestamp() if row.changed else 0.0
    number = int(row.incident.id) if row.incident else 0
    first = {"changed": changed, "versions": -row.versions, "incident": -number}[sort]
    return first, changed, row.session


def session(view: View, name: str) -> dict[str, Any]:
    """Return `session`: one session, and what happened to it."""
    view.require(name)
    row = view.rows.get(name)
    entry = view.entry(row) if row else entry_of(view.library, name)
    told = list(events.events(view, _EVENTS_OF_A_SESSION, name))
    if (gone := events.deletion(view, name)) is not None:
        told.insert(0, gone)
    return {
        "session": session_object(entry),
        "is_live": name in (view.library.live or ()),
        "newest": view.newest(name).name,
        "events": fitting(told, _MOST_EVENTS_BYTES),
    }


def incidents(view: View, name: str, before: str, limit: int) -> dict[str, Any]:
    """Return `events`: lines of the log, newest first."""
    if name:
        view.require(name)
    found = list(events.events(view, limit + 1, name, before))
    shown = fitting(found[:limit], _MOST_LIST_BYTES)
    return {"events": shown, "next": shown[-1]["id"] if len(shown) < len(found) else None}


def explanation(view: View, number: str) -> dict[str, Any]:
    """Return `explanation` of a line of the log."""
    incident = next((one for one in view.library.everything if one.id == number), None)
    if incident is None:
        raise GuardError(
            "There is no such incident", "See what there is: hermesguard log", ExitCode.NOT_FOUND
        )
    kind = BY_NAME.get(incident.event)
    told = events.event(view, incident)
    return {
        "incident": told["incident"],
        "event": event_object(kind) if kind else None,
        "meaning": meaning_of(incident),
        "resolved_by": told["resolved_by"],
        "event_now": told,
    }


def lost(view: View, kind: str, offset: int, limit: int) -> dict[str, Any]:
    """Return `lost`: what may be missed."""
    if kind and kind not in KINDS:
        raise Problem(400, "usage", f"kind is one of {', '.join(KINDS)}")
    everything = view.missed
    found = [one for one in everything if not kind or one.kind == kind]
    told = (
        lost_object(view.library, one)
        | {"title": view.title(one.session), "acts": events.acts_on_missed(view, one)}
        for one in found[offset : offset + limit]
    )
    shown = fitting((one | {"version": _version_of(one)} for one in told), _MOST_LIST_BYTES)
    after = offset + len(shown)
    return {
        "lost": shown,
        "counts": missed_object(summary(everything)),
        "total": len(found),
        "offset": offset,
        "next": after if shown and after < len(found) else None,
    }


def _version_of(one: Mapping[str, Any]) -> str:
    """Return the version that holds what may be missed, as far as an act names it."""
    return next((str(act["version"]) for act in one["acts"] if "version" in act), "")


def require_words(value: Any) -> str:
    """Return the words that a search is asked for. Raises Problem when there are none."""
    words = value.get("words") if isinstance(value, dict) else None
    if not isinstance(words, str) or not words.strip() or len(words) > _LONGEST_WORDS:
        raise Problem(400, "usage", "A search needs words", "Write some of the title, or of the text")
    return words.strip()


def find(cache: ReadCache, words: str, job: Job) -> dict[str, Any]:
    """Return `found`: conversations that have the words, in whatever copy."""
    view = cache.view()
    library, query = view.library, Query(words)
    names, look = library.sessions, looking(library, query)
    hits: list[Hit] = []
    for start in range(0, len(names), _AT_ONCE):
        job.step(start, len(names))
        hits += look(names[start : start + _AT_ONCE])
    job.step(len(names), len(names))
    found, count = best(library, query, hits, _FOUND_AT_MOST)
    shown = []
    for one in found:
        told = found_object(view.library, one)
        version = told["version"] or told["source"]
        shown.append(
            told
            | {
                "title": clipped(told["title"]),
                "version": version,
                "role": one.passage.role[:_AT_ONCE],
                "acts": [events.restore(one.hit.session, version)] if version != "live" else [],
            }
        )
    return {"kind": "found", "words": words, "count": count, "found": fitting(shown, _MOST_LIST_BYTES)}
