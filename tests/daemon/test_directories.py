"""All sessions directories of a user, one guard: profiles that are there, that come, that go and come back, that are closed."""

import base64
import gzip
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hermesguard.config import settings as config
from hermesguard.demo import acts, losses
from hermesguard.demo.chat import Chat
from hermesguard.page.acts import perform
from hermesguard.page.events import restore
from hermesguard.page.read_cache import ReadCache
from tests.helpers.daemon_process import AS_NOBODY, Daemon, hermesguard
from tests.helpers.namespaces import run_in_namespace
from tests.helpers.profiles import Home, messages

THREE = ("default", "play", "work")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def start_all(daemon: Daemon) -> None:
    """Start a guard, and wait until it guards all three."""
    daemon.start()
    daemon.until(lambda: len(daemon.heard("ready")) == 3)


def until_copied(daemon: Daemon, home: Home, name: str, chat: Chat) -> None:
    shadow = home.shadow(name, chat)
    daemon.until(lambda: shadow.exists() and shadow.read_bytes() == chat.path.read_bytes())


def is_wipe_repaired(daemon: Daemon, home: Home, name: str, chat: Chat) -> bool:
    until_copied(daemon, home, name, chat)
    before = messages(chat)
    losses.wipe(chat)
    daemon.until_heard("restored", session=chat.session_id)
    return messages(chat) >= before > 0


def inotify_instances(daemon: Daemon) -> int:
    assert daemon.process
    count = 0
    for entry in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # a file that it has closed since
            count += os.readlink(entry) == "anon_inode:inotify"
    return count


def test_each_profile_is_guarded_by_one_process_with_one_queue(home: Home) -> None:
    chats = {name: home.chat(name) for name in THREE}
    with home.daemon() as daemon:
        start_all(daemon)
        for name in THREE:
            assert is_wipe_repaired(daemon, home, name, chats[name]), name
        assert inotify_instances(daemon) == 1
        told = {event["session"]: event.get("directory") for event in daemon.heard("restored")}
        assert told == {chats[name].session_id: None if name == "default" else name for name in THREE}
        assert len({event["incident"] for event in daemon.heard("restored")}) == 3, "a number is given once"
        status = home.json("status")
        assert (status["sessions"], status["incidents"], status["healthy"]) == (3, 3, True)
        found = {one["name"]: one for one in status["directories"]}
        figures = {name: (one["sessions"], one["incidents"], one["watch"]) for name, one in found.items()}
        assert figures == dict.fromkeys(THREE, (1, 1, "inotify"))
        assert Path(found["work"]["sessions_directory"]) == home.sessions("work")
        text = home.run("status")
        assert all(str(home.sessions(name)) in text for name in THREE)
    assert not list((home.store / "directories" / "work").glob("control"))


def test_commands_reach_each_directory(home: Home) -> None:
    chats = {name: home.chat(name) for name in THREE}
    with home.daemon() as daemon:
        start_all(daemon)
        for name in THREE:
            assert is_wipe_repaired(daemon, home, name, chats[name])
        listed = {one["session"]: one["directory"] for one in home.json("list")["sessions"]}
        assert listed == {chats[name].session_id: name for name in THREE}
        assert {one["session"] for one in home.json("lost")["lost"]} == set(listed)
        assert {one["directory"] for one in home.json("find", "part", "3")["found"]} == set(THREE)
        log = home.json("log")["incidents"]
        assert {one["session"] for one in log} == set(listed)
        mine = chats["work"]
        number = next(one["id"] for one in log if one["session"] == mine.session_id)
        assert mine.session_id in home.run("explain", number)
        assert home.json("undo", number)["session"] == mine.session_id
        assert messages(mine) < 8, "the incident was undone in its own directory"
        assert home.json("restore", f"{mine.session_id}@-1")["session"] == mine.session_id
        assert messages(mine) >= 8
        assert "3 of 3 sessions restorable" in home.run("drill")
        assert home.json("verify")["sessions"] == 3
        assert {one["session"] for one in home.json("prune", "--dry-run")["versions"]} == set(listed)
        only = home.json("list", "--profile", "work")["sessions"]
        assert [one["session"] for one in only] == [mine.session_id]
        assert home.json("status", "--profile", "work")["sessions"] == 1
        assert "has no directory nobody" in home.run("list", "--profile", "nobody")
        named = hermesguard(
            home.root, "list", "--json", "--store", home.store, "--sessions", home.sessions("play")
        )
        assert [one["session"] for one in json.loads(named.stdout)["sessions"]] == [chats["play"].session_id]


def test_commands_without_a_guard_reach_each_directory(home: Home) -> None:
    chats = {name: home.chat(name) for name in THREE}
    assert home.json("scan")["sessions"] == 3
    for chat in chats.values():
        losses.wipe(chat)
    found = home.json("scan", "--check")
    assert {one["directory"] for one in found["findings"]} == set(THREE)
    assert home.json("scan")["repairs"] == 3
    assert all(messages(chat) >= 8 for chat in chats.values())
    numbers = [one["id"] for one in home.json("log")["incidents"]]
    assert len(set(numbers)) == 3
    chats["work"].path.unlink()
    assert home.json("restore", "--all-missing")["restored"] == [chats["work"].session_id]
    assert chats["work"].path.exists()
    assert home.json("status")["sessions"] == 3


def test_a_directory_that_comes_is_guarded_without_waiting_for_a_scan(home: Home) -> None:
    home.chat()
    with home.daemon("--scan-interval", "1h") as daemon:
        daemon.start()
        chat = home.chat("late")
        daemon.until_heard("directory_found", path=str(home.sessions("late")))
        daemon.until_heard("ready", directory="late")
        assert is_wipe_repaired(daemon, home, "late", chat)
        assert home.directories()["late"]["watch"] == "inotify"
        assert inotify_instances(daemon) == 1


def test_a_profile_that_is_taken_away_and_comes_back_costs_nobody_anything(home: Home) -> None:
    chats = {name: home.chat(name) for name in THREE}
    with home.daemon() as daemon:
        start_all(daemon)
        for name in THREE:
            until_copied(daemon, home, name, chats[name])
        profile, away = home.sessions("work").parent.parent, home.root / "away"
        profile.rename(away)
        daemon.until_heard("watch_lost", directory="work")
        daemon.until(lambda: home.directories()["work"]["missing"])
        assert is_wipe_repaired(daemon, home, "play", chats["play"]), "the others are guarded meanwhile"
        assert is_wipe_repaired(daemon, home, "default", chats["default"])
        status = home.json("status")
        assert any("work is missing" in one["what"] for one in status["problems"])
        assert status["watch_lost"] is False, "the guard as a whole sees"
        assert chats["work"].session_id in {one["session"] for one in home.json("list")["sessions"]}
        away.rename(profile)
        daemon.until_heard("watch_restored", directory="work")
        assert is_wipe_repaired(daemon, home, "work", chats["work"])
        assert daemon.heard("deleted") == daemon.heard("missing") == []


def test_a_directory_that_cannot_be_read_is_told_of_and_tried_again(home: Home) -> None:
    chats = {name: home.chat(name) for name in THREE}
    closed = home.sessions("work")
    prefix = AS_NOBODY if os.geteuid() == 0 else ()
    closed.chmod(0)
    with home.daemon(prefix=prefix) as daemon:
        daemon.start()
        daemon.until_heard("waiting", directory="work")
        daemon.until(lambda: len(daemon.heard("ready")) == 2)
        assert is_wipe_repaired(daemon, home, "play", chats["play"])
        problems = home.json("status")["problems"]
        assert any("work is not watched" in one["what"] for one in problems), problems
        closed.chmod(0o755)
        daemon.until_heard("ready", directory="work")
        assert is_wipe_repaired(daemon, home, "work", chats["work"])


def test_what_is_changed_in_place_unheard_is_found_in_each_directory(home: Home) -> None:
    """At rest the directories take turns to be looked at; each has its turn."""
    chats = {name: home.chat(name) for name in THREE}
    with home.daemon() as daemon:
        start_all(daemon)
        for name in THREE:
            until_copied(daemon, home, name, chats[name])
    with home.daemon() as daemon:  # nothing of before is in memory, so that all are at rest
        start_all(daemon)
        before = {name: chats[name].path.read_bytes() for name in THREE}
        for name in THREE:
            with chats[name].path.open("r+b") as kept_open:
                kept_open.truncate(len(before[name]) // 2)
                daemon.until(lambda: {other: chats[other].path.read_bytes() for other in THREE} == before)


def test_a_directory_that_is_replaced_by_another_is_no_loss_elsewhere(home: Home) -> None:
    chats = {name: home.chat(name) for name in THREE}
    with home.daemon() as daemon:
        start_all(daemon)
        until_copied(daemon, home, "work", chats["work"])
        shutil.move(home.sessions("work"), home.root / "old")
        os.symlink(home.sessions("default"), home.sessions("work"))
        daemon.until(
            lambda: any("same directory" in it["reason"] for it in daemon.heard("waiting", directory="work"))
        )
        assert is_wipe_repaired(daemon, home, "default", chats["default"])
        assert len(daemon.heard("restored")) == 1, "one directory by two names is repaired once"
        home.sessions("work").unlink()
        (home.root / "old").rename(home.sessions("work"))
        daemon.until_heard("watch_restored", directory="work")


UNMOUNTED = """
from tests.helpers.profiles import Home, messages
from hermesguard.demo import losses
home = Home(Path(sys.argv[1]))
place = home.sessions("work").parent
place.mkdir(parents=True)
mount("-t", "tmpfs", "first", place)
chats = {name: home.chat(name) for name in ("default", "work")}
with home.daemon() as daemon:
    daemon.start()
    daemon.until(lambda: len(daemon.heard("ready")) == 2)
    kept = home.shadow("work", chats["work"])
    daemon.until(kept.exists)
    unmount(place)
    daemon.until_heard("watch_lost", directory="work")
    daemon.until(home.shadow("default", chats["default"]).exists)
    losses.wipe(chats["default"])
    daemon.until_heard("restored", session=chats["default"].session_id)
    assert kept.exists()
    mount("-t", "tmpfs", "second", place)
    home.sessions("work").mkdir()
    chats["work"].save()
    daemon.until_heard("watch_restored", directory="work")
    losses.wipe(chats["work"])
    daemon.until_heard("restored", session=chats["work"].session_id)
    print("both are guarded")
"""


def test_a_profile_on_a_file_system_that_is_unmounted_and_mounted_again(tmp_path: Path) -> None:
    assert "both are guarded" in run_in_namespace(UNMOUNTED, tmp_path)


def test_a_session_that_is_in_two_directories_is_asked_for_by_name(home: Home) -> None:
    twins = {name: home.chat(name, session_id="aaaabbbb0000") for name in ("default", "work")}
    other = home.chat("work", session_id="cccc00001111")
    with home.daemon() as daemon:
        daemon.start()
        daemon.until(lambda: len(daemon.heard("ready")) == 2)
        for name, chat in twins.items():
            until_copied(daemon, home, name, chat)
        asked = home.run("show", "aaaabbbb0000")
        assert "is in 2 directories" in asked
        assert "default:aaaabbbb0000" in asked
        assert "work:aaaabbbb0000" in asked
        assert "work" in home.run("show", "work:aaaabbbb0000")
        assert "Title of work" in home.run("history", "--profile", "work", "aaaabbbb0000")
        assert "Title of work" in home.run("history", other.session_id), "an id in one is typed as ever"
        acts.undo(twins["work"])
        daemon.until_heard("intended", directory="work")
        before = messages(twins["default"])
        home.json("restore", "work:aaaabbbb0000@-1")
        assert (messages(twins["work"]), messages(twins["default"])) == (8, before)
        listed = {one["session"] for one in home.json("list")["sessions"]}
        assert listed == {"default:aaaabbbb0000", "work:aaaabbbb0000", other.session_id}
        losses.wipe(twins["default"])
        number = daemon.until_heard("restored")["incident"]
        home.json("undo", number)
        assert messages(twins["default"]) < messages(twins["work"])
    assert home.json("purge", "work:aaaabbbb0000", "--yes")["files"] > 0
    assert not home.shadow("work", twins["work"]).exists()
    assert home.shadow("default", twins["default"]).exists()


def test_conversations_that_seem_to_be_elsewhere_are_told_of(home: Home) -> None:
    home.chat()
    with home.daemon() as daemon:
        daemon.start()
        home.sessions().parent.rename(home.root / "away")
        daemon.until_heard("watch_lost")
        home.chat("moved")
        daemon.until_heard("ready", directory="moved")
        home.chat("moved")
        told = daemon.until_heard("elsewhere")
        assert (told["path"], told["target"]) == (str(home.sessions()), str(home.sessions("moved")))


def test_a_named_directory_is_guarded_alone(home: Home) -> None:
    chat = home.chat()
    home.chat("work")
    with Daemon(home.root, sessions=home.sessions(), store=home.store) as daemon:
        daemon.start()
        daemon.until_kept(chat.path)
    assert not (home.store / "directories").exists()


def test_several_are_named_in_the_configuration(home: Home) -> None:
    paths = [home.root / "one" / "sessions", home.root / "two" / "sessions"]
    for path in paths:
        path.mkdir(parents=True)
    home.chat()
    config = home.root / "hermesguard.toml"
    config.write_text(
        f"sessions = {json.dumps([str(path) for path in paths])}\nstore = {json.dumps(str(home.store))}\n"
    )
    with Daemon(home.root, "--config", str(config), store=home.store, names_sessions=False) as daemon:
        daemon.start()
        daemon.until(lambda: len(daemon.heard("ready")) == 2)
        assert {event["path"] for event in daemon.heard("ready")} == set(map(str, paths))
        assert set(home.directories()) == {"one", "two"}
        assert (
            "lies in"
            in hermesguard(home.root, "config", "check", "--sessions", f"{paths[0]}:{paths[0]}/in").stderr
        )


DATA = Path(__file__).parents[1] / "data" / "store-of-one.json.gz"


@pytest.fixture
def earlier(home: Home) -> Home:
    """A store that the guard before many directories made of one, and its sessions, as they stood when it had ended."""
    known: dict[str, dict[str, Any]] = json.loads(gzip.decompress(DATA.read_bytes()))
    for name, entry in known.items():
        path = home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = entry.get("text", "").replace("@ROOT@", str(home.root))
        path.write_bytes(text.encode() if "text" in entry else base64.b64decode(entry["base64"]))
        if "note" in entry:
            os.setxattr(path, "user.hermesguard", entry["note"].encode())
        os.utime(path, ns=(entry["mtime_ns"], entry["mtime_ns"]))
    home.store.chmod(0o700)
    return home


def test_a_store_of_one_directory_becomes_the_part_of_its_directory(earlier: Home) -> None:
    home = earlier
    kept = {
        path: path.stat() for room in ("shadows", "history") for path in (home.store / room).rglob("*.json*")
    }
    log = (home.store / "incidents.jsonl").read_bytes()
    numbers = [int(one["id"]) for one in home.json("log")["incidents"]]
    chat = home.chat("work")
    with home.daemon() as daemon:
        daemon.start()
        daemon.until(lambda: len(daemon.heard("ready")) == 2)
        for path, before in kept.items():
            now = path.stat()
            assert (now.st_ino, now.st_mtime_ns, now.st_size) == (
                before.st_ino,
                before.st_mtime_ns,
                before.st_size,
            )
        assert (home.store / "incidents.jsonl").read_bytes() == log
        assert {name: one["sessions"] for name, one in home.directories().items()} == {
            "default": 2,
            "work": 1,
        }
        assert is_wipe_repaired(daemon, home, "work", chat)
        assert int(daemon.until_heard("restored")["incident"]) > max(numbers)
        assert home.json("undo", str(numbers[0]))["session"] == "aaaa11112222"


def test_a_store_that_was_for_a_profile_goes_on_with_it(home: Home) -> None:
    """The first directory is the one that the store began with, whatever the rules name first."""
    chat = home.chat("work")
    with Daemon(home.root, sessions=home.sessions("work"), store=home.store) as daemon:
        daemon.start()
        daemon.until_kept(chat.path)
    home.chat()
    with home.daemon() as daemon:
        daemon.start()
        daemon.until(lambda: len(daemon.heard("ready")) == 2)
        assert {name: Path(one["store"]) for name, one in home.directories().items()} == {
            "work": home.store,
            "default": home.store / "directories" / "default",
        }


def test_the_page_shows_and_acts_in_each_directory(home: Home) -> None:
    twins = {name: home.chat(name, session_id="aaaabbbb0000") for name in ("default", "work")}
    chat = home.chat("work")
    with home.daemon() as daemon:
        daemon.start()
        daemon.until(lambda: len(daemon.heard("ready")) == 2)
        assert is_wipe_repaired(daemon, home, "work", chat)
        acts.undo(twins["work"])
        daemon.until_heard("intended", directory="work")
        view = ReadCache(config.load({"store": str(home.store)}, {"HOME": str(home.root)}, [])).view()
        assert set(view.rows) == {"default:aaaabbbb0000", "work:aaaabbbb0000", chat.session_id}
        assert view.title("work:aaaabbbb0000") == "Title of work"
        assert view.status(0.0)["sessions"] == 3
        version = view.library.store.versions("work:aaaabbbb0000")[-1].name
        done = perform(view, restore("work:aaaabbbb0000", version))
        assert done["session"] == "work:aaaabbbb0000"
        assert (messages(twins["work"]), messages(twins["default"])) == (8, 8)
        undone = perform(view, {"act": "undo", "incident": daemon.heard("restored")[0]["incident"]})
        assert undone["session"] == chat.session_id


def test_a_profile_may_be_named_as_the_sessions(home: Home) -> None:
    for name in ("default", "work"):
        home.chat(name)
    home.json("scan")
    assert home.json("list", "--sessions", "work")["sessions"][0]["title"] == "Title of work"
    assert home.json("list", "--profile", "default")["sessions"][0]["title"] == "Title of default"
    assert "takes no --profile" in hermesguard(home.root, "run", "--profile", "work").stderr


READ_ONLY = """
from tests.helpers.profiles import Home
home = Home(Path(sys.argv[1]))
home.chat()
with home.daemon(environment={"NOTIFY_SOCKET": "@nobody-listens"}) as daemon:
    daemon.start()
    sandbox, place = home.root / "sandbox", home.sessions("work").parent
    sandbox.mkdir()
    place.mkdir(parents=True)
    mount("-t", "tmpfs", "none", sandbox)
    (sandbox / "sessions").mkdir()
    mount("-o", "remount,ro", sandbox)
    mount("--bind", sandbox, place)
    print(daemon.ended(), daemon.heard("failed")[0]["error"])
"""


def test_what_the_sandbox_was_made_without_needs_a_new_sandbox(tmp_path: Path) -> None:
    """A profiles/ that comes while the service runs is read-only in there: systemd starts the guard again, and it is not."""
    assert "appeared, but is read-only" in run_in_namespace(READ_ONLY, tmp_path)


def test_a_profile_that_has_a_guard_of_its_own_keeps_it(home: Home) -> None:
    """As people have set it up who had profiles before one guard was for all of them."""
    chats = {name: home.chat(name) for name in ("default", "work")}
    own = home.root / "store-of-work"
    with Daemon(home.root, sessions=home.sessions("work"), store=own) as guard, home.daemon() as daemon:
        guard.start()
        guard.until_kept(chats["work"].path)
        daemon.start()
        told = daemon.until_heard("directory_refused", path=str(home.sessions("work")))
        assert str(own) in told["error"]
        losses.wipe(chats["work"])
        guard.until_heard("restored")
        until_copied(daemon, home, "default", chats["default"])
        assert set(home.directories()) == {"default"}
        assert home.json("status")["healthy"]


def test_a_profile_that_is_gone_for_good_is_forgotten_with_its_part_of_the_store(home: Home) -> None:
    home.chat()
    old = home.chat("work")
    with home.daemon() as daemon:
        daemon.start()
        daemon.until(lambda: len(daemon.heard("ready")) == 2)
        until_copied(daemon, home, "work", old)
        shutil.rmtree(home.sessions("work").parent.parent)
        daemon.until_heard("watch_lost", directory="work")
        shutil.rmtree(home.part("work"))
        daemon.until(lambda: set(home.directories()) == {"default"})
        assert home.json("status")["healthy"]
        del home.apps["work"]
        new = home.chat("work", session_id="dddd00001111")
        assert is_wipe_repaired(daemon, home, "work", new)
