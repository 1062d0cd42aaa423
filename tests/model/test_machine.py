"""Everything that can happen to a few sessions, to their servers and to the guard, in any order, beside what each user meant.

The world is in this process, its clock is turned by hand, and the guard visits every save at once (as the daemon does when it
keeps up). Checked are the promises of the design: nothing seen is lost (1); a repair brings back what was lost, throws away
nothing new and says nothing twice (2); what was meant stands (3); live is a whole file at every exchange (4).

A run plays a few histories, always the same; in CI it plays 300, and with HERMESGUARD_MACHINE_EXAMPLES=3000 so many, that nobody
has seen. HERMESGUARD_SEED, which every failure names, repeats such a run. It says at its end how many histories it has tried, and
how often each thing happened.
"""

import faulthandler
import os
import secrets
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from hermesguard import reader as reading
from hermesguard.reader import Reader
from hermesguard.store import cached_store
from hermesguard.webui import abridged, session
from tests.model.machine import invariants
from tests.model.machine.acts import Acts
from tests.model.machine.faults import Faults
from tests.model.machine.guarding import Guarding
from tests.model.machine.talks import Talk, words_of

CHOSEN = int(os.environ.get("HERMESGUARD_MACHINE_EXAMPLES", "0"))
SEED = os.environ.get("HERMESGUARD_SEED", "")
IS_FRESH = bool(CHOSEN or SEED or os.environ.get("CI"))
EXAMPLES = CHOSEN or (300 if IS_FRESH else 16)
FIXED_SEED = 4205778800
KEEPING_EXAMPLES = EXAMPLES // 4
LONG_EXAMPLES = EXAMPLES // 4
AS_LONG = (
    (reading, "_WINDOW_BYTES", 2048),
    (abridged, "SHORTEST_RUN_BYTES", 200),
    (abridged, "LONGEST_REST", 3),
    (cached_store, "SMALLEST_LOGGED_BYTES", 600),
)


class Machine(Acts, Faults, Guarding):
    """All that may happen, with the configuration as it is without a word of the user's."""


class KeepingMachine(Machine):
    """The same with `on_uncertain = "keep"`: what is uncertain may be gone from live, but from nowhere else."""

    on_uncertain = "keep"

    def check(self, talk: Talk) -> None:
        live = session.parse(invariants.path_of(self.world, talk).read_bytes())
        invariants.check_sound(self.world, talk, live)
        talk.meant = words_of(live.messages)
        talk.is_asked = talk.prompt in talk.meant


class LongMachine(Machine):
    """The same where a few messages are abridged, read along what is known, and logged, as those of long sessions are."""

    def _patch(self) -> None:
        for module, name, value in AS_LONG:
            self.stack.enter_context(mock.patch.object(module, name, value))
        along = Reader._along

        def counted(*arguments: Any) -> Any:
            rests = along(*arguments)
            self.happened["read along"] += rests is not None
            return rests

        self.stack.enter_context(mock.patch.object(Reader, "_along", counted))
        super()._patch()


@pytest.fixture(autouse=True)
def patience() -> None:
    """What is asked to take long does not hang."""
    if IS_FRESH:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="module", autouse=True)
def tally(request: pytest.FixtureRequest) -> Iterator[None]:
    """A run of fresh histories says at its end what it has tried."""
    began = time.monotonic()
    yield
    if IS_FRESH:
        capture = request.config.pluginmanager.get_plugin("capturemanager")
        assert capture is not None
        happened = dict(Machine.happened)
        with capture.global_and_fixture_disabled():
            print(f"\n{happened.pop('examples', 0)} histories in {time.monotonic() - began:.0f} s:", end=" ")
            print(", ".join(f"{what} {count}" for what, count in sorted(happened.items())))


def play(machine: type[Machine], examples: int) -> None:
    """Play histories; raise AssertionError, which says how they are repeated, when a promise is broken."""
    chosen = int(SEED or (secrets.randbits(32) if IS_FRESH else FIXED_SEED))
    budget = settings(
        deadline=None,
        max_examples=examples,
        stateful_step_count=30,
        derandomize=False,
        database=None,
        phases=[Phase.generate, Phase.shrink] if IS_FRESH else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    try:
        run_state_machine_as_test(seed(chosen)(machine), settings=budget)
    except Exception as error:
        error.add_note(
            f"The same histories again: HERMESGUARD_SEED={chosen} HERMESGUARD_MACHINE_EXAMPLES={EXAMPLES}"
            f" pytest {os.environ.get('PYTEST_CURRENT_TEST', __file__).partition(' ')[0]}"
        )
        raise


def test_every_promise_holds_in_every_history() -> None:
    play(Machine, EXAMPLES - KEEPING_EXAMPLES)


def test_nothing_is_lost_where_the_uncertain_is_kept() -> None:
    play(KeepingMachine, KEEPING_EXAMPLES)


def test_every_promise_holds_of_long_sessions() -> None:
    before = Machine.happened["read along"]
    play(LongMachine, LONG_EXAMPLES)
    assert Machine.happened["read along"] > before
