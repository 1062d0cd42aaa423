"""How a search is shared out among processes: whatever becomes of one of them, each session is looked through, once."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from hermesguard.config.settings import Settings
from hermesguard.lookup.find import processes, search
from hermesguard.lookup.find.query import Query
from hermesguard.lookup.library import Library
from hermesguard.store.store import Store

COUNT = 300
ENDED_MEANWHILE = """
import os, signal
from hermesguard.lookup.find import processes

os.sched_getaffinity = lambda _: range(3)
processes._LEAST_SHARE = 1
parent = os.getpid()

def work(names):
    if os.getpid() == parent:
        os.kill(parent, signal.SIGTERM)
    while os.getppid() == parent:
        pass
    os.write(1, b"x")

processes.share_out([str(number) for number in range(128)], work)
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    settings = Settings(sessions=tmp_path / "sessions", store=tmp_path / "store")
    settings.sessions.mkdir()
    Store(settings.store).create()
    for number in range(COUNT):
        said = {"title": f"A {'zeppelin' if number % 3 else 'balloon'}", "messages": []}
        (settings.store / "shadows" / f"{number:08}.json").write_text(json.dumps(said))
    monkeypatch.setattr(processes, "_LEAST_SHARE", 1)
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: set(range(3)))
    return settings


def find(settings):
    return Counter(hit.session for hit in search.search(Library(settings), Query("zeppelin")))


EXPECTED = Counter(f"{number:08}" for number in range(COUNT) if number % 3)


def test_each_session_is_looked_through_once(settings):
    assert find(settings) == EXPECTED


def test_there_may_be_fewer_sessions_than_processes(settings):
    for path in sorted((settings.store / "shadows").iterdir())[2:]:
        path.unlink()
    assert list(find(settings)) == ["00000001"]


def test_a_part_that_a_process_took_and_did_not_end_is_looked_through_by_another(settings, monkeypatch):
    parent, through = os.getpid(), search._Look.through

    def through_or_die(look, names):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return through(look, names)

    monkeypatch.setattr(search._Look, "through", through_or_die)
    assert find(settings) == EXPECTED


def test_a_command_that_is_told_nothing_of_its_children_finds_all_the_same(settings):
    """Whoever ignores SIGCHLD hands that on to what he starts: the kernel then keeps nothing of a process that has ended."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert find(settings) == EXPECTED
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_search_that_is_ended_leaves_no_process_that_goes_on_with_it():
    done = subprocess.run(
        [sys.executable, "-c", ENDED_MEANWHILE], stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGTERM
    assert len(done.stdout) <= 2, "each of the two ends what it had begun"


def test_where_no_process_can_be_made_one_looks_through_all(settings, monkeypatch):
    def refused():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    open_before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(processes.os, "fork", refused)
    assert find(settings) == EXPECTED
    assert len(os.listdir("/proc/self/fd")) == open_before
