"""Incidents of one store have numbers of their own, whoever acts in whichever part of it."""

import os
import threading
import time
from pathlib import Path

from hermesguard.config.settings import Settings
from hermesguard.daemon.offline import guarding
from hermesguard.store.store import Store

DEADLINE_SECONDS = 60.0


def settings(root: Path, part: str) -> Settings:
    store = root / "store" / "directories" / part if part else root / "store"
    sessions = root / (part or "sessions")
    sessions.mkdir(exist_ok=True)
    Store(store).create()
    return Settings(sessions=sessions, store=store)


def has_a_waiting_lock(directory: Path) -> bool:
    inode = f":{os.stat(directory).st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def test_two_commands_in_two_parts_at_once_number_their_incidents_in_turn(tmp_path):
    first, second = settings(tmp_path, ""), settings(tmp_path, "work")
    given = []

    def act_in_second() -> None:
        with guarding(second) as guard:
            given.append(guard)

    with guarding(first):
        other = threading.Thread(target=act_in_second)
        other.start()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not has_a_waiting_lock(tmp_path / "store") and not given and time.monotonic() < deadline:
            other.join(0.005)
        assert not given
    other.join(DEADLINE_SECONDS)
    assert given
