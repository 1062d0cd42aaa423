"""What the guard works with, each piece with one owner, and the acts that all its parts share."""

import contextlib
import os
from dataclasses import dataclass, field

from hermesguard import files
from hermesguard.clock import Clock
from hermesguard.config.settings import Settings
from hermesguard.events.reporter import Reporter
from hermesguard.files import Stamp
from hermesguard.guard.back_off import BackOff
from hermesguard.guard.notes import Notes
from hermesguard.guard.recorder import Recorder
from hermesguard.judge.judge import Verdict
from hermesguard.store.cache import Cache, Copy
from hermesguard.store.cached_store import Copies
from hermesguard.store.incidents import IncidentLog
from hermesguard.store.store import Store
from hermesguard.store.upkeep.pruning import Pruner
from hermesguard.webui import session
from hermesguard.webui.directory import SessionsDirectory, signature
from hermesguard.webui.session import Unreadable


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
    back_off: BackOff = field(default_factory=BackOff)

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
        copies = Copies(store, Cache(settings.cache_bytes), reporter, clock)
        back_off = BackOff()
        recorder = Recorder(incidents, copies, reporter, back_off, clock)
        directory = SessionsDirectory(settings.sessions, clock.monotonic)
        pruner = Pruner(store, incidents.all, reporter, clock)
        copies.relieve = pruner.relieve
        copies.also_pending.append(incidents.flush)
        return cls(settings, reporter, clock, directory, Notes(clock), copies, recorder, pruner, back_off)

    def keep(self, name: str, copy: Copy, stamp: Stamp, before: Copy | None = None) -> None:
        """Live is right: make it the shadow; `before` as for the copies."""
        if self.copies.keep(name, copy, stamp.mtime_ns, before):
            self.notes.in_order(name, signature(stamp), copy.count)
        else:
            self.notes.deferred.pop(name, None)

    def made_live(self, name: str, copy: Copy, before: Copy | None = None) -> None:
        """The guard itself put `copy` at live: make that durable, and the shadow."""
        path = self.directory.file(name)
        with contextlib.suppress(OSError):  # the shadow is durable anyhow; a torn live is repaired from it
            files.sync_file(path)
            files.sync_directory(path.parent)
        try:
            live, stamp = files.read(path)
        except OSError:
            live = b""
        if live == copy.data:
            self.keep(name, copy, stamp, before)
        else:
            # The application has written again: the shadow must not look as if it were of that file.
            self.copies.keep(name, copy, 0, before)
            self.notes.seen.pop(name, None)

    def report_unreadable(self, name: str, event: str, error: str, remedy: str = "") -> None:
        """Tell once that nothing can be done with a session at present, by an event that says why."""
        if self.notes.unreadable.get(name) != error:
            self.notes.unreadable[name] = error
            more = {"remedy": remedy} if remedy else {}
            self.reporter.report(
                event, session=name, error=error, path=str(self.directory.file(name)), **more
            )

    def keep_version(self, name: str, data: bytes, reason: str) -> str:
        """Put bytes into the history, whatever they are; return the version's name."""
        try:
            messages = len(session.parse(data).messages)
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
        """Write down and tell, once for each reason, that a loss could not be repaired; every scan tries again."""
        reason = os.strerror(error.errno) if error.errno else str(error)
        self.notes.seen.pop(name, None)
        if self.notes.unreadable.get(name) == reason:
            return
        self.notes.unreadable[name] = reason
        self.notes.totals.unrepaired += 1
        messages = copy.count
        self.recorder.record(
            "unrepaired",
            "failed",
            name,
            verdict,
            messages,
            messages_live,
            None,
            error=reason,
            version=self.copies.version(name, copy.data, messages, "loss"),
            writer_pid=writer_pid,
        )
