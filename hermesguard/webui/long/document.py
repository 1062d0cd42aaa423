"""What a long session file says: where each message stands is kept, and not what it says. Pure.

A message that is read takes up to ten times its text in memory; of a file of 150 MB there is room for the bytes alone. So each
value is let go when it was looked at, and when somebody asks for it, it is read again.
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final, overload

from hermesguard.digests import blake2b
from hermesguard.pieces import Piece, Pieces
from hermesguard.webui import benign
from hermesguard.webui.document import Document, Identity, Message, identity_of
from hermesguard.webui.grammar import scan

_RECENT: Final = 64
_RECENT_BYTES: Final = 8192
_LAST_BYTES: Final = 2 * 1024 * 1024
_AT_ONCE_BYTES: Final = 64 * 1024


class LongMessages(Sequence[Message]):
    """A list of messages of a long file, or a part of it. Each is made when it is asked for."""

    def __init__(self, base: "Places", numbers: range) -> None:
        self._base = base
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> "LongMessages": ...
    def __getitem__(self, index: int | slice) -> "Message | LongMessages":
        if isinstance(index, slice):
            return LongMessages(self._base, self._numbers[index])
        return _LongMessage(self._base, self._numbers[index])

    def __iter__(self) -> Iterator[Message]:
        base = self._base
        return (_LongMessage(base, number) for number in self._numbers)

    @property
    def turns(self) -> int:
        """How many of them are turns of a user."""
        return sum(self._base.turns[number] for number in self._numbers)

    @property
    def latest(self) -> float:
        """The latest timestamp among them, in seconds; infinite when one is not stamped."""
        stamps = (self._base.stamps[number] for number in self._numbers)
        return max((math.inf if math.isnan(stamp) else stamp for stamp in stamps), default=-math.inf)

    @property
    def stamps(self) -> list[float | None]:
        """When each of them was said, in seconds; None where it is not stamped."""
        stamps = self._base.stamps
        return [None if math.isnan(stamp := stamps[number]) else stamp for number in self._numbers]

    @property
    def digests(self) -> list[bytes]:
        """The digests of all of them."""
        digest = self._base.digest
        return [digest(number) for number in self._numbers]

    def read(self) -> Iterator[Message]:
        """Yield each of them with what it says, but not its text: to be looked at once, and let go."""
        index = 0
        while index < len(self):
            values = self._values(index, len(self))
            yield from (Message(value, "") for value in values)
            index += len(values)

    def identities(self, index: int, most: int) -> list[Identity]:
        """Return the identities of at most so many of them from this one on."""
        return list(map(identity_of, self._values(index, most)))

    def _values(self, index: int, most: int) -> list[Any]:
        """Return what at most so many of them from this one on say: what is read together costs less."""
        numbers = self._numbers[index : index + most]
        base, first = self._base, numbers[0]
        count = 1
        if numbers.step == 1:
            until = base.begins[first] + _AT_ONCE_BYTES
            count = max(1, bisect_right(base.ends, until, first, first + len(numbers)) - first)
        return base.values(first, count)

    def span(self) -> tuple[int, int]:
        """Return where they begin and end, in bytes of the file; they must stand one behind the other, and not be none."""
        return self._base.begins[self._numbers[0]], self._base.ends[self._numbers[-1]]


class Places:
    """Where the messages of one list stand, and what is asked for most often."""

    def __init__(self, file: Pieces) -> None:
        self.file = file
        self.begins = array("L")
        self.ends = array("L")
        self.stamps = array("d")
        self.turns = bytearray()
        self._recent: list[tuple[int, Any, Identity | None]] = [(-1, None, None)] * _RECENT
        self._last: tuple[int, Any, Identity | None] = (-1, None, None)  # of the longer ones

    def add(self, value: Any, begin: int, end: int) -> None:
        self.begins.append(begin)
        self.ends.append(end)
        message = Message(value, "")
        stamp = message.timestamp
        self.stamps.append(math.nan if stamp is None else stamp)
        self.turns.append(benign.is_user_turn(message))

    def text(self, number: int) -> str:
        return self.file.part(self.begins[number], self.ends[number]).decode("utf-8")

    def values(self, first: int, count: int) -> list[Any]:
        """Return the values of some messages that stand one behind the other, read at once."""
        if count == 1:
            return [self.known(first)[1]]
        text = self.file.part(self.begins[first], self.ends[first + count - 1]).decode("utf-8")
        values: list[Any] = scan(f"[{text}]", 0)[0]
        return values

    def digest(self, number: int) -> bytes:
        begin, end = self.begins[number], self.ends[number]
        if end - begin <= _AT_ONCE_BYTES:
            return blake2b(self.file.part(begin, end), digest_size=16).digest()
        hashed = blake2b(digest_size=16)
        for part in self.file.views(begin, end):
            hashed.update(part)
        return hashed.digest()

    def known(self, number: int) -> tuple[int, Any, Identity | None]:
        found = self._recent[number % _RECENT]
        if found[0] != number:
            found = self._last
        if found[0] == number:
            return found
        found = (number, scan(self.text(number), 0)[0], None)
        self._note(found)
        return found

    def _note(self, found: tuple[int, Any, Identity | None]) -> None:
        number = found[0]
        size_bytes = self.ends[number] - self.begins[number]
        if size_bytes <= _RECENT_BYTES:
            self._recent[number % _RECENT] = found
        elif size_bytes <= _LAST_BYTES:
            self._last = found

    def identity(self, number: int) -> Identity:
        _, value, identity = self.known(number)
        if identity is None:
            identity = identity_of(value)
            self._note((number, value, identity))
        return identity


class _LongMessage(Message):
    """A message of a long file: where it stands there."""

    __slots__ = ("_base", "_number")

    count = 1

    def __init__(self, base: Places, number: int) -> None:
        self._base = base
        self._number = number

    @property
    def value(self) -> Any:
        return self._base.known(self._number)[1]

    @property
    def text(self) -> str:  # type: ignore[override]
        return self._base.text(self._number)

    @property
    def start(self) -> int:  # type: ignore[override]
        return self._base.begins[self._number]

    @property
    def identity(self) -> Identity:
        return self._base.identity(self._number)

    @property
    def timestamp(self) -> float | None:
        stamp = self._base.stamps[self._number]
        return None if math.isnan(stamp) else stamp

    @property
    def turns(self) -> int:
        return self._base.turns[self._number]

    @property
    def mark(self) -> Hashable:
        return (id(self._base), self._number)

    @property
    def parts(self) -> Iterator[Piece]:
        return self._base.file.views(self._base.begins[self._number], self._base.ends[self._number])

    @property
    def digest(self) -> bytes:
        return self._base.digest(self._number)


class LongRun:
    """Messages that stand one behind the other in a long file."""

    def __init__(self, base: Places, number: int) -> None:
        self._base = base
        self._first = self._last = number

    @classmethod
    def of(cls, message: Message) -> "LongRun | None":
        """Return the run of this message alone; None when it is not of a long file."""
        return cls(message._base, message._number) if isinstance(message, _LongMessage) else None

    def goes_on(self, message: Message, between: bytes) -> bool:
        """Take a message up if it follows, with these bytes between; return whether it does."""
        base, last = self._base, self._last
        if not isinstance(message, _LongMessage) or message._base is not base or message._number != last + 1:
            return False
        if base.file.part(base.ends[last], base.begins[last + 1]) != between:
            return False
        self._last += 1
        return True

    @property
    def parts(self) -> Iterator[Piece]:
        """The bytes, as they lie in memory."""
        return self._base.file.views(self._base.begins[self._first], self._base.ends[self._last])


class LongDocument(Document):
    """A long session file, read."""

    def __init__(
        self,
        file: Pieces,
        spans: dict[str, tuple[int, int]],
        values: dict[str, Any],
        lists: dict[str, Places],
    ) -> None:
        found = {key: LongMessages(base, range(len(base.begins))) for key, base in lists.items()}
        super().__init__("", spans, values, found)
        self.file = file
        self._lists = frozenset(found)

    @property
    def text(self) -> str:
        return self.file.part(0, self.file.size_bytes).decode("utf-8")

    @property
    def count(self) -> int:
        return len(self.messages) if isinstance(self.messages, LongMessages) else super().count

    def get(self, key: str) -> Any:
        if key in self._values or key not in self._spans or key in self._lists:
            return self._values.get(key)
        return scan(self.raw(key), 0)[0]

    def lists(self) -> dict[str, Sequence[Message]]:
        found = super().lists()
        return {key: messages for key, messages in found.items() if key in self._lists}

    def raw(self, key: str) -> str:
        return self.file.part(*self._spans[key]).decode("utf-8")

    def raw_parts(self, key: str) -> Iterator[str | Piece]:
        yield from self.file.views(*self._spans[key])
