"""A directory that does not answer, as of a server that is gone: the others are guarded, and it is told of and tried again."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

import hermesguard.daemon.directories.directories
import hermesguard.daemon.directories.finding
import hermesguard.daemon.directories.watched
import hermesguard.watcher.polling
import hermesguard.watcher.watcher
from hermesguard.config import settings as config
from hermesguard.daemon.loop import Daemon
from hermesguard.demo import losses
from hermesguard.store.store import Store
from hermesguard.watcher.polling import Polling
from hermesguard.watcher.watcher import Watch
from tests.helpers.profiles import Home, messages
from tests.helpers.world import Ear

PATIENCE_SECONDS = 20.0


class Loop:
    """A daemon of a home with two profiles, turned by the test; the directory of `work` is on a server."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = Home(root)
        self.chats = {name: self.home.chat(name) for name in ("default", "work")}
        self.answers = Event()
        self.answers.set()
        far = self.home.sessions("work")

        def kind(path: Path) -> str:
            return "nfs4" if path == far else "ext4"

        start, look = Watch.start, Polling._look

        def started(watch: Watch) -> None:
            if watch._directory == far:
                self.answers.wait()
            start(watch)

        def looked(polling: Polling) -> object:
            self.answers.wait()
            return look(polling)

        monkeypatch.setattr(hermesguard.daemon.directories.watched, "type_by_name", kind)
        monkeypatch.setattr(hermesguard.daemon.directories.watched, "_SILENT_AFTER_SECONDS", 0.1)
        monkeypatch.setattr(hermesguard.watcher.watcher, "filesystem_type", kind)
        monkeypatch.setattr(hermesguard.watcher.polling, "_SILENCE_SECONDS", 0.1)
        monkeypatch.setattr(Watch, "start", started)
        monkeypatch.setattr(Polling, "_look", looked)
        flags = {"store": str(self.home.store), "scan_interval": "100ms"}
        settings = config.load(flags, {"HOME": str(root)}, [])
        store = Store(self.home.store)
        store.create()
        store.take_lock()
        self.ear = Ear()
        self.daemon = Daemon(settings, store, self.ear)

    def begin(self) -> None:
        self.daemon.directories.begin()

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until it holds; no turn waits for what does not answer."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < until, self.ear.names()
            self.daemon._turn()

    def told(self, name: str) -> int:
        return self.ear.names().count(name)

    def wipe(self, name: str) -> None:
        chat = self.chats[name]
        self.until(lambda: self.home.shadow(name, chat).exists())
        losses.wipe(chat)
        self.until(lambda: messages(chat) >= 8)


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    made = Loop(tmp_path, monkeypatch)
    yield made
    made.answers.set()
    made.daemon.close()


def test_one_that_does_not_answer_at_the_start(loop: Loop) -> None:
    loop.answers.clear()
    loop.begin()
    loop.until(lambda: loop.told("waiting") and loop.told("ready"))
    loop.wipe("default")
    status = {one["name"]: one for one in loop.daemon.directories.status()["directories"]}
    assert "does not answer" in status["work"]["watch_reason"]
    assert (status["work"]["missing"], status["work"]["watch_lost"]) == (False, True)
    loop.answers.set()
    loop.until(lambda: loop.told("ready") == 2)
    loop.wipe("work")


def test_one_that_falls_silent(loop: Loop) -> None:
    loop.begin()
    loop.until(lambda: loop.told("ready") == 2)
    loop.wipe("work")
    loop.answers.clear()
    loop.until(lambda: loop.told("watch_lost"))
    loop.wipe("default")
    assert loop.told("watch_lost") == 1
    loop.answers.set()
    loop.until(lambda: loop.told("watch_restored"))
    loop.wipe("work")


@pytest.mark.parametrize("is_of_another", [False, True])
def test_one_that_may_not_answer_is_not_touched_to_know_whether_another_guard_has_it(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, is_of_another: bool
) -> None:
    """Nor is one that another guard has, and that may not answer either."""
    far, touched, asked = loop.home.sessions("work"), list[Path](), list[int]()
    others = {far if is_of_another else Path("/far/sessions"): Path("/far/store")}
    directories = hermesguard.daemon.directories.directories
    monkeypatch.setattr(directories, "_OTHERS_SECONDS", 0.0)
    monkeypatch.setattr(directories, "guarded_by_others", lambda *_: asked.append(1) or others)
    finding = hermesguard.daemon.directories.finding
    identity = finding.identity
    monkeypatch.setattr(finding, "identity", lambda path: touched.append(path) or identity(path))
    monkeypatch.setattr(
        finding,
        "type_by_name",
        lambda path: "nfs4" if path == far or path.is_relative_to("/far") else "ext4",
    )
    loop.begin()
    loop.until(lambda: len(asked) > 3 or loop.told("directory_refused"))
    assert far not in touched
    assert Path("/far/sessions") not in touched
    assert (far in [one.settings.sessions for one in loop.daemon.directories.all]) == (not is_of_another)


@pytest.mark.parametrize("is_by_another_name", [False, True])
def test_one_that_another_guard_has_by_now_is_given_up(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_by_another_name: bool
) -> None:
    """Every guard asks each minute whether another one was set up for a directory of its own."""
    work, others = loop.home.sessions("work"), dict[Path, Path]()
    directories = hermesguard.daemon.directories.directories
    monkeypatch.setattr(directories, "_OTHERS_SECONDS", 0.0)
    monkeypatch.setattr(directories, "guarded_by_others", lambda *_: others)
    loop.begin()
    loop.until(lambda: loop.told("ready") == 2)
    assert len(loop.daemon.directories.all) == 2
    (tmp_path / "link").symlink_to(work)
    others[tmp_path / "link" if is_by_another_name else work] = Path("/another/store")
    loop.until(lambda: loop.told("directory_refused"))
    assert [one.settings.sessions for one in loop.daemon.directories.all] == [loop.home.sessions("default")]
