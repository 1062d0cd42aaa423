"""Conversations for the page: messages in pages, one message in pieces, two versions side by side, the life of a session."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.changes import LABELS, Change, changes, said_in, tools_of
from hermesguard.lookup.objects import change_object, difference_object, version_object
from hermesguard.lookup.points import Point, points
from hermesguard.lookup.selectors import NEVER_GOOD, Chosen
from hermesguard.page import events
from hermesguard.page.answers import clipped, fitting
from hermesguard.page.read_cache import Read, View
from hermesguard.store.history import Version
from hermesguard.store.incidents import INTENDED
from hermesguard.webui.compare import parts
from hermesguard.webui.compare.diff import Comparison, compare
from hermesguard.webui.session import UNTITLED, Message
from hermesguard.webui.text import text_of

TEXT_CHARACTERS: Final = 20_000
TOOL_CHARACTERS: Final = 2_000
EXCERPT_CHARACTERS: Final = 200
_MOST_TOOLS: Final = 20
_MOST_BYTES: Final = 384 * 1024
_MOST_RUNS: Final = 2_000
_MOST_NUMBERS: Final = 500
_MOST_CHANGES_BYTES: Final = 200 * 1024
_MOST_EVENTS_BYTES: Final = 150 * 1024
_MOST_EVENTS: Final = 100
_MOST_VERSIONS: Final = 500
_LONGEST_NAME: Final = 200
_PICTURES: Final = ("image_url", "image", "input_image")  # no set: anything may be asked for


def conversation(read: Read, first: int, limit: int) -> dict[str, Any]:
    """Return the messages from number `first` on, at most `limit`, and no more than fit into an answer."""
    document = read.copy.document
    count = len(document.messages)
    first = max(1, min(first, count or 1))
    asked = enumerate(document.messages[first - 1 : first - 1 + limit], first)
    shown = fitting((_message(number, message) for number, message in asked), _MOST_BYTES)
    following = first + len(shown)
    return {
        "session": read.copy.session,
        "version": read.copy.chosen.name,
        "title": clipped(document.title),
        "message_count": count,
        "digest": read.digest,
        "first_message": first,
        "next": following if following <= count else None,
        "previous": max(1, first - limit) if first > 1 else None,
        "messages": shown,
    }


def _message(number: int, message: Message) -> dict[str, Any]:
    said = said_in(message)
    thought = text_of(message.get("reasoning"))
    if thought == said:
        thought = ""
    tools = [_tool(what, text) for what, text in tools_of(message)]
    return {
        "number": number,
        "role": message.role[:_LONGEST_NAME],
        "text": said[:TEXT_CHARACTERS],
        "text_length": len(said),
        "is_cut": len(said) > TEXT_CHARACTERS,
        "timestamp": message.timestamp,
        "labels": [label for key, label in LABELS.items() if message.get(key)],
        "reasoning": thought[:TOOL_CHARACTERS],
        "reasoning_length": len(thought),
        "pictures": _pictures(message.get("content")),
        "tools": tools[:_MOST_TOOLS],
        "tools_count": len(tools),
    }


def _tool(what: str, text: str) -> dict[str, Any]:
    kind, name = ("call", what.removeprefix("tool ")) if what.startswith("tool ") else (what, "")
    if kind == "attachment":
        name, text = text, ""
    return {
        "what": kind,
        "name": name[:_LONGEST_NAME],
        "text": text[:TOOL_CHARACTERS],
        "text_length": len(text),
    }


def _pictures(content: Any) -> int:
    return sum(
        isinstance(part, dict) and part.get("type") in _PICTURES
        for part in (content if isinstance(content, list) else ())
    )


def piece(read: Read, number: int, part: str, tool: int, offset: int, length: int) -> dict[str, Any]:
    """Return a piece of one message. Raises GuardError (exit code 13) when there is no such message or tool."""
    messages = read.copy.document.messages
    texts: Sequence[str] = ()
    if 1 <= number <= len(messages):
        message = messages[number - 1]
        if part == "tool":
            texts = [text for _, text in tools_of(message)][tool : tool + 1]
        else:
            texts = [said_in(message) if part == "text" else text_of(message.get("reasoning"))]
    if not texts:
        raise GuardError(f"There is no such part of message {number}", "Look again", ExitCode.NOT_FOUND)
    text = texts[0]
    end = offset + length
    return {
        "session": read.copy.session,
        "version": read.copy.chosen.name,
        "number": number,
        "part": part,
        "text": text[offset:end],
        "offset": offset,
        "length": len(text),
        "next": end if end < len(text) else None,
    }


def difference(view: View, name: str, a: Chosen | None, b: Chosen, first: int, limit: int) -> dict[str, Any]:
    """Return what became of each message of version `a` (None: what the guard would bring back) in `b`."""
    is_displaced = False
    if a is None:
        repair = view.library.last_repair(name)
        a, is_displaced = (repair[1], True) if repair else (view.library.before(name), False)
    old = _read_or_nothing(view, name, a, is_displaced)
    new = view.read(name, b)
    comparison = compare(old.copy.document.messages, new.copy.document.messages)
    found = changes(comparison)
    hung = list(parts.gone(old.copy.document, new.copy.document, comparison))
    known = difference_object(old.copy, new.copy, (), hung)
    differing = [change for change in found if change.kind != "same"]
    counts = dict.fromkeys(("same", "gone", "cut short", "changed", "new", "dropped"), 0)
    for change in found:
        counts[change.kind] += 1
    shown = fitting(
        (change_object(it) | _words(comparison, it) for it in differing[first : first + limit]),
        _MOST_CHANGES_BYTES,
    )
    a_marks, b_marks = (
        _runs((it.in_a, it.kind) for it in differing),
        _runs((it.in_b, it.kind) for it in differing),
    )
    return known | {
        "a": known["a"] | {"digest": old.digest},
        "b": known["b"] | {"digest": new.digest},
        "counts": counts,
        "same": counts["same"],
        "changes": shown,
        "total": len(differing),
        "from": first,
        "next": first + len(shown) if first + len(shown) < len(differing) else None,
        "a_marks": a_marks[:_MOST_RUNS],
        "b_marks": b_marks[:_MOST_RUNS],
        "is_thinned": max(len(a_marks), len(b_marks)) > _MOST_RUNS,
        "parts": [
            part
            | {"a_numbers": part["a_numbers"][:_MOST_NUMBERS], "b_numbers": part["b_numbers"][:_MOST_NUMBERS]}
            for part in known["parts"]
        ],
    }


def _read_or_nothing(view: View, name: str, chosen: Chosen, is_displaced: bool) -> Read:
    try:
        return view.read(name, chosen)
    except GuardError:
        if not is_displaced:
            raise
        return Read(view.library.copy_or_nothing(name, chosen, True), "")


def _words(comparison: Comparison, change: Change) -> dict[str, Any]:
    old = comparison.old[change.in_a - 1] if change.in_a else None
    new = comparison.new[change.in_b - 1] if change.in_b else None
    return {
        "role": ((old or new).role if old or new else "")[:_LONGEST_NAME],  # type: ignore[union-attr]
        "a_text": old.words[:EXCERPT_CHARACTERS] if old else "",
        "b_text": new.words[:EXCERPT_CHARACTERS] if new else "",
    }


def _runs(marked: Iterable[tuple[int | None, str]]) -> list[list[Any]]:
    """Return numbers with their marks as runs [first, last, mark]."""
    runs: list[list[Any]] = []
    for number, mark in marked:
        if number is None:
            continue
        if runs and runs[-1][1] == number - 1 and runs[-1][2] == mark:
            runs[-1][1] = number
        else:
            runs.append([number, number, mark])
    return runs


def timeline(view: View, name: str, most: int) -> dict[str, Any]:
    """Return the life of a session: its points, each with the messages that were there then."""
    library = view.library
    view.require(name)
    if name not in library.kept and name not in (library.live or ()):
        raise library.nothing_left(name)
    newest = view.read(name, view.newest(name))
    document = newest.copy.document
    versions = library.store.versions(name)
    log = [one for one in library.everything if one.session == name]
    acts = {one.version: one.id for one in log if one.event == INTENDED}
    found = points(document.messages, versions, [one for one in log if not one.is_note], acts)
    shown = _thinned(found, most)
    told = list(events.events(view, _MOST_EVENTS, name))
    if (gone := events.deletion(view, name)) is not None:
        told.insert(0, gone)
    told = fitting(told, _MOST_EVENTS_BYTES)
    return {
        "session": name,
        "title": view.title(name) if document.title in UNTITLED else clipped(document.title),
        "message_count": len(document.messages),
        "state": view.state(name),
        "digest": newest.digest,
        "points": [_point(point, newest) for point in shown],
        "is_thinned": len(shown) < len(found),
        "versions": [
            _version(version) | {"is_good": version.reason not in NEVER_GOOD}
            for version in versions[-_MOST_VERSIONS:]
        ],
        "versions_count": len(versions),
        "events": told,
    }


def _version(version: Version) -> dict[str, Any]:
    known = version_object(version)
    del known["file"]
    return known


def _point(point: Point, newest: Read) -> dict[str, Any]:
    version = newest.copy.chosen.name if point.version == "" else point.version
    upto = point.messages
    if point.version == "":
        upto = min(upto, len(newest.copy.document.messages))
    return {
        "time": point.time.isoformat(),
        "message_count": point.messages,
        "mark": point.mark,
        "version": version,
        "upto": upto,
        "incident": point.incident or None,
    }


def _thinned(found: Sequence[Point], most: int) -> list[Point]:
    """Return at most so many points: those that belong to something that happened first, then of the growth evenly."""
    if len(found) <= most:
        return list(found)
    marked = [index for index, one in enumerate(found) if one.mark or one.incident or one.version]
    kept = set(marked[-most:])
    others = [index for index in range(len(found)) if index not in kept]
    room = most - len(kept)
    if room > 1 and others:
        kept.update(others[round(step * (len(others) - 1) / (room - 1))] for step in range(room))
    return [found[index] for index in sorted(kept)]
