"""What the store refused: in memory until it takes it."""

import zlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from hermesguard.pieces import Content, pieces_of
from hermesguard.store.cache import Copy


class PendingVersion(NamedTuple):
    packed: bytes
    digest: str
    messages: int
    reason: str
    time: datetime


@dataclass(slots=True)
class Pending:
    versions: list[PendingVersion] = field(default_factory=list)
    shadow: tuple[Copy, int] | None = None


def compressed(data: Content) -> bytes:
    """Return a content as it waits."""
    packing = zlib.compressobj(1)
    parts = [packing.compress(piece) for piece in pieces_of(data)]
    return b"".join((*parts, packing.flush()))
