"""Copies and the way back, on a disk: what is there, what is not told, what goes."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.errors import GuardError
from hermesguard.offsite import batch
from hermesguard.offsite.back.verify import verify
from hermesguard.offsite.bucket import folders
from hermesguard.repair.drill import drill
from hermesguard.store.directories.parts import parts_of
from hermesguard.store.store import Store
from tests.helpers.copies import DAY, Copies, same
from tests.helpers.world import World


@pytest.fixture
def copies(world: World, app: App, tmp_path: Path) -> Copies:
    for _ in range(4):
        app.create(turns=8)
    world.scan()
    return Copies(world.store_path, tmp_path / "offsite")


def test_everything_comes_back_onto_a_bare_machine(world: World, app: App, copies: Copies) -> None:
    cut, wiped, grown = (app.create(turns=20, answer_characters=500) for _ in range(3))
    world.scan()
    acts.undo(cut)
    losses.wipe(wiped)
    grown.turn("What is in the delta log?", "This is.")
    assert world.guard.copies.store.delta_log_path(grown.session_id).exists()
    copies.turn()
    found, store = copies.back()
    assert found.sessions == 7
    assert found.damaged == []
    same(store, Store(world.store_path))
    assert drill(store).restorable == 7
    shutil.rmtree(world.store_path)
    assert copies.back()[0].messages == found.messages


def test_growth_of_a_copied_session_goes_there_too(world: World, app: App, copies: Copies) -> None:
    """The shadow's file is as it was copied: what is new stands in the delta log beside it."""
    grown = app.create(turns=20, answer_characters=500)
    world.scan()
    copies.turn()
    grown.turn("What is in the delta log?", "This is.")
    assert world.guard.copies.store.delta_log_path(grown.session_id).exists()
    copies.turn()
    assert copies.back(grown.session_id)[1].newest(grown.session_id).data == grown.path.read_bytes()


def test_what_is_quiet_costs_no_request(copies: Copies) -> None:
    copies.turn()
    before = sum(copies.state.requests().values())
    for _ in range(50):
        copies.turn()
    assert sum(copies.state.requests().values()) == before


def test_names_and_content_tell_nothing(world: World, copies: Copies) -> None:
    copies.turn()
    names = [str(path.relative_to(copies.root / "disk")) for path in (copies.root / "disk").rglob("*.age")]
    assert names
    assert all(batch.time_of(name) for name in names)
    data = b"".join((copies.root / "disk" / name).read_bytes() for name in names) + "".join(names).encode()
    for session in Store(world.store_path).sessions():
        assert session.encode() not in data
        assert session.encode() in copies.plain()
    spool = list((copies.options.state / "spool").iterdir())
    assert spool == []


def test_many_small_files_are_one_object_and_large_ones_are_several(
    world: World, app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        app.create(turns=30, answer_characters=2000)
    world.scan()
    copies = Copies(world.store_path, tmp_path / "one")
    copies.turn()
    assert len(copies.state.objects()) == 1
    monkeypatch.setattr("hermesguard.offsite.upload.uploader.BATCH_BYTES", 100_000)
    small = Copies(world.store_path, tmp_path / "small")
    small.turn()
    assert len(small.state.objects()) > 2
    same(small.back()[1], Store(world.store_path))


def test_a_shadow_too_large_for_memory_is_copied_piece_by_piece(
    world: World, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hermesguard.offsite.upload.survey.WHOLE_BYTES", 1000)
    monkeypatch.setattr(Store, "newest", lambda self, session: pytest.fail("it was read into memory"))
    copies.turn()
    monkeypatch.undo()
    same(copies.back()[1], Store(world.store_path))


def test_a_deleted_conversation_goes_there_too(world: World, app: App, copies: Copies) -> None:
    chat = app.create(turns=2)
    chat.turn("Where is the zebra?", "The zebra is here.")
    world.scan()
    copies.turn()
    assert b"zebra" in copies.plain()
    acts.delete(chat)
    world.scan()
    copies.turn()
    assert copies.back(chat.session_id)[0].versions == 1
    world.guard.copies.store.purge(chat.session_id)
    copies.upkeep()
    assert b"zebra" not in copies.plain()
    same(copies.back()[1], Store(world.store_path))


def test_a_cleared_conversation_goes_with_its_version(world: World, app: App, copies: Copies) -> None:
    chat = app.create(turns=2)
    chat.turn("Where is the zebra?", "The zebra is here.")
    world.scan()
    copies.turn()
    acts.clear(chat)
    world.scan()
    copies.turn()
    store = world.guard.copies.store
    for version in store.versions(chat.session_id):
        store.remove_version(version)
    copies.upkeep()
    assert b"zebra" not in copies.plain()
    same(copies.back()[1], Store(world.store_path))


def test_what_a_newer_shadow_replaced_goes_after_keep_deleted(world: World, app: App, copies: Copies) -> None:
    chats = [app.create(turns=2) for _ in range(3)]
    for number in range(10):
        chats[0].turn(f"Question {number}", "and answer")
        world.scan()
        copies.turn()
    before = len(copies.state.objects())
    copies.upkeep()
    assert len(copies.state.objects()) == before, "they were wanted for the day before"
    copies.turn(DAY)
    copies.upkeep()
    assert len(copies.state.objects()) <= 3
    same(copies.back()[1], Store(world.store_path))


def test_a_store_that_loses_its_sessions_does_not_lose_the_copies(
    world: World, app: App, copies: Copies
) -> None:
    for _ in range(40):
        app.create(turns=1)
    world.scan()
    copies.turn()
    whole = copies.back()[0]
    for path in [*(world.store_path / "shadows").iterdir()]:
        path.unlink()
    copies.turn()
    copies.upkeep()
    copies.turn(40 * DAY)
    copies.upkeep()
    assert [name for name, _ in copies.reports] == ["offsite_held"]
    assert copies.back()[0].sessions == whole.sessions
    assert copies.back()[0].messages == whole.messages
    copies.state.accept()
    copies.upkeep()
    assert b"shadows/" not in copies.plain()


def test_a_store_that_is_not_there_is_an_error_and_no_deletion(world: World, copies: Copies) -> None:
    copies.turn()
    world.store_path.rename(world.store_path.with_name("elsewhere"))
    copies.turn()
    copies.upkeep()
    assert "There is no store" in copies.uploader.failure
    assert copies.back()[0].sessions == 4
    world.store_path.mkdir()
    copies.upkeep()
    assert copies.back()[0].sessions == 4


def test_as_it_was_at_a_time(world: World, app: App, copies: Copies) -> None:
    chat = app.create(turns=3)
    world.scan()
    copies.turn()
    moments = []
    for number in range(3):
        moments.append((datetime.now(UTC), Store(world.store_path).read_shadow(chat.session_id)))
        chat.turn(f"Question {number}", "and answer")
        world.scan()
        copies.turn()
    for moment, data in moments:
        found, store = copies.back(chat.session_id, at=moment)
        assert store.read_shadow(chat.session_id) == data, moment
        assert found.sessions == 1
    with pytest.raises(GuardError, match="hold no session"):
        copies.back(chat.session_id, at=moments[0][0] - timedelta(days=1))


def test_one_session_by_the_beginning_of_its_id(world: World, copies: Copies) -> None:
    copies.turn()
    session = Store(world.store_path).sessions()[0]
    _, store = copies.back(session[:6])
    assert store.sessions() == [session]
    with pytest.raises(GuardError, match="begins with 'nothing'"):
        copies.back("nothing")


def test_what_another_removed_there_is_copied_again(world: World, copies: Copies) -> None:
    copies.turn()
    for path in (copies.root / "disk").rglob("*.age"):
        path.unlink()
    copies.upkeep()
    same(copies.back()[1], Store(world.store_path))


def test_verify_finds_rot_and_what_is_gone(world: World, app: App, copies: Copies) -> None:
    copies.turn()
    app.create(turns=2)
    world.scan()
    copies.turn()
    known = {one.name: (one.size_bytes, one.sha256) for one in copies.state.objects()}
    stored = sorted(copies.bucket.names())
    good = verify(copies.bucket, stored, known, None, [copies.identity])
    assert (good.checked, good.files > 4, good.wrong) == (2, True, [])
    first = copies.root / "disk" / stored[0].name
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)
    assert [name for name, _ in verify(copies.bucket, stored, known, None).wrong] == [stored[0].name]
    assert "cannot be read" in verify(copies.bucket, stored, {}, None, [copies.identity]).wrong[0][1]
    first.unlink()
    assert "not there" in verify(copies.bucket, sorted(copies.bucket.names()), known, 1).wrong[0][1]


def test_rot_there_costs_only_what_nothing_else_holds(world: World, app: App, copies: Copies) -> None:
    copies.turn()
    app.create(turns=2)
    world.scan()
    copies.turn()
    newest = sorted((copies.root / "disk").rglob("*.age"))[-1]
    newest.write_bytes(newest.read_bytes()[:-10])
    found, store = copies.back()
    assert len(found.damaged) == 1
    assert len(store.sessions()) == 4


def test_rot_here_is_not_copied(world: World, app: App, copies: Copies) -> None:
    copies.turn()
    chat = app.create(turns=2)
    world.scan()
    path = world.store_path / "shadows" / f"{chat.session_id}.json"
    path.write_bytes(path.read_bytes().replace(b"messages", b"massages", 1))
    copies.turn()
    copies.turn()
    assert [name for name, _ in copies.reports] == ["offsite_skipped"]
    assert chat.session_id not in copies.back()[1].sessions()
    assert copies.uploader.look().wanted, "it is not called safe"


def test_rot_of_a_version_here_is_not_copied(world: World, app: App, copies: Copies) -> None:
    chat = app.create(turns=4)
    world.scan()
    copies.turn()
    acts.undo(chat)
    world.scan()
    (version,) = Store(world.store_path).versions(chat.session_id)
    data = bytearray(version.path.read_bytes())
    data[len(data) // 2] ^= 1
    version.path.write_bytes(data)
    copies.turn()
    assert [name for name, _ in copies.reports] == ["offsite_skipped"]


def test_a_file_that_is_not_what_the_index_says_is_not_restored(world: World, copies: Copies) -> None:
    copies.turn()
    session = Store(world.store_path).sessions()[0]
    good = Store(world.store_path).read_shadow(session)
    name = batch.object_name(copies.uploader.machine, datetime.now(UTC), copies.state.last_name())
    target = copies.root / "disk" / name
    with batch.writing(target, name, [copies.identity.to_public()]) as made:
        item = made.add(f"shadows/{session}.json", good[:-1], 1)
        made.index.items[0] = item._replace(sha256="0" * 64)
    found, store = copies.back(session)
    assert store.read_shadow(session) == good
    assert "another digest" in found.damaged[0][1]


@pytest.mark.parametrize("way", ["time", "accept"])
def test_a_lost_state_costs_a_full_copy_and_the_old_objects_go_in_the_end(
    world: World, copies: Copies, way: str
) -> None:
    copies.turn()
    old = {one.name for one in copies.bucket.names()}
    copies.state.close()
    shutil.rmtree(copies.options.state)
    copies.seconds += 60
    copies.start()
    copies.turn()
    copies.upkeep()
    assert old <= {one.name for one in copies.bucket.names()}, (
        "they may be all that is left of a store that was lost"
    )
    if way == "time":
        copies.turn(31 * DAY)
    else:
        copies.state.accept()
    copies.upkeep()
    assert old.isdisjoint(one.name for one in copies.bucket.names())
    assert copies.state.facts()["let_go"] == "0" if way == "accept" else True
    same(copies.back()[1], Store(world.store_path))


def test_a_storage_that_removes_by_itself_gets_what_is_needed_anew(
    world: World, app: App, tmp_path: Path
) -> None:
    app.create(turns=2)
    world.scan()
    copies = Copies(world.store_path, tmp_path / "worm", lifetime_seconds=60 * DAY)
    copies.turn()
    first = copies.state.objects()[0]
    copies.turn(31 * DAY)
    copies.upkeep()
    assert first.name in {one.name for one in copies.bucket.names()}, "this key removes nothing"
    (copies.root / "disk" / first.name).unlink()
    same(copies.back()[1], Store(world.store_path))


def test_several_machines_in_one_place_are_told_apart(world: World, copies: Copies) -> None:
    copies.turn()
    other = (
        copies.root / "disk" / "0123456789abcdef" / "2026-01" / "20260101T000000.000000Z-0123456789abcdef.age"
    )
    other.parent.mkdir(parents=True)
    other.write_bytes(b"another machine's")
    copies.upkeep()
    assert other.exists()
    with pytest.raises(GuardError, match="2 machines or stores"):
        copies.back()
    assert len(folders(copies.bucket.names())) == 2


@pytest.mark.skipif(not shutil.which("age"), reason="age is not installed (Debian: age)")
def test_without_us_with_age_and_tar_alone(world: World, app: App, copies: Copies, tmp_path: Path) -> None:
    chat = app.create(turns=3)
    world.scan()
    copies.turn()
    acts.undo(chat)
    gone = app.create(turns=1)
    world.scan()
    copies.turn()
    world.guard.copies.store.purge(gone.session_id)
    copies.turn()
    page = (Path(__file__).parents[2] / "docs" / "offsite.md").read_text("utf-8")
    script = page.partition("<!-- without hermesguard -->")[2].partition("```sh\n")[2].partition("```")[0]
    (tmp_path / "key.txt").write_text(str(copies.identity))
    command = f"set -eu\nobjects={copies.root / 'disk'}\nkey={tmp_path / 'key.txt'}\nstore={tmp_path / 'by-hand'}\n{script}"
    subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    by_hand = Store(tmp_path / "by-hand")
    assert by_hand.sessions() == Store(world.store_path).sessions()
    for session in by_hand.sessions():
        assert json.loads(by_hand.read_shadow(session)) == json.loads(
            Store(world.store_path).read_shadow(session)
        )


def test_every_part_of_the_store_is_copied_and_comes_back(
    world: World, app: App, copies: Copies, tmp_path: Path
) -> None:
    part = world.store_path / "directories" / "work"
    work = World(tmp_path / "work")
    twin = work.app(Era.NEW).create(turns=6, session_id=next(iter(app.chats)))
    work.scan()
    acts.undo(twin)
    work.scan()
    part.parent.mkdir()
    shutil.copytree(work.store_path, part, copy_function=shutil.copy2)
    (part / "sessions").write_text(f"{work.sessions}\n{part}\n")
    copies.turn()
    found, store = copies.back()
    assert (found.sessions, found.damaged) == (5, [])
    same(store, Store(world.store_path))
    same(Store(store.root / "directories" / "work"), Store(part))
    assert [one.sessions for one in parts_of(store.root, store.root)][1:] == [work.sessions]
    shutil.rmtree(part / "history" / twin.session_id)
    (part / "shadows" / f"{twin.session_id}.json").unlink()
    copies.turn()
    assert copies.back()[0].sessions == 4, "what leaves one part stays in the other"
