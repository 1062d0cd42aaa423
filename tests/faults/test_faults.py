"""Every failing system call of every operation, and a death at every one: nothing is lost, and the next look heals it.

Every call fails once, with the errors taken in turn; with HERMESGUARD_ALL_FAULTS=1 every call fails with every error.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.helpers import faults
from tests.helpers.faults import Disk
from tests.helpers.operations import (
    IN_THE_MIDDLE,
    OPERATIONS,
    RACE,
    Operation,
    check_healed,
    heal,
    is_whole,
    live_files,
    messages_in_live,
    messages_on_disk,
)
from tests.helpers.world import World

ALL = bool(os.environ.get("HERMESGUARD_ALL_FAULTS"))
QUICK = Path("/dev/shm")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where an fsync costs nothing; an ordinary one where there is none."""
    place = str(QUICK) if os.access(QUICK, os.W_OK) else str(tmp_path)
    with TemporaryDirectory(prefix="hermesguard-faults-", dir=place) as path:
        yield Path(path)


class Stage:
    """One operation on a world of its own, up to the moment before the guard does its part."""

    def __init__(self, operation: Operation, root: Path, disk: Disk) -> None:
        self.operation = operation
        self.world = World(root)
        self.world.unarmed = disk.disarmed  # type: ignore[attr-defined]
        self.disk = disk
        self.chat = self.world.chat = operation.prepare(self.world)  # type: ignore[attr-defined]
        before = messages_in_live(self.world)
        operation.act(self.chat)
        self.seen = (
            messages_in_live(self.world) if operation.takes_away else before | messages_in_live(self.world)
        )

    def live_is_whole(self) -> None:
        """A reader sees a whole file at every step, unless the application itself left none."""
        if self.operation.name != "torn file":
            assert is_whole(self.chat.path)

    def check_nothing_is_lost(self) -> None:
        assert self.seen - messages_on_disk(self.world) == set()


def undisturbed(operation: Operation, root: Path, disk: Disk) -> tuple[list[str], dict[str, list[str]]]:
    """Return the calls that an operation makes when nothing fails, and what live is like in the end."""
    stage = Stage(operation, root / "undisturbed", disk)
    disk.watch = stage.live_is_whole
    with disk.armed():
        operation.guard(stage.world)
    disk.watch = None
    calls = list(disk.calls)
    stage.check_nothing_is_lost()
    heal(stage.world, operation)
    expected = live_files(stage.world)
    check_healed(stage.world, expected)
    return calls, expected


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_failing_call(
    operation: Operation, root: Path, disk: Disk, record_property: Callable[[str, object], None]
) -> None:
    calls, expected = undisturbed(operation, root, disk)
    tried = 0
    for at, call in enumerate(calls, 1):
        for number in faults.ERRORS if ALL else [faults.one_of(call, at)]:
            stage = Stage(operation, root / f"{at}-{number}", disk)
            disk.watch = stage.live_is_whole
            with disk.armed(at, faults.failing(number)):
                operation.guard(stage.world)
            disk.watch = None
            assert disk.struck == call
            tried += 1
            try:
                stage.check_nothing_is_lost()
                heal(stage.world, operation)
                check_healed(stage.world, expected)
                stage.check_nothing_is_lost()
            except AssertionError as error:
                raise AssertionError(
                    f"{operation.name}, call {at} ({call}) failing with {os.strerror(number)}: {error}"
                ) from error
    record_property("faults", tried)
    print(f"{operation.name}: {tried} faults")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_death_at_every_call(
    operation: Operation, root: Path, disk: Disk, record_property: Callable[[str, object], None]
) -> None:
    calls, expected = undisturbed(operation, root, disk)
    died = 0
    for at in faults.after_each_change(calls):
        stage = Stage(operation, root / str(at), disk)
        before = live_files(stage.world) if operation.is_by_user else None

        def work(stage: Stage = stage, at: int = at) -> None:
            with disk.armed(at, faults.dying):
                operation.guard(stage.world)

        code = faults.in_child(work)
        assert code in (0, faults.DIED)
        died += code == faults.DIED
        try:
            stage.live_is_whole()
            stage.check_nothing_is_lost()
            stage.world.start()
            if operation is RACE and IN_THE_MIDDLE not in messages_on_disk(stage.world):
                continue  # the application never said it
            heal(stage.world, operation)
            if operation.is_by_user:
                assert live_files(stage.world) in (before, expected)
                operation.guard(stage.world)  # whoever asked asks again; it may be done already
                heal(stage.world, operation)
            check_healed(stage.world, expected)
            stage.check_nothing_is_lost()
        except AssertionError as error:
            raise AssertionError(f"{operation.name}, died at call {at} ({calls[at - 1]}): {error}") from error
    record_property("deaths", died)
    print(f"{operation.name}: {died} deaths")
