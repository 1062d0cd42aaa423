"""A session's file is gone: deleted, renamed or lost, by evidence, in its time; and when many are gone, none of that."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.app import INDEX, App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.store.upkeep.pruning import finished
from tests.helpers.world import World, watch_saves

ERAS = list(Era)


def two(world: World, era: Era, **more: object) -> tuple[App, Chat, Chat]:
    """A server with two sessions, the clock of the guard turned a second before each thing that it waits for."""
    app = world.app(era, **more)
    first, second = app.create(turns=2), app.create(turns=2)
    world.scan()
    return app, first, second


def look(world: World, *chats: Chat) -> None:
    """The watch saw something of these sessions."""
    for chat in chats:
        world.guard.visit(chat.session_id)


def is_kept(world: World, chat: Chat) -> bool:
    return world.guard.copies.store.has_shadow(chat.session_id)


def history(world: World, chat: Chat) -> list[str]:
    return [version.reason for version in world.guard.copies.store.versions(chat.session_id)]


# ---- 18: deleted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("looks", ["at every step", "at the end", "at the next scan", "at the next start"])
def test_a_deletion_stands_whenever_the_guard_looks(world: World, era: Era, looks: str) -> None:
    app, chat, other = two(world, era)
    if looks == "at every step":
        app.pause = lambda seconds: look(world, chat)
    acts.delete(chat)
    if looks in ("at every step", "at the end"):
        look(world, chat)
    if looks == "at the next start":
        app.write_index()
        world.start()
    world.scan()
    world.pass_time(11)
    world.scan()
    assert not chat.path.exists()
    assert not is_kept(world, chat)
    assert history(world, chat) == ["deleted"]
    assert world.ear.names().count("deleted") == 1
    assert world.incidents() == []
    assert is_kept(world, other)


@pytest.mark.parametrize("era", ERAS)
def test_a_tombstone_counts_at_once_an_entry_after_three_seconds_the_index_after_ten(
    world: World, era: Era
) -> None:
    app, chat, _ = two(world, era)
    app.pause = lambda seconds: look(world, chat)
    acts.delete(chat)
    look(world, chat)
    assert ("deleted" in world.ear.names()) == era.buries
    world.pass_time(9.9 if era.unlinks_index else 2.9)
    assert ("deleted" in world.ear.names()) == era.buries
    world.pass_time(0.2)
    assert "deleted" in world.ear.names()


@pytest.mark.parametrize("era", [Era.V720, Era.NEW])
def test_a_deletion_without_tombstone_whose_index_entry_goes_at_once(world: World, era: Era) -> None:
    """Sessions of messengers have no tombstone: the entry goes 10 ms after the file, and others are saved later."""
    app, chat, other = two(world, era)
    chat.document["session_source"] = "messaging"
    chat.save()
    chat.path.unlink()
    look(world, chat)
    app.chats.pop(chat.session_id)
    app.forget_in_index(chat.session_id)
    world.pass_time(0.2)
    other.turn("and", "so on")
    world.pass_time(11)
    assert "deleted" in world.ear.names()
    assert not chat.path.exists()


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("seconds", [0, 1.5])
def test_an_entry_that_the_save_of_another_session_dropped_is_no_deletion(
    world: World, era: Era, seconds: float
) -> None:
    """Before there were tombstones it is a loss only if the index went on listing it for a while."""
    app, chat, other = two(world, era)
    app.chats.pop(chat.session_id)
    chat.path.unlink()
    look(world, chat)
    world.pass_time(seconds)
    other.turn("and", "so on")
    assert chat.session_id not in [entry["session_id"] for entry in app.index() or []]
    world.pass_time(11)
    [incident] = world.incidents()
    assert any("any save of another session" in sentence for sentence in incident.against)
    if era.buries or seconds:
        assert len(world.live(chat).messages) == 4
        assert (incident.event, incident.action, incident.rule) == ("missing", "restored", "20 missing")
    else:
        assert not chat.path.exists()
        assert (incident.event, incident.action, incident.rule) == ("not_known", "left", "26 not known")
        assert history(world, chat) == ["gone"]


@pytest.mark.parametrize("kind", ["btw", "bg"])
@pytest.mark.parametrize("era", ERAS)
def test_side_questions_end_as_deletions(world: World, era: Era, kind: str) -> None:
    app = world.app(era)
    for number in range(6):
        session = acts.side_question(app, f"what about {number}", "nothing", kind=kind)
        world.guard.visit(session)
        assert not world.guard.copies.store.has_shadow(session)
    assert world.ear.names().count("deleted") == 6
    assert "mass_change_held" not in world.ear.names()
    assert world.incidents() == []


@pytest.mark.parametrize("era", [Era.V875, Era.NEW])
def test_many_deletions_with_tombstones_are_deletions(world: World, era: Era) -> None:
    app = world.app(era)
    chats = [app.create(turns=1) for _ in range(12)]
    world.scan()
    # The guard is at its quickest: it looks at each after the unlink, before the tombstone.
    for chat in chats[:10]:
        app.pause = lambda seconds, chat=chat: look(world, chat)
        acts.delete(chat)
    world.pass_time(11)
    world.scan()
    assert world.ear.names().count("deleted") == 10
    assert "mass_change_held" not in world.ear.names()
    assert {shadow.session for shadow in world.guard.copies.store.shadows()} == {
        chat.session_id for chat in chats[10:]
    }


def test_keep_deleted_0_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, keep_deleted_seconds=0.0)
    watch_saves(world, monkeypatch)
    _, chat, cleared = two(world, Era.NEW)
    acts.undo(chat)
    assert history(world, chat) == ["intended"]
    acts.delete(chat)
    look(world, chat)
    assert history(world, chat) == []
    acts.clear(cleared)
    assert history(world, cleared) == []
    assert b"Question 2" not in b"".join(
        path.read_bytes() for path in world.store_path.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("era", ERAS)
def test_what_is_kept_of_a_clear_says_so(world: World, era: Era) -> None:
    """It goes after `keep_deleted`, what an undo took back after `keep_history`."""
    _, chat, other = two(world, era)
    acts.clear(chat)
    assert history(world, chat) == ["clear"]
    acts.undo(other)
    acts.undo(other)
    assert history(world, other) == ["intended", "intended"]


def test_a_file_moved_aside_for_a_moment_is_not_mentioned(world: World) -> None:
    _, chat, _ = two(world, Era.OLD)
    (world.sessions / INDEX).unlink()
    aside = world.sessions / "aside"
    chat.path.rename(aside)
    look(world, chat)
    world.pass_time(1.5)
    aside.rename(chat.path)
    look(world, chat)
    world.pass_time(20)
    assert {"deleted", "missing", "mass_change_held"}.isdisjoint(world.ear.names())
    assert is_kept(world, chat)


# ---- 20: missing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
def test_a_file_that_is_only_gone_comes_back_after_two_seconds(world: World, era: Era) -> None:
    _, chat, _ = two(world, era)
    chat.send("unsent")
    losses.vanish(chat)
    look(world, chat)
    world.pass_time(1.9)
    assert not chat.path.exists()
    world.pass_time(0.2)
    assert world.words(chat)[-1] == "unsent"
    assert world.live(chat).stream is None
    [incident] = world.incidents()
    assert (incident.rule, incident.messages_before) == ("20 missing", 4 + chat.app.eager)


@pytest.mark.parametrize("era", [era for era in ERAS if era.keeps_backup])
def test_2035_only_the_backup_is_left(world: World, era: Era) -> None:
    with world.unwatched():
        app = world.app(era)
        chat = app.create(turns=3)
        losses.only_backup_left(chat)
    world.pass_time(3)
    assert len(world.live(chat).messages) == 6


def test_on_missing_warn_reports_once_and_is_resolved_by_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, on_missing="warn")
    watch_saves(world, monkeypatch)
    _, chat, _ = two(world, Era.NEW)
    text = chat.path.read_text()
    losses.vanish(chat)
    for _ in range(3):
        look(world, chat)
        world.pass_time(30)
        world.scan()
        world.start()
    world.pass_time(30)
    assert world.ear.names().count("missing") == 1
    [incident] = world.incidents()
    assert (incident.event, incident.action) == ("missing", "warned")
    assert not chat.path.exists()
    assert is_kept(world, chat)
    chat.path.write_text(text)
    look(world, chat)
    assert world.ear.names().count("resolved") == 1
    assert world.incidents()[-1].resolves == incident.id
    losses.vanish(chat)
    look(world, chat)
    world.pass_time(3)
    assert world.ear.names().count("missing") == 2


def test_repeated_removals_of_a_file_are_repaired_with_back_off(world: World) -> None:
    _, chat, _ = two(world, Era.NEW)
    for _ in range(12):
        losses.vanish(chat)
        look(world, chat)
        world.pass_time(2.5)
    assert world.ear.names().count("backing_off") == 1
    assert world.ear.names().count("missing") == 1
    world.pass_time(61)
    assert len(world.live(chat).messages) == 4


def test_undo_of_a_file_brought_back_is_not_undone_again(world: World) -> None:
    _, chat, _ = two(world, Era.NEW)
    losses.vanish(chat)
    look(world, chat)
    world.pass_time(3)
    [incident] = world.incidents()
    world.operations().undo(incident.id)
    for _ in range(3):
        world.scan()
        world.pass_time(30)
    world.start()
    world.pass_time(30)
    assert not chat.path.exists()
    assert "deleted" in history(world, chat)


# ---- 19: renamed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", ["old first", "new first", "at the next scan", "at the next start"])
def test_a_rotation_that_renames_the_file_is_followed(world: World, looks: str) -> None:
    _, chat, _ = two(world, Era.OLD)
    acts.undo(chat)
    chat.turn("go on", "yes")
    old = chat.session_id
    world.watching = False
    new = acts.rotate(chat)
    world.watching = True
    match looks:
        case "old first":
            world.guard.visit(old)
            world.guard.visit(new)
        case "new first":
            world.guard.visit(new)
            world.guard.visit(old)
        case "at the next start":
            world.start()
        case _:
            world.scan()
    world.scan()
    world.pass_time(11)
    world.scan()
    store = world.guard.copies.store
    assert world.ear.names().count("renamed") == 1
    assert not store.has_shadow(old)
    assert store.read_shadow(new) == chat.path.read_bytes()
    assert [version.reason for version in store.versions(new)] == ["intended"]
    assert not (world.sessions / f"{old}.json").exists()
    assert world.incidents() == []
    chat.turn("further", "on")
    losses.wipe(chat)
    chat.send("x")
    losses.wipe(chat)
    assert len(world.live(chat).messages) == 7


@pytest.mark.parametrize("looks", ["at once", "at the next scan", "at the next start"])
def test_2223_a_rename_that_destroys_the_only_copy(world: World, looks: str) -> None:
    app = world.app(Era.OLD)
    chat = app.create(turns=5)
    world.scan()
    old = chat.session_id
    world.watching = looks == "at once"
    new = losses.rename_destroys(chat)
    if looks == "at the next start":
        world.start()
    if looks == "at once":
        world.guard.visit(old)
    world.scan()
    world.pass_time(11)
    assert old not in [message["session_id"] for message in app.index() or []]
    assert len(world.live(old).messages) == 10
    assert len(world.live(new).messages) == 3
    assert world.incidents()[0].rule == "20 missing"


# ---- the brake ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("index", ["stays", "goes too", "is written anew"])
def test_many_at_once_are_held(world: World, era: Era, index: str) -> None:
    app = world.app(era)
    chats = [app.create(turns=1) for _ in range(6)]
    world.scan()
    losses.all_vanish(app)
    look(world, *chats)
    app.restart()
    if index == "goes too":
        (world.sessions / INDEX).unlink()
    elif index == "is written anew":
        world.pass_time(1.1)  # so long it went on listing them
        app.create(turns=1)
    look(world, *chats)
    for _ in range(5):
        world.pass_time(30)
        world.scan()
    assert world.ear.names().count("mass_change_held") == 1
    assert {"deleted", "missing"}.isdisjoint(world.ear.names())
    assert all(map(is_kept, [world] * 6, chats))
    result = finished(world.operations().restore_all_missing())
    assert len(result["restored"]) == 6
    assert all(len(world.live(chat).messages) == 2 for chat in chats)
    assert world.ear.names().count("mass_change_released") == 1
    assert world.ear.names().count("restored_by_user") == 6
    world.scan()
    assert list(world.guard.missing_files.held) == []


def test_three_are_not_many(world: World) -> None:
    app = world.app(Era.NEW)
    chats = [app.create(turns=1) for _ in range(5)]
    world.scan()
    for chat in chats[:3]:
        losses.vanish(chat)
    look(world, *chats)
    world.pass_time(3)
    assert "mass_change_held" not in world.ear.names()
    assert all(len(world.live(chat).messages) == 2 for chat in chats)


def test_the_brake_holds_over_a_restart_also_when_few_are_left(world: World) -> None:
    app = world.app(Era.OLD)
    chats = [app.create(turns=1) for _ in range(6)]
    world.scan()
    for chat in chats[:4]:
        losses.vanish(chat)
        app.chats.pop(chat.session_id)
    look(world, *chats)
    world.pass_time(2)
    world.scan()
    for chat in chats[:2]:
        world.operations().restore(chat.session_id)
    world.scan()
    app.write_index(chats[5])
    world.start()
    for _ in range(3):
        world.pass_time(30)
        world.scan()
    assert sorted(world.guard.missing_files.held) == sorted(chat.session_id for chat in chats[2:4])
    assert {"deleted", "missing"}.isdisjoint(world.ear.names())
    assert is_kept(world, chats[2])
    world.operations().purge(chats[2].session_id)
    world.operations().restore(chats[3].session_id)
    world.scan()
    world.start()
    assert list(world.guard.missing_files.held) == []
    assert world.ear.names().count("mass_change_released") == 1


def test_a_later_deletion_counts_although_others_are_held(world: World) -> None:
    app = world.app(Era.OLD)
    chats = [app.create(turns=1) for _ in range(8)]
    world.scan()
    for chat in chats[:4]:
        losses.vanish(chat)
        app.chats.pop(chat.session_id)
    look(world, *chats)
    world.pass_time(30)
    losses.vanish(chats[4])
    look(world, chats[4])
    world.pass_time(30)
    assert chats[4].session_id in world.guard.missing_files.held
    world.pass_time(61)
    world.scan()
    acts.delete(chats[6])
    look(world, chats[6])
    world.pass_time(11)
    assert not is_kept(world, chats[6])
    assert len(world.guard.missing_files.held) == 5


def test_a_tombstone_releases_its_session(world: World) -> None:
    app = world.app(Era.NEW)
    chats = [app.create(turns=1) for _ in range(5)]
    world.scan()
    for chat in chats[:4]:
        losses.vanish(chat)
    look(world, *chats)
    world.pass_time(2)
    assert len(world.guard.missing_files.held) == 4
    app.bury(chats[0].session_id)
    world.scan()
    assert len(world.guard.missing_files.held) == 3
    assert not is_kept(world, chats[0])


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("count", [1, 3])
def test_an_empty_directory_is_no_evidence_even_for_few_sessions(world: World, era: Era, count: int) -> None:
    app = world.app(era)
    chats = [app.create(turns=1) for _ in range(count)]
    world.scan()
    for path in list(world.sessions.iterdir()):
        path.unlink()
    look(world, *chats)
    world.pass_time(30)
    assert world.ear.names().count("mass_change_held") == 1
    assert all(map(is_kept, [world] * count, chats))
    assert len(finished(world.operations().restore_all_missing())["restored"]) == count


@pytest.mark.parametrize("era", ERAS)
def test_who_deletes_the_only_session_has_deleted_it(world: World, era: Era) -> None:
    app = world.app(era)
    chat = app.create(turns=1)
    world.scan()
    acts.delete(chat)
    look(world, chat)
    app.write_index()
    world.pass_time(11)
    assert "mass_change_held" not in world.ear.names()
    assert world.ear.names().count("deleted") == 1


def test_a_directory_that_is_gone_is_no_deletion(world: World) -> None:
    _, first, second = two(world, Era.OLD)
    away = world.sessions.with_name("away")
    world.sessions.rename(away)
    look(world, first, second)
    world.pass_time(30)
    assert world.ear.names().count("mass_change_held") == 1
    assert is_kept(world, first)
    assert is_kept(world, second)
    with pytest.raises(Exception, match=r"cannot be read.*mount"):
        finished(world.operations().restore_all_missing())
    away.rename(world.sessions)
    world.scan()
    assert world.ear.names().count("mass_change_released") == 1
    assert json.loads(first.path.read_text())["messages"]


def test_a_brake_that_cannot_be_written_down_is_tried_again(world: World) -> None:
    app = world.app(Era.NEW)
    chats = [app.create(turns=1) for _ in range(5)]
    world.scan()
    losses.all_vanish(app)
    look(world, *chats)
    world.pass_time(2)
    held = world.store_path / "held"
    held.mkdir()
    world.scan()
    assert "store_broken" in world.ear.names()
    held.rmdir()
    world.scan()
    assert len(held.read_text().split()) == 5


def test_the_settings_of_a_reload_count(world: World) -> None:
    _, chat, _ = two(world, Era.NEW)
    world.guard.adopt(replace(world.settings, on_missing="warn"))
    losses.vanish(chat)
    look(world, chat)
    world.pass_time(10)
    assert not chat.path.exists()
    assert world.incidents()[0].action == "warned"
