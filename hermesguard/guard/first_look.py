"""The first look at a session of which there is no copy yet, or none that is good; and the look back at a whole directory."""

import errno
from collections.abc import Iterable, Iterator
from functools import partial

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.guard.context import NEW_SECONDS, Context
from hermesguard.guard.gone.taken_back import TakenBack
from hermesguard.judge.judge import Action, Surroundings, Verdict, judge
from hermesguard.reader import Reader
from hermesguard.store.cache import Copy
from hermesguard.store.incidents import LOST_BEFORE, Incident
from hermesguard.store.start.first_copies import LARGEST_BYTES, FirstCopies
from hermesguard.webui.directory import signature
from hermesguard.webui.glance import glance
from hermesguard.webui.lists.lost_before import Remains, remains, signs
from hermesguard.webui.session import TEMPORARY, Broken, Document, Unreadable

# Faults of the process and not of the file: what cannot be read now can be read soon.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_TITLE_CHARACTERS = 300
LOOKED_BACK_FILE = "looked-back"
"""Stands in the store when what was lost before has been told."""


class FirstLook:
    """Finds the first copy of sessions."""

    def __init__(self, context: Context, first_copies: FirstCopies, taken_back: TakenBack) -> None:
        self._context = context
        self._taken_back = taken_back
        self._copies = context.copies
        self._first_copies = first_copies

    def is_kept(self, name: str, reader: Reader, stamp: Stamp) -> bool:
        """Make live the first copy of a session of many, if it is one by which nothing else can be judged; return whether.

        Raises OSError when the store does not take it.
        """
        context = self._context
        if (
            not self._first_copies.is_open
            or stamp.size_bytes > LARGEST_BYTES
            or self._copies.is_damaged(name)
        ):
            return False
        if files.stamp(context.directory.backup(name)) or self._copies.has_pending(name):
            return False
        data = reader.data
        found = glance(data)
        if found is None or found.could_be_wiped:
            return False
        if context.clock.now().timestamp() - stamp.mtime_ns / 1e9 < NEW_SECONDS:
            context.notes.newcomers[name] = context.clock.monotonic()
        kept = partial(context.notes.in_order, name, signature(stamp), found.messages)
        self._first_copies.add(name, data, stamp.mtime_ns, found.messages, kept)
        return True

    def copy(self, name: str, reader: Reader, stamp: Stamp, known: Copy | None = None) -> Copy | None:
        """Return the copy to judge a session by: the application's own backup, else live itself.

        `reader` has just read live; `known` is it as a copy, where that was found out before. None, reported once, when there
        is nothing to judge by. Raises OSError when the store or the backup cannot be read now.
        """
        try:
            copy = known or Copy(reader.data)
            live: Document | None = copy.document
        except Broken as error:
            live, reason = None, str(error)
        is_damaged = self._copies.is_damaged(name)
        left, messages_before = self._copies.salvage(name) if is_damaged else (None, None)
        for backup in filter(None, (left, self._backup(name))):
            if live is None or self._lost_since(backup.document, live):
                self._copies.keep(name, backup, 0)
                return backup
        if live is None:
            self._context.report_unreadable(name, "unreadable", reason)
            return None
        if (
            is_damaged
            and messages_before is not None
            and len(live.messages) < messages_before
            and left is None
        ):
            reason = f"the copy is damaged, and the file has {len(live.messages)} of its {messages_before} messages"
            remedy = f"See hermesguard history {name}; to take the file as it is: hermesguard accept {name}"
            self._context.report_unreadable(name, "unreadable", reason, remedy)
            return None
        if not self._copies.has_shadow(name):
            self._context.notes.newcomers[name] = self._context.clock.monotonic()
        if not self._copies.has_shadow(name):
            self._report_returned(name, copy)
        self._context.keep(name, copy, stamp)
        if is_damaged:
            path = str(self._copies.store.shadow_path(name))
            self._context.reporter.report(
                "shadow_rebuilt", session=name, path=path, messages_after=copy.count
            )
        return copy

    def _report_returned(self, name: str, copy: Copy) -> None:
        """Tell that a session is there again which a user had deleted, or cleared before it was cleaned up.

        Not so a side question: the application removed it, and saves it again when a page asks for what runs.
        """
        if copy.document.title.startswith(TEMPORARY):
            return
        again, how = self._taken_back.whole(name, copy.document)
        if not again.places:
            return
        evidence = [f"the conversation had been {how}, and it was created at the same time"]
        if self._taken_back.is_backup(name, copy.data):
            evidence.append("it is the application's own backup (.json.bak), as its recovery puts it back")
        self._context.recorder.note_returned(
            name,
            Verdict(Action.GROWTH, "", tuple(evidence)),
            count=len(again.places),
            messages_live=copy.count,
            version=again.version,
        )
        self._taken_back.forget(name, (again.version,))

    def _backup(self, name: str) -> Copy | None:
        try:
            copy = Copy(files.read(self._context.directory.backup(name), self._context.limit_bytes)[0])
            return copy if copy.document.messages else None
        except Unreadable:
            return None
        except OSError as error:
            if error.errno in _PASSING:
                raise
            return None

    def _lost_since(self, backup: Document, live: Document) -> bool:
        if len(backup.messages) <= len(live.messages):
            return False
        verdict = judge(backup, live, Surroundings(waited_seconds=60.0))
        comparison = verdict.comparison
        if (
            verdict.action is Action.UNCERTAIN
            and comparison
            and comparison.added
            and comparison.lost_turns <= 1
        ):
            # `.bak` is older than all that was said since: one turn taken back, then others, is what people do.
            return False
        return verdict.action in (Action.LOSS, Action.MERGE, Action.UNCERTAIN)


class LookBack:
    """Tells, once in the life of a store, what looks lost from before its guard came."""

    def __init__(self, context: Context, first_copies: FirstCopies) -> None:
        self._context = context
        self._first_copies = first_copies
        self._mark = context.copies.store.root / LOOKED_BACK_FILE
        self._is_over = False
        self._remains: Remains | None = None

    def begin(self) -> None:
        """Note what lies in the directory, before a repair changes it. Raises OSError when it cannot be read."""
        try:
            self._is_over = self._is_over or files.stamp(self._mark) is not None
        except OSError as error:
            self._context.copies.refused(error)  # the next scan may know
            return
        if not self._is_over:
            self._remains = remains(self._context.directory.path)

    def end(self, present: Iterable[str]) -> Iterator[None]:
        """Write down and report what looks lost, of the sessions that are `present` and of those that are not there.

        Yields between them: the application's leftovers may be large, and many.
        """
        if self._remains is None or self._context.copies.broken:
            return
        context, found = self._context, self._remains
        self._remains, self._is_over = None, True
        log = context.recorder.incidents.all()
        known = {incident.session for incident in log}
        counts = {
            name: None if name in context.notes.unreadable else self._messages_of(name) for name in present
        }
        # Of a file that is still being read, or is too large to be, nothing can be said.
        known |= context.copies.store.too_dense | {
            name for name, count in counts.items() if count is None and name not in context.notes.unreadable
        }
        lost = []
        for sign in signs(context.directory.path, found, counts, known):
            lost += [sign] if sign else []
            yield
        for sign in lost:
            context.recorder.note(
                Incident(
                    "",
                    "",
                    sign.session,
                    LOST_BEFORE,
                    "found",
                    evidence=sign.evidence,
                    messages_before=sign.messages,
                    messages_live=sign.live,
                    title=sign.title.encode("utf-8", "replace").decode()[:_TITLE_CHARACTERS],
                )
            )
        if lost:
            context.reporter.report(
                "lost_before",
                count=len(lost),
                path=str(context.directory.path),
                remedy="hermesguard lost",
            )
        try:
            context.copies.store.place.check()
            files.write_durably(self._mark, b"")
        except OSError as error:
            context.copies.refused(error)

    def _messages_of(self, name: str) -> int | None:
        """Return how many messages a session's file has, as far as it was read; its copy need not be durable yet."""
        if (waiting := self._first_copies.messages_of(name)) is not None:
            return waiting
        return self._context.notes.seen.messages_of(name)
