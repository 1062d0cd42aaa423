"""What a session file, a name or the directory itself can do to the guard: cost a step, and no more."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from hermesguard import files
from hermesguard.daemon.integrations import figures_of
from hermesguard.daemon.status import status_of
from hermesguard.demo import losses
from hermesguard.demo.eras import Era
from hermesguard.guard.large.long_work import LongWork
from hermesguard.lookup.library import Library
from hermesguard.lookup.overview import entry_of
from hermesguard.reader import Reader
from hermesguard.webui import session
from hermesguard.webui.lists.index import INDEX
from hermesguard.webui.session import Unreadable
from tests.helpers.world import World

SESSION = {"session_id": "odd", "title": "Odd", "created_at": 1.5, "updated_at": 2.5, "active_stream_id": "s"}
MESSAGES = [{"role": "user", "content": f"said {number}", "timestamp": 1e9 + number} for number in range(6)]


def written(**more: Any) -> bytes:
    return json.dumps({**SESSION, "messages": MESSAGES, **more}, indent=2).encode()


BROKEN = {
    "an integer of 5,000 digits": lambda data: data.replace(b"1000000002.0", b"9" * 5000),
    "nested 5,000 deep": lambda data: data.replace(b'"said 2"', b"[" * 5000 + b"]" * 5000),
    "not UTF-8": lambda data: data.replace(b"said 2", b"said \xff"),
    "cut off": lambda data: data[:-40],
    "empty": lambda data: b"",
    "NUL behind it": lambda data: data[:100] + bytes(300),
    "a list": lambda data: b"[" + data + b"]",
}
ODD = {
    "a time of 400 digits": lambda data: data.replace(b"1000000002.0", b"9" * 400),
    "no number": lambda data: data.replace(b"1000000002.0", b"NaN"),
    "infinite": lambda data: data.replace(b"1000000002.0", b"-1e999"),
    "half a character in a key": lambda data: data.replace(b"{", b'{"k\\ud83d": 1,', 1),
    "half a character in a message": lambda data: data.replace(b"said 2", b"said \\ud83d"),
    "half a character in the stream": lambda data: data.replace(b'"s"', b'"s\\ud83d"'),
    "half a character in the prompt": lambda data: data.replace(
        b'"title"', b'"pending_user_message": "\\ud83d", "title"'
    ),
    "a prompt that was sent at a huge time": lambda data: data.replace(
        b'"title"', b'"pending_user_message": "p", "pending_started_at": ' + b"9" * 400 + b', "title"'
    ),
    "messages that are none": lambda data: data.replace(
        b'"messages": [', b'"messages": [null, 5, [], "text", {}, [[1]],'
    ),
    "keys twice": lambda data: data.replace(b"{", b'{"messages": [], "title": 5,', 1),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_the_application_cannot_read_is_restored(world: World, kind: str) -> None:
    path = world.sessions / "odd.json"
    path.write_bytes(written())
    world.scan()
    path.write_bytes(BROKEN[kind](written()))
    with pytest.raises(Unreadable):
        session.parse(path.read_bytes())
    world.guard.visit("odd")
    world.pass_time(3)
    assert json.loads(path.read_bytes())["messages"] == MESSAGES
    assert "internal_error" not in world.ear.names()


@pytest.mark.parametrize("kind", ODD)
def test_what_the_application_can_read_is_kept_and_guarded(world: World, kind: str) -> None:
    path = world.sessions / "odd.json"
    path.write_bytes(ODD[kind](written()))
    world.scan()
    world.pass_time(2)
    world.guard.get_ready()
    assert world.guard.copies.store.read_shadow("odd") == path.read_bytes()
    good = json.loads(path.read_bytes())["messages"]
    stub = {
        **json.loads(path.read_bytes()),
        "active_stream_id": None,
        "pending_user_message": None,
        "messages": [],
    }
    path.write_text(json.dumps(stub), encoding="utf-8", errors="surrogatepass")
    world.guard.visit("odd", 1)
    world.pass_time(5)
    assert repr(json.loads(path.read_bytes())["messages"][: len(good)]) == repr(good)
    assert "internal_error" not in world.ear.names()


def test_an_unexpected_error_costs_one_step_and_is_reported_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = world.app(Era.OLD)
    chat, other = app.create(turns=3), app.create(turns=3)
    chat.send("unsent")
    other.send("unsent")
    real = LongWork.worked_out

    def faulty(self: LongWork, visit: Any) -> Any:
        if visit.name == chat.session_id:
            raise ZeroDivisionError("not foreseen")
        return real(self, visit)

    monkeypatch.setattr(LongWork, "worked_out", faulty)
    for _ in range(3):
        losses.wipe(chat)
    losses.wipe(other)
    assert len(world.live(other).messages) == 7
    [fields] = [fields for name, fields in world.ear.heard if name == "internal_error"]
    assert fields["session"] == chat.session_id
    assert str(fields["reference"]).startswith("E")
    assert "not foreseen" not in str(fields)
    monkeypatch.setattr(LongWork, "worked_out", real)
    world.guard.visit(chat.session_id)
    assert len(world.live(chat).messages) == 7


@pytest.mark.parametrize("what", ["fifo", "link", "directory"])
@pytest.mark.parametrize(
    "name", [".hermesguard-{}.0.repair", ".hermesguard-{}.standby", ".hermesguard-{}.0.displaced.repair"]
)
def test_what_is_planted_under_names_of_ours_is_left_alone(world: World, name: str, what: str) -> None:
    chat = world.app(Era.OLD).create(turns=3)
    planted = world.sessions / name.format(chat.session_id)
    match what:
        case "fifo":
            os.mkfifo(planted)
        case "link":
            planted.symlink_to("/etc/hostname")
        case _:
            planted.mkdir()
    chat.send("unsent")
    for _ in range(3):
        world.scan()
        world.pass_time(1)
        world.guard.get_ready()
    losses.wipe(chat)
    assert len(world.live(chat).messages) == 7
    assert "store_broken" not in world.ear.names()
    assert world.ear.names().count("denied") == (name.endswith("repair"))


def test_a_standby_name_that_is_another_file_is_not_written_over(world: World) -> None:
    app = world.app(Era.OLD)
    chat, other = app.create(turns=3), app.create(turns=3)
    before = other.path.read_bytes()
    os.link(other.path, chat.path.with_name(f".hermesguard-{chat.session_id}.standby"))
    chat.send("unsent")
    world.pass_time(1)
    world.guard.get_ready()
    assert other.path.read_bytes() == before


@pytest.mark.parametrize(
    "name",
    [
        ".hermesguard-..2.repair",
        ".hermesguard-\udcff.0.repair",
        ".hermesguard-a b.0.repair",
        ".hermesguard-_x.0.repair",
        ".hermesguard-a.x.repair",
    ],
)
def test_only_session_ids_become_anything(world: World, name: str) -> None:
    planted = Path(os.fsdecode(os.fsencode(world.sessions) + b"/" + os.fsencode(name)))
    planted.write_bytes(written())
    world.scan()
    assert planted.exists()
    assert list((world.store_path / "history").iterdir()) == []


def test_a_store_that_is_moved_away_is_not_written_beside(world: World) -> None:
    chat = world.app(Era.OLD).create(turns=3)
    chat.send("unsent")
    away = world.store_path.with_name("away")
    world.store_path.rename(away)
    world.store_path.mkdir()  # as the mount point that is left
    chat.turn("said while it was gone", "answered")
    chat.send("sent while it was gone")
    losses.wipe(chat)
    world.scan()
    assert list(world.store_path.iterdir()) == []
    assert world.ear.names().count("store_broken") == 1
    world.store_path.rmdir()
    away.rename(world.store_path)
    world.scan()
    assert "store_recovered" in world.ear.names()
    assert world.guard.copies.store.read_shadow(chat.session_id) == chat.path.read_bytes()
    assert [incident.session for incident in world.incidents()] == [chat.session_id]
    assert len(world.live(chat).messages) >= 9


@pytest.mark.parametrize("seconds", [-(10**14), -9_300_000_000, -9, 9_300_000_000, 10**14])
def test_a_file_may_have_any_time(world: World, seconds: int) -> None:
    """In memory, where the tests have their files, all of these are kept."""
    chat = world.app().create("Of another age", turns=10, answer_characters=2000)
    world.watching = False
    for number in range(3):
        chat.turn(f"question {number}", "answer")
        os.utime(chat.path, (seconds + number, seconds + number))
        world.guard.visit(chat.session_id, None, 1)
        assert world.shadow(chat).text == chat.path.read_text()
        assert bool(status_of(world.guard)["last_save"]) == (seconds > 0)
        assert bool(figures_of([world.guard], True).last_save) == (seconds > 0)
    list(world.guard.end())
    for directory in (world.sessions, world.store_path / "shadows"):
        os.utime(directory, (seconds, seconds))
    world.guard.leave_snapshot(world.guard.directory.state())
    entry = entry_of(Library(world.settings), chat.session_id)
    assert (entry.messages, bool(entry.changed)) == (len(chat.messages), True)
    world.start()
    chat.path.write_text("[]")
    world.scan()
    world.pass_time(10.0)
    assert world.words(chat)[-2:] == ["question 2", "answer"]
    assert not {"internal_error", "set_aside", "store_broken"} & set(world.ear.names())


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EACCES, "as a user who may"), (errno.ESHUTDOWN, "mount it anew"), (errno.EIO, "mount it anew")],
)
def test_what_is_to_be_done_about_a_file_that_cannot_be_read_depends_on_why(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    """CephFS shuts out a machine that it has taken the lock from: to have more rights would not help."""
    chat = world.app(Era.OLD).create(turns=3)

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Reader, "read", refused)
    world.guard.visit(chat.session_id)
    [said] = [str(values["remedy"]) for name, values in world.ear.heard if name == "denied"]
    assert remedy in said


@pytest.mark.parametrize("listed", ["_index.json", "_deleted_webui_sessions.json"])
@pytest.mark.parametrize("era", [Era.OLD, Era.NEW])
def test_a_list_of_any_size_hides_no_missing_session(world: World, era: Era, listed: str) -> None:
    app = world.app(era)
    chat, _ = app.create(turns=3), app.create(turns=3)
    path = world.sessions / listed
    path.touch()
    os.truncate(path, 2**40)
    chat.path.unlink()
    world.guard.visit(chat.session_id)
    world.pass_time(120.0)
    assert "internal_error" not in world.ear.names()
    told = {"missing", "not_known"}.intersection(world.ear.names())  # by what its release leaves
    assert told or chat.path.exists()


def test_a_list_that_may_not_be_read_is_told_as_such_and_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = world.app(Era.NEW).create(turns=3)
    index = world.sessions / INDEX
    real = files.opened

    def refused(path: Path | str, limit_bytes: int | None) -> tuple[int, os.stat_result]:
        if Path(path) == index:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, limit_bytes)

    chat.path.unlink()
    index.write_text("[]")
    with monkeypatch.context() as patched:
        patched.setattr(files, "opened", refused)
        for _ in range(5):
            world.guard.visit(chat.session_id)
            world.scan()
            world.pass_time(10.0)
    told = [values["path"] for name, values in world.ear.heard if name == "denied"]
    assert told == [str(index)]
    assert "store_broken" not in world.ear.names()
    assert not chat.path.exists()  # nobody knows yet whether it was deleted
