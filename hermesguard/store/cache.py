"""The newest good copies in memory: what a repair needs is there before it is needed, within a bound."""

from collections import OrderedDict
from dataclasses import dataclass, field

from hermesguard.pieces import Content, Pieces, pieces_of
from hermesguard.store.history import digest
from hermesguard.webui import session
from hermesguard.webui.abridged import Abridged, abridge, tightened
from hermesguard.webui.session import Document

IDLE_SECONDS = 120.0
# Measured: what a copy of a short session takes, which is kept as it was read.
_OBJECTS_BYTES = 10_000
_TIMES_READ = 4


class Copy:
    """A good copy of a session: its bytes and, once that was asked for, what they say."""

    def __init__(
        self, data: Content = b"", document: Document | None = None, abridged: Abridged | None = None
    ) -> None:
        """Of `data`, or, when it is given, of what `abridged` is of."""
        if abridged is not None:
            self.size_bytes = abridged.size_bytes
            """How many bytes the file has."""
        else:
            self.size_bytes = data.size_bytes if isinstance(data, Pieces) else len(data)
        self.is_stored = False
        """The store has exactly this, durably."""
        self.used = 0.0
        self.cached_bytes = 0
        """What it counts for in the cache."""
        self._content: Content | None = data if abridged is None else None
        self._document = document
        self.known = abridged
        """Its abridged form, if that was found out; else ask for `abridged`."""
        self._digest = ""
        self.stripped: Copy | None = None
        """What it was before saves that added no message took away what hangs on messages, as one from an older memory does."""
        self.prepared: object = None
        """The repair of a wipe of this copy, once it is prepared (module repair.standby)."""

    @property
    def data(self) -> bytes:
        """The file's bytes, put together; of a long file rather take the `content`."""
        if self._content is None:
            return self.abridged.data
        return self._content if isinstance(self._content, bytes) else b"".join(self._content)

    @property
    def content(self) -> Content:
        """The file's bytes, of a long file in pieces."""
        if self._content is None or (self.is_long and isinstance(self._content, bytes)):
            content = Pieces(self.abridged.pieces if self._content is None else (self._content,))
            if not self.is_long:
                return b"".join(content)
            self._content = content
        return self._content

    @property
    def is_long(self) -> bool:
        """Whether it is read piece by piece (`session.LONG_BYTES`)."""
        return self.size_bytes > session.LONG_BYTES

    @property
    def document(self) -> Document:
        """What the copy says, in full; Unreadable when it is damaged."""
        if self._document is None:
            self._document = session.parse_pieces(pieces_of(self.content))
        return self._document

    @property
    def abridged(self) -> Abridged:
        """What the copy says, its long runs of messages standing as one each; Unreadable when it is damaged."""
        if self.known is None:
            self.known = abridge(b"" if self.is_long else self.data, self.document)
        return self.known

    @property
    def count(self) -> int:
        """How many messages it holds."""
        return self.known.count if self.known else self.document.count

    @property
    def digest(self) -> str:
        """The digest by which the store knows the content."""
        if not self._digest:
            self._digest = digest(self.content)
        return self._digest

    def lighten(self) -> int:
        """Keep the abridged form and give the memory of the full one back (about six times the bytes of the file).

        Of a long file both are views of the same bytes. Returns about how much memory the copy takes then: one without long
        runs keeps every message as an object.
        """
        if self._content is not None and self.abridged.holes and not self.is_long:
            self._content = self._document = None
        if self.known is not None and self.known.holes:
            return self.size_bytes
        return _OBJECTS_BYTES + _TIMES_READ * self.size_bytes

    @property
    def could_be_wiped(self) -> bool:
        """Whether it has what bug #1558 needs: a stream that is set."""
        return bool(self.abridged.stream)

    def tighten(self) -> None:
        """Abridge what has gathered behind the long runs."""
        self.known = tightened(self.abridged)


@dataclass
class Cache:
    """The copies that were used last, at most `limit_bytes` of them (one always), forgotten when idle."""

    limit_bytes: int
    size_bytes: int = 0
    """About how much memory all copies take."""
    pinned: set[str] = field(default_factory=set)
    """Sessions whose copies are not forgotten for others: someone works with them."""
    _copies: OrderedDict[str, Copy] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._copies)

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
        self.forget(name)
        self._copies[name] = copy
        copy.cached_bytes = copy.lighten()
        self.size_bytes += copy.cached_bytes
        while self.size_bytes > self.limit_bytes:
            oldest = next((other for other in self._copies if other not in self.pinned), name)
            if oldest == name:
                break
            self.forget(oldest)
        return copy

    def forget(self, name: str) -> None:
        """Drop one copy."""
        copy = self._copies.pop(name, None)
        if copy is not None:
            self.size_bytes -= copy.cached_bytes

    def forget_idle(self, now: float) -> None:
        """Drop the copies that nobody has used for a while; those that can be wiped stay as long as there is room."""
        for name in [name for name, copy in self._copies.items() if now - copy.used > IDLE_SECONDS]:
            if not self._copies[name].could_be_wiped:
                self.forget(name)
