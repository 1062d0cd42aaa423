"""A session that is too large to be read is reported once, copied unread, and put back unread."""

import gzip
import json
import os
import select
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hermesguard import files
from hermesguard.config import memory
from hermesguard.demo import acts, losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.errors import GuardError
from hermesguard.guard.large import long_work
from hermesguard.pieces import Piece
from hermesguard.webui import session
from hermesguard.webui.compare.elsewhere import strangers
from hermesguard.webui.directory import staged_name
from hermesguard.webui.lists import lost_before
from hermesguard.webui.long import reading
from hermesguard.webui.long.document import LongDocument
from tests.helpers.world import World, watch_saves

LIMIT_BYTES = 20_000
ERAS = list(Era)


@pytest.fixture(params=ERAS)
def large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> tuple[World, Chat]:
    """A world that reads no file of more than 20 kB, and a conversation of 60 kB."""
    world = World(tmp_path, max_session_bytes=LIMIT_BYTES)
    watch_saves(world, monkeypatch)
    chat = world.app(request.param).create(turns=40, answer_characters=500)
    chat.send("unsent")
    assert chat.path.stat().st_size > LIMIT_BYTES
    return world, chat


def shadow_path(world: World, chat: Chat) -> Path:
    return world.guard.copies.store.shadow_path(chat.session_id)


def test_it_is_reported_once_and_copied_unread(large: tuple[World, Chat]) -> None:
    world, chat = large
    for _ in range(3):
        world.scan()
    chat.turn("one more", "of them")
    assert world.ear.names().count("too_large") == 1
    assert shadow_path(world, chat).read_bytes() == chat.path.read_bytes()
    world.start()
    world.scan()
    assert world.ear.names().count("too_large") == 1  # nothing has changed since
    assert world.guard.context.notes.seen.get(chat.session_id) == (
        chat.path.stat().st_size,
        chat.path.stat().st_mtime_ns,
    )


def test_no_scan_reads_it_again(large: tuple[World, Chat], monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = large
    visited: list[str] = []
    monkeypatch.setattr(world.guard, "visit", lambda name, writer_pid=None: visited.append(name))
    world.scan()
    assert visited == []


def test_its_wipe_is_repaired_without_the_stream(large: tuple[World, Chat]) -> None:
    world, chat = large
    good = json.loads(chat.path.read_bytes())
    losses.wipe(chat)
    live = json.loads(chat.path.read_bytes())
    assert live["messages"] == good["messages"]
    assert live["active_stream_id"] is None
    assert live["pending_user_message"] is None
    assert list(live) == list(good)
    assert [incident.event for incident in world.incidents()] == ["restored"]
    assert shadow_path(world, chat).read_bytes() == chat.path.read_bytes()
    assert not [path for path in world.sessions.iterdir() if path.name.startswith(".")]


def test_what_stands_in_place_of_its_history_gives_way_to_it(large: tuple[World, Chat]) -> None:
    world, chat = large
    history = world.store_path / "history" / chat.session_id
    history.write_text("x")
    acts.undo(chat)
    world.pass_time(5)
    assert [version.reason for version in world.guard.copies.store.versions(chat.session_id)] == ["displaced"]
    assert (world.store_path / "set-aside" / f"{chat.session_id}.1").read_text() == "x"
    assert "internal_error" not in world.ear.names()


def test_what_a_stale_writer_said_is_kept(large: tuple[World, Chat]) -> None:
    world, chat = large
    world.watching = False
    losses.wipe(chat)
    document = json.loads(chat.path.read_bytes())
    document["messages"] = [{"role": "user", "content": "said to an empty chat"}]
    chat.path.write_text(json.dumps(document))
    world.guard.visit(chat.session_id)
    assert len(world.live(chat).messages) >= 80
    versions = world.guard.copies.store.versions(chat.session_id)
    assert any(b"said to an empty chat" in gzip.decompress(version.path.read_bytes()) for version in versions)


def test_a_torn_file_is_repaired_after_a_second(large: tuple[World, Chat]) -> None:
    world, chat = large
    good = json.loads(chat.path.read_bytes())["messages"]
    chat.path.write_bytes(chat.path.read_bytes()[:3000])
    world.guard.visit(chat.session_id)
    assert chat.path.stat().st_size == 3000
    world.pass_time(2)
    assert json.loads(chat.path.read_bytes())["messages"] == good


def test_what_someone_cleared_stays_cleared(large: tuple[World, Chat]) -> None:
    world, chat = large
    document: dict[str, Any] = json.loads(chat.path.read_bytes())
    before = document["messages"]
    document |= {"messages": [], "tool_calls": [], "title": "Untitled", "clear_generation": "ab" * 16}
    chat.path.write_text(json.dumps(document))
    world.guard.visit(chat.session_id)
    assert json.loads(chat.path.read_bytes())["messages"] == []
    [version] = world.guard.copies.store.versions(chat.session_id)
    assert json.loads(gzip.decompress(version.path.read_bytes()))["messages"] == before
    assert session.parse(shadow_path(world, chat).read_bytes()).messages == []


def test_what_is_no_session_never_becomes_a_copy(tmp_path: Path) -> None:
    world = World(tmp_path, max_session_bytes=LIMIT_BYTES)
    planted = world.sessions / "planted.json"
    planted.touch()
    os.truncate(planted, 3 * 2**30)
    world.scan()
    assert world.ear.names().count("too_large") == 1
    assert list((world.store_path / "shadows").iterdir()) == []


@pytest.mark.parametrize(
    ("line", "name", "value", "expected"),
    [
        ("0::/a/b", "a/memory.max", "1000000000", 1_000_000_000),
        ("0::/a/b", "a/b/memory.high", "2000000", 2_000_000),
        ("4:memory:/a", "memory/a/memory.limit_in_bytes", "3000000", 3_000_000),
        ("4:memory:/of/the/host", "memory/memory.limit_in_bytes", "4000000", 4_000_000),
    ],
)
def test_limits_of_control_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, name: str, value: str, expected: int
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(value + "\n")
    real = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda path, *a, **k: line + "\n" if path == Path("/proc/self/cgroup") else real(path, *a, **k),
    )
    assert memory.memory_bytes(tmp_path) == expected


@pytest.mark.parametrize("characters", [500, 60_000])
def test_what_has_not_been_read_does_not_look_lost(tmp_path: Path, characters: int) -> None:
    """Too large for the limit, or so long that it is read in the background: the first look knows nothing of it yet."""
    world = World(tmp_path, max_session_bytes=LIMIT_BYTES if characters == 500 else 0)
    chat = world.app(Era.OLD).create(turns=40, answer_characters=characters)
    world.scan()
    assert "lost_before" not in world.ear.names()
    assert shadow_path(world, chat).read_bytes() == chat.path.read_bytes()


def test_the_first_look_back_reads_nothing_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index counts messages of it, and the guard none: that is no sign of a loss, and no reason to read it."""
    chat = World(tmp_path / "other").app(Era.NEW).create(turns=40, answer_characters=500)
    read: list[Path] = []
    real = lost_before.files.read

    def reading(path: Path, limit_bytes: int | None = None) -> tuple[bytes, files.Stamp]:
        found = real(path, limit_bytes)
        read.append(path)
        return found

    sessions = tmp_path / "webui" / "sessions"
    sessions.mkdir(parents=True)
    path = sessions / chat.path.name
    path.write_bytes(chat.path.read_bytes())
    (sessions / "_index.json").write_bytes((chat.path.parent / "_index.json").read_bytes())
    monkeypatch.setattr(lost_before, "_LONGEST_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(lost_before.files, "read", reading)
    world = World(tmp_path, max_session_bytes=LIMIT_BYTES)
    assert "lost_before" not in world.ear.names()
    assert path not in read
    assert world.ear.names().count("too_large") == 1


def test_what_is_being_written_is_not_left_over(large: tuple[World, Chat]) -> None:
    """A scan while the background writes a repaired file must not take it for the rest of a broken repair."""
    world, chat = large
    background = world.guard.background
    wakeup, written = background.open(), threading.Event()
    background.start(chat.session_id, written.wait, lambda _: None)
    staged = staged_name(chat.path, 0)
    staged.write_bytes(chat.path.read_bytes()[:1000])
    world.guard.finish_interrupted_repairs()
    assert staged.exists()
    written.set()
    assert select.select([wakeup], [], [], 60)[0]
    background.finish()
    world.guard.finish_interrupted_repairs()
    assert not staged.exists()


def test_many_sessions_are_looked_through_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether what live adds stands in another session is asked of megabytes: no other session waits for that."""
    world = World(tmp_path)
    app = world.app(Era.OLD)
    for _ in range(3):
        app.create(turns=2, answer_characters=400_000)
    chat = app.create(turns=5)
    world.scan()
    asked: list[str] = []

    def noted(*arguments: Any) -> frozenset[int]:
        asked.append(threading.current_thread().name)
        return strangers(*arguments)

    monkeypatch.setattr("hermesguard.guard.visit.strangers", noted)
    done = world.guard.background.open()
    value = json.loads(chat.path.read_bytes())
    news = [{"role": "user", "content": "go on", "timestamp": 2_000_000_000.5}]
    chat.path.write_text(json.dumps(value | {"messages": [*value["messages"][:4], *news]}))
    world.guard.visit(chat.session_id, saves=1)
    assert select.select([done], [], [], 30)[0]
    world.guard.background.finish()
    assert (asked, len(world.live(chat).messages)) == (["hermesguard-work"], 11)
    world.guard.background.close()


def test_what_is_saved_of_a_session_that_takes_many_times_its_size_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LONG_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(reading, "ALLOWANCE_BYTES", -(10**9))
    world = World(tmp_path)
    watch_saves(world, monkeypatch)
    chat = world.app(Era.NEW).create(turns=40, answer_characters=500)
    world.scan()
    for _ in range(3):
        chat.turn("one more", "of them")
        saved = chat.path.read_bytes()
        world.pass_time(5)
        world.scan()
        assert chat.path.read_bytes() == saved
        assert shadow_path(world, chat).read_bytes() == saved
    assert world.ear.names().count("too_large") == 1
    assert world.incidents() == []
    world.guard.copies.store.too_dense.clear()  # as if the copy had been another one
    for verb in ("accept", "restore"):
        with pytest.raises(GuardError, match="too large"):
            getattr(world.operations(), verb)(chat.session_id)
    assert chat.path.read_bytes() == saved


def test_the_loop_does_not_read_what_takes_many_times_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[threading.Thread] = []
    parse = reading.parse

    def listening(pieces: Sequence[Piece]) -> LongDocument:
        read.append(threading.current_thread())
        return parse(pieces)

    monkeypatch.setattr(session, "LONG_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(long_work, "LONG_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(reading, "ALLOWANCE_BYTES", -(10**9))
    monkeypatch.setattr(reading, "parse", listening)
    world = World(tmp_path)
    background = world.guard.background
    done = background.open()
    chat = world.app(Era.NEW).create(turns=40, answer_characters=500)
    for _ in range(3):
        world.guard.visit(chat.session_id)
        while background.is_busy(chat.session_id):
            assert select.select([done], [], [], 60)[0]
            background.finish()
        assert shadow_path(world, chat).read_bytes() == chat.path.read_bytes()
        chat.turn("one more", "of them")
    assert read
    assert threading.main_thread() not in read
    background.close()
