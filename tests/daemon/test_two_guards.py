"""Two guards on one store, as two machines may have them on a shared volume: the lock, and what is when it is lost."""

import fcntl
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hermesguard import files
from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.errors import ExitCode
from hermesguard.store import lock as lock_module
from hermesguard.store.lock import Lock, lock_holder
from tests.helpers.daemon_process import Daemon
from tests.helpers.profiles import messages


def test_a_second_guard_waits_for_the_first(tmp_path: Path) -> None:
    """systemd, or Kubernetes, starts it again and again: that is a standby."""
    chat = App(tmp_path / "webui" / "sessions", Era.OLD).create(turns=4)
    with Daemon(tmp_path) as first, Daemon(tmp_path) as second:
        first.start()
        first.until_kept(chat.path)
        second.start(ready=False)
        assert second.ended() == ExitCode.LOCKED
        first.kill()
        second.start()
        losses.wipe(chat)
        second.until_heard("restored")


def test_a_guard_that_lost_its_lock_while_it_stood_still_gives_way(tmp_path: Path) -> None:
    """As when a file server gives the lock of a machine that does not answer to another one, and the machine comes back."""
    chat = App(tmp_path / "webui" / "sessions", Era.OLD).create(turns=4)
    with Daemon(tmp_path, "--scan-interval", "200ms") as old, Daemon(tmp_path) as new:
        old.start()
        old.until_kept(chat.path)
        assert old.process
        old.process.send_signal(signal.SIGSTOP)
        (
            tmp_path / "store" / "lock"
        ).unlink()  # the lock of the one that stands still is worth nothing from here on
        new.start()
        losses.wipe(chat)
        new.until_heard("restored")
        old.process.send_signal(signal.SIGCONT)
        assert old.ended() == ExitCode.LOCKED
        assert "taken over the store" in old.heard("failed")[0]["error"]
        assert old.heard("restored") == []
        losses.wipe(chat)
        new.until(lambda: messages(chat) >= 8)


def test_the_number_rises_with_each_that_takes_the_lock(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert first.take()
    assert first.is_ours()
    first.release()
    assert second.take()
    assert (second.is_ours(), first.is_ours()) == (True, False)
    (tmp_path / "token").write_text("no number\n")
    assert second.is_ours(), "what is no number is no other guard"
    second.release()
    third = Lock(tmp_path / "lock")
    assert third.take()
    assert third.is_ours()


@pytest.mark.parametrize("damage", [b"", b"no number\n", b"9" * 20, b"7" * 4096])
def test_a_damaged_number_does_not_hide_that_the_lock_was_taken(tmp_path: Path, damage: bytes) -> None:
    first, second, third = (Lock(tmp_path / "lock") for _ in range(3))
    for _ in range(3):
        assert first.take()
        first.release()
    (tmp_path / "token").write_bytes(damage)
    assert second.take()
    assert (second.is_ours(), first.is_ours()) == (True, False)
    second.release()
    assert third.take()
    assert (third.is_ours(), second.is_ours()) == (True, False)
    third.release()


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> dict[Any, Any]:
    """What an NFS client knows of the token, and answers with until the server is asked. A paused machine's is of before."""
    remembered: dict[Any, Any] = {}
    libc = lock_module._libc

    def of_memory(original: Callable[[Path], Any]) -> Callable[[Path], Any]:
        return lambda path: remembered.setdefault((original, path), original(path))

    class Asking:
        def statx(self, at: int, path: bytes, flags: int, *rest: Any) -> int:
            if flags & 0x2000:  # AT_STATX_FORCE_SYNC
                remembered.clear()
            return int(libc.statx(at, path, flags, *rest))

    monkeypatch.setattr(files, "stamp", of_memory(files.stamp))
    monkeypatch.setattr(lock_module, "_number_in", of_memory(lock_module._number_in))
    monkeypatch.setattr(lock_module, "_libc", Asking())
    return remembered


def test_what_a_client_remembers_does_not_hide_that_the_lock_was_taken(
    tmp_path: Path, memory: dict[Any, Any]
) -> None:
    older, newer = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert older.take()
    assert older.is_ours()
    older.release()
    before = dict(memory)
    assert newer.take()
    memory |= before
    assert not older.is_ours()


def test_the_number_rises_above_one_that_a_client_does_not_know_yet(
    tmp_path: Path, memory: dict[Any, Any]
) -> None:
    first, second, third = (Lock(tmp_path / "lock") for _ in range(3))
    assert first.take()
    first.release()
    memory.clear()
    assert lock_module._number_in(tmp_path / "token") == 1
    before = dict(memory)
    assert second.take()
    second.release()
    memory |= before
    assert third.take()
    memory.clear()
    assert (third.is_ours(), second.is_ours()) == (True, False)


def test_nobody_can_tell_whose_the_lock_is_where_the_store_cannot_be_asked(tmp_path: Path) -> None:
    """It may be that another guard has it; whoever writes finds out. A server that is away for a moment ends no guard."""
    store = tmp_path / "store"
    store.mkdir()
    held = Lock(store / "lock")
    assert held.take()
    store.rename(tmp_path / "away")
    assert held.is_ours()
    (tmp_path / "away").rename(store)
    assert held.is_ours()


@pytest.mark.parametrize(("said", "pid"), [(0, 0), (-231, 0), (231, 231)])
def test_a_holder_on_another_machine_has_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: int, pid: int
) -> None:
    """The kernel says 0 (NFSv4, ceph-fuse) or a number below it (NFSv3, CephFS); "process -231" would be no help."""
    monkeypatch.setattr(
        fcntl, "fcntl", lambda *_: struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, said)
    )
    (tmp_path / "lock").touch()
    assert lock_holder(tmp_path / "lock") == pid
