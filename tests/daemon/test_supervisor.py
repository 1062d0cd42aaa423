"""One directory of several: what the others wake the loop for, and how many they are, puts off nothing of it."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hermesguard.daemon.directories.ears import Ears
from hermesguard.daemon.directories.supervisor import BURST, EXTENSION_SECONDS, Supervisor
from hermesguard.daemon.directories.watched import WAITING_SECONDS
from hermesguard.daemon.systemd import Service
from hermesguard.demo.eras import Era
from hermesguard.store.store import Store
from hermesguard.watcher.change import Change
from tests.helpers.world import World

AN_HOUR = 3600.0


@pytest.fixture
def one(world: World) -> Iterator[Supervisor]:
    store = Store(world.store_path.with_name("another-store"))
    store.create()
    store.take_lock()
    settings = replace(world.settings, store=store.root)
    ears = Ears()
    supervisor = Supervisor("one", settings, store, world.ear, Service(), ears, lambda _: None)
    supervisor.may_refuse = False
    try:
        yield supervisor
    finally:
        supervisor.close()
        ears.close()


def test_a_directory_that_is_waited_for_is_tried_each_second_also_when_others_are_early(
    world: World, one: Supervisor
) -> None:
    away = world.sessions.with_name("away")
    world.sessions.rename(away)
    one.begin_turn(1.0, AN_HOUR)
    assert one.is_missing
    waits = [wait for wait in one.waits(time.monotonic()) if wait is not None]
    assert min(waits) <= WAITING_SECONDS


def test_the_last_directory_of_many_skips_no_scan(
    world: World, one: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.app(Era.OLD).create(turns=2)
    scans, began = one.guard.scans, list[bool]()
    scan = one.guard.scan
    monkeypatch.setattr(scans, "is_at_rest", lambda: True)

    def begin(is_heard: bool) -> Iterator[None]:
        began.append(is_heard)
        return scan(is_heard)

    monkeypatch.setattr(one.guard, "scan", begin)
    scans.turns = 10
    for _ in range(2):
        one.begin_turn(AN_HOUR, AN_HOUR)
    assert one.is_ready
    assert len(began) == 1
    scans.turns = 1
    one.begin_turn(AN_HOUR, AN_HOUR)
    assert len(began) == 2


@pytest.mark.parametrize("more_sessions", [0, BURST])
def test_where_a_session_went_is_known_before_its_old_name_is_visited(
    one: Supervisor, monkeypatch: pytest.MonkeyPatch, more_sessions: int
) -> None:
    one.begin_turn(AN_HOUR, AN_HOUR)
    visits: list[tuple[str, dict[str, str]]] = []
    moved = one.guard.missing_files.evidence.moved

    def visit(name: str, writer_pid: int | None, saves: int) -> bool:
        visits.append((name, dict(moved)))
        return True

    monkeypatch.setattr(one.guard, "visit", visit)
    more = [f"more{number}" for number in range(more_sessions)]
    monkeypatch.setattr(one.guard.standby, "is_awaited", lambda name: name == "before")
    one.changes.add(Change(f"{name}.json") for name in ("other", *more))
    one.changes.add([Change("before.json"), Change("now.json", moved_from="before.json")])
    assert one.follow_changes()
    names = [name for name, _ in visits]
    assert names == (["now", "before", "other", *more] if more else ["now", "other", "before"])
    assert all(known == {"before": "now"} for _, known in visits)


def test_an_end_that_takes_long_asks_the_service_manager_for_time(
    one: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd kills who is not gone after `TimeoutStopSec=`; after a burst of repairs that would cost lines of the log."""
    asked: list[float] = []
    monkeypatch.setattr(one._service, "extend_timeout", asked.append)
    clock = itertools.count(100.0, 0.5)
    monkeypatch.setattr("hermesguard.daemon.directories.supervisor.time.monotonic", clock.__next__)
    monkeypatch.setattr(one.guard, "end", lambda: iter([None] * 9))
    one.part()
    assert asked == [EXTENSION_SECONDS] * 5, "with the first session, and once in a second"
