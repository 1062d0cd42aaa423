"""What hangs on messages, beside a real world: no alert where a repair and its session merely go on."""

from collections.abc import Callable

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from tests.helpers.world import World


def test_a_repaired_prompt_that_runs_again_takes_nothing_away(world: World) -> None:
    """The repair made a message of the unsent prompt; an application that holds it as pending saves it so once more."""
    chat = world.app(Era.OLD).create(turns=5)
    world.start()
    chat.send("unsent")
    world.guard.visit(chat.session_id)
    losses.wipe(chat)
    world.guard.visit(chat.session_id)
    chat.send("unsent")
    world.guard.visit(chat.session_id)
    assert "restored" in world.ear.names()
    assert "stripped" not in world.ear.names()


# ---- two writers, of which the other's older memory has left nothing but a poorer file ------------------------------------


def stripped_by_another(world: World) -> Chat:
    """A chat whose last turn was interrupted; a second server saves what it knew before that: all that was said is there."""
    chat = world.app(Era.OLD).create(turns=3)
    chat.send("go on")
    chat.interrupt()
    losses.stale_process(chat, messages_behind=1)
    assert world.ear.names()[-1] == "stripped"
    return chat


@pytest.mark.parametrize("act", [acts.clear, acts.undo])
def test_an_act_of_who_has_not_read_it_stands(world: World, act: Callable[[Chat], object]) -> None:
    chat = stripped_by_another(world)
    act(chat)
    assert world.ear.names()[-1] == "intended"
    assert world.words(chat) == [message["content"] for message in chat.messages]


def test_what_the_other_one_takes_away_next_is_back(world: World) -> None:
    """It goes on from its old memory, and that explains nothing: neither by what it had left, nor by what was before."""
    chat = stripped_by_another(world)
    words = world.words(chat)
    losses.stale_process(chat, messages_behind=4)
    assert world.ear.names()[-1] in ("restored", "uncertain")
    assert world.words(chat) == words


def test_what_was_said_in_between_is_not_measured_by_what_was_before(world: World) -> None:
    """The poorer file got a turn that only it has: who takes that away with others has not seen it."""
    chat = stripped_by_another(world)
    poorer = Chat(chat.app, chat.on_disk())
    poorer.turn("said to the other server", "and answered there")
    acts.clear(chat)
    assert world.ear.names()[-1] != "intended"
    assert "said to the other server" in world.words(chat)
