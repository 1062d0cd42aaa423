"""Disks that are full, read-only or locked, out of descriptors: the guard goes on, repairs from what it has, and catches up."""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.repair import exchange as staging
from tests.helpers import images
from tests.helpers.daemon_process import Daemon
from tests.helpers.images import Image
from tests.helpers.operations import is_whole, live_files
from tests.helpers.waiting import until
from tests.helpers.world import World, watch_saves

KIBIBYTE = 1024
DAY = 86400.0


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    """A file system of 8 MiB."""
    images.require()
    with images.mounted(tmp_path / "disk") as image:
        yield image


@contextmanager
def full(image: Image) -> Iterator[None]:
    """Meanwhile the file system is full to the last byte."""
    ballast = image.path / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for size in (256 * KIBIBYTE, KIBIBYTE):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    image.sync()
    try:
        yield
    finally:
        ballast.unlink()
        image.sync()


def world_on(sessions: Path, store: Path, monkeypatch: pytest.MonkeyPatch, **settings: object) -> World:
    world = World(sessions, store=store / "store", **settings)
    watch_saves(world, monkeypatch)
    return world


def talk(world: World, number: int = 3) -> list[Chat]:
    app = world.app(Era.OLD)
    chats = [app.create(turns=100, answer_characters=400) for _ in range(number)]
    world.scan()
    return chats


def wipe(chat: Chat) -> None:
    chat.send("unsent")
    losses.wipe(chat)


def is_kept(world: World, chat: Chat) -> bool:
    store = world.guard.copies.store
    return store.read_shadow(chat.session_id) == chat.path.read_bytes()


def reported(world: World, name: str) -> int:
    return world.ear.names().count(name)


def test_a_full_store(tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_on(tmp_path, image.path, monkeypatch)
    chats = talk(world)
    with full(image):
        for number in range(3):
            for chat in chats:
                chat.turn(f"Said on a full disk {number}", f"heard on a full disk {number}")
            world.scan()
            world.pass_time(200)
        assert not any(is_kept(world, chat) for chat in chats)
        for chat in chats:
            wipe(chat)
            assert len(world.live(chat).messages) == 207
            assert world.words(chat)[-7:] == [
                *(f"{verb} on a full disk {number}" for number in range(3) for verb in ("Said", "heard")),
                "unsent",
            ]
        world.scan()
        assert reported(world, "store_broken") == 1
        assert world.guard.copies.broken == "No space left on device"
        assert reported(world, "store_recovered") == 0
        assert reported(world, "restored") == 3
    world.scan()
    assert all(is_kept(world, chat) for chat in chats)
    assert [event["count"] for name, event in world.ear.heard if name == "store_recovered"] == [3]
    assert world.guard.copies.broken == ""
    assert len(world.incidents()) == 3
    world.start()
    assert all(is_kept(world, chat) and len(world.live(chat).messages) == 207 for chat in chats)


def test_old_versions_are_removed_before_a_new_shadow_is_refused(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_on(tmp_path, image.path, monkeypatch)
    [chat] = talk(world, 1)
    store = world.guard.copies.store
    noise = os.urandom(300 * KIBIBYTE)
    for number in range(8):
        store.add_version(chat.session_id, noise + bytes([number]), 0, "intended", world.clock.now())
        world.pass_time(DAY)
    young = store.add_version(chat.session_id, noise, 0, "intended", world.clock.now())
    oldest = store.versions(chat.session_id)[0]
    with full(image):
        chat.turn("Said on a full disk", "heard on a full disk " * 5000)
        chat.messages.pop()
        chat.save()
        assert is_kept(world, chat)
        kept = store.versions(chat.session_id)
        assert oldest not in kept
        assert young in kept
        assert 3 < len(kept) < 9
        assert reported(world, "store_broken") == 0
        assert [event["reason"] for name, event in world.ear.heard if name == "pruned"] == [
            "The disk is full"
        ]


def test_what_an_open_incident_needs_is_not_given_up_for_space(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_on(tmp_path, image.path, monkeypatch)
    [chat] = talk(world, 1)
    losses.window_truncate(chat)
    kept = world.guard.copies.store.versions(chat.session_id)
    assert [incident.event for incident in world.incidents()] == ["uncertain"]
    world.pass_time(2 * DAY)
    with full(image):
        chat.turn("Said on a full disk", "heard on a full disk " * 500)
        assert reported(world, "store_broken") == 1
        assert world.guard.copies.store.versions(chat.session_id) == kept
    world.scan()
    assert is_kept(world, chat)


def test_a_full_sessions_directory(tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_on(image.path, tmp_path, monkeypatch)
    [chat] = talk(world, 1)
    chat.send("unsent")
    world.watching = False
    losses.wipe(chat)
    with full(image):
        for _ in range(5):
            world.scan()
            world.pass_time(10)
        assert world.live(chat).messages == []
        assert {path.name for path in world.sessions.iterdir()} == {"_index.json", chat.path.name}
        assert reported(world, "unrepaired") == 1
        assert world.guard.copies.store.read_shadow(chat.session_id)
    world.scan()
    assert len(world.live(chat).messages) == 201
    assert is_kept(world, chat)
    assert [incident.action for incident in world.incidents()] == ["failed", "restored"]


def test_sessions_and_store_on_one_full_disk(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_on(image.path / "sessions", image.path, monkeypatch)
    chats = talk(world)
    before = {chat.session_id: world.words(chat) for chat in chats}
    world.watching = False
    with full(image):
        for chat in chats:
            losses.tear(chat, share=0.3)
        for _ in range(3):
            world.scan()
            world.pass_time(10)
        assert reported(world, "unrepaired") <= len(chats)
        assert all(is_whole(world.guard.copies.store.shadow_path(chat.session_id)) for chat in chats)
    for _ in range(2):
        world.scan()
        world.pass_time(10)
    assert live_files(world) == before
    assert all(is_kept(world, chat) for chat in chats)
    assert world.guard.copies.broken == ""


def test_room_is_looked_for_before_a_byte_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = tmp_path / "s.json"
    live.write_bytes(b"{}")
    found = os.statvfs(tmp_path)
    few = os.statvfs_result((*found[:3], 2, 2, *found[5:10]))
    monkeypatch.setattr(os, "statvfs", lambda _: few)
    before = tmp_path.stat().st_mtime_ns
    with pytest.raises(OSError, match="No space left on device"):
        staging.stage(live, [bytes(2 * found.f_frsize + 1)], None)
    assert tmp_path.stat().st_mtime_ns == before
    assert staging.stage(live, [bytes(2 * found.f_frsize)], None).exists()


def test_a_store_that_becomes_read_only(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_on(tmp_path, image.path, monkeypatch)
    chats = talk(world)
    image.remount("ro")
    chats[0].turn("Said meanwhile", "heard meanwhile")
    wipe(chats[1])
    for _ in range(3):
        world.scan()
        world.pass_time(10)
    assert len(world.live(chats[1]).messages) == 201
    assert reported(world, "store_broken") == 1
    world.start()  # and a guard that starts now guards, too
    wipe(chats[2])
    assert len(world.live(chats[2]).messages) == 201
    image.remount("rw")
    world.scan()
    assert all(is_kept(world, chat) for chat in chats)
    assert reported(world, "store_recovered") == 1


def test_a_store_in_which_nothing_may_be_written(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_on(tmp_path, image.path, monkeypatch)
    chats = talk(world)
    directory = world.store_path / "shadows"
    subprocess.run(["chattr", "+i", str(directory)], check=True)
    try:
        chats[0].turn("Said meanwhile", "heard " * 9000)
        wipe(chats[1])
        world.scan()
        assert len(world.live(chats[1]).messages) == 201
        assert reported(world, "store_broken") == 1
    finally:
        subprocess.run(["chattr", "-i", str(directory)], check=True)
    world.scan()
    assert all(is_kept(world, chat) for chat in chats)
    assert reported(world, "store_recovered") == 1


def test_a_store_that_is_taken_off_its_mount(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_on(tmp_path, image.path, monkeypatch)
    chats = talk(world)
    chats[0].send("unsent")
    world.start()  # nothing is in memory now
    world.watching = False
    subprocess.run(["umount", "--lazy", str(image.path)], check=True)
    losses.wipe(chats[0])
    for _ in range(3):
        world.scan()
        world.pass_time(10)
    assert reported(world, "store_broken") == 1
    image.mount()
    world.scan()
    assert [len(world.live(chat).messages) for chat in chats] == [201, 200, 200]
    assert all(is_kept(world, chat) for chat in chats)


def test_no_descriptor_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_on(tmp_path, tmp_path, monkeypatch)
    chats = talk(world)
    chats[0].send("unsent")
    world.pass_time(300)
    world.scan()
    world.watching = False
    losses.wipe(chats[0])
    chats[1].turn("Said meanwhile", "heard meanwhile")
    acts.delete(chats[2])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    descriptors = [os.open("/dev/null", os.O_RDONLY) for _ in range(highest + 1)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors) + 1, limits[1]))
    try:
        for chat in chats:
            world.guard.visit(chat.session_id)
        with pytest.raises(OSError, match="Too many open files"):
            world.scan()
        world.pass_time(60)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in descriptors:
            os.close(descriptor)
    for _ in range(3):
        world.scan()
        world.pass_time(10)
    assert len(world.live(chats[0]).messages) == 201
    assert is_kept(world, chats[1])
    assert not chats[2].path.exists()
    assert reported(world, "internal_error") == 0


def test_the_daemon_starts_and_repairs_on_a_full_store(tmp_path: Path, image: Image) -> None:
    from hermesguard.demo.app import App

    with Daemon(tmp_path, store=image.path / "store") as daemon:
        app = App(daemon.sessions, Era.NEW)
        chat = app.create(turns=100, answer_characters=400)
        daemon.start()
        daemon.until_kept(chat.path)
        assert daemon.stop(signal.SIGTERM) == 0
        with full(image):
            daemon.start()
            wipe(chat)
            daemon.until(lambda: len(chat.on_disk()["messages"]) in (200, 201))
            daemon.until_heard("store_broken")
        daemon.until_heard("store_recovered", seconds=60)
        daemon.until_kept(chat.path)
        until(lambda: (daemon.store / "control").exists())
        assert len(daemon.heard("store_broken")) == 1
