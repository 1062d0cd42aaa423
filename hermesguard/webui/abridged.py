"""Compact sessions: known runs of messages are placeholders, only the rest of a file is parsed. Pure.

Nearly every save repeats the file before it and adds a message or two. So the messages that are known are compared as bytes,
in place; where they stand unchanged, each long run of them is replaced by one string that nobody else can have written, and
only what is left (the metadata, the last messages) is parsed. That is exact by the grammar of JSON: in the place of a run of
elements there may stand an element, so if the abridged text is a session whose list begins with that string, the whole text
is a session whose list begins with those messages. Whatever is not found so is read in full; what the judge says is the same
either way.
"""

import math
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hermesguard.pieces import Piece, Rests, around, joined_checksum, stands_before, with_more, with_runs
from hermesguard.webui import benign, session
from hermesguard.webui.compare import parts
from hermesguard.webui.document import SETTINGS
from hermesguard.webui.grammar import members
from hermesguard.webui.long.document import LongDocument, LongMessages
from hermesguard.webui.session import Document, Message, Run
from hermesguard.webui.text import Offsets

# A run shorter than this is not worth the bookkeeping.
SHORTEST_RUN_BYTES = 4096
# So many messages may stand behind the runs before these are made longer.
LONGEST_REST = 16
# While a prompt waits for its answer, more messages stay outside: whether it became one of them is asked when it is answered.
PROMPT_MESSAGES = 8
LONGEST_PROMPT_REST = 64

Seam = tuple[bytes, bytes]
"""The rest behind a run: further messages of its list, and what follows the last of them."""

_SECRET = os.urandom(16).hex()
_COUNTED = (session.MESSAGES, session.CONTEXT, session.TOOL_CALLS)
_SPACE = b" \t\n\r"
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")


class Hole(NamedTuple):
    """A run of messages that was taken out: of which list, its bytes in chunks that end with a message, and what it is."""

    key: str
    chunks: tuple[Piece, ...]
    size_bytes: int
    checksum: int
    run: Run


class Abridged:
    """A file and what it says, with long runs of messages standing as one message each: rest, hole, rest, hole, rest."""

    def __init__(
        self,
        rests: Rests,
        holes: tuple[Hole, ...],
        values: dict[str, Any],
        *,
        size_bytes: int,
        count: int,
        rest_messages: int,
        document: Document | None = None,
        sizes: tuple[int, int] = (0, 0),
    ) -> None:
        """`values` are the members of the abridged file, as `json` reads them; what lists hold is not looked at."""
        self.rests = rests
        self.holes = holes
        self.runs = tuple(hole.chunks for hole in holes)
        """The bytes of the runs, between the rests."""
        keys = [hole.key for hole in holes]
        self.number_of_messages = keys.index(session.MESSAGES) if session.MESSAGES in keys else None
        """Which of the runs is that of the messages; None where they have none."""
        self.stream = values.get(session.STREAM)
        prompt = values.get(session.PENDING_MESSAGE)
        self.prompt = prompt if isinstance(prompt, str) else ""
        kept = (*SETTINGS, *parts.anchors(tuple(values)))
        self.settings = dict(zip(kept, map(values.get, kept), strict=True))
        """What a user has set, and the anchors of a compression."""
        self.sizes = sizes
        """Messages in the model's context, and tool calls."""
        self.count = count
        """Messages in the file."""
        self.rest_messages = rest_messages
        """So many messages stand behind the runs."""
        self.size_bytes = size_bytes
        """How many bytes the file has."""
        self._seams: list[Seam | None] = [None] * len(holes)
        self._document = document

    @property
    def document(self) -> Document:
        """What the abridged file says, each run standing as one message; found out when it is asked for."""
        if self._document is None:
            self._document = _read(self.rests, self.holes)
        return self._document

    @property
    def values(self) -> dict[str, Any]:
        """The members that are kept, for a file in which they are the same."""
        return {session.STREAM: self.stream, session.PENDING_MESSAGE: self.prompt, **self.settings}

    def seam(self, number: int) -> Seam:
        """Return the rest behind that run, cut where the last message of its list ends."""
        seam = self._seams[number]
        if seam is None:
            rest = self.rests[number + 1]
            end = _messages_at(rest)
            seam = self._seams[number] = (end, rest[len(end) :])
        return seam

    def note_end(self, number: int, end: bytes) -> None:
        """Note where the last message ends behind that run, found where it cost less."""
        self._seams[number] = (end, self.rests[number + 1][len(end) :])

    def followed_by(
        self, rests: Rests, seams: list[Seam | None], size_bytes: int, came: Mapping[str, int]
    ) -> "Abridged":
        """Return a later state of the file: so many messages came to each list, and all members that are kept stand."""
        made = object.__new__(Abridged)
        made.rests, made.holes, made.runs, made._seams = rests, self.holes, self.runs, seams
        made.size_bytes = size_bytes
        made.number_of_messages = self.number_of_messages
        made.stream, made.prompt, made.settings = self.stream, self.prompt, self.settings
        context, calls = came.get(session.CONTEXT, 0), came.get(session.TOOL_CALLS, 0)
        messages = came.get(session.MESSAGES, 0)
        made.sizes, made.count = (self.sizes[0] + context, self.sizes[1] + calls), self.count + messages
        made.rest_messages, made._document = self.rest_messages + messages + context + calls, None
        return made

    @property
    def pieces(self) -> Iterator[Piece]:
        """The file's bytes, in order."""
        return with_runs(self.rests, self.runs)

    @property
    def data(self) -> bytes:
        """The file's bytes, put together anew."""
        return b"".join(self.pieces)

    def checksum(self) -> int:
        """Return the Adler-32 of the whole file, at the cost of the rests."""
        value = zlib.adler32(self.rests[0])
        for hole, rest in zip(self.holes, self.rests[1:], strict=True):
            value = zlib.adler32(rest, joined_checksum(value, hole.checksum, hole.size_bytes))
        return value


def abridge(data: bytes, document: Document) -> Abridged:
    """Return `data`, which says `document`, with its long runs abridged."""
    if isinstance(document, LongDocument):
        return _abridge_long(document)
    offset = Offsets(document.text, data)
    rests: list[bytes] = []
    holes: list[Hole] = []
    position = 0
    outside = PROMPT_MESSAGES if document.prompt else 1
    for key, messages in document.lists().items():
        if len(messages) > outside:
            start = offset(messages[0].start)
            last = messages[-1 - outside]
            end = offset(last.start + len(last.text))
            if end - start >= SHORTEST_RUN_BYTES and not stands_before(data, position, start, end):
                rests.append(data[position:start])
                chunks = _once((data[start:end],), holes)
                run = _run(key, messages[:-outside])
                holes.append(Hole(key, chunks, end - start, zlib.adler32(chunks[0]), run))
                position = end
    if holes:
        rests.append(data[position:])
        return _abridged(rests, holes, len(data))
    values = {key: document.get(key) for key in document.keys if key not in session.LISTS}
    return Abridged(
        (data,), (), values, size_bytes=len(data), count=document.count, rest_messages=0, document=document
    )


def _abridge_long(document: LongDocument) -> Abridged:
    """As `abridge`, for a long file: its runs stay where they are in memory, not copied."""
    file = document.file
    rests: list[bytes] = []
    holes: list[Hole] = []
    position = 0
    outside = PROMPT_MESSAGES if document.prompt else 1
    for key, messages in document.lists().items():
        if not isinstance(messages, LongMessages) or len(messages) <= outside:
            continue
        start, end = messages[:-outside].span()
        if end - start >= SHORTEST_RUN_BYTES and start >= position:
            rest = file.part(position, start)
            if file.part(start, start + SHORTEST_RUN_BYTES) in rest:
                continue  # as `stands_before`
            rests.append(rest)
            chunks, checksum = tuple(file.views(start, end)), 1
            for chunk in chunks:
                checksum = zlib.adler32(chunk, checksum)
            holes.append(Hole(key, chunks, end - start, checksum, _run(key, messages[:-outside])))
            position = end
    rests.append(file.part(position, file.size_bytes))
    return _abridged(rests, holes, file.size_bytes)


def _once(chunks: tuple[Piece, ...], holes: Sequence[Hole]) -> tuple[Piece, ...]:
    """Return the chunks, or equal ones of another run: what the model is sent mostly is what people see, in memory once."""
    if not all(isinstance(chunk, bytes) for chunk in chunks):
        return chunks  # where a long file was read, they are in memory anyhow
    return next((hole.chunks for hole in holes if hole.chunks == chunks), chunks)


def rests_of(known: Abridged, data: bytes) -> Rests | None:
    """Return what of `data` stands around the runs that are known; None when they do not stand in it, or there are none.

    All that a later state of a file is compared by: the file is the one that is known if the rests are.
    """
    return around(data, known.runs, len(data)) if known.runs else None


def follow(known: Abridged, data: bytes) -> Abridged | None:
    """Return `data` abridged as `known` is; None when it does not repeat its runs. Keeps nothing of `data` but copies."""
    rests = rests_of(known, data)
    return followed(known, rests, len(data)) if rests else None


def followed(known: Abridged, rests: Rests, size_bytes: int) -> Abridged | None:
    """Return the file of so many bytes that has these rests around the runs of `known`; None when it is no session of these.

    Costs what the difference costs.
    """
    try:
        return _abridged(rests, known.holes, size_bytes)
    except (ValueError, RecursionError):
        return None


def _abridged(rests: Sequence[bytes], holes: Sequence[Hole], size_bytes: int) -> Abridged:
    """Return the file of these rests and holes. ValueError when it is no session, or the runs do not begin their lists."""
    values = members(_joined_bytes(rests, holes))
    if not isinstance(values, dict):
        raise ValueError("JSON, but not an object")
    sizes = {key: len(found) for key in _COUNTED if isinstance(found := values.get(key), list)}
    rest_messages = 0
    for hole in holes:
        key, run = hole.key, hole.run
        messages = values.get(key)
        if not isinstance(messages, list) or not messages or messages[0] != run.value:
            raise ValueError("a run does not begin its list")
        rest_messages += len(messages) - 1
        sizes[key] += run.count - 1
    return Abridged(
        tuple(rests),
        tuple(holes),
        values,
        size_bytes=size_bytes,
        count=sizes.get(session.MESSAGES, 0),
        rest_messages=rest_messages,
        sizes=(sizes.get(session.CONTEXT, 0), sizes.get(session.TOOL_CALLS, 0)),
    )


def _messages_at(rest: bytes) -> bytes:
    """Return the beginning of `rest` that holds further messages of a list: commas and messages."""
    text = rest.decode("utf-8")
    end = 0
    while comma := _COMMA.match(text, end):
        _, end = session.scan(text, comma.end())
    return text[:end].encode("utf-8")


def _further(text: str) -> list[Message]:
    """Return the further messages of a list that `text` begins with, each behind a comma."""
    messages: list[Message] = []
    end = 0
    while (comma := _COMMA.match(text, end)) is not None:
        start = comma.end()
        value, end = session.scan(text, start)
        messages.append(Message(value, text[start:end], start))
    return messages


def _until(messages: Sequence[Message], text: str) -> bytes:
    """Return the text up to the end of the last of these messages."""
    return text[: messages[-1].start + len(messages[-1].text)].encode("utf-8") if messages else b""


def only_adds(known: Abridged, followed: Abridged) -> bool:
    """Return whether all that is known of messages and prompt stands unchanged in what followed: nothing is to be judged."""
    number = known.number_of_messages
    if number is None or known.prompt not in ("", followed.prompt) or _takes_part(known, followed):
        return False
    before, rest = known.seam(number)[0], followed.rests[number + 1]
    if not rest.startswith(before):
        return False
    behind = rest[len(before) :]
    # A message ends where it ended only if no longer number or word stands there.
    if not behind.lstrip(_SPACE).startswith((b",", b"]")):
        return False
    followed.note_end(number, before + _messages_at(behind))
    return True


def _takes_part(known: Abridged, followed: Abridged) -> bool:
    """Return whether something that stands beside the messages may be gone."""
    (context, calls), (context_now, calls_now) = known.sizes, followed.sizes
    if context_now < context or calls_now < calls:
        return True
    return known.settings != followed.settings and (
        bool(parts.settings(known.settings) - parts.settings(followed.settings))
        or parts.forgets_compression(known.settings, followed.settings)
        or parts.empties_draft(known.settings, followed.settings)
    )


def tightened(known: Abridged) -> Abridged:
    """Return the same file with all messages but the last of each list in its run, if many have gathered behind the runs."""
    if known.rest_messages <= (LONGEST_PROMPT_REST if known.prompt else LONGEST_REST):
        return known
    rests, rest_messages = [known.rests[0]], 0
    holes: list[Hole] = []
    read: dict[bytes, tuple[bytes, Run]] = {}  # what the model is sent mostly is what people see
    for number, hole in enumerate(known.holes):
        end, behind = known.seam(number)
        if end not in read:
            text = end.decode("utf-8")
            messages = _further(text)[:-1]
            read[end] = _until(messages, text), _run("", messages)
        more, added = read[end]
        if more:
            chunks, checksum = (
                with_more(hole.chunks, more),
                joined_checksum(hole.checksum, zlib.adler32(more), len(more)),
            )
            run = _run(hole.key, [hole.run, added])
            hole = Hole(hole.key, _once(chunks, holes), hole.size_bytes + len(more), checksum, run)
            end = end[len(more) :]
        rest_messages += bool(end)
        rests.append(end + behind)
        holes.append(hole)
    return Abridged(
        tuple(rests),
        tuple(holes),
        known.values,
        size_bytes=known.size_bytes,
        count=known.count,
        rest_messages=rest_messages,
        sizes=known.sizes,
    )


def _run(key: str, messages: Sequence[Message]) -> Run:
    mark = f"{key} of {_SECRET}"
    run = Run(mark, f'"{mark}"')
    run.latest = -math.inf
    run.count = 0
    if isinstance(messages, LongMessages):
        run.count, run.turns, run.latest = len(messages), messages.turns, messages.latest
        messages = ()
    for message in messages:
        run.count += message.count
        if isinstance(message, Run):
            run.turns += message.turns
            run.latest = max(run.latest, message.latest)
            continue
        stamp = message.timestamp
        run.turns += benign.is_user_turn(message)
        run.latest = max(run.latest, math.inf if stamp is None else stamp)
    return run


def _read(rests: Sequence[bytes], holes: Sequence[Hole]) -> Document:
    """Return what the rests say with each hole's run in its place as one message. Raises Unreadable."""
    document = session.parse(_joined_bytes(rests, holes))
    lists = document.lists()
    for hole in holes:
        messages = lists.get(hole.key)
        run = hole.run
        if messages and messages[0].value == run.value:
            first = Run(run.value, run.text, messages[0].start, run.count, turns=run.turns, latest=run.latest)
            document.replace(hole.key, [first, *messages[1:]])
    return document


def _joined_bytes(rests: Sequence[bytes], holes: Sequence[Hole]) -> bytes:
    pieces = [rests[0]]
    for hole, rest in zip(holes, rests[1:], strict=True):
        pieces += (hole.run.text.encode("ascii"), rest)
    return b"".join(pieces)
