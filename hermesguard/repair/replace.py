"""Putting a repaired file in live's place without losing what the application writes meanwhile."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.judge.judge import Action, Surroundings, judge
from hermesguard.pieces import Content, Piece, Pieces, are_equal, is_same, pieces_of
from hermesguard.repair import exchange as staging
from hermesguard.repair.merge import merged_file
from hermesguard.webui import session
from hermesguard.webui.session import Document

T = TypeVar("T")

# Each round needs a save of the application that falls into the microseconds of an exchange.
MOST_ROUNDS = 20


@dataclass(slots=True)
class Placed:
    """What came of it: the bytes that are live now, and everything that was displaced on the way, oldest first."""

    live: Content
    displaced: list[bytes] = field(default_factory=list)
    intended: list[Content] = field(default_factory=list)
    """States that a write in between took back on purpose."""
    exchanged_ns: int = 0
    """When live was right for the first time (time.perf_counter_ns)."""
    exchanged: bool = True
    """False when the file system has no exchange (`staging.exchange`)."""


def place(
    path: Path,
    pieces: Sequence[Piece],
    judged: bytes | None,
    like: Stamp | None,
    kept: Callable[[Placed], None],
    good: Callable[[], Content] | None = None,
    ready: Path | None = None,
    earlier: Callable[[], Iterable[Document]] = tuple,
) -> Placed:
    """As `placing`, to its end."""
    return finished(placing(path, pieces, judged, like, kept, good, ready, earlier))


def finished(steps: Generator[Stamp, None, T]) -> T:
    """Return what a repair returns, taken to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            value: T = ended.value
            return value


def placing(
    path: Path,
    pieces: Sequence[Piece],
    judged: bytes | None,
    like: Stamp | None,
    kept: Callable[[Placed], None],
    good: Callable[[], Content] | None,
    ready: Path | None,
    earlier: Callable[[], Iterable[Document]],
) -> Generator[Stamp, None, Placed]:
    """Make the file of these pieces live at `path`; if what it displaces is not `judged`, judge that again, and so on.

    `good` gives the newest good copy, of which, with what was judged, the pieces were made. `ready` is a staged file of these
    pieces (module standby), if there is one already. `earlier` gives the messages that earlier repairs were made of, which a
    writer that has not seen those may say again. `judged` None means that there
    was no file: then it is restored by link, FileExistsError when one has come meanwhile. `kept` is called when live is
    right, to keep what was displaced before its last name is removed; it may be called again when a writer in place
    finished late. Raises OSError (FileNotFoundError when live went away) with live as the application wrote it last. A
    crash, or a fault that hides what came out, leaves staged names behind: the next start and the next scan look at them.
    Yields once, when live is right for the first time, the stamp of the file that is live then: what follows is bookkeeping.
    """
    staged: list[Path] = []
    exchanged: _Exchanged | None = None
    placed = Placed(b"")
    ours: list[Pieces] = []
    made = pieces if isinstance(pieces, Pieces) else Pieces(pieces)
    try:
        staged.append(ready or staging.stage(path, made, like))
        if judged is None:
            staging.put_back(staged[0], path)
            placed.live = made
            kept(placed)
            return placed
        expected, wanted = Pieces((judged,)), made
        expected_stamp = like
        for _ in range(MOST_ROUNDS):
            own = files.stamp(staged[-1])
            placed.exchanged &= staging.exchange(staged[-1], path)
            exchanged = _Exchanged(staged[-1], path, own)
            placed.exchanged_ns = placed.exchanged_ns or time.perf_counter_ns()
            placed.live = wanted
            ours.append(wanted)
            if own and not ours[1:]:
                yield own
            out = _out(staged[-1], expected, expected_stamp)
            _note(placed, out, ours)
            if out is expected:
                kept(placed)
                # An in-place writer may hold the displaced file open and finish its write there.
                late = _late(staged, out)
                if late is out:
                    return placed
                out = late
                _note(placed, out, ours)
            expected_stamp = own
            before = (*_readable(judged, *((good(),) if good else ())), *earlier())
            expected, wanted = wanted, _answer(path.stem, wanted, out, placed, before)
            if are_equal(wanted, expected):
                break
            staged.append(staging.stage(path, wanted, like))
        kept(placed)
        return placed
    except Exception:
        try:
            if placed.displaced:
                kept(placed)
        except Exception:
            staged.clear()  # what was displaced is nowhere else: the next scan looks at it
            raise
        # The last word is the application's until it is answered.
        if exchanged and not exchanged.taken_back():
            staged.remove(exchanged.staged)
        raise
    except GeneratorExit:
        staged.clear()  # nobody has looked at what was displaced: the next start does
        raise
    finally:
        for temporary in staged:
            with contextlib.suppress(OSError):
                files.remove(temporary)


def _out(staged: Path, expected: Pieces, stamp: Stamp | None) -> Pieces:
    """Return what an exchange brought out: `expected` where it is that, also where it cannot be read but by its stamp is."""
    try:
        return expected if files.stamp_if_same(staged, expected) else Pieces((files.read(staged)[0],))
    except OSError:
        found = files.stamp(staged)
        if found and stamp and _is_same_file(found, stamp):
            return expected
        raise


def _is_same_file(found: Stamp, known: Stamp) -> bool:
    return (found.inode, found.size_bytes, found.mtime_ns) == (known.inode, known.size_bytes, known.mtime_ns)


class _Exchanged(NamedTuple):
    """An exchange whose outcome could not be dealt with."""

    staged: Path
    path: Path
    own: Stamp | None
    """Of the file that the guard made live."""

    def taken_back(self) -> bool:
        """Make live again what it was; return whether nothing but the guard's own file is left at the staged name."""
        try:
            staging.exchange(self.staged, self.path)
            back = files.stamp(self.staged)
            if back and self.own and back.inode == self.own.inode:
                return True
            staging.exchange(
                self.staged, self.path
            )  # the application was faster, and what it wrote is the newest
        except OSError:
            pass
        return False


def _late(staged: list[Path], out: Pieces) -> Pieces:
    """Return what the displaced file says now; when it cannot be read, it is left where it is, to be looked at later."""
    try:
        return out if files.stamp_if_same(staged[-1], out) else Pieces((files.read(staged[-1])[0],))
    except OSError:
        del staged[-1]
        return out


def _note(placed: Placed, out: Pieces, ours: list[Pieces]) -> None:
    data = out[0] if len(out) == 1 else b"".join(out)
    if not isinstance(data, bytes):
        data = bytes(data)
    if not any(is_same(data, own) for own in ours) and data not in placed.displaced:
        placed.displaced.append(data)


def _answer(name: str, ours: Pieces, theirs: Pieces, placed: Placed, before: tuple[Document, ...]) -> Pieces:
    """Return what must be live when the application wrote `theirs` although `ours`, made of `before`, is the good state."""
    good = session.parse_pieces(ours)
    try:
        written = session.parse_pieces(theirs)
    except session.Unreadable:
        return ours
    verdict = judge(good, written, Surroundings(name=name, repaired=True, before_repair=before))
    if verdict.action is Action.GROWTH:
        return theirs
    if verdict.action is Action.INTENDED:
        placed.intended.append(ours)
        return theirs
    return pieces_of(merged_file(good, None if verdict.is_foreign else written, verdict.keep_messages))


def _readable(*files_read: Content) -> Iterator[Document]:
    for content in files_read:
        with contextlib.suppress(session.Unreadable):
            yield session.parse_pieces(pieces_of(content))
