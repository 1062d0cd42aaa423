"""What the guard works with, each piece with one owner, and the acts that all its parts share."""

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hermesguard.clock import Clock
from hermesguard.config.memory import session_limit_bytes
from hermesguard.config.settings import Settings
from hermesguard.digests import blake2b
from hermesguard.events.reporter import Reporter
from hermesguard.events.shield import Shield
from hermesguard.files import Stamp
from hermesguard.guard.back_off import BackOff
from hermesguard.guard.recorder import Recorder, found
from hermesguard.guard.scans.seen import Seen
from hermesguard.judge.judge import Verdict
from hermesguard.judge.verdict import Writer
from hermesguard.pieces import Content, pieces_of
from hermesguard.store.cache import Cache, Copy
from hermesguard.store.cached_store import Copies
from hermesguard.store.incidents import IncidentLog
from hermesguard.store.store import Store
from hermesguard.store.upkeep.pruning import Pruner
from hermesguard.webui import session
from hermesguard.webui.compare.elsewhere import MOST_FILES
from hermesguard.webui.delta import Made
from hermesguard.webui.directory import SessionsDirectory, signature
from hermesguard.webui.session import Unreadable

SHORTEST_WAIT_SECONDS = 0.001
# A rotation saves the renamed session at once; what comes much later is another story.
NEW_SECONDS = 60.0
MOST_WRITERS = 16
MOST_TITLES = 8
_FAILING = frozenset(
    {
        errno.EIO,
        errno.ESTALE,
        errno.ESHUTDOWN,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.EREMOTEIO,
    }
)


def state_of(data: bytes | None) -> bytes | None:
    """Return what tells a state of live from others while a question about it is open: of a long file, something short."""
    if data is None or len(data) <= session.LONG_BYTES:
        return data
    return blake2b(data, digest_size=32).digest()


@dataclass(slots=True)
class Deferred:
    """Something that only time can answer: when it was first asked, of which state of live, and when to look again."""

    since: float
    due: float
    state: bytes | None = None
    """Of live, by `state_of`."""
    writer_pid: int | None = None
    waits_seconds: float = 0.0


@dataclass(slots=True)
class Totals:
    """What has happened since the guard started; times are UTC, ISO 8601, but where a name says nanoseconds."""

    started: str
    restored: int = 0
    uncertain: int = 0
    unrepaired: int = 0
    last_save_ns: int = 0
    """The mtime of the save that was seen last."""
    last_scan: str = ""


@dataclass(slots=True)
class Writers:
    """Which processes save, by the names of their temporary files: numbers of the application's own pid namespace."""

    _of_session: dict[str, int] = field(default_factory=dict)
    """By session: the process that wrote what is the shadow now."""
    _seen: dict[int, None] = field(default_factory=dict)
    """All that have saved here, the last one last."""
    last: int | None = None
    """The one that has saved last."""

    def of(self, session: str, pid: int | None) -> Writer:
        """Return how the process that has just written a session stands to the one that wrote its shadow."""
        before = self._of_session.get(session)
        if pid is None or before is None:
            return "unknown"
        if pid == before:
            return "same"
        return "another" if pid in self._seen else "new"

    def saved(self, pid: int) -> int | None:
        """Note that a process saves; return the one that has saved since it did last, None when there is none.

        Who comes back after another one was alive while that one saved: two are at work.
        """
        last, self.last = self.last, pid
        if pid == last:
            return None
        came_back = pid in self._seen
        self._seen.pop(pid, None)
        self._seen[pid] = None
        while len(self._seen) > MOST_WRITERS:
            del self._seen[next(iter(self._seen))]
        return last if came_back else None

    def stands(self, session: str, pid: int | None) -> None:
        """Note that what a process has written is the shadow now."""
        if pid is not None:
            self._of_session[session] = pid

    def forget(self, session: str) -> None:
        """Forget a session that is gone for good."""
        self._of_session.pop(session, None)


@dataclass
class Notes:
    """What was seen of each session, and what is still open."""

    clock: Clock
    seen: Seen = field(default_factory=Seen)
    """Each guarded session: what a listing showed when it was last found in order, and its messages."""
    to_visit: set[str] = field(default_factory=set)
    """Sessions whose last visit did not find, or leave, them in order: the next scan visits them again."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Sessions with which nothing can be done, and why; reported once."""
    newcomers: dict[str, float] = field(default_factory=dict)
    """Sessions seen for the first time, and when (monotonic): a renamed session comes back as one."""
    began: dict[str, float] = field(default_factory=dict)
    """Sessions that were seen without a message, and when they had one (monotonic); for a minute."""
    deferred: dict[str, Deferred] = field(default_factory=dict)
    writers: Writers = field(default_factory=Writers)
    titles: dict[str, list[str]] = field(default_factory=dict)
    """Titles that sessions had before, as far as that was seen: who writes one again writes from an older memory."""
    saves: dict[str, int] = field(default_factory=dict)
    """How often a session was saved since it was last in order, as far as the watch counted."""
    totals: Totals = field(init=False)

    def __post_init__(self) -> None:
        self.totals = Totals(self.clock.now().isoformat())

    @property
    def last_save_ns(self) -> int:
        """Return the mtime of the newest save, one that this guard found when it started too; 0 when there is none."""
        return max(self.totals.last_save_ns, self.seen.newest_ns())

    def in_order(self, name: str, state: tuple[int, int], messages: int) -> None:
        """Note that a session was found in order, and is so as long as a listing shows `state`."""
        self.deferred.pop(name, None)
        self.unreadable.pop(name, None)
        self.saves.pop(name, None)
        self.to_visit.discard(name)
        if self.seen.note(name, state, messages) == 0 and messages:
            self.began[name] = self.clock.monotonic()

    def revisit(self, name: str) -> None:
        """Note that a session is not in order, or that this is not known: the next scan visits it."""
        self.seen.revisit(name)
        self.to_visit.add(name)

    def retitled(self, name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Note the title that a session had, if it has another now; both are members of its file."""
        was, title = before.get(session.TITLE), now.get(session.TITLE)
        if was == title or not isinstance(was, str):
            return
        known = self.titles.setdefault(name, [])
        known[:] = [*(other for other in known if other not in (was, title)), was][-MOST_TITLES:]

    def saved_last(self, but: str) -> Iterator[str]:
        """Yield the other sessions, those that were saved last first."""
        return (name for name, _, _ in self.seen.newest(MOST_FILES + 1, 0) if name != but)

    def forget(self, name: str) -> None:
        """Forget a session that is gone for good."""
        self.titles.pop(name, None)
        self.deferred.pop(name, None)
        self.unreadable.pop(name, None)
        self.saves.pop(name, None)
        self.to_visit.discard(name)
        self.seen.forget(name)
        self.writers.forget(name)

    @property
    def is_quiet(self) -> bool:
        """Return whether every session is in order, and none is new."""
        return not (self.to_visit or self.deferred or self.newcomers or self.began)

    def forget_old(self) -> None:
        """Forget which sessions are new, or began, since more than a minute."""
        now = self.clock.monotonic()
        for times in (self.newcomers, self.began):
            for name in [name for name, when in times.items() if now - when >= NEW_SECONDS]:
                del times[name]

    def waited_seconds(self, name: str, state: bytes | None) -> float:
        """Return how long the question about this state of a session has been open; 0 when there is none."""
        question = self.deferred.get(name)
        if question is None or question.state != state_of(state):
            return 0.0
        now = self.clock.monotonic()
        # A sum of floats and their difference need not agree in the last bit: what was due has waited long enough.
        was_due = question.since + question.waits_seconds <= now
        return max(now - question.since, question.waits_seconds if was_due else 0.0)

    def stays_open(self, question: Deferred) -> None:
        """Let a question stay that was due, but could not be asked yet: how long it has been open counts when it is."""
        question.due = self.clock.monotonic() + max(question.waits_seconds, SHORTEST_WAIT_SECONDS)

    def defer(self, name: str, state: bytes | None, seconds: float, writer_pid: int | None = None) -> None:
        """Look at a session again when this state of it is `seconds` old; if it is older, in so many seconds from now.

        So what is asked again and again, as while the store cannot be read, is asked at that pace and no faster.
        """
        now = self.clock.monotonic()
        question = self.deferred.get(name)
        if question is None or question.state != state_of(state):
            question = self.deferred[name] = Deferred(now, now, state_of(state), writer_pid)
        question.waits_seconds = seconds
        due = question.since + seconds
        question.due = max(due if due > now else now + seconds, now + SHORTEST_WAIT_SECONDS)

    def due(self) -> Iterator[tuple[str, Deferred]]:
        """Take and yield the deferred checks whose time has come; each may be deferred again."""
        now = self.clock.monotonic()
        for name in [name for name, question in self.deferred.items() if question.due <= now]:
            question = self.deferred.get(name)
            if question is not None and question.due <= now:
                try:
                    yield name, question
                finally:  # also when nobody asks for more
                    if self.deferred.get(name) is question and question.due <= now:
                        del self.deferred[name]

    def next_due_seconds(self) -> float | None:
        """Return the seconds until the next question is due, None when there is none."""
        if not self.deferred:
            return None
        due = min(question.due for question in self.deferred.values())
        return max(0.0, due - self.clock.monotonic())


@dataclass
class Context:
    """One sessions directory, one store, and what is known of both."""

    settings: Settings
    reporter: Reporter
    clock: Clock
    directory: SessionsDirectory
    notes: Notes
    copies: Copies
    recorder: Recorder
    pruner: Pruner
    shield: Shield
    back_off: BackOff = field(default_factory=BackOff)
    limit_bytes: int | None = None
    """No file that is larger is read into memory."""

    @classmethod
    def furnish(
        cls,
        settings: Settings,
        store: Store,
        incidents: IncidentLog,
        reporter: Reporter,
        clock: Clock | None = None,
    ) -> "Context":
        """Return a context for `settings`; the caller holds the store's lock."""
        clock = clock or Clock()
        shield = Shield(reporter)
        copies = Copies(store, Cache(settings.cache_bytes), reporter, clock, shield)
        back_off = BackOff()
        recorder = Recorder(incidents, copies, reporter, back_off, clock)
        directory = SessionsDirectory(settings.sessions, clock.monotonic)
        pruner = Pruner(store, incidents.all, reporter, clock, shield)
        copies.relieve = pruner.relieve
        copies.also_pending.append(incidents.flush)
        incidents.check = store.place.check
        store.limit_bytes = limit_bytes = session_limit_bytes(settings.max_session_bytes)

        def set_aside(path: Path, reason: str) -> None:
            target = store.place.set_aside(path)
            reporter.report("set_aside", path=str(path), reason=reason, target=str(target))

        store.set_aside = set_aside
        return cls(
            settings,
            reporter,
            clock,
            directory,
            Notes(clock),
            copies,
            recorder,
            pruner,
            shield,
            back_off,
            limit_bytes,
        )

    def keep(
        self, name: str, copy: Copy, stamp: Stamp, before: Copy | None = None, made: Made = None
    ) -> None:
        """Live is right: make it the shadow; `before` and `made` as for the copies."""
        if self.copies.keep(name, copy, stamp.mtime_ns, before, made):
            self.notes.in_order(name, signature(stamp), copy.count)
        else:
            self.notes.deferred.pop(name, None)

    def writers_awaited(self) -> dict[int, str]:
        """Return the processes whose end would end the pause before a repair, each with the session."""
        return {
            deferred.writer_pid: name
            for name, deferred in self.notes.deferred.items()
            if deferred.writer_pid and self.back_off.writer(name) == deferred.writer_pid
        }

    def report_unreadable(self, name: str, event: str, error: str, remedy: str = "", path: str = "") -> None:
        """Report once that nothing can be done with a session at present, by an event that says why.

        `path` is what cannot be read, where that is not the session's file.
        """
        if self.notes.unreadable.get(name) != error:
            self.notes.unreadable[name] = error
            more = {"remedy": remedy} if remedy else {}
            path = path or str(self.directory.file(name))
            self.reporter.report(event, session=name, error=error, path=path, **more)

    def report_denied(self, name: str, error: OSError, path: str = "") -> None:
        """Report once that a session's file cannot be read: for want of the right to, or for a disk or file server that fails.

        `path` as `report_unreadable` takes it.
        """
        remedy = "Run the guard as a user who may read it"
        if error.errno in _FAILING:
            remedy = "See to the disk, or the file server: look at the kernel's log, mount it anew"
        self.report_unreadable(name, "denied", os.strerror(error.errno or 0), remedy, path)

    def refused(self, name: str, error: OSError) -> None:
        """Report why it is not known what became of a session: one of the application's lists cannot be read, or the store."""
        if str(error.filename or "").startswith(f"{self.directory.path}/"):
            self.report_denied(name, error, str(error.filename))
        else:
            self.copies.refused(error)

    def keep_version(self, name: str, data: Content, reason: str, messages: int | None = None) -> str:
        """Put bytes into the history, whatever they are; return the version's name. `messages` says how many, where known."""
        if messages is None:
            try:
                messages = len(session.parse_pieces(pieces_of(data)).messages)
            except Unreadable:
                messages = 0
        return self.copies.version(name, data, messages, reason)

    def cannot_repair(
        self,
        name: str,
        copy: Copy,
        messages_live: int | None,
        verdict: Verdict,
        error: OSError,
        writer_pid: int | None = None,
    ) -> None:
        """Record and report, once for each reason, that a loss could not be repaired; every scan retries."""
        reason = os.strerror(error.errno) if error.errno else str(error)
        self.notes.revisit(name)
        if self.notes.unreadable.get(name) == reason:
            return
        self.notes.unreadable[name] = reason
        self.notes.totals.unrepaired += 1
        messages = copy.count
        self.recorder.record(
            found(
                "unrepaired",
                "failed",
                name,
                verdict,
                messages_before=messages,
                messages_live=messages_live,
                error=reason,
                version=self.copies.version(name, copy.content, messages, "loss"),
                writer_pid=writer_pid,
            )
        )
