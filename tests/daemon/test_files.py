"""What the daemon does to files, its own and others': owners and modes, names left alone, the index, an unchanged directory."""

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.app import INDEX, App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import dumps
from tests.helpers.daemon_process import Daemon, hermesguard
from tests.helpers.waiting import until

SECRET = "a-word-that-nobody-else-may-read"


def messages_on_disk(chat: Chat) -> int:
    return len(chat.on_disk()["messages"])


def stub_of(chat: Chat) -> str:
    emptied = {"messages": [], "tool_calls": [], "context_messages": [], "active_stream_id": None}
    return dumps(chat.on_disk() | emptied | {"pending_user_message": None, "pending_started_at": None})


def replace(path: Path, text: str, dress: Callable[[Path], object]) -> None:
    """Put a file in the place of `path` by rename; `dress` gives it owner, mode and the like before it is seen."""
    temporary = path.with_suffix(f".tmp.{os.getpid()}.1")
    temporary.write_text(text)
    dress(temporary)
    temporary.replace(path)


def wiped_and_restored(daemon: Daemon, chat: Chat, dress: Callable[[Path], object]) -> os.stat_result:
    """Wipe a session by a file that is dressed so; return the stat of what the guard puts there."""
    chat.send("unsent")
    daemon.until_kept(chat.path)
    replace(chat.path, stub_of(chat), dress)
    daemon.until(lambda: messages_on_disk(chat) == 11)
    return chat.path.stat()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o666])
def test_the_mode_is_kept(tmp_path: Path, mode: int) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=5)
        daemon.start()
        found = wiped_and_restored(daemon, chat, lambda path: path.chmod(mode))
    assert stat.S_IMODE(found.st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_owner_and_group_are_kept(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=5)
        daemon.start()
        found = wiped_and_restored(daemon, chat, lambda path: os.chown(path, 12345, 23456))
    assert (found.st_uid, found.st_gid) == (12345, 23456)


def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=5)
        try:
            os.setxattr(chat.path, "user.test", b"")
        except OSError:
            pytest.skip("no extended attributes on this file system")
        daemon.start()
        wiped_and_restored(daemon, chat, lambda path: os.setxattr(path, "user.note", b"mine \x00\xff"))
        assert os.getxattr(chat.path, "user.note") == b"mine \x00\xff"
        assert os.listxattr(chat.path) == ["user.note"]


def test_the_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o000)  # the guard inherits it
    try:
        with Daemon(tmp_path) as daemon:
            chat = App(daemon.sessions, Era.OLD).create(turns=5)
            daemon.start()
            chat.send("unsent")
            daemon.until_kept(chat.path)
            losses.wipe(chat)
            daemon.until(lambda: messages_on_disk(chat) == 11 and daemon.incidents())
            open_to_others = [
                name
                for name, (mode, *_) in everything(daemon.store).items()
                if stat.S_IMODE(mode) != (0o700 if stat.S_ISDIR(mode) else 0o600)
            ]
            assert open_to_others == []
            assert list((daemon.store / "history" / chat.session_id).iterdir())
    finally:
        os.umask(before)


def test_what_is_no_session_gets_no_shadow(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.NEW).create(turns=5)
        text = chat.path.read_text()
        (tmp_path / "outside.json").write_text(text)
        (daemon.sessions / "_run_journal").mkdir()
        (daemon.sessions / "directory.json").mkdir()
        (daemon.sessions / "linked_out.json").symlink_to(tmp_path / "outside.json")
        (daemon.sessions / "linked_in.json").symlink_to(chat.path)
        (daemon.sessions / "dangling.json").symlink_to(tmp_path / "nothing.json")
        os.mkfifo(daemon.sessions / "pipe.json")
        names = [
            *("_index.json", "_deleted_webui_sessions.json", "_pruned_webui_orphans.json", "_other.json"),
            *(
                "_run_journal/inner.json",
                ".hidden.json",
                "..json",
                ".json",
                "with space.json",
                "umlaut-ü.json",
            ),
            *(
                "abc.json.bak",
                "abc.json.bak.tmp.1.2",
                "abc.tmp.1.2",
                "abc.json.recover.tmp",
                "_index.tmp.1.2",
            ),
            *(
                "abc.json.reconcile.tmp.1",
                ".abc.json.1.2.tmp",
                "abc.JSON",
                "abc.json~",
                "abc.json.tmp",
                "-abc.json",
            ),
        ]
        for name in names:
            (daemon.sessions / name).write_text("[]" if name.startswith("_") else text)
        (
            daemon.sessions / "abc.json.bak"
        ).unlink()  # alone, it would be a session of which nothing else is left
        before = everything(daemon.sessions)
        daemon.start()
        for name in names:
            if not name.startswith("_run"):
                replace(daemon.sessions / name, text, lambda path: None)
                (daemon.sessions / name).unlink()
        os.rename(daemon.sessions / "directory.json", daemon.sessions / "directory2.json")
        chat.add_turn("one more", "indeed")
        chat.save(index=False)
        daemon.until_kept(chat.path)
        shadows = (daemon.store / "shadows").iterdir()
        kept = {path.name for path in shadows if not path.name.startswith(".")}
        assert kept == {chat.path.name} or kept == {chat.path.name, f"{chat.session_id}.delta"}
        assert (tmp_path / "outside.json").read_text() == text
        after = everything(daemon.sessions)
        for name in before.keys() & after.keys() - {".", chat.path.name}:
            assert after[name] == before[name]


def everything(root: Path) -> dict[str, tuple[int, int, int, str]]:
    """What a recursive listing shows, directories too: mode, size, mtime and checksum of each name.

    A file that is gone when it is looked at is left out: a guard that runs has temporary ones.
    """
    found = {}
    for path in (root, *root.rglob("*")):
        try:
            state = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(state.st_mode) else b""
        except FileNotFoundError:
            continue
        name = str(path.relative_to(root))
        found[name] = (state.st_mode, state.st_size, state.st_mtime_ns, hashlib.sha256(content).hexdigest())
    return found


@pytest.mark.slow
def test_a_second_start_on_a_thousand_sessions_changes_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--scan-interval", "1s") as daemon:
        old, new = App(daemon.sessions, Era.OLD, seed=1), App(daemon.sessions, Era.NEW, seed=2)
        chats = [app.create(turns=3) for app in (old, new) for _ in range(5)]
        for number in range(990):
            text = (
                chats[number % 10].path.read_text().replace(chats[number % 10].session_id, f"{number:012x}")
            )
            (daemon.sessions / f"{number:012x}.json").write_text(text)
        daemon.start()
        chats[0].send("unsent")
        daemon.until_kept(chats[0].path)
        losses.wipe(chats[0])
        daemon.until(lambda: messages_on_disk(chats[0]) == 7 and daemon.incidents())
        acts.undo(chats[5])
        daemon.until_heard("intended")
        # Stopped before it has looked at the last event, it does not call the directory unchanged in its snapshot.
        status = status_of(daemon)
        until(lambda: status_of(daemon)["last_scan"] > status["last_scan"])
        assert daemon.stop() == 0
        before = everything(daemon.sessions), everything(daemon.store)
        daemon.start()
        assert daemon.heard("ready")[-1]["sessions"] == 1000
        status = status_of(daemon)
        until(lambda: status_of(daemon)["last_scan"] > status["last_scan"])
        assert daemon.stop() == 0
        daemon.start()
        daemon.kill()
    assert everything(daemon.sessions) == before[0]
    after = everything(daemon.store)
    for listing in (before[1], after):
        listing.pop(".")  # its mtime tells of the control socket, which comes and goes
        listing.pop("control", None)  # the killed one left it
        listing.pop("token")  # rises with each guard that has the lock
    assert after == before[1]


def status_of(daemon: Daemon) -> dict[str, object]:
    done = hermesguard(
        daemon.store.parent, "status", "--json", "--sessions", daemon.sessions, "--store", daemon.store
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("era", list(Era))
def test_an_index_that_is_right_is_left_alone(tmp_path: Path, era: Era) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, era).create(turns=5)
        chat.document["active_stream_id"] = "stale"
        chat.save()
        daemon.start()
        losses.wipe(chat)
        daemon.until(lambda: messages_on_disk(chat) == 10 and daemon.incidents())
        messages = chat.app.index()
        assert messages
        assert [message["message_count"] for message in messages] == [10]


@pytest.mark.parametrize("when", ["at once", "late"])
@pytest.mark.parametrize("era", [Era.OLD, Era.NEW])
def test_an_index_that_is_wrong_is_removed(tmp_path: Path, era: Era, when: str) -> None:
    """The application writes it some milliseconds after the session: the guard may have been faster."""
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, era).create(turns=5)
        chat.app.create(turns=2)
        daemon.start()
        chat.send("unsent")
        daemon.until_kept(chat.path)
        if when == "at once":
            losses.wipe(chat)
        else:
            index = (daemon.sessions / INDEX).read_text()
            replace(chat.path, stub_of(chat), lambda path: None)
            daemon.until(lambda: messages_on_disk(chat) == 11 and daemon.incidents())
            replace(daemon.sessions / INDEX, index, lambda path: None)
        daemon.until(lambda: not (daemon.sessions / INDEX).exists())
        chat.app.write_index()  # as the application builds it anew
        daemon.until(lambda: (daemon.sessions / INDEX).exists())
        assert sorted(message["message_count"] for message in chat.app.index() or []) == [4, 11]


@pytest.mark.slow
def test_no_text_of_a_message_leaves_the_store(tmp_path: Path) -> None:
    """Not in what it tells (at the most talkative level), not in the incident log, not in what commands say of it."""
    with Daemon(tmp_path) as daemon:
        old, new = App(daemon.sessions, Era.OLD, seed=1), App(daemon.sessions, Era.NEW, seed=2)
        chats = [app.create("A harmless title", turns=3) for app in (old, new) for _ in range(3)]
        for chat in chats:
            chat.turn(f"{SECRET} question", f"{SECRET} answer", tools=[("terminal", f"{SECRET} ls", SECRET)])
        daemon.start()
        for chat in chats:
            chat.send(f"{SECRET} unsent", attachments=[f"{SECRET}.png"])
            daemon.until_kept(chat.path)
        losses.wipe(chats[0])
        losses.stale_writer(chats[2])
        chats[2].turn(f"{SECRET} of a stale writer", SECRET)
        losses.wipe(chats[3])
        acts.undo(chats[4])
        losses.tear(chats[1])
        broken = SECRET + " is no JSON"
        (daemon.sessions / "broken.json").write_text(broken)
        losses.vanish(chats[5])
        daemon.until(
            lambda: (
                {chats[number].session_id for number in (0, 1, 2, 3, 5)}
                <= {incident["session"] for incident in daemon.incidents()}
            )
        )
        daemon.until_heard("intended")
        places = ("--sessions", daemon.sessions, "--store", daemon.store)
        said = [
            hermesguard(tmp_path, *words, *places).stdout
            for words in (
                *(
                    ("status",),
                    ("status", "--json"),
                    ("log",),
                    ("log", "--json"),
                    ("list",),
                    ("list", "--json"),
                ),
                *(("scan", "--check"), ("history", chats[0].session_id), ("explain", "1")),
            )
        ]
        assert all(said)
        daemon.stop()
    reported = "\n".join(daemon.lines) + (daemon.store / "incidents.jsonl").read_text() + "\n".join(said)
    assert SECRET not in reported
    names = [path.name for path in daemon.store.rglob("*")]
    assert SECRET not in "\n".join(names)


def test_the_backup_of_the_application_serves_at_a_first_start(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        app = App(daemon.sessions, Era.V137)
        lost, meant = app.create("lost", turns=5), app.create("intended", turns=5)
        lost.send("unsent")
        losses.wipe(lost)
        acts.undo(meant)
        backups = [chat.backup_path.read_bytes() for chat in (lost, meant)]
        as_intended = meant.path.read_bytes()
        daemon.start()
        assert messages_on_disk(lost) == 11
        assert [incident["session"] for incident in daemon.incidents()] == [lost.session_id]
        assert meant.path.read_bytes() == as_intended
        assert [chat.backup_path.read_bytes() for chat in (lost, meant)] == backups


def test_the_longest_name_of_a_session(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(session_id="a" * 222, turns=5)
        (daemon.sessions / ("b" * 223 + ".json")).write_text("{}")
        daemon.start()
        chat.send("unsent")
        daemon.until_kept(chat.path)
        losses.wipe(chat)
        daemon.until(lambda: messages_on_disk(chat) == 11 and daemon.incidents())
        assert daemon.heard("store_broken") == []
