"""A visit: what the guard makes of what the application leaves."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hermesguard.demo import acts, losses, quirks
from hermesguard.demo.eras import Era
from hermesguard.repair import exchange as staging
from hermesguard.store.upkeep.pruning import finished
from hermesguard.webui import session
from tests.helpers.world import World

ERAS = list(Era)


@pytest.mark.parametrize("era", ERAS)
def test_wipe_1558_is_repaired_with_the_unsent_prompt(world: World, era: Era) -> None:
    chat = world.app(era).create(turns=500)
    chat.send("what I typed last")
    losses.wipe(chat)
    live = world.live(chat)
    assert len(live.messages) == 1001
    assert live.messages[-1].words == "what I typed last"
    assert live.stream is None
    assert live.get("pending_user_message") is None
    assert len(live.context) == 1001
    if "message_count" in live:
        assert live.get("message_count") == 1001
    [incident] = world.incidents()
    assert (incident.messages_before, incident.messages_live, incident.messages_after) == (
        1000 + chat.app.eager,
        0,
        1001,
    )


@pytest.mark.parametrize("era", ERAS)
def test_twenty_wipes_in_a_row_add_nothing(world: World, era: Era) -> None:
    chat = world.app(era).create(turns=5)
    chat.send("unsent")
    for _ in range(20):
        losses.wipe(chat)
        world.pass_time(61)
        assert len(world.live(chat).messages) == 11
        stream = {"active_stream_id": "stale again"}
        (world.sessions / f"{chat.session_id}.json").write_text(
            json.dumps(json.loads(world.live(chat).text) | stream, indent=2)
        )
        world.guard.visit(chat.session_id)


@pytest.mark.parametrize("era", [Era.OLD])
def test_turns_of_a_stale_writer_are_merged_in_order_and_never_twice(world: World, era: Era) -> None:
    chat = world.app(era).create(turns=500)
    chat.send("unsent")
    losses.stale_writer(chat)
    for number in range(3):
        chat.turn(f"stale writer question {number}", f"stale writer answer {number}")
        world.pass_time(61)
    assert world.words(chat)[-7:] == [
        "unsent",
        *(f"stale writer {kind} {number}" for number in range(3) for kind in ("question", "answer")),
    ]
    assert len(world.live(chat).messages) == 1007


@pytest.mark.parametrize("era", ERAS)
def test_undo_stands(world: World, era: Era) -> None:
    chat = world.app(era).create(turns=5)
    acts.undo(chat)
    acts.undo(chat)
    world.scan()
    assert len(world.live(chat).messages) == 6
    assert world.incidents() == []
    assert world.ear.names().count("intended") == 2


@pytest.mark.parametrize("era", ERAS)
def test_clear_stands(world: World, era: Era) -> None:
    chat = world.app(era).create("A title", turns=5)
    acts.clear(chat)
    world.pass_time(5)
    assert world.live(chat).messages == []
    chat.turn("a new beginning", "indeed")
    assert world.words(chat) == ["a new beginning", "indeed"]
    assert world.incidents() == []


@pytest.mark.parametrize("era", ERAS)
def test_torn_file_is_restored_after_a_second(world: World, era: Era) -> None:
    chat = world.app(era).create(turns=5)
    before = world.words(chat)
    losses.tear(chat)
    world.guard.visit(chat.session_id)
    assert world.incidents() == []
    world.pass_time(1.1)
    assert world.words(chat) == before


@pytest.mark.parametrize("era", ERAS)
def test_loss_while_the_guard_was_down(world: World, era: Era) -> None:
    chat = world.app(era).create(turns=5)
    chat.send("unsent")
    with world.unwatched():
        losses.wipe(chat)
    assert len(world.live(chat).messages) == 11


def test_a_second_start_changes_nothing(world: World) -> None:
    app = world.app(Era.NEW)
    chats = [app.create(turns=3) for _ in range(20)]
    chats[0].send("unsent")
    losses.wipe(chats[0])
    world.scan()
    before = listing(world)
    world.start()
    assert listing(world) == before


def listing(world: World) -> dict[str, tuple[bytes, int]]:
    found = {}
    for root in (world.sessions, world.store_path):
        for directory, _, names in os.walk(root):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    found[path] = (file.read(), os.stat(path).st_mtime_ns)
    return found


@pytest.mark.parametrize("era", ERAS)
def test_flip_flop_of_partials_is_left_alone(world: World, era: Era) -> None:
    chat = world.app(era).create(turns=2)
    chat.send("long question")
    quirks.pile_up_partials(chat, 50)
    heard = len(world.ear.heard)
    for _ in range(3):
        quirks.collapse_partials(chat)
        quirks.pile_up_partials(chat, 50)
    assert world.incidents() == []
    assert [name for name, _ in world.ear.heard[heard:]] == []
    assert world.guard.copies.store.versions(chat.session_id) == []


@pytest.mark.parametrize("era", [era for era in ERAS if era.truncates_by_window])
def test_window_relative_truncate_5096_is_restored(world: World, era: Era) -> None:
    chat = world.app(era).create(turns=500)
    losses.window_truncate(chat)
    assert len(world.live(chat).messages) == 1000
    assert world.incidents()[0].event == "uncertain"


@pytest.mark.parametrize("era", ERAS)
def test_delete_is_judged_by_evidence(world: World, era: Era) -> None:
    app = world.app(era)
    chat = app.create(turns=2)
    app.create(turns=2)
    world.scan()
    acts.delete(chat)
    world.guard.visit(chat.session_id)
    world.pass_time(12)
    world.scan()
    assert not chat.path.exists()
    assert "deleted" in world.ear.names()
    assert world.guard.copies.store.versions(chat.session_id)[-1].reason == "deleted"


def test_vanished_file_comes_back(world: World) -> None:
    app = world.app(Era.NEW)
    chat = app.create(turns=2)
    losses.vanish(chat)
    world.guard.visit(chat.session_id)
    world.pass_time(3)
    assert len(world.live(chat).messages) == 4
    assert world.incidents()[0].event == "missing"


def test_many_vanished_put_the_brake_on(world: World) -> None:
    app = world.app(Era.NEW)
    for _ in range(6):
        app.create(turns=2)
    losses.all_vanish(app)
    world.scan()
    world.pass_time(30)
    assert world.ear.names().count("mass_change_held") == 1
    assert len(list(world.guard.copies.store.shadows())) == 6
    assert finished(world.operations().restore_all_missing())["failed"] == []
    assert len(list(world.sessions.glob("[0-9a-f]*.json"))) == 6


def test_undo_of_a_repair_is_not_repaired_again(world: World) -> None:
    chat = world.app(Era.OLD).create(turns=40)
    losses.window_truncate(chat)
    [incident] = world.incidents()
    assert len(world.live(chat).messages) == 80
    world.operations().undo(incident.id)
    world.scan()
    world.guard.visit(chat.session_id)
    assert len(world.live(chat).messages) == 28
    assert len(world.shadow(chat).messages) == 28


def test_a_loss_after_a_whole_save_is_repaired_without_back_off(world: World) -> None:
    chat = world.app(Era.OLD).create(turns=5)
    for _ in range(15):
        chat.reload()
        chat.send("unsent")
        losses.wipe(chat)
        assert len(world.live(chat).messages) == 11
    assert world.ear.names().count("backing_off") == 1


def test_repairs_against_a_stale_writer_back_off(world: World) -> None:
    chat = world.app(Era.OLD).create(turns=5)
    chat.send("unsent")
    losses.stale_writer(chat)
    for _ in range(10):
        assert len(world.live(chat).messages) == 11
        chat.pin()
    assert world.live(chat).messages == []
    world.pass_time(61)
    assert len(world.live(chat).messages) == 11


def test_a_repair_that_cannot_be_proved_does_not_become_live(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = world.app(Era.OLD).create(turns=40)
    monkeypatch.setattr(
        "hermesguard.guard.visit.merged_file", lambda shadow, live, keep_messages, **more: b'{"messages": []}'
    )
    losses.window_truncate(chat)
    assert len(world.live(chat).messages) == 28
    assert "internal_error" in world.ear.names()
    assert len(world.shadow(chat).messages) == 80
    monkeypatch.undo()
    world.scan()
    assert len(world.live(chat).messages) == 80


def test_error_in_one_session_does_not_stop_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    app = world.app(Era.NEW)
    bad, good = app.create(turns=3), app.create(turns=3)
    good.send("unsent")
    real = session.parse

    def parse(data: bytes) -> session.Document:
        if bad.session_id.encode() in data:
            raise MemoryError
        return real(data)

    monkeypatch.setattr(session, "parse", parse)
    bad.turn("question", "answer")
    losses.wipe(good)
    monkeypatch.undo()
    assert len(world.live(good).messages) == 7
    assert world.ear.names().count("internal_error") == 1
    world.scan()
    assert len(world.shadow(bad).messages) == 8


def test_many_questions_are_answered_a_few_at_a_time(world: World) -> None:
    app = world.app(Era.OLD)
    chats = [app.create(turns=1) for _ in range(5)]
    for chat in chats:
        losses.tear(chat)
        world.guard.visit(chat.session_id)
    world.seconds += 1.1
    for answered in range(1, 6):
        assert len(world.incidents()) == answered - 1
        wait = world.guard.run_deferred(most_seconds=0)
        assert len(world.incidents()) == answered
        assert wait == (0 if answered < 5 else None)


@pytest.mark.parametrize("when", ["never", "before the restart", "after it"])
def test_an_undo_to_the_state_before_a_repair_stands_after_a_restart(world: World, when: str) -> None:
    chat = world.app(Era.OLD).create(turns=1)
    world.guard.visit(chat.session_id)
    losses.rewrite_in_place(chat, chat.messages[1:])
    world.guard.visit(chat.session_id)
    assert len(world.incidents()) == 1
    chat.turn("asked after the repair", "answered")
    for moment in ("before the restart", "after it"):
        if when == moment:
            losses.vanish(chat)
            world.guard.visit(chat.session_id)
            world.pass_time(5)
            assert len(world.incidents()) == 2
        world.start()
    acts.undo(chat)
    assert len(world.words(chat)) == 2
    assert world.ear.names().count("intended") == 1


def test_a_stale_writer_of_two_repairs_ago_is_merged_after_a_restart(
    world: World,
) -> None:
    """The second repair was made of what the first had made: what the first displaced still counts."""
    app = world.app(Era.OLD)
    chat = app.create(turns=2)
    second = world.app(Era.OLD, seed=7).open(chat.session_id)
    chat.turn("said to the first", "answered by the first")
    second.turn("said to the second", "answered by the second")
    second.pin()
    world.pass_time(1)
    whole = world.words(chat)
    assert len(whole) == 8
    world.start()
    chat.pin()
    assert world.words(chat) == whole
    assert len(world.incidents()) >= 3


@pytest.mark.parametrize("restarts", [False, True])
def test_a_save_during_a_repair_counts_and_can_be_undone(
    world: World, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    chat = world.app(Era.OLD).create(turns=2)
    exchange = staging.exchange

    def with_a_turn_in_between(temporary: Path, path: Path) -> bool:
        monkeypatch.setattr(staging, "exchange", exchange)
        with unwatched(world):
            chat.turn("said during the repair", "answered")
        return exchange(temporary, path)

    monkeypatch.setattr(staging, "exchange", with_a_turn_in_between)
    losses.collapse_to_tail(chat)
    assert len(world.words(chat)) == 6
    if restarts:
        world.start()
    acts.undo(chat)
    assert len(world.words(chat)) == 4
    assert len(world.incidents()) == 1


def test_a_save_during_a_repair_does_not_undo_an_earlier_repair(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has not seen the first repair; that it saves just within the second makes no undo of it."""
    chat = world.app(Era.OLD).create(turns=2)
    losses.late_worker(chat, "late")
    assert world.words(chat)[-1] == "late"
    losses.tear(chat, share=0)
    world.guard.visit(chat.session_id)
    exchange = staging.exchange

    def with_a_save_in_between(temporary: Path, path: Path) -> bool:
        monkeypatch.setattr(staging, "exchange", exchange)
        with unwatched(world):
            chat.pin()
        return exchange(temporary, path)

    monkeypatch.setattr(staging, "exchange", with_a_save_in_between)
    world.pass_time(2)
    assert world.words(chat)[-1] == "late"
    assert world.live(chat).get("pinned")


@contextmanager
def unwatched(world: World) -> Iterator[None]:
    world.watching = False
    yield
    world.watching = True
