"""What has destroyed conversations, by the number of the hermes-webui issue, on disk exactly as it happened.

Each takes the chat that loses. A loss that an era cannot have raises ValueError: no test may use it.
"""

import json
from copy import deepcopy
from typing import Any

from hermesguard.demo.acts import COMPACTION, last_prompt, mark_shrink, truncate
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import Document, Message, dumps, tokens_of


def _only_where(possible: bool, loss: str, era: Era) -> None:
    if not possible:
        raise ValueError(f"{loss} does not happen in {era.release}")


def _stub(chat: Chat) -> Document:
    metadata: dict[str, Any] = {}
    for key, value in chat.on_disk().items():
        if key == "messages":
            break
        metadata[key] = value
    stub = chat.app.understand(metadata)
    stub |= {"active_stream_id": None, "pending_user_message": None}
    stub |= {"pending_attachments": [], "pending_started_at": None}
    if "pending_user_source" in stub:
        stub["pending_user_source"] = None
    return stub


def wipe(chat: Chat) -> None:
    """#1558: a status poll finds a stale stream and saves the stub that it read of the metadata.

    No messages, no tool calls, no context, no stream, no prompt; members unknown to the release go; the rest is as it was.
    An index
    that is there keeps the old count. What this chat holds in memory is not touched: `reload` is the read that follows.
    Releases after v0.50.283 refuse this save; they are played all the same, for the stub of a later bug would look like it.
    """
    messages = chat.app.index()
    count = next(
        (message["message_count"] for message in messages or () if message["session_id"] == chat.session_id),
        None,
    )
    Chat(chat.app, _stub(chat)).save(index_count=count)


def stale_writer(chat: Chat) -> None:
    """#1558, the aftermath: wipe, and hold the empty session in memory, so that every later save writes it over the file."""
    chat.document = _stub(chat)
    wipe(chat)


def empty_over_active_turn(chat: Chat) -> None:
    """#4205: an empty snapshot is saved while a turn runs; stream and prompt stay."""
    document = chat.document | {"messages": [], "tool_calls": [], "context_messages": []}
    Chat(chat.app, document).save()


def window_truncate(chat: Chat, *, keep: int = 28) -> None:
    """#5096: an edit counts its messages from the loaded window, and cuts the whole conversation down to that number."""
    _only_where(chat.app.era.truncates_by_window, "A truncate by the window", chat.app.era)
    truncate(chat, keep)


def negative_keep(chat: Chat, messages: int) -> None:
    """#3487: a negative count is taken as a slice, and the newest messages go."""
    _only_where(chat.app.era.accepts_negative_keep, "A negative keep_count", chat.app.era)
    truncate(chat, -messages)


def stale_process(chat: Chat, *, messages_behind: int = 6) -> None:
    """A second server saves the session as it knew it some messages ago: a clean prefix, token counters that go backwards."""
    document = deepcopy(chat.document)
    kept = document["messages"][:-messages_behind]
    sent, answered = tokens_of(kept)
    document |= {"messages": kept, "input_tokens": sent, "output_tokens": answered}
    context = document["context_messages"]
    document["context_messages"] = context[: max(0, len(context) - messages_behind)]
    Chat(chat.app, document).save()


def late_worker(chat: Chat, answer: str) -> None:
    """#2136, #6623: the worker of the turn before the last ends late and writes its turn over the last one."""
    document = deepcopy(chat.document)
    messages: list[Message] = document["messages"]
    before = last_prompt(messages[: last_prompt(messages)])
    late: Message = {"role": "assistant", "content": answer, "timestamp": chat.app.clock()}
    document["messages"] = [*messages[: before + 1], late]
    if document["context_messages"]:
        context = document["context_messages"]
        document["context_messages"] = [
            *context[: last_prompt(context[: last_prompt(context)]) + 1],
            deepcopy(late),
        ]
    Chat(chat.app, document).save()


def recover_from_backup(chat: Chat) -> bool:
    """The recovery at start: `.bak` replaces a file with fewer messages, or a missing one. Return whether it did.

    With a `.bak` that is longer but older, this is the loss in which the count rises (8 -> 11, the newest turn gone).
    """
    if not chat.backup_path.exists():
        return False
    messages = len(json.loads(chat.backup_path.read_text("utf-8"))["messages"])
    if chat.path.exists() and len(chat.on_disk()["messages"]) >= messages:
        return False
    resurrect(chat)
    return True


def resurrect(chat: Chat) -> None:
    """#4836, #5532, #6954, #5498: recovery brings back what a user took away: `.bak` becomes the file, whatever its count."""
    _only_where(chat.app.era.keeps_backup, "Recovery from .bak", chat.app.era)
    temporary = chat.path.with_suffix(".json.recover.tmp")
    temporary.write_text(chat.backup_path.read_text("utf-8"), "utf-8")
    temporary.replace(chat.path)


def only_backup_left(chat: Chat) -> None:
    """#2035: the session's file is gone, its `.bak` is there; it was not deleted."""
    _only_where(chat.app.era.keeps_backup, "A backup left alone", chat.app.era)
    if not chat.backup_path.exists():
        chat.backup_path.write_text(chat.path.read_text("utf-8"), "utf-8")
    chat.path.unlink()


def vanish(chat: Chat) -> None:
    """The file is gone, for no reason that the application knows."""
    chat.path.unlink()


def rename_destroys(chat: Chat) -> str:
    """#2223: compression renames the only copy to the new id and saves the summary over it. The new id is returned."""
    _only_where(chat.app.era.renames_on_rotation, "Rotation by rename", chat.app.era)
    app, old_path = chat.app, chat.path
    tail = chat.messages[last_prompt(chat.messages) :]
    app.chats.pop(chat.session_id, None)
    chat.document["session_id"] = f"20260430_151231_{app.hexadecimal(6)}"
    old_path.rename(chat.path)
    app.chats[chat.session_id] = chat
    chat.messages = [{"role": "user", "content": COMPACTION}, *tail]
    chat.document["context_messages"] = deepcopy(chat.messages)
    chat.save()
    return chat.session_id


def collapse_to_tail(chat: Chat, *, messages: int = 2) -> None:
    """#3300: the chat collapses to its last messages."""
    document = deepcopy(chat.document)
    document["messages"] = document["messages"][-messages:]
    document["context_messages"] = document["context_messages"][-messages:]
    Chat(chat.app, document).save()


def lose_message(chat: Chat, number: int) -> None:
    """A message in the middle is gone, for no reason given."""
    document = deepcopy(chat.document)
    del document["messages"][number]
    Chat(chat.app, document).save()


def unfinished_shrink(chat: Chat, *, keep: int) -> None:
    """A meant shrink whose boundary says that more messages were to stay than did (table, rule 5)."""
    _only_where(chat.app.era.marks_shrink, "A marked shrink", chat.app.era)
    messages = chat.messages
    chat.messages = messages[: last_prompt(messages)]
    mark_shrink(chat, len(messages))
    chat.messages = messages[:keep]
    chat.save()


def tear(chat: Chat, *, share: float = 0.5) -> None:
    """A power cut, or a writer in place that died, leaves this share of the file (0: an empty one), in the same inode."""
    with chat.path.open("r+b") as file:
        file.truncate(int(chat.path.stat().st_size * share))


def tear_by_rename(chat: Chat, *, share: float = 0.5) -> None:
    """A torn temp file becomes the file: what a full disk and a writer that does not look leave."""
    data = chat.path.read_bytes()
    temporary = chat.path.with_suffix(f".tmp.{chat.app.process_id}.1")
    temporary.write_bytes(data[: int(len(data) * share)])
    temporary.replace(chat.path)


def rewrite_in_place(chat: Chat, messages: list[Message]) -> None:
    """A maintenance script writes these messages into the same inode (`repair_workspace_user_turns.py`)."""
    document = chat.on_disk() | {"messages": messages}
    with chat.path.open("w", encoding="utf-8") as file:
        file.write(dumps(document))


def all_vanish(app: App) -> int:
    """Every session of the directory is gone, the index is not. Return how many."""
    paths = [path for path in app.directory.glob("*.json") if not path.name.startswith("_")]
    for path in paths:
        path.unlink()
    return len(paths)
