"""Copying, again and again: look at the store, make an object of what is new, give it to the storage, note that it is there.

Whatever fails is tried again later, from what is written down; a kill at any instruction costs at most one object that is
known and removed. Nothing here writes into the store.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from hermesguard import files
from hermesguard.clock import Clock
from hermesguard.errors import GuardError
from hermesguard.offsite import batch
from hermesguard.offsite.bucket import Bucket, BucketError, machine_folder
from hermesguard.offsite.settings import OffsiteSettings
from hermesguard.offsite.state import Known, Object, State
from hermesguard.offsite.upload import budget, retention
from hermesguard.offsite.upload.survey import VERSION, File, Survey
from hermesguard.offsite.upload.upkeep import Upkeep
from hermesguard.store.history import WITHDRAWN

BATCH_BYTES: Final = 32 * 1024 * 1024
"""An object takes no more files when their plain size is above this."""
_UPKEEP_SECONDS: Final = 3600.0
_UPKEEP_AGAIN_SECONDS: Final = 30.0
"""After one that failed; then twice as long each time, a quarter of an hour at most."""
_LATE_SECONDS: Final = 1800.0
"""How long nothing may get through before it is reported."""


class NoRequestsLeft(BucketError):
    """The day's requests are used up."""


class Work(NamedTuple):
    """What one look at the store found to be done."""

    wanted: list[File]
    """Files that are not safe yet, those that wait longest first."""
    gone: list[str]
    """Files that are safe, and that the store has no longer."""
    sessions: set[str | None]
    """The sessions that the store has."""


class Uploader:
    """One store, one storage. `turn` does what is due and says how long to wait."""

    def __init__(
        self,
        options: OffsiteSettings,
        state: State,
        bucket: Bucket,
        recipients: list[Any],
        clock: Clock | None = None,
        report: Callable[..., None] = lambda name, **fields: None,
    ) -> None:
        self._options = options
        self._state = state
        self._bucket = bucket
        self._recipients = recipients
        self._clock = clock or Clock()
        self._report = report
        self._survey = Survey(options.store)
        self._upkeep = Upkeep(options, state, bucket, self._clock)
        self._renew: set[str] = set()
        self._failures = self._upkeep_failures = 0
        self.failure = ""
        """Why the last copy failed; empty when it did not."""
        self._next_copy = self._next_upkeep = 0.0
        self._damaged: set[str] = set()
        self._known: dict[str, Known] | None = None
        bucket.count = self.count
        facts = state.facts()
        self._is_late = facts.get("late") == "1"  # of a process before this one, of which people were told
        self.machine = facts.get("machine") or machine_folder(options.store) or os.urandom(8).hex()
        if "machine" not in facts:
            state.note(machine=self.machine, began_ns=self._now_ns())
        self._for = hashlib.sha256("\n".join(sorted(options.recipients)).encode()).hexdigest()[:16]
        """Whom the copies are for. When it is somebody else, all is copied once more."""
        self._noted_for = facts.get("recipients")
        if self._noted_for != self._for:
            self._renew |= set(self._safe())
            self._note_recipients()

    def _now_ns(self) -> int:
        return int(self._clock.now().timestamp() * 1e9)

    def _used(self) -> int:
        return budget.used(self._state.requests(), self._clock.now().timestamp())

    def count(self, requests: int) -> None:
        """Count requests before they are made; NoRequestsLeft when the day has not so many left. Raises OSError."""
        if self._used() + requests > self._options.requests_per_day:
            raise NoRequestsLeft(
                f"the {self._options.requests_per_day} requests of these 24 hours are used up"
            )
        self._state.count_requests(requests, self._clock.now().timestamp())

    def _note_recipients(self) -> None:
        """Note whom the copies are for, as soon as all of them are."""
        if not self._renew:
            self._state.note(recipients=self._for)
            self._noted_for = self._for

    # -- one turn

    def turn(self) -> float:
        """Do what is due; return how many seconds to wait for the next turn. Never raises OSError."""
        now = self._clock.monotonic()
        if now >= self._next_copy:
            try:
                has_more = self._copy()
                self._succeeded()
                self._next_copy = now + self._pace(has_more)
            except (OSError, GuardError) as error:
                self._failed(error)
                pause = budget.pause_seconds(self._failures, self._options.interval_seconds)
                self._next_copy = now + max(pause, self._pace(False))
        if now >= self._next_upkeep:
            self._next_upkeep = now + _UPKEEP_SECONDS
            self._keep_up()
        return max(0.0, min(self._next_copy, self._next_upkeep) - self._clock.monotonic())

    def _pace(self, has_more: bool) -> float:
        used = self._used()
        if has_more and budget.may_burst(self._options.requests_per_day, used):
            return 0.0
        spacing = budget.spacing_seconds(self._options.interval_seconds, self._options.requests_per_day, used)
        return min(spacing, budget.HOUR_SECONDS)

    def _copy(self) -> bool:
        """Copy what is new, as much as one object takes; return whether there is more."""
        self._finish_pending()
        work = self.look()
        self._let_go(work)
        removals = [(path, self._now_ns()) for path in work.gone]
        if not work.wanted and not removals:
            return False
        made = self._make(work.wanted, removals)
        if made is None:
            return False
        one, count = made
        self._put(one)
        self._state.hold((), no_longer=(path for path, _ in removals))
        left = work.wanted[count:]
        self._state.note(waiting=len(left), oldest_ns=_oldest(left))
        return count < len(work.wanted)

    def look(self) -> Work:
        """Return what is to be done. Raises OSError, GuardError when the store cannot be looked at: then nothing is gone."""
        found = self._survey.look()
        known = self._safe()
        self._renew &= found.keys() - self._damaged
        wanted = [file for file in found.values() if self._is_wanted(file, known.get(file.path))]
        wanted.sort(key=lambda file: (file.changed_ns, file.path))
        gone = [path for path in known if path not in found]
        held, accepted = self._state.held(), self._state.accepted()
        if back := [path for path in held | accepted if path in found]:
            self._state.hold((), no_longer=back)
        fresh = [path for path in gone if path not in held and path not in accepted]
        rules = retention.Rules(
            self._options.keep_deleted_seconds,
            self._options.keep_history_seconds,
            self._options.lifetime_seconds,
        )
        strange = retention.unexplained(fresh, found, rules, self._options.keep_versions, self._clock.now())
        if retention.is_too_many(len(strange), len(known)):
            self._state.hold(strange)
            count = len({batch.session_of(path) for path in strange} - {None})
            self._report("offsite_held", sessions=count, files=len(strange))
            held |= set(strange)
        self._state.note(
            looked_ns=self._now_ns(),
            waiting=len(wanted),
            oldest_ns=_oldest(wanted),
            damaged=len(self._damaged),
        )
        sessions = {batch.session_of(path) for path in found}
        return Work(wanted, [path for path in gone if path not in held], sessions)

    def _safe(self) -> dict[str, Known]:
        if self._known is None:
            self._known = self._state.known()
        return self._known

    def _is_wanted(self, file: File, known: Known | None) -> bool:
        return known is None or known.signature != file.signature or file.path in self._renew

    def _let_go(self, work: Work) -> None:
        """Mark what must leave the storage too: versions that left the store, and all of a session that did."""
        paths, superseded = [], []
        for path in work.gone:
            session = batch.session_of(path)
            if session is None:
                continue
            if batch.room_of(path) == "history":
                paths.append(path)
                if path.rpartition("/")[2].split("-")[2] in WITHDRAWN:
                    superseded.append(batch.shadow_of(session))
            if session not in work.sessions:
                paths.append(batch.shadow_of(session))
        if paths:
            self._state.let_go(paths, superseded)

    # -- objects

    def _make(self, wanted: list[File], removals: list[tuple[str, int]]) -> tuple[Object, int] | None:
        """Make an object of files, the first ones first; return it and how many are done, None when nothing was left."""
        name = batch.object_name(self.machine, self._clock.now(), self._state.last_name())
        known = self._safe()
        number = self._state.begin(name, self._now_ns())
        target = self._state.spooled(name)
        done = 0
        items: list[tuple[batch.Item, str]] = []
        resigned: list[tuple[str, str]] = []
        with batch.writing(target, name, self._recipients) as made:
            made.index.removals += [batch.Removal(path, time_ns) for path, time_ns in removals]
            for file in wanted:
                if made.plain_bytes and made.plain_bytes + file.size_bytes > BATCH_BYTES:
                    break
                done += 1
                try:
                    if self._is_unchanged(file, known.get(file.path)):
                        resigned.append((file.path, file.signature))
                        continue
                    items.append((self._survey.add(made, file), file.signature))
                    self._damaged.discard(file.path)
                except FileNotFoundError:
                    continue  # gone meanwhile: the next look says so
                except files.Damaged as error:
                    self._note_damaged(file, error)
        if resigned:
            self._known = None
            self._state.resigned(resigned)
        if not items and not removals:
            self._state.forget([self._named(name)])
            return None
        self._state.made(number, made.size_bytes, made.sha256, items, removals)
        return self._named(name), done

    def _is_unchanged(self, file: File, known: Known | None) -> bool:
        """Return whether a file has another stamp and the content that was copied."""
        session = batch.session_of(file.path)
        if known is None or session is None or file.signature == VERSION or file.path in self._renew:
            return False
        if "+" in file.signature:
            return False  # with a delta log the content is new
        noted = self._survey.shadow_note(file.path)
        return bool(noted) and known.sha256.startswith(noted[0])  # type: ignore[index]

    def _note_damaged(self, file: File, error: OSError) -> None:
        if file.path not in self._damaged:
            self._damaged.add(file.path)
            self._report("offsite_skipped", session=batch.session_of(file.path), error=str(error))

    def _named(self, name: str) -> Object:
        return next(one for one in self._state.objects() if one.name == name)

    def _finish_pending(self) -> None:
        """Go on where the last turn, or a process before this one, was stopped."""
        half_made = self._state.objects("making")
        if half_made:
            self._state.forget(half_made)  # never left this machine
        for one in self._state.objects("ready"):
            must_go = any(entry.must_go for entry in self._state.entries(one.id))
            path = self._state.spooled(one)
            if must_go or not path.exists() or path.stat().st_size != one.size_bytes:
                self._state.set_stage([one], "leaving")  # it may have got there
                files.remove(path)
            else:
                self._put(one)

    def _put(self, one: Object) -> None:
        self._bucket.put(one.name, self._state.spooled(one))
        self._known = None
        self._state.stored(one, self._now_ns())
        if self._renew or self._noted_for != self._for:
            self._renew -= {entry.path for entry in self._state.entries(one.id)}
            self._note_recipients()

    # -- the rest

    def _keep_up(self) -> None:
        if not budget.may_keep_up(self._options.requests_per_day, self._used()):
            return
        self._known = None
        try:
            self._renew |= self._upkeep.run(self.machine)
            self._state.note(upkeep_error="")
            self._upkeep_failures = 0
        except NoRequestsLeft as error:
            self._state_note(
                upkeep_error=_words(error)
            )  # an hour later there may be some: to try sooner would use them up
        except (OSError, GuardError) as error:
            self._upkeep_failures += 1
            again = budget.pause_seconds(self._upkeep_failures, _UPKEEP_AGAIN_SECONDS)
            self._next_upkeep = self._clock.monotonic() + again
            self._state_note(upkeep_error=_words(error))

    def _state_note(self, **values: object) -> None:
        with contextlib.suppress(OSError):  # a disk that is full takes no note of it either
            self._state.note(**values)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self.failure = _words(error)
        now_ns = self._now_ns()
        self._state_note(error=_words(error), error_ns=now_ns, failures=self._failures)
        try:
            facts = self._state.facts()
        except OSError:
            facts = {}
        since_ns = int(facts.get("well_ns") or facts.get("began_ns") or now_ns)
        is_lasting = (now_ns - since_ns) / 1e9 >= _LATE_SECONDS
        is_refusal = isinstance(error, BucketError) and error.is_refusal and self._failures >= 3
        if not self._is_late and (is_lasting or is_refusal) and not isinstance(error, NoRequestsLeft):
            self._is_late = True
            self._state_note(late=1)
            self._report("offsite_failing", error=_words(error), seconds=round((now_ns - since_ns) / 1e9, 1))

    def _succeeded(self) -> None:
        if self._failures or self._is_late:
            self._state_note(error="", failures=0, late=0)
        if self._failures and self._upkeep_failures:
            self._next_upkeep = self._clock.monotonic()  # what was away is back
        self._failures = 0
        self.failure = ""
        if self._is_late:
            self._is_late = False
            self._report("offsite_again")
        self._state_note(well_ns=self._now_ns())


def _oldest(wanted: list[File]) -> int:
    return wanted[0].changed_ns if wanted else 0


def _words(error: Exception) -> str:
    if isinstance(error, GuardError):
        return error.what
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
