"""Putting a file in live's place where the file system can do less, and the lock on a store that nobody may write."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Never

import pytest

from hermesguard import files
from hermesguard.demo import losses
from hermesguard.demo.eras import Era
from hermesguard.repair import exchange as staging
from hermesguard.repair.replace import place
from hermesguard.store.lock import Lock, lock_holder
from hermesguard.webui import session
from hermesguard.webui.directory import is_staged, staged
from tests.helpers import images
from tests.helpers.world import World, watch_saves

HOLDER = """
import sys
from pathlib import Path
from hermesguard.store.lock import Lock
print(Lock(Path(sys.argv[1])).take(), flush=True)
input()
"""


@pytest.fixture
def no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot exchange, as NFS, 9p and FUSE."""
    real = staging._renameat2

    def refuse(old: Path, new: Path, flags: int) -> int:
        return errno.EINVAL if flags == 2 else real(old, new, flags)

    monkeypatch.setattr(staging, "_renameat2", refuse)


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    live = tmp_path / "s.json"
    live.write_bytes(b"live")
    return staging.stage(live, [b"repair", b"ed"], files.stamp(live)), live


@pytest.mark.parametrize("can", ["exchange", "link", "neither"])
def test_without_exchange_link_and_rename_do_it(
    pair: tuple[Path, Path], can: str, request: pytest.FixtureRequest
) -> None:
    staged, live = pair
    if can != "exchange":
        request.getfixturevalue("no_exchange")
    if can == "neither":
        request.getfixturevalue("no_links")
    assert staging.exchange(staged, live) is (can == "exchange")
    assert (live.read_bytes(), staged.read_bytes()) == (b"repaired", b"live")
    assert sorted(path.name for path in live.parent.iterdir()) == [staged.name, live.name]


@pytest.mark.usefixtures("no_exchange")
@pytest.mark.parametrize("step", ["rename live", "rename back"])
def test_what_a_crash_between_link_and_rename_leaves_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    world = World(tmp_path)
    watch_saves(world, monkeypatch)
    chat = world.app(Era.OLD).create(turns=3)
    chat.send("unsent")
    world.watching = False
    losses.wipe(chat)
    chat.messages = []
    chat.turn("said over the wipe", "heard")
    left = 1 if step == "rename live" else 2

    class Died(BaseException):
        pass

    real = os.rename

    def dying(source: Path, target: Path) -> None:
        nonlocal left
        if ".hermesguard-" in str(source):
            left -= 1
            if left == 0:
                raise Died
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", dying)
        patched.setattr(os, "unlink", lambda *_, **__: None)
        with pytest.raises(Died):
            world.guard._visit(chat.session_id, None)
    assert [path for path in world.sessions.iterdir() if is_staged(path.name)]
    world.start()
    world.pass_time(61)
    world.scan()
    assert world.words(chat)[-3:] == ["unsent", "said over the wipe", "heard"]
    assert len(world.words(chat)) == 9
    assert not [path for path in world.sessions.iterdir() if is_staged(path.name)]


def test_what_is_left_and_cannot_be_read_or_kept_yet_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    chat = world.app(Era.NEW).create(turns=3)
    world.scan()
    before = world.live(chat).text
    chat.turn("only in what is left", "yes")
    left = world.sessions / f".hermesguard-{chat.session_id}.0.repair"
    chat.path.rename(left)
    chat.path.write_text(before)
    real, refused = os.open, {"names": (".repair",)}

    def refuse(path: object, flags: int, *more: int, **others: int) -> int:
        if str(path).endswith(refused["names"]):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, flags, *more, **others)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "open", refuse)
    for names in ((".repair",), (".gz.tmp",)):
        refused["names"] = names
        world.scan()
        world.start()
        assert left.exists()
    refused["names"] = ("nothing",)
    world.scan()
    world.scan()
    assert not left.exists()
    assert world.words(chat)[-2:] == ["only in what is left", "yes"]


@pytest.mark.parametrize("can", ["link", "no link"])
def test_a_missing_file_is_put_back_and_never_over_another(
    pair: tuple[Path, Path], can: str, request: pytest.FixtureRequest
) -> None:
    staged, live = pair
    if can == "no link":
        request.getfixturevalue("no_links")
    with pytest.raises(FileExistsError):
        staging.put_back(staged, live)
    assert live.read_bytes() == b"live"
    live.unlink()
    staging.put_back(staged, live)
    assert live.read_bytes() == b"repaired"
    assert not staged.exists()


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_fault_of_the_process_in_the_middle_loses_no_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    def out_of_memory(*_: object) -> Never:
        raise MemoryError

    live = tmp_path / "s.json"
    live.write_bytes(b'{"messages": ["saved meanwhile"]}')
    history: list[bytes] = []
    monkeypatch.setattr(session, "parse_pieces", out_of_memory)
    with pytest.raises(MemoryError):
        place(
            live,
            [b'{"messages": ["repaired"]}'],
            b"what was judged",
            files.stamp(live),
            lambda placed: history.extend(placed.displaced) if is_kept else out_of_memory(),
        )
    if is_kept:
        assert live.read_bytes() == history[0] == b'{"messages": ["saved meanwhile"]}'
    left = [path.read_bytes() for path, _ in staged(tmp_path)]
    assert left == ([] if is_kept else [b'{"messages": ["saved meanwhile"]}'])


def test_the_names_of_what_is_left_tell_the_session(tmp_path: Path) -> None:
    live = tmp_path / "cron_2026-a.json"
    live.write_bytes(b"live")
    made = staging.stage(live, [b"x"], None)
    assert list(staged(tmp_path)) == [(made, "cron_2026-a")]
    assert not made.name.endswith(".json")
    displaced = made.with_name(made.name.removesuffix(".repair") + ".displaced.repair")
    made.rename(displaced)
    assert list(staged(tmp_path)) == [(displaced, "cron_2026-a")]


def test_a_line_that_the_disk_refuses_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    files.append_durably(path, b"one\n")
    with monkeypatch.context() as patched:

        def refuse(_: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        patched.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            files.append_durably(path, b"two\n")
    assert path.read_bytes() == b"one\n"
    path.write_bytes(b"one\ntorn")
    files.append_durably(path, b"two\n")
    assert path.read_bytes() == b"one\ntorn\ntwo\n"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[images.Image]:
    images.require()
    with images.mounted(tmp_path / "disk") as image:
        yield image


def test_a_read_only_lock_keeps_out_both_kinds(store: images.Image) -> None:
    path = store.path / "lock"
    path.touch()
    store.remount("ro")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"True\n"
        assert lock_holder(path) == holder.pid
        assert not Lock(path).take()
        store.remount("rw")
        assert not Lock(path).take()
        holder.kill()
    lock = Lock(path)
    assert lock.take()
    lock.release()
