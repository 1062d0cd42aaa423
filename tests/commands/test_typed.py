"""Whatever a command prints names other commands as they must be typed here."""

import os
import re
import shlex
import sys

import pytest

from hermesguard.cli.output.terminal import Screen
from hermesguard.cli.output.transcript import wrapped
from hermesguard.cli.verbs import VERBS
from hermesguard.lookup import typed
from tests.helpers import cli_store, lost_home

OUTSIDE = "docker exec hg hermesguard"
BARE = re.compile(rf"(?<!docker exec hg )\bhermesguard (?:{'|'.join(verb.name for verb in VERBS)})\b")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = lost_home.make(tmp_path_factory.mktemp("typed"))
    scene = cli_store.Scene(home.root, home.app, "", "", "", "")
    home.run = lambda *words: scene.call(
        *words, HERMESGUARD_SESSIONS=str(home.sessions), HERMESGUARD_COMMAND=OUTSIDE
    )
    home.settings = scene.settings
    home.run("scan")
    home.act()
    home.run("scan")
    return home


@pytest.mark.parametrize(
    "line",
    [
        *("status", "lost", "list", "find ship", "find zeppelin", "log", "scan --check", "verify", "drill"),
        *("explain restored", "explain uncertain", "explain zzz", "explain 99", "explain 1", "show zzz"),
        *("show SID@-9", "history SID", "show SID", "diff SID", "explain SID", "restore SID", "restore zzz"),
        *("undo 99", "undo 7 --dry-run", "accept SID --dry-run", "purge SID --dry-run", "prune --dry-run"),
        *(
            "show MISSING",
            "history MISSING",
            "explain MISSING",
            "restore MISSING",
            "accept MISSING",
            "diff MISSING",
        ),
        *(
            "salvage --dry-run",
            "salvage SID",
            "salvage SID --show",
            "salvage MISSING --dry-run",
            "salvage zzz",
        ),
        *("show TORN", "explain TORN", "salvage --show", "restore"),
    ],
)
def test_each_command_that_is_named_is_named_as_it_is_typed(home, line):
    ids = {"SID": home.id("undone"), "MISSING": home.id("missing"), "TORN": home.id("torn")}
    words = [re.sub("SID|MISSING|TORN", lambda match: ids[match[0]], word) for word in line.split()]
    _, out, err = home.run(*words)
    assert out + err
    assert not BARE.search(out + err), out + err


def test_what_has_neither_file_nor_copy_says_where_else_it_may_be(home):
    name = home.id("missing")
    for verb in ("show", "history", "diff", "restore"):
        code, _, err = home.run(verb, name)
        assert code == 13, verb
        assert f"{OUTSIDE} salvage {name} --show" in err, verb


def test_broken_files_are_listed_however_many_there_are(tmp_path):
    home = lost_home.make(tmp_path)
    scene = cli_store.Scene(home.root, home.app, "", "", "", "")
    for number in range(250):
        (home.sessions / f"dddd{number:08d}.json").write_text('{"session_id": "torn')
    scene.call("scan", HERMESGUARD_SESSIONS=str(home.sessions))
    _, out, _ = scene.call("list", "--state", "unreadable", HERMESGUARD_SESSIONS=str(home.sessions))
    assert out.count("dddd") == 250


def test_a_command_that_is_typed_as_it_must_be_stays_so(home):
    """A container may be called as the command is."""
    typed.know(["lost", "scan"])
    typed.use("docker exec hermesguard hermesguard")
    once = typed.as_typed("See: hermesguard lost, or hermesguard scan --check")
    assert once.count("docker exec hermesguard hermesguard ") == 2
    assert typed.as_typed(once) == once


@pytest.mark.parametrize("columns", range(20, 90, 7))
@pytest.mark.parametrize("before", ["", "שלום "])
def test_no_line_ends_within_a_command(columns, before):
    typed.know(["restore", "salvage"])
    typed.use("docker exec hermesguard hermesguard")
    screen = Screen(sys.stdout, columns, 24, is_terminal=True, has_colour=False, is_ascii=False)
    command = "docker exec hermesguard hermesguard restore 0000a0000008@-1 --replace"
    said = f"{before}It is gone for good. To have it back: {command} or do nothing, and it stays as it is."
    lines = wrapped(screen, said, "  ")
    assert any(command in line for line in lines), lines
    assert " ".join(" ".join(lines).split()) == said


@pytest.mark.parametrize(
    ("program", "uid", "words"),
    [
        ("runuser", 0, ["runuser", "-u", "USER", "--", "hermesguard", "--store", "STORE"]),
        ("su", 4711, ["sudo", "-u", "USER", "hermesguard", "--store", "STORE"]),
        ("bash", 0, ["hermesguard"]),
    ],
)
def test_who_was_made_another_by_runuser_is_told_to_do_so_again(
    home, tmp_path, monkeypatch, program, uid, words
):
    """What root asks as the store's owner, root must ask so again: the next command is typed by root too."""
    parent = tmp_path / str(os.getppid())
    parent.mkdir()
    (parent / "comm").write_text(f"{program}\n")
    (parent / "status").write_text(f"Name:\t{program}\nUid:\t{uid}\t0\t0\t0\n")
    monkeypatch.setattr(typed, "PROCESSES", tmp_path)
    monkeypatch.setattr(typed.shutil, "which", lambda _: None)
    monkeypatch.setattr(typed, "owner_of", lambda _: 4712)
    monkeypatch.setattr(typed.os, "geteuid", lambda: 4712)
    monkeypatch.setattr(typed, "user_name", lambda _: "USER")
    settings = home.settings()
    command = typed.command_for(settings, {}).replace(str(settings.store), "STORE")
    assert shlex.split(command)[: len(words)] == words
