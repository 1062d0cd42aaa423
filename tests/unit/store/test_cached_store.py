"""What the guard holds of each session runs ahead of a store that is not writable, and is written when it is again."""

import errno
import json
import os
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hermesguard import files
from hermesguard.clock import Clock
from hermesguard.events.shield import Shield
from hermesguard.store import delta_log
from hermesguard.store.cache import Cache, Copy
from hermesguard.store.cached_store import QUIET_SECONDS, SMALLEST_LOGGED_BYTES, Copies
from hermesguard.store.store import Store
from hermesguard.webui.abridged import follow
from hermesguard.webui.session import parse
from tests.helpers.world import Ear

NAME, OTHER = "20260101_000000_aaaaaa", "20260101_000000_bbbbbb"


class Setup:
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

        for module, names in {
            files: ("write_durably", "append_durably", "prove_writable"),
            delta_log: ("Appending",),
        }.items():
            for name in names:
                self._monkeypatch.setattr(module, name, refusing(getattr(module, name)))

    def heal(self) -> None:
        self._monkeypatch.undo()
        list(self.copies.retry_pending())


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(tmp_path / "store", monkeypatch)


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


def test_what_the_store_takes_is_in_it_and_in_memory(made: Setup) -> None:
    assert made.copies.keep(NAME, kept := copy(3), 7)
    assert kept.is_stored
    assert made.copies.cached(NAME) is kept
    assert not made.copies.has_pending(NAME)
    assert made.started().shadow(NAME) == kept or made.started().store.read_shadow(NAME) == kept.data
    assert made.ear.names() == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
def test_what_it_refuses_is_pending_told_once_and_written_when_it_takes_it(made: Setup, number: int) -> None:
    made.copies.keep(NAME, copy(1), 7)
    made.refuse(number)
    for messages in (2, 3):
        assert not made.copies.keep(NAME, copy(messages), 8)
    list(made.copies.retry_pending())
    newest = made.copies.shadow(NAME)
    assert newest is not None
    assert newest.count == 3, "a repair works from the newest, whatever the disk says"
    assert made.copies.has_pending(NAME)
    assert made.copies.broken == os.strerror(number)
    assert made.ear.names() == ["store_broken"]
    made.heal()
    assert made.copies.broken == ""
    assert not made.copies.has_pending(NAME)
    assert made.ear.names() == ["store_broken", "store_recovered"]
    assert parse(made.started().store.read_shadow(NAME)).messages[-1].timestamp == 2.0


def test_another_reason_is_told_as_well_and_after_it_healed_the_same_again(made: Setup) -> None:
    for number in (errno.EIO, errno.EIO, errno.EROFS):
        made.copies.refused(OSError(number, os.strerror(number)))
    list(made.copies.retry_pending())
    made.copies.refused(OSError(errno.EIO, "x"))
    assert made.ear.names() == ["store_broken", "store_broken", "store_recovered", "store_broken"]


def test_versions_wait_in_their_order_before_the_shadow_and_none_twice(made: Setup) -> None:
    made.refuse(errno.ENOSPC)
    first = made.copies.version(NAME, b"one", 1, "loss")
    assert made.copies.version(NAME, b"one", 1, "loss") == first
    second = made.copies.version(NAME, b"two", 2, "loss")
    made.copies.keep(NAME, copy(3), 7)
    assert first < second
    assert made.copies.store.versions(NAME) == []
    made.heal()
    versions = made.copies.store.versions(NAME)
    assert sorted(version.name for version in versions) == [first, second]
    assert sorted(map(made.copies.store.read_version, versions)) == [b"one", b"two"]
    assert [name for name in made.ear.names() if name == "version_kept"] == ["version_kept"] * 2


def test_no_two_versions_have_the_same_name_and_a_clock_set_back_far_is_believed(made: Setup) -> None:
    names = [made.copies.version(NAME, f"{number}".encode(), 1, "loss") for number in range(3)]
    made.now -= timedelta(seconds=30)
    names.append(made.copies.version(NAME, b"later", 1, "loss"))
    assert names == sorted(set(names))
    made.now -= timedelta(hours=1)
    assert made.copies.version(NAME, b"an hour ago", 1, "loss") < names[0]


def test_a_full_disk_is_relieved_as_long_as_that_gains_anything(made: Setup) -> None:
    gains = iter([10, 10, 0])
    asked: list[int] = []
    made.copies.relieve = lambda needed: asked.append(needed) or next(gains)  # type: ignore[func-returns-value]
    made.refuse(errno.ENOSPC)
    kept = copy(1)
    assert not made.copies.keep(NAME, kept, 7)
    assert asked == [len(kept.data)] * 3
    asked.clear()
    made._monkeypatch.undo()
    made.refuse(errno.EIO)
    list(made.copies.retry_pending())
    assert asked == [], "only a full disk is relieved"


def test_when_nobody_can_be_served_the_rest_is_not_tried(made: Setup) -> None:
    for number, tried in ((errno.EROFS, 1), (errno.EIO, 2)):
        made.refuse(number)
        for name in (NAME, OTHER):
            made.copies.keep(name, copy(1), 7)
        attempts = []
        made.copies.relieve = lambda needed: 0
        really = made.copies._retry

        def counting(name: str, really: Callable[[str], bool] = really, to: list[str] = attempts) -> bool:
            to.append(name)
            return really(name)

        made.copies._retry = counting  # type: ignore[method-assign]
        list(made.copies.retry_pending())
        made.copies._retry = really  # type: ignore[method-assign]
        assert len(attempts) == tried
        made.heal()


def test_what_else_is_pending_is_written_before_the_store_is_called_well(made: Setup) -> None:
    written = []
    made.copies.also_pending.append(lambda: written.append("list"))
    made.copies.refused(OSError(errno.EIO, "x"))
    list(made.copies.retry_pending())
    assert written == ["list"]

    def fail() -> None:
        raise OSError(errno.EROFS, "x")

    made.copies.also_pending.append(fail)
    made.copies.refused(OSError(errno.EIO, "x"))
    list(made.copies.retry_pending())
    assert made.copies.broken


def grown(before: Copy, messages: int, filling_bytes: int) -> Copy:
    """A copy that follows `before`, as the guard makes it."""
    after = copy(messages, filling_bytes)
    followed = follow(before.abridged, after.data)
    assert followed is not None
    return Copy(abridged=followed)


def test_growth_goes_into_a_delta_log_until_the_session_is_quiet(made: Setup) -> None:
    first = copy(40, SMALLEST_LOGGED_BYTES // 20)
    made.copies.keep(NAME, first, 7)
    plain = made.copies.store.shadow_path(NAME).read_bytes()
    second = grown(first, 41, SMALLEST_LOGGED_BYTES // 20)
    assert made.copies.keep(NAME, second, 8, first)
    assert second.is_stored
    assert not first.is_stored
    assert made.copies.store.shadow_path(NAME).read_bytes() == plain
    assert made.copies.store.read_shadow(NAME) == second.data
    made.seconds += QUIET_SECONDS - 1
    list(made.copies.flush_delta_logs())
    assert made.copies.store.delta_log_path(NAME).exists()
    made.seconds += 2
    list(made.copies.flush_delta_logs())
    assert not made.copies.store.delta_log_path(NAME).exists()
    assert made.copies.store.shadow_path(NAME).read_bytes() == second.data


@pytest.mark.parametrize("said_bytes", [100, 2**30])
def test_a_version_that_unpacks_to_more_than_it_may_is_not_unpacked(
    made: Setup, said_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = made.copies.store
    store.limit_bytes = 2**29
    version = store.add_version(NAME, b"x" * 100, 0, "loss", made.now)
    packing = zlib.compressobj(9, wbits=31)
    packed = b"".join([*(packing.compress(bytes(2**24)) for _ in range(16)), packing.flush()])
    version.path.write_bytes(packed[:-4] + said_bytes.to_bytes(4, "little"))
    monkeypatch.setattr("zlib.decompress", pytest.fail)
    with pytest.raises(files.Damaged if said_bytes == 100 else files.TooLarge):
        store.read_version(version)


def logged(made: Setup) -> Path:
    """Return the delta log of a session that grew once."""
    first = copy(40, SMALLEST_LOGGED_BYTES // 20)
    made.copies.keep(NAME, first, 7)
    made.copies.keep(NAME, grown(first, 41, SMALLEST_LOGGED_BYTES // 20), 8, first)
    return made.copies.store.delta_log_path(NAME)


@pytest.mark.parametrize("parts", [[[0, 10], [0, 10]], [[5, 5], [0, 5]], [[0, 6], "x", [5, 5]]])
def test_a_change_takes_nothing_twice_nor_from_behind(parts: list[object]) -> None:
    with pytest.raises(IndexError):
        delta_log._after(b"0123456789", {"parts": parts})


def test_a_delta_log_that_makes_much_of_little_is_damaged(made: Setup) -> None:
    log = logged(made)
    lines = log.read_bytes().rstrip(b"\0").splitlines()
    bomb = json.loads(lines[-1]) | {"parts": [[0, 10_000]] * 1000}
    log.write_bytes(b"\n".join([*lines, *3 * [json.dumps(bomb).encode()]]) + b"\n")
    before = made.copies.store.shadow_path(NAME).read_bytes()
    after = made.started()
    with pytest.raises(files.Damaged):
        after.store.read_shadow(NAME)
    salvaged = after.store.salvage(NAME)
    assert salvaged is not None
    assert len(salvaged) > len(before)  # what the good lines give


@pytest.mark.parametrize("size_bytes", [2**40, 2**26 + 1])
def test_a_delta_log_of_any_length_is_not_read_into_memory(made: Setup, size_bytes: int) -> None:
    log = logged(made)
    os.truncate(log, size_bytes)
    after = made.started()
    assert after.store.read_shadow(NAME) == made.copies.store.shadow_path(NAME).read_bytes()
    after.find_delta_logs()
    list(after.flush_delta_logs())
    assert not log.exists()
    assert [path.stat().st_size for path in (after.store.root / "set-aside").iterdir()] == [size_bytes]


@pytest.mark.parametrize("bound", ["memory", "lines"])
def test_a_delta_log_of_any_density_takes_little_memory(
    made: Setup, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    log = logged(made)
    if bound == "memory":  # in one line
        monkeypatch.setattr(delta_log, "_MOST_MEMORY_BYTES", 2**20)
        log.write_bytes(log.read_bytes().rstrip(b"\0") + b"[" + b"{}," * 100_000 + b"{}]\n")
        assert delta_log._lines(log) == []
    else:  # in many
        known = len(delta_log._lines(log) or ())
        log.write_bytes(log.read_bytes().rstrip(b"\0") + b"{}\n" * 10_000)
        assert len(delta_log._lines(log) or ()) == known + 1
    assert delta_log.strangeness(log)
    after = made.started()
    after.find_delta_logs()
    list(after.flush_delta_logs())
    assert [path.name for path in (after.store.root / "set-aside").iterdir()] == [f"{log.name}.1"]


def test_a_log_is_flushed_before_it_is_longer_than_what_is_read(
    made: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_log, "MOST_BYTES", 2 * SMALLEST_LOGGED_BYTES)
    before = copy(400, SMALLEST_LOGGED_BYTES // 20)
    made.copies.keep(NAME, before, 7)
    log = made.copies.store.delta_log_path(NAME)
    longest = 0
    for number in range(401, 460):
        after = grown(before, number, SMALLEST_LOGGED_BYTES // 20)
        made.copies.keep(NAME, after, number, before)
        longest = max(longest, log.stat().st_size if log.exists() else 0)
        before = after
    assert SMALLEST_LOGGED_BYTES < longest < 3 * SMALLEST_LOGGED_BYTES
    assert made.copies.store.read_shadow(NAME) == before.data


def test_delta_logs_of_a_guard_before_this_one_are_flushed(made: Setup) -> None:
    first = copy(40, SMALLEST_LOGGED_BYTES // 20)
    made.copies.keep(NAME, first, 7)
    second = grown(first, 41, SMALLEST_LOGGED_BYTES // 20)
    made.copies.keep(NAME, second, 8, first)
    after = made.started()
    after.find_delta_logs()
    list(after.flush_delta_logs())
    assert after.store.shadow_path(NAME).read_bytes() == second.data


@pytest.mark.parametrize("log_is_gone", [True, False])
def test_who_reads_beside_the_guard_gets_shadow_and_delta_log_of_one_time(
    made: Setup, monkeypatch: pytest.MonkeyPatch, log_is_gone: bool
) -> None:
    """Dry runs, verify and offsite copies do: what they read is never older than what was read before."""
    first = copy(40, SMALLEST_LOGGED_BYTES // 20)
    made.copies.keep(NAME, first, 7)
    second = grown(first, 41, SMALLEST_LOGGED_BYTES // 20)
    made.copies.keep(NAME, second, 8, first)
    reader = Store(made.root)
    apply, flushed = delta_log.apply, list[bool]()

    def late(*arguments: Any) -> Any:
        if not flushed:
            flushed.append(True)
            list(made.copies.flush_delta_logs(quiet_seconds=0))
            if not log_is_gone:
                made.copies.keep(NAME, grown(second, 42, SMALLEST_LOGGED_BYTES // 20), 9, second)
        return apply(*arguments)

    monkeypatch.setattr(delta_log, "apply", late)
    assert parse(reader.read_shadow(NAME)).count == (41 if log_is_gone else 42)


def test_a_small_file_is_written_whole(made: Setup) -> None:
    first = copy(100)
    made.copies.keep(NAME, first, 7)
    assert made.copies.keep(NAME, grown(first, 101, 0), 8, first)
    assert first.size_bytes < SMALLEST_LOGGED_BYTES
    assert not made.copies.store.delta_log_path(NAME).exists()


def test_a_damaged_shadow_is_told_once_and_rebuilt_from_memory(made: Setup) -> None:
    kept = copy(3)
    made.copies.keep(NAME, kept, 7)
    made.copies.store.shadow_path(NAME).write_bytes(b"{")
    fresh = made.started()
    assert fresh.shadow(NAME) is None
    assert fresh.shadow(NAME) is None
    assert fresh.is_damaged(NAME)
    assert made.ear.names() == ["verify_failed"]
    assert not fresh.rebuild(NAME), "this one has nothing in memory"
    assert made.copies.rebuild(NAME)
    assert made.copies.store.read_shadow(NAME) == kept.data
    assert made.ear.names() == ["verify_failed", "shadow_rebuilt"]


def test_a_session_is_forgotten_only_when_what_it_owes_is_durable(made: Setup) -> None:
    made.copies.keep(NAME, copy(1), 7)
    made.refuse(errno.EIO)
    made.copies.version(NAME, b"x", 1, "deleted")
    assert not made.copies.forget(NAME)
    assert not made.copies.rename(NAME, OTHER)
    assert made.copies.has_shadow(NAME)
    made.heal()
    assert made.copies.rename(NAME, OTHER)
    assert made.copies.cached(NAME) is None
    assert made.copies.has_shadow(OTHER)
    assert made.copies.forget(OTHER)
    assert not made.copies.has_shadow(OTHER)
    assert len(made.copies.store.versions(OTHER)) == 1
