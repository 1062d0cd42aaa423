"""What becomes of a verdict: live stands, or it is repaired. The only module that acts on what the judge says of a file."""

import time
from collections.abc import Generator

from hermesguard.config.settings import Settings
from hermesguard.files import Stamp
from hermesguard.guard import back_off
from hermesguard.guard.context import Context, Deferred, state_of
from hermesguard.guard.gone.brake import RolledBack
from hermesguard.guard.gone.taken_back import TakenBack
from hermesguard.guard.make_live import making_live
from hermesguard.guard.recorder import found
from hermesguard.guard.visit import Visit
from hermesguard.judge.judge import Action
from hermesguard.repair.replace import finished
from hermesguard.repair.standby import Standby, prepared
from hermesguard.store.cache import Copy

# The application writes its index some milliseconds after the session; on a busy machine it may be longer.
INDEX_SECONDS = 10.0


def reason_of(visit: Visit) -> str:
    """Return the reason under which the shadow of a visit goes into the history, should it go."""
    verdict = visit.verdict
    match verdict.action:
        case Action.GROWTH:
            return "stripped" if verdict.taken else "tidied"
        case Action.INTENDED:
            return "clear" if verdict.is_clear else "intended"
    return "loss"


def stands(visit: Visit, settings: Settings) -> bool:
    """Return whether live becomes the shadow as it is."""
    if visit.live is None:
        return False
    keeps = settings.on_uncertain == "keep"
    action = visit.verdict.action
    return action in (Action.GROWTH, Action.INTENDED) or (action is Action.UNCERTAIN and keeps)


def reasons_of(visit: Visit, settings: Settings) -> tuple[str, ...]:
    """Return all reasons under which the shadow of a visit goes into the history; none where it does not."""
    if visit.is_wipe:
        return ("loss",)
    verdict = visit.verdict
    if verdict.action is Action.WAIT:
        return ()
    if verdict.action is Action.GROWTH:
        return (
            *([reason_of(visit)] if verdict.takes_away else ()),
            *(["returned"] if verdict.returned else ()),
        )
    if verdict.action is Action.INTENDED and verdict.is_clear and settings.keep_deleted_seconds == 0:
        return ()  # it is not to be kept at all
    return (
        ("uncertain",)
        if stands(visit, settings) and verdict.action is Action.UNCERTAIN
        else (reason_of(visit),)
    )


class Acts:
    """Acts on the verdicts about one sessions directory."""

    def __init__(self, context: Context, standby: Standby) -> None:
        self.context = context
        self.directory = context.directory
        self.notes = context.notes
        self.copies = context.copies
        self.recorder = context.recorder
        self.standby = standby
        self.rolled_back = RolledBack(self.recorder, self.directory.path)
        self.taken_back = TakenBack(self.copies, self.recorder.incidents, self.directory)
        self._reported_no_exchange = False
        self._repaired: dict[str, float] = {}

    def goes_on(self, name: str) -> None:
        """The application has saved all that is known: what was repaired is its own again."""
        self.context.back_off.saved_all(name)
        self.recorder.incidents.goes_on(name)

    def index_changed(self) -> None:
        """Look at the index that the application has just written: after a repair it may say what was true before."""
        self.directory.index.note()
        now = self.context.clock.monotonic()
        for name, since in list(self._repaired.items()):
            if now - since > INDEX_SECONDS:
                del self._repaired[name]
            elif (messages := self.notes.seen.messages_of(name)) is not None:
                self.directory.correct_index(name, messages)

    def act(self, visit: Visit) -> bool:
        """Do what the verdict asks; return whether the file was gone by then, so that it is to be looked for."""
        match visit.verdict.action:
            case Action.WAIT:
                self.notes.defer(visit.name, visit.data, visit.verdict.wait_seconds, visit.writer_pid)
            case Action.GROWTH if visit.live:
                if visit.verdict.takes_away:
                    version = self._version(visit, reason_of(visit))
                    if visit.verdict.taken:
                        self._report_stripped(visit, version)
                    comparison = visit.verdict.comparison
                    if comparison and not comparison.added and not visit.shadow.is_long:
                        visit.live_copy.stripped = visit.shadow.stripped or visit.shadow
                self._note_returned(visit)
                self.goes_on(visit.name)
                self._stands(visit)
            case Action.INTENDED if visit.live:
                version = self._withdrawn(visit)
                self._note_taken_back(visit, version)
                self._stands(visit)
                self.recorder.note_intended(
                    visit.name,
                    visit.verdict,
                    messages_before=visit.messages_before,
                    messages_live=visit.messages_live,
                    version=version,
                    writer_pid=visit.writer_pid,
                )
            case Action.UNCERTAIN if stands(visit, self.context.settings):
                version = self._version(visit, "uncertain")
                self._stands(visit)
                self.recorder.record(
                    found(
                        "uncertain",
                        "kept",
                        visit.name,
                        visit.verdict,
                        messages_before=visit.messages_before,
                        messages_live=visit.messages_live,
                        messages_after=visit.messages_live,
                        version=version,
                        writer_pid=visit.writer_pid,
                    )
                )
                self.notes.totals.uncertain += 1
            case _:
                return self.repair(visit)
        return False

    def _stands(self, visit: Visit) -> None:
        """Live is right: who wrote it is known from now on, and it is the shadow."""
        self.notes.writers.stands(visit.name, visit.writer_pid)
        self.notes.retitled(visit.name, visit.shadow.abridged.settings, visit.live_copy.abridged.settings)
        self.context.keep(visit.name, visit.live_copy, visit.stamp)

    def _note_taken_back(self, visit: Visit, version: str) -> None:
        if comparison := visit.verdict.comparison:
            went = [comparison.old[index] for index in comparison.missing]
            self.taken_back.note(visit.name, version, went)

    def _note_returned(self, visit: Visit) -> None:
        """Tell once that a save brings again what a user had taken back; it stands, for the application wrote it."""
        verdict = visit.verdict
        if verdict.returned:
            if self.taken_back.is_backup(visit.name, visit.data):
                said = "it is the application's own backup (.json.bak), as its recovery puts it back"
                verdict = verdict._replace(evidence=(*verdict.evidence, said))
            self.recorder.note_returned(
                visit.name,
                verdict,
                count=verdict.returned,
                messages_before=visit.messages_before,
                messages_live=visit.messages_live,
                version=visit.again.version,
                displaced=self._version(visit, "returned"),
                writer_pid=visit.writer_pid,
            )
        if visit.may_come_again:
            self.taken_back.forget(visit.name, visit.may_come_again)

    def _report_stripped(self, visit: Visit, version: str) -> None:
        """Report what a save took away though every message is there, and how it comes back."""
        self.recorder.report(
            "stripped",
            visit.name,
            visit.verdict,
            parts=list(visit.verdict.taken),
            messages_live=visit.messages_live,
            version=version,
            writer_pid=visit.writer_pid,
        )

    def _withdrawn(self, visit: Visit) -> str:
        """Keep what a user took away on purpose, unless it was cleared and such things are not to be kept at all."""
        reasons = reasons_of(visit, self.context.settings)
        return self._version(visit, reasons[0]) if reasons else ""

    def _version(self, visit: Visit, reason: str) -> str:
        return self.copies.version(visit.name, visit.shadow.content, visit.messages_before, reason)

    def repair(self, visit: Visit) -> bool:
        """As `repairing`, to its end."""
        return finished(self.repairing(visit))

    def repairing(self, visit: Visit) -> Generator[Stamp, None, bool]:
        """Bring back what was lost, or note that it is to be done after a pause; return whether the file was gone by then.

        Yields when live is right (`repair.replace.placing`): what follows is bookkeeping.
        """
        name, now = visit.name, self.context.clock.monotonic()
        if (wait := self.context.back_off.wait_seconds(name, now)) > 0:
            if visit.verdict.comparison and visit.verdict.comparison.added:
                version = self.context.keep_version(name, visit.data, "displaced")
                self.context.back_off.note_version(name, version, visit.news)
            self.notes.deferred[name] = Deferred(now, now + wait, state_of(visit.data), visit.writer_pid)
            return False
        standby_file = None
        if visit.updated:
            standby_file = self.standby.files.take(name, prepared(visit.shadow), visit.updated, visit.stamp)
        ready, pieces = standby_file or (None, visit.pieces)
        began_ns = time.perf_counter_ns()
        try:
            made = yield from making_live(
                self.context,
                visit.target,
                pieces,
                shadow=visit.shadow,
                keep_shadow=True,
                ready=ready,
                earlier=visit.before_repair if visit.around.repaired else tuple,
                expected=visit.known_copy,
            )
        except FileNotFoundError:
            return True
        except OSError as error:
            self.context.cannot_repair(
                name, visit.shadow, visit.messages_live, visit.verdict, error, visit.writer_pid
            )
            return False
        verdict = visit.verdict
        self._repaired[name] = now
        if not made.is_exchanged and not self._reported_no_exchange:
            self._reported_no_exchange = True
            self.context.reporter.report("exchange_unavailable", path=str(self.directory.path))
        if self.context.back_off.repaired(name, now, visit.writer_pid):
            count = back_off.REPAIRS_BEFORE_BACK_OFF
            self.context.reporter.report(
                "backing_off", session=name, count=count, **back_off.writer(visit.writer_pid)
            )
        self.notes.totals.restored += 1
        added = verdict.comparison is not None and bool(verdict.comparison.added)
        event = {Action.UNCERTAIN: "uncertain", Action.MERGE: "merged"}.get(verdict.action, "restored")
        incident = self.recorder.record(
            found(
                event,
                "merged" if added else "restored",
                name,
                verdict,
                messages_before=visit.messages_before,
                messages_live=visit.messages_live,
                messages_after=made.copy.count,
                version=made.version,
                displaced=made.first_displaced,
                # What the application has saved meanwhile is its own, not a repair that it has yet to see.
                digest="" if made.is_written_since else made.copy.digest,
                writer_pid=visit.writer_pid,
                duration_us=(made.exchanged_ns - visit.began_ns) // 1000,
            ),
            is_reported=not (visit.goes_back and self.rolled_back.belongs(now)),
        )
        if visit.goes_back:
            self.rolled_back.note(name, incident.id, now)
        if self.context.back_off.is_backing_off(name):
            self._tidy_versions(visit, made.copy, [made.version, *made.displaced])
            # What it costs to judge a save is spent in a pause too.
            self.context.back_off.cost(name, (time.perf_counter_ns() - began_ns) / 1e9)
        return False

    def _tidy_versions(self, visit: Visit, copy: Copy, versions: list[str]) -> None:
        """Remove what a back-off has put into the history, but for the newest few and what stands nowhere else."""
        known = self.context.back_off
        for number, version in enumerate(versions):
            known.note_version(visit.name, version, visit.news if number else ())
        for name in known.outdated(visit.name, (message.identity for message in copy.document.messages)):
            self.copies.remove_version(visit.name, name)
