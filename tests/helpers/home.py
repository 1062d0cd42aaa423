"""A home of hermes-webui and hermes-agent as these write it: session files, journals, state.db, logs. For tests of salvage."""

import json
import os
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hermesguard.demo.eras import Era, members

Said = dict[str, Any]
START = 1_770_000_000.0

# The columns that the agent's database had at its schema 2, and has at 30.
_SESSIONS = {
    2: "id TEXT PRIMARY KEY, source TEXT NOT NULL, user_id TEXT, model TEXT, model_config TEXT, system_prompt TEXT, "
    "parent_session_id TEXT, started_at REAL NOT NULL, ended_at REAL, end_reason TEXT, message_count INTEGER DEFAULT 0",
    30: "id TEXT PRIMARY KEY, source TEXT NOT NULL, created_source TEXT, user_id TEXT, session_key TEXT, model TEXT, "
    "model_config TEXT, system_prompt_hash TEXT, parent_session_id TEXT, started_at REAL NOT NULL, ended_at REAL, "
    "end_reason TEXT, message_count INTEGER DEFAULT 0, title TEXT, title_source TEXT, profile_name TEXT, "
    "rewind_count INTEGER NOT NULL DEFAULT 0, archived INTEGER NOT NULL DEFAULT 0",
}
_MESSAGES = {
    2: "id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT, tool_call_id TEXT, "
    "tool_calls TEXT, tool_name TEXT, timestamp REAL NOT NULL, token_count INTEGER, finish_reason TEXT",
    30: "id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT, tool_call_id TEXT, "
    "tool_calls TEXT, tool_name TEXT, effect_disposition TEXT, timestamp REAL NOT NULL, token_count INTEGER, "
    "finish_reason TEXT, reasoning TEXT, reasoning_content TEXT, reasoning_details TEXT, codex_reasoning_items TEXT, "
    "codex_message_items TEXT, platform_message_id TEXT, observed INTEGER DEFAULT 0, "
    "_compressed_summary INTEGER NOT NULL DEFAULT 0, active INTEGER NOT NULL DEFAULT 1, "
    "compacted INTEGER NOT NULL DEFAULT 0, api_content TEXT, display_kind TEXT, display_metadata TEXT, "
    "display_identity BLOB, display_order INTEGER",
}


def turn(number: int, *, start: float = START, tools: bool = True, word: str = "question") -> list[Said]:
    """Return one turn: a prompt, on odd numbers a tool call with its result, and an answer."""
    at = start + 60.25 * number
    said: list[Said] = [
        {"role": "user", "content": f"{word} {number}: how is the weather in é{number}?", "timestamp": at}
    ]
    if tools and number % 2:
        name = {"name": "look", "arguments": json.dumps({"place": number})}
        call = {"id": f"call_{word}_{number}", "type": "function", "function": name}
        said.append({"role": "assistant", "content": "", "tool_calls": [call], "timestamp": at + 2})
        result = json.dumps({"output": f"rain {number}"})
        said.append(
            {
                "role": "tool",
                "name": "look",
                "content": result,
                "tool_call_id": call["id"],
                "timestamp": at + 3,
            }
        )
    answer = f"The answer to {word} {number} is: it rains, and {number} umbrellas are enough."
    said.append({"role": "assistant", "content": answer, "timestamp": at + 5.5})
    return said


def chat(turns: int, *, start: float = START, word: str = "question") -> list[Said]:
    """Return the messages of so many turns: three a turn on average."""
    return [message for number in range(turns) for message in turn(number, start=start, word=word)]


@dataclass
class Home:
    """A home below `root`, in which one release of hermes-webui and one of the agent have worked."""

    root: Path
    era: Era = Era.OLD
    schema: int = 2
    index: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.agent = self.root / ".hermes"
        self.sessions = self.agent / "webui" / "sessions"
        self.sessions.mkdir(parents=True)
        (self.agent / "sessions").mkdir()

    # -- hermes-webui

    def document(self, name: str, said: list[Said], **more: Any) -> dict[str, Any]:
        """Return a session file's content, with the members of the era."""
        value = {key: make() for key, make in members(self.era).items()}
        stamps = [message["timestamp"] for message in said if "timestamp" in message] or [START]
        value |= {
            "session_id": name,
            "title": f"About {name}",
            "created_at": stamps[0] - 1,
            "updated_at": stamps[-1] + 0.01,
            "messages": said,
            "context_messages": [dict(message) for message in said],
        }
        if "message_count" in value:
            value["message_count"] = len(said)
        return value | more

    def save(self, name: str, said: list[Said], listed: bool = True, **more: Any) -> Path:
        """Write a session file, and its row of the index."""
        value = self.document(name, said, **more)
        path = self.sessions / f"{name}.json"
        path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")
        if listed:
            self.index[name] = {
                "session_id": name,
                "title": value["title"],
                "message_count": len(value["messages"]),
                "created_at": value["created_at"],
                "updated_at": value["updated_at"],
            }
            self.write_index()
        return path

    def write_index(self) -> None:
        (self.sessions / "_index.json").write_text(json.dumps(list(self.index.values())), encoding="utf-8")

    def wipe(self, name: str, index_count: int | None = None) -> None:
        """Do to a session file what #1558 does; the index goes on counting."""
        path = self.sessions / f"{name}.json"
        value = json.loads(path.read_text(encoding="utf-8"))
        value |= {"messages": [], "tool_calls": [], "context_messages": [], "active_stream_id": None}
        if "message_count" in value:
            value["message_count"] = 0
        path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")
        if index_count is not None:
            self.index[name]["message_count"] = index_count
            self.write_index()

    def bury(self, name: str) -> None:
        """Delete a session as hermes-webui does."""
        (self.sessions / f"{name}.json").unlink(missing_ok=True)
        self.index.pop(name, None)
        self.write_index()
        if self.era.buries:
            path = self.sessions / "_deleted_webui_sessions.json"
            path.write_text(json.dumps({"version": 1, "ids": [name]}), encoding="utf-8")
        connection = self.database()
        connection.execute("DELETE FROM messages WHERE session_id = ?", (name,))
        connection.execute("DELETE FROM sessions WHERE id = ?", (name,))
        connection.commit()
        connection.close()

    def run(
        self, name: str, number: int, said: list[Said], at: float, *, done: bool = True, text: str = ""
    ) -> Path:
        """Write the journal of one run: token by token, and at its end the whole transcript."""
        directory = self.sessions / "_run_journal" / name
        directory.mkdir(parents=True, exist_ok=True)
        run = f"{number:032x}"
        events: list[tuple[str, Any]] = [("token", {"text": word + " "}) for word in text.split()]
        if done:
            session = {
                "session_id": name,
                "title": f"About {name}",
                "message_count": len(said),
                "messages": said,
            }
            events.append(("done", {"session": session | {"tool_calls": []}, "usage": {}}))
        path = directory / f"{run}.jsonl"
        lines = [
            json.dumps(
                {
                    "version": 1,
                    "event_id": f"{run}:{seq}",
                    "seq": seq,
                    "run_id": run,
                    "session_id": name,
                    "event": event,
                    "type": event,
                    "created_at": at,
                    "terminal": event == "done",
                    "terminal_state": None,
                    "payload": payload,
                },
                ensure_ascii=False,
                separators=(",", ":"),
            )
            for seq, (event, payload) in enumerate(events, 1)
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.utime(path, (at, at))
        return path

    def prompts(self, name: str, said: list[Said], shard: str = "") -> Path:
        """Write the turn journal: `<sid>.jsonl` in earlier releases, `<sid>~<pid>.jsonl` in later ones."""
        directory = self.sessions / "_turn_journal"
        directory.mkdir(exist_ok=True)
        path = directory / (f"{name}~{shard}.jsonl" if shard else f"{name}.jsonl")
        lines = [
            json.dumps(
                {
                    "event": "submitted",
                    "role": "user",
                    "content": message["content"],
                    "attachments": message.get("attachments", []),
                    "workspace": "/work",
                    "created_at": message["timestamp"],
                    "version": 1,
                    "session_id": name,
                    "turn_id": f"turn-{message['timestamp']}",
                },
                ensure_ascii=False,
            )
            for message in said
            if message["role"] == "user"
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    # -- hermes-agent

    def database(self, path: Path | None = None) -> sqlite3.Connection:
        """Return the agent's database, open for writing as the agent opens it."""
        connection = sqlite3.connect(path or self.agent / "state.db")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
        connection.execute(f"CREATE TABLE IF NOT EXISTS sessions ({_SESSIONS[self.schema]})")
        connection.execute(f"CREATE TABLE IF NOT EXISTS messages ({_MESSAGES[self.schema]})")
        connection.execute(
            "CREATE INDEX IF NOT EXISTS idx_messages_session ON messages(session_id, timestamp)"
        )
        return connection

    def remember(
        self, name: str, said: list[Said], connection: sqlite3.Connection | None = None, **columns: Any
    ) -> None:
        """Write a session into the database. Old agents stamp a message when it is flushed, and keep no title."""
        own = connection or self.database()
        row = {
            "id": name,
            "source": "webui",
            "model": "a/model",
            "started_at": START,
            "message_count": len(said),
        }
        if self.schema > 2:
            row["title"] = f"About {name}"
        row |= columns
        _insert(own, "sessions", row)
        for message in said:
            stored = {
                key: value for key, value in message.items() if key not in ("name", "attachments", "hidden")
            }
            calls = stored.get("tool_calls")
            stored |= {"session_id": name, "timestamp": message["timestamp"] + 0.003}
            if calls:
                stored["tool_calls"] = json.dumps(calls)
            if isinstance(stored["content"], list):
                stored["content"] = "\0json:" + json.dumps(stored["content"])
            _insert(own, "messages", stored)
        own.commit()
        if connection is None:
            own.close()

    def log(self, name: str, said: list[Said]) -> Path:
        """Write the agent's session log, which carries no stamps."""
        value = {
            "session_id": name,
            "model": "a/model",
            "platform": "webui",
            "session_start": "2026-02-02T02:40:00.000000",
            "last_updated": datetime.fromtimestamp(said[-1]["timestamp"] + 0.1, UTC).isoformat(),
            "system_prompt": "You are an assistant.",
            "message_count": len(said),
            "messages": [{key: value for key, value in one.items() if key != "timestamp"} for one in said],
        }
        path = self.agent / "sessions" / f"session_{name}.json"
        path.write_text(json.dumps(value, indent=2), encoding="utf-8")
        return path

    def dump(self, name: str, said: list[Said]) -> Path:
        """Write the agent's dump of a request that failed."""
        body = {"model": "a/model", "messages": [{"role": "system", "content": "You are."}, *said]}
        value = {
            "timestamp": "2026-02-02T08:40:00",
            "session_id": name,
            "request": {"method": "POST", "body": body},
        }
        path = self.agent / "sessions" / f"request_dump_{name}_20260202_084000_000000.json"
        path.write_text(json.dumps(value), encoding="utf-8")
        return path


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    """Return the size and mtime of everything below a directory, the directories' own included."""
    found = {}
    for path in (root, *root.rglob("*")):
        stat = path.lstat()
        found[str(path)] = (stat.st_size if path.is_file() else 0, stat.st_mtime_ns)
    return found


def told(said: list[Said]) -> list[tuple[str, str]]:
    """Return who said what (or called which tool), to compare conversations by."""
    return [
        (
            message["role"],
            str(message["content"]).strip() or str(message.get("tool_calls", [{}])[0].get("id")),
        )
        for message in said
    ]
