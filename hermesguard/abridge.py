"""A session without what is known of it: the part of a file that must be read to see what a save changed. Pure.

Nearly every save repeats the file before it and adds a row or two. So the rows that are known are compared as bytes, in place;
where they stand unchanged, each long run of them is replaced by one string that nobody else can have written, and only what is
left (the metadata, the last rows) is parsed. That is exact by the grammar of JSON: in the place of a run of elements there may
stand an element, so if the abridged text is a session whose list begins with that string, the whole text is a session whose
list begins with those rows. Whatever is not found so is read in full; what the judge says is the same either way.
"""

import json
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from hermesguard import benign, session
from hermesguard.mend import started_seconds
from hermesguard.session import Document, Row, Run, Unreadable

# A run shorter than this is not worth the bookkeeping.
SHORTEST_RUN_BYTES = 4096
# So much may stand behind a run before the run is made longer.
LONGEST_REST_ROWS = 24
_PROBE_BYTES = 96
# Rows that begin alike are not rare; a file of nothing else is read in full.
_MOST_PROBES = 64

Piece = bytes | memoryview

_SECRET = uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Hole:
    """Where a run of rows stands in the bytes of a file, and what it is."""

    key: str
    start: int
    end: int
    run: Run


@dataclass(frozen=True, slots=True)
class Abridged:
    """A file and what it says, with long runs of rows standing as one row each."""

    data: bytes
    document: Document
    holes: tuple[Hole, ...] = ()


def abridge(data: bytes, document: Document) -> Abridged:
    """Return `data`, which says `document`, with its long runs abridged."""
    offset = _Offsets(document.text, data)
    holes = []
    for key, rows in document.lists().items():
        if len(rows) > 1:
            start = offset(rows[0].start)
            end = offset(rows[-2].start + len(rows[-2].text))
            if end - start >= SHORTEST_RUN_BYTES:
                holes.append(Hole(key, start, end, _run(key, rows[:-1])))
    return Abridged(data, _read(data, holes) if holes else document, tuple(holes))


def follow(known: Abridged, data: bytes) -> tuple[Abridged, list[tuple[int, int, int]]] | None:
    """Return `data` abridged as `known` is, and what it repeats: (start in known, start in data, length in bytes) of each run.

    None when it does not repeat all of them.

    Costs what the difference costs, and one comparison of the bytes that are the same.
    """
    if not known.holes:
        return None
    holes: list[Hole] = []
    position = 0
    for hole in known.holes:
        region = known.data[hole.start : hole.end]
        found = _find(data, region, position)
        if found < 0:
            return None
        position = found + len(region)
        holes.append(Hole(hole.key, found, position, hole.run))
    try:
        document = _read(data, holes)
    except (Unreadable, UnicodeDecodeError):
        return None
    lists = document.lists()
    for hole in holes:
        rows = lists.get(hole.key)
        if not rows or rows[0].value != hole.run.value:
            return None
        rows[0] = hole.run
    pairs = zip(known.holes, holes, strict=True)
    repeated = [(old.start, new.start, old.end - old.start) for old, new in pairs]
    return Abridged(data, document, tuple(holes)), repeated


def _find(data: bytes, region: bytes, position: int) -> int:
    """Return where `region` stands in `data` at or behind `position`; -1 when it does not, or cannot be found cheaply."""
    probe = region[:_PROBE_BYTES]
    for _ in range(_MOST_PROBES):
        position = data.find(probe, position)
        if position < 0 or data.startswith(region, position):
            return position
        position += 1
    return -1


def fill(text: str, known: Abridged) -> list[Piece]:
    """Return the pieces of an abridged `text` made from `known`, with the runs' own bytes where they belong."""
    pieces: list[Piece] = []
    view = memoryview(known.data)
    for hole in known.holes:
        before, mark, text = text.partition(hole.run.text)
        if mark:
            pieces += [before.encode("utf-8"), view[hole.start : hole.end]]
        else:
            text = before
    return [*pieces, text.encode("utf-8")]


def tightened(known: Abridged) -> Abridged:
    """Return the same file with all rows but the last of each list in its run, if many have gathered behind the runs."""
    if len(known.document.rows) <= LONGEST_REST_ROWS:
        return known
    bytes_before = 0
    text = known.document.text
    lists = known.document.lists()
    holes = []
    for hole in known.holes:
        rows = lists[hole.key]
        end = rows[-2].start + len(rows[-2].text)
        cut = len(text[:end].encode("utf-8"))
        bytes_before += hole.end - hole.start - len(hole.run.text)
        holes.append(
            Hole(hole.key, hole.start, cut + bytes_before, _run(hole.key, rows[:-1]))
            if len(rows) > 1
            else hole
        )
    return Abridged(known.data, _read(known.data, holes), tuple(holes))


def _run(key: str, rows: Sequence[Row]) -> Run:
    mark = f"{key} of {_SECRET}"
    run = Run(mark, f'"{mark}"')
    run.latest = -math.inf
    run.count = 0
    for row in rows:
        run.count += row.count
        if isinstance(row, Run):
            run.turns += row.turns
            run.latest = max(run.latest, row.latest)
            continue
        stamp = math.inf if row.timestamp is None else row.timestamp
        run.turns += benign.is_user_turn(row)
        run.latest = max(run.latest, stamp)
    return run


def _read(data: bytes, holes: Sequence[Hole]) -> Document:
    """Return what `data` says with each hole's run in its place as one row."""
    parts = []
    position = 0
    for hole in holes:
        parts += [data[position : hole.start], hole.run.text.encode("ascii")]
        position = hole.end
    parts.append(data[position:])
    document = session.parse(b"".join(parts))
    lists = document.lists()
    for hole in holes:
        rows = lists.get(hole.key)
        if rows and rows[0].value == hole.run.value:
            hole.run.start = rows[0].start
            rows[0] = hole.run
    return document


class _Offsets:
    """From characters of a text to bytes of its encoding."""

    def __init__(self, text: str, data: bytes) -> None:
        self._text = text
        self._is_plain = len(text) == len(data)
        self._last = (0, 0)

    def __call__(self, characters: int) -> int:
        if self._is_plain:
            return characters
        start, offset = self._last
        self._last = (characters, offset + len(self._text[start:characters].encode("utf-8")))
        return self._last[1]


def tells_all(known: Abridged) -> bool:
    """Return whether an empty live file can be mended from the abridged form as from the full one.

    That is so when no row of a run can be the pending prompt, and the prompt comes last, so that no row changes its number.
    """
    prompt = known.document.prompt
    if not prompt.strip():
        return True
    sent = started_seconds(known.document)
    runs = [hole for hole in known.holes if hole.key != session.TOOL_CALLS]
    if sent is None:
        return not runs
    if max((known.document.end or 0.0, *(hole.run.latest for hole in runs))) >= int(sent) + 1:
        return not known.holes
    return all(hole.run.latest < int(sent) - 1 or not _may_say(known.data, hole, prompt) for hole in runs)


def _may_say(data: bytes, hole: Hole, prompt: str) -> bool:
    """Return whether a row of the run may have these words: the longest of them stands somewhere in its text."""
    word = json.dumps(max(prompt.split(), key=len), ensure_ascii=False)[1:-1]
    try:
        sought = word.encode("utf-8")
    except UnicodeEncodeError:
        return True
    escaped = not word.isascii() and data.find(b"\\u", hole.start, hole.end) >= 0
    return escaped or data.find(sought, hole.start, hole.end) >= 0
