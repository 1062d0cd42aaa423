"""Retention: why each version stays or goes, what never goes, and what a clock that jumps does to it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.eras import Era
from hermesguard.errors import GuardError
from hermesguard.store.history import Version, version_name, version_of
from hermesguard.store.incidents import Incident
from hermesguard.store.upkeep import retention
from hermesguard.store.upkeep.pruning import finished
from hermesguard.store.upkeep.retention import Rules
from tests.helpers.world import World

DAY = 86400.0
NOW = datetime(2026, 6, 1, tzinfo=UTC)
RULES = Rules(keep_history_seconds=30 * DAY, keep_versions=50, keep_deleted_seconds=DAY)


def version(days_ago: float, reason: str = "intended", digest: str = "", size_bytes: int = 100) -> Version:
    time = NOW - timedelta(days=days_ago)
    digest = digest or f"{abs(hash(days_ago)):016x}"[:16]
    path = Path(f"/store/history/s/{version_name(time)}-5-{reason}-{digest}.json.gz")
    return Version("s", path, time, 5, reason, digest, size_bytes)


def decisions(*versions, has_shadow=True, needed=None, rules=RULES, now=NOW):
    """Return the decisions, oldest first, as (goes, why)."""
    found = list(
        retention.decisions(sorted(versions, key=lambda v: v.time), has_shadow, needed or {}, rules, now)
    )
    return [(decision.goes, decision.why) for decision in reversed(found)]


def test_by_age():
    assert decisions(version(31), version(29)) == [
        (True, "older than keep_history, 30d"),
        (False, "until 2026-06-02 00:00 UTC"),
    ]


def test_by_number_the_newest_stay():
    rules = RULES._replace(keep_versions=2)
    assert [goes for goes, _ in decisions(version(4), version(3), version(2), version(1), rules=rules)] == [
        True,
        True,
        False,
        False,
    ]


def test_the_only_copy_stays_whatever_its_age():
    [(_, old), (goes, why)] = decisions(version(400), version(300), has_shadow=False)
    assert (goes, why) == (False, "it is the only copy")
    assert old == "older than keep_history, 30d"


@pytest.mark.parametrize(
    "rules", [RULES, RULES._replace(keep_versions=1), RULES._replace(keep_history_seconds=0)]
)
def test_what_an_open_incident_needs_stays(rules):
    needed = version(100)
    assert decisions(needed, version(1), needed={needed.name: "12"}, rules=rules)[0] == (
        False,
        "incident 12 is not resolved",
    )


@pytest.mark.parametrize(
    ("event", "action", "is_needed"),
    [
        ("uncertain", "kept", True),
        ("uncertain", "restored", True),
        ("missing", "warned", True),
        ("unrepaired", "failed", True),
        ("restored", "restored", False),
        ("merged", "merged", False),
    ],
)
def test_open_incidents_are_uncertain_kept_and_failed_ones(event, action, is_needed):
    incident = Incident("7", NOW.isoformat(), "s", event, action, version="a", displaced="b")
    assert retention.needed([incident]) == ({"a": "7", "b": "7"} if is_needed else {})
    settling = Incident("8", NOW.isoformat(), "s", "accepted", "accepted", resolves="7")
    assert retention.needed([incident, settling]) == {}


def test_after_a_deletion_the_whole_history_goes():
    assert decisions(version(20), version(1.1, "deleted"), has_shadow=False) == [
        (True, "deleted 26 h ago, and keep_deleted is 1d"),
        (True, "deleted 26 h ago, and keep_deleted is 1d"),
    ]
    assert decisions(version(20), version(0.5, "deleted"), has_shadow=False) == [
        (False, "deleted, until 2026-06-01 12:00 UTC"),
        (False, "deleted, until 2026-06-01 12:00 UTC"),
    ]


def test_a_session_that_came_back_keeps_its_history():
    back, deleted = decisions(version(20), version(2, "deleted"))
    assert not back[0]
    assert deleted == (True, "deleted 2 d ago, and keep_deleted is 1d")


def test_what_was_cleared_goes_with_every_copy_of_the_same_content():
    same = "0123456789abcdef"
    wiped, other, cleared = decisions(version(5, "loss", same), version(4), version(2, "clear", same))
    assert wiped == cleared == (True, "cleared 2 d ago, and keep_deleted is 1d")
    assert not other[0]


def test_the_oldest_versions_that_may_go_make_room():
    found = list(retention.decisions([version(3), version(2), version(1)], True, {}, RULES, NOW))
    chosen = retention.dropped_for_space(
        [decision for decision in found if decision.is_dispensable], 150, "why"
    )
    assert [decision.version.time for decision in chosen] == [version(3).time, version(2).time]


def test_a_clock_behind_is_seen():
    assert retention.clock_is_behind(NOW + timedelta(seconds=61), NOW)
    assert not retention.clock_is_behind(NOW + timedelta(seconds=59), NOW)
    assert not retention.clock_is_behind(None, NOW)


# On a real store.


def history_of(world: World, undos: int = 4):
    """A session with a version for each of so many undos, a day apart; returns its chat."""
    chat = world.app(Era.NEW).create(turns=undos + 1)
    for _ in range(undos):
        acts.undo(chat)
        world.pass_time(DAY)
    return chat


def names(world: World, session: str) -> list[str]:
    return [version.name for version in world.guard.copies.store.versions(session)]


def test_prune_says_why_and_a_dry_run_removes_nothing(world: World):
    chat = history_of(world)
    world.settings = replace(world.settings, keep_history_seconds=2.5 * DAY)
    world.start()
    before = names(world, chat.session_id)
    said = finished(world.operations().prune(dry_run=True))
    assert [entry["goes"] for entry in said["versions"]] == [False, False, True, True]
    assert all(entry["why"] for entry in said["versions"])
    assert names(world, chat.session_id) == before
    done = finished(world.operations().prune())
    assert [entry["version"] for entry in done["versions"] if entry["goes"]] == before[1::-1]
    assert names(world, chat.session_id) == before[2:]
    assert world.ear.names().count("pruned") == 1
    assert (
        finished(world.operations().prune())["versions"]
        == finished(world.operations().prune(dry_run=True))["versions"]
    )


def test_a_clock_that_jumps_backwards_removes_nothing(world: World):
    chat = history_of(world)
    world.settings = replace(world.settings, keep_history_seconds=1.0, keep_versions=1, max_store_bytes=1)
    world.clock_error_seconds = -10 * DAY
    for restart in (False, True):
        if restart:
            world.start()
        said = finished(world.operations().prune())
        assert not said["clock_is_trusted"]
        assert not any(entry["goes"] for entry in said["versions"])
        assert len(names(world, chat.session_id)) == 4


def test_a_clock_that_jumps_forward_is_trusted_after_a_day(world: World):
    chat = history_of(world)
    world.clock_error_seconds = 400 * DAY
    assert not any(entry["goes"] for entry in finished(world.operations().prune())["versions"])
    assert world.ear.names().count("clock_changed") == 1
    world.pass_time(DAY + 1)
    assert len([entry for entry in finished(world.operations().prune())["versions"] if entry["goes"]]) == 4
    assert world.ear.names().count("clock_changed") == 1
    assert names(world, chat.session_id) == []


def test_a_limit_that_cannot_be_met_is_reported_once_and_nothing_goes(world: World):
    chat = world.app(Era.OLD).create(turns=40)
    world.scan()
    losses.window_truncate(chat)
    assert [incident.event for incident in world.incidents()] == ["uncertain"]
    kept = names(world, chat.session_id)
    world.guard.adopt(replace(world.settings, max_store_bytes=1000))
    for _ in range(2):
        said = finished(world.operations().prune())
        assert said["excess_bytes"] > 0
        assert names(world, chat.session_id) == kept
    assert world.shadow(chat).messages
    assert world.ear.names().count("over_limit") == 1
    assert {entry["why"] for entry in said["versions"]} == {"incident 1 is not resolved"}


def test_a_limit_takes_the_oldest_first(world: World):
    chat = history_of(world)
    store = world.guard.copies.store
    before = store.versions(chat.session_id)
    everything = sum(entry.size_bytes for entry in before) + sum(
        shadow.size_bytes for shadow in store.shadows()
    )
    limit = everything - before[0].size_bytes
    world.guard.adopt(replace(world.settings, max_store_bytes=limit))
    said = finished(world.operations().prune())
    assert [entry["version"] for entry in said["versions"] if entry["goes"]] == [before[0].name]
    assert said["excess_bytes"] == 0
    assert "over_limit" not in world.ear.names()


@pytest.mark.parametrize("era", list(Era))
def test_a_deleted_session_leaves_no_trace_after_keep_deleted(world: World, era: Era):
    app = world.app(era)
    chat, other = app.create(turns=3), app.create(turns=3)
    world.scan()
    acts.undo(chat)
    acts.delete(chat)
    world.guard.visit(chat.session_id)
    world.pass_time(12)
    world.scan()
    assert len(names(world, chat.session_id)) == 2
    world.pass_time(0.9 * DAY)
    assert not any(entry["goes"] for entry in finished(world.operations().prune())["versions"])
    world.pass_time(0.2 * DAY)
    finished(world.operations().prune())
    assert [path for path in world.store_path.rglob("*") if chat.session_id in str(path)] == []
    assert "purged" in world.ear.names()
    assert len(world.shadow(other).messages) == 6


def test_a_deletion_of_a_state_already_in_the_history_is_noted(world: World):
    store = world.guard.copies.store
    kept = store.add_version("s", b"{}", 0, "loss", NOW)
    assert store.add_version("s", b"{}", 0, "displaced", NOW + timedelta(seconds=1)) == kept
    deleted = store.add_version("s", b"{}", 0, "deleted", NOW + timedelta(seconds=2))
    assert [entry.reason for entry in store.versions("s")] == ["loss", "deleted"]
    assert deleted.path.stat().st_ino == kept.path.stat().st_ino
    assert store.add_version("s", b"{}", 0, "deleted", NOW + timedelta(seconds=3)) == deleted


def test_a_long_history_costs_nothing_when_a_version_is_added(world: World, monkeypatch: pytest.MonkeyPatch):
    """Right after a repair, the other versions are told from the new one by their names, not one by one from the disk."""
    store = world.guard.copies.store
    looked_at: list[str] = []

    def noted(session, entry):
        looked_at.append(entry.name)
        return version_of(session, entry)

    monkeypatch.setattr("hermesguard.store.history.version_of", noted)
    for number in range(20):
        store.add_version("s", b"%d" % number, 0, "loss", NOW + timedelta(seconds=number))
    assert looked_at == []
    twin = store.add_version("s", b"7", 0, "loss", NOW + timedelta(seconds=30))
    assert (looked_at, twin.time) == ([twin.path.name], NOW + timedelta(seconds=7))


@pytest.mark.parametrize("era", list(Era))
def test_a_backup_that_a_deletion_leaves_behind_brings_nothing_back(world: World, era: Era):
    chat = world.app(era).create(turns=3)
    world.app(era).create(turns=1)
    world.scan()
    content = chat.path.read_bytes()
    acts.delete(chat)
    chat.backup_path.write_bytes(content)
    world.guard.visit(chat.session_id)
    world.pass_time(12)
    world.scan()
    world.pass_time(2 * DAY)
    finished(world.operations().prune())
    world.start()
    world.pass_time(60)
    assert not chat.path.exists()


def test_a_history_that_cannot_be_pruned_is_one_sentence(world: World, monkeypatch: pytest.MonkeyPatch):
    history_of(world)
    world.pass_time(40 * DAY)

    def refuse(path: object, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.unlink", refuse)
    with pytest.raises(GuardError, match="cannot be pruned: Permission denied"):
        finished(world.operations().prune())
