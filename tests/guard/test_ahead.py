"""A request about a long session: what takes long of it is done in the background, and holds only if nothing has changed."""

import json
import select
import threading
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hermesguard.daemon.status import status_of
from hermesguard.demo import acts, losses
from hermesguard.demo.eras import Era
from hermesguard.guard import visit
from hermesguard.guard.large import long_work
from hermesguard.guard.requests import requests
from hermesguard.guard.requests.operations import Operations, begin
from hermesguard.judge.judge import Action
from hermesguard.store import history
from hermesguard.store.cache import Copy
from hermesguard.webui import session
from hermesguard.webui.long import reading
from tests.helpers.world import World

SHORT_BYTES = 20_000


class Long:
    """A world in which a conversation of 60 kB is long, with a background; `here` says what was done by the loop itself."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(root)
        self.chat = self.world.app(Era.NEW).create(turns=40, answer_characters=500)
        self.world.guard.visit(self.chat.session_id)
        for module in (session, long_work, requests):
            monkeypatch.setattr(module, "LONG_BYTES", SHORT_BYTES)
        self.here: list[str] = []
        self._listen(monkeypatch, reading, "parse")
        self._listen(monkeypatch, history, "packed")
        self._wakeup = self.world.guard.background.open()

    def _listen(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        def listening(*arguments: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                self.here.append(name)
            return real(*arguments)

        monkeypatch.setattr(module, name, listening)

    def wait(self) -> None:
        """Let the background finish a job."""
        assert select.select([self._wakeup], [], [], 60)[0]
        self.world.guard.background.finish()

    def settle(self) -> None:
        while self.world.guard.background.is_busy(self.chat.session_id):
            self.wait()

    def ask(self, verb: str, **arguments: Any) -> Generator[bool | None, None, dict[str, Any]]:
        work = begin(Operations(self.world.guard), verb, arguments)
        assert isinstance(work, Generator)
        return work

    def answer(self, work: Generator[bool | None, None, dict[str, Any]]) -> dict[str, Any]:
        """Go on to the answer, as the loop does."""
        while True:
            try:
                next(work)
            except StopIteration as ended:
                answer: dict[str, Any] = ended.value
                return answer
            self.wait()

    def cut(self) -> None:
        """The application's user takes the last turns back, and the guard sees it."""
        acts.truncate(self.chat, 40)
        self.world.guard.visit(self.chat.session_id)
        self.settle()
        self.here.clear()


@pytest.fixture
def long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Long:
    return Long(tmp_path, monkeypatch)


def test_the_loop_reads_and_packs_nothing(long: Long) -> None:
    long.cut()
    answer = long.answer(long.ask("restore", name=long.chat.session_id, version=versions(long)[0]))
    assert answer["messages_after"] == 80
    assert long.here == []
    assert answer["messages_after"] == len(long.world.live(long.chat).messages)
    long.here.clear()
    again = long.ask("restore", name=long.chat.session_id, version=answer["version"], replace=True)
    answer = long.answer(again)
    assert long.here == []
    assert answer["messages_after"] == len(long.world.live(long.chat).messages) == 40


def test_a_dry_run_writes_nothing(long: Long) -> None:
    long.cut()
    before = versions(long)
    answer = long.answer(
        long.ask("restore", name=long.chat.session_id, version=before[0], dry_run=True, details=True)
    )
    assert (answer["messages_back"], answer["dry_run"]) == (40, True)
    assert versions(long) == before
    assert len(long.world.live(long.chat).messages) == 40


def test_what_was_saved_meanwhile_is_not_lost(long: Long) -> None:
    long.cut()
    work = long.ask("restore", name=long.chat.session_id, version=versions(long)[0])
    next(work)
    long.chat.turn("said meanwhile", "and answered")
    answer = long.answer(work)
    assert answer["messages_after"] == 82
    assert "said meanwhile" in [message.words for message in long.world.live(long.chat).messages]


def test_an_accepted_file_is_the_shadow(long: Long) -> None:
    path = long.chat.path
    value = json.loads(path.read_bytes())
    value["messages"] = value["messages"][:10] + value["messages"][20:]
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
    answer = long.answer(long.ask("accept", name=long.chat.session_id))
    assert (answer["messages_before"], answer["messages_live"]) == (80, 70)
    assert long.here == []
    store = long.world.guard.copies.store
    assert store.read_shadow(long.chat.session_id) == path.read_bytes()
    assert not list(store.shadows_directory.glob(".*"))


@pytest.mark.parametrize("verb", ["restore", "accept"])
def test_the_background_asks_nothing_of_what_is_the_loops_own(
    long: Long, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    long.cut()
    copies = long.world.guard.copies
    real, elsewhere = copies.shadow, []

    def shadow(name: str) -> Copy | None:
        if threading.current_thread() is not threading.main_thread():
            elsewhere.append(name)
        return real(name)

    monkeypatch.setattr(copies, "shadow", shadow)
    long.answer(long.ask(verb, name=long.chat.session_id))
    assert elsewhere == []


def test_a_copy_that_is_damaged_does_not_hold_a_request_up(long: Long) -> None:
    long.cut()
    name, copies = long.chat.session_id, long.world.guard.copies
    version = versions(long)[0]
    copies.drop(name)
    copies.store.shadow_path(name).write_bytes(b"{" * 2 * SHORT_BYTES)
    long.world.guard.directory.backup(name).unlink(missing_ok=True)
    long.chat.path.write_bytes(b"[" * 2 * SHORT_BYTES)
    work = long.ask("restore", name=name, version=version)
    for _ in range(20):
        if next(work, None) is None:
            break
        long.wait()
    assert len(long.world.live(long.chat).messages) == 80


@pytest.mark.parametrize("act", ["gone", "back", "asked"])
def test_what_was_found_out_for_nothing_is_given_back(long: Long, act: str) -> None:
    guard, path = long.world.guard, long.chat.path
    good = path.read_bytes()
    acts.truncate(long.chat, 40)
    guard.visit(long.chat.session_id)
    assert guard.background.is_busy(long.chat.session_id)
    if act == "gone":
        path.unlink()
    elif act == "back":
        path.write_bytes(good)
    else:
        work = long.ask("restore", name=long.chat.session_id)
        next(work)
        path.write_bytes(good)
        work.close()
    long.settle()
    work_of, store = guard.long_work, guard.copies.store
    assert not any((work_of._known, work_of._worked_out, work_of.asked, guard.copies.pinned))
    assert not store.written_before._shadows
    assert not list(store.shadows_directory.glob(".*"))


def test_a_purge_waits_for_what_is_being_written(long: Long) -> None:
    acts.truncate(long.chat, 40)
    long.world.guard.visit(long.chat.session_id)
    long.chat.path.unlink()
    long.answer(long.ask("purge", name=long.chat.session_id))
    long.settle()
    store = long.world.guard.copies.store
    assert not [path for path in store.traces(long.chat.session_id) if path.exists()]


def test_without_a_thread_the_loop_does_the_work(long: Long, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    long.cut()
    assert len(long.world.guard.copies.shadow(long.chat.session_id).document.messages) == 40


def test_a_copy_that_cannot_be_read_is_not_read_again_and_again(
    long: Long, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_shadow(name: str) -> bytes:
        raise MemoryError

    long.world.guard.copies.drop(long.chat.session_id)
    monkeypatch.setattr(long.world.guard.copies.store, "read_shadow", read_shadow)
    acts.truncate(long.chat, 40)
    long.world.guard.visit(long.chat.session_id)
    long.wait()
    assert not long.world.guard.background.is_busy(long.chat.session_id)
    assert len(long.world.live(long.chat).messages) == 40


def versions(long: Long) -> list[str]:
    return [version.name for version in long.world.guard.copies.store.versions(long.chat.session_id)]


def test_status_names_a_long_session_until_it_is_judged(long: Long) -> None:
    name = long.chat.session_id
    whole = json.loads(long.chat.path.read_bytes())["messages"]
    long.chat.path.write_bytes(b"")
    long.world.guard.visit(name)
    assert status_of(long.world.guard)["waiting"] == [name]
    for _ in range(60):
        long.world.seconds += 2
        long.world.guard.run_deferred()
        if not status_of(long.world.guard)["waiting"]:
            break
        if long.world.guard.background.is_busy(name):
            long.wait()
    assert json.loads(long.chat.path.read_bytes())["messages"] == whole


def test_a_question_is_as_old_when_its_answer_is_read_in_the_background(long: Long) -> None:
    name, guard = long.chat.session_id, long.world.guard
    whole = json.loads(long.chat.path.read_bytes())["messages"]
    long.chat.path.write_bytes(b"")
    guard.visit(name)
    long.settle()
    assert long.chat.path.read_bytes() == b""  # it may be being written
    guard.copies.drop(name)
    long.world.seconds += 2
    guard.run_deferred()
    assert guard.background.is_busy(name)
    long.settle()
    assert json.loads(long.chat.path.read_bytes())["messages"] == whole


def test_who_saved_is_known_when_the_copy_was_read_in_the_background(
    long: Long, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, guard = long.chat.session_id, long.world.guard
    noted: list[int | None] = []
    monkeypatch.setattr(guard, "_written_by", lambda _, pid: noted.append(pid) or "unknown")
    guard.copies.drop(name)
    acts.truncate(long.chat, 40)
    guard.visit(name, 4711)
    long.settle()
    assert noted[0] == 4711


def reasons(long: Long) -> list[str]:
    return [version.reason for version in long.world.guard.copies.store.versions(long.chat.session_id)]


def test_what_is_cleared_and_not_to_be_kept_is_not_kept(long: Long) -> None:
    guard = long.world.guard
    guard.adopt(replace(guard.settings, keep_deleted_seconds=0.0))
    acts.clear(long.chat)
    guard.visit(long.chat.session_id)
    long.settle()
    assert guard.copies.shadow(long.chat.session_id).count == 0
    assert reasons(long) == []


def test_what_is_uncertain_and_stands_is_kept_as_that(long: Long, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = long.world.guard
    guard.adopt(replace(guard.settings, on_uncertain="keep"))
    real = visit.judge
    monkeypatch.setattr(visit, "judge", lambda *sides: real(*sides)._replace(action=Action.UNCERTAIN))
    losses.lose_message(long.chat, 11)
    guard.visit(long.chat.session_id)
    assert guard.background.is_busy(long.chat.session_id)
    long.settle()
    assert guard.copies.shadow(long.chat.session_id).count == 79
    assert reasons(long) == ["uncertain"]


def test_what_was_not_lost_after_all_is_no_version(long: Long) -> None:
    guard, path = long.world.guard, long.chat.path
    good = path.read_bytes()
    losses.lose_message(long.chat, 11)
    guard.visit(long.chat.session_id)
    assert guard.background.is_busy(long.chat.session_id)
    path.write_bytes(good)
    long.settle()
    assert "loss" not in reasons(long)
    losses.lose_message(long.chat, 11)
    guard.visit(long.chat.session_id)
    long.settle()
    assert reasons(long).count("loss") == 1
    assert len(long.world.live(long.chat).messages) == 80


def test_of_a_visit_that_is_put_off_the_last_save_says_who_saved(
    long: Long, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an older question nor an older save does: the last may be that of another process, or of nobody knows whom."""
    name, guard = long.chat.session_id, long.world.guard
    noted: list[int | None] = []
    monkeypatch.setattr(guard, "_written_by", lambda _, pid: noted.append(pid) or "unknown")
    value = json.loads(long.chat.path.read_bytes())
    for last, kept in ((4712, 40), (None, 38)):
        long.chat.path.write_bytes(b"")
        guard.visit(name, 4711, saves=1)
        long.settle()
        assert guard.notes.deferred[name].writer_pid == 4711
        guard.copies.drop(name)
        guard.visit(name, 4713, saves=1)
        assert guard.background.is_busy(name)
        value["messages"] = value["messages"][:kept]
        long.chat.path.write_text(json.dumps(value), encoding="utf-8")
        guard.visit(name, last, saves=1)
        long.world.seconds += 2
        guard.run_deferred()
        noted.clear()
        long.settle()
        assert noted[0] == last
