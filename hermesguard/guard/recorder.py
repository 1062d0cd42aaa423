"""Writing incidents down and telling of them."""

import contextlib
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from hermesguard.clock import Clock
from hermesguard.events.reporter import Reporter
from hermesguard.guard.back_off import ALERT_INTERVAL_SECONDS, BackOff
from hermesguard.judge.judge import Verdict
from hermesguard.store.cached_store import Copies
from hermesguard.store.incidents import Incident, IncidentLog, resolved
from hermesguard.webui import session
from hermesguard.webui.session import Document, Unreadable

_REPAIRS = frozenset({"restored", "merged", "uncertain", "missing"})


class Recorder:
    """The incident log and the reporter, as one: what is written is told, what is told is written."""

    def __init__(
        self, incidents: IncidentLog, copies: Copies, reporter: Reporter, back_off: BackOff, clock: Clock
    ) -> None:
        self.incidents = incidents
        self._copies = copies
        self._reporter = reporter
        self._back_off = back_off
        self._clock = clock
        self._held_back: dict[str, int] = {}

    def record(
        self,
        event: str,
        action: str,
        name: str,
        verdict: Verdict,
        messages_before: int | None,
        messages_live: int | None,
        messages_after: int | None,
        *,
        version: str = "",
        displaced: str = "",
        digest: str = "",
        writer_pid: int | None = None,
        duration_us: int | None = None,
        error: str = "",
        is_reported: bool = True,
    ) -> Incident:
        """Write an incident into the log and tell it, at most one alert a minute for one session. Returns the incident.

        One that is not reported by itself is one of many, of which another event tells.
        """
        number = self.incidents.next_id()
        incident = Incident(
            id=number,
            time=self._clock.now().isoformat(),
            session=name,
            event=event,
            action=action,
            verdict=str(verdict.action),
            rule=verdict.rule,
            evidence=verdict.evidence,
            against=verdict.against,
            messages_before=messages_before,
            messages_live=messages_live,
            messages_after=messages_after,
            version=version,
            displaced=displaced,
            digest=digest,
            writer_pid=writer_pid,
            duration_us=duration_us,
            undo=f"hermesguard undo {number}",
        )
        try:
            self.incidents.append(incident)
        except OSError as problem:
            self._copies.refused(problem)
        if not is_reported or not self._may_alert(event, name):
            return incident
        self._reporter.report(
            event,
            **_present(
                session=name,
                incident=number,
                verdict=incident.verdict,
                action=action,
                rule=verdict.rule,
                evidence=list(verdict.evidence),
                against=list(verdict.against),
                messages_before=messages_before,
                messages_live=messages_live,
                messages_after=messages_after,
                messages_lost=verdict.messages_lost,
                version=version,
                displaced=displaced,
                writer_pid=writer_pid,
                duration_us=duration_us,
                error=error,
                undo=incident.undo,
            ),
        )
        return incident

    def rolled_back(self, repairs: Mapping[str, str], directory: Path) -> None:
        """Write down and tell that many sessions went back to an older state at once; `repairs` gives the incident of each."""
        names = sorted(repairs)
        number = self.incidents.next_id()
        incident = Incident(
            id=number,
            time=self._clock.now().isoformat(),
            session="",
            event="rolled_back",
            action="restored",
            evidence=(f"{len(names)} sessions went back to an older state at once",),
            names=tuple(names),
            members=tuple(repairs[name] for name in names),
            undo=f"hermesguard undo {number}",
        )
        try:
            self.incidents.append(incident)
        except OSError as problem:
            self._copies.refused(problem)
        self._reporter.report(
            "rolled_back",
            count=len(names),
            path=str(directory),
            names=names,
            incident=number,
            undo=incident.undo,
        )

    def before_repair(self, name: str) -> tuple[Document, ...]:
        """Return the files that a session's last repairs were made of, those that the history has.

        That is back to where the application last saved all of it: where a repair was not made of what the one before had made.
        """
        repairs = self.incidents.repairs.get(name, [])[::-1]
        store = self._copies.store
        versions = {version.name: version for version in store.versions(name)} if repairs else {}
        found = []
        for repair, earlier in zip_longest(repairs, repairs[1:]):
            before = versions.get(repair.version)
            for side in filter(None, (before, versions.get(repair.displaced))):
                with contextlib.suppress(OSError, Unreadable):
                    found.append(session.parse(store.read_version(side)))
            if earlier is None or earlier.digest != (before.digest if before else repair.digest):
                break
        return tuple(found)

    def open_incident(self, name: str, action: str) -> str:
        """Return the id of the newest incident of a session in which the guard did `action` and which is not resolved, or ""."""
        log = self.incidents.all()
        done = resolved(log)
        found = (
            entry.id
            for entry in reversed(log)
            if entry.session == name and entry.action == action and entry.id not in done
        )
        return next(found, "")

    def resolve(self, incident: str, name: str, reason: str) -> None:
        """Write down and tell that what happened since has answered an open incident."""
        entry = Incident(
            id=self.incidents.next_id(),
            time=self._clock.now().isoformat(),
            session=name,
            event="resolved",
            action="resolved",
            evidence=(reason,),
            resolves=incident,
        )
        try:
            self.incidents.append(entry)
        except OSError as problem:
            self._copies.refused(problem)
        self._reporter.report("resolved", session=name, incident=incident, reason=reason)

    def _may_alert(self, event: str, name: str) -> bool:
        """Return whether this goes out now: repairs of one session are told once a minute, the others are counted."""
        if event not in _REPAIRS:
            return True
        if self._back_off.alert(name, self._clock.monotonic()):
            self._report_held_back(name)
            return True
        self._held_back[name] = self._held_back.get(name, 0) + 1
        return False

    def report_held_back(self, at_once: bool = False) -> None:
        """Tell which back_off are over; and how many repairs were counted instead of told, when their minute is over or at
        once.
        """
        for name, count in self._back_off.over(self._clock.monotonic()):
            self._reporter.report("back_off_ended", session=name, count=count)
        for name in list(self._held_back):
            if at_once or self._back_off.alert(name, self._clock.monotonic()):
                self._report_held_back(name)

    def _report_held_back(self, name: str) -> None:
        if count := self._held_back.pop(name, 0):
            self._reporter.report(
                "suppressed", session=name, count=count, action="repaired", seconds=ALERT_INTERVAL_SECONDS
            )

    def report(self, event: str, name: str, verdict: Verdict, **fields: object) -> None:
        """Tell something about a session that is no incident."""
        self._reporter.report(
            event,
            **_present(
                session=name,
                rule=verdict.rule,
                verdict=str(verdict.action),
                evidence=list(verdict.evidence),
                against=list(verdict.against),
                **fields,
            ),
        )


def _present(**fields: object) -> dict[str, object]:
    return {key: value for key, value in fields.items() if value not in (None, "", [], ())}
