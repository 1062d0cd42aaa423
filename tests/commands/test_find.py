"""Conversations by words of their title or text, in every copy that there is."""

import gzip
import json
import shlex

import pytest

from hermesguard.cli.commands.inspect import find
from hermesguard.demo import acts
from hermesguard.errors import ExitCode
from hermesguard.lookup.find import processes
from tests.helpers import cli_store, lost_home


@pytest.fixture
def home(tmp_path):
    home = lost_home.make(tmp_path)
    chat = home.app.create("Old ships", session_id="cccc00000001", turns=1)
    chat.add_turn("Tell me of the\nGreat   Eastern", "It was a ship.\nÄußerst groß.")
    chat.save()
    home.scene = cli_store.Scene(home.root, home.app, "", "", "", "")
    home.run = lambda *words: home.scene.call(*words, HERMESGUARD_SESSIONS=str(home.sessions))
    home.run("scan")
    home.act()
    home.run("scan")
    return home


def found(home, *words):
    return json.loads(home.run("find", "--all", "--json", *words)[1])["found"]


def test_words_are_found_whatever_their_case_and_the_white_space(home):
    for words in ("great eastern", "GREAT EASTERN", "äußerst GROSS", "of the great"):
        (one,) = found(home, *words.split())
        assert one["session"] == "cccc00000001"
        assert one["is_phrase"]
    assert found(home, "great")[0]["text"] == "Tell me of the Great Eastern"
    assert found(home, "old", "ships")[0]["message"] is None


def test_a_phrase_wins_over_scattered_words(home):
    scattered = home.app.create("Part of it", session_id="cccc00000002", turns=0)
    scattered.add_turn("seven and great", "to the eastern side")
    scattered.save()
    home.run("scan")
    assert [(one["session"], one["is_phrase"]) for one in found(home, "great", "eastern")] == [
        ("cccc00000001", True),
        ("cccc00000002", False),
    ]


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [("deleted", "deleted", ""), ("undone", "shortened", "@-1"), ("cleared", "shortened", "@-1")],
)
def test_what_was_taken_away_is_found_with_the_command_that_brings_it_back(home, name, state, words):
    session = home.id(name)
    one = next(one for one in found(home, "Part 20 does what") if one["session"] == session)
    assert (one["state"], one["command"]) == (state, f"hermesguard restore {session}{words}")
    assert home.run(*one["command"].split()[1:])[0] == 0
    (again,) = (one for one in found(home, "Part 20 does what") if one["session"] == session)
    assert again["command"] == f"hermesguard show {session}"


def test_what_is_lost_is_found_by_its_title(home):
    (one,) = found(home, "landlord")
    assert (one["state"], one["command"]) == ("lost", f"hermesguard explain {home.id('missing')}")


def test_nothing_found_is_an_error_with_a_way_on(home):
    code, _, err = home.run("find", "zeppelin")
    assert code == ExitCode.NOT_FOUND
    assert "hermesguard lost" in err
    assert home.run("find", " ")[0] == ExitCode.USAGE


def test_keys_of_the_file_are_no_text(home):
    assert home.run("find", "created_at")[0] == ExitCode.NOT_FOUND


@pytest.mark.parametrize("word", ["messages", "role", "session_id", "assistant", "ballast"])
def test_a_word_that_is_also_a_key_is_found_where_somebody_said_it(home, word):
    chat = home.app.create("Plain", session_id="cccc00000004", turns=1)
    chat.document["ballast"] = {"ballast": 1}  # a key that nobody knows
    chat.add_turn(f"How many {word} are there?", "Five.")
    chat.save()
    home.run("scan")
    acts.undo(chat)
    home.run("scan")
    (one,) = found(home, word)
    assert (one["session"], one["state"]) == ("cccc00000004", "shortened")
    assert one["text"] == f"How many {word} are there?"
    assert home.run(*one["command"].split()[1:])[0] == 0
    assert word in home.run("show", "cccc00000004")[1]


def test_what_only_the_model_sees_yet_is_found_in_the_version_that_people_can_read(home):
    session = home.id("cleared")
    path = home.sessions / f"{session}.json"
    version = sorted((home.scene.store / "history" / session).iterdir())[-1]
    messages = json.loads(gzip.decompress(version.read_bytes()))["messages"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"context_messages": messages}))
    (one,) = (one for one in found(home, "Part 20 does") if one["session"] == session)
    assert one["command"].startswith(f"hermesguard restore {session}@-")


def test_what_a_tool_answered_is_found_and_shown_without_its_keys(home):
    chat = home.app.create("Tools", session_id="cccc00000005", turns=1)
    call = {"function": {"name": "dig", "arguments": "{'at': 'quarry'}"}}
    chat.document["messages"][-1] |= {"tool_calls": [call]}
    chat.save()
    home.run("scan")
    (one,) = found(home, "quarry")
    assert "dig {'at': 'quarry'}" in one["text"]
    assert not home.run("find", "function")[1]


@pytest.mark.parametrize("words", [["what's", "it;"], ["-x", "harbour"], ["$(harbour)", '"part', "*"]])
def test_the_command_that_shows_all_can_be_typed(home, monkeypatch, words):
    monkeypatch.setattr(find, "_SHOWN", 1)
    for number in range(2):
        chat = home.app.create("Plain", session_id=f"cccc0000001{number}", turns=0)
        chat.add_turn(" ".join(words), "Yes.")
        chat.save()
    home.run("scan")
    out = home.run("find", "--", *words)[1]
    command = out.rpartition("all of them: ")[2].strip()
    code, out, err = home.run(*shlex.split(command)[1:])
    assert (code, err) == (ExitCode.OK, "")
    assert out.count("it is in the conversation") == 2


def test_several_processes_find_the_same(home, monkeypatch):
    before = found(home, "Part 2 does")
    monkeypatch.setattr(processes, "_LEAST_SHARE", 1)
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: set(range(3)))
    assert found(home, "Part 2 does") == before
    assert len(before) > 3
