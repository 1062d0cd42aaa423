"""What tests of the offsite copies share."""

import pytest

from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from tests.helpers.world import World


@pytest.fixture
def app(world: World) -> App:
    """The application whose sessions are copied."""
    return world.app(Era.NEW)
