"""The mass-change brake alone: what it holds, tells, writes down and reads again."""

from pathlib import Path

import pytest

from hermesguard.guard.gone.brake import HOT_SECONDS, MassChangeBrake
from tests.helpers.world import Ear

SESSIONS = ("20260101_000000_aaaaaa", "20260101_000000_bbbbbb", "20260101_000000_cccccc")


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def brake(tmp_path: Path, ear: Ear) -> MassChangeBrake:
    return again(tmp_path, ear)


def again(store: Path, ear: Ear) -> MassChangeBrake:
    """A brake as after a start on this store."""
    return MassChangeBrake(store / "held", store / "sessions", ear)


def test_it_tells_once_when_it_begins_to_hold_and_once_when_nothing_is_held(
    brake: MassChangeBrake, ear: Ear
) -> None:
    brake.pull(SESSIONS[:2], 0.0, "why")
    brake.pull(SESSIONS[2:], 1.0, "why")
    assert ear.heard == [
        ("mass_change_held", {"count": 2, "path": str(brake._directory), "reason": "why"}),
    ]
    for name in (*SESSIONS, "unknown", SESSIONS[0]):
        brake.let_go(name)
    assert ear.heard[1:] == [("mass_change_released", {"count": 3, "path": str(brake._directory)})]
    brake.pull(SESSIONS[:1], 100.0, "again")
    brake.let_go(SESSIONS[0])
    assert [fields["count"] for _, fields in ear.heard] == [2, 3, 1, 1]


def test_what_vanishes_soon_after_belongs_to_it(brake: MassChangeBrake) -> None:
    assert not brake.is_hot(0.0)
    brake.pull(SESSIONS[:1], 0.0, "why")
    assert brake.is_hot(HOT_SECONDS - 0.1)
    assert not brake.is_hot(HOT_SECONDS)
    brake.pull(SESSIONS[1:2], HOT_SECONDS, "why")
    assert brake.is_hot(2 * HOT_SECONDS - 0.1)
    for name in SESSIONS:
        brake.let_go(name)
    assert not brake.is_hot(HOT_SECONDS)


def test_what_is_held_survives_a_restart(brake: MassChangeBrake, tmp_path: Path, ear: Ear) -> None:
    brake.pull(SESSIONS, 0.0, "why")
    brake.write_down(SESSIONS)
    after = again(tmp_path, ear)
    assert after.read() == ""
    assert after.held == set(SESSIONS)
    after.let_go(SESSIONS[0])
    after.write_down(SESSIONS)
    third = again(tmp_path, ear)
    third.read()
    assert third.held == set(SESSIONS[1:])


def test_who_is_not_known_any_more_is_not_held(brake: MassChangeBrake, tmp_path: Path, ear: Ear) -> None:
    brake.pull(SESSIONS, 0.0, "why")
    brake.write_down(SESSIONS[:1])
    assert brake.held == set(SESSIONS[:1])
    assert (tmp_path / "held").read_text() == f"{SESSIONS[0]}\n"
    brake.write_down(())
    assert not (tmp_path / "held").exists()
    assert ear.names() == ["mass_change_held", "mass_change_released"]


def test_what_has_not_changed_is_not_written_again(brake: MassChangeBrake, tmp_path: Path) -> None:
    brake.pull(SESSIONS, 0.0, "why")
    brake.write_down(SESSIONS)
    (tmp_path / "held").unlink()
    brake.write_down(SESSIONS)
    assert not (tmp_path / "held").exists()


def test_a_list_that_is_none_of_ours_is_said_and_its_sessions_are_held(tmp_path: Path, ear: Ear) -> None:
    assert again(tmp_path, ear).read() == ""
    (tmp_path / "held").write_bytes(b"../../etc/passwd\n" + SESSIONS[0].encode() + b"\n\xff\xfe\n")
    brake = again(tmp_path, ear)
    assert brake.read() == "it holds what is no session id"
    assert brake.held == {SESSIONS[0]}
