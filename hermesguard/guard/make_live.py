"""The one way by which a repair becomes live: put in place, durable, the new shadow, and the index set right."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.guard.context import Context
from hermesguard.pieces import Content, Piece, are_equal, is_same, pieces_of
from hermesguard.repair.replace import Placed, finished, placing
from hermesguard.store.cache import Copy
from hermesguard.webui.abridged import follow
from hermesguard.webui.session import Document


class Target(NamedTuple):
    """What a repair is to displace, as it was judged."""

    name: str
    data: bytes | None
    """The live file's bytes; None when there is no file."""
    like: Stamp | None
    """Whose owner, group and mode the new file gets."""
    messages: int | None = None
    """How many messages it holds; None where that is not known."""
    content: Content | None = None
    """The same bytes, where their digest is known already."""


class Made(NamedTuple):
    """What came of it."""

    copy: Copy
    """What is live now, and the shadow."""
    version: str
    """The version that holds the shadow before; empty when none was asked for."""
    displaced: tuple[str, ...]
    """The versions that hold what was displaced, oldest first; none when there was no file."""
    is_written_since: bool
    """The application has saved over it meanwhile, so what is live is its own."""
    exchanged_ns: int
    is_exchanged: bool
    """False where the file system has no exchange."""

    @property
    def first_displaced(self) -> str:
        """The version that holds what live was when it was judged; empty when there was no file."""
        return self.displaced[0] if self.displaced else ""


def make_live(
    context: Context,
    target: Target,
    pieces: Sequence[Piece],
    *,
    shadow: Copy | None = None,
    keep_shadow: bool = False,
    ready: Path | None = None,
    earlier: Callable[[], Iterable[Document]] = tuple,
    expected: Copy | None = None,
) -> Made:
    """As `making_live`, to its end."""
    return finished(
        making_live(
            context,
            target,
            pieces,
            shadow=shadow,
            keep_shadow=keep_shadow,
            ready=ready,
            earlier=earlier,
            expected=expected,
        )
    )


def making_live(
    context: Context,
    target: Target,
    pieces: Sequence[Piece],
    *,
    shadow: Copy | None,
    keep_shadow: bool,
    ready: Path | None,
    earlier: Callable[[], Iterable[Document]],
    expected: Copy | None,
) -> Generator[Stamp, None, Made]:
    """Make the file of these pieces live, and return what came of it.

    Everything that it displaces goes into the history before its last name is removed; with `keep_shadow`, the `shadow` that
    the pieces are made of goes first. `ready` and `earlier` as for `repair.replace.place`; `expected` is the file of these
    pieces as a copy, where that is known. Raises OSError with live as the application wrote it last: FileNotFoundError when
    it went away, FileExistsError when there was none and one came. A crash leaves live whole, and staged names that the next
    start looks at. Yields as `repair.replace.placing` does.
    """
    name = target.name
    versions: list[str] = []
    displaced: list[str] = []

    def kept(placed: Placed) -> None:
        if shadow and keep_shadow:
            versions[:] = [context.copies.version(name, shadow.content, shadow.count, "loss")]
        displaced[:] = [
            context.keep_version(name, content, "displaced", target.messages if data is target.data else None)
            for data in placed.displaced
            for content in ((target.content or data) if data is target.data else data,)
        ]
        for taken_back in placed.intended:
            context.keep_version(name, taken_back, "intended")

    good = (lambda: shadow.content) if shadow else None
    path = context.directory.file(name)
    placed = yield from placing(path, pieces, target.data, target.like, kept, good, ready, earlier)
    is_as_expected = expected is not None and are_equal(placed.live, expected.content)
    followed = None
    if shadow and not is_as_expected:
        live = pieces_of(placed.live)
        whole = b"".join(live) if len(live) > 1 or not isinstance(live[0], bytes) else live[0]
        followed = follow(shadow.abridged, whole)
    copy = expected if expected and is_as_expected else Copy(placed.live, abridged=followed)
    _keep(context, name, copy, shadow if followed else None)
    context.directory.correct_index(name, copy.count)
    return Made(
        copy,
        versions[0] if versions else "",
        tuple(displaced),
        any(data is placed.live or is_same(data, pieces_of(placed.live)) for data in placed.displaced),
        placed.exchanged_ns,
        placed.exchanged,
    )


def _keep(context: Context, name: str, copy: Copy, before: Copy | None) -> None:
    """Make what is live durable, and the shadow."""
    path = context.directory.file(name)
    with contextlib.suppress(OSError):  # the shadow is durable anyhow; a torn live is repaired from it
        files.sync_file(path)
        files.sync_directory(path.parent)
    stamp = None
    with contextlib.suppress(OSError):
        stamp = files.stamp_if_same(path, pieces_of(copy.content))
    if stamp is not None:
        context.keep(name, copy, stamp, before)
    else:
        # The application has written again: the shadow must not look as if it were of that file.
        context.copies.keep(name, copy, 0, before)
        context.notes.revisit(name)
