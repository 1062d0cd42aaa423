"""One session in the memory of the stand-in, and what happens to it within a turn."""

import json
import threading
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

from hermesguard.demo.eras import Era
from hermesguard.demo.files import Document, Message, dumps, replace_file, text_of, tokens_of

PROVISIONAL_TITLE_CHARACTERS = 64
NO_TITLE = ("", "Untitled", "New Chat")


class Server(Protocol):
    """What a session needs of the process that holds it (class App)."""

    directory: Path
    era: Era
    clock: Callable[[], float]
    pause: Callable[[float], None]
    process_id: int
    eager: bool
    keeps_context: bool
    chats: "dict[str, Chat]"
    saved_at_ns: int

    def hexadecimal(self, digits: int) -> str: ...
    def path(self, session_id: str) -> Path: ...
    def read(self, session_id: str) -> Document: ...
    def understand(self, document: Document) -> Document: ...
    def forget_in_index(self, *session_ids: str) -> None: ...
    def bury(self, session_id: str) -> None: ...
    def index(self) -> list[Message] | None: ...
    def write_index(self, chat: "Chat | None" = None, *, message_count: int | None = None) -> None: ...


class Chat:
    """One session in the memory of one process. `document` is what the next save writes."""

    def __init__(self, app: Server, document: Document) -> None:
        self.app = app
        self.document = document

    @property
    def session_id(self) -> str:
        """The id of the session."""
        return str(self.document["session_id"])

    @property
    def path(self) -> Path:
        """The file of the session."""
        return self.app.path(self.session_id)

    @property
    def backup_path(self) -> Path:
        """The application's own backup of the session."""
        return self.path.with_name(self.path.name + ".bak")

    @property
    def messages(self) -> list[Message]:
        """The messages held in memory."""
        messages: list[Message] = self.document["messages"]
        return messages

    @messages.setter
    def messages(self, messages: list[Message]) -> None:
        self.document["messages"] = messages

    @property
    def is_from_messenger(self) -> bool:
        """It belongs to a messenger; the application leaves no tombstone of such sessions."""
        return self.document.get("session_source") == "messaging"

    def on_disk(self) -> Document:
        """Return the file as it is, every member of it."""
        document: Document = json.loads(self.path.read_text("utf-8"))
        return document

    def reload(self) -> None:
        """Read the file into memory, as a process does that did not hold the session."""
        self.document = self.app.read(self.session_id)

    def refresh(self) -> None:
        """Read the file again, if this era does so and the file's count exceeds the count held (hermes-webui since v0.51.327)."""
        if self.app.era.rereads and self.path.exists():
            found = self.on_disk()
            if found.get("message_count", 0) > len(self.messages):
                self.document = self.app.understand(found)

    def save(self, *, touch: bool = True, index: bool = True, index_count: int | None = None) -> None:
        """Write the session as the application does; `touch` moves `updated_at`, `index` writes the index too."""
        if touch:
            self.document["updated_at"] = self.app.clock()
        if "message_count" in self.document:
            self.document["message_count"] = len(self.messages)
        if self.app.era.keeps_backup:
            self._back_up()
        self.app.saved_at_ns = replace_file(self.path, dumps(self.document), self.app.process_id)
        if index:
            self.app.write_index(self, message_count=index_count)

    def _back_up(self) -> None:
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return
        try:
            shrinks = len(json.loads(text).get("messages") or []) > len(self.messages)
        except ValueError:
            shrinks = False
        if shrinks:
            temporary = self.backup_path.with_suffix(
                f".bak.tmp.{self.app.process_id}.{threading.get_ident()}"
            )
            temporary.write_text(text, "utf-8")
            temporary.replace(self.backup_path)

    # What a user does.

    def send(self, prompt: str, *, attachments: list[Any] | None = None) -> None:
        """The user sends a prompt: a stream begins, the prompt is pending, the turn is not in `messages` yet."""
        self.refresh()
        now = self.app.clock()
        self.document |= {
            "active_stream_id": self.app.hexadecimal(32),
            "pending_user_message": prompt,
            "pending_attachments": attachments or [],
            "pending_started_at": now,
        }
        if self.app.era >= Era.V720:
            self.document["pending_user_source"] = "webui"
            self._name_after(prompt)
        if self.app.eager:
            self._write_prompt()
        self.save()

    def checkpoint(self) -> None:
        """The application saves within a long turn (every 15 s); the index stays as it is."""
        self.save(index=False)

    def stream(self, text: str, *, reasoning: str = "") -> None:
        """The answer so far stands as a partial last message; a longer one replaces it."""
        self._write_prompt()
        if self.messages[-1].get("_partial"):
            del self.messages[-1]
        partial: Message = {
            "role": "assistant",
            "content": text,
            "_partial": True,
            "timestamp": int(self.app.clock()),
        }
        if reasoning:
            partial["reasoning"] = reasoning
        self.messages.append(partial)
        self.checkpoint()

    def finish(self, answer: str, *, tools: Iterable[tuple[str, str, str]] = (), reasoning: str = "") -> None:
        """The turn ends with an answer, after so many tools were called: (name, command, result) each."""
        self._write_prompt()
        if self.messages[-1].get("_partial"):
            del self.messages[-1]
        now = self.app.clock()
        messages = [message for call in tools for message in self._tool_messages(*call)]
        messages.append(
            {"role": "assistant", "content": answer, **({"reasoning": reasoning} if reasoning else {})}
        )
        for message in messages:
            message["timestamp"] = int(now) if self.app.era == Era.OLD else now
        self.messages.extend(messages)
        self._resolve(messages)
        self.document["tool_calls"] = _tool_summaries(self.messages)
        self.save()

    def turn(self, prompt: str, answer: str, *, tools: Iterable[tuple[str, str, str]] = ()) -> None:
        """A whole turn: a prompt and its answer, in two saves."""
        self.send(prompt)
        self.finish(answer, tools=tools)

    def add_turn(self, prompt: str, answer: str) -> None:
        """Put a finished turn without tools into memory, unsaved."""
        now = self.app.clock()
        self.document |= {"pending_user_message": prompt, "pending_started_at": now}
        self._write_prompt()
        message: Message = {
            "role": "assistant",
            "content": answer,
            "timestamp": int(now) if self.app.era == Era.OLD else now,
        }
        self.messages.append(message)
        self._resolve([message])

    def interrupt(self, *, cause: str = "process_restart") -> None:
        """The turn died: the prompt becomes a recovered message, an error message says so."""
        document = self.document
        prompt = document["pending_user_message"]
        if prompt:
            recovered: Message = {
                "role": "user",
                "content": prompt,
                "timestamp": int(document["pending_started_at"] or self.app.clock()),
                "_recovered": True,
            }
            if document["pending_attachments"]:
                recovered["attachments"] = list(document["pending_attachments"])
            self._append(recovered)
        self._clear_pending()
        marker: Message = {"role": "assistant", "content": "**Previous turn did not complete.**"}
        if self.app.era >= Era.V720:
            marker["content"] = (
                "**Response interrupted.**\n\nThe live response stream stopped before this turn finished."
            )
            marker |= {"type": "interrupted", "interruption_cause": cause}
        self.messages.append(marker | {"timestamp": int(self.app.clock()), "_error": True})
        self.save()

    def rename(self, title: str) -> None:
        """The user names the session."""
        self.refresh()
        self.document["title"] = title.strip()[:80] or "Untitled"
        if "manual_title" in self.document:
            self.document["manual_title"] = self.document["title"] not in NO_TITLE
        self.save()

    def pin(self, pinned: bool = True) -> None:
        """The user pins the session: a save that changes no message."""
        self.refresh()
        self.document["pinned"] = pinned
        self.save()

    # The messages of a turn.

    def _append(self, message: Message) -> None:
        self.messages.append(message)
        if self.app.keeps_context:
            self.document["context_messages"].append(deepcopy(message))
        if self.document.get("truncation_watermark"):
            self.document["truncation_watermark"] = float(message["timestamp"])

    def _write_prompt(self) -> None:
        document = self.document
        prompt = document["pending_user_message"]
        last = next((message for message in reversed(self.messages) if not message.get("_partial")), {})
        if prompt is None or (last.get("role") == "user" and text_of(last) == prompt):
            return
        started = document["pending_started_at"]
        message: Message = {"role": "user", "content": prompt}
        if self.app.era == Era.OLD:
            message["timestamp"] = int(started)
        else:
            message |= {"timestamp": started}
        if self.app.eager and document["active_stream_id"]:
            message["_active_turn_token"] = f"{document['active_stream_id']}:{started:.17g}"
        if document["pending_attachments"]:
            message["attachments"] = list(document["pending_attachments"])
        self._append(message)

    def _tool_messages(self, name: str, command: str, result: str) -> list[Message]:
        call_id = f"call_{self.app.hexadecimal(8)}"
        function = {"name": name, "arguments": json.dumps({"command": command})}
        call = {"id": call_id, "type": "function", "function": function}
        return [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": result, "tool_call_id": call_id},
        ]

    def _resolve(self, messages: list[Message]) -> None:
        document = self.document
        if self.app.keeps_context:
            document["context_messages"].extend(deepcopy(messages))
        sent, answered = tokens_of([{"content": document["pending_user_message"] or ""}, *messages])
        document["input_tokens"] += sent
        document["output_tokens"] += answered
        self._clear_pending()
        first = next(
            (text_of(message).strip() for message in self.messages if message.get("role") == "user"), ""
        )
        self._name_after(first)

    def _name_after(self, text: str) -> None:
        if self.document["title"] in NO_TITLE and text.strip():
            self.document["title"] = text.strip()[:PROVISIONAL_TITLE_CHARACTERS]

    def _clear_pending(self) -> None:
        self.document |= {"active_stream_id": None, "pending_user_message": None}
        self.document |= {"pending_attachments": [], "pending_started_at": None}
        if "pending_user_source" in self.document:
            self.document["pending_user_source"] = None


def _tool_summaries(messages: list[Message]) -> list[Message]:
    summaries = []
    calls = {
        call["id"]: (number, call)
        for number, message in enumerate(messages)
        for call in message.get("tool_calls", ())
    }
    for message in messages:
        if message.get("role") == "tool" and message.get("tool_call_id") in calls:
            number, call = calls[message["tool_call_id"]]
            arguments = json.loads(call["function"]["arguments"])
            summary = {"name": call["function"]["name"], "snippet": text_of(message)[:200], "tid": call["id"]}
            summaries.append(summary | {"assistant_msg_idx": number, "args": arguments})
    return summaries
