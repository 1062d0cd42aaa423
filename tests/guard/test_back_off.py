"""A stale writer beside a guard that slows down for it: nothing is lost, and one incident tells."""

import json

import pytest

from hermesguard.demo import losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.guard.back_off import MOST_VERSIONS, REPAIRS_BEFORE_BACK_OFF
from tests.helpers.world import World


@pytest.fixture
def stale(world: World) -> Chat:
    """A conversation with a stale writer, which the guard slows down for."""
    chat = world.app(Era.OLD).create(turns=30)
    chat.send("unsent")
    losses.stale_writer(chat)
    for number in range(2 * REPAIRS_BEFORE_BACK_OFF):
        chat.turn(f"question {number}", f"answer {number}")
        world.pass_time(1.0)
    assert "backing_off" in world.ear.names()
    return chat


def test_one_incident_grows_and_the_history_stays_short(world: World, stale: Chat) -> None:
    before = len(world.incidents())
    for number in range(20):
        stale.turn(f"further question {number}", f"further answer {number}")
        world.pass_time(1.0)
    assert len(world.incidents()) == before
    versions = world.guard.copies.store.versions(stale.session_id)
    assert len(versions) < 3 * REPAIRS_BEFORE_BACK_OFF + MOST_VERSIONS + 5
    said = world.words(stale)
    for number in range(20):
        assert said.count(f"further question {number}") == 1
        assert said.count(f"further answer {number}") == 1
    [newest] = [incident for incident in world.incidents() if incident.id == world.incidents()[-1].id]
    assert {newest.version, newest.displaced} <= {version.name for version in versions}


def test_a_back_off_ends_with_the_guard_or_the_writer(world: World, stale: Chat) -> None:
    world.guard.context.back_off.cost(stale.session_id, 60.0)
    pid = stale.app.process_id
    stale.turn("the last question", "the last answer")
    assert len(world.live(stale).messages) < 60
    assert world.guard.context.writers_awaited() == {pid: stale.session_id}
    world.guard.repair_now((stale.session_id,))
    assert len(world.live(stale).messages) > 60
    assert json.loads(stale.path.read_bytes())["messages"][-1]["content"] == "the last answer"
