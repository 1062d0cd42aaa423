"""What becomes of sessions whose file goes, with the guard and the stand-in application: many at once, by turns, unseen."""

import json
from pathlib import Path
from shutil import copytree, rmtree

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.app import INDEX, App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.guard.requests.operations import perform
from hermesguard.salvage.places import places_of
from hermesguard.salvage.survey import glance
from hermesguard.store.upkeep.pruning import finished
from tests.helpers.world import World, watch_saves

ERAS = list(Era)
WITH_TOMBSTONES = [era for era in Era if era.buries]
WITHOUT_TOMBSTONES = [era for era in Era if not era.buries]


def look(world: World, *chats: Chat) -> None:
    """The watch saw something of these sessions, and of the index."""
    for chat in chats:
        world.guard.visit(chat.session_id)
    world.guard.index_changed()


def seen(world: World, app: App, *chats: Chat) -> None:
    """From here on the guard looks at these sessions whenever the application pauses."""
    app.pause = lambda seconds: look(world, *chats)


def delete(world: World, chat: Chat) -> None:
    """A user deletes a session, and the guard keeps up."""
    seen(world, chat.app, chat)
    acts.delete(chat)
    look(world, chat)


def wait_and_scan(world: World) -> None:
    world.pass_time(15)
    world.scan()


def is_kept(world: World, chat: Chat) -> bool:
    return world.guard.copies.store.has_shadow(chat.session_id)


def history(world: World, chat: Chat) -> list[str]:
    return [version.reason for version in world.guard.copies.store.versions(chat.session_id)]


def heard(world: World, event: str) -> list[str]:
    """The sessions of which an event of that name told."""
    return [str(fields.get("session", "")) for name, fields in world.ear.heard if name == event]


# ---- many at once ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("count", [5, 30])
def test_a_batch_is_deleted_and_a_loss_in_the_same_minute_comes_back(
    world: World, era: Era, count: int
) -> None:
    app = world.app(era)
    chats = [app.create(turns=2) for _ in range(count + 4)]
    world.scan()
    for chat in chats[:count]:
        delete(world, chat)
        world.seconds += 0.05
    world.pass_time(12)
    chats[-1].turn("and", "so on")  # where the index is gone, this builds it anew
    losses.vanish(chats[-2])
    look(world, chats[-2])
    wait_and_scan(world)
    assert sorted(heard(world, "deleted")) == sorted(chat.session_id for chat in chats[:count])
    assert all(history(world, chat) == ["deleted"] for chat in chats[:count])
    assert not any(chat.path.exists() or is_kept(world, chat) for chat in chats[:count])
    assert len(world.live(chats[-2]).messages) == 4
    assert heard(world, "missing") == [chats[-2].session_id]
    assert "mass_change_held" not in world.ear.names()


@pytest.mark.parametrize("era", ERAS)
def test_a_clean_up_of_empty_sessions(world: World, era: Era) -> None:
    app = world.app(era)
    other = app.create(turns=2)
    empty = [app.create() for _ in range(12)]
    world.scan()
    assert acts.clean_up(app) == 12
    look(world, *empty)
    wait_and_scan(world)
    assert heard(world, "deleted") == [chat.session_id for chat in empty]
    assert world.incidents() == []
    assert "mass_change_held" not in world.ear.names()
    assert is_kept(world, other)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("seconds", [0.1, 5.0])
def test_7036_a_clean_up_takes_a_session_just_after_its_first_turn(
    world: World, era: Era, seconds: float
) -> None:
    app = world.app(era)
    app.create(turns=2)
    chat = app.create()
    world.scan()
    chat.turn("my first question", "the answer")
    world.seconds += seconds
    acts.clean_up(app, loaded=[chat])
    look(world, chat)
    wait_and_scan(world)
    if era.buries or (era is Era.V720 and seconds < 2):
        assert len(world.live(chat).messages) == 2
        assert heard(world, "missing") == [chat.session_id]
    else:
        # Here a deletion looks the same, or this can have been none of both.
        assert not chat.path.exists()
        unlike = seconds < 2 or not era.unlinks_index
        assert heard(world, "not_known" if unlike else "deleted") == [chat.session_id]


def test_a_directory_that_is_being_emptied_is_no_batch(world: World) -> None:
    """The index goes first, as at a deletion of old releases; then hundreds of files."""
    app = world.app(Era.OLD)
    chats = [app.create(turns=1) for _ in range(120)]
    world.scan()
    (world.sessions / INDEX).unlink()
    for chat in chats[:90]:
        chat.path.unlink()
        look(world, chat)
        world.seconds += 0.02
    wait_and_scan(world)
    assert len(world.guard.missing_files.held) == 90
    assert heard(world, "deleted") == []
    assert world.ear.names().count("mass_change_held") == 1


@pytest.mark.parametrize("era", ERAS)
def test_many_that_are_lost_at_once_are_held_and_what_is_deleted_beside_them_is_not(
    world: World, era: Era
) -> None:
    app = world.app(era)
    chats = [app.create(turns=1) for _ in range(10)]
    world.scan()
    delete(world, chats[0])
    world.pass_time(0.2)
    chats[9].turn("and", "so on")
    for chat in chats[1:6]:
        losses.vanish(chat)
    look(world, *chats[1:6])
    wait_and_scan(world)
    assert len(world.guard.missing_files.held) == 5
    assert heard(world, "deleted") == [chats[0].session_id]
    assert len(finished(world.operations().restore_all_missing())["restored"]) == 5


@pytest.mark.parametrize("era", ERAS)
def test_an_entry_that_went_counts_although_the_index_went_a_moment_later(world: World, era: Era) -> None:
    app = world.app(era)
    chat, _, _ = app.create(turns=2), app.create(turns=1), app.create()
    world.scan()
    delete(world, chat)
    world.pass_time(0.5)
    acts.clean_up(app)
    world.guard.index_changed()
    wait_and_scan(world)
    assert chat.session_id in heard(world, "deleted")


@pytest.mark.parametrize("era", ERAS)
def test_many_that_go_just_before_another_is_saved(world: World, era: Era) -> None:
    """Nobody can say whether they were deleted or lost: that is no reason to call for a user, where deletions are like that."""
    app = world.app(era)
    chats = [app.create(turns=1) for _ in range(8)]
    world.scan()
    for chat in chats[:6]:
        losses.vanish(chat)
    look(world, *chats[:6])
    app.restart()
    chats[7].turn("and", "so on")
    wait_and_scan(world)
    assert not any(chat.path.exists() for chat in chats[:6])
    names = sorted(chat.session_id for chat in chats[:6])
    if era.buries:
        assert sorted(world.guard.missing_files.held) == names
    else:
        assert sorted(heard(world, "not_known")) == names


# ---- what the guard itself did to the index ------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("order", ["repair first", "deletion first"])
def test_the_index_is_removed_by_a_repair_while_another_session_is_deleted(
    world: World, era: Era, order: str
) -> None:
    app = world.app(era)
    wiped, chat, _ = (app.create(turns=3) for _ in range(3))
    world.scan()
    if order == "deletion first":
        acts.delete(chat)  # of which the guard sees nothing yet
    wiped.send("unsent")
    losses.wipe(wiped)
    app.write_index(wiped, message_count=0)  # the index that the wipe left, and a repair removes
    world.guard.index_changed()
    if order == "repair first":
        acts.delete(chat)
    look(world, chat)
    wait_and_scan(world)
    assert len(world.live(wiped).messages) >= 6
    assert not chat.path.exists()
    assert not is_kept(world, chat)
    told = heard(world, "deleted") + heard(world, "not_known")
    assert told == [chat.session_id]
    if era.buries:
        assert heard(world, "deleted") == [chat.session_id]


@pytest.mark.parametrize("era", ERAS)
def test_an_index_that_only_the_guard_removed_speaks_for_no_deletion(world: World, era: Era) -> None:
    app = world.app(era)
    chats = [app.create(turns=2) for _ in range(3)]
    world.scan()
    assert world.guard.directory.correct_index(chats[0].session_id, 99)
    losses.vanish(chats[1])
    look(world, chats[1])
    wait_and_scan(world)
    assert heard(world, "deleted") == []
    if era.buries:
        assert len(world.live(chats[1]).messages) == 4
    else:
        assert heard(world, "not_known") == [chats[1].session_id]


@pytest.mark.parametrize("era", ERAS)
def test_a_session_that_the_index_never_listed(world: World, era: Era) -> None:
    app = world.app(era)
    app.create(turns=1)
    chat = app.create(turns=1)
    app.write_index()
    chats = json.loads((world.sessions / INDEX).read_text())
    entries = [entry for entry in chats if entry["session_id"] != chat.session_id]
    world.watching = False
    (world.sessions / INDEX).write_text(json.dumps(entries))
    world.watching = True
    world.store_path.joinpath("listed.json").unlink(missing_ok=True)
    world.start()
    losses.vanish(chat)
    look(world, chat)
    wait_and_scan(world)
    assert chat.path.exists() == era.buries
    assert heard(world, "missing" if era.buries else "not_known") == [chat.session_id]


def test_a_full_list_of_tombstones_is_no_evidence_of_a_loss(world: World) -> None:
    app = world.app(Era.NEW)
    low, other = app.create(session_id="0000000000aa", turns=1), app.create(turns=1)
    world.scan()
    ids = [f"f{number:011}" for number in range(1000)]
    (world.sessions / "_deleted_webui_sessions.json").write_text(json.dumps({"version": 1, "ids": ids}))
    delete(world, low)
    wait_and_scan(world)
    assert heard(world, "deleted") == ["0000000000aa"]
    assert is_kept(world, other)


# ---- while no guard runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
def test_a_deletion_while_no_guard_runs(world: World, era: Era) -> None:
    app = world.app(era)
    chats = [app.create(turns=2) for _ in range(3)]
    world.scan()
    with world.unwatched():
        acts.delete(chats[0])
    wait_and_scan(world)
    assert heard(world, "deleted") == [chats[0].session_id]
    assert history(world, chats[0]) == ["deleted"]


@pytest.mark.parametrize("era", WITHOUT_TOMBSTONES)
@pytest.mark.parametrize("kind", ["a turn of another", "two deletions"])
def test_what_went_while_no_guard_ran_and_left_no_evidence_stays_away(
    world: World, era: Era, kind: str
) -> None:
    app = world.app(era)
    chats = [app.create(turns=2) for _ in range(4)]
    world.scan()
    with world.unwatched():
        acts.delete(chats[0])
        if kind == "two deletions":
            acts.delete(chats[1])
        else:
            chats[2].turn("and", "so on")
    wait_and_scan(world)
    assert not chats[0].path.exists()
    assert not is_kept(world, chats[0])
    told = heard(world, "not_known")
    # Where entries go, two of them went while nobody was saved.
    expected = [] if kind == "two deletions" and not era.unlinks_index else [chats[0].session_id]
    assert told[:1] == expected


@pytest.mark.parametrize("era", ERAS)
def test_a_loss_while_no_guard_runs_comes_back_where_the_index_lists_it(world: World, era: Era) -> None:
    app = world.app(era)
    chats = [app.create(turns=2) for _ in range(3)]
    world.scan()
    with world.unwatched():
        losses.vanish(chats[0])
    wait_and_scan(world)
    assert len(world.live(chats[0]).messages) == 4


@pytest.mark.parametrize("era", ERAS)
def test_a_start_in_the_middle_of_a_deletion(world: World, era: Era) -> None:
    """The guard is started anew while it waits for evidence."""
    app = world.app(era)
    chats = [app.create(turns=2) for _ in range(3)]
    world.scan()
    delete(world, chats[0])
    world.pass_time(1)
    world.start()
    wait_and_scan(world)
    assert not chats[0].path.exists()
    assert not is_kept(world, chats[0])
    assert len(heard(world, "deleted") + heard(world, "not_known")) == 1


# ---- not known -------------------------------------------------------------------------------------------------------


def left_away(world: World) -> Chat:
    """A session of which nobody knows, as in the releases without tombstones when there is no index."""
    app = world.app(Era.OLD)
    chat, _ = app.create(turns=2), app.create(turns=1)
    (world.sessions / INDEX).unlink()
    world.scan()
    world.pass_time(60)
    losses.vanish(chat)
    look(world, chat)
    wait_and_scan(world)
    assert heard(world, "not_known") == [chat.session_id]
    return chat


def test_what_is_not_known_can_be_had_back_by_the_command_that_is_told(world: World) -> None:
    chat = left_away(world)
    [incident] = world.incidents()
    [fields] = [fields for name, fields in world.ear.heard if name == "not_known"]
    assert fields["undo"] == incident.undo == f"hermesguard undo {incident.id}"
    assert not incident.is_open
    world.operations().undo(incident.id)
    assert len(world.live(chat).messages) == 4
    wait_and_scan(world)
    assert is_kept(world, chat)


@pytest.mark.parametrize("days", [29, 31])
def test_what_is_not_known_is_kept_as_long_as_the_history(world: World, days: int) -> None:
    chat = left_away(world)
    assert history(world, chat) == ["gone"]
    world.seconds += days * 86400.0
    for _ in world.operations().prune():
        pass
    assert history(world, chat) == (["gone"] if days < 30 else [])


def test_a_session_that_is_not_known_and_comes_back_is_guarded_again(world: World) -> None:
    chat = left_away(world)
    chat.save()
    look(world, chat)
    assert is_kept(world, chat)
    assert chat.path.exists()


# ---- renamed, and only copied ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("way", ["copied", "moved"])
def test_a_copy_with_the_old_id_inside_is_no_rename(world: World, era: Era, way: str) -> None:
    app = world.app(era)
    chat, _ = app.create(turns=3), app.create(turns=1)
    world.scan()
    text = chat.path.read_text()
    other = world.sessions / f"{chat.session_id}-backup.json"
    if way == "copied":
        other.write_text(text)
        world.guard.visit(other.stem)
        chat.path.unlink()
    else:
        chat.path.rename(other)
        world.guard.missing_files.evidence.moved[chat.session_id] = other.stem
    look(world, chat)
    world.guard.visit(other.stem)
    wait_and_scan(world)
    assert len(world.live(chat).messages) == 6
    assert other.read_text() == text
    assert heard(world, "renamed") == []


# ---- another directory -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("count", [1, 6])
def test_a_directory_that_another_one_takes_the_place_of(
    world: World, era: Era, count: int, tmp_path: Path
) -> None:
    """As when the sessions of one profile give way to those of another."""
    app = world.app(era)
    chats = [app.create(turns=2) for _ in range(count)]
    world.scan()
    away = tmp_path / "away"
    world.sessions.rename(away)
    world.sessions.mkdir()
    other = world.app(era, seed=7).create(turns=1)
    world.scan()
    wait_and_scan(world)
    assert sorted(world.guard.missing_files.held) == sorted(chat.session_id for chat in chats)
    assert {"deleted", "missing", "not_known"}.isdisjoint(world.ear.names())
    rmtree(world.sessions)
    away.rename(world.sessions)
    world.scan()
    assert list(world.guard.missing_files.held) == [other.session_id]
    assert all(len(world.live(chat).messages) == 4 for chat in chats)
    assert world.ear.names().count("mass_change_held") == 1


def test_a_directory_that_was_only_moved_to_another_disk_is_nothing(world: World, tmp_path: Path) -> None:
    app = world.app(Era.NEW)
    chats = [app.create(turns=2) for _ in range(3)]
    world.scan()
    away = tmp_path / "away"
    world.sessions.rename(away)
    copytree(away, world.sessions)
    world.scan()
    assert list(world.guard.missing_files.held) == []
    delete(world, chats[0])
    wait_and_scan(world)
    assert heard(world, "deleted") == [chats[0].session_id]


# ---- rolled back -----------------------------------------------------------------------------------------------------------


def rolled_back(world: World, count: int, era: Era = Era.OLD, turns: int = 3) -> list[Chat]:
    """A backup is put over the sessions, after each has had some turns more."""
    app = world.app(era)
    chats = [app.create(turns=2) for _ in range(count)]
    before = {chat: chat.path.read_bytes() for chat in chats}
    for chat in chats:
        for number in range(turns):
            chat.turn(f"and {number}", "so on")
    world.scan()
    for chat, data in before.items():
        chat.path.write_bytes(data)
        world.guard.visit(chat.session_id)
        world.seconds += 0.05
    return chats


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("turns", [1, 3])
def test_a_directory_that_went_back_is_one_incident_that_names_all(
    world: World, era: Era, turns: int
) -> None:
    """Also by one turn each, as an undo takes it back."""
    chats = rolled_back(world, 12, era, turns)
    guard = world.guard
    assert all(len(world.live(chat).messages) == 4 + 2 * turns for chat in chats)
    assert guard.rolled_back.wait_seconds(world.seconds) is not None
    guard.rolled_back.report(world.seconds)
    assert heard(world, "rolled_back") == []
    world.seconds += 2.0
    guard.rolled_back.report(world.seconds)
    guard.rolled_back.report(world.seconds + 60)
    names = sorted(chat.session_id for chat in chats)
    [fields] = [fields for name, fields in world.ear.heard if name == "rolled_back"]
    assert (fields["names"], fields["count"]) == (names, 12)
    assert len(heard(world, "uncertain") + heard(world, "restored") + heard(world, "merged")) == 3
    incident = world.incidents()[-1]
    assert (incident.event, list(incident.names), len(incident.members)) == ("rolled_back", names, 12)
    perform(world.operations(), "undo", {"incident": incident.id})
    assert all(len(world.live(chat).messages) == 4 for chat in chats)
    world.operations().purge(chats[0].session_id)
    assert chats[0].session_id not in (world.store_path / "incidents.jsonl").read_text()


def test_three_that_go_back_are_told_one_by_one(world: World) -> None:
    rolled_back(world, 3)
    world.guard.rolled_back.report(world.seconds, at_once=True)
    assert heard(world, "rolled_back") == []
    assert len(heard(world, "uncertain") + heard(world, "restored") + heard(world, "merged")) == 3


def test_those_that_go_back_one_a_minute_are_no_directory(world: World) -> None:
    for _ in range(5):
        rolled_back(world, 1)
        world.seconds += 60
    world.guard.rolled_back.report(world.seconds, at_once=True)
    assert heard(world, "rolled_back") == []


# ---- two writers -----------------------------------------------------------------------------------------------------------


def test_two_processes_that_save_by_turns_are_told_once(world: World) -> None:
    chat = world.app(Era.NEW).create(turns=1)
    for process_id in (100, 200, 100, 200, 100):
        chat.app.process_id = process_id
        chat.turn("and", "so on")
    [fields] = [fields for name, fields in world.ear.heard if name == "two_writers"]
    assert {fields["writer_pid"], fields["other_writer_pid"]} == {100, 200}


def test_a_restart_of_the_application_is_not_two_writers(world: World) -> None:
    chat = world.app(Era.NEW).create(turns=1)
    for process_id in (100, 100, 200, 200, 300):
        chat.app.process_id = process_id
        chat.turn("and", "so on")
    assert heard(world, "two_writers") == []


def test_a_question_asked_again_is_not_another_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    watch_saves(world, monkeypatch)
    app = world.app(Era.NEW)
    first, second = app.create(turns=1), app.create(turns=1)
    app.process_id = 100
    first.turn("and", "so on")
    losses.tear_by_rename(first)
    world.guard.visit(first.session_id, 100)
    app.process_id = 200
    second.turn("and", "so on")
    world.pass_time(2)
    assert len(world.live(first).messages) == 4
    assert heard(world, "two_writers") == []


def test_what_went_while_it_was_guarded_was_not_lost_before(world: World) -> None:
    chat = world.app(Era.NEW).create(turns=5)
    world.scan()
    with world.unwatched():
        chat.path.unlink()
        assert glance(places_of(world.settings), world.guard.copies.store) == 0
