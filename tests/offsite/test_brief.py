"""What `hermesguard status` and the notifier hear of the copies: failing, held, late, silent, ended; and when that is over."""

import dataclasses
import json
import sqlite3
import time
from pathlib import Path

import pytest

from hermesguard.config import settings as config
from hermesguard.config.settings import Settings
from hermesguard.demo.app import App
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import Reporter
from hermesguard.offsite import brief, overview, process
from hermesguard.offsite.bucket import Bucket, BucketError
from hermesguard.offsite.state import State
from tests.helpers.copies import Copies
from tests.helpers.world import World


def settings_of(copies: Copies, **more: str) -> Settings:
    """A configuration for these copies, as `status` reads it."""
    path = copies.root / "hermesguard.toml"
    recipient = copies.options.recipients[0]
    values = {"url": f'"{copies.options.url}"', "recipients": f'["{recipient}"]'} | more
    path.write_text("[offsite]\n" + "\n".join(f"{key} = {value}" for key, value in values.items()))
    places = {"sessions": str(copies.root), "store": str(copies.options.store)}
    environment = {"HOME": str(copies.root), "HERMESGUARD_OFFSITE_STATE": str(copies.options.state)}
    return config.load(places, environment, [path])


@pytest.fixture
def copies(world: World, app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copies:
    monkeypatch.setenv("HERMESGUARD_OFFSITE_STATE", str(tmp_path / "copies" / "state"))
    app.create(turns=3)
    world.scan()
    return Copies(world.store_path, tmp_path / "copies")


class Away(Bucket):
    """A storage that says no."""

    def put(self, name: str, source: Path) -> None:
        raise BucketError("the storage answered 403 Forbidden", is_refusal=True)


def troubles(copies: Copies, **more: str) -> list[str]:
    found = brief.summary(settings_of(copies, **more))
    assert found is not None
    return [what for what, _ in brief.troubles(found)]


def test_nothing_is_said_of_what_nobody_asked_for(copies: Copies) -> None:
    assert brief.summary(settings_of(copies, url='"off"')) is None


def test_what_is_configured_and_never_ran_is_said(copies: Copies) -> None:
    copies.state.close()
    (copies.options.state / "state.sqlite").unlink()
    assert troubles(copies) == ["no hermesguard offsite runs for this store"]


def test_a_configuration_that_is_wrong_is_said_and_costs_nothing_else(copies: Copies) -> None:
    (said,) = troubles(copies, intervall='"1m"')
    assert "The nearest is interval" in said


def test_a_state_that_is_just_being_made_is_none_yet(copies: Copies) -> None:
    """SQLite makes the file before what is in it: `status`, typed in that moment, said that the state cannot be read."""
    copies.state.close()
    state = copies.options.state / "state.sqlite"
    state.write_bytes(b"")

    said = brief.summary(settings_of(copies))

    assert said is not None
    assert (said["problem"], said["last_copy"]) == ("", "")
    assert overview.overview(copies.options).sessions_safe == 0
    assert state.read_bytes() == b""


def test_a_state_that_is_locked_as_it_is_looked_at_stops_no_command(
    copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at it may find that it is being written just then; whatever comes of it, it is said, and `status` goes on."""
    looks = iter([1])

    def version(state: State) -> int:
        for number in looks:
            return number
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(State, "_version", version)
    assert brief.summary(settings_of(copies)) is not None
    said = brief.summary(settings_of(copies))
    assert said is not None
    assert "database is locked" in said["problem"]


def test_a_state_that_is_damaged_is_said(copies: Copies) -> None:
    copies.state.close()
    (copies.options.state / "state.sqlite").write_bytes(b"no database at all" * 100)
    (said,) = troubles(copies)
    assert "cannot be" in said


def test_what_is_safe_and_what_waits_is_said(world: World, app: App, copies: Copies) -> None:
    copies.turn()
    found = brief.summary(settings_of(copies))
    assert found is not None
    assert (found["waiting_files"], found["lag_seconds"], found["error"]) == (0, 0.0, "")
    assert found["last_copy"]
    copies.make = lambda: Away(copies.options.url)
    copies.start()
    app.create(turns=2)
    world.scan()
    copies.turn()
    found = brief.summary(settings_of(copies))
    assert found is not None
    assert (found["waiting_files"] > 0, "403" in found["error"]) == (True, True)


def test_a_failure_is_told_once_by_all_processes_and_so_is_its_end(
    world: World, app: App, copies: Copies
) -> None:
    copies.turn()
    copies.make = lambda: Away(copies.options.url)
    copies.start()
    app.create(turns=2)
    world.scan()
    for _ in range(5):
        copies.turn(900)
    assert [name for name, _ in copies.reports] == ["offsite_failing"]
    assert "offsite copying fails: the storage answered 403 Forbidden" in troubles(copies)
    copies.start()
    for _ in range(5):
        copies.turn(900)
    assert [name for name, _ in copies.reports] == ["offsite_failing"], (
        "the next process does not tell it again"
    )
    copies.make = lambda: Bucket(copies.options.url)
    copies.start()
    copies.turn(900)
    assert [name for name, _ in copies.reports] == ["offsite_failing", "offsite_again"]
    copies.start()
    copies.turn(900)
    assert len(copies.reports) == 2


def test_what_waits_for_too_long_and_who_looks_no_longer(copies: Copies) -> None:
    found = {
        "problem": "",
        "running": True,
        "by_timer": False,
        "error": "",
        "held_sessions": 0,
        "waiting_files": 3,
        "lag_seconds": 1700.0,
        "silent_seconds": 10.0,
        "interval_seconds": 30.0,
    }
    assert brief.troubles(found) == []
    assert "wait for too long" in brief.troubles(found | {"lag_seconds": 1900.0})[0][0]
    assert brief.troubles(found | {"lag_seconds": 1900.0, "interval_seconds": 700.0}) == []
    assert "has not looked" in brief.troubles(found | {"silent_seconds": 1900.0})[0][0]
    assert "no hermesguard offsite runs" in brief.troubles(found | {"running": False})[0][0]
    assert brief.troubles(found | {"running": False, "by_timer": True}) == []
    assert "2 sessions left" in brief.troubles(found | {"held_sessions": 2})[0][0]


def test_a_timer_that_has_stopped_is_said_after_a_day(copies: Copies) -> None:
    copies.turn()
    copies.state.note(once=1, looked_ns=time.time_ns())
    assert troubles(copies) == []
    assert overview.overview(copies.options).problems() == []
    copies.state.note(looked_ns=time.time_ns() - int(27 * 3600e9))
    assert troubles(copies) == ["no hermesguard offsite runs for this store"]


def test_what_is_reported_is_written_down_for_whoever_reads_no_journal(copies: Copies) -> None:
    options = dataclasses.replace(copies.options, url=f"file://{copies.root}/disk")
    assert process.run(options, Reporter([]), {}, once=True) == ExitCode.OK
    lines = (options.state / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["offsite_started"]
    assert process.run(options, Reporter([]), {}, once=True) == ExitCode.OK
    one, two = (
        json.loads(line)["number"] for line in (options.state / "events.jsonl").read_text().splitlines()
    )
    assert one < two
    (options.state / "events.jsonl").unlink()
    (options.state / "events.jsonl").mkdir()
    with pytest.raises(GuardError, match="cannot be written"):
        process.run(options, Reporter([]), {}, once=True)
