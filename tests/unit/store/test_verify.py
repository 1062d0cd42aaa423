"""Verify, drill and the weekly reading: rot in any file is found, and a damaged shadow gives way only to something good."""

import gzip
import os
from pathlib import Path

import pytest

from hermesguard.daemon.maintenance import FIRST_READ_SECONDS, Maintenance
from hermesguard.demo import acts, losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.lookup.library import Library
from hermesguard.lookup.selectors import Chosen
from hermesguard.repair import drill as drills
from hermesguard.repair.drill import drill
from hermesguard.store.store import Store
from hermesguard.store.upkeep import scrub, scrub_progress
from hermesguard.store.upkeep import verify as checkup
from hermesguard.webui import session
from hermesguard.webui.long import reading
from tests.helpers.world import World


def flip(path: Path, offset: int = -20) -> None:
    """Let a bit rot, as a disk does: neither size nor time nor attributes of the file change."""
    found = path.stat()
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    with open(path, "r+b") as file:
        file.write(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def shadow_path(world: World, chat: Chat) -> Path:
    return world.guard.copies.store.shadow_path(chat.session_id)


def verify(world: World) -> checkup.Tally:
    return checkup.verify(world.guard.copies.store, lambda name: world.guard.rebuild(name))


@pytest.fixture
def chats(world: World) -> list[Chat]:
    """Five sessions, of which two have versions."""
    app = world.app(Era.NEW)
    made = [app.create(turns=4) for _ in range(5)]
    acts.undo(made[0])
    losses.wipe(made[1])
    return made


def test_a_good_store_is_good(world: World, chats: list[Chat]) -> None:
    seen = []
    store = world.guard.copies.store
    tally = checkup.verify(store, world.guard.rebuild, lambda done, total: seen.append((done, total)))
    versions = sum(len(store.versions(chat.session_id)) for chat in chats)
    assert (tally.sessions, tally.files, tally.versions, tally.damaged) == (5, 5 + versions, versions, [])
    assert versions == 3
    assert seen == [(done, 5) for done in range(6)]


def test_what_takes_many_times_its_size_is_not_damaged(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LONG_BYTES", 100)
    monkeypatch.setattr(reading, "ALLOWANCE_BYTES", -(10**9))
    shadow = world.guard.copies.store.read_shadow(chats[0].session_id)
    with pytest.raises(session.TooDense):
        session.parse(shadow)
    tally = checkup.verify(world.guard.copies.store, lambda name: False)
    assert tally.damaged == []
    assert tally.files > tally.versions
    name = chats[0].session_id
    assert drill(world.guard.copies.store).failed == {}
    copy = Library(world.guard.settings).copy(name, Chosen("latest"))
    assert copy.document.text.encode() == shadow


def test_what_is_too_large_is_checked_in_pieces(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.guard.copies.store
    store.limit_bytes = 1
    read = []
    monkeypatch.setattr(session, "parse", read.append)
    tally = verify(world)
    assert (tally.files, tally.versions, tally.damaged, read) == (8, 3, [], [])
    [version, *_] = store.versions(chats[0].session_id)
    flip(version.path)
    flip(store.shadow_path(chats[3].session_id))
    os.removexattr(store.shadow_path(chats[4].session_id), "user.hermesguard")
    assert {damage.path for damage in verify(world).damaged} == {
        version.path,
        store.shadow_path(chats[3].session_id),
    }
    os.truncate(store.shadow_path(chats[4].session_id), 0)
    os.truncate(store.shadow_path(chats[4].session_id), 2**40)
    assert store.shadow_path(chats[4].session_id) in {damage.path for damage in verify(world).damaged}
    assert read == []


def test_the_scrub_tells_of_rot_in_what_is_too_large_as_verify_does(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.guard.copies.store
    path = store.shadow_path(chats[3].session_id)
    flip(path)
    store.too_dense.update(chat.session_id for chat in chats)
    monkeypatch.setattr(
        world.guard.copies, "rebuild", lambda name: False
    )  # nothing in memory, as of a large one
    [damage] = verify(world).damaged
    assert (damage.path, damage.rebuilt) == (path, False)
    for _ in range(6):
        list(world.guard.scrub.read_next())
    told = [values for name, values in world.ear.heard if name == "verify_failed"]
    assert [values["path"] for values in told] == [str(path)]


def test_the_drill_reads_nothing_that_is_too_large(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.guard.copies.store
    whole = drill(store)
    store.limit_bytes = 1
    read: list[bytes] = []
    monkeypatch.setattr(session, "parse", read.append)
    monkeypatch.setattr(session, "parse_anyhow", read.append)
    assert drill(store) == whole
    flip(store.shadow_path(chats[3].session_id))
    found = drill(store)
    assert (list(found.failed), found.restorable, read) == ([chats[3].session_id], 4, [])
    assert "another digest" in found.failed[chats[3].session_id]


def test_a_copy_that_changes_all_the_time_is_not_read_for_ever(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, name = world.guard.copies.store, chats[2].session_id
    times = iter(range(10**6))
    monkeypatch.setattr(
        Store, "_newest", lambda store, name: os.utime(store.shadow_path(name), ns=(0, next(times)))
    )
    with pytest.raises(OSError, match="changes all the time"):
        store.newest(name)


def test_every_flipped_bit_of_a_shadow_is_found(world: World, chats: list[Chat]) -> None:
    path = shadow_path(world, chats[2])
    good = path.read_bytes()
    for offset in range(0, len(good), 97):
        flip(path, offset)
        with pytest.raises(OSError, match="another digest"):
            world.guard.copies.store.read_shadow(chats[2].session_id)
        flip(path, offset)
    assert path.read_bytes() == good


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "no gzip", "other content"])
def test_a_damaged_version_is_found_and_named(world: World, chats: list[Chat], how: str) -> None:
    version = world.guard.copies.store.versions(chats[0].session_id)[0]
    data = version.path.read_bytes()
    if how == "flipped":
        flip(version.path, len(data) // 2)
    else:
        version.path.write_bytes(
            {
                "cut": data[:100],
                "empty": b"",
                "no gzip": b"{}",
                "other content": gzip.compress(gzip.decompress(data).replace(b"part", b"Part")),
            }[how]
        )
    [damage] = verify(world).damaged
    assert (damage.session, damage.path, damage.version) == (chats[0].session_id, version.path, version.name)
    assert not damage.rebuilt
    reading = world.guard.scrub
    for _ in range(6):
        list(reading.read_next())
    reported = [values for name, values in world.ear.heard if name == "verify_failed"]
    assert [values["path"] for values in reported] == [str(version.path)]


@pytest.mark.parametrize("is_in_memory", [True, False])
def test_a_damaged_shadow_is_made_again_from_the_good_file(
    world: World, chats: list[Chat], is_in_memory: bool
) -> None:
    path = shadow_path(world, chats[2])
    good = path.read_bytes()
    if not is_in_memory:
        world.start()
    flip(path)
    [damage] = verify(world).damaged
    assert damage.rebuilt
    assert path.read_bytes() == good == chats[2].path.read_bytes()
    assert "shadow_rebuilt" in world.ear.names()
    assert verify(world).damaged == []


def test_a_flipped_shadow_never_gets_into_a_good_file(world: World, chats: list[Chat]) -> None:
    chat = chats[2]
    path = shadow_path(world, chat)
    flip(path, path.read_bytes().index(b'"assistant"') + 3)
    world.start()
    before = chat.path.read_bytes()
    chat.turn("One more", "and its answer")
    assert chat.path.read_bytes().count(b"One more") == before.count(b"One more") + 2
    assert world.incidents() == [
        incident for incident in world.incidents() if incident.session != chat.session_id
    ]
    assert path.read_bytes() == chat.path.read_bytes()


def test_a_wipe_over_a_damaged_shadow_is_repaired_from_what_reads_of_it(
    world: World, chats: list[Chat]
) -> None:
    chat = chats[2]
    words = world.words(chat)
    flip(shadow_path(world, chat), shadow_path(world, chat).read_bytes().index(b"does what"))
    with world.unwatched():
        losses.wipe(chat)
    assert len(world.words(chat)) == len(words)
    assert sum(a != b for a, b in zip(world.words(chat), words, strict=True)) <= 1


def test_a_wipe_over_an_unreadable_shadow_does_not_become_the_shadow(world: World, chats: list[Chat]) -> None:
    chat = chats[2]
    path = shadow_path(world, chat)
    flip(path, 0)
    rotten = path.read_bytes()
    with world.unwatched():
        losses.wipe(chat)
        chat.backup_path.unlink(missing_ok=True)
    for _ in range(3):
        world.scan()
        world.pass_time(10)
    assert path.read_bytes() == rotten
    assert [values["session"] for name, values in world.ear.heard if name == "unreadable"] == [
        chat.session_id
    ]
    world.operations().accept(chat.session_id)
    assert path.read_bytes() == chat.path.read_bytes()


def test_a_flipped_delta_log_is_found_and_what_reads_of_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.helpers.world import watch_saves

    world = World(tmp_path)
    watch_saves(world, monkeypatch)
    chat = world.app(Era.NEW).create(turns=60)
    for number in range(3):
        chat.turn(f"Growing {number}", f"grown {number}")
    words = world.words(chat)
    log = world.guard.copies.store.delta_log_path(chat.session_id)
    lines = log.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    assert len(lines) > 3
    log.write_bytes(b"".join(lines[:-1]) + lines[-1].replace(b"grown 2", b"grovn 2"))
    with world.unwatched():
        losses.wipe(chat)
    assert "verify_failed" in world.ear.names()
    found = world.words(chat)
    assert found[: len(words) - 2] == words[:-2]
    damaged = [v for v in world.guard.copies.store.versions(chat.session_id) if v.reason == "damaged"]
    assert len(damaged) == 1


def test_a_delta_log_left_over_from_a_crash_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.helpers.world import watch_saves

    world = World(tmp_path)
    watch_saves(world, monkeypatch)
    chat = world.app(Era.NEW).create(turns=60)
    chat.turn("First", "first")
    store = world.guard.copies.store
    log = store.delta_log_path(chat.session_id)
    left = log.read_bytes()
    newest = store.newest(chat.session_id)
    store.keep(chat.session_id, newest.data, newest.mtime_ns, newest.messages or 0)
    log.write_bytes(left)  # as if the power went between the two
    again = Store(world.store_path)
    again.open()
    assert again.newest(chat.session_id) == store.newest(chat.session_id)
    again.fold(chat.session_id)
    assert not log.exists()
    assert again.shadow_note(chat.session_id)[1] == newest.messages
    world.start()
    chat.turn("Second", "second")
    assert world.shadow(chat).text == world.live(chat).text


# The drill.


def test_the_drill_brings_every_message_back(world: World, chats: list[Chat]) -> None:
    result = drill(world.guard.copies.store)
    assert (result.sessions, result.restorable, result.failed) == (5, 5, {})
    assert result.messages == sum(len(world.words(chat)) for chat in chats)


def test_the_drill_reports_what_would_not_come_back(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(shadow_path(world, chats[2]))
    real = drills.merge_documents
    other = chats[3].session_id

    def forgetful(document, *more):
        from hermesguard.repair.shortened import with_messages

        if document.get("session_id") == other:
            document = with_messages(document, document.messages[:-1])
        return real(document, *more)

    monkeypatch.setattr(drills, "merge_documents", forgetful)
    result = drill(world.guard.copies.store)
    assert result.restorable == 3
    assert set(result.failed) == {chats[2].session_id, other}
    assert result.failed[other] == "1 of 8 messages did not come back"


# The weekly reading.


def keep_house(world: World, seconds: float) -> int:
    """Let the guard's standby file time pass; return how many slices of work there were."""
    house = Maintenance(world.guard, lambda: world.seconds)
    return keep_on(world, house, seconds)


def keep_on(world: World, house: Maintenance, seconds: float) -> int:
    until, slices = world.seconds + seconds, 0
    while (wait := house.patience_seconds()) + world.seconds <= until:
        world.seconds += wait
        house.go_on()
        slices += 1
    world.seconds = until
    return slices


def test_the_scrub_reads_the_whole_store_every_week(world: World, chats: list[Chat]) -> None:
    version = world.guard.copies.store.versions(chats[0].session_id)[0]
    house = Maintenance(world.guard, lambda: world.seconds)
    keep_on(world, house, 3 * 86400)
    first = scrub_progress.progress_of(world.store_path)
    assert (first.finished_files, first.finished_damaged) == (8, 0)
    flip(version.path, 100)
    keep_on(world, house, 7 * 86400)
    second = scrub_progress.progress_of(world.store_path)
    assert second.finished > first.finished
    assert second.finished_damaged == 1
    assert world.ear.names().count("verified") == 2


def test_a_reading_goes_on_where_it_was_after_a_restart(world: World, chats: list[Chat]) -> None:
    house = Maintenance(world.guard, lambda: world.seconds)
    keep_on(world, house, 45000)
    house.end()
    halfway = scrub_progress.progress_of(world.store_path)
    assert halfway.after in sorted(chat.session_id for chat in chats)[1:-1]
    world.start()
    keep_house(world, 70000)
    assert scrub_progress.progress_of(world.store_path).finished_files == 8


def test_a_start_writes_no_scrub_progress(world: World, chats: list[Chat]) -> None:
    house = Maintenance(world.guard, lambda: world.seconds)
    keep_on(world, house, FIRST_READ_SECONDS - 1)
    house.end()
    assert not (world.store_path / scrub.FILE_NAME).exists()


def test_the_reading_tells_of_a_damaged_shadow_and_makes_it_again(world: World, chats: list[Chat]) -> None:
    path = shadow_path(world, chats[3])
    good = path.read_bytes()
    world.start()
    flip(path)
    keep_house(world, 86400 * 2)
    assert path.read_bytes() == good
    assert world.ear.names().count("verify_failed") == 1
    assert world.ear.names().count("shadow_rebuilt") == 1


def test_work_is_done_in_slices(world: World, chats: list[Chat]) -> None:
    now = [0.0]

    def tick() -> float:
        now[0] += 0.003
        return now[0]

    world.seconds += 86400 * 40
    world.ear.heard.clear()
    house = Maintenance(world.guard, tick)
    now[0] += 86400
    slices = 0
    while "pruned" not in world.ear.names():
        before = now[0]
        house.go_on()
        assert now[0] - before < 0.02
        slices += 1
        now[0] += house.patience_seconds()
    assert slices >= 4


def test_what_was_cleared_is_removed_after_keep_deleted(world: World) -> None:
    chat = world.app(Era.NEW).create(turns=3)
    house = Maintenance(world.guard, lambda: world.seconds)
    keep_on(world, house, 5)
    acts.clear(chat)
    assert len(world.guard.copies.store.versions(chat.session_id)) == 1
    keep_on(world, house, 86400 - 3700)
    assert len(world.guard.copies.store.versions(chat.session_id)) == 1
    keep_on(world, house, 3700 + 3600)
    assert world.guard.copies.store.versions(chat.session_id) == []


def test_a_disk_that_fails_does_not_end_the_housekeeping(
    world: World, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    world.seconds += 86400 * 40
    house = Maintenance(world.guard, lambda: world.seconds)
    with monkeypatch.context() as patched:
        patched.setattr("os.unlink", refuse)
        keep_on(world, house, 7200)
    assert world.ear.names().count("store_broken") == 1
    keep_on(world, house, 86400)
    assert "pruned" in world.ear.names()
