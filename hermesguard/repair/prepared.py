"""The answer to a wipe, made before the wipe: then nothing need be parsed, judged or repaired while every moment counts. Pure.

The stub that hermes-webui #1558 saves is known beforehand, but for its `updated_at`: it is the file without its messages, its
stream and its prompt, written as the application writes. Whatever differs in one byte from that is judged as any other save.
"""

import json
import os
import re
from typing import NamedTuple

from hermesguard.judge.judge import is_wipe
from hermesguard.repair.merge import merged_text
from hermesguard.repair.refill import fill, tells_all
from hermesguard.webui import session
from hermesguard.webui.abridged import Abridged, Piece
from hermesguard.webui.session import Document

_UPDATED = "updated_at"
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# A number that stands nowhere else.
_PLACE = str(int.from_bytes(os.urandom(16), "big") | 1 << 127)


class Answer(NamedTuple):
    """The stub that is awaited, and the file that undoes it, each up to its `updated_at` and from there on."""

    stub_start: bytes
    stub_end: bytes
    repaired_start: tuple[Piece, ...]
    repaired_end: tuple[Piece, ...]

    def updated(self, data: bytes) -> bytes:
        """Return the `updated_at` of `data` if it is the awaited stub; empty when it must be judged."""
        start, end = len(self.stub_start), len(data) - len(self.stub_end)
        if not (data.startswith(self.stub_start) and data.endswith(self.stub_end) and start < end):
            return b""
        updated = data[start:end]
        return updated if _NUMBER.fullmatch(updated) else b""

    def pieces(self, updated: bytes) -> list[Piece]:
        """Return the pieces of the repaired file."""
        return [*self.repaired_start, updated, *self.repaired_end]

    @property
    def updated_offset_bytes(self) -> int:
        """Where in the repaired file `updated_at` stands."""
        return sum(map(len, self.repaired_start))


def prepare(known: Abridged) -> Answer | None:
    """Return the answer to the wipe of a session; None when it cannot be wiped, or not everything is known beforehand."""
    document = known.document
    if not document.stream or _UPDATED not in document or not tells_all(known):
        return None
    stub = _stub(document)
    live = session.parse(stub.encode("utf-8"))
    if not is_wipe(document, live):
        return None
    repaired = merged_text(document, live)
    if stub.count(_PLACE) != 1 or repaired.count(_PLACE) != 1:
        return None
    before, _, after = stub.partition(_PLACE)
    first, _, last = repaired.partition(_PLACE)
    start, end = fill(first, known), fill(last, known)
    if len(start) + len(end) != len(fill(repaired, known)) + 1:
        return None  # a run stands on neither side as a whole
    return Answer(before.encode("utf-8"), after.encode("utf-8"), tuple(start), tuple(end))


def _stub(document: Document) -> str:
    """Return the awaited stub: members in their order, emptied as the application empties them; lists behind the messages too."""
    members = []
    is_behind = False
    for key in document.keys:
        value = document.get(key)
        if key in session.LISTS:
            text = "[]"
        elif key == _UPDATED:
            text = _PLACE
        elif key == session.STREAM or key.startswith(session.PENDING_PREFIX):
            text = "[]" if key == session.PENDING_ATTACHMENTS else "null"
        elif key == session.MESSAGE_COUNT:
            text = "0"
        elif is_behind and isinstance(value, list | dict):
            text = "[]" if isinstance(value, list) else "{}"
        else:
            text = document.raw(key)
        is_behind = is_behind or key == session.MESSAGES
        members.append(f"  {json.dumps(key, ensure_ascii=False)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}"
