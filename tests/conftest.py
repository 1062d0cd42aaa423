"""Fixtures that every test can use, and how Hypothesis looks for examples."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from hermesguard.lookup import typed
from tests.helpers.journald import journald
from tests.helpers.world import world

__all__ = ["journald", "world"]

# A busy machine makes any example slow now and then. In CI, Hypothesis's own profile says the same and takes fixed examples.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if settings.default is not None and settings.default.deadline is not None:
    settings.load_profile("here")

# How wide the terminal is of who runs the tests (pytest-xdist says so to its workers) is nothing to commands that are piped.
for size in ("COLUMNS", "LINES"):
    os.environ.pop(size, None)

# What a shell puts into the background ignores SIGINT, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def bare_commands() -> Iterator[None]:
    """How commands are typed is known to a process: one that a test ran in this one leaves nothing of it."""
    yield
    typed.use(typed.BARE)
