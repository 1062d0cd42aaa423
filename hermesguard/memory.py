"""The newest good copies in memory: what a repair needs is there before it is needed, within a bound."""

from collections import OrderedDict
from dataclasses import dataclass, field

from hermesguard import session
from hermesguard.session import Document
from hermesguard.store import digest

# A parsed session takes so many times the bytes of its file (measured: 1000 messages of 400 bytes).
DOCUMENT_COST = 6
IDLE_SECONDS = 120.0


@dataclass(slots=True)
class Copy:
    """A session's newest good copy: its bytes, and, once somebody asked, what they say."""

    data: bytes
    _document: Document | None = None
    _digest: str = ""
    used: float = 0.0

    @property
    def document(self) -> Document:
        """What the copy says; Unreadable when it is damaged."""
        if self._document is None:
            self._document = session.parse(self.data)
        return self._document

    @property
    def digest(self) -> str:
        """The digest by which the store knows the content."""
        if not self._digest:
            self._digest = digest(self.data)
        return self._digest

    @property
    def cost_bytes(self) -> int:
        """About how much memory the copy takes."""
        return len(self.data) * (1 if self._document is None else 1 + DOCUMENT_COST)


@dataclass
class Memory:
    """The copies that were used last, at most `limit_bytes` of them (one always), forgotten when idle."""

    limit_bytes: int
    _copies: OrderedDict[str, Copy] = field(default_factory=OrderedDict)

    def get(self, name: str, now: float) -> Copy | None:
        """Return the copy of a session, which now counts as used; None when it is not here."""
        copy = self._copies.get(name)
        if copy is not None:
            copy.used = now
            self._copies.move_to_end(name)
        return copy

    def put(self, name: str, copy: Copy, now: float) -> Copy:
        """Remember a copy and forget the oldest ones beyond the bound; returns the copy."""
        copy.used = now
        self._copies[name] = copy
        self._copies.move_to_end(name)
        total = sum(entry.cost_bytes for entry in self._copies.values())
        while total > self.limit_bytes and len(self._copies) > 1:
            total -= self._copies.popitem(last=False)[1].cost_bytes
        return copy

    def forget(self, name: str) -> None:
        """Drop one copy."""
        self._copies.pop(name, None)

    def forget_idle(self, now: float) -> None:
        """Drop the copies that nobody has used for a while."""
        while self._copies and now - next(iter(self._copies.values())).used > IDLE_SECONDS:
            self._copies.popitem(last=False)

    @property
    def size_bytes(self) -> int:
        """About how much memory all copies take."""
        return sum(entry.cost_bytes for entry in self._copies.values())
