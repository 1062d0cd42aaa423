"""The journal as real files: what counts as the guard's, and from where on it is read."""

import os
from pathlib import Path

import pytest

from hermesguard.notify.sources import Identity, IncidentLog, Journal, journal_knows
from hermesguard.notify.state import State
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
