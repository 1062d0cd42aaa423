"""The fast path is taken where it should be, nothing that can wait comes before the exchange, and floods end well."""

import itertools
import json
import os
import signal
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import dumps
from hermesguard.guard import guard
from hermesguard.guard import visit as visit
from hermesguard.guard.large.long_work import LONG_BYTES
from hermesguard.repair import exchange as staging
from hermesguard.repair.standby import QUIET_SECONDS
from hermesguard.store.store import Store
from hermesguard.webui import session
from tests.helpers.daemon_process import Daemon, hermesguard
from tests.helpers.world import World, watch_saves

ANSWER_CHARACTERS = 400


def long_chat(app: App, turns: int = 30) -> Chat:
    return app.create("The long one", turns=turns, answer_characters=ANSWER_CHARACTERS)


# -- growth


@pytest.mark.parametrize("era", list(Era))
def test_normal_growth_never_takes_the_slow_path(
    world: World, monkeypatch: pytest.MonkeyPatch, era: Era
) -> None:
    chat = long_chat(world.app(era))
    slow: list[str] = []
    monkeypatch.setattr(guard, "Visit", lambda name, *rest: slow.append(name))
    for number in range(6):
        chat.send(f"question {number}")
        chat.stream("An answer begins, ")
        chat.stream("An answer begins, goes on")
        chat.finish("An answer begins, goes on, and ends.")
        chat.turn(f"and another {number}", "yes", tools=[("terminal", "ls", "x" * 300)])
        chat.pin(bool(number % 2))
        chat.rename(f"Title {number}")
    assert slow == []
    assert "internal_error" not in world.ear.names()
    assert world.shadow(chat).text == chat.path.read_text()


def test_a_visit_says_whether_there_was_growth_and_nothing_follows_of_it(world: World) -> None:
    chat = long_chat(world.app(Era.NEW))

    def grown() -> bool:
        chat.messages.append({"role": "user", "content": "only added", "timestamp": chat.app.clock()})
        chat.save()
        return world.guard.visit(chat.session_id, chat.app.process_id, 1)

    world.watching = False
    assert grown()
    assert not world.guard.visit(chat.session_id), "nothing came"
    chat.path.unlink()
    assert not world.guard.visit(chat.session_id)
    assert not grown(), "it is back"
    assert grown()
    chat.send("It could be wiped now")
    assert not world.guard.visit(chat.session_id, chat.app.process_id, 1)
    assert not grown()


def test_nothing_of_a_session_is_held_behind_its_visit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache may let it go then; and a save of the same length is not put together to see that it is another one."""
    chat = world.app(Era.NEW).create("The long one", turns=30, answer_characters=20_000)
    reader = world.guard._reader
    whole = reader._whole
    reader.release()
    monkeypatch.setattr(reader, "_whole", lambda: pytest.fail("it was read along what is known"))
    for title in ("Title one", "Title two"):
        chat.turn("question", "answer")
        chat.rename(title)
    assert reader.memory_bytes < 300_000 < chat.path.stat().st_size
    monkeypatch.setattr(reader, "_whole", whole)
    assert world.shadow(chat).text == chat.path.read_text()


def test_a_short_session_that_becomes_long_at_once_takes_three_times_its_size(world: World) -> None:
    """An import, or a backup that is put back: what came is not parsed as a few messages are."""
    chat = long_chat(world.app(Era.NEW))
    said = [
        {"role": "user", "content": f"said {n} " + "x" * 200, "timestamp": 1.7e9 + n} for n in range(20_000)
    ]
    world.watching = False
    chat.messages.extend(said)
    chat.save()
    size_bytes = chat.path.stat().st_size
    tracemalloc.start()
    try:
        world.guard.visit(chat.session_id, chat.app.process_id, 1)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3 * size_bytes
    assert size_bytes > 2 * LONG_BYTES
    assert world.store_path.joinpath("shadows", chat.path.name).read_bytes() == chat.path.read_bytes()
    assert world.ear.names() == []


def test_growth_is_judged_where_a_message_has_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []
    real = guard.judge

    def judge(*arguments: Any) -> Any:
        judged.append(1)
        return real(*arguments)

    monkeypatch.setattr(guard, "judge", judge)
    chat = long_chat(world.app(Era.OLD))
    chat.messages.append({"role": "user", "content": "only added", "timestamp": chat.app.clock()})
    chat.save()
    assert judged == []
    chat.messages[-1]["content"] += ", and streamed on"
    chat.save()
    assert judged == [1]


# -- the order of things


class Order:
    """What was done, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self._patch = monkeypatch

    def note(self, owner: Any, name: str, word: str | None = None) -> None:
        """Write down each call of `owner.name`."""
        real: Callable[..., Any] = getattr(owner, name)

        def noted(*arguments: Any, **more: Any) -> Any:
            self.done.append(word or name)
            return real(*arguments, **more)

        self._patch.setattr(owner, name, noted)


@pytest.mark.parametrize("is_ready", [True, False])
def test_nothing_that_can_wait_comes_before_the_exchange(
    world: World, monkeypatch: pytest.MonkeyPatch, is_ready: bool
) -> None:
    chat = long_chat(world.app(Era.OLD))
    chat.send("unsent")
    if is_ready:
        world.pass_time(QUIET_SECONDS)
        world.guard.get_ready()
    order = Order(monkeypatch)
    world.watching = False
    losses.wipe(chat)
    for owner, name in (
        (os, "fsync"),
        (os, "fdatasync"),
        (zlib, "compressobj"),
        (world.ear, "report"),
        (world.guard.copies.store, "keep_change"),
        (world.guard.copies.store, "add_version"),
        (world.guard.recorder.incidents, "append"),
        (world.guard.directory, "correct_index"),
        (session, "parse"),
        (visit, "judge"),
        (visit, "merged_file"),
        (staging, "exchange"),
    ):
        order.note(owner, name)
    world.guard.visit(chat.session_id, 1)
    before = order.done[: order.done.index("exchange")]
    # Without an answer that is ready the stub and the abridged shadow are read, both short; with one not even that.
    assert before == ([] if is_ready else ["parse", "parse"])
    after = set(order.done[len(before) :])
    assert {"fsync", "compressobj", "report", "add_version", "append", "correct_index", "judge"} <= after
    assert world.words(chat)[-1] == "unsent"
    assert len(world.live(chat).messages) == 61
    assert [incident.rule[:1] for incident in world.incidents()] == ["3"]


def test_what_was_made_ready_is_used_once_and_made_anew(world: World) -> None:
    chat = long_chat(world.app(Era.OLD))
    for number in range(3):
        chat.reload()
        chat.send(f"unsent {number}")
        world.pass_time(QUIET_SECONDS)
        world.guard.get_ready()
        copy = world.guard.copies.cached(chat.session_id)
        assert copy
        assert copy.prepared
        losses.wipe(chat)
        assert world.words(chat)[-1] == f"unsent {number}"
    assert len(world.live(chat).messages) == 63


def test_sessions_written_last_are_ready_after_a_start(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        chat = long_chat(App(daemon.sessions, Era.OLD), turns=200)
        chat.send("unsent")
        daemon.start()
        daemon.kill()
        daemon.start()
        losses.wipe(chat)
        daemon.until(lambda: len(chat.on_disk()["messages"]) == 401)


# -- memory


def test_memory_is_bounded_and_a_session_beyond_it_is_guarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, cache_bytes=50_000)
    watch_saves(world, monkeypatch)
    app = world.app(Era.OLD)
    chats = [long_chat(app, turns=60) for _ in range(5)]
    assert min(chat.path.stat().st_size for chat in chats) > 50_000
    for chat in chats:
        chat.send("unsent")
        losses.wipe(chat)
        assert len(world.live(chat).messages) == 121
    assert world.guard.copies._cache.size_bytes <= max(chat.path.stat().st_size for chat in chats)


def test_what_could_be_wiped_stays_in_memory_and_the_rest_goes(world: World) -> None:
    app = world.app(Era.OLD)
    stranded, quiet = long_chat(app), long_chat(app)
    stranded.send("unsent")
    world.pass_time(3600)
    world.scan()
    assert world.guard.copies.cached(stranded.session_id)
    assert world.guard.copies.cached(quiet.session_id) is None


# -- writers in place


def write_in_place(chat: Chat) -> None:
    with chat.path.open("r+", encoding="utf-8") as file:
        file.write(dumps(chat.document))
        file.truncate()


def test_writers_in_place_are_followed_and_repaired(world: World) -> None:
    chat = long_chat(world.app(Era.OLD))
    for number in range(5):
        chat.messages.append({"role": "user", "content": f"in place {number}", "timestamp": chat.app.clock()})
        write_in_place(chat)
        world.guard.visit(chat.session_id)
        assert world.shadow(chat).count == 61 + number
    chat.send("unsent")
    stub = losses._stub(chat)
    with chat.path.open("r+", encoding="utf-8") as file:
        file.write(dumps(stub))
        file.truncate()
    world.guard.visit(chat.session_id)
    assert world.words(chat)[-2:] == ["in place 4", "unsent"]
    assert len(world.live(chat).messages) == 66


# -- floods


def replace_fast(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp.1.1")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def test_a_flood_while_the_guard_could_not_look(tmp_path: Path) -> None:
    """More events than the kernel's queue holds, losses among them, while the process is stopped: one scan repairs all."""
    queued = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with Daemon(tmp_path, "--scan-interval", "1h") as daemon:
        app = App(daemon.sessions, Era.OLD)
        busy, *others = (long_chat(app, turns=3) for _ in range(8))
        for chat in others:
            chat.send("unsent")
        daemon.start()
        for chat in others:
            daemon.until_kept(chat.path)
        assert daemon.process
        daemon.process.send_signal(signal.SIGSTOP)
        text = busy.path.read_text()
        for number in range(queued // 3 + 500):
            replace_fast(busy.path, text.replace('"The long one"', f'"Number {number}"'))
        for chat in others:
            losses.wipe(chat)
        daemon.process.send_signal(signal.SIGCONT)
        daemon.until_heard("overflow")
        daemon.until(lambda: all(len(chat.on_disk()["messages"]) == 7 for chat in others))
        daemon.until_kept(busy.path)
        for chat in others:
            daemon.until_kept(chat.path)
        daemon.until(lambda: len(daemon.incidents()) == len(others))


def test_a_thousand_saves_as_fast_as_they_come(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        chat = long_chat(App(daemon.sessions, Era.NEW))
        daemon.start()
        document = json.loads(chat.path.read_text())
        for number in range(1000):
            document["messages"][-1]["content"] += " on"
            if number % 10 == 0:
                message = {"role": "assistant", "content": f"{number}", "timestamp": 1.8e9 + number}
                document["messages"].append(message)
            replace_fast(chat.path, dumps(document))
        daemon.until_kept(chat.path)
        assert daemon.incidents() == []
        assert daemon.stop() == 0
        assert Store(daemon.store).shadow_path(chat.session_id).read_bytes() == chat.path.read_bytes()


@pytest.mark.parametrize("interval", ["200ms", "1h"])
def test_scans_and_requests_go_on_during_constant_growth(tmp_path: Path, interval: str) -> None:
    """The loop stays at the watch while there is nothing but growth; scans, commands and signals must not wait for its end."""
    with Daemon(tmp_path, "--scan-interval", interval) as daemon:
        app = App(daemon.sessions, Era.OLD)
        growing, other = long_chat(app), long_chat(app, turns=3)
        daemon.start()
        is_over = threading.Event()

        def grow() -> None:
            document = json.loads(growing.path.read_text())
            for number in itertools.count():
                if is_over.is_set():
                    return
                if number < 2000:  # then it is saved as it is
                    message = {"role": "assistant", "content": f"{number}", "timestamp": 1.8e9 + number}
                    document["messages"].append(message)
                document["updated_at"] = 1.8e9 + number
                replace_fast(growing.path, dumps(document))

        writer = threading.Thread(target=grow)
        writer.start()
        try:
            store = ("--sessions", daemon.sessions, "--store", daemon.store)

            def status() -> dict[str, Any]:
                answer = hermesguard(tmp_path, "status", "--json", *store).stdout
                found: dict[str, Any] = json.loads(answer)
                return found

            first = status()["last_scan"]
            if interval == "200ms":
                daemon.until(lambda: status()["last_scan"] > first)
            assert daemon.process
            daemon.process.send_signal(signal.SIGHUP)
            daemon.until_heard("reloaded")
            losses.rewrite_in_place(other, other.messages[:2])
            daemon.until(lambda: len(other.on_disk()["messages"]) == 6)
            assert daemon.stop() == 0
        finally:
            is_over.set()
            writer.join()
