"""Conversations that were destroyed before the guard came, and those that a slip emptied: what each command says of them."""

import json

import pytest

from hermesguard.errors import ExitCode
from hermesguard.store import incidents
from tests.helpers import lost_home
from tests.helpers.cli_store import Scene
from tests.helpers.daemon_process import Daemon

FIVE = "5 lost before the guard came"


@pytest.fixture
def home(tmp_path):
    return lost_home.make(tmp_path)


@pytest.fixture
def scene(home):
    return Scene(home.root, home.app, "", "", "", "")


@pytest.fixture
def run(scene, home):
    def call(*words, **variables):
        places = {"HERMESGUARD_SESSIONS": str(home.sessions), **variables}
        return scene.call(*words, **places)

    return call


def test_the_first_scan_tells_what_looks_lost_and_does_so_once(run, scene, home):
    code, out, _ = run("scan", "--check")
    assert code == ExitCode.PROBLEM
    assert out.count(": looks lost from before the guard (") == 5
    assert "5 conversations may have been lost before the guard came." in out
    for name, why in {
        "wiped": "the index counts 40 messages, the file has 0",
        "temporary": "a temporary file is whole, with 40 messages",
        "context": "the model's context has 40 messages, the conversation none",
        "missing": "the index lists it with 40 messages, and there is no file",
        "torn": "the file is broken",
    }.items():
        line = next(line for line in out.splitlines() if line.startswith(home.id(name)))
        assert f'"{lost_home.LOST[name]}"' in line
        assert why in line
    places = {"HERMESGUARD_SESSIONS": str(home.sessions), "HERMESGUARD_LOG": "text"}
    first = scene.run("scan", environment=places, text=True).stderr
    assert first.count("may have been lost before this guard came") == 1
    assert "hermesguard lost." in first
    assert "may have been lost" not in scene.run("scan", environment=places, text=True).stderr
    log = incidents.read_all(scene.store)
    assert [one.event for one in log] == ["lost_before"] * 5
    assert incidents.read(scene.store) == [], "what the guard did not see is no incident"


def test_how_wide_the_terminal_of_the_tests_is_does_not_matter(run, monkeypatch):
    """pytest-xdist says so to its workers."""
    wide = run("scan", "--check")
    monkeypatch.setenv("COLUMNS", "40")
    assert run("scan", "--check") == wide
    assert run("scan", "--check", COLUMNS="40") != wide


def test_a_slip_is_listed_with_the_command_that_reverses_it(run, home):
    run("scan")
    home.act()
    run("scan")
    out = run("status")[1]
    assert out.splitlines()[0] == (
        f"Something missing? {FIVE}, 1 cleared, 1 shortened, 1 deleted but still kept. See: hermesguard lost"
    )
    found = {one["session"]: one for one in json.loads(run("lost", "--json")[1])["lost"]}
    assert {name: found[home.id(name)]["kind"] for name in home.chats} == (
        dict.fromkeys(lost_home.LOST, "lost before")
        | {"deleted": "deleted", "undone": "shortened", "cleared": "cleared"}
    )
    assert (found[home.id("undone")]["messages_before"], found[home.id("undone")]["messages_now"]) == (40, 38)
    for name in lost_home.LIVING:
        words = found[home.id(name)]["command"].split()[1:]
        assert run(*words)[0] == 0
        assert len(json.loads((home.sessions / f"{home.id(name)}.json").read_text())["messages"]) == 40
    assert run("status")[1].splitlines()[0] == f"Something missing? {FIVE}. See: hermesguard lost"


def test_each_session_has_its_state_and_its_title(run, home):
    run("scan")
    home.act()
    run("scan")
    states = {one["session"]: one for one in json.loads(run("list", "--json")[1])["sessions"]}
    assert {name: states[home.id(name)]["state"] for name in home.chats} == (
        dict.fromkeys(lost_home.LOST, "lost")
        | {"torn": "unreadable", "undone": "shortened", "cleared": "shortened", "deleted": "deleted"}
    )
    assert states[home.id("torn")]["title"] == lost_home.LOST["torn"]
    err = run("show", "trip")[2]
    assert "is broken, and the store has no copy of it" in err
    assert f"hermesguard explain {home.id('torn')}" in err
    assert '"Notes for the trip"' in run("explain", "trip")[1]
    notes = json.loads(run("log", "--json")[1])
    assert notes["incidents"] == []
    assert sorted(one["event"] for one in notes["notes"]) == ["intended"] * 2 + ["lost_before"] * 5


def test_a_lost_conversation_keeps_its_title_when_the_index_drops_it(run, scene, home, capfd):
    run("scan", HERMESGUARD_LOG="json")
    assert lost_home.LOST["missing"] not in "".join(capfd.readouterr())
    index = home.sessions / "_index.json"
    entries = json.loads(index.read_text())
    index.write_text(json.dumps([one for one in entries if one["session_id"] != home.id("missing")]))
    session = home.id("missing")
    for words in (["lost"], ["log", session], ["explain", session], ["list", "--state", "lost"]):
        assert lost_home.LOST["missing"] in run(*words)[1]
    assert session in run("find", *lost_home.LOST["missing"].split())[1]
    (note,) = json.loads(run("log", session, "--json")[1])["notes"]
    assert note["title"] == lost_home.LOST["missing"]


def test_any_title_can_be_kept_of_a_lost_conversation(run, scene, home):
    index = home.sessions / "_index.json"
    entries = json.loads(index.read_text())
    for one in entries:
        if one["session_id"] == home.id("missing"):
            one["title"] = "\n\x1b[31m庭" * 40_000
    index.write_text(json.dumps(entries))
    run("scan")
    (note,) = json.loads(run("log", home.id("missing"), "--json")[1])["notes"]
    assert note["title"] == ("\n\x1b[31m庭" * 40_000)[: len(note["title"])]
    assert 100 < len(note["title"]) < 1000


def test_restore_without_a_version_names_the_older_ones_of_a_chat_that_an_act_shortened(run, home):
    run("scan")
    home.act()
    run("scan")
    code, out, _ = run("restore", "parser")
    assert code == 0
    assert "No action required" not in out
    assert f"hermesguard restore {home.id('undone')}@-1  40 messages" in out
    assert run("undo", "7")[0] == 0, "what the log shows as intended can be undone by its number"
    assert json.loads(run("show", "parser", "--json")[1])["message_count"] == 40


def test_accept_answers_what_was_lost_before(run, home):
    run("scan")
    run("accept", home.id("wiped"))
    assert run("status")[1].startswith("Something missing? 4 lost before the guard came.")
    assert home.id("wiped") not in run("scan", "--check")[1]


def test_who_installs_it_too_late_has_the_conversation_back_with_the_third_command(run, scene, home):
    said = scene.run(
        "scan", environment={"HERMESGUARD_SESSIONS": str(home.sessions), "HERMESGUARD_LOG": "text"}, text=True
    )
    assert "hermesguard lost." in said.stderr
    for name in ("temporary", "context"):
        found = {one["session"]: one for one in json.loads(run("lost", "--json")[1])["lost"]}
        assert run(*found[home.id(name)]["command"].split()[1:])[0] == 0
        document = json.loads((home.sessions / f"{home.id(name)}.json").read_text())
        assert len(document["messages"]) == 40
        left = json.loads(run("lost", "--json")[1])["lost"]
        assert home.id(name) not in {one["session"] for one in left if one["kind"] == "lost before"}


def test_nagios_warns_of_what_may_be_missing_until_it_is_answered(run, home, tmp_path):
    def nagios():
        code, out, _ = run("status", "--nagios")
        assert out.count("\n") == 1
        words, _, figures = out.strip().partition(" | ")
        return code, words, dict(figure.split("=") for figure in figures.split())

    with Daemon(tmp_path, sessions=home.sessions, store=tmp_path / "store") as daemon:
        daemon.start()
        code, words, figures = nagios()
        assert code == 1
        assert words.startswith(f"HERMESGUARD WARNING - 1 session cannot be guarded ({home.id('torn')}); ")
        assert words.endswith(f"; something may be missing: {FIVE}")
        assert (figures["missing"], figures["lost_before"], figures["uncertain"]) == ("5", "5", "0")
        document = home.chats["torn"].document
        home.chats["torn"].path.write_text(json.dumps(document))
        daemon.until(lambda: "cannot be guarded" not in nagios()[1])
        code, words, _ = nagios()
        assert code == 1, "a loss from before is no incident, and warns all the same"
        assert words.startswith("HERMESGUARD WARNING - something may be missing: ")
        for name in lost_home.LOST:
            # what has no file cannot be accepted
            words = ("purge", "--yes") if name == "missing" else ("accept",)
            assert run(*words, home.id(name))[0] == 0
        home.act()
        daemon.until(lambda: nagios()[2]["cleared"] == "1")
        daemon.until(lambda: nagios()[2]["deleted"] == "1")
        code, words, figures = nagios()
        assert (code, words) == (0, "HERMESGUARD OK - all is well"), "what users did themselves is no alarm"
        assert (figures["missing"], figures["lost_before"], figures["shortened"]) == ("0", "0", "1")
