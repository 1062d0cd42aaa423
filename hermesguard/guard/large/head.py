"""The beginning of a session file that is too large to be read: its metadata, and how it is disarmed without the rest. Pure."""

from dataclasses import dataclass
from json.decoder import JSONDecoder
from typing import Any

from hermesguard.webui import session
from hermesguard.webui.header import HEAD_BYTES

__all__ = ["HEAD_BYTES", "Head", "read"]

_BLANKS = " \t\n\r"
_MARKERS = (session.GENERATION, session.CLEAR_GENERATION, session.WATERMARK, session.BOUNDARY)


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the messages, and what a repair makes of it."""

    values: dict[str, Any]
    repaired: bytes
    """The same, with the stream and the prompt that is pending taken out (a stale stream arms bug #1558 again)."""
    size_bytes: int
    """How many bytes of the file it is."""

    @property
    def count(self) -> int:
        """How many messages the file has, as it says itself; 0 when it does not."""
        found = session.number(self.values.get(session.MESSAGE_COUNT))
        return int(found) if found is not None and 0 <= found < 2**53 else 0

    def is_marked_by(self, live: session.Document) -> bool:
        """Return whether live carries a mark, or a lost title, of a user who removed messages on purpose."""
        if any(live.get(key) is not None and live.get(key) != self.values.get(key) for key in _MARKERS):
            return True
        title = self.values.get(session.TITLE)
        is_titled = isinstance(title, str) and title not in session.UNTITLED
        return is_titled and session.TITLE in live and live.title in session.UNTITLED


def read(data: bytes) -> Head | None:
    """Return the head of a session in the first bytes of its file; None when it is none, or longer than these."""
    text = data.decode("utf-8", "ignore")
    decode = JSONDecoder().raw_decode
    values: dict[str, Any] = {}
    pieces: list[str] = []
    copied = 0
    try:
        position = _skip(text, 0)
        if text[position] != "{":
            return None
        position += 1
        while True:
            position = _skip(text, position)
            key, end = decode(text, position)
            if not isinstance(key, str):
                return None
            if key == session.MESSAGES:
                break
            begin = _skip(text, _skip(text, end) + 1)
            values[key], end = decode(text, begin)
            if key == session.STREAM or key.startswith(session.PENDING_PREFIX):
                pieces += (text[copied:begin], "[]" if key == session.PENDING_ATTACHMENTS else "null")
                copied = end
            position = _skip(text, end)
            if text[position] != ",":
                return None
            position += 1
    except (ValueError, IndexError, RecursionError):
        return None
    pieces.append(text[copied:position])
    return Head(values, "".join(pieces).encode("utf-8"), len(text[:position].encode("utf-8")))


def _skip(text: str, position: int) -> int:
    while text[position] in _BLANKS:
        position += 1
    return position
