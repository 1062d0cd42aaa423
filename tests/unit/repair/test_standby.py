"""The file that is ready before a wipe: used when it fits, of no consequence when not, and gone when it is of no use."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import replace_file
from hermesguard.repair import exchange as staging
from hermesguard.repair import replace as repair
from hermesguard.repair.merge import merge_documents
from hermesguard.repair.standby import QUIET_SECONDS
from hermesguard.webui import session
from hermesguard.webui.directory import standby_name
from tests.helpers.world import World, watch_saves


class Crash(BaseException):
    """The guard ends here."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    watch_saves(world, monkeypatch)
    return world


def asked(world: World, app: App | None = None) -> Chat:
    """A conversation whose last prompt waits for its answer, made ready for a wipe."""
    chat = (app or world.app(Era.OLD)).create(turns=30, answer_characters=500)
    chat.send("unsent")
    get_ready(world)
    return chat


def get_ready(world: World) -> None:
    world.pass_time(QUIET_SECONDS)
    world.guard.get_ready()


def own_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.name.startswith(".hermesguard-"))


def standby_of(chat: Chat) -> Path:
    return standby_name(chat.path)


def wipe_and_see(world: World, chat: Chat) -> None:
    """Wipe a conversation; all of it must be back, once, and nothing of ours be left."""
    good = session.parse(chat.path.read_bytes())
    stub: list[bytes] = []
    world.watching = False
    losses.wipe(chat)
    stub.append(chat.path.read_bytes())
    world.watching = True
    world.guard.visit(chat.session_id, 1)
    live = chat.path.read_bytes()
    assert json.loads(live) == json.loads(merge_documents(good, session.parse(stub[0])))
    assert len(world.live(chat).messages) == 61
    assert world.words(chat)[-1] == "unsent"
    assert world.guard.copies.store.read_shadow(chat.session_id) == live
    assert own_files(world.sessions) == []


def test_what_was_ready_becomes_live(world: World) -> None:
    chat = asked(world)
    [standby_file] = own_files(world.sessions)
    inode = standby_file.stat().st_ino
    wipe_and_see(world, chat)
    assert chat.path.stat().st_ino == inode
    assert [incident.rule[:1] for incident in world.incidents()] == ["3"]


def test_members_may_stand_in_another_order_than_in_the_stub(world: World) -> None:
    """A tool sorted the keys: in the shadow the context stands before the messages, in what is saved over it behind them."""
    chat = world.app(Era.OLD).create(turns=30, answer_characters=500)
    chat.send("unsent")
    world.watching = False
    good = json.loads(chat.path.read_bytes())
    losses.wipe(chat)
    stub = chat.path.read_bytes()
    chat.path.write_text(json.dumps(good, sort_keys=True, indent=2))
    world.guard.visit(chat.session_id)
    chat.path.write_bytes(stub)
    world.guard.visit(chat.session_id, 1)
    live = json.loads(chat.path.read_bytes())
    assert live["messages"][:60] == good["messages"]
    assert live["context_messages"][:60] == good["context_messages"]
    assert [incident.rule for incident in world.incidents()] == ["3 wipe"]


def test_owner_mode_and_attributes_are_those_of_live(world: World) -> None:
    chat = asked(world)
    world.watching = False
    chat.path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(chat.path, 65534, 65534)
    get_ready(world)
    world.guard.visit(chat.session_id, None)
    chat.document["title"] = "Saved once more"
    world.watching = True
    chat.save()
    chat.path.chmod(0o640)
    get_ready(world)
    losses.wipe(chat)  # by a new inode, which has the mode that the umask gives
    found = chat.path.stat()
    assert found.st_mode & 0o777 == 0o644
    assert len(world.live(chat).messages) == 61
    chat.reload()
    chat.send("unsent too")
    world.watching = False
    stub = chat.app.path("stub")
    losses.wipe(chat)
    stub.write_bytes(chat.path.read_bytes())
    stub.unlink()
    os.setxattr(chat.path, "user.tag", b"kept")
    world.guard.visit(chat.session_id, 1)
    assert os.getxattr(chat.path, "user.tag") == b"kept"
    assert len(world.live(chat).messages) == 62


def touched(world: World, chat: Chat) -> None:
    standby_of(chat).write_bytes(b"{}")


def gone(world: World, chat: Chat) -> None:
    standby_of(chat).unlink()


def led_away(world: World, chat: Chat) -> None:
    standby_of(chat).unlink()
    outside = world.sessions.parent / "outside"
    outside.write_text("not ours")
    standby_of(chat).symlink_to(outside)


def another_mode(world: World, chat: Chat) -> None:
    chat.path.chmod(0o600)


def grown(world: World, chat: Chat) -> None:
    chat.document["pending_started_at"] = chat.app.clock()
    chat.save()


MISFITS: list[Callable[[World, Chat], None]] = [touched, gone, led_away, another_mode, grown]


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_does_not_fit_is_not_used(world: World, misfit: Callable[[World, Chat], None]) -> None:
    chat = asked(world)
    inode = standby_of(chat).stat().st_ino
    misfit(world, chat)
    good = session.parse(chat.path.read_bytes())
    before = os.umask(0o077 if misfit is another_mode else 0o022)
    try:
        losses.wipe(chat)
    finally:
        os.umask(before)
    assert world.words(chat)[-1] == "unsent"
    assert len(world.live(chat).messages) == len(good.messages) + 1
    assert chat.path.stat().st_ino != inode
    if misfit is led_away:
        assert (world.sessions.parent / "outside").read_text() == "not ours"
    chat.reload()
    chat.turn("Then it goes on", "and the standby file goes")
    assert own_files(world.sessions) == []


def test_a_number_that_is_too_long_for_its_place(world: World) -> None:
    chat = asked(world)
    world.watching = False
    losses.wipe(chat)
    stub = json.loads(chat.path.read_text())
    text = chat.path.read_text().replace(str(stub["updated_at"]), "1760000000.12345678901234567890", 1)
    replace_file(chat.path, text, 1)
    world.guard.visit(chat.session_id, 1)
    assert b"1760000000.12345678901234567890" in chat.path.read_bytes()
    assert len(world.live(chat).messages) == 61


def test_it_goes_when_the_turn_ends(world: World) -> None:
    chat = asked(world)
    assert own_files(world.sessions)
    chat.finish("the answer")
    assert own_files(world.sessions) == []


def test_it_goes_when_the_session_goes(world: World) -> None:
    chat = asked(world)
    world.watching = False
    acts.delete(chat)
    world.scan()
    assert own_files(world.sessions) == []


def test_it_is_written_anew_in_its_place(world: World) -> None:
    chat = asked(world)
    inode = standby_of(chat).stat().st_ino
    chat.document["title"] = "Another"
    chat.save()
    get_ready(world)
    assert standby_of(chat).stat().st_ino == inode
    wipe_and_see(world, chat)
    assert chat.path.stat().st_ino == inode


def test_a_start_makes_none(world: World) -> None:
    chat = asked(world)
    world.start()
    assert own_files(world.sessions) == []  # that of the guard before is gone
    world.guard.standby.recent([(chat.session_id, 1, 1)], world.seconds)
    before = world.sessions.stat().st_mtime_ns
    get_ready(world)
    copy = world.guard.copies.cached(chat.session_id)
    assert copy
    assert copy.prepared
    assert world.sessions.stat().st_mtime_ns == before
    wipe_and_see(world, chat)


def test_no_more_than_memory_may_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, cache_bytes=100_000)
    watch_saves(world, monkeypatch)
    app = world.app(Era.OLD)
    chats = [asked(world, app) for _ in range(4)]
    size_bytes = chats[0].path.stat().st_size
    assert len(own_files(world.sessions)) == 100_000 // size_bytes
    assert world.guard.standby.files.size_bytes <= 100_000
    for chat in chats:
        losses.wipe(chat)
        assert len(world.live(chat).messages) == 61
    assert own_files(world.sessions) == []


def test_none_where_there_is_no_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    few = SimpleNamespace(
        f_blocks=100, f_bfree=10, f_bavail=10, f_frsize=4096
    )  # enough for one file, not for two
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _: few)
        chat = asked(world)
    assert own_files(world.sessions) == []
    wipe_and_see(world, chat)


@pytest.mark.parametrize("call", ["open", "write", "ftruncate", "fchmod", "pwrite", "rename"])
def test_each_call_may_fail(world: World, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    failed = []

    def fail(*_: object, **__: object) -> int:
        failed.append(call)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def refuse(_old: Path, new: Path, flags: int) -> int:
        failed.append(call)
        return errno.EINVAL if flags == 1 else real(_old, new, flags)

    real, real_open = staging._renameat2, os.open
    with monkeypatch.context() as patch:
        if call in ("pwrite", "rename"):
            chat = asked(world)
        if call == "rename":
            patch.setattr(staging, "_renameat2", refuse)
        elif call == "open":
            patch.setattr(
                os,
                "open",
                lambda path, *more, **others: (
                    fail() if str(path).endswith(".standby") else real_open(path, *more, **others)
                ),
            )
        elif call == "pwrite":
            patch.setattr(os, call, fail)
        else:
            chat = world.app(Era.OLD).create(turns=30, answer_characters=500)
            chat.send("unsent")
            world.pass_time(QUIET_SECONDS)
            patch.setattr(os, call, fail)
            world.guard.get_ready()
        if call == "open":
            chat = asked(world)
        if call in ("pwrite", "rename", "open"):
            losses.wipe(chat)
            get_ready(world)
    assert failed
    if call not in ("pwrite", "rename", "open"):
        assert own_files(world.sessions) == []
        losses.wipe(chat)
    assert len(world.live(chat).messages) == 61


def test_a_crash_behind_the_exchange_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was displaced has a staged name, and is looked through; a standby file would be thrown away."""
    chat = asked(world)
    world.watching = False
    real = staging.exchange

    def crash(temporary: Path, path: Path) -> bool:
        # The application saves a stale writer's turn at the last instant.
        text = chat.path.read_text()
        stale_writer = json.loads(text)
        stale_writer["messages"] = [
            {"role": "user", "content": "only in the stale writer", "timestamp": chat.app.clock()}
        ]
        replace_file(path, json.dumps(stale_writer, indent=2), 1)
        real(temporary, path)
        raise Crash

    losses.wipe(chat)
    with monkeypatch.context() as patch:
        patch.setattr(repair.staging, "exchange", crash)
        patch.setattr(repair.files, "remove", lambda _: True)  # who has died does not clean up
        with pytest.raises(Crash):
            world.guard.visit(chat.session_id, 1)
    assert [path.suffix for path in own_files(world.sessions)] == [".repair"]
    world.start()
    world.scan()
    assert "only in the stale writer" in world.words(chat)
    assert len(world.live(chat).messages) == 62
    assert own_files(world.sessions) == []
