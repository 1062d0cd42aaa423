"""What tests of the offsite copies share."""

from collections.abc import Iterator

import pytest

from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from tests.helpers.copies import STARTED
from tests.helpers.world import World


@pytest.fixture(autouse=True)
def _states_are_closed() -> Iterator[None]:
    yield
    while STARTED:
        STARTED.pop().close()


@pytest.fixture
def app(world: World) -> App:
    """The application whose sessions are copied."""
    return world.app(Era.NEW)
