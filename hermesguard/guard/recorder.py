"""Records incidents, and reports them."""

import contextlib
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from hermesguard.clock import Clock
from hermesguard.events.reporter import Reporter
from hermesguard.guard.back_off import ALERT_INTERVAL_SECONDS, BackOff
from hermesguard.judge.judge import Verdict
from hermesguard.store.cached_store import Copies
from hermesguard.store.incidents import INTENDED, Incident, IncidentLog, resolved
from hermesguard.webui import session
from hermesguard.webui.session import Document, Unreadable

_REPAIRS = frozenset({"restored", "merged", "uncertain", "missing"})


_NOT_REPORTED = frozenset(
    {
        *("id", "time", "event", "evidence", "against", "digest", "writer_command", "resolves"),
        *("names", "members", "title"),
    }
)
_REPORTED_OF_USERS = ("session", "messages_before", "messages_after")


def found(event: str, action: str, session: str, verdict: Verdict, **known: Any) -> Incident:
    """Return the incident, yet without number and time, that the guard did `action` about what the judge said."""
    return Incident(
        id="",
        time="",
        session=session,
        event=event,
        action=action,
        verdict=str(verdict.action),
        rule=verdict.rule,
        evidence=verdict.evidence,
        against=verdict.against,
        messages_lost=verdict.messages_lost,
        **known,
    )


class Recorder:
    """The incident log and the reporter, as one: what is recorded is reported, what is reported is recorded."""

    def __init__(
        self, incidents: IncidentLog, copies: Copies, reporter: Reporter, back_off: BackOff, clock: Clock
    ) -> None:
        self.incidents = incidents
        self._copies = copies
        self._reporter = reporter
        self._back_off = back_off
        self._clock = clock
        self._held_back: dict[str, int] = {}

    def record(self, incident: Incident, *, is_reported: bool = True) -> Incident:
        """Give an incident its number, its time and the command that reverses it; write it into the log and report it.

        At most one alert a minute goes out for one session. Returns the incident; a store that does not take it is reported,
        and the line is written when it does. One that is not reported is one of many, which another event reports.
        """
        name = incident.session
        if not incident.is_by_user:
            incident = incident._replace(id=self._growing(name))
        incident = self.note(incident)
        if not incident.is_by_user:
            self._back_off.note_incident(name, incident.id)
        if is_reported and self._may_alert(incident.event, incident.session):
            fields = {key: value for key, value in incident._asdict().items() if key not in _NOT_REPORTED}
            if incident.is_by_user:
                fields = {key: fields[key] for key in _REPORTED_OF_USERS}
            fields |= (
                {"evidence": list(incident.evidence), "against": list(incident.against)}
                if incident.verdict
                else {}
            )
            self._reporter.report(
                incident.event, **_present(incident=incident.resolves or incident.id, **fields)
            )
        return incident

    def note(self, incident: Incident) -> Incident:
        """As `record`, without a report."""
        number = incident.id or self.incidents.next_id()
        incident = incident._replace(id=number, time=self._clock.now().isoformat())
        if not (incident.is_by_user or incident.resolves):
            incident = incident._replace(undo=self._undo(incident, number))
        try:
            self.incidents.append(incident)
        except OSError as problem:
            self._copies.refused(problem)
        return incident

    @staticmethod
    def _undo(incident: Incident, number: str) -> str:
        """Return the command that reverses an incident; empty for a note of which the history has no version."""
        if incident.is_note:
            return f"hermesguard undo {number}" if incident.version else ""
        return f"hermesguard undo {number}"

    def note_intended(self, name: str, verdict: Verdict, **known: Any) -> None:
        """Write down and report that a user took something away; that is no incident, but the log can tell why it stands."""
        noted = self.note(found(INTENDED, "stands", name, verdict, **known))
        self.report(INTENDED, name, verdict, incident=noted.id, **known)

    def note_returned(self, name: str, verdict: Verdict, *, count: int, **known: Any) -> None:
        """Write down and report that a save brings again what a user had taken away; that stands, and no repair is made."""
        noted = self.note(found("returned", "returned", name, verdict, **known))
        self.report("returned", name, verdict, incident=noted.id, undo=noted.undo, count=count, **known)

    def rolled_back(self, repairs: Mapping[str, str], directory: Path) -> None:
        """Record and report that many sessions went back to an older state at once; `repairs` gives the incident of each."""
        names = sorted(repairs)
        evidence = (f"{len(names)} sessions went back to an older state at once",)
        members = tuple(repairs[name] for name in names)
        incident = self.note(
            Incident(
                *("", "", "", "rolled_back", "restored"),
                evidence=evidence,
                names=tuple(names),
                members=members,
            )
        )
        self._reporter.report(
            "rolled_back",
            count=len(names),
            path=str(directory),
            names=names,
            incident=incident.id,
            undo=incident.undo,
        )

    def _growing(self, name: str) -> str:
        """Return the incident that a repair in a back-off belongs to; empty when it is one of its own."""
        number = self._back_off.incident(name)
        return "" if number in self.incidents.resolved else number

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
        """Record and report that what happened since resolves an open incident."""
        self.note(Incident("", "", name, "resolved", "resolved", evidence=(reason,), resolves=incident))
        self._reporter.report("resolved", session=name, incident=incident, reason=reason)

    def _may_alert(self, event: str, name: str) -> bool:
        """Return whether this goes out now: repairs of one session are reported once a minute, the others are counted."""
        if event not in _REPAIRS:
            return True
        if self._back_off.alert(name, self._clock.monotonic()):
            self._report_held_back(name)
            return True
        self._held_back[name] = self._held_back.get(name, 0) + 1
        return False

    @property
    def is_idle(self) -> bool:
        """Return whether there is nothing that `report_held_back` will have to report."""
        return not self._held_back and self._back_off.is_idle

    def report_held_back(self, at_once: bool = False) -> None:
        """Report back-offs that ended, and repairs that were counted, when their minute is over or `at_once`."""
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
        """Report something about a session that is no incident."""
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
