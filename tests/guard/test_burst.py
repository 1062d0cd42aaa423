"""Many sessions wiped at once: all are right again before any of it is written down, and nothing is lost in between."""

import os

import pytest

from hermesguard.demo import losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.store.cached_store import QUIET_SECONDS
from tests.helpers.world import World

SESSIONS = 12


@pytest.fixture
def chats(world: World) -> list[Chat]:
    """Sessions that were all wiped at once, and whose live files are right again."""
    app = world.app(Era.OLD)
    made = [app.create(turns=5) for _ in range(SESSIONS)]
    for chat in made:
        chat.send("unsent")
    world.guard.unfinished.is_burst = True
    for chat in made:
        losses.wipe(chat)
    return made


def staged(world: World) -> list[str]:
    return [name for name in os.listdir(world.sessions) if name.endswith(".repair")]


def reasons(world: World, chat: Chat) -> list[str]:
    return [version.reason for version in world.guard.copies.store.versions(chat.session_id)]


def require_all_right(world: World, chats: list[Chat]) -> None:
    for chat in chats:
        assert len(world.live(chat).messages) == 11
        assert world.words(chat)[-1] == "unsent"


def test_all_are_repaired_before_any_is_written_down(world: World, chats: list[Chat]) -> None:
    require_all_right(world, chats)
    assert world.incidents() == []
    assert len(staged(world)) == SESSIONS
    for chat in chats:  # the echo of the repair
        assert not world.guard.visit(chat.session_id)
    assert world.incidents() == []
    world.guard.finish_repairs()
    assert len(world.incidents()) == SESSIONS
    assert staged(world) == []
    require_all_right(world, chats)
    for chat in chats:
        assert {"loss", "displaced"} <= set(reasons(world, chat))
        assert world.shadow(chat).count == 11
    assert not world.guard.notes.to_visit


def test_a_scan_in_between_takes_none_of_it_for_left_over(world: World, chats: list[Chat]) -> None:
    world.scan()
    assert len(staged(world)) == SESSIONS
    world.guard.finish_repairs()
    assert len(world.incidents()) == SESSIONS
    assert {"renamed", "missing", "deleted"}.isdisjoint(world.ear.names())


def test_a_crash_in_between_loses_nothing(world: World, chats: list[Chat]) -> None:
    world.start()
    world.pass_time(5)
    require_all_right(world, chats)
    assert staged(world) == []
    for chat in chats:
        assert "leftover" in reasons(world, chat)


def test_a_fault_that_ends_the_process_in_between_loses_nothing(world: World, chats: list[Chat]) -> None:
    for repair in list(world.guard.unfinished.waiting()):
        repair.close()
    assert len(staged(world)) == SESSIONS
    world.start()
    require_all_right(world, chats)
    for chat in chats:
        assert "leftover" in reasons(world, chat)


def test_what_is_saved_in_between_is_seen(world: World, chats: list[Chat]) -> None:
    chats[2].reload()
    chats[2].turn("one more", "indeed")
    assert len(world.incidents()) == 1, "its own bookkeeping, before the new save is judged"
    assert world.words(chats[2])[-2:] == ["one more", "indeed"]
    assert world.shadow(chats[2]).count == 13
    losses.wipe(chats[3])
    world.guard.finish_repairs()
    require_all_right(world, chats[:2] + chats[3:])


def test_a_guard_that_ends_writes_all_of_it_down(world: World, chats: list[Chat]) -> None:
    list(world.guard.end())
    assert len(world.incidents()) == SESSIONS
    assert staged(world) == []


def test_at_each_step_of_the_end_one_is_written_down(world: World, chats: list[Chat]) -> None:
    """So that whoever waits for it is told that it goes on, and does not kill it."""
    waiting = len(world.guard.unfinished.repairs)
    assert waiting == SESSIONS
    for _ in world.guard.end():
        assert len(world.guard.unfinished.repairs) >= waiting - 1
        waiting = len(world.guard.unfinished.repairs)
    assert waiting == 0


def test_while_a_scan_makes_plain_copies_of_many_a_wipe_is_repaired(world: World) -> None:
    """Each copy waits for the disk, and sessions that grew together are quiet together."""
    app = world.app(Era.OLD)
    grown = [app.create(turns=60, answer_characters=400) for _ in range(SESSIONS)]
    for chat in grown:
        chat.turn("And?", "That is all.")
    grown[-1].send("unsent")
    logged = world.guard.copies.store.with_delta_logs
    assert len(logged()) == SESSIONS
    world.seconds += 2 * QUIET_SECONDS
    scan = iter(world.guard.scan())
    while len(logged()) == SESSIONS:
        next(scan)
    assert len(logged()) == SESSIONS - 1
    losses.wipe(grown[-1])
    assert len(world.live(grown[-1]).messages) == 123
    for _ in scan:
        pass
    assert set(logged()) <= {grown[-1].session_id}


def test_no_more_waits_than_there_is_memory_for(world: World, chats: list[Chat]) -> None:
    world.guard.finish_repairs()
    world.guard.unfinished.limit_bytes = 0
    app = world.app(Era.OLD, seed=7)
    chat = app.create(turns=5)
    chat.send("unsent")
    before = len(world.incidents())
    losses.wipe(chat)
    assert len(world.incidents()) == before + 1
