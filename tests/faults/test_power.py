"""The power is cut after each step of what the guard does: mounted and started again, nothing confirmed is lost.

On ext4 the commonest operations, with sessions and store on one file system; with HERMESGUARD_ALL_CUTS=1 all operations, on
two file systems as well, and on xfs.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.helpers import faults, images
from tests.helpers.faults import Disk
from tests.helpers.operations import (
    NAME,
    OPERATIONS,
    Operation,
    heal,
    is_whole,
    live_files,
    messages_in_live,
    messages_of,
    messages_on_disk,
)
from tests.helpers.world import World

ALL = bool(os.environ.get("HERMESGUARD_ALL_CUTS"))
COMMON = ("growth", "growth into a delta log", "wipe", "race", "undo")
PLACES = [("ext4", 1)]
if ALL:
    PLACES += [("ext4", 2), ("xfs", 1), ("xfs", 2)]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(tmp_path)
    with TemporaryDirectory(prefix="hermesguard-power-", dir=place) as path:
        yield Path(path)


class Machine:
    """Sessions and store on file systems whose power can be cut."""

    def __init__(self, stack: ExitStack, root: Path, kind: str, number: int) -> None:
        self.images = [
            stack.enter_context(images.mounted(root / str(index), kind)) for index in range(number)
        ]
        sessions, store = self.images[0].path, self.images[-1].path / "store"
        self.world = World(sessions, store=store)
        self._confirmed = root / "confirmed"
        self._confirmed.mkdir()

    def cut(self) -> None:
        for image in self.images:
            image.cut()

    def start_again(self) -> None:
        open_delta_logs = self.world.guard.copies.store._delta_logs
        for path in list(open_delta_logs._open):
            open_delta_logs.drop(path)  # this process has them too, and no power cut ends it
        for image in self.images:
            image.unmount()
            image.mount()
        self.world.start()

    def note_what_is_confirmed(self) -> None:
        """From now on, remember beside the file systems what the guard has called durable."""
        copies = self.world.guard.copies
        keep = copies.keep

        def noted(session: str, copy, *more) -> bool:
            durable = keep(session, copy, *more)
            if durable:
                (self._confirmed / str(len(list(self._confirmed.iterdir())))).write_bytes(copy.data)
            return durable

        copies.keep = noted  # type: ignore[method-assign]

    def confirmed(self) -> set[str]:
        return set().union(*(messages_of(path.read_bytes()) for path in self._confirmed.iterdir()))


def prepared(
    stack: ExitStack, root: Path, operation: Operation, kind: str, number: int, disk: Disk
) -> Machine:
    machine = Machine(stack, root, kind, number)
    machine.world.unarmed = disk.disarmed  # type: ignore[attr-defined]
    machine.world.chat = operation.prepare(machine.world)  # type: ignore[attr-defined]
    for image in machine.images:
        image.sync()
    return machine


def expected_messages(operation: Operation, root: Path, disk: Disk) -> tuple[list[str], set[str]]:
    """Return the calls of an operation, and the messages that live has in the end when nothing happens to it."""
    world = World(root / "undisturbed")
    world.unarmed = disk.disarmed  # type: ignore[attr-defined]
    world.chat = operation.prepare(world)  # type: ignore[attr-defined]
    operation.act(world.chat)  # type: ignore[attr-defined]
    with disk.armed():
        operation.guard(world)
    calls = list(disk.calls)
    heal(world, operation)
    return calls, messages_in_live(world)


@pytest.mark.parametrize(("kind", "number"), PLACES)
@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if not operation.takes_away and (ALL or operation.name in COMMON)],
    ids=lambda operation: operation.name,
)
def test_power_cut_after_every_step(
    operation: Operation,
    kind: str,
    number: int,
    root: Path,
    disk: Disk,
    record_property: Callable[[str, object], None],
) -> None:
    images.require(kind)
    calls, expected = expected_messages(operation, root, disk)
    cuts = 0
    for at in [*faults.after_each_change(calls), len(calls) + 1]:
        with ExitStack() as stack:
            machine = prepared(stack, root / str(at), operation, kind, number, disk)
            world = machine.world
            before = messages_in_live(world)
            operation.act(world.chat)  # type: ignore[attr-defined]
            machine.note_what_is_confirmed()

            def strike(_: str, machine: Machine = machine) -> None:
                with disk.disarmed():
                    machine.cut()
                os._exit(faults.DIED)

            def work(world: World = world, at: int = at, machine: Machine = machine) -> None:
                with disk.armed(at, strike):
                    operation.guard(world)
                machine.cut()

            assert faults.in_child(work) in (0, faults.DIED)
            cuts += 1
            try:
                machine.start_again()
                confirmed = before | machine.confirmed()
                lost = confirmed - messages_on_disk(world)
                assert not lost, f"{lost} is lost"
                heal(world, operation)
                lost = confirmed - messages_on_disk(world)
                assert not lost, f"{lost} is lost after a while"
                assert is_whole(world.sessions / f"{NAME}.json")
                missing = before & expected - messages_in_live(world)
                assert not missing, f"{missing} is not live"
                for name in live_files(world):
                    kept = world.guard.copies.store.read_shadow(name)
                    assert kept == (world.sessions / f"{name}.json").read_bytes()
                assert not list(world.sessions.glob(".hermesguard-*"))
                assert "internal_error" not in world.ear.names()
            except AssertionError as error:
                step = calls[at - 1] if at <= len(calls) else "the end"
                raise AssertionError(f"{operation.name}, power cut before {step} ({at}): {error}") from error
    record_property("cuts", cuts)
    print(f"{operation.name} on {number} {kind}: {cuts} cuts")


def test_a_cut_really_takes_what_was_not_synced(root: Path) -> None:
    images.require()
    with images.mounted(root / "image") as image:
        (image.path / "synced").write_bytes(b"kept")
        image.sync()
        (image.path / "not synced").write_bytes(b"gone")
        image.cut()
        with pytest.raises(OSError, match="Input/output error"):
            (image.path / "after").write_bytes(b"")
        image.unmount()
        image.mount()
        assert sorted(path.name for path in image.path.iterdir()) == ["lost+found", "synced"]


def test_nobody_else_sees_a_mount_or_can_hold_it(root: Path) -> None:
    images.require()
    with images.mounted(root / "image") as image:
        assert str(image.path) in Path("/proc/self/mountinfo").read_text()
        assert str(image.path) not in Path(f"/proc/{os.getppid()}/mountinfo").read_text()
