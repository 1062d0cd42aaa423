"""Homes with something in them that nobody expects: the conversation comes back from the other traces, and nothing changes."""

import json
import os
import resource
import shutil
import sqlite3
import threading
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hermesguard.demo.eras import Era
from hermesguard.salvage.finding import Finding, State
from hermesguard.salvage.places import Places
from hermesguard.salvage.readers import journals
from hermesguard.salvage.survey import survey
from tests.helpers.home import START, Home, chat, stamps, told

SID = "4f2a61c09b7d"
CHAT = chat(6)
Odd = Callable[[Home], object]


def look(home: Home) -> tuple[list[Finding], list[str]]:
    notes: list[str] = []
    found = list(survey(Places(home.sessions, home.agent), notes=notes))
    return found, notes + [note for one in found for note in one.notes]


def emptied(home: Home) -> Home:
    """A conversation that was wiped, while the index goes on counting it."""
    home.save(SID, CHAT)
    home.wipe(SID, index_count=len(CHAT))
    return home


def in_statedb(home: Home, *statements: str) -> None:
    connection = home.database()
    home.remember(SID, CHAT, connection)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def closed(home: Home, said: list[dict[str, object]] = CHAT) -> Path:
    """The database in one file, no log beside it."""
    home.remember(SID, said)
    connection = home.database()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return home.agent / "state.db"


def written(home: Home, at: str, text: str | bytes) -> Path:
    path = home.agent / at
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def zipped(home: Home, name: str, text: str) -> Path:
    path = written(home, "backups/a.zip", b"")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, text)
    return path


def encrypted(home: Home) -> None:
    path = zipped(home, f"sessions/{SID}.json", "{}")
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)


def pipe(home: Home, at: str) -> None:
    (home.agent / at).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(home.agent / at)


def foreign_log(home: Home) -> None:
    """What a database that was put back finds beside itself."""
    closed(home)
    other = sqlite3.connect(home.agent / "other.db")
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("CREATE TABLE t(x)")
    other.commit()
    shutil.copy(home.agent / "other.db-wal", home.agent / "state.db-wal")
    other.close()
    (home.agent / "other.db").unlink()


def damaged(home: Home, damage: Callable[[bytes], bytes]) -> None:
    path = closed(home, CHAT * 30)
    path.write_bytes(damage(path.read_bytes()))


LOG = f"sessions/session_{SID}.json"
RUNS = f"webui/sessions/_run_journal/{SID}/a.jsonl"
PROMPTS = f"webui/sessions/_turn_journal/{SID}.jsonl"
# Beside a session log that is whole.
ODD_DATABASES: dict[str, tuple[Odd, str]] = {
    "a pipe": (lambda home: pipe(home, "state.db"), "not a regular file"),
    "a directory": (lambda home: (home.agent / "state.db").mkdir(), "not a regular file"),
    "a link to nowhere": (lambda home: (home.agent / "state.db").symlink_to("/nowhere"), ""),
    "a link to itself": (lambda home: (home.agent / "state.db").symlink_to("state.db"), ""),
    "half of it": (lambda home: damaged(home, lambda data: data[: len(data) // 2]), "malformed"),
    "noise behind its first pages": (
        lambda home: damaged(home, lambda data: data[:8192] + b"\xa5" * (len(data) - 8192)),
        "malformed",
    ),
    "zeros behind its first page": (
        lambda home: damaged(home, lambda data: data[:4096] + bytes(len(data) - 4096)),
        "malformed",
    ),
}
# The database is the only one that has it.
ODD_ROWS: dict[str, Odd] = {
    "contents are bytes": lambda home: in_statedb(
        home, "UPDATE messages SET content = CAST(content AS BLOB)"
    ),
    "ids are numbers": lambda home: in_statedb(
        home, "INSERT INTO sessions (id, source, started_at) VALUES (12345, 'cli', 1)"
    ),
    "roles are odd": lambda home: in_statedb(
        home,
        f"INSERT INTO messages (session_id, role, content, timestamp) VALUES ('{SID}', '', NULL, 1)",
        f"INSERT INTO messages (session_id, role, content, timestamp) VALUES ('{SID}', x'00', x'ff', 1)",
    ),
    "times are texts": lambda home: in_statedb(home, "UPDATE messages SET timestamp = '2026-02-02T02:40:00'"),
    "times are infinite": lambda home: in_statedb(
        home, "UPDATE messages SET timestamp = 9e999", "UPDATE sessions SET started_at = -9e999"
    ),
    "its tables are views": lambda home: in_statedb(
        home, "ALTER TABLE messages RENAME TO m", "CREATE VIEW messages AS SELECT * FROM m"
    ),
    "columns are generated": lambda home: in_statedb(
        home, "ALTER TABLE messages ADD COLUMN g TEXT GENERATED ALWAYS AS (role) VIRTUAL"
    ),
    "a table's module is not here": lambda home: in_statedb(
        home,
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master VALUES ('table', 'z', 'z', 0, 'CREATE VIRTUAL TABLE z USING nowhere(x)')",
    ),
    "it is its own parent": lambda home: home.remember(
        SID, CHAT, parent_session_id=SID, end_reason="compression"
    ),
    "it is UTF-16": lambda home: (
        sqlite3.connect(home.agent / "state.db").execute("PRAGMA encoding = 'UTF-16'").connection.close(),
        home.remember(SID, CHAT),
    ),
    "its log is noise": lambda home: (closed(home), written(home, "state.db-wal", b"\xa5" * 5000)),
    "its log is another's": foreign_log,
    "another profile has a copy": lambda home: (
        (home.agent / "profiles" / "b").mkdir(parents=True),
        shutil.copy(closed(home), home.agent / "profiles" / "b" / "state.db"),
    ),
    "a profile leads back home": lambda home: (
        home.remember(SID, CHAT),
        (home.agent / "profiles").mkdir(),
        (home.agent / "profiles" / "me").symlink_to(".."),
    ),
}
# Beside a database that is whole.
ODD_FILES: dict[str, tuple[Odd, str]] = {
    "a log is a pipe": (lambda home: pipe(home, LOG), "not a regular file"),
    "a log is a list": (lambda home: written(home, LOG, "[1, 2]"), "another program's"),
    "a log is nested too deeply": (lambda home: written(home, LOG, '{"a":' + "[" * 100_000), "not JSON"),
    "a log has a number of 5000 digits": (lambda home: written(home, LOG, '{"a": ' + "9" * 5000), "not JSON"),
    "a log is in Latin-1": (lambda home: written(home, LOG, '{"a": "é"}'.encode("latin-1")), "not JSON"),
    "a journal is a pipe": (lambda home: pipe(home, RUNS), "not a regular file"),
    "a journal is a directory": (
        lambda home: (home.agent / RUNS).mkdir(parents=True),
        "not a regular file",
    ),
    "a journal's events are odd": (
        lambda home: written(
            home,
            RUNS,
            'null\n[]\n{"event": "done"}\n{"event": "done", "payload": 5}\n{"event": ["done"]}\n'
            '{"event": "done", "payload": {"session": {"messages": [1, null]}}, "created_at": "x"}\n'
            '{"event": "token", "payload": {"text": 5}}\n' + "\0" * 50,
        ),
        "torn lines",
    ),
    "prompts are a pipe": (lambda home: pipe(home, PROMPTS), "not a regular file"),
    "a backup is a pipe": (lambda home: pipe(home, f"webui/sessions/{SID}.json.bak"), "not a regular file"),
    "a backup is a link": (
        lambda home: (home.sessions / f"{SID}.json.bak").symlink_to("/etc/passwd"),
        "symbolic link",
    ),
    "an archive is a pipe": (lambda home: pipe(home, "backups/a.zip"), "not a regular file"),
    "an archive is a directory": (lambda home: (home.agent / "backups/a.zip").mkdir(parents=True), "a.zip"),
    "an archive is encrypted": (encrypted, "is encrypted"),
    "an archive has another database": (
        lambda home: zipped(home, "x/state.db", "junk"),
        "a.zip: state.db is no",
    ),
    "the index is a pipe": (
        lambda home: ((home.sessions / "_index.json").unlink(), pipe(home, "webui/sessions/_index.json")),
        "",
    ),
    "the index is torn": (lambda home: written(home, "webui/sessions/_index.json", '[{"session'), ""),
    "the index has odd rows": (
        lambda home: written(
            home,
            "webui/sessions/_index.json",
            json.dumps([None, 5, [], {}, {"session_id": 5}, {"session_id": "../../etc/passwd"}])[:-1]
            + f', {{"session_id": "{SID}", "message_count": "40", "title": {{}}, "updated_at": "x"}},'
            f' {{"session_id": "{SID}y", "message_count": 1e400, "parent_session_id": "{SID}"}}]',
        ),
        "",
    ),
    "the index has a title and times that are none": (
        lambda home: written(
            home,
            "webui/sessions/_index.json",
            f'[{{"session_id": "{SID}", "message_count": {len(CHAT)}, "title": {{}}, "updated_at": {"9" * 400}}}]',
        ),
        "",
    ),
    "the tombstones are odd": (
        lambda home: written(home, "webui/sessions/_deleted_webui_sessions.json", '{"ids": [null, 5, {}]}'),
        "",
    ),
}


def is_whole_again(home: Home) -> list[str]:
    before = stamps(home.root)
    found, notes = look(home)
    (finding,) = (one for one in found if one.session == SID)
    assert finding.state is State.LOST
    assert told(json.loads(finding.document())["messages"]) == told(CHAT)
    assert stamps(home.root) == before
    return notes


in_both_eras = pytest.mark.parametrize(("era", "schema"), [(Era.OLD, 2), (Era.NEW, 30)])


@in_both_eras
@pytest.mark.parametrize("name", ODD_DATABASES)
def test_odd_databases(tmp_path: Path, name: str, era: Era, schema: int) -> None:
    home = emptied(Home(tmp_path, era, schema))
    home.log(SID, CHAT)
    odd, said = ODD_DATABASES[name]
    odd(home)
    notes = is_whole_again(home)
    assert any(said in note for note in notes) or not said, notes


@in_both_eras
@pytest.mark.parametrize("name", ODD_ROWS)
def test_odd_rows(tmp_path: Path, name: str, era: Era, schema: int) -> None:
    home = emptied(Home(tmp_path, era, schema))
    ODD_ROWS[name](home)
    is_whole_again(home)


@in_both_eras
@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_files(tmp_path: Path, name: str, era: Era, schema: int) -> None:
    home = emptied(Home(tmp_path, era, schema))
    home.remember(SID, CHAT)
    odd, said = ODD_FILES[name]
    odd(home)
    notes = is_whole_again(home)
    assert any(said in note for note in notes) or not said, notes


def test_a_database_that_is_written_in_an_exclusive_transaction(tmp_path: Path) -> None:
    home = emptied(Home(tmp_path))
    home.remember(SID, CHAT)
    connection = home.database()
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("UPDATE messages SET content = hex(randomblob(3000))")
        is_whole_again(home)
    finally:
        connection.close()


@pytest.mark.parametrize("layout", ["as the application writes it", "on one line", "with carriage returns"])
def test_the_beginning_of_a_torn_file_comes_back_though_nothing_else_has_it(
    tmp_path: Path, layout: str
) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    path = home.save(SID, CHAT)
    value = home.document(SID, CHAT)
    text = json.dumps(value) if layout == "on one line" else json.dumps(value, indent=2)
    end = "\r\n" if layout == "with carriage returns" else "\n"
    path.write_bytes(text[: int(len(text) * 0.45)].replace("\n", end).encode())
    before = stamps(home.root)
    ((finding,), _) = look(home)
    messages = json.loads(finding.document())["messages"]
    assert (finding.state, finding.messages_now) == (State.LOST, None)
    assert 0 < len(messages) == finding.messages_after < len(CHAT)
    assert told(messages) == told(CHAT)[: len(messages)]
    assert stamps(home.root) == before


def test_a_file_that_is_a_link_is_read_where_it_leads(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.remember(SID, CHAT)
    home.save(SID, CHAT).rename(home.agent / "elsewhere.json")
    (home.sessions / f"{SID}.json").symlink_to(home.agent / "elsewhere.json")
    assert look(home) == ([], [])


def test_letters_are_the_same_however_they_are_composed(tmp_path: Path) -> None:
    home = emptied(Home(tmp_path, Era.NEW, 30))
    home.remember(SID, [{**one, "content": unicodedata.normalize("NFD", one["content"])} for one in CHAT])
    home.log(SID, CHAT)
    is_whole_again(home)


def test_what_no_trace_has_is_said(tmp_path: Path) -> None:
    home = emptied(Home(tmp_path))
    found, notes = look(home)
    assert found == []
    assert notes == [
        f'{SID} "About {SID}": the index counts {len(CHAT)} messages, the file has 0, and no trace has any more of it.'
    ]


def test_an_answer_that_was_never_saved_makes_nothing_else_uncertain(tmp_path: Path) -> None:
    home = emptied(Home(tmp_path))
    home.remember(SID, CHAT)
    home.run(SID, 1, [], START + 60, done=False, text="Half an answer, that")
    ((finding,), _) = look(home)
    assert (finding.lost, finding.uncertain) == (len(CHAT), 1)


HUGE: dict[str, str] = {
    "the database": "state.db",
    "its log": "state.db-wal",
    "another conversation": "webui/sessions/bbbbbbbbbbbb.json",
    "a log": LOG,
    "the index": "webui/sessions/_index.json",
    "the tombstones": "webui/sessions/_deleted_webui_sessions.json",
    "a journal": RUNS,
    "prompts": PROMPTS,
    "a backup": f"webui/sessions/{SID}.json.bak",
    "an archive": "backups/a.zip",
}


@pytest.mark.parametrize("name", HUGE)
def test_a_file_of_seventeen_gigabytes_is_not_read_into_memory(tmp_path: Path, name: str) -> None:
    """Mostly a hole. (The database ends where its pages do.)"""
    home = emptied(Home(tmp_path, Era.NEW, 30))
    closed(home)
    path = home.agent / HUGE[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, 17 * 1024**3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    is_whole_again(home)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024


def test_a_pipe_or_a_loop_among_the_journals_of_runs_keeps_nobody_waiting(tmp_path: Path) -> None:
    whole = {"event": "done", "payload": {"session": {"messages": CHAT}}}
    (tmp_path / "a.jsonl").write_text(json.dumps(whole) + "\n")
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    os.utime(tmp_path / "loop.jsonl", (1, 1), follow_symlinks=False)
    found: list[int | None] = []
    asking = threading.Thread(target=lambda: found.append(journals.last_count(tmp_path)), daemon=True)
    asking.start()
    asking.join(10)
    assert found == [len(CHAT)]
    os.mkfifo(tmp_path / "b.jsonl")
    asking = threading.Thread(target=lambda: found.append(journals.last_count(tmp_path)), daemon=True)
    asking.start()
    asking.join(10)
    assert found == [len(CHAT), None]
