"""Directories that are empty, gone, or have something strange in them: each command says so, and what is missing is listed."""

import json
import os
import shutil
import stat

import pytest

from hermesguard import files
from hermesguard.config import memory
from hermesguard.errors import ExitCode
from tests.helpers import cli_store


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return cli_store.make(tmp_path_factory.mktemp("places"))


@pytest.fixture
def scene(original, tmp_path):
    return cli_store.copied(original, tmp_path / "copy")


def emptied(scene):
    shutil.rmtree(scene.sessions)
    scene.sessions.mkdir()


def missed(scene):
    return {one["session"]: one for one in json.loads(scene.call("lost", "--json")[1])["lost"]}


def test_all_files_gone_while_no_guard_ran_are_missed(scene):
    emptied(scene)
    out = scene.call("status")[1]
    assert out.startswith("Something missing? 4 gone. See: hermesguard lost\n")
    found = missed(scene)
    assert {one["kind"] for one in found.values()} == {"not known"}
    assert len(found) == 4
    code, out, _ = scene.call("scan", "--check")
    assert code == ExitCode.PROBLEM
    assert f"All 4 sessions are gone from {scene.sessions}." in out
    for one in found.values():
        assert scene.call(*one["command"].split()[1:])[0] == 0
    assert {one["kind"] for one in missed(scene).values()} <= {"repaired", "shortened"}
    assert len(list(scene.sessions.glob("*.json"))) == 4


def test_one_file_gone_while_no_guard_ran_is_missed(scene):
    (scene.sessions / f"{scene.whole}.json").unlink()
    (one,) = (one for one in missed(scene).values() if one["session"] == scene.whole)
    assert (one["kind"], one["messages_before"], one["command"]) == (
        "not known", 4, f"hermesguard restore {scene.whole}",
    )  # fmt: skip


def test_a_directory_that_is_not_there_is_named_and_nothing_in_it_is_taken_for_gone(scene):
    shutil.rmtree(scene.sessions)
    code, out, _ = scene.call("status")
    assert code == ExitCode.PROBLEM
    what = f"the sessions directory {scene.sessions} cannot be read: No such file or directory"
    assert what in out
    assert what in json.loads(scene.call("status", "--json")[1])["problems"][0]["what"]
    assert "gone" not in out.splitlines()[0]
    assert "not known" not in {one["kind"] for one in missed(scene).values()}


@pytest.mark.parametrize("how", ["torn", "garbage", "a directory", "a pipe"])
def test_an_index_that_nobody_can_read_stops_no_command(scene, how):
    path = scene.sessions / "_index.json"
    data = path.read_bytes()
    path.unlink()
    if how == "a directory":
        path.mkdir()
    elif how == "a pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(data[:-20] if how == "torn" else b"\xff\x00" * 50)
    for words in ("status", "lost", "list", "find garden", "scan --check", "salvage", "explain 1", "scan"):
        code, out, err = scene.call(*words.split())
        assert code == (ExitCode.PROBLEM if words == "status" else 0), (words, out, err)
        assert err == ""


def test_nothing_at_all(scene):
    emptied(scene)
    shutil.rmtree(scene.store)
    assert scene.call("scan", "--check")[1] == "Nothing is wrong with any of 0 sessions.\n"
    code, _, err = scene.call("status")
    assert code == ExitCode.NO_STORE
    assert "Start the guard (hermesguard run)" in err
    assert scene.call("scan")[0] == 0
    assert scene.call("lost")[1].startswith(
        "Nothing is missing, as far as this guard knows: it has seen no conversation yet."
    )
    assert scene.call("list")[1].startswith("No session yet. Whether the guard looks at the right place: ")


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK])
@pytest.mark.parametrize("place", ["history/{}", "history/new", "shadows/{}.delta", "shadows/new.json"])
def test_what_is_none_of_ours_in_the_store_is_named_and_hides_no_session(scene, place, kind):
    path = scene.store / place.format(scene.whole)
    if kind == stat.S_IFREG and path.parent.name == "shadows":
        path.mkdir()
    else:
        os.mknod(path, kind | 0o600)
    found = scene.call("verify")
    assert found[0] == ExitCode.PROBLEM
    assert f"{path}: not a " in found[1]
    assert found[1].count("\n") == 3
    assert "1 damaged.\nWhat is none of hermesguard's" in found[1]
    for words in (
        "status",
        "list",
        "lost",
        "report -o -",
        "drill",
        f"history {scene.whole}",
        f"history {scene.wiped}",
    ):
        code, _, err = scene.call(*words.split())
        assert code == (ExitCode.PROBLEM if words == "status" else 0), (words, err)
    assert scene.call("purge", scene.whole, "--yes")[0] == 0


@pytest.mark.parametrize("words", ["report -o -", "status", "log --since today", "list", "explain 1", "scan"])
def test_a_time_zone_that_no_calendar_has_costs_no_command_its_answer(scene, words):
    variables = {"TZ": "XXX-24:59:59", "HERMESGUARD_LOG": "text"}
    answer = scene.run(*words.split(), environment=variables, text=True)
    assert (answer.returncode, answer.stderr) == (ExitCode.PROBLEM if words == "status" else 0, "")
    assert answer.stdout


def test_a_copy_of_any_size_is_verified_without_reading_it_into_memory(scene, monkeypatch):
    path = scene.store / "shadows" / f"{scene.whole}.json"
    noted = os.getxattr(path, "user.hermesguard")
    os.truncate(path, 2**27)
    os.setxattr(path, "user.hermesguard", noted)
    monkeypatch.setattr(memory, "LARGEST_BYTES", 2**26)
    read = []
    real = files.read_open
    monkeypatch.setattr(files, "read_open", lambda file, size: read.append(size) or real(file, size))
    code, out, _ = scene.call("verify")
    assert code == ExitCode.PROBLEM
    assert f"{path}: {path.name} is damaged: its content has another digest" in out
    assert max(read) < 2**26


@pytest.mark.parametrize(
    "words",
    [
        "list",
        "lost",
        "scan --check",
        "find garden",
        "show planted",
        "explain planted",
        "history planted",
        "salvage",
    ],
)
def test_a_session_file_of_any_size_is_not_read_into_memory(scene, words):
    path = scene.sessions / "planted.json"
    path.touch()
    os.truncate(path, 2**40)
    code, out, err = scene.call(*words.split())
    assert "memory" not in err
    assert "should not have happened" not in err
    assert code in (0, ExitCode.PROBLEM) or (words.endswith("planted") and err)
    assert out or err


def test_a_pipe_in_place_of_what_the_guard_remembers_keeps_no_command_waiting(scene):
    path = scene.store / "listed.json"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    answer = scene.run("scan", "--check", text=True)
    assert (answer.returncode, answer.stderr) == (0, "")
