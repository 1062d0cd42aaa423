"""What a scan looks at while a watch hears: little, and yet nothing that it could miss is missed for long."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hermesguard.demo import losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.guard.scans import scan as scans
from hermesguard.webui.directory import SessionsDirectory
from tests.helpers.world import World

SESSIONS = 30
PART = 4


@pytest.fixture
def chats(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Chat]:
    """Sessions that the guard has copies of, in a directory that is larger than what a scan looks at; no event will come."""
    monkeypatch.setattr(scans, "SMALLEST_PART", PART)
    monkeypatch.setattr(scans, "SHARE_FOR_NAMES", 1e9)
    app = world.app(Era.OLD)
    made = [app.create(turns=5) for _ in range(SESSIONS)]
    scan_until_quiet(world)
    world.scan()
    world.watching = False
    return made


def scan_until_quiet(world: World) -> None:
    """Let the directory's time be one that a later change moves."""
    os.utime(world.sessions, ns=(10**18, 10**18))


def hear_and_scan(world: World) -> None:
    """Scan as a guard does whose watch has heard all that it can hear."""
    for _ in world.guard.scan(is_heard=True):
        pass


def world_time(directory: Path) -> int:
    return directory.stat().st_mtime_ns


def test_a_scan_of_what_is_unchanged_looks_at_a_part(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    original = SessionsDirectory.is_as

    def is_as(self: SessionsDirectory, name: str, *more: object) -> bool:
        looked.append(name)
        return original(self, name, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(SessionsDirectory, "is_as", is_as)
    monkeypatch.setattr(SessionsDirectory, "look", lambda *_: pytest.fail("all of it was looked at"))
    hear_and_scan(world)
    assert len(looked) == PART
    for _ in range(SESSIONS // PART):
        hear_and_scan(world)
    assert set(looked) == {chat.session_id for chat in chats}


def test_a_directory_is_at_rest_only_while_nothing_is_to_be_done_or_found(
    world: World, chats: list[Chat]
) -> None:
    guard, name = world.guard, chats[0].session_id
    scan = guard.scans
    world.pass_time(3600)
    hear_and_scan(world)
    assert scan.is_at_rest()

    def doubt(begin: Callable[[], object], end: Callable[[], object]) -> None:
        begin()
        assert not scan.is_at_rest()
        end()
        assert scan.is_at_rest()

    notes, store = guard.notes, guard.copies.store.root
    away = store.with_name("away")
    doubt(lambda: notes.to_visit.add(name), lambda: notes.to_visit.discard(name))
    doubt(lambda: notes.defer(name, None, 1.0), notes.deferred.clear)
    doubt(lambda: guard.copies.shadow(name), lambda: guard.copies.drop(name))
    doubt(lambda: store.rename(away), lambda: away.rename(store))
    doubt(lambda: guard.missing_files.evidence.moved.update(a="b"), guard.missing_files.evidence.moved.clear)
    doubt(lambda: os.utime(world.sessions), lambda: scan_until_quiet(world))
    chats[0].path.unlink()
    assert not scan.is_at_rest()


def test_what_is_held_no_more_is_written_down_before_a_directory_is_at_rest(
    world: World, chats: list[Chat]
) -> None:
    guard, name = world.guard, chats[0].session_id
    world.pass_time(3600)
    guard.missing_files.hold([name], "for a test")
    hear_and_scan(world)
    held = guard.copies.store.root / "held"
    assert held.read_text() == f"{name}\n"
    guard.missing_files.is_here(name)
    assert not guard.scans.is_at_rest()
    hear_and_scan(world)
    assert not held.exists()
    assert guard.scans.is_at_rest()


@pytest.mark.parametrize("turns", range(1, 11))
def test_a_directory_that_takes_turns_is_looked_at_within_as_many_scans(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    looked: list[str] = []

    def is_as(self: SessionsDirectory, name: str, *_: object) -> bool:
        looked.append(name)
        return True

    monkeypatch.setattr(SessionsDirectory, "is_as", is_as)
    monkeypatch.setattr(scans, "ROUND_SCANS", 10)
    world.guard.scans.turns = turns
    for _ in range(10 // turns):
        hear_and_scan(world)
    assert set(looked) == {chat.session_id for chat in chats}


def test_a_start_that_trusts_looks_at_no_file_before_all_are_looked_at(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = world.guard
    guard.scans.trust(guard.directory.state())
    with monkeypatch.context() as trusting:
        trusting.setattr(SessionsDirectory, "is_as", lambda *_: pytest.fail("a file was looked at"))
        for _ in guard.scan():
            pass
    assert guard.scans.is_all_owed
    assert not guard.scans.is_at_rest()


def test_what_was_changed_in_place_unheard_is_found_within_a_round(world: World, chats: list[Chat]) -> None:
    for chat in chats:
        chat.path.write_text(chat.path.read_text()[:-20])
    for _ in range(SESSIONS // PART + 1):
        hear_and_scan(world)
    world.pass_time(5)
    assert all(len(world.live(chat).messages) == 10 for chat in chats)


def test_what_came_and_went_unheard_is_found_at_once(world: World, chats: list[Chat]) -> None:
    new, gone = "abcdef012345", chats[0].session_id
    text = chats[1].path.read_text().replace(chats[1].session_id, new)
    os.link(written(world.sessions / "aside", text), world.sessions / f"{new}.json")
    chats[0].path.unlink()
    hear_and_scan(world)
    assert world.guard.copies.has_shadow(new)
    world.pass_time(60)
    assert len(world.live(gone).messages) == 10


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_another_directory_is_looked_at_as_a_whole(world: World, chats: list[Chat], tmp_path: Path) -> None:
    away = world.sessions.rename(tmp_path / "away")
    world.sessions.mkdir()
    for path in away.iterdir():
        (world.sessions / path.name).write_bytes(path.read_bytes()[:-20])
    os.utime(world.sessions, ns=(10**18, 10**18))
    hear_and_scan(world)
    world.pass_time(5)
    assert all(len(world.live(chat).messages) == 10 for chat in chats)


def test_what_could_not_be_read_is_tried_again_by_every_scan(world: World, chats: list[Chat]) -> None:
    hear_and_scan(world)
    path = chats[-1].path
    good = path.read_bytes()
    path.unlink()
    path.symlink_to(world.sessions / "nowhere")
    world.guard.visit(chats[-1].session_id)
    assert chats[-1].session_id in world.guard.notes.to_visit
    path.unlink()
    path.write_bytes(good)
    scan_until_quiet(world)
    hear_and_scan(world)
    assert chats[-1].session_id not in world.guard.notes.to_visit
    assert chats[-1].session_id not in world.guard.notes.unreadable


def test_a_directory_that_changed_just_now_may_change_again(world: World, chats: list[Chat]) -> None:
    losses.wipe(chats[0])  # moves the directory's time to now, where the next change may leave it
    hear_and_scan(world)
    time_ns = world_time(world.sessions)
    chats[1].path.unlink()
    os.utime(world.sessions, ns=(time_ns, time_ns))
    hear_and_scan(world)
    assert chats[1].session_id in world.guard.notes.to_visit
