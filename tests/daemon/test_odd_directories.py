"""Directories that are not as they should be: two names for one, names that no store can note, some that are not there."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from hermesguard.demo import losses
from hermesguard.demo.chat import Chat
from tests.daemon.test_directories import is_wipe_repaired, until_copied
from tests.helpers.daemon_process import AS_NOBODY, Daemon, hermesguard
from tests.helpers.profiles import Home, messages


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def parts(home: Home) -> set[str]:
    folder = home.store / "directories"
    return set(os.listdir(folder)) if folder.is_dir() else set()


def profile(home: Home, name: str) -> Path:
    return home.root / ".hermes/profiles" / name


def until_looked(daemon: Daemon, home: Home, name: str) -> None:
    """Wait until the guard has looked for directories once more: by one that comes."""
    home.sessions(name).mkdir(parents=True)
    daemon.until_heard("ready", directory=name)


def test_one_directory_with_two_names_is_guarded_once_and_heard_at_once(home: Home) -> None:
    chat = home.chat("work")
    before = messages(chat)
    profile(home, "alias").symlink_to("work")
    with home.daemon("--scan-interval", "1h") as daemon:
        for _ in range(2):
            daemon.start()
            until_copied(daemon, home, "work", chat)
            assert set(home.directories()) == {"default", "work"}
            assert home.json("status")["healthy"]
            losses.wipe(chat)
            daemon.until(lambda: messages(chat) == before)
            daemon.stop()
        assert parts(home) == {"work"}
        assert not [event for event in daemon.heard("waiting") if "profiles" in event["path"]]


def test_a_second_name_that_comes_later_disturbs_nothing(home: Home) -> None:
    chat = home.chat("work")
    with home.daemon("--scan-interval", "1h") as daemon:
        daemon.start()
        until_copied(daemon, home, "work", chat)
        profile(home, "alias").symlink_to("work")
        until_looked(daemon, home, "play")
        before = messages(chat)
        losses.wipe(chat)
        daemon.until(lambda: messages(chat) == before)
        assert parts(home) == {"work", "play"}


def test_a_name_that_no_store_can_note_is_refused_and_costs_nothing(home: Home) -> None:
    home.chat()
    home.sessions("two\nlines").mkdir(parents=True)
    with home.daemon() as daemon:
        for _ in range(2):
            daemon.start()
            daemon.stop()
        assert parts(home) == set(), "a new part at each start would never be found again"
        daemon.start()
        (refused,) = home.json("status")["refused"]
        assert "line break" in refused["error"]
        shutil.rmtree(profile(home, "two\nlines"))
        daemon.until(lambda: home.json("status")["refused"] == [])
        assert home.json("status")["healthy"]


def test_an_empty_profile_that_is_removed_is_told_of_once(home: Home) -> None:
    home.chat()
    home.sessions("empty").mkdir(parents=True)
    with home.daemon() as daemon:
        daemon.start()
        daemon.until_heard("ready", directory="empty")
        shutil.rmtree(profile(home, "empty"))
        daemon.until(lambda: set(home.directories()) == {"default"})
        for name in ("one", "two", "three"):
            until_looked(daemon, home, name)
        assert len([event for event in daemon.heard("waiting") if "empty" in event["path"]]) == 1
        home.chat("empty")
        daemon.until(lambda: "empty" in home.directories())


def test_who_uses_profiles_alone_is_well(home: Home, tmp_path: Path) -> None:
    home.chat("work")
    beat = tmp_path / "beat"
    with home.daemon("--scan-interval", "200ms", "--heartbeat-command", f"touch {beat}") as daemon:
        daemon.start()
        daemon.until(beat.exists)
        status = home.json("status")
        assert (status["healthy"], status["ready"]) == (True, True)
        daemon.stop()
        beat.unlink()
        assert "none can" not in home.run("status")


def test_the_first_directory_is_missed_when_it_goes_and_its_copies_stay(home: Home) -> None:
    chats = [home.chat(), home.chat("work")]
    with home.daemon() as daemon:
        daemon.start()
        for name, chat in zip(("default", "work"), chats, strict=True):
            until_copied(daemon, home, name, chat)
        shutil.rmtree(home.sessions())
        daemon.until(lambda: not home.json("status")["healthy"])
        told = home.run("status")
        assert "default is missing" in told
        assert "remove its part" not in told, "its part is the whole store"


def test_profiles_that_are_there_at_the_first_start_are_not_elsewhere(home: Home) -> None:
    hour = 3600.0
    for age, name in enumerate(("default", "play", "work")):
        path = home.chat(name).path
        os.utime(path, (time.time() - (age + 1) * hour,) * 2)
    with home.daemon() as daemon:
        daemon.start()
        daemon.until(lambda: len(daemon.heard("ready")) == 3)
        for name in ("one", "two"):
            until_looked(daemon, home, name)
        assert daemon.heard("elsewhere") == []


def without_first(home: Home) -> list[Chat]:
    """Two directories with copies, of which the first one is gone now."""
    chats = [home.chat(), home.chat("work")]
    home.json("scan")
    home.sessions().parent.rename(home.root / "away")
    return chats


def test_a_directory_that_is_gone_does_not_keep_a_command_from_the_others(home: Home) -> None:
    _, chat = without_first(home)
    before = messages(chat)
    losses.wipe(chat)
    done = hermesguard(home.root, "scan", "--check", "--json", "--store", home.store)
    assert done.returncode == 4
    found = json.loads(done.stdout)
    assert [one["session"] for one in found["findings"]] == [chat.session_id]
    assert [one["sessions_directory"] for one in found["refused"]] == [str(home.sessions())]
    assert "Not looked at" in home.run("scan", "--check")
    assert home.json("scan")["repairs"] == 1
    assert messages(chat) == before
    chat.path.unlink()
    done = hermesguard(home.root, "restore", "--all-missing", "--store", home.store)
    assert (done.returncode, str(home.sessions()) in done.stderr) == (1, True)
    assert messages(chat) == before
    assert str(home.sessions()) in "".join(home.json("salvage", "--dry-run")["notes"])


def test_the_first_scan_of_who_uses_profiles_alone(home: Home) -> None:
    chat = home.chat("work")
    assert hermesguard(home.root, "scan", "--store", home.store).returncode == 0
    losses.wipe(chat)
    assert home.json("scan", "--check")["wrong"] == 1
    assert home.json("scan")["repairs"] == 1


def test_no_conversation_anywhere_is_said_of_all(home: Home) -> None:
    for name in ("default", "work"):
        home.sessions(name).mkdir(parents=True)
    with home.daemon() as daemon:
        daemon.start()
        daemon.until(lambda: len(daemon.heard("ready")) == 2)
        assert "there is no conversation in any of 2 directories" in home.run("status")


def test_what_to_type_about_one_directory_can_be_typed(home: Home) -> None:
    home.chat("work")
    home.json("scan")
    told = home.run("status", "--profile", "work")
    assert "--profile work lost" in told or "Start it" in told
    assert "--profile work run" not in told, "run guards them all"
    shown = home.run("config", "show")
    assert "\\n" not in shown
    assert f"\nThe sessions directories that are found: {home.sessions()}, {home.sessions('work')}" in shown


def test_a_profile_that_may_not_be_written_is_waited_for_and_it_is_said_why(home: Home) -> None:
    chat = home.chat()
    home.sessions("other").mkdir(parents=True)
    home.sessions("other").chmod(0o555)
    with home.daemon(prefix=AS_NOBODY if os.geteuid() == 0 else ()) as daemon:
        daemon.start()
        told = daemon.until_heard("waiting", directory="other")
        assert "cannot be written" in told["message"]
        assert is_wipe_repaired(daemon, home, "default", chat)


def test_a_scan_beside_a_guard_says_that_one_runs(home: Home) -> None:
    home.chat()
    home.chat("work")
    with home.daemon() as daemon:
        daemon.start()
        daemon.until(lambda: len(daemon.heard("ready")) == 2)
        done = hermesguard(home.root, "scan", "--store", home.store)
        assert (done.returncode, "Stop that one first" in done.stderr) == (11, True)


def test_what_is_lost_in_two_directories_is_salvaged_by_its_full_name(home: Home) -> None:
    name = "cccc00001111"
    chats = {place: home.chat(place, session_id=name) for place in ("default", "work")}
    counts = {place: messages(chat) for place, chat in chats.items()}
    whole = {place: chat.path.read_text() for place, chat in chats.items()}
    for chat in chats.values():
        value = json.loads(chat.path.read_bytes())
        value["messages"] = value["messages"][:1]
        chat.path.write_text(json.dumps(value))
    with home.daemon() as daemon:
        daemon.start()
        for place, chat in chats.items():
            until_copied(daemon, home, place, chat)
            chat.path.with_suffix(".json.bak").write_text(whole[place])
        found = home.json("salvage", "--dry-run")["conversations"]
        assert {(one["session"], one["directory"]) for one in found} == {
            (f"{place}:{name}", place) for place in chats
        }
        (done,) = home.json("salvage", f"work:{name}", "--restore")["conversations"]
        assert (done["error"], messages(chats["work"]), messages(chats["default"])) == ("", counts["work"], 1)
        (done,) = home.json("salvage", f"default:{name}", "--restore")["conversations"]
        assert (done["error"], messages(chats["default"])) == ("", counts["default"])


def test_a_part_that_the_running_guard_does_not_have_keeps_nothing_from_the_others(home: Home) -> None:
    chats = [home.chat(), home.chat("work")]
    home.json("scan")
    losses.wipe(chats[0])
    profile(home, "work").rename(home.root / "away")
    with home.daemon("--sessions", str(home.sessions())) as daemon:
        daemon.start()
        daemon.until_heard("restored")
        done = hermesguard(home.root, "prune", "--dry-run", "--json", "--store", home.store)
        assert (done.returncode, "no directory work" in done.stderr) == (13, True)
        assert {one["session"] for one in json.loads(done.stdout)["versions"]} == {chats[0].session_id}
        assert "all good" in home.run("verify")
        number = home.json("log")["incidents"][0]["id"]
        assert f'"Title of default" ({chats[0].session_id})' in home.run("undo", number, "--dry-run")
