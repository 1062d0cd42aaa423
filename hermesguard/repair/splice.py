"""Texts as the application writes them, and parts of files as they stand. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from hermesguard.pieces import Content, Piece, Pieces, joined
from hermesguard.webui import session
from hermesguard.webui.document import Message
from hermesguard.webui.long.document import LongRun
from hermesguard.webui.text import written

_BETWEEN = b",\n    "


def text(part: str | Piece) -> str:
    """Return a part as text."""
    return part if isinstance(part, str) else bytes(part).decode("utf-8")


def encoded(part: str | Piece) -> Piece:
    """Return a part as bytes."""
    return part.encode("utf-8") if isinstance(part, str) else part


def list_parts(messages: Iterable[Message]) -> Iterator[str | Piece]:
    """Yield the parts of `list_text` of these messages; what stands so in a long file already, in as few as there are."""
    separator = "[\n    "
    run: LongRun | None = None
    for message in messages:
        if run and run.goes_on(message, _BETWEEN):
            continue
        if run:
            yield from run.parts
        yield separator
        separator = ",\n    "
        run = LongRun.of(message)
        if run is None:
            yield from message.parts
    if run:
        yield from run.parts
    yield "[]" if separator == "[\n    " else "\n  ]"


def object_parts(members: Iterable[tuple[str, Iterable[str | Piece]]]) -> Iterator[str | Piece]:
    """Yield the parts of an object as the application writes it, from its keys and the parts of their values."""
    separator = "{\n"
    for key, parts in members:
        yield f"{separator}  {written(key)}: "
        yield from parts
        separator = ",\n"
    yield "{\n\n}" if separator == "{\n" else "\n}"


def file_of(parts: Iterable[str | Piece]) -> Content:
    """Return the file of these parts; a long one in pieces, of which the long ones are views of what is in memory."""
    pieces = Pieces(joined(map(encoded, parts)))
    return pieces if pieces.size_bytes > session.LONG_BYTES else b"".join(pieces)


def dump(value: Any, level: int) -> str:
    """Return `value` as the application writes it at that depth."""
    return written(value, indent=2).replace("\n", "\n" + "  " * level)
