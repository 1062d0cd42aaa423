"""How long `salvage --dry-run` takes. Run: python bench/salvage.py [--sessions 2000] [--messages 500000] [--lost 40]

Makes a home of hermes-webui and hermes-agent: so many conversations of one length, all of them whole in state.db, some of
them wiped, and prints the time and the largest memory of the command, of `status`, and whether anything under the home changed.
"""

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from hermesguard.demo.eras import Era, members  # noqa: E402

START = 1_770_000_000.0


def furnish(root: Path, sessions: int, messages: int, lost: int) -> None:
    """Make the home: session files, their index, and state.db as schema 30 has it, as far as it matters."""
    directory = root / ".hermes" / "webui" / "sessions"
    directory.mkdir(parents=True)
    connection = sqlite3.connect(root / ".hermes" / "state.db")
    connection.executescript(
        "PRAGMA journal_mode=WAL;"
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, source TEXT NOT NULL, model TEXT, parent_session_id TEXT, "
        "started_at REAL NOT NULL, end_reason TEXT, title TEXT);"
        "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, role TEXT NOT NULL, "
        "content TEXT, tool_call_id TEXT, tool_calls TEXT, tool_name TEXT, timestamp REAL NOT NULL, "
        "active INTEGER NOT NULL DEFAULT 1, compacted INTEGER NOT NULL DEFAULT 0);"
        "CREATE INDEX idx_messages_session ON messages(session_id, timestamp);"
    )
    index = []
    for number in range(sessions):
        name = f"{number * 7919 % 0xFFFFFFFFFFFF:012x}"
        said = [
            {
                "role": "assistant" if place % 2 else "user",
                "content": f"{number} said {place}: " + "it rains and rains " * 18,
                "timestamp": START + number + 30.25 * place,
            }
            for place in range(messages // sessions)
        ]
        value = {key: make() for key, make in members(Era.NEW).items()}
        value |= {"session_id": name, "title": f"Talk {number}", "created_at": START + number}
        value |= {"updated_at": said[-1]["timestamp"], "messages": said, "message_count": len(said)}
        if number < lost:
            value |= {"messages": [], "message_count": 0}
        path = directory / f"{name}.json"
        path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")
        index.append({"session_id": name, "title": value["title"], "message_count": len(said)})
        row = (name, "webui", "a/model", START + number, value["title"])
        connection.execute(
            "INSERT INTO sessions (id, source, model, started_at, title) VALUES (?, ?, ?, ?, ?)", row
        )
        connection.executemany(
            "INSERT INTO messages (session_id, role, content, timestamp) VALUES (?, ?, ?, ?)",
            [(name, one["role"], one["content"], one["timestamp"]) for one in said],
        )
    connection.commit()
    connection.close()
    (directory / "_index.json").write_text(json.dumps(index), encoding="utf-8")


def stamps(root: Path) -> dict[str, int]:
    """Return the mtime of everything under a directory."""
    return {str(path): path.lstat().st_mtime_ns for path in (root, *root.rglob("*"))}


def measured(root: Path, *words: str) -> tuple[float, float, str]:
    """Return seconds, largest memory in MB and output of a command."""
    environment = os.environ | {"HOME": str(root), "HERMESGUARD_STORE": str(root.parent / "store")}
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "hermesguard", *words],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as process:
        output = process.stdout.read() if process.stdout else ""
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    used: resource.struct_rusage = usage
    return time.perf_counter() - began, used.ru_maxrss / 1024, output


def main() -> None:
    """Make the home, run the commands, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--lost", type=int, default=40)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "home"
        furnish(home, chosen.sessions, chosen.messages, chosen.lost)
        size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) / 1e6
        print(
            f"{chosen.sessions} conversations, {chosen.messages} messages in state.db, {size:.0f} MB in all"
        )
        before = stamps(home)
        for words in (("salvage", "--dry-run"), ("salvage", "--dry-run", "--json")):
            seconds, memory, output = measured(home, *words)
            print(f"{' '.join(words):28} {seconds:6.2f} s  {memory:6.0f} MB  {len(output):,} characters")
        print("nothing under the home has changed" if stamps(home) == before else "THE HOME HAS CHANGED")


if __name__ == "__main__":
    main()
