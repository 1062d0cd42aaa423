"""Whose the store is, and what in it is none of ours."""

import json
import os
import stat
from pathlib import Path

import pytest

from hermesguard.demo import losses
from hermesguard.demo.eras import Era
from hermesguard.errors import ExitCode, GuardError
from hermesguard.store import incidents
from hermesguard.store.store import Store
from tests.helpers.world import World

GOOD = {
    "id": "1",
    "time": "2026-11-26T10:00:00+00:00",
    "session": "s",
    "event": "restored",
    "action": "restored",
}


@pytest.mark.parametrize("part", ["", "shadows", "history"])
def test_a_link_in_place_of_the_store_is_refused(tmp_path: Path, part: str) -> None:
    root = tmp_path / "store"
    Store(root).create()
    path = root / part
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    for use in (Store(root).create, Store(root).open):
        with pytest.raises(GuardError, match="symbolic link") as refused:
            use()
        assert refused.value.exit_code == ExitCode.REFUSED


def test_a_store_of_another_user_is_read_and_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    store.create()
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 4711)
    Store(store.root).open()
    for use in (Store(store.root).create, Store(store.root).take_lock):
        with pytest.raises(GuardError, match=f"belongs to uid {owner}") as refused:
            use()
        assert "sudo -u " in refused.value.remedy


@pytest.mark.parametrize(
    "field",
    [
        {"id": 7},
        {"id": "²"},
        {"id": "9" * 5000},
        {"session": ["x"]},
        {"session": "../x"},
        {"time": "2026-11-26T10:00:00"},
        {"time": 5},
        {"messages_before": "9"},
        {"messages_before": -1},
        {"messages_before": True},
        {"evidence": 5},
        {"evidence": [5]},
        {"resolves": ["x"]},
        {"event": "a b"},
        {"version": "../../x"},
        {"digest": "xyz"},
    ],
)
def test_a_line_of_another_shape_is_set_aside_and_reported(world: World, field: dict[str, object]) -> None:
    log = world.store_path / incidents.FILE_NAME
    strange = json.dumps(GOOD | field)
    log.write_text(f"{strange}\n{json.dumps(GOOD | {'id': '3'})}\n")
    world.start()
    assert [incident.id for incident in world.incidents()] == ["3"]
    [fields] = [fields for name, fields in world.ear.heard if name == "set_aside"]
    assert fields["count"] == 1
    assert Path(str(fields["target"])).read_text() == f"{strange}\n"
    world.start()
    assert world.ear.names().count("set_aside") == 1


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b'["../../x"]', b"a/b\n"])
@pytest.mark.parametrize("name", ["held", "verified.json"])
def test_a_state_file_of_another_shape_is_set_aside(world: World, name: str, data: bytes) -> None:
    (world.store_path / name).write_bytes(data)
    world.start()
    assert not (world.store_path / name).exists()
    [aside] = (world.store_path / "set-aside").iterdir()
    assert aside.read_bytes() == data
    assert world.ear.names().count("set_aside") == 1


@pytest.mark.parametrize(
    "name", ["held", "verified.json", "incidents.jsonl", "shadows/s.json", "shadows/s.delta"]
)
def test_a_pipe_in_place_of_a_file_holds_nothing_up(world: World, name: str) -> None:
    os.mkfifo(world.store_path / name)
    world.start()
    chat = world.app(Era.OLD).create(turns=3)
    chat.send("unsent")
    losses.wipe(chat)
    world.start()
    assert len(world.live(chat).messages) == 7
    assert len(world.incidents()) == 1
    assert "store_broken" not in world.ear.names()


@pytest.mark.parametrize("number", ["9" * 15, "9" * 12])
def test_a_number_that_no_incident_can_have_makes_no_later_one_unreadable(world: World, number: str) -> None:
    app = world.app(Era.OLD)
    chats = [app.create(turns=3) for _ in range(3)]
    for time, chat in enumerate(chats):
        chat.send("unsent")
        losses.wipe(chat)
        if time == 1:
            path = world.store_path / incidents.FILE_NAME
            path.write_text(path.read_text() + json.dumps(GOOD | {"id": number}) + "\n")
            world.start()
    assert [incident.id for incident in world.incidents()] == ["1", "2", "3"]
    assert world.ear.names().count("set_aside") == 1


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK])
def test_what_stands_in_place_of_a_history_gives_way_to_it(world: World, kind: int) -> None:
    chat = world.app(Era.OLD).create(turns=3)
    chat.send("unsent")
    os.mknod(world.store_path / "history" / chat.session_id, kind | 0o600)
    losses.wipe(chat)
    assert len(world.live(chat).messages) == 7
    assert len(world.guard.copies.store.versions(chat.session_id)) == 2
    [aside] = (world.store_path / "set-aside").iterdir()
    assert aside.lstat().st_mode == kind | 0o600
    assert world.ear.names().count("set_aside") == 1
    assert "store_broken" not in world.ear.names()


@pytest.mark.parametrize("first", [{"format": 99, "shadow": "x", "mtime_ns": 1}, {"a": 1}, 5])
def test_a_delta_log_of_another_shape_is_no_damage(world: World, first: object) -> None:
    chat = world.app(Era.OLD).create(turns=3)
    log = world.store_path / "shadows" / f"{chat.session_id}.delta"
    log.write_text(json.dumps(first) + "\n")
    world.start()
    assert not log.exists()
    [aside] = (world.store_path / "set-aside").iterdir()
    assert json.loads(aside.read_text()) == first
    [reported] = [fields for name, fields in world.ear.heard if name == "set_aside"]
    assert ("format 99" in str(reported["reason"])) == (isinstance(first, dict) and "format" in first)
    assert "verify_failed" not in world.ear.names()
    chat.turn("goes on", "as before")
    assert len(world.shadow(chat).messages) == 8
