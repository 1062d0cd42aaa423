"""The start: what the store knows from before is taken over, so that what is unchanged need not be opened again."""

import contextlib
from functools import partial

from hermesguard import files
from hermesguard.guard.context import Context
from hermesguard.guard.gone.missing import HELD_FILE, LISTED_FILE, MissingFiles
from hermesguard.guard.scans.scan import Scans
from hermesguard.store import earlier, incidents
from hermesguard.store.place import is_strange
from hermesguard.store.start import snapshot
from hermesguard.store.start.snapshot import Snapshot
from hermesguard.store.upkeep import scrub_progress
from hermesguard.store.upkeep.scrub import Scrub


class Start:
    """Takes over what the store of a guard says."""

    def __init__(self, context: Context, missing_files: MissingFiles, scrub: Scrub, scans: Scans) -> None:
        self._context = context
        self._copies = context.copies
        self._missing_files = missing_files
        self._scrub = scrub
        self._scans = scans
        self._snapshot: Snapshot | None = None

    def note_guarded(self) -> None:
        """Note whose sessions the store is for; GuardError when it is another application's."""
        try:
            self._copies.store.place.note_guarded(self._context.directory.path)
        except OSError as error:
            self._copies.refused(error)

    def read_state_files(self) -> None:
        """Take over what the store's own files say; what in them is none of ours is set aside."""
        store = self._copies.store
        for name, read in (
            (HELD_FILE, self._missing_files.read_held),
            (LISTED_FILE, self._missing_files.read_listed),
            (scrub_progress.FILE_NAME, self._scrub.load),
            (incidents.FILE_NAME, self._load_incidents),
            (snapshot.FILE_NAME, self._read_snapshot),
        ):
            path = store.root / name
            try:
                reason = "it is no regular file" if is_strange(path) else read()
                if reason:
                    store.set_aside(path, reason)
            except files.TooLarge:
                with contextlib.suppress(OSError):
                    store.set_aside(path, "it is too large for what it should be")
            except OSError as error:
                self._copies.refused(error)

    def _read_snapshot(self) -> str:
        found = snapshot.read(self._copies.store.root)
        if isinstance(found, str):
            return found
        self._snapshot = found
        return ""

    def _load_incidents(self) -> str:
        log = self._context.recorder.incidents
        if (strange := log.load()).count:
            path = self._copies.store.root / incidents.FILE_NAME
            target = self._copies.store.place.set_aside(path, bytes(strange.data))
            log.keep_only_ours()
            reason = "they are no incidents as hermesguard writes them"
            self._context.reporter.report(
                "set_aside", path=str(path), count=strange.count, reason=reason, target=str(target)
            )
        return ""

    def take_over(self) -> None:
        """Know of each shadow what it was made of, without opening it. Raises OSError when the store cannot be read."""
        if self._copies.store.is_taken_over:
            for path in self._context.directory.path.glob(f".hermesguard-*{earlier.STANDBY_SUFFIX}"):
                files.remove(path)
        if (found := self._snapshot) is not None:
            notes = self._context.notes
            notes.seen.load(found.names, found.sizes_bytes, found.times_ns, found.messages)
            for name in found.to_visit:
                notes.revisit(name)
            self._scans.trust(found.sessions)
            return
        with contextlib.suppress(OSError):
            self._copies.store.remove_leftovers(self._copies.store.shadows_directory)
        self._copies.find_delta_logs()
        list(self._copies.flush_delta_logs(quiet_seconds=0))
        for name, state, messages in self._copies.store.take_stock():
            if messages is None:
                messages = self._context.shield.run("start", name, partial(self._count, name), 0)
            self._context.notes.seen.note(name, state, messages)

    def _count(self, name: str) -> int:
        try:
            copy = self._copies.shadow(name)
        except OSError as error:
            self._copies.refused(error)
            return 0
        return copy.count if copy else 0
