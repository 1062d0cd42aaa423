"""The first start on a directory that has lived: the application's own `.bak` brings back what was lost, never what was meant."""

from collections.abc import Callable

import pytest

from hermesguard.demo import acts, losses, quirks
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from tests.helpers.world import World

KEEPERS = [era for era in Era if era.keeps_backup]


def first_start(world: World, prepare: Callable[[Chat], None], era: Era, turns: int = 6) -> Chat:
    """Let the guard see a session for the first time after `prepare`."""
    world.watching = False
    chat = world.app(era).create("A title", turns=turns)
    prepare(chat)
    world.start()
    return chat


def one_more(chat: Chat) -> None:
    chat.turn("one more question", "one more answer")


def rich_turn(chat: Chat) -> None:
    """A turn of six messages, so that what replaces it is shorter."""
    calls = [("terminal", "ls", "a b c"), ("terminal", "ls /tmp", "d e f")]
    chat.turn("what is there?", "this and that", tools=calls)


MEANT: dict[str, Callable[[Chat], object]] = {
    "undo": acts.undo,
    "retry": lambda chat: acts.retry(chat, "another answer"),
    "edit": lambda chat: acts.edit(chat, "another question", "another answer"),
    "regenerate": lambda chat: acts.regenerate(chat, "another answer"),
    "clear": acts.clear,
}


@pytest.mark.parametrize("era", KEEPERS)
@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize("act", MEANT)
def test_what_was_meant_stays_so(world: World, act: str, later: int, era: Era) -> None:
    def prepare(chat: Chat) -> None:
        rich_turn(chat)
        MEANT[act](chat)
        for _ in range(later):
            one_more(chat)

    chat = first_start(world, prepare, era)
    before = chat.path.read_bytes()
    world.pass_time(10)
    assert chat.path.read_bytes() == before
    assert world.incidents() == []


LOST: dict[str, Callable[[Chat], object]] = {
    "wipe": losses.wipe,
    "empty over an active turn": losses.empty_over_active_turn,
    "collapse to the tail": losses.collapse_to_tail,
}


@pytest.mark.parametrize("era", KEEPERS)
@pytest.mark.parametrize("loss", LOST)
def test_what_was_lost_comes_back(world: World, loss: str, era: Era) -> None:
    def prepare(chat: Chat) -> None:
        chat.send("unsent")
        LOST[loss](chat)

    chat = first_start(world, prepare, era)
    world.pass_time(10)
    messages = [message.words for message in world.live(chat).messages]
    assert len(messages) == 13
    assert messages[-1] == "unsent"
    assert len(world.incidents()) == 1


@pytest.mark.parametrize("era", [era for era in KEEPERS if era.truncates_by_window])
def test_a_truncate_by_the_window_comes_back(world: World, era: Era) -> None:
    chat = first_start(world, losses.window_truncate, era, turns=50)
    assert len(world.live(chat).messages) == 100


@pytest.mark.parametrize("era", KEEPERS)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_torn_file_comes_back_from_the_backup(world: World, era: Era, share: float) -> None:
    def prepare(chat: Chat) -> None:
        chat.backup_path.write_bytes(chat.path.read_bytes())
        losses.tear(chat, share=share)

    chat = first_start(world, prepare, era)
    world.pass_time(2)
    assert len(world.live(chat).messages) == 12


@pytest.mark.parametrize("era", KEEPERS)
def test_the_backup_itself_is_never_touched(world: World, era: Era) -> None:
    def prepare(chat: Chat) -> None:
        chat.send("unsent")
        losses.wipe(chat)

    chat = first_start(world, prepare, era)
    assert world.live(chat).messages
    kept = chat.backup_path.stat()
    world.scan()
    assert chat.backup_path.stat() == kept


@pytest.mark.parametrize("era", KEEPERS)
def test_harmless_rewrites_bring_nothing_back(world: World, era: Era) -> None:
    def prepare(chat: Chat) -> None:
        chat.send("long question")
        quirks.pile_up_partials(chat, 10)
        quirks.collapse_partials(chat)

    chat = first_start(world, prepare, era)
    before = chat.path.read_bytes()
    world.pass_time(10)
    assert chat.path.read_bytes() == before
    assert world.incidents() == []
