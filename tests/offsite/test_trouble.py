"""What goes wrong around the copies: clocks, keys, buckets that are emptied or locked, a store that is lost with its state."""

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pyrage
import pytest

from hermesguard import files
from hermesguard.demo.app import App
from hermesguard.errors import ExitCode, GuardError
from hermesguard.offsite import batch
from hermesguard.offsite.back.restore import Restoring
from hermesguard.offsite.bucket import Bucket, BucketError, Stored
from hermesguard.offsite.overview import overview
from hermesguard.store.store import Store
from tests.helpers.copies import DAY, Copies, same
from tests.helpers.world import World


@pytest.fixture
def copies(world: World, app: App, tmp_path: Path) -> Copies:
    for _ in range(3):
        app.create(turns=4)
    world.scan()
    return Copies(world.store_path, tmp_path / "offsite")


def objects(copies: Copies) -> list[Path]:
    return sorted((copies.root / "disk").rglob("*.age"))


@pytest.mark.parametrize("seconds", [-40 * DAY, 400 * DAY])
def test_a_clock_that_jumps_loses_no_order(world: World, app: App, copies: Copies, seconds: float) -> None:
    copies.turn()
    for step in (seconds, -seconds, 0.0):
        copies.began += timedelta(seconds=step)
        app.open(next(iter(Store(world.store_path).sessions()))).turn("And now?", "More.")
        world.scan()
        copies.turn()
    names = [path.name for path in objects(copies)]
    assert len(names) == 4
    created = [one.name.rpartition("/")[2] for one in copies.state.objects()]
    assert sorted(created) == names
    same(copies.back()[1], Store(world.store_path))


def test_an_object_of_a_clock_that_was_ahead_is_missed_too(world: World, copies: Copies) -> None:
    copies.began += timedelta(days=300)
    copies.turn()
    copies.began -= timedelta(days=300)
    objects(copies)[0].unlink()
    copies.upkeep()
    same(copies.back()[1], Store(world.store_path))


def test_an_object_that_came_out_short_is_replaced(world: World, copies: Copies) -> None:
    copies.turn()
    (path,) = objects(copies)
    path.write_bytes(path.read_bytes()[:-100])
    copies.upkeep()
    found, store = copies.back()
    assert found.damaged == []
    same(store, Store(world.store_path))
    assert not path.exists()
    assert any("were missing in the storage" in what for what, _ in overview(copies.options).problems())


class Locked(Bucket):
    """Object lock: what is there stays, whatever the key asks for."""

    def remove(self, names: Sequence[str]) -> None:
        self.count(1)
        raise BucketError("the storage answered 403 Forbidden (AccessDenied)", is_refusal=True)


class Deaf(Bucket):
    """A bucket with versions: it says that an object is gone, and has it still."""

    def remove(self, names: Sequence[str]) -> None:
        self.count(1)


@pytest.mark.parametrize("kind", [Locked, Deaf])
def test_a_storage_that_removes_nothing_goes_on_taking_copies_and_it_is_said(
    world: World, app: App, tmp_path: Path, kind: type[Bucket]
) -> None:
    chat = app.create(turns=3)
    world.scan()
    copies = Copies(world.store_path, tmp_path / "locked")
    copies.make = lambda: kind(copies.options.url)
    copies.start()
    for number in range(3):
        chat.turn(f"Question {number}", "and answer")
        world.scan()
        copies.turn()
    copies.turn(40 * DAY)
    copies.upkeep()
    said = [what for what, _ in overview(copies.options).problems()]
    assert any("still in the storage" in what for what in said), said
    chat.turn("Still there?", "Yes.")
    world.scan()
    copies.turn()
    assert copies.uploader.failure == ""
    assert all(path in copies.safe() for path in copies.uploader._survey.look())
    same(copies.back()[1], Store(world.store_path))
    copies.make = lambda: Bucket(copies.options.url)
    copies.start()
    before = len(objects(copies))
    copies.upkeep()
    assert len(objects(copies)) < before
    assert not any("still in the storage" in what for what, _ in overview(copies.options).problems())


def test_a_store_that_is_lost_with_its_state_can_be_had_back_for_as_long_as_it_kept_anything(
    world: World, app: App, copies: Copies
) -> None:
    whole = Store(world.store_path)
    kept = copies.root / "before"
    copies.turn()
    shutil.copytree(whole.root, kept)
    copies.state.close()
    shutil.rmtree(copies.options.state)
    for path in [*(whole.root / "shadows").glob("*.json"), *(whole.root / "history").glob("*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    copies.seconds += 60
    copies.start()
    app.create(turns=1)
    world.scan()
    for _ in range(24):
        copies.upkeep()
    store = copies.back()[1]
    before = Store(kept)
    before.open()
    for session in before.sessions():
        assert store.read_shadow(session) == before.read_shadow(session)
    found = overview(copies.options)
    assert (found.strangers > 0, bool(found.strangers_until)) == (True, True)


# -- keys


def test_a_new_key_reads_everything_and_the_old_objects_go(world: World, app: App, copies: Copies) -> None:
    copies.turn()
    old = set(objects(copies))
    new = pyrage.x25519.Identity.generate()
    copies.identity, copies.options = (
        new,
        dataclasses.replace(copies.options, recipients=(str(new.to_public()),)),
    )
    copies.start()
    copies.turn()
    same(copies.back()[1], Store(world.store_path))
    copies.upkeep()
    assert old.isdisjoint(objects(copies)), "what only the old key reads is not needed"
    count = len(objects(copies))
    copies.start()
    copies.turn(300)
    assert len(objects(copies)) == count, "once"


def test_a_new_key_is_gone_on_with_after_a_kill(
    world: World, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hermesguard.offsite.upload.uploader.BATCH_BYTES", 1)  # an object for each file
    copies.turn()
    new = pyrage.x25519.Identity.generate()
    copies.identity, copies.options = (
        new,
        dataclasses.replace(copies.options, recipients=(str(new.to_public()),)),
    )
    copies.start()
    copies.seconds += 60
    copies.uploader.turn()
    copies.start()
    copies.turn()
    same(copies.back()[1], Store(world.store_path))


def test_another_recipient_beside_the_first_reads_what_was_there_before(world: World, copies: Copies) -> None:
    copies.turn()
    second = pyrage.x25519.Identity.generate()
    both = (*copies.options.recipients, str(second.to_public()))
    copies.options = dataclasses.replace(copies.options, recipients=both)
    copies.start()
    copies.uploader._recipients = [copies.identity.to_public(), second.to_public()]
    copies.turn()
    copies.identity = second
    same(copies.back()[1], Store(world.store_path))


def test_the_order_of_the_recipients_is_no_change(world: World, app: App, copies: Copies) -> None:
    second = str(pyrage.x25519.Identity.generate().to_public())
    for recipients in ((*copies.options.recipients, second), (second, *copies.options.recipients)):
        copies.options = dataclasses.replace(copies.options, recipients=recipients)
        copies.start()
        copies.turn()
    assert len(objects(copies)) == 1


def test_a_key_that_is_another_is_a_sentence_and_leaves_nothing(copies: Copies, tmp_path: Path) -> None:
    copies.turn()
    into = tmp_path / "into"
    with pytest.raises(GuardError, match="None of the 1 objects is encrypted for this key") as caught:
        Restoring(copies.make(), [pyrage.x25519.Identity.generate()], into).run()
    assert caught.value.exit_code == ExitCode.NOT_FOUND
    assert list(into.iterdir()) == []


# -- restoring


def test_a_time_before_the_first_copy_is_a_sentence(copies: Copies) -> None:
    copies.turn()
    with pytest.raises(GuardError, match="hold nothing as of that time") as caught:
        copies.back(at=datetime.now(UTC) - timedelta(days=3))
    assert f"{datetime.now(UTC):%Y}" in str(caught.value)


def test_a_time_after_the_last_copy_is_the_last_copy(world: World, copies: Copies) -> None:
    copies.turn()
    same(copies.back(at=datetime.now(UTC) + timedelta(days=3))[1], Store(world.store_path))


def test_a_directory_with_anything_in_it_is_left_alone(copies: Copies, tmp_path: Path) -> None:
    copies.turn()
    into = tmp_path / "into"
    into.mkdir()
    (into / ".hidden").write_text("mine")
    with pytest.raises(GuardError, match="is not empty") as caught:
        Restoring(copies.make(), [copies.identity], into).run()
    assert caught.value.exit_code == ExitCode.REFUSED
    assert [path.name for path in into.iterdir()] == [".hidden"]
    other = tmp_path / "file"
    other.write_text("mine")
    with pytest.raises(GuardError, match="cannot be used"):
        Restoring(copies.make(), [copies.identity], other).run()


class Panicking(Bucket):
    """An obstore that has a fault."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        panic = type("PanicException", (BaseException,), {})

        class Broken:
            list = staticmethod(self._obstore.list)

            def put(self, *_: object, **__: object) -> None:
                raise panic("called `Result::unwrap()` on an `Err` value")

        self._obstore = Broken()


def test_a_fault_in_obstore_is_tried_again_and_ends_nothing(world: World, copies: Copies) -> None:
    copies.make = lambda: Panicking(copies.options.url)
    copies.start()
    copies.turn()
    assert "obstore has failed" in copies.uploader.failure
    copies.uploader._bucket._obstore = Bucket(copies.options.url)._obstore
    copies.turn(600)
    assert copies.uploader.failure == ""
    copies.make = lambda: Bucket(copies.options.url)
    same(copies.back()[1], Store(world.store_path))


class Hidden(Bucket):
    """A storage that takes copies, and does not say what it has."""

    is_away = True

    def names(self, folder: str = "") -> Iterator[Stored]:
        if self.is_away:
            raise BucketError("the storage answered 503 Slow Down")
        yield from super().names(folder)


def test_an_upkeep_that_failed_is_tried_again_soon_and_the_word_of_it_goes(copies: Copies) -> None:
    copies.make = lambda: Hidden(copies.options.url)
    copies.start()
    copies.turn()
    assert "503" in overview(copies.options).error
    for _ in range(100):
        copies.turn(30)
    assert copies.uploader._upkeep_failures < 12, "with growing pauses"
    Hidden.is_away = False
    copies.turn(901)
    assert overview(copies.options).error == ""
    Hidden.is_away = True


PATHS = (
    "../../etc/passwd",
    "/etc/passwd",
    "shadows/../../x.json",
    "shadows/a/b.json",
    "history/abc/../x.json.gz",
    "control",
    "lock",
    "shadows/x.delta",
    "",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("room", ["files", "removed"])
def test_an_index_that_names_what_no_store_has_is_none(path: str, room: str) -> None:
    item = {"path": path, "size_bytes": 1, "sha256": "0" * 64, "mtime_ns": 1, "messages": None, "time_ns": 1}
    value = {"format": 1, "name": "x", "files": [], "removed": [], room: [item]}
    with pytest.raises(files.Damaged, match="names a file that no store has"):
        batch.Index.parsed(orjson.dumps(value))


@pytest.mark.parametrize("path", PATHS[:-1])
def test_an_object_that_holds_what_no_store_has_writes_nothing_outside(
    world: World, copies: Copies, tmp_path: Path, path: str
) -> None:
    copies.turn()
    name = batch.object_name(copies.uploader.machine, copies.clock.now(), copies.state.last_name())
    target = copies.root / "disk" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with batch.writing(target, name, [copies.identity.to_public()]) as made:
        made.add(path, b"planted", 1)
    found, store = copies.back()
    assert len(found.damaged) == 1
    same(store, Store(world.store_path))
    assert not [one for one in tmp_path.rglob("*") if one.is_file() and one.read_bytes() == b"planted"]


def test_what_is_back_is_held_no_longer(world: World, copies: Copies) -> None:
    copies.turn()
    path = f"shadows/{next(iter(Store(world.store_path).sessions()))}.json"
    copies.state.hold([path, "shadows/gone.json"])
    copies.turn()
    assert copies.state.held() == {"shadows/gone.json"}


def test_what_is_forgotten_is_not_in_the_file_of_the_state_any_more(copies: Copies) -> None:
    path = copies.options.state / "state.sqlite"
    marks = [f"shadows/marked-{number}.json" for number in range(300)]
    copies.state.hold(marks)
    assert b"marked-" in path.read_bytes()
    copies.state.hold((), no_longer=marks)
    assert b"marked-" not in path.read_bytes()
