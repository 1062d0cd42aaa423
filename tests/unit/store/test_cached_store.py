"""What the guard holds of each session runs ahead of a store that takes nothing, and is written when it does again."""

import errno
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hermesguard import files
from hermesguard.clock import Clock
from hermesguard.events.shield import Shield
from hermesguard.store.cache import Cache, Copy
from hermesguard.store.cached_store import QUIET_SECONDS, SMALLEST_LOGGED_BYTES, Copies
from hermesguard.store.store import Store
from hermesguard.webui.abridged import follow
from hermesguard.webui.session import parse
from tests.helpers.world import Ear

NAME, OTHER = "20260101_000000_aaaaaa", "20260101_000000_bbbbbb"


class Held:
    """Copies on a store, with a clock to turn, and a disk that can be made to refuse."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.seconds = 1000.0
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.ear = Ear()
        self._monkeypatch = monkeypatch
        self.copies = self.started()

    def started(self) -> Copies:
        """The copies of a guard that has just started on the store."""
        store = Store(self.root)
        store.create()
        clock = Clock(lambda: self.seconds, lambda: self.now)
        return Copies(store, Cache(1 << 20), self.ear, clock, Shield(self.ear))

    def refuse(self, number: int, where: Callable[[Path], bool] = lambda path: True) -> None:
        """Let each durable write below the store fail."""

        def refusing(really: Callable[..., Any]) -> Callable[..., Any]:
            def write(path: Path, *arguments: Any, **more: Any) -> Any:
                if where(Path(path)):
                    raise OSError(number, os.strerror(number))
                return really(path, *arguments, **more)

            return write

        for name in ("write_durably", "append_durably", "prove_writable", "Appending"):
            self._monkeypatch.setattr(files, name, refusing(getattr(files, name)))

    def heal(self) -> None:
        self._monkeypatch.undo()
        self.copies.retry_pending()


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(tmp_path / "store", monkeypatch)


def copy(messages: int, filling_bytes: int = 0) -> Copy:
    value = {
        "session_id": NAME,
        "title": "t",
        "messages": [
            {"role": "user", "content": f"message {number} " + "x" * filling_bytes, "timestamp": 1.0 * number}
            for number in range(messages)
        ],
    }
    data = json.dumps(value, indent=2).encode()
    return Copy(data, parse(data))


def test_what_the_store_takes_is_in_it_and_in_memory(held: Held) -> None:
    assert held.copies.keep(NAME, kept := copy(3), 7)
    assert kept.is_stored
    assert held.copies.held(NAME) is kept
    assert not held.copies.has_pending(NAME)
    assert held.started().shadow(NAME) == kept or held.started().store.read_shadow(NAME) == kept.data
    assert held.ear.names() == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
def test_what_it_refuses_is_pending_told_once_and_written_when_it_takes_it(held: Held, number: int) -> None:
    held.copies.keep(NAME, copy(1), 7)
    held.refuse(number)
    for messages in (2, 3):
        assert not held.copies.keep(NAME, copy(messages), 8)
    held.copies.retry_pending()
    newest = held.copies.shadow(NAME)
    assert newest is not None
    assert newest.count == 3, "a repair works from the newest, whatever the disk says"
    assert held.copies.has_pending(NAME)
    assert held.copies.broken == os.strerror(number)
    assert held.ear.names() == ["store_broken"]
    held.heal()
    assert held.copies.broken == ""
    assert not held.copies.has_pending(NAME)
    assert held.ear.names() == ["store_broken", "store_recovered"]
    assert parse(held.started().store.read_shadow(NAME)).messages[-1].timestamp == 2.0


def test_another_reason_is_told_as_well_and_after_it_healed_the_same_again(held: Held) -> None:
    for number in (errno.EIO, errno.EIO, errno.EROFS):
        held.copies.refused(OSError(number, os.strerror(number)))
    held.copies.retry_pending()
    held.copies.refused(OSError(errno.EIO, "x"))
    assert held.ear.names() == ["store_broken", "store_broken", "store_recovered", "store_broken"]


def test_versions_wait_in_their_order_before_the_shadow_and_none_twice(held: Held) -> None:
    held.refuse(errno.ENOSPC)
    first = held.copies.version(NAME, b"one", 1, "loss")
    assert held.copies.version(NAME, b"one", 1, "loss") == first
    second = held.copies.version(NAME, b"two", 2, "loss")
    held.copies.keep(NAME, copy(3), 7)
    assert first < second
    assert held.copies.store.versions(NAME) == []
    held.heal()
    versions = held.copies.store.versions(NAME)
    assert sorted(version.name for version in versions) == [first, second]
    assert sorted(map(held.copies.store.read_version, versions)) == [b"one", b"two"]
    assert [name for name in held.ear.names() if name == "version_kept"] == ["version_kept"] * 2


def test_no_two_versions_have_the_same_name_and_a_clock_set_back_far_is_believed(held: Held) -> None:
    names = [held.copies.version(NAME, f"{number}".encode(), 1, "loss") for number in range(3)]
    held.now -= timedelta(seconds=30)
    names.append(held.copies.version(NAME, b"later", 1, "loss"))
    assert names == sorted(set(names))
    held.now -= timedelta(hours=1)
    assert held.copies.version(NAME, b"an hour ago", 1, "loss") < names[0]


def test_a_full_disk_is_relieved_as_long_as_that_gains_anything(held: Held) -> None:
    gains = iter([10, 10, 0])
    asked: list[int] = []
    held.copies.relieve = lambda needed: asked.append(needed) or next(gains)  # type: ignore[func-returns-value]
    held.refuse(errno.ENOSPC)
    kept = copy(1)
    assert not held.copies.keep(NAME, kept, 7)
    assert asked == [len(kept.data)] * 3
    asked.clear()
    held._monkeypatch.undo()
    held.refuse(errno.EIO)
    held.copies.retry_pending()
    assert asked == [], "only a full disk is relieved"


def test_when_nobody_can_be_served_the_rest_is_not_tried(held: Held) -> None:
    for number, tried in ((errno.EROFS, 1), (errno.EIO, 2)):
        held.refuse(number)
        for name in (NAME, OTHER):
            held.copies.keep(name, copy(1), 7)
        attempts = []
        held.copies.relieve = lambda needed: 0
        really = held.copies._retry

        def counting(name: str, really: Callable[[str], bool] = really, to: list[str] = attempts) -> bool:
            to.append(name)
            return really(name)

        held.copies._retry = counting  # type: ignore[method-assign]
        held.copies.retry_pending()
        held.copies._retry = really  # type: ignore[method-assign]
        assert len(attempts) == tried
        held.heal()


def test_what_else_is_pending_is_written_before_the_store_is_called_well(held: Held) -> None:
    written = []
    held.copies.also_pending.append(lambda: written.append("list"))
    held.copies.refused(OSError(errno.EIO, "x"))
    held.copies.retry_pending()
    assert written == ["list"]

    def fail() -> None:
        raise OSError(errno.EROFS, "x")

    held.copies.also_pending.append(fail)
    held.copies.refused(OSError(errno.EIO, "x"))
    held.copies.retry_pending()
    assert held.copies.broken


def grown(before: Copy, messages: int, filling_bytes: int) -> Copy:
    """A copy that follows `before`, as the guard makes it."""
    after = copy(messages, filling_bytes)
    followed = follow(before.abridged, after.data)
    assert followed is not None
    return Copy(abridged=followed)


def test_growth_goes_into_a_delta_log_until_the_session_is_quiet(held: Held) -> None:
    first = copy(40, SMALLEST_LOGGED_BYTES // 20)
    held.copies.keep(NAME, first, 7)
    plain = held.copies.store.shadow_path(NAME).read_bytes()
    second = grown(first, 41, SMALLEST_LOGGED_BYTES // 20)
    assert held.copies.keep(NAME, second, 8, first)
    assert second.is_stored
    assert not first.is_stored
    assert held.copies.store.shadow_path(NAME).read_bytes() == plain
    assert held.copies.store.read_shadow(NAME) == second.data
    held.seconds += QUIET_SECONDS - 1
    held.copies.flush_delta_logs()
    assert held.copies.store.delta_log_path(NAME).exists()
    held.seconds += 2
    held.copies.flush_delta_logs()
    assert not held.copies.store.delta_log_path(NAME).exists()
    assert held.copies.store.shadow_path(NAME).read_bytes() == second.data


def test_delta_logs_of_a_guard_before_this_one_are_folded(held: Held) -> None:
    first = copy(40, SMALLEST_LOGGED_BYTES // 20)
    held.copies.keep(NAME, first, 7)
    second = grown(first, 41, SMALLEST_LOGGED_BYTES // 20)
    held.copies.keep(NAME, second, 8, first)
    after = held.started()
    after.find_delta_logs()
    after.flush_delta_logs()
    assert after.store.shadow_path(NAME).read_bytes() == second.data


def test_a_small_file_is_written_whole(held: Held) -> None:
    first = copy(100)
    held.copies.keep(NAME, first, 7)
    assert held.copies.keep(NAME, grown(first, 101, 0), 8, first)
    assert first.size_bytes < SMALLEST_LOGGED_BYTES
    assert not held.copies.store.delta_log_path(NAME).exists()


def test_a_damaged_shadow_is_told_once_and_rebuilt_from_memory(held: Held) -> None:
    kept = copy(3)
    held.copies.keep(NAME, kept, 7)
    held.copies.store.shadow_path(NAME).write_bytes(b"{")
    fresh = held.started()
    assert fresh.shadow(NAME) is None
    assert fresh.shadow(NAME) is None
    assert fresh.is_damaged(NAME)
    assert held.ear.names() == ["verify_failed"]
    assert not fresh.rebuild(NAME), "this one has nothing in memory"
    assert held.copies.rebuild(NAME)
    assert held.copies.store.read_shadow(NAME) == kept.data
    assert held.ear.names() == ["verify_failed", "shadow_rebuilt"]


def test_a_session_is_forgotten_only_when_what_it_owes_is_durable(held: Held) -> None:
    held.copies.keep(NAME, copy(1), 7)
    held.refuse(errno.EIO)
    held.copies.version(NAME, b"x", 1, "deleted")
    assert not held.copies.forget(NAME)
    assert not held.copies.rename(NAME, OTHER)
    assert held.copies.has_shadow(NAME)
    held.heal()
    assert held.copies.rename(NAME, OTHER)
    assert held.copies.held(NAME) is None
    assert held.copies.has_shadow(OTHER)
    assert held.copies.forget(OTHER)
    assert not held.copies.has_shadow(OTHER)
    assert len(held.copies.store.versions(OTHER)) == 1
