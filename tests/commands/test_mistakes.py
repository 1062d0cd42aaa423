"""Whatever is wrong, every command ends with a sentence and an exit code, and never with a traceback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hermesguard.cli.main import main
from hermesguard.cli.verbs import VERBS
from hermesguard.errors import ExitCode
from tests.helpers import cli_store
from tests.helpers.daemon_process import AS_NOBODY

COMMANDS = [
    ["scan", "--check"],
    ["status"],
    ["status", "--json"],
    ["status", "--nagios"],
    ["list"],
    ["list", "--json"],
    ["lost"],
    ["find", "garden"],
    ["salvage"],
    ["history", "3f2a"],
    ["show", "3f2a"],
    ["show", "garden tools", "--markdown"],
    ["diff", "3f2a"],
    ["diff", "2026@-1", "@latest"],
    ["restore", "2026@-1", "--dry-run"],
    ["restore", "3f2b", "-o", "-"],
    ["restore", "--all-missing"],
    ["undo", "1", "--dry-run"],
    ["accept", "3f2b"],
    ["log"],
    ["log", "--json", "--session", "3f2a"],
    ["explain", "1"],
    ["explain", "restored"],
    ["report", "-o", "-"],
    ["verify"],
    ["drill"],
    ["prune", "--dry-run"],
    ["purge", "3f2a", "--dry-run"],
    ["completion", "sessions"],
    ["completion", "subjects"],
    ["config", "show"],
    ["config", "check"],
    ["extension", "status"],
]
AT_THE_STORE = [
    words
    for words in COMMANDS
    if words[0] != "config" and words != ["explain", "restored"] and "--json" not in words
]
SILENT = {"completion"}
"""What may end without a sentence although something is wrong: a shell asks, nobody reads."""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return cli_store.make(tmp_path_factory.mktemp("mistakes"))


@pytest.fixture
def scene(original, tmp_path):
    return cli_store.copied(original, tmp_path / "copy")


def run_all(runs, prefix=()):
    """Run [how, words, scene] in one process; return (words, exit code, stderr) of each."""
    asked = [
        [how, [words[0], *words[1:], "--store", str(where.store), "--sessions", str(where.sessions)]]
        for how, words, where in runs
    ]
    result = subprocess.run(
        [*prefix, sys.executable, Path(__file__).parents[2] / "tests" / "helpers" / "each_command.py"],
        cwd=cli_store.ROOT,
        env=runs[0][2].environment({"PYTHONPATH": str(cli_store.ROOT)}),
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout)
    return [(words, code, said) for (_, words, _), (code, said) in zip(runs, answers, strict=True)]


def is_sound(code, said):
    return (
        code in [*map(int, ExitCode), 3, 130, 141]
        and "Traceback" not in said
        and "should not have happened" not in said
    )


def test_every_verb_is_among_the_commands():
    assert {words[0] for words in COMMANDS} == {verb.name for verb in VERBS} - {
        "run",
        "demo",
        "notify",
        "offsite",
        "open",
        "serve",
    }


def replaced(path, make):
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make(path)


def garbage(path):
    path.write_bytes(b"\xff\xfe\x00{[\n" * 20)


DAMAGES = {
    "the log is garbage": lambda store: garbage(store / "incidents.jsonl"),
    "the log is a directory": lambda store: replaced(store / "incidents.jsonl", Path.mkdir),
    "lines of the log are of odd types": lambda store: (store / "incidents.jsonl").write_text(
        '{"id": "1", "time": "x", "session": "s", "event": "e", "action": "a"}\n[]\n{"id": 1}\nnull\n'
    ),
    "the note of the verification is garbage": lambda store: garbage(store / "verified.json"),
    "the history is a file": lambda store: replaced(store / "history", garbage),
    "a history is a file": lambda store: garbage(store / "history" / "3f2b00000002"),
    "all versions are garbage": lambda store: [garbage(path) for path in (store / "history").glob("*/*")],
    "a version has an impossible time": lambda store: garbage(
        store / "history" / "3f2a00000001" / "99999999T999999.999999Z-1-loss-0123456789abcdef.json.gz"
    ),
    "all shadows are garbage": lambda store: [garbage(path) for path in (store / "shadows").glob("*")],
    "all shadows are empty": lambda store: [path.write_bytes(b"") for path in (store / "shadows").glob("*")],
    "a shadow is a directory": lambda store: replaced(store / "shadows/3f2a00000001.json", Path.mkdir),
    "a shadow is a pipe": lambda store: replaced(store / "shadows/3f2a00000001.json", os.mkfifo),
    "a shadow leads nowhere": lambda store: replaced(
        store / "shadows/3f2a00000001.json", lambda path: path.symlink_to("/nowhere")
    ),
    "a delta log is garbage": lambda store: garbage(store / "shadows/3f2a00000001.delta"),
    "the lock is a directory": lambda store: replaced(store / "lock", Path.mkdir),
    "the socket is a file": lambda store: garbage(store / "control"),
    "the format is garbage": lambda store: garbage(store / "format"),
    "the store is empty": lambda store: [
        replaced(store / name, Path.mkdir) for name in ("shadows", "history")
    ],
}


@pytest.fixture(scope="module")
def answers(original, tmp_path_factory):
    """By damage: what every command made of it."""
    root, runs = tmp_path_factory.mktemp("damages"), []
    for number, damage in enumerate(DAMAGES.values()):
        damaged = cli_store.copied(original, root / str(number))
        damage(damaged.store)
        runs += [("null", words, damaged) for words in AT_THE_STORE]
    found = run_all(runs)
    size = len(AT_THE_STORE)
    return {damage: found[number * size : (number + 1) * size] for number, damage in enumerate(DAMAGES)}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_store(answers, damage):
    for words, code, said in answers[damage]:
        assert is_sound(code, said), (words, code, said)
        if code not in (0, 3, 4) and words[0] not in SILENT and "--nagios" not in words:
            assert said.startswith("hermesguard: "), (words, code, said)
            assert said.rstrip().endswith((".", ")")), (words, code, said)


@pytest.mark.parametrize("where", ["store", "sessions"])
def test_without_the_right_to_read(scene, where):
    directory = getattr(scene, where)
    directory.chmod(0)
    # Root reads everything, unless the kernel takes that right from it.
    prefix = AS_NOBODY if os.getuid() == 0 else ()
    try:
        found = run_all([("null", words, scene) for words in COMMANDS], prefix)
    finally:
        directory.chmod(0o700)
    for words, code, said in found:
        assert is_sound(code, said), (words, code, said)
        needs_store = words[0] not in ("config", "scan", "extension") and words != ["explain", "restored"]
        if where == "store" and needs_store and "--nagios" not in words:
            assert code == ExitCode.FAILED, (words, code, said)
            assert "Permission denied" in said or "may not be" in said, (words, said)


@pytest.mark.parametrize(("how", "code"), [("closed", 141), ("full", ExitCode.FAILED)])
def test_nobody_takes_the_output(scene, how, code):
    words = [words for words in COMMANDS if words[0] not in ("accept", "report") and "--json" not in words]
    words += [["--help"], ["show", "--help"]]
    for asked, found, said in run_all([(how, it, scene) for it in words]):
        assert found == code, (asked, found, said)
        assert said == ("" if how == "closed" else "hermesguard: No space left on device.\n"), asked


CALLS = (3, 10, 50, 150, 400, 1000)
INTERRUPTED = [
    *(["status"], ["list"], ["show", "3f2a"], ["log"], ["show", "nothing"], ["shwo"], ["verify"]),
    *(["restore", "2026@-1"], ["undo", "1"], ["purge", "3f2b", "--yes"]),
]


def test_an_interrupt_at_any_time(original, tmp_path):
    scenes = {call: cli_store.copied(original, tmp_path / str(call)) for call in CALLS}
    runs = [(call, words, scenes[call]) for call in CALLS for words in INTERRUPTED]
    for (call, _, _), (words, code, said) in zip(runs, run_all(runs), strict=True):
        assert is_sound(code, said), (call, words, code, said)
        assert code == 130 or call > 10, (call, words, code, said)
    for scene in scenes.values():
        for path in scene.sessions.glob("[0-9]*.json"):
            json.loads(path.read_text())
        assert scene.call("verify")[0] == 0


def test_a_version_that_is_not_there(scene):
    asked = [
        ["show", "3f2a@-99"],
        ["diff", "3f2a@-99"],
        ["diff", "3f2a@-1", "@-99"],
        ["diff", "3f2a", "@yesteryear"],
        ["restore", "3f2a@-99"],
        ["restore", "3f2a@20200101T000000.000000Z", "--dry-run"],
        ["restore", "3f2a@-99", "-o", "-"],
    ]
    for words, code, said in run_all([("null", words, scene) for words in asked]):
        assert code == ExitCode.NOT_FOUND, (words, said)
        assert f"hermesguard --store {scene.store} history 3f2a00000001" in said, (words, said)


def test_what_is_not_there_at_all(scene):
    asked = [
        [verb, "zzz"] for verb in ("history", "show", "diff", "restore", "accept", "purge", "undo", "explain")
    ]
    asked += [["log", "--session", "zzz"], ["undo", "#99"], ["explain", "99"]]
    for words, code, said in run_all([("null", words, scene) for words in asked]):
        assert code == ExitCode.NOT_FOUND, (words, said)
        assert said.startswith("hermesguard: "), (words, said)


def test_without_enough_memory_there_is_a_sentence(monkeypatch, capsys):
    def read(arguments, settings):
        raise MemoryError

    monkeypatch.setattr("hermesguard.cli.commands.service.verify.verify", read)
    assert main(["--store", "/nonexistent/store", "verify"]) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert said.startswith("hermesguard: there is not enough memory for that.")
    assert "should not have happened" not in said
    assert said.count("\n") == 1
