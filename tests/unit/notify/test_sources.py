"""The journal as real files: what counts as the guard's, and from where on it is read."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hermesguard.events import sinks
from hermesguard.events.reporter import Reporter
from hermesguard.events.sinks import FileLog
from hermesguard.notify.sources import Files, Identity, IncidentLog, Journal, OffsiteLog, journal_knows
from hermesguard.notify.state import State
from hermesguard.store import incidents
from hermesguard.store.incidents import Incident
from tests.helpers.journals import UNIT, Journals, incident, of_death, of_guard

NAMES = frozenset({"unrepaired", "watch_lost", "died"})
SOME_TIME = 1_800_000_000.0


def alice() -> Identity:
    return Identity(os.getuid(), UNIT)


def numbers(source: Journal, state: State) -> list[object]:
    return [alert.values.get("incident") for alert in source.read(state)]


def test_what_comes_is_read_once_and_in_order(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    journals.write(*(incident(number) for number in range(3)), at=SOME_TIME)
    state = State(since=SOME_TIME - 1)
    journal = Journal(alice(), NAMES, tmp_path)
    assert numbers(journal, state) == ["0", "1", "2"]
    assert numbers(journal, state) == []
    journals.write(incident(3), of_guard("started"), incident(4), at=SOME_TIME + 1)
    assert numbers(journal, state) == ["3", "4"], "it follows, and leaves out what nobody asked for"
    journal.close()


def test_another_process_goes_on_where_this_one_was(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    journals.write(*(incident(number) for number in range(700)), at=SOME_TIME)
    state = State(since=0.0)
    first = Journal(alice(), NAMES, tmp_path)
    read = numbers(first, state)
    assert len(read) == 500
    first.close()
    second = Journal(alice(), NAMES, tmp_path)
    assert read + numbers(second, state) == [str(number) for number in range(700)]
    second.close()


def test_the_first_time_the_past_is_left_alone(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    journals.write(incident(1), at=SOME_TIME)
    journals.write(incident(2), at=SOME_TIME + 100)
    assert numbers(Journal(alice(), NAMES, tmp_path), State(since=SOME_TIME + 50)) == ["2"]


@pytest.mark.parametrize(
    "forged",
    [
        {"_UID": "4242"},
        {"_SYSTEMD_UNIT": "session-3.scope"},
        {"_SYSTEMD_UNIT": "hermesguard@bob.service"},
        {"_SYSTEMD_UNIT": "", "UNIT": UNIT},
    ],
    ids=lambda fields: " ".join(fields.values()),
)
def test_what_anybody_else_writes_does_not_count(tmp_path: Path, forged: dict[str, str]) -> None:
    journals = Journals(tmp_path)
    journals.write(incident(1) | forged, incident(2), at=SOME_TIME)
    assert numbers(Journal(alice(), NAMES, tmp_path), State()) == ["2"]
    assert not alice().wrote(incident(1) | forged)
    assert alice().wrote(incident(2))


def test_a_death_is_believed_from_the_service_manager_alone(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    own = f"user@{os.getuid()}.service"
    journals.write(
        of_death("forged", _PID="815", _UID=str(os.getuid()), _SYSTEMD_UNIT="session-3.scope"),
        of_death("another", unit="hermesguard@bob.service"),
        of_death("watchdog"),
        of_death("signal", _PID="900", _UID=str(os.getuid()), _SYSTEMD_UNIT=own)
        | {"USER_UNIT": UNIT, "UNIT": ""},
        at=SOME_TIME,
    )
    found = Journal(alice(), NAMES, tmp_path).read(State())
    assert [alert.values["reason"] for alert in found] == ["watchdog", "signal"]


def test_without_a_unit_whatever_the_owner_runs_counts(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    journals.write(
        incident(1) | {"_SYSTEMD_UNIT": "docker.service"}, incident(2) | {"_UID": "4242"}, at=SOME_TIME
    )
    assert numbers(Journal(Identity(os.getuid(), ""), NAMES, tmp_path), State()) == ["1"]


def test_it_is_known_whether_the_guard_writes_into_the_journal(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    assert not journal_knows(alice(), tmp_path)
    journals.write(of_guard("started") | {"_UID": "4242"})
    assert not journal_knows(alice(), tmp_path)
    journals.write(of_guard("started"))
    assert journal_knows(alice(), tmp_path)
    assert not journal_knows(alice(), tmp_path / "absent")


def test_the_incidents_of_the_store_are_read_by_their_numbers(tmp_path: Path) -> None:
    def write(*numbers: int, event: str = "unrepaired") -> None:
        with (tmp_path / "incidents.jsonl").open("ab") as file:
            for number in numbers:
                file.write(Incident(str(number), "2027-01-15T08:00:00+00:00", "3f2a", event, "failed").line())

    log, state = IncidentLog(tmp_path), State(since=SOME_TIME)
    assert log.read(state) == [], "there is no store yet"
    write(1, 2)
    assert [alert.values["incident"] for alert in log.read(state)] == ["1", "2"]
    write(4, 1, 3)  # the first one has grown
    write(5, event="undone")
    assert [alert.values["incident"] for alert in IncidentLog(tmp_path).read(state)] == ["4", "3"]
    assert log.read(state) == []


COPIES = frozenset({"offsite_failing", "offsite_held", "offsite_died", "unrepaired", "died"})


def test_the_copies_are_heard_of_themselves_alone(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    offsite = alice().offsite_unit
    assert offsite == "hermesguard-offsite@alice.service"
    journals.write(
        of_guard("offsite_failing", unit=offsite, error="the key was refused", seconds=90.0),
        of_guard("offsite_held", unit=UNIT, sessions=1, files=2),  # the guard does not say such a thing
        incident(1) | {"_SYSTEMD_UNIT": offsite},  # and who has the network says nothing for the guard
        of_guard("offsite_held", unit=offsite, sessions=1, files=2),
        of_guard("offsite_held", unit="hermesguard-offsite@bob.service", sessions=5, files=5),
        of_death("exit-code", unit=offsite),
        of_death("exit-code", unit="hermesguard-offsite@bob.service"),
        at=SOME_TIME,
    )
    found = Journal(alice(), COPIES, tmp_path).read(State())
    assert [alert.name for alert in found] == ["offsite_failing", "offsite_held", "offsite_died"]
    assert found[0].values == {"error": "the key was refused", "seconds": 90.0}
    assert found[2].values == {"path": offsite, "reason": "exit-code"}


@pytest.mark.parametrize(
    ("unit", "beside"),
    [
        ("hermesguard.service", "hermesguard-offsite.service"),
        ("hermesguard@a-b.service", "hermesguard-offsite@a-b.service"),
        ("my-guard.service", "hermesguard-offsite.service"),
        ("", ""),
    ],
)
def test_each_guard_has_its_copies_unit(unit: str, beside: str) -> None:
    assert Identity(1000, unit).offsite_unit == beside


def test_without_a_unit_the_copies_count_too(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    journals.write(of_guard("offsite_failing", unit="docker.service", error="x"), at=SOME_TIME)
    found = Journal(Identity(os.getuid(), ""), COPIES, tmp_path).read(State())
    assert [alert.name for alert in found] == ["offsite_failing"]


def test_a_cursor_that_is_none_goes_on_by_time(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    journals.write(*(incident(number) for number in range(3)), at=SOME_TIME)
    state = State(since=SOME_TIME - 1)
    assert numbers(Journal(alice(), NAMES, tmp_path), state) == ["0", "1", "2"]
    state.cursor = "no cursor of any journal"
    journals.write(incident(3), at=SOME_TIME + 1)
    assert numbers(Journal(alice(), NAMES, tmp_path), state) == ["3"], "nothing twice, nothing missed"


def test_a_journal_that_was_vacuumed_goes_on_with_what_came_since(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    journals.write(*(incident(number) for number in range(3)), at=SOME_TIME)
    state = State(since=SOME_TIME - 1)
    followed = Journal(alice(), NAMES, tmp_path)
    assert numbers(followed, state) == ["0", "1", "2"]
    (tmp_path / "system.journal").unlink()
    journals.write(incident(7), at=SOME_TIME + 5)
    assert numbers(Journal(alice(), NAMES, tmp_path), state) == ["7"]
    followed.close()


def test_a_journal_that_is_rotated_under_the_reader_is_followed_on(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    journals.write(incident(0), at=SOME_TIME)
    state = State(since=SOME_TIME - 1)
    journal = Journal(alice(), NAMES, tmp_path)
    assert numbers(journal, state) == ["0"]
    (tmp_path / "system.journal").rename(tmp_path / "system@1.journal")
    journals.write(incident(1), at=SOME_TIME + 1)
    assert numbers(journal, state) == ["1"]
    assert numbers(Journal(alice(), NAMES, tmp_path), state) == []
    journal.close()


def logged(
    path: Path, *numbers: int, event: str = "unrepaired", at: float = SOME_TIME, session: str = "3f2a"
) -> None:
    """Incidents of a log, a second apart."""
    with (path / "incidents.jsonl").open("ab") as file:
        for number in numbers:
            moment = datetime.fromtimestamp(at + number, UTC).isoformat()
            file.write(Incident(str(number), moment, session, event, "failed").line())


def told(path: Path, state: State) -> list[object]:
    return [alert.values["incident"] for alert in IncidentLog(path).read(state)]


def test_an_incident_log_that_begins_anew_is_told_from_its_beginning(tmp_path: Path) -> None:
    state = State(since=SOME_TIME)
    logged(tmp_path, 1, 2, 3)
    assert told(tmp_path, state) == ["1", "2", "3"]
    (tmp_path / "incidents.jsonl").unlink()
    assert told(tmp_path, state) == []
    logged(tmp_path, 1, 2, at=SOME_TIME + 100)
    assert told(tmp_path, state) == ["1", "2"], "the numbers are lower than those that were read"
    logged(tmp_path, 3, at=SOME_TIME + 100)
    assert told(tmp_path, state) == ["3"]


def test_another_log_with_more_incidents_is_seen_to_be_another(tmp_path: Path) -> None:
    state = State(since=SOME_TIME)
    logged(tmp_path, 1, 2, 3)
    told(tmp_path, state)
    (tmp_path / "incidents.jsonl").unlink()
    logged(tmp_path, 1, 2, 3, 4, 5, at=SOME_TIME + 100, session="4b1c")
    assert told(tmp_path, state) == ["1", "2", "3", "4", "5"]


def test_a_log_that_was_put_back_from_a_copy_tells_nothing_twice(tmp_path: Path) -> None:
    state = State(since=SOME_TIME)
    logged(tmp_path, 1, 2)
    before = (tmp_path / "incidents.jsonl").read_bytes()
    logged(tmp_path, 3, 4)
    assert told(tmp_path, state) == ["1", "2", "3", "4"]
    (tmp_path / "incidents.jsonl").write_bytes(before)
    assert told(tmp_path, state) == []
    logged(tmp_path, 3, at=SOME_TIME + 100)
    assert told(tmp_path, state) == ["3"], "the guard goes on where the copy ends"


def test_a_purge_makes_no_other_log(tmp_path: Path) -> None:
    state = State(since=SOME_TIME)
    logged(tmp_path, 1, 2)
    assert told(tmp_path, state) == ["1", "2"]
    (tmp_path / "incidents.jsonl").unlink()
    logged(tmp_path, 1, 2, event="purged", session="")
    logged(tmp_path, 3)
    assert told(tmp_path, state) == ["3"]


def test_what_the_copies_wrote_down_is_told_where_no_journal_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HERMESGUARD_OFFSITE_STATE", raising=False)
    store, beside = tmp_path / "store", tmp_path / "store.offsite"
    beside.mkdir()
    reporter = Reporter([FileLog(beside / "events.jsonl")])
    source, state = Files(store), State()
    assert source.read(state) == []
    reporter.report("offsite_failing", error="the key was refused", seconds=90.0)
    reporter.report("offsite_skipped", session="3f2a", error="rot")
    (failing, skipped) = source.read(state)
    assert (failing.name, failing.values) == (
        "offsite_failing",
        {"error": "the key was refused", "seconds": 90.0},
    )
    assert skipped.name == "offsite_skipped"
    assert Files(store).read(state) == [], "once, whoever asks"
    with (beside / "events.jsonl").open("a") as file:
        file.write(
            '{"number": 9999999999999999, "event": "restored", "time": "2027-01-15T08:00:00Z"}\n{"torn'
        )
    assert source.read(state) == [], "it speaks for the copies alone"
    (beside / "events.jsonl").unlink()
    monkeypatch.setenv("HERMESGUARD_OFFSITE_STATE", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    other = Reporter([FileLog(tmp_path / "elsewhere" / "events.jsonl")])
    other.report("offsite_again")
    assert [alert.name for alert in Files(store).read(State())] == ["offsite_again"]


def test_a_log_of_the_copies_stays_small_and_its_numbers_rise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "_LARGEST_LOG_BYTES", 50_000)
    monkeypatch.setattr(sinks, "_KEPT_LINES", 20)
    path, state, heard = tmp_path / "events.jsonl", State(), 0
    reporter = Reporter([FileLog(path)])
    log = OffsiteLog(path)
    for _ in range(300):
        reporter.report("offsite_failing", error="x" * 100)
        heard += len(log.read(state))
    assert heard == 300
    assert path.stat().st_size <= 51_000
    before = sinks.read_log(path)[-1][0]
    path.unlink()
    Reporter([FileLog(path)]).report("offsite_again")
    assert sinks.read_log(path)[-1][0] > before, "a log that was lost uses no number again"


def test_an_incident_that_comes_while_the_parts_are_read_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "directories/work"
    (part / "shadows").mkdir(parents=True)
    (part / "sessions").write_text(f"/home/alice/.hermes/profiles/work/webui/sessions\n{part}\n")
    logged(tmp_path, 1)
    logged(part, 2)
    log, state = IncidentLog(tmp_path), State(since=SOME_TIME)
    read_all = incidents.read_all

    def read_as_two_come(store: Path) -> list[Incident]:
        found = read_all(store)
        if store == tmp_path and not any(one.id == "3" for one in found):
            logged(tmp_path, 3)
            logged(part, 4)
        return found

    monkeypatch.setattr(incidents, "read_all", read_as_two_come)
    heard = [alert.values["incident"] for _ in range(3) for alert in log.read(state)]
    assert sorted(map(str, heard)) == ["1", "2", "3", "4"]
