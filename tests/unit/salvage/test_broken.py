"""Traces that cannot be used: a sentence each, nothing changed, and the others are used all the same."""

import json
import os
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hermesguard.demo.eras import Era
from hermesguard.salvage.places import Places
from hermesguard.salvage.readers.home import agent_home
from hermesguard.salvage.survey import survey
from tests.helpers.home import Home, Said, chat, stamps, told

SID = "4f2a61c09b7d"
CHAT = chat(6)


def lost(root: Path, era: Era = Era.NEW) -> Home:
    """Return a home whose one session is wiped and whose session log has it all."""
    home = Home(root, era, 30)
    home.save(SID, CHAT)
    home.wipe(SID, index_count=len(CHAT))
    home.log(SID, CHAT)
    return home


def rebuilt(home: Home, limit_bytes: int = 64 * 1024 * 1024) -> tuple[list[Said], list[str]]:
    """Return the messages that come back, and every sentence that was said; check that nothing changes."""
    before, notes = stamps(home.root), list[str]()
    found = list(survey(Places(home.sessions, home.agent, limit_bytes=limit_bytes), [SID], notes=notes))
    assert stamps(home.root) == before
    return json.loads(found[0].document())["messages"], [*notes, *found[0].notes]


def zeroed(home: Home) -> None:
    (home.agent / "state.db").write_bytes(bytes(8192))


def empty(home: Home) -> None:
    (home.agent / "state.db").write_bytes(b"")


def no_database(home: Home) -> None:
    (home.agent / "state.db").write_text("this is no database, it is a text", encoding="utf-8")


def corrupt(home: Home) -> None:
    home.remember(SID, CHAT)
    path = home.agent / "state.db"
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)


def truncated(home: Home) -> None:
    home.remember(SID, CHAT)
    path = home.agent / "state.db"
    path.write_bytes(path.read_bytes()[:5000])


def another_programs(home: Home) -> None:
    connection = sqlite3.connect(home.agent / "state.db")
    connection.execute("CREATE TABLE recipes (id INTEGER, title TEXT)")
    connection.commit()
    connection.close()


def foreign_json(home: Home) -> None:
    (home.agent / "sessions" / f"request_dump_{SID}_20260202_084000_0.json").write_text(
        '["a list"]', encoding="utf-8"
    )


def torn_log(home: Home) -> None:
    (home.agent / "sessions" / f"request_dump_{SID}_20260202_084000_0.json").write_text(
        '{"request": {', encoding="utf-8"
    )


def torn_journals(home: Home) -> None:
    home.prompts(SID, CHAT).write_bytes(b'{"event": "submitted", "content": "half a li\n\xff\xfe\n')


def torn_run(home: Home) -> None:
    path = home.run(SID, 1, CHAT, CHAT[-1]["timestamp"])
    path.write_bytes(path.read_bytes()[:-400] + b"\n[1, 2]\n")


def zip_bomb(home: Home) -> None:
    (home.agent / "backups").mkdir()
    with (
        zipfile.ZipFile(home.agent / "backups" / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open(f"webui/sessions/{SID}.json", "w", force_zip64=True) as member,
    ):
        for _ in range(80):
            member.write(b" " * 1024 * 1024)


def no_zip(home: Home) -> None:
    (home.agent / "backups").mkdir()
    (home.agent / "backups" / "a.zip").write_bytes(b"PK\3\4 and nothing more")


def unreadable_temp(home: Home) -> None:
    (home.sessions / f"{SID}.tmp.1.2").write_bytes(b"\0" * 300)


def a_pipe(home: Home) -> None:
    os.mkfifo(home.sessions / f"{SID}.json.bak")


def other_sessions_copy(home: Home) -> None:
    text = json.dumps(home.document("other", chat(9, word="secret of another")))
    (home.sessions / f"{SID}.json.bak").write_text(text, encoding="utf-8")


BROKEN: list[tuple[Callable[[Home], None], str]] = [
    (zeroed, "state.db is zeroed"),
    (empty, "state.db is empty"),
    (no_database, "state.db is no SQLite database"),
    (corrupt, "malformed"),
    (truncated, "malformed"),
    (another_programs, "database of another program"),
    (foreign_json, "is another program's"),
    (torn_log, "is not JSON, or torn"),
    (torn_journals, "has a torn line"),
    (torn_run, "has torn lines"),
    (zip_bomb, "would unpack to"),
    (no_zip, "is no zip archive"),
    (unreadable_temp, "is empty"),
    (a_pipe, "cannot be read"),
    (other_sessions_copy, "holds another session"),
]


@pytest.mark.parametrize(("break_it", "sentence"), BROKEN, ids=[break_it.__name__ for break_it, _ in BROKEN])
def test_a_broken_trace_is_named_and_the_others_are_used(
    tmp_path: Path, break_it: Callable[[Home], None], sentence: str
) -> None:
    home = lost(tmp_path)
    break_it(home)
    found, notes = rebuilt(home)
    assert told(found) == told(CHAT)
    assert any(sentence in note for note in notes), notes
    assert all(note.endswith(".") for note in notes), notes


def test_what_is_too_large_for_memory_is_left_out_with_a_sentence(tmp_path: Path) -> None:
    home = lost(tmp_path)
    home.remember(SID, [{"role": "user", "content": "x" * 300_000, "timestamp": 1.0}])
    (home.sessions / f"{SID}.json.bak").write_bytes(b" " * 200_000)
    found, notes = rebuilt(home, limit_bytes=100_000)
    assert told(found) == told(CHAT)
    assert len([note for note in notes if "more than may be held in memory" in note]) == 2


def test_a_database_that_is_being_written_is_read_with_its_newest_writes(tmp_path: Path) -> None:
    home = lost(tmp_path)
    (home.agent / "sessions" / f"session_{SID}.json").unlink()
    connection = home.database()
    home.remember(SID, CHAT, connection)
    assert (home.agent / "state.db-wal").stat().st_size
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "INSERT INTO messages (session_id, role, content, timestamp) VALUES ('x', 'user', 'y', 1)"
    )
    found, notes = rebuilt(home)
    assert told(found) == told(CHAT)
    assert not notes
    connection.rollback()
    connection.close()


def test_a_large_database_is_read_in_place_with_its_newest_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hermesguard.salvage.readers import statedb

    monkeypatch.setattr(statedb, "_SMALL_BYTES", 0)
    monkeypatch.setattr(statedb, "_MOST_COPIED_BYTES", 0)
    home = lost(tmp_path)
    (home.agent / "sessions" / f"session_{SID}.json").unlink()
    connection = home.database()
    home.remember(SID, CHAT, connection)
    found, notes = rebuilt(home)
    assert told(found) == told(CHAT)
    assert not notes
    connection.close()


def test_a_database_whose_index_of_the_log_is_gone_is_copied(tmp_path: Path) -> None:
    home = lost(tmp_path)
    (home.agent / "sessions" / f"session_{SID}.json").unlink()
    connection = home.database()
    home.remember(SID, CHAT, connection)
    for ending in ("", "-wal"):
        data = (home.agent / f"state.db{ending}").read_bytes()
        (tmp_path / f"kept{ending}").write_bytes(data)
    connection.close()
    for ending in ("", "-wal"):
        os.replace(tmp_path / f"kept{ending}", home.agent / f"state.db{ending}")
    (home.agent / "state.db-shm").unlink(missing_ok=True)
    found, notes = rebuilt(home)
    assert told(found) == told(CHAT)
    assert not notes
    assert not (home.agent / "state.db-shm").exists()


def test_a_home_that_may_only_be_read_is_enough(tmp_path: Path) -> None:
    home = lost(tmp_path)
    home.remember(SID, CHAT)
    for directory in (home.agent, home.sessions):
        directory.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert told(rebuilt(home)[0]) == told(CHAT)
    finally:
        for directory in (home.agent, home.sessions):
            directory.chmod(stat.S_IRWXU)


def test_the_database_of_another_profile_is_found(tmp_path: Path) -> None:
    home = lost(tmp_path)
    (home.agent / "sessions" / f"session_{SID}.json").unlink()
    profile = home.agent / "profiles" / "work"
    profile.mkdir(parents=True)
    connection = home.database(profile / "state.db")
    home.remember(SID, CHAT, connection)
    connection.close()
    assert told(rebuilt(home)[0]) == told(CHAT)


def test_which_home_of_the_agent_belongs_to_a_sessions_directory(tmp_path: Path) -> None:
    sessions = tmp_path / ".hermes" / "webui" / "sessions"
    assert agent_home(sessions, None, {}) == tmp_path / ".hermes"
    assert agent_home(sessions, tmp_path / "other", {}) == tmp_path / "other"
    assert agent_home(tmp_path / "s", None, {"HERMES_HOME": "/srv/hermes"}) == Path("/srv/hermes")
    assert agent_home(tmp_path / "s", None, {"HOME": "/home/me"}) == Path("/home/me/.hermes")
