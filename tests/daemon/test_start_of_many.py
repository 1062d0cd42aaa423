"""A start on several directories: what is the same for all of them is asked once."""

from collections import Counter
from pathlib import Path

import pytest

from hermesguard.config import memory
from hermesguard.config import settings as config
from hermesguard.daemon.directories import directories
from hermesguard.daemon.loop import Daemon
from hermesguard.store.place import Place
from hermesguard.store.store import Store
from tests.helpers.world import Ear

COUNT = 6


def started(root: Path) -> Ear:
    """Start and end a guard of so many directories; return what it told."""
    named = [root / f"home{number}" / "webui" / "sessions" for number in range(COUNT)]
    for sessions in named:
        sessions.mkdir(parents=True, exist_ok=True)
    flags = {"sessions": ":".join(map(str, named)), "store": str(root / "store"), "scan_interval": "100ms"}
    store = Store(root / "store")
    store.create()
    store.take_lock()
    daemon = Daemon(config.load(flags, {"HOME": str(root)}, []), store, ear := Ear())
    try:
        daemon.directories.begin()
        while not daemon.is_ready:
            daemon._turn()
        assert len(daemon.directories.all) == COUNT
    finally:
        daemon.close()
        store.lock.release()
    return ear


def test_what_is_the_same_for_all_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert started(tmp_path).names().count("directory_found") == COUNT - 1
    noted, others, groups = list[Path](), list[object](), list[Path]()
    note, ask, limits = Place.noted, directories.guarded_by_others, memory._of_groups
    memory.memory_bytes.cache_clear()
    monkeypatch.setattr(memory, "_of_groups", lambda root: groups.append(root) or limits(root))
    monkeypatch.setattr(Place, "noted", lambda place: noted.append(place.root) or note(place))
    monkeypatch.setattr(directories, "guarded_by_others", lambda *known: others.append(known) or ask(*known))
    assert "directory_found" not in started(tmp_path).names()
    assert (len(others), len(groups)) == (1, 1)
    assert set(Counter(noted).values()) == {1}
