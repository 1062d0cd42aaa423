"""What a crash, or a fault, in the middle of a repair left in the sessions directory: looked at, kept, and taken away.

A staged name holds either what the guard was about to put in place, or what the application had written there. The second
may have messages that nobody has looked at yet.
"""

import contextlib
import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hermesguard import files
from hermesguard.guard.context import Context
from hermesguard.guard.make_live import Target, make_live
from hermesguard.guard.recorder import found
from hermesguard.judge.judge import Action, Verdict
from hermesguard.repair.merge import merge_documents
from hermesguard.store.cache import Copy
from hermesguard.store.history import digest
from hermesguard.webui import session
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.directory import staged
from hermesguard.webui.session import Document, Unreadable

# Faults of the process and not of the file: what cannot be read now can be read soon.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_REASON = "leftover"
_REMEDY = "Nothing is done with it: look at it, and remove it"
_INTERRUPTED = Verdict(
    Action.MERGE,
    "interrupted repair",
    (
        "a repair was interrupted, and what it had taken out of the way holds messages that stand nowhere else",
    ),
)


class Recovery:
    """Deals with staged names that no repair is going on for."""

    def __init__(self, context: Context, is_busy: Callable[[str], bool]) -> None:
        """`is_busy` says of a session whether something is made of it in the background."""
        self._context = context
        self._is_busy = is_busy
        self._copies = context.copies
        self._reported: dict[Path, str] = {}

    def take(self) -> None:
        """Keep all that is left in the history, bring its new messages back into live, and remove it.

        What cannot be read, or cannot be kept durably yet, stays until the next call. Raises OSError when the directory
        cannot be read.
        """
        for path, name in list(staged(self._context.directory.path)):
            if self._is_busy(name):
                continue  # it may be just about to be written
            self._context.shield.run("leftover", name, partial(self._deal_with, path, name), None)

    def _deal_with(self, path: Path, name: str) -> None:
        try:
            data = files.read(path, self._context.limit_bytes)[0]
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in _PASSING:
                self._copies.refused(error)
            else:
                self._report(path, name, error.strerror or str(error))
            return
        try:
            if data:
                with contextlib.suppress(
                    files.TooLarge
                ):  # the shadow cannot be read: what is left is in the history
                    self._take(name, data)
            if not self._copies.has_pending(name):
                files.remove(path)
        except OSError as error:
            self._copies.refused(error)

    def _report(self, path: Path, name: str, error: str) -> None:
        """Report once what stands under such a name and cannot be read: a fault of the directory, not of the store."""
        if self._reported.get(path) != error:
            self._reported[path] = error
            self._context.reporter.report("denied", session=name, error=error, path=str(path), remedy=_REMEDY)

    def _take(self, name: str, data: bytes) -> None:
        try:
            left = session.parse(data)
        except Unreadable:
            self._copies.version(name, data, 0, _REASON)
            return
        is_known = self._is_known(name, data)
        version = self._copies.version(name, data, len(left.messages), _REASON)
        shadow = self._copies.shadow(name)
        if shadow is None or is_known:
            return
        live = self._live(name)
        if live and compare(shadow.document.messages, live[0].messages).whole:
            self._merge(name, shadow, *live, left, version)
        elif compare(left.messages, shadow.document.messages).whole:
            pass  # it has nothing that the shadow has not
        elif live is None or not compare(shadow.document.messages, left.messages).whole:
            # Live is yet to be repaired; what the application wrote must be part of that.
            self._copies.keep(name, Copy(merge_documents(shadow.document, left)), 0)

    def _is_known(self, name: str, data: bytes) -> bool:
        """Return whether this was looked at before the repair broke off: it is in the history for a reason of its own."""
        known = digest(data)
        return any(
            version.digest == known and version.reason != _REASON
            for version in self._copies.store.versions(name)
        )

    def _live(self, name: str) -> tuple[Document, bytes, files.Stamp] | None:
        try:
            data, stamp = files.read(self._context.directory.file(name), self._context.limit_bytes)
            return session.parse(data), data, stamp
        except (FileNotFoundError, Unreadable):
            return None

    def _merge(
        self,
        name: str,
        shadow: Copy,
        live: Document,
        data: bytes,
        stamp: files.Stamp,
        left: Document,
        version: str,
    ) -> None:
        """Bring what is left into a live file that is in order otherwise: nothing that is known of speaks against it."""
        if compare(left.messages, live.messages).whole:
            return
        made = make_live(self._context, Target(name, data, stamp), [merge_documents(live, left)])
        self._context.recorder.record(
            found(
                "merged",
                "merged",
                name,
                _INTERRUPTED,
                messages_before=shadow.count,
                messages_live=live.count,
                messages_after=made.copy.count,
                version=version,
                displaced=made.first_displaced,
                digest=made.copy.digest,
            )
        )
        self._context.notes.totals.restored += 1
