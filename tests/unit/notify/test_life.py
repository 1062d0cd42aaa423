"""The notifier as a process: it ends in order from the moment in which others find it running."""

import os
import signal

import pytest

from hermesguard.errors import ExitCode
from hermesguard.notify import life, state
from hermesguard.notify.notifier import Notifier
from tests.helpers.notifying import Desk


@pytest.fixture
def missed():
    """Signals that come while the notifier does not heed them."""
    found = []
    before = {number: signal.signal(number, lambda got, _: found.append(got)) for number in life._ENDING}
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_as_soon_as_it_has_the_lock_ends_it_in_order(
    tmp_path, monkeypatch, missed, number
):
    begin = Notifier.__enter__

    def begun(notifier):
        found = begin(notifier)
        os.kill(os.getpid(), number)
        return found

    desk = Desk(tmp_path)
    monkeypatch.setattr(Notifier, "__enter__", begun)
    code = life.run(desk.notifier)
    assert missed == []
    assert code == (ExitCode.OK if number == signal.SIGTERM else 130)
    known = state.summary(desk.settings.store, desk.now)
    assert (known["running"], known["problem"]) == (False, "")
