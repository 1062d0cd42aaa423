import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hermesguard import files
from hermesguard.cli import main as cli
from hermesguard.cli.verbs import VERBS
from hermesguard.demo import losses
from hermesguard.errors import ExitCode
from hermesguard.events.catalog import EVENTS
from hermesguard.store.incidents import Incident
from hermesguard.webui.compare.parts import PARTS
from tests.helpers import cli_store
from tests.helpers.cases import answer, calling, tool, turns, user
from tests.helpers.daemon_process import AS_NOBODY

PACKAGING = Path(__file__).parents[2] / "packaging"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """One scene for all tests that only read."""
    return cli_store.make(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def own_scene(scene, tmp_path):
    return cli_store.copied(scene, tmp_path / "copy")


@pytest.fixture
def command(scene, monkeypatch, capsys):
    """Run a command line in this process; return (exit code, stdout, stderr)."""

    def run(*words, where=scene):
        for name, value in where.environment().items():
            monkeypatch.setenv(name, value)
        code = cli.main(list(map(str, words)))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return run


# The frame.


@pytest.mark.parametrize("verb", ["", *(verb.name for verb in VERBS)])
def test_help_fits_a_terminal_of_80_columns(command, monkeypatch, verb):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = command(*([verb] if verb else []), "--help")
    assert [line for line in out.splitlines() if len(line) > 80] == []


def test_every_verb_has_help_with_an_example(command):
    code, out, _ = command("--help")
    assert code == 0
    for verb in VERBS:
        assert f"\n    {verb.name} " in out
        code, help_text, _ = command(verb.name, "--help")
        assert code == 0
        assert "\nexample:\n" in help_text
        assert f"  hermesguard {verb.name}" in help_text


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_the_examples_of_every_verb_are_understood(verb):
    from hermesguard.cli.parser import build

    for line in verb.example.splitlines():
        if line.startswith("#"):
            continue
        words = re.split(" >>? ", line)[0].split()
        if words[0] == "systemctl":
            unit = re.sub("@[^.]*", "@", words[-1] if "." in words[-1] else f"{words[-1]}.service")
            assert (PACKAGING / unit).is_file()
            continue
        assert words[0] == "hermesguard"
        assert build().parse_args(words[1:]).verb == verb.name


def test_nothing_typed_prints_the_help_and_is_a_usage_error(command):
    code, out, _ = command()
    assert code == ExitCode.USAGE
    assert "commands:" in out


def test_version(command):
    from hermesguard import __version__

    assert command("--version")[:2] == (0, f"hermesguard {__version__}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["shwo"], "shwo is not known here, did you mean show?"),
        (["zzz"], "zzz is not known here: choose from run, scan"),
        (["\x1b[31m"], "\\x1b[31m is not known here"),
        (["show"], "the following arguments are required: SID[@VERSION]"),
        (["show", "x", "--last", "0"], "invalid number of messages value"),
        (["list", "--state", "fien"], "fien is not known here, did you mean fine?"),
        (["list", "--wrong"], "unrecognized arguments: --wrong. See: hermesguard list --help"),
        (["diff", "3f2a", "@-1", "@latest"], "unrecognized arguments: @latest. See: hermesguard diff --help"),
        (["list", "--sate", "fine"], "--sate is not known here, did you mean --state?"),
        (["--sesions", "x", "status"], "--sesions is not known here, did you mean --sessions?"),
        (["--nothing=x", "status"], "unrecognized arguments: --nothing. See: hermesguard --help"),
        (["--sessions", "x", "staus"], "staus is not known here, did you mean status?"),
        (["restore", "--part", "x", "3f2a"], "tool_calls, context_messages, order"),
        (["config"], "say which: show, check. See: hermesguard config --help"),
        (["restore"], "restore needs a session"),
        (["restore", "--all-missing", "x"], "--all-missing takes no session"),
        (["diff", "3f2a", "latest"], "Write it with an @"),
        (["log", "--since", "whenever"], "is not a time"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(command, words, sentence):
    code, out, err = command(*words)
    assert code == ExitCode.USAGE
    assert sentence in err
    assert out == ""
    assert "\x1b" not in err


@pytest.mark.parametrize("where", ["before", "after"])
def test_places_may_stand_before_or_after_the_verb(command, scene, tmp_path, where):
    flags = ["--store", str(tmp_path / "none")]
    code, _, err = command(*([*flags, "list"] if where == "before" else ["list", *flags]))
    assert code == ExitCode.NO_STORE
    assert str(tmp_path / "none") in err


SESSION_VERBS = ("history", "show", "diff", "restore", "accept", "purge")


@pytest.mark.parametrize("verb", SESSION_VERBS)
def test_a_session_that_is_not_there_names_the_nearest(command, scene, verb):
    code, out, err = command(verb, "3f2c")
    assert code == ExitCode.NOT_FOUND
    assert out == ""
    assert 'No session is called "3f2c"' in err
    assert "3f2a00000001  The garden in spring" in err
    assert err.count("\n  ") == 3


@pytest.mark.parametrize("verb", SESSION_VERBS)
def test_a_session_that_is_not_unique_lists_them(command, scene, verb):
    code, _, err = command(verb, "3f2")
    assert code == ExitCode.NOT_FOUND
    assert '2 sessions fit "3f2"' in err


@pytest.mark.parametrize("verb", ["show", "restore"])
def test_a_version_that_is_not_there(command, scene, verb):
    code, out, err = command(verb, "3f2a@-99")
    assert code == ExitCode.NOT_FOUND
    assert out == ""
    assert 'has no version "-99"' in err
    assert "hermesguard history 3f2a00000001" in err


@pytest.mark.parametrize("words", [["undo", "99"], ["explain", "99"], ["explain", "99999999999999999999"]])
def test_an_incident_that_is_not_there(command, words):
    code, out, err = command(*words)
    assert code == ExitCode.NOT_FOUND
    assert out == ""
    assert "There is no incident 99" in err


READING = (["status"], ["list"], ["history", "x"], ["show", "x"], ["diff", "x"], ["log"], ["drill"])


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_without_a_store_there_is_a_sentence(command, tmp_path, words):
    code, out, err = command(*words, "--store", tmp_path / "nothing")
    assert code == ExitCode.NO_STORE
    assert f"There is no store at {tmp_path / 'nothing'}" in err
    assert out == ""
    (tmp_path / "file").write_text("")
    code, _, err = command(*words, "--store", tmp_path / "file")
    assert code == ExitCode.NO_STORE
    assert "is a file, not a directory" in err


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_a_store_of_a_newer_hermesguard_is_refused(command, own_scene, words):
    (own_scene.store / "format").write_text("99\n")
    code, out, err = command(*words, where=own_scene)
    assert code == ExitCode.REFUSED
    assert "has format '99'" in err
    assert out == ""


@pytest.mark.parametrize("words", [*READING, ["accept", "3f2a"], ["undo", "1"]], ids=lambda words: words[0])
def test_without_the_right_to_read_the_store_there_is_a_sentence(own_scene, words):
    os.chmod(own_scene.store, 0)
    # Root reads everything, unless the kernel takes that right from it.
    unprivileged = AS_NOBODY if os.getuid() == 0 else ()
    result = subprocess.run(
        [*unprivileged, sys.executable, "-m", "hermesguard", *words],
        cwd=cli_store.ROOT,
        env=own_scene.environment(),
        capture_output=True,
        check=False,
    )
    assert result.returncode == ExitCode.FAILED, result.stderr
    assert b"cannot be read: Permission denied" in result.stderr or b"may not be asked" in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_damaged_version_and_a_broken_shadow_are_said(command, own_scene):
    version = max((own_scene.store / "history" / own_scene.wiped).iterdir())
    version.write_bytes(version.read_bytes()[:50])
    code, _, err = command("show", "3f2a@-1", where=own_scene)
    assert code == ExitCode.FAILED
    assert "is damaged" in err
    (own_scene.store / "shadows" / f"{own_scene.whole}.json").write_text("{")
    for verb in ("show", "history", "diff"):
        code, _, err = command(verb, "3f2b", where=own_scene)
        assert code == ExitCode.FAILED
        assert "3f2b00000002.json is damaged: its content has another digest" in err
    code, out, _ = command("drill", where=own_scene)
    assert code == ExitCode.PROBLEM
    assert "3 of 4 sessions restorable" in out
    assert "3f2b00000002: 3f2b00000002.json is damaged" in out
    assert command("list", where=own_scene)[0] == 0


def test_a_closed_pipe_is_quiet(scene):
    for words in (["show", "3f2a"], ["list"], ["--help"], ["config", "show", "--json"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "hermesguard", *words],
            cwd=cli_store.ROOT,
            env=scene.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(timeout=20) == 128 + signal.SIGPIPE


def test_a_full_disk_behind_stdout_is_said(scene):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "hermesguard", "list"],
            cwd=cli_store.ROOT,
            env=scene.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert result.returncode == ExitCode.FAILED
    assert result.stderr == b"hermesguard: No space left on device.\n"


def test_an_interrupt_ends_it_without_a_word(scene):
    process = subprocess.Popen(
        [sys.executable, "-m", "hermesguard", "log", "-f"],
        cwd=cli_store.ROOT,
        env=scene.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            assert b"Restored 3f2a00000001" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGINT
    assert err == b""


def test_an_internal_error_is_a_sentence_and_a_traceback_only_when_asked(command, monkeypatch, capsys):
    def fail(arguments, settings):
        raise ZeroDivisionError("the cause")

    monkeypatch.setattr("hermesguard.cli.commands.inspect.list.list_sessions", fail)
    code, _, err = command("list")
    assert code == ExitCode.FAILED
    assert "this should not have happened: ZeroDivisionError: the cause" in err
    monkeypatch.setenv("HERMESGUARD_DEBUG", "1")
    assert cli.main(["list"]) == ExitCode.FAILED
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_module_is_called_so(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "hermesguard.cli.commands.inspect.list", None)
    code, _, err = command("list")
    assert code == ExitCode.FAILED
    assert "the Python module hermesguard.cli.commands.inspect.list is missing" in err
    assert "Install hermesguard again" in err


# What each verb says.


def test_config_show_says_where_each_value_comes_from(command, scene):
    code, out, _ = command("config", "show", "--store", scene.store)
    assert code == 0
    messages = {line.split()[0]: line for line in out.splitlines()}
    assert messages["store"].endswith("flag --store")
    assert messages["sessions"].endswith("environment HERMESGUARD_SESSIONS")
    assert messages["keep_history"].split() == ["keep_history", '"30d"', "default"]
    values = json.loads(command("config", "show", "--json")[1])
    assert values["schema_version"] == 2
    assert values["settings"]["keep_history"] == {"value": 2592000.0, "written": '"30d"', "origin": "default"}


def test_config_check(command, tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('keep_history = "7d"\nalert_command = ["/no/such/program"]\n')
    bad.write_text('keep_histroy = "7d"\n')
    code, out, err = command("config", "check", "--config", good)
    assert code == 0
    assert f"The configuration is right: {good}" in out
    assert "the program /no/such/program is not found" in err
    code, out, err = command("config", "check", "--config", bad)
    assert code == ExitCode.CONFIG
    assert "The nearest is keep_history" in err


def test_config_check_warns_of_a_variable_that_means_nothing(command, monkeypatch):
    monkeypatch.setenv("HERMESGUARD_STROE", "/x")
    code, _, err = command("config", "check")
    assert code == 0
    assert "HERMESGUARD_STROE means nothing" in err


def test_list(command, scene):
    code, out, _ = command("list", "--sort", "title")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == [
        "ID",
        "TITLE",
        "MESSAGES",
        "LAST",
        "CHANGE",
        "VERSIONS",
        "LAST",
        "INCIDENT",
        "STATE",
    ]
    assert [line.split()[0] for line in lines[1:]] == [scene.odd, scene.whole, scene.wiped, scene.undone]
    by_id = {line.split()[0]: line for line in lines}
    assert by_id[scene.wiped].split()[-3:] == ["#1", "restored", "restored"]
    assert "\\x1b[31mred\\x1b[0m line 庭" in by_id[scene.odd]
    assert "\u200eשלום עולם\u200e" in by_id[scene.undone]
    assert by_id[scene.whole].endswith("fine")
    assert [line.split()[0] for line in command("list", "garden", "--state", "fine")[1].splitlines()[1:]] == [
        scene.whole
    ]
    assert command("list", "--state", "missing")[1] == "No session fits.\n"


def test_list_as_json(command, scene):
    found = json.loads(command("list", "--json", "--sort", "messages")[1])
    assert found["schema_version"] == 2
    first = found["sessions"][0]
    assert (first["session"], first["message_count"], first["state"]) == (scene.wiped, 12, "restored")
    assert first["last_incident"]["id"] == "1"


def test_list_knows_what_is_missing_and_deleted(command, own_scene):
    (own_scene.sessions / f"{own_scene.whole}.json").unlink()
    (own_scene.store / "shadows" / f"{own_scene.wiped}.json").unlink()
    states = {
        entry["session"]: entry["state"]
        for entry in json.loads(command("list", "--json", where=own_scene)[1])["sessions"]
    }
    assert states[own_scene.whole] == "missing"
    assert states[own_scene.wiped] == "deleted"


def test_history_draws_the_life_and_names_the_versions(command, scene):
    code, out, _ = command("history", "3f2a")
    assert code == 0
    assert "The garden in spring" in out
    assert "1 loss" in out
    assert "1 repair" in out
    version = next(line for line in out.splitlines() if line.endswith("#1        a write lost messages"))
    name = version.split()[0]
    assert json.loads(command("show", f"3f2a{name}", "--json")[1])["message_count"] == 12
    found = json.loads(command("history", "3f2a", "--json")[1])
    assert [point["mark"] for point in found["points"] if point["mark"]] == ["loss", "repair"]
    assert {entry["reason"] for entry in found["versions"]} == {"loss", "displaced"}
    assert "taken away on purpose" in command("history", "2026")[1]


def test_what_cannot_be_a_version_of_a_known_session_is_said_so(command):
    for version in ("yesterday", "last-week", "2020-01-01", "1999-12-31T23:59"):
        code, out, err = command("show", f"3f2a@{version}")
        assert (code, out) == (ExitCode.NOT_FOUND, "")
        assert "Session 3f2a00000001 " in err
        assert "hermesguard history 3f2a00000001" in err
    assert 'has no version "yesterday"' in command("show", "3f2a@yesterday")[2]
    assert "began later, at" in command("show", "3f2a@2020-01-01")[2]
    assert 'No session is called "zzz@yesterday"' in command("show", "zzz@yesterday")[2]


def test_acts_of_users_are_no_findings(command, own_scene):
    assert command("undo", "1", where=own_scene)[0] == 0
    assert command("log", where=own_scene)[1].splitlines()[-1].endswith(" 12 > 0")
    last = json.loads(command("log", "--json", where=own_scene)[1])["incidents"][-1]
    assert "messages: 12 before, 0 afterwards" in command("explain", last["id"], where=own_scene)[1]
    assert command("explain", "restored by user")[1] == command("explain", "restored_by_user")[1]


def test_restore_of_what_is_live_changes_nothing(command, own_scene):
    live = own_scene.sessions / f"{own_scene.whole}.json"
    before = files.stamp(live)
    code, out, _ = command("restore", own_scene.whole, where=own_scene)
    assert code == 0
    assert "has all of" in out
    assert files.stamp(live) == before
    assert not json.loads(command("log", "--session", own_scene.whole, "--json", where=own_scene)[1])[
        "incidents"
    ]


def test_purge_says_that_the_file_is_still_there(command, own_scene):
    assert "Its file is still there" in command("purge", own_scene.whole, "--dry-run", where=own_scene)[1]
    (own_scene.sessions / f"{own_scene.whole}.json").unlink()
    assert "Its file" not in command("purge", own_scene.whole, "--dry-run", where=own_scene)[1]


def test_show(command, scene):
    code, out, _ = command("show", "3f2a", "--last", "1")
    assert code == 0
    assert "The garden in spring" in out
    assert "#12 assistant" in out
    assert "#11" not in out
    found = json.loads(command("show", "3f2a", "--json", "--last", "2")[1])
    assert (found["message_count"], found["first_message"], len(found["messages"])) == (12, 11, 2)
    assert command("show", "3f2a", "--markdown")[1].startswith("# The garden in spring\n\n## user")
    assert command("show", "spring", "--json")[1] == command("show", "3f2a@latest", "--json")[1]


def test_diff(command, scene):
    code, out, _ = command("diff", "3f2a@-1", "@latest")
    assert code == 0
    assert "12 new" in out
    found = json.loads(command("diff", "2026", "--json")[1])
    assert [change["kind"] for change in found["changes"]] == ["gone", "gone"]
    assert found["same"] == 4
    assert command("diff", "3f2b")[1].splitlines()[-1].strip() == "4 messages the same"


def test_diff_names_what_hangs_on_messages_and_what_brings_each_back(command, own_scene):
    live = own_scene.sessions / f"{own_scene.whole}.json"
    first = json.loads(live.read_bytes())
    picture = [{"type": "text", "text": "see"}, {"type": "image_url"}]
    said = [
        *first["messages"],
        *turns(2, 50, 5e9),
        user("look", 5_000_001_000.0, attachments=["a.png"]),
        calling("c1", 5_000_001_001.0, reasoning="a long thought"),
        tool("out", "c1", 5_000_001_002.0),
        answer("so", 5_000_001_003.0),
        user(picture, 5_000_001_004.0),
    ]
    before = first | {
        "title": "Tiles",
        "project_id": "p",
        "pinned": True,
        "archived": True,
        "composer_draft": {"text": "half a page"},
        "messages": said,
        "context_messages": said,
        "tool_calls": [{"tid": "c1", "assistant_msg_idx": len(said) - 4}],
    }
    bare = [*said[2:4], *said[:2], *said[4:]]
    bare[-5] = user("look", 5_000_001_000.0)
    bare[-4] = answer("", 5_000_001_001.0)
    bare[-1] = user("see\n[screenshot]", 5_000_001_004.0)
    unset = {"title": "Untitled", "project_id": None, "pinned": False, "archived": False}
    after = (
        before | unset | {"composer_draft": {}, "messages": bare, "context_messages": [], "tool_calls": []}
    )
    for value in (before, after):
        live.write_text(json.dumps(value))
        own_scene.scan()
    [version] = [
        one["name"]
        for one in json.loads(command("history", own_scene.whole, "--json", where=own_scene)[1])["versions"]
        if one["reason"] == "stripped"
    ]
    named = f"{own_scene.whole}@{version}"
    found = json.loads(command("diff", named, "@live", "--json", where=own_scene)[1])
    # Words are a part only where most messages have other ones.
    assert [one["name"] for one in found["parts"]] == [part for part in PARTS if part != "words"]
    assert found["parts"][0]["a_numbers"] == [len(said) - 3]
    lines = command("diff", own_scene.whole, where=own_scene)[1].splitlines()
    assert f"- reasoning: #{len(said) - 3}" in lines
    assert [line.strip() for line in lines if "--part" in line] == [one["command"] for one in found["parts"]]
    for one in found["parts"]:
        assert one["command"] == f"hermesguard restore {named} --part {one['name']}"
        left = json.loads(command("diff", named, "@live", "--json", where=own_scene)[1])["parts"]
        assert one["name"] in [part["name"] for part in left]
        assert command(*one["command"].split()[1:], where=own_scene)[0] == 0
        there = json.loads(command("diff", named, "@live", "--json", where=own_scene)[1])["parts"]
        assert [part["name"] for part in there] == [
            part["name"] for part in left if part["name"] != one["name"]
        ]
    assert json.loads(live.read_bytes()) == before


def test_diff_names_no_command_that_would_bring_back_nothing(command, own_scene):
    live = own_scene.sessions / f"{own_scene.whole}.json"
    live.write_text(json.dumps(json.loads(live.read_bytes()) | {"project_id": "p"}))
    for sides in (("@live", "@latest"), ("@latest", "@live")):
        words = (f"{own_scene.whole}{sides[0]}", sides[1], "--json")
        parts = json.loads(command("diff", *words, where=own_scene)[1])["parts"]
        assert [(one["name"], one["command"]) for one in parts] == [("project_id", "")] * (
            sides[0] == "@live"
        )


def test_log_of_a_session_by_its_id_or_its_title(command, scene):
    whole = json.loads(command("log", "--session", scene.wiped, "--json")[1])
    assert whole["incidents"]
    for words in (scene.wiped, "garden in"):
        assert json.loads(command("log", words, "--json")[1]) == whole
    assert command("log", scene.wiped, "--session", scene.whole)[0] == ExitCode.USAGE


def test_log(command, scene):
    code, out, _ = command("log")
    assert code == 0
    assert out.splitlines()[1].split()[:1] == ["1"]
    assert "restored" in out
    found = json.loads(command("log", "--json")[1])
    assert [
        (one["id"], one["session"], one["messages_before"], one["messages_live"])
        for one in found["incidents"]
    ] == [("1", scene.wiped, 12, 0)]
    assert command("log", "--session", "3f2b")[1] == "No incidents.\n"
    assert command("log", "--since", "2100-01-01")[1] == "No incidents in that time.\n"


def test_the_log_says_how_many_sessions_one_incident_is_of(command, own_scene):
    several = Incident(
        "7", "2026-01-02T03:04:05+00:00", "", "rolled_back", "restored", names=(own_scene.whole, "b")
    )
    purged = Incident("8", "2026-01-02T03:04:06+00:00", "", "purged", "purged")
    with (own_scene.store / "incidents.jsonl").open("ab") as log:
        log.writelines(incident.line() for incident in (several, purged))
    lines = {line.split()[0]: line for line in command("log", where=own_scene)[1].splitlines()}
    assert "2 sessions" in lines["7"]
    assert "purged" not in lines["7"]
    assert lines["8"].count("purged") == 2


def test_explain_an_incident_and_an_event(command):
    code, out, _ = command("explain", "1")
    assert code == 0
    for part in (
        "What the guard saw",
        "for: ",
        "12 before, 0 found, 12 afterwards",
        "What it did",
        "hermesguard undo 1",
    ):
        assert part in out
    assert "{" not in out
    code, out, _ = command("explain", "backing-off")
    assert "MESSAGE_ID" in out
    code, _, err = command("explain", "restord")
    assert code == ExitCode.NOT_FOUND
    assert "The nearest are restored" in err
    found = json.loads(command("explain", "1", "--json")[1])
    assert found["incident"]["id"] == "1"
    assert found["event"]["name"] == "restored"


def test_status_without_a_guard_says_so(command):
    code, out, _ = command("status")
    assert code == ExitCode.PROBLEM
    assert out.splitlines()[:2] == [
        "Something missing? 1 shortened, 1 repaired. See: hermesguard lost",
        "Not well: no guard runs on this store.",
    ]
    assert "4 sessions with" in out
    code, out, _ = command("status", "--nagios")
    assert code == 2
    assert out.startswith("HERMESGUARD CRITICAL - no guard runs on this store | sessions=4 messages=")
    found = json.loads(command("status", "--json")[1])
    assert (found["healthy"], found["running"], found["sessions"]) == (False, False, 4)


def test_a_guard_that_does_not_answer_is_not_called_none(command, own_scene):
    program = (
        "import sys; from hermesguard.store.lock import Lock; from pathlib import Path; "
        "print(Lock(Path(sys.argv[1])).take(), flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, own_scene.store / "lock"],
        cwd=cli_store.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"True\n"
        out = command("status", where=own_scene)[1]
        assert f"Not well: process {holder.pid} holds the store, but does not answer." in out
        assert f"process {holder.pid}, which does not answer" in out
        code, out, err = command("verify", where=own_scene)
        assert (code, "all good" in out) == (0, True)
        assert "could not be noted" in err
        holder.stdin.close()


def test_a_guard_on_another_machine_is_to_be_asked_there(command, own_scene, monkeypatch):
    monkeypatch.setattr("hermesguard.daemon.status.lock_holder", lambda _: 0)
    out = command("status", where=own_scene)[1]
    assert "a process elsewhere holds the store" in out
    assert "on another machine: ask there. Else it has just started" in out


def test_a_second_guard_says_where_the_first_may_be(command, own_scene, monkeypatch):
    monkeypatch.setattr("hermesguard.store.lock.Lock.take", lambda _: False)
    monkeypatch.setattr("hermesguard.store.store.lock_holder", lambda _: 0)
    code, _, err = command("run", where=own_scene)
    assert code == ExitCode.LOCKED
    assert "is guarded by another hermesguard (in another container, or on another machine)" in err


def test_nagios_does_not_know_without_a_store(command, tmp_path):
    code, out, _ = command("status", "--nagios", "--store", tmp_path / "none")
    assert code == 3
    assert out.startswith("HERMESGUARD UNKNOWN - ")


def test_scan_check_finds_a_loss_and_changes_nothing(command, own_scene):
    assert command("scan", "--check", where=own_scene)[0] == 0
    live = own_scene.sessions / f"{own_scene.whole}.json"
    document = json.loads(live.read_text())
    live.write_text(json.dumps({**document, "messages": []}))
    before = live.read_bytes()
    code, out, _ = command("scan", "--check", where=own_scene)
    assert code == ExitCode.PROBLEM
    assert "1 of 4 sessions need repair" in out
    assert live.read_bytes() == before
    code, out, _ = command("scan", "--json", where=own_scene)
    assert code == 0
    assert len(json.loads(live.read_text())["messages"]) == 4


def test_restore_brings_a_version_back_and_undo_reverses_the_guard(command, own_scene):
    live = own_scene.sessions / f"{own_scene.undone}.json"

    def messages(path=live):
        return len(json.loads(path.read_text())["messages"])

    assert messages() == 4
    code, out, _ = command("restore", "2026@-1", "--dry-run", where=own_scene)
    assert code == 0
    assert "would be live: 6 messages instead of 4 (2 come back)" in out
    assert messages() == 4
    code, out, _ = command("restore", "2026@-1", where=own_scene)
    assert code == 0
    assert "is live: 6 messages instead of 4 (2 come back)" in out
    assert messages() == 6
    reverse = out.strip().rsplit("hermesguard ", 1)[1].split()
    assert command(*reverse, where=own_scene)[0] == 0
    assert messages() == 4
    code, out, _ = command("undo", "1", where=own_scene)
    assert code == 0
    assert messages(own_scene.sessions / f"{own_scene.wiped}.json") == 0
    assert command("undo", "1", where=own_scene)[0] == ExitCode.REFUSED


def test_restore_elsewhere(command, own_scene, tmp_path):
    target = tmp_path / "copy.json"
    assert command("restore", "3f2b", "-o", target, where=own_scene)[0] == 0
    shadow = (own_scene.store / "shadows" / f"{own_scene.whole}.json").read_bytes()
    assert target.read_bytes() == shadow
    assert command("restore", "3f2b", "-o", target, where=own_scene)[0] == ExitCode.REFUSED
    code, _, err = command("restore", "3f2b", "-o", own_scene.sessions / "x.json", where=own_scene)
    assert code == ExitCode.REFUSED
    assert "would take it for a session" in err
    assert own_scene.run("restore", "3f2b", "-o", "-").stdout == shadow


def test_restore_all_missing(command, own_scene):
    live = own_scene.sessions / f"{own_scene.whole}.json"
    live.unlink()
    code, out, _ = command("restore", "--all-missing", "--dry-run", where=own_scene)
    assert (code, out) == (0, f"{own_scene.whole} would be restored\n1 session would be restored.\n")
    assert not live.exists()
    assert command("restore", "--all-missing", where=own_scene)[0] == 0
    assert len(json.loads(live.read_text())["messages"]) == 4
    assert command("restore", "--all-missing", where=own_scene)[1] == "No session is missing.\n"


def test_accept_and_purge(command, own_scene):
    code, out, _ = command("accept", "3f2b", where=own_scene)
    assert code == 0
    assert "is accepted as it is: 4 messages." in out
    code, out, _ = command("purge", "3f2a", "--dry-run", where=own_scene)
    assert "would go" in out
    code, out, _ = command("purge", "3f2a", "--yes", where=own_scene)
    assert code == 0
    assert "3 files" in out
    assert command("show", "3f2a0", where=own_scene)[0] == ExitCode.NOT_FOUND
    assert (own_scene.sessions / f"{own_scene.wiped}.json").exists()


def test_purge_without_a_terminal_asks_for_yes(command, own_scene):
    code, _, err = command("purge", "3f2a", where=own_scene)
    assert code == ExitCode.REFUSED
    assert "--yes" in err
    assert command("show", "3f2a", where=own_scene)[0] == 0


def test_purge_asks_on_a_terminal(own_scene):
    def purge(answer):
        controller, terminal = pty.openpty()
        os.write(controller, answer)
        result = own_scene.run("purge", "3f2b", stdin=terminal)
        os.close(controller)
        os.close(terminal)
        return result

    refused = purge(b"n\n")
    assert refused.returncode == ExitCode.REFUSED
    assert b'Purge 3f2b00000002 "Garden tools" from the store, for good?' in refused.stderr
    assert purge(b"y\n").returncode == 0
    assert not (own_scene.store / "shadows" / f"{own_scene.whole}.json").exists()


def test_drill(command):
    code, out, _ = command("drill")
    assert code == 0
    assert out.startswith("4 of 4 sessions restorable, ")
    assert json.loads(command("drill", "--json")[1])["failed"] == []


def test_verify_reads_everything_and_status_says_when(command, own_scene):
    code, out, _ = command("verify", where=own_scene)
    assert code == 0
    assert out.startswith("Read 7 files (")
    assert out.endswith(" of 4 sessions: all good.\n")
    status = command("status", where=own_scene)[1]
    assert re.search(r"^verified +(just now|\d+ s ago)$", status, re.MULTILINE)


def test_verify_rebuilds_what_it_can_and_reports_the_rest(command, own_scene):
    shadow = own_scene.store / "shadows" / f"{own_scene.whole}.json"
    good = shadow.read_bytes()
    shadow.write_bytes(good[:-20])
    version = max((own_scene.store / "history" / own_scene.wiped).iterdir())
    version.write_bytes(version.read_bytes()[:50])
    code, out, _ = command("verify", where=own_scene)
    assert code == ExitCode.PROBLEM
    lines = out.splitlines()
    assert lines[0].startswith(f"{version}: ")
    assert lines[1].startswith(f"{shadow}: ")
    assert lines[1].endswith("; rebuilt from a good live file")
    assert lines[2].endswith("of 4 sessions: 2 damaged.")
    assert shadow.read_bytes() == good
    code, out, _ = command("status", where=own_scene)
    assert "1 file of the store is damaged" in out.splitlines()[1]
    assert "  See: hermesguard verify\n" in out
    found = json.loads(command("verify", "--json", where=own_scene)[1])
    assert [(one["session"], one["rebuilt"]) for one in found["damaged"]] == [(own_scene.wiped, False)]


def test_prune_says_why_each_version_stays_or_goes(command, own_scene):
    code, out, _ = command("prune", "--dry-run", where=own_scene)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["VERSION", "WHY"]
    assert len(lines) == 5
    assert lines[-1] == "0 versions would go (0 B), 3 stay."
    found = json.loads(command("prune", "--json", "--dry-run", where=own_scene)[1])
    assert not any(entry["goes"] for entry in found["versions"])
    assert len(list((own_scene.store / "history").glob("*/*"))) == 3


NASTY = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\u202egnp.exe\u2066\x7f"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_no_text_of_a_session_controls_the_terminal(own_scene, is_terminal):
    chat = own_scene.app.create(f"Nasty {NASTY} title", session_id="nasty", turns=1)
    chat.turn(f"Say {NASTY}", f"```\n{NASTY}\n```", tools=[(NASTY, NASTY, NASTY)])
    chat.messages[-1]["attachments"] = [f"{NASTY}.png"]
    chat.save()
    own_scene.scan()
    losses.lose_message(chat, 1)
    own_scene.scan()
    commands = [
        "list",
        "history nasty",
        "show nasty",
        "show nasty --full",
        "diff nasty",
        "diff nasty@-1 @-2",
        "log",
    ]
    commands += [
        "log --session nasty",
        "explain 2",
        "show nasti",
        "show a",
        "report -o -",
        "accept nasty",
        "status",
    ]
    commands += ["show nasty --markdown"] if is_terminal else ["show nasty --json"]
    for words in commands:
        _, out, err = own_scene.call(
            *words.split(), is_terminal=is_terminal, NO_COLOR="1", PAGER="cat", COLUMNS="80"
        )
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", out + err), words
        assert out or err, words


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_the_commands_that_an_event_advises_are_understood(event):
    from hermesguard.cli.parser import build

    said = {"session": "3f2a", "version": "20260102T030405.000001Z", "incident": "7", "parts": ["title"]}
    for line in event.guidance(said).replace("--part PART", "--part title").splitlines():
        for words in re.findall(r": hermesguard ([a-z].*)$", line):
            assert build().parse_args(words.rstrip(".").split()).verb == words.split()[0]
