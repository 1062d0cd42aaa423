"""What a command says is true of what was done, and says what can be done next."""

from dataclasses import replace

import pytest

from hermesguard.errors import ExitCode
from hermesguard.store import incidents
from hermesguard.store.incidents import Incident
from tests.helpers import cli_store


@pytest.fixture
def scene(tmp_path):
    return cli_store.make(tmp_path / "scene")


def put_back(scene):
    """Note that the file of a session vanished and was put back, which a user has to confirm; return the incident's number."""
    scene.app.path(scene.whole).unlink()
    scene.call("restore", scene.whole)
    log = scene.store / "incidents.jsonl"
    number = str(len(incidents.read_all(scene.store)) + 100)
    line = Incident(
        *(number, "2030-01-01T00:00:00+00:00", scene.whole, "missing", "restored"),
        messages_before=4,
        messages_live=0,
        messages_after=4,
        undo=f"hermesguard undo {number}",
    ).line()
    log.write_bytes(log.read_bytes() + line)
    return number


def test_undo_of_what_a_user_asked_for_names_the_command_that_goes_back(scene):
    version = next(one.version for one in incidents.read_all(scene.store) if one.event == "intended")
    before = scene.app.path(scene.undone).read_bytes()
    code, said, _ = scene.call("restore", f"{scene.undone}@{version}")
    assert code == 0
    number = incidents.read_all(scene.store)[-1].id
    _, out, _ = scene.call("history", scene.undone)
    assert "displaced by a user's command" in out
    assert "displaced by a repair" not in out
    code, _, err = scene.call("undo", number)
    assert code == ExitCode.REFUSED
    command = err.rpartition("To go back: ")[2].strip().removesuffix(".")
    assert command in said, "the answer to restore had named the same"
    assert scene.call(*command.split()[1:])[0] == 0
    assert scene.app.path(scene.undone).read_bytes() == before


def test_a_session_that_was_put_back_is_taken_away_by_undo_and_not_by_purge(scene):
    number = put_back(scene)
    _, out, _ = scene.call("explain", number)
    advice = out.partition("What to do now")[2]
    assert f"hermesguard restore {scene.whole}" in advice
    assert f"hermesguard undo {number}" in advice
    assert "purge" not in advice, "its file is there, so the guard would keep a copy again"
    assert scene.call("undo", number)[0] == 0
    assert not scene.app.path(scene.whole).exists()


def test_what_waits_for_an_answer_leads_to_the_question(scene):
    number = put_back(scene)
    _, out, _ = scene.call("lost")
    assert f"hermesguard explain {number}" in out
    assert scene.call("restore", scene.whole)[0] == 0
    assert f"hermesguard explain {number}" not in scene.call("lost")[1]


def test_explain_lists_the_sessions_that_a_word_fits(scene):
    code, _, err = scene.call("explain", "garden")
    assert code == ExitCode.NOT_FOUND
    assert '2 sessions fit "garden"' in err
    assert scene.whole in err
    assert scene.wiped in err


def test_salvage_finds_a_conversation_by_its_title(scene):
    (scene.sessions / "_index.json").unlink()
    code, _, err = scene.call("salvage", "garden tools", "--dry-run")
    assert (code, err) == (0, "")
    assert "Garden tools" in scene.call("salvage", "gardn toolz")[2]


def test_a_word_is_not_sought_where_nothing_is_kept(scene, tmp_path):
    (tmp_path / "empty").mkdir()
    elsewhere = replace(scene, root=tmp_path / "other")
    elsewhere.sessions.mkdir(parents=True)
    elsewhere.scan()
    code, _, err = elsewhere.call("find", "garden")
    assert code == ExitCode.NOT_FOUND
    assert "no copy is kept yet" in err
    assert "hermesguard status" in err


def test_a_copy_for_a_directory_that_is_not_there(scene, tmp_path):
    code, _, err = scene.call("restore", scene.whole, "-o", tmp_path / "none" / "copy.json")
    assert code == ExitCode.FAILED
    assert f"There is no directory {tmp_path / 'none'}. Make it first" in err


def test_what_was_done_is_never_cut_off_in_the_log(scene):
    put_back(scene)
    scene.call("accept", scene.wiped)
    _, out, _ = scene.call("log", COLUMNS="80")
    assert "  restored by user   0 > 4\n" in out
    assert "  missing, restored  4 > 0 > 4\n" in out
    assert "asked for" not in out
    assert all(len(line) <= 80 for line in out.splitlines())
