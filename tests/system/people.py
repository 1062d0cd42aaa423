"""A user's chat is gone, and an administrator is asked: three commands, each as the output of the one before prints it."""

import json
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

from hermesguard.demo import acts, losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from machine import User, guard_of, messages, run, show, until

MOST_COMMANDS = 3


def a_slip_under_the_service() -> None:
    """A chat is taken back, cleared or deleted by slip under hermesguard@gina: root types what is printed, and has it back."""
    gina = User("gina")
    app = gina.app(Era.NEW)
    with gina.at_work():
        chats = {name: app.create(f"About the {name}", turns=6) for name in ("garden", "boat", "landlord")}
    unit = guard_of(gina)
    unit.start()
    with gina.at_work():
        acts.undo(chats["garden"])
        acts.clear(chats["boat"])
        acts.delete(chats["landlord"])
    until(lambda: _shown("status").count(" 1 ") >= 3, what="all three in the status")
    for name, chat in chats.items():
        until(lambda name=name: f"About the {name}" in _shown("lost"), what=name)
        _type_until_whole(chat, 12)
    unit.stop()


def installed_too_late_under_the_service() -> None:
    """Emptied before hermesguard@henry was there, known to state.db alone: status says so, and the unit puts it back."""
    henry = User("henry")
    app = henry.app()
    with henry.at_work():
        chat = app.create("The roof in autumn", turns=6)
        app.create("Something else", turns=2)
        said = [dict(one) for one in chat.on_disk()["messages"]]
        chat.send("And the gutter?")
        losses.wipe(chat)
        (henry.sessions / "_index.json").unlink(missing_ok=True)
        for backup in henry.sessions.glob("*.bak"):
            backup.unlink()
        _remember(henry.home / ".hermes" / "state.db", chat, said)
    unit = guard_of(henry)
    unit.start()
    first = _shown("status")
    line = next(line for line in first.splitlines() if "lost from before the guard" in line)
    show(line)
    assert line.startswith("1 conversation looks lost from before the guard: ")
    before = (henry.home / ".hermes" / "state.db").stat()
    _type_until_whole(chat, 12)
    after = (henry.home / ".hermes" / "state.db").stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)
    assert chat.path.stat().st_uid == henry.uid
    until(lambda: unit.entries("restored_by_user"), what="its entry in the journal")
    unit.stop()


def _remember(path: Path, chat: Chat, said: list[dict[str, object]]) -> None:
    """Write what hermes-agent keeps of the conversation."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "PRAGMA journal_mode = WAL;"
            "CREATE TABLE sessions (id TEXT PRIMARY KEY, source TEXT, title TEXT, started_at REAL);"
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, session_id TEXT, role TEXT, content TEXT, timestamp REAL);"
        )
        row = (chat.session_id, "webui", "The roof in autumn", 1.0)
        database.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", row)
        database.executemany(
            "INSERT INTO messages (session_id, role, content, timestamp) VALUES (?, ?, ?, ?)",
            [(chat.session_id, one["role"], one["content"], one.get("timestamp")) for one in said],
        )
        database.commit()


def _shown(verb: str) -> str:
    """What an administrator's command prints, whatever its exit code says."""
    return run("hermesguard", verb, check=False, cwd="/root", env=_ENVIRONMENT)


_ENVIRONMENT = {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "COLUMNS": "80", "LANG": "C.UTF-8"}
_COMMAND = re.compile(
    r"^.*?((?:runuser|sudo) [^\n]*hermesguard[^\n]* (?:lost|salvage|restore)\b[^\n]*)$", re.MULTILINE
)


def _type_until_whole(chat: Chat, count: int) -> None:
    """Type `hermesguard status`, then what each output prints for this conversation, until it is back."""
    typed, line = [], "hermesguard status"
    while True:
        said = run(*shlex.split(line), check=False, cwd="/root", env=_ENVIRONMENT)
        typed.append(line)
        show(f"# {line}\n" + "\n".join(f"  {part}" for part in said.splitlines()[:8]))
        if messages(chat) >= count:
            break
        assert len(typed) < MOST_COMMANDS, "not back"
        # What only shows a conversation brings nothing back.
        commands = [found for found in _COMMAND.findall(said) if "--show" not in found]
        line = next((found for found in commands if chat.session_id in found), commands[0])
    show(f"{messages(chat)} messages with {len(typed)} commands")
    assert json.loads(chat.path.read_text("utf-8"))["session_id"] == chat.session_id
