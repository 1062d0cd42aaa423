"""What hangs on messages, beside a real world: no alert where a repair and its session merely go on."""

from hermesguard.demo import losses
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
