"""A stand-in for hermes-webui: it leaves on disk what the application leaves, for the demo, the tests and the benchmarks.

`App` is one server process on a sessions directory; it holds sessions in memory as the application does (`Chat`).
The verbs of a chat are what happens within a turn; what people mean to take away is in `acts`, what goes wrong in
`losses`, what looks wrong and is not in `quirks`. Each writes what the application of that era writes: temp file
`<sid>.tmp.<pid>.<tid>`, fsync of the file, rename, then `_index.json` the same way.

Nothing here sleeps or guesses: the clock is passed in, ids come from the seed.
"""

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era, members
from hermesguard.demo.files import Document, Message, dumps, replace_file

INDEX = "_index.json"
PADDING = "It reads the input, sorts it, and writes each line once. "
TOMBSTONES = "_deleted_webui_sessions.json"
INDEX_MEMBERS = (
    *(
        "session_id",
        "title",
        "workspace",
        "model",
        "model_provider",
        "message_count",
        "created_at",
        "updated_at",
    ),
    *("last_message_at", "pinned", "archived", "project_id", "profile", "input_tokens", "output_tokens"),
    *("active_stream_id", "pending_user_message", "is_cli_session", "source_tag", "session_source"),
)


class App:
    """One server process of hermes-webui on `directory`.

    `clock` returns seconds since the epoch (`itertools.count(1.7e9, 0.5).__next__` is a good one for tests), `pause`
    is called with the seconds that the application lets pass within one act. `eager` is the save mode in which the
    prompt is written as a message when it is sent. Two of these on one directory are two servers. `saved_at_ns` is when the
    last session file was renamed into place, in nanoseconds of the monotonic clock.
    """

    def __init__(
        self,
        directory: Path,
        era: Era = Era.NEW,
        *,
        clock: Callable[[], float] = time.time,
        seed: int = 0,
        pause: Callable[[float], None] = lambda seconds: None,
        process_id: int | None = None,
        eager: bool = False,
        keeps_context: bool = True,
    ) -> None:
        self.directory = directory
        self.era = era
        self.clock = clock
        self.pause = pause
        self.process_id = os.getpid() if process_id is None else process_id
        self.eager = eager
        self.keeps_context = keeps_context
        self.chats: dict[str, Chat] = {}
        self.saved_at_ns = 0
        self._random = random.Random(seed)
        directory.mkdir(parents=True, exist_ok=True)

    def hexadecimal(self, digits: int) -> str:
        """Return the next random id of so many hexadecimal digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def create(
        self,
        title: str = "Untitled",
        *,
        session_id: str | None = None,
        turns: int = 0,
        answer_characters: int = 0,
    ) -> Chat:
        """Return a new session, saved once, with so many turns of two messages, answers padded to `answer_characters`."""
        document = {key: default() for key, default in members(self.era).items()}
        now = self.clock()
        document |= {"session_id": session_id or self.hexadecimal(12), "title": title}
        document |= {"created_at": now, "updated_at": now}
        chat = Chat(self, document)
        self.chats[chat.session_id] = chat
        for number in range(1, turns + 1):
            answer = f"Part {number} does what part {number} says. "
            answer += PADDING * ((answer_characters - len(answer)) // len(PADDING) + 1)
            chat.add_turn(
                f"Question {number}: what does part {number} do?",
                answer[: max(answer_characters, 40)].strip(),
            )
        chat.save()
        return chat

    def open(self, session_id: str) -> Chat:
        """Return the session as this process holds it, reading the file if it holds none; FileNotFoundError if there is none."""
        if session_id not in self.chats:
            self.chats[session_id] = Chat(self, self.read(session_id))
        return self.chats[session_id]

    def restart(self) -> None:
        """Forget every session held in memory, as a restart of the server does. Chats at hand hold on to what they knew."""
        self.chats.clear()

    def path(self, session_id: str) -> Path:
        """Return the file of a session."""
        return self.directory / f"{session_id}.json"

    def read(self, session_id: str) -> Document:
        """Return the session on disk as this release understands it: members it does not know are dropped."""
        return self.understand(json.loads(self.path(session_id).read_text("utf-8")))

    def understand(self, document: Document) -> Document:
        """Return the members of `document` that this release knows, in its order, missing ones made new."""
        known: Document = {}
        for key, default in members(self.era).items():
            known[key] = document[key] if key in document else default()
        return known

    def index(self) -> list[Message] | None:
        """Return the messages of `_index.json`, None when there is none."""
        try:
            messages: list[Message] = json.loads((self.directory / INDEX).read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return messages

    def write_index(self, chat: Chat | None = None, *, message_count: int | None = None) -> None:
        """Write the entry of `chat` into the index, or build the whole index anew where there is none.

        Entries of sessions that are neither on disk nor in memory go at the same time, whoever removed the file.
        """
        entries = self.index()
        on_disk = {path.stem for path in self.directory.glob("*.json") if not path.name.startswith("_")}
        if entries is None or chat is None:
            entries = [_index_entry(document) for document in map(self._readable, on_disk) if document]
            entries += [
                _index_entry(self.chats[session_id].document) for session_id in self.chats.keys() - on_disk
            ]
        else:
            known = on_disk | self.chats.keys()
            entries = [
                entry
                for entry in entries
                if entry["session_id"] in known and entry["session_id"] != chat.session_id
            ]
            entries.append(_index_entry(chat.document, message_count))
        entries.sort(key=lambda entry: entry["updated_at"], reverse=True)
        replace_file(self.directory / INDEX, dumps(entries), self.process_id)

    def _readable(self, session_id: str) -> Document | None:
        try:
            return self.read(session_id)
        except (FileNotFoundError, ValueError):
            return None  # a torn file has no entry

    def forget_in_index(self, *session_ids: str) -> None:
        """Take the entries of sessions out of the index, if there is one."""
        entries = self.index()
        if entries is not None:
            kept = [entry for entry in entries if entry["session_id"] not in session_ids]
            replace_file(self.directory / INDEX, dumps(kept), self.process_id)

    def bury(self, session_id: str) -> None:
        """Add a session to the tombstones (capped at 1000)."""
        path = self.directory / TOMBSTONES
        buried = set(json.loads(path.read_text("utf-8"))["ids"]) if path.exists() else set()
        replace_file(
            path, dumps({"version": 1, "ids": sorted(buried | {session_id})[-1000:]}), self.process_id
        )


def _index_entry(document: Document, message_count: int | None = None) -> Message:
    messages = document["messages"]
    count = len(messages) if message_count is None else message_count
    last = next(
        (message["timestamp"] for message in reversed(messages) if message.get("timestamp")),
        document["updated_at"],
    )
    values = document | {"message_count": count, "last_message_at": last}
    return {key: values[key] for key in INDEX_MEMBERS}
