"""Titles, texts and ids as people of all countries make them: found, listed in line, and harmless to a terminal."""

import itertools
import json
import shlex

import pytest

from hermesguard.cli.output.terminal import columns_of
from hermesguard.demo import acts
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from tests.helpers.cli_store import Scene

TITLES = {
    "-dash00000001": "-rf --all ; $(reboot)",
    "aaaa00000001": "京都の庭園についての長い会話と、とても長い題名が続きます。" * 3,
    "aaaa00000002": "👩‍👩‍👧‍👦 family 🏳️‍🌈 e\u0301 combining",
    "aaaa00000003": "שלום עולם مرحبا",
    "aaaa00000004": "\x1b]0;evil\x07\x1b[2J\x1b[31mred\r\nnewline\ttab\x00nul \u202egnp",
    "aaaa00000005": "x" * 5000,
    "aaaa00000006": "",
    "aaaa00000007": "   ",
    "aaaa00000008": "line\u2028separator\u2029 \x85 \x9b31m",
    "aaaa00000009": 'it\'s "quoted" `cmd` | & > < * ? [a] {b} ~ !',
}
SAID = "東京タワーの高さ? 🗼 مرحبا \x1b[31m"
SESSIONS = list(TITLES)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd")
    clock = itertools.count(1.7638e9, 0.5).__next__
    app = App(root / "sessions", Era.NEW, clock=clock, seed=1)
    scene = Scene(root, app, "", "", "", "")
    chats = []
    for session, title in TITLES.items():
        chats.append(app.create(title, session_id=session, turns=2))
        chats[-1].add_turn(SAID, "333メートル")
        chats[-1].save()
    scene.scan()
    for chat in chats:
        acts.undo(chat)
    scene.scan()
    return scene


def is_harmless(text):
    return not [
        one
        for one in text
        if (ord(one) < 32 and one != "\n") or 0x7F <= ord(one) < 0xA0 or one in "\u2028\u2029\u202e"
    ]


@pytest.mark.parametrize("columns", ["40", "80"])
@pytest.mark.parametrize(
    "command", ["lost --all", "list", "log", "find --all 高さ", "salvage --dry-run", "prune --dry-run"]
)
def test_every_command_that_lists_is_harmless_and_in_line(scene, command, columns):
    code, out, err = scene.call(*command.split(), COLUMNS=columns)
    assert code == 0, err
    assert is_harmless(out)
    assert "\\n" not in out.replace(r"\r\nnewline", "")
    for line in out.splitlines():
        assert columns_of(line) <= max(72, int(columns)) or line.startswith("  hermesguard "), line


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize(
    "command", ["show", "history", "explain", "diff", "restore --dry-run", "log --session"]
)
def test_every_command_takes_the_id_as_it_is_printed(scene, session, command):
    version = "@-1" if command.startswith("restore") else ""
    words = [*command.split(), f"{session}{version}"]
    if "--session" in command:
        words = ["log", f"--session={session}"]
    code, out, err = scene.call(*words, COLUMNS="80")
    assert code == 0, err
    assert is_harmless(out)
    assert max(map(columns_of, out.splitlines())) <= 200


def test_what_lost_prints_can_be_typed(scene):
    out = scene.call("lost", "--all", COLUMNS="80")[1]
    commands = [line.strip() for line in out.splitlines() if line.startswith("  hermesguard ")]
    assert len(commands) == len(TITLES)
    for command in commands:
        assert scene.call(*shlex.split(command)[1:], "--dry-run")[0] == 0, command
    assert out.count("Untitled") == 1, "spaces are no title; without any it is called by its first question"


@pytest.mark.parametrize("words", ["東京タワー", "高さ", "🗼", "مرحبا", "333メートル", "タワーの"])
def test_words_of_every_script_are_found(scene, words):
    found = json.loads(scene.call("find", "--all", "--json", words)[1])["found"]
    assert {one["session"] for one in found} == set(TITLES)


@pytest.mark.parametrize(
    ("words", "session"),
    [
        ("庭園", "aaaa00000001"),
        ("שלום", "aaaa00000003"),
        ("E\u0301", "aaaa00000002"),
        ("$(reboot)", "-dash00000001"),
    ],
)
def test_titles_of_every_script_name_their_session(scene, words, session):
    assert json.loads(scene.call("show", "--json", words)[1])["session"] == session


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"LANG": "C", "NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_the_plainest_terminal(scene, variables):
    done = scene.run("lost", environment={"LANG": "C", **variables})
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout


@pytest.mark.parametrize("session", ["--jsno", "-x", "--last5000x"])
def test_a_mistyped_option_is_still_one(scene, session):
    code, _, err = scene.call("show", session)
    assert code == 2
    assert "Traceback" not in err
