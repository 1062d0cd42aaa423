"""What people take away on purpose, and what each act leaves on disk in each era (see `eras`)."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from hermesguard.demo.app import INDEX, App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import Message, text_of

COMPACTION = "[CONTEXT COMPACTION \N{EM DASH} REFERENCE ONLY] Earlier turns were compacted into this summary."
API_MEMBERS = ("role", "content", "tool_calls", "tool_call_id", "name")
FEWEST_COMPRESSED = 4
"""With fewer messages /compress is refused."""
UNLINK_TO_INDEX_SECONDS = 0.010
INDEX_TO_TOMBSTONE_SECONDS = 0.004


def last_prompt(messages: list[Message]) -> int:
    """Return the index of the last message of the user; ValueError when there is none."""
    for number in range(len(messages) - 1, -1, -1):
        if messages[number].get("role") == "user":
            return number
    raise ValueError("Nothing to undo")


def mark_shrink(chat: Chat, messages_before: int) -> None:
    """Leave in memory the marks that the era leaves on a shrink; the messages kept are in place already."""
    document, era = chat.document, chat.app.era
    boundary = float(chat.messages[-1].get("timestamp") or 0) if chat.messages else 0.0
    if era.marks_watermark:
        document["truncation_watermark"] = boundary
    if era.marks_boundary:
        document["truncation_boundary"] = boundary
    if era.marks_shrink and len(chat.messages) < messages_before:
        document["intentional_shrink_generation"] = chat.app.hexadecimal(32)


def undo(chat: Chat) -> str:
    """Take away the last prompt and all behind it; return the prompt. ValueError when there is none."""
    chat.refresh()
    messages, context = chat.messages, chat.document["context_messages"]
    cut = last_prompt(messages)
    prompt = text_of(messages[cut])
    chat.messages = messages[:cut]
    if any(message.get("role") == "user" for message in context):
        chat.document["context_messages"] = context[: last_prompt(context)]
    mark_shrink(chat, len(messages))
    chat.save()
    return prompt


def retry(chat: Chat, answer: str) -> None:
    """Take away the last turn and send its prompt again, to `answer` this time: three saves."""
    chat.turn(undo(chat), answer)


def truncate(chat: Chat, keep: int) -> None:
    """Keep the first `keep` messages. A negative count is a slice where the era takes it, else ValueError."""
    if keep < 0 and not chat.app.era.accepts_negative_keep:
        raise ValueError("keep_count must not be negative")
    chat.refresh()
    messages, context = chat.messages, chat.document["context_messages"]
    chat.messages = messages[:keep]
    if chat.app.era.marks_boundary:
        chat.document["context_messages"] = context[: context_kept(chat.app.era, messages, context, keep)]
    mark_shrink(chat, len(messages))
    chat.save()


def context_kept(era: Era, messages: list[Message], context: list[Message], keep: int) -> int:
    """Return how much of the context goes with the first `keep` messages: as many, and what stands before them in a longer one.

    Since v0.51.875 lists of different lengths are aligned: up to the first message that goes, or to the last that stays.
    """
    if keep <= 0:
        return 0
    surplus = len(context) - len(messages)
    if not surplus or keep >= len(messages) or not era.clears_all:
        return max(0, surplus) + keep
    places: list[int | None] = []
    start = 0
    for message in messages:
        same = (number for number in range(start, len(context)) if _same(message, context[number]))
        places.append(next(same, None))
        start = start if places[-1] is None else places[-1] + 1
    last, gone = places[keep - 1], places[keep]
    if last is not None and (gone is None or messages[keep - 1]["role"] == "user"):
        return last + 1
    if gone is not None:
        return gone
    known = [place for place in places[:keep] if place is not None]
    return known[-1] + 1 if known and surplus < 0 else max(0, surplus) + keep


def _same(message: Message, other: Message) -> bool:
    if any(message.get(key) != other.get(key) for key in API_MEMBERS):
        return False
    stamps = {message.get("timestamp"), other.get("timestamp")} - {None}
    return len(stamps) < 2


def edit(chat: Chat, prompt: str, answer: str) -> None:
    """Rewrite the last prompt: truncate to before it, then a new turn."""
    truncate(chat, last_prompt(chat.messages))
    chat.turn(prompt, answer)


def regenerate(chat: Chat, answer: str) -> None:
    """Ask for another answer to the last prompt.

    The newest era keeps the message of the prompt in the one save that shrinks, with a new timestamp; earlier ones truncate
    to before it and send it again.
    """
    if not chat.app.era.marks_shrink:
        prompt = text_of(chat.messages[last_prompt(chat.messages)])
        truncate(chat, last_prompt(chat.messages))
        chat.turn(prompt, answer)
        return
    chat.refresh()
    document, messages, context = chat.document, chat.messages, chat.document["context_messages"]
    chat.messages = messages[: last_prompt(messages) + 1]
    mark_shrink(chat, len(messages))
    if context:
        document["context_messages"] = context[: last_prompt(context) + 1]
    now, stream = chat.app.clock(), chat.app.hexadecimal(32)
    for kept in (chat.messages[-1:], document["context_messages"][-1:]):
        for message in kept:
            message |= {"timestamp": now, "_active_turn_token": f"{stream}:{now:.17g}"}
    document |= {"active_stream_id": stream, "pending_user_message": text_of(chat.messages[-1])}
    document |= {"pending_started_at": now, "pending_user_source": "webui"}
    chat.save()
    chat.finish(answer)


def clear(chat: Chat) -> None:
    """Empty the conversation. The newest eras also remove the backup that the save left."""
    chat.refresh()
    document, messages = chat.document, chat.messages
    document |= {"messages": [], "tool_calls": [], "title": "Untitled"}
    for flag in {"manual_title", "llm_title_generated"} & document.keys():
        document[flag] = False
    if chat.app.era.clears_all:
        mark_shrink(chat, len(messages))
        document |= {"context_messages": [], "active_stream_id": None, "pending_user_message": None}
        document |= {"pending_attachments": [], "pending_started_at": None, "pending_user_source": None}
        document["clear_generation"] = chat.app.hexadecimal(32) if messages else None
    chat.save()
    if chat.app.era.clears_all:
        chat.backup_path.unlink(missing_ok=True)


def compress(chat: Chat) -> None:
    """A user's /compress: a summary and the last turn are what the model goes on with, and, in old eras, all there is.

    ValueError when there are fewer messages than the application compresses, or not fewer would be left.
    """
    chat.refresh()
    document, messages = chat.document, chat.messages
    tail = [
        {key: message[key] for key in API_MEMBERS if key in message}
        for message in messages[last_prompt(messages) :]
    ]
    compressed: list[Message] = [{"role": "user", "content": COMPACTION}, *tail]
    least = min(len(messages), len(document["context_messages"]) or len(messages))
    if len(messages) < FEWEST_COMPRESSED or len(compressed) >= least:
        raise ValueError("there is not enough to compress")
    document["context_messages"] = compressed
    if chat.app.era.compress_replaces_messages:
        document |= {"messages": deepcopy(compressed), "tool_calls": []}
    document |= {"active_stream_id": None, "pending_user_message": None}
    document |= {"pending_attachments": [], "pending_started_at": None}
    visible = [
        message
        for message in chat.messages
        if message.get("role") != "tool" and text_of(message) != COMPACTION
    ]
    document["compression_anchor_visible_idx"] = max(0, len(visible) - 1)
    document["compression_anchor_message_key"] = _anchor_key(visible[-1])
    if "compression_anchor_summary" in document:
        document["compression_anchor_summary"] = COMPACTION
    if "compression_anchor_mode" in document:
        document["compression_anchor_mode"] = "manual"
    chat.save()


def _anchor_key(message: Message) -> dict[str, Any]:
    return {
        "role": message["role"],
        "ts": message.get("timestamp"),
        "text": text_of(message)[:160],
        "attachments": len(message.get("attachments", ())),
    }


def rotate(chat: Chat, *, session_id: str | None = None) -> str:
    """Context compression that goes on under a new id, which is returned; `chat` is the new session from here on."""
    app, old_path, old_id = chat.app, chat.path, chat.session_id
    new_id = session_id or f"20260430_151231_{app.hexadecimal(6)}"
    if app.era.renames_on_rotation:
        old_path.rename(app.path(new_id))
    else:
        snapshot = Chat(app, deepcopy(chat.document))
        snapshot.document |= {"pre_compression_snapshot": True, "pinned": False, "active_stream_id": None}
        snapshot.document |= {
            "pending_user_message": None,
            "pending_attachments": [],
            "pending_started_at": None,
        }
        snapshot.save(touch=False, index=False)
        chat.document["parent_session_id"] = old_id
    chat.document["session_id"] = new_id
    app.chats.pop(old_id, None)
    app.chats[new_id] = chat
    if chat.document["context_messages"]:
        tail = chat.document["context_messages"][-2:]
        chat.document["context_messages"] = [{"role": "user", "content": COMPACTION}, *tail]
    chat.save()
    return new_id


def delete(chat: Chat) -> None:
    """Delete the session: the file, its backup, its index entry (or the index), and in the newest eras a tombstone.

    Some milliseconds lie between. Sessions of messengers get no tombstone.
    """
    app = chat.app
    app.chats.pop(chat.session_id, None)
    if app.era.unlinks_index:
        (app.directory / INDEX).unlink(missing_ok=True)
        chat.path.unlink()
        return
    chat.path.unlink()
    app.pause(UNLINK_TO_INDEX_SECONDS)
    app.forget_in_index(chat.session_id)
    chat.backup_path.unlink(missing_ok=True)
    if app.era.buries and not chat.is_from_messenger:
        app.pause(INDEX_TO_TOMBSTONE_SECONDS)
        app.bury(chat.session_id)


def clean_up(app: App, *, loaded: Iterable[Chat] = ()) -> int:
    """Remove the sessions without a message, as `/api/sessions/cleanup` does; return how many.

    `loaded` are sessions that it looked at when they had none yet (PR#7036). No tombstone in any release; the index goes, or in
    those that write tombstones the entries do.
    """
    late = [chat.session_id for chat in loaded]
    empty = [chat.session_id for chat in app.chats.values() if not app.read(chat.session_id)["messages"]]
    for session_id in (*empty, *late):
        app.chats.pop(session_id, None)
        app.path(session_id).unlink()
    if app.era.buries:
        app.forget_in_index(*empty, *late)
    else:
        (app.directory / INDEX).unlink(missing_ok=True)
    return len(empty) + len(late)


def side_question(app: App, question: str, answer: str, *, kind: str = "btw") -> str:
    """Play a `btw` or `bg` chat: a temporary session that is unlinked at its end. Its id is returned."""
    chat = app.create(f"{kind}: {question}"[:64])
    chat.turn(question, answer)
    app.chats.pop(chat.session_id)
    chat.path.unlink()
    return chat.session_id


def delete_message(chat: Chat, number: int) -> None:
    """Delete one turn from the middle, marked as a shrink (after exp-v0.52.216). ValueError in earlier eras."""
    if chat.app.era < Era.NEW:
        raise ValueError("This release cannot delete a single message")
    chat.refresh()
    messages = chat.messages
    gone = messages[number : number + 2]
    chat.messages = messages[:number] + messages[number + 2 :]
    context = chat.document["context_messages"]
    words = [text_of(message) for message in gone]
    chat.document["context_messages"] = [message for message in context if text_of(message) not in words]
    mark_shrink(chat, len(messages))
    chat.save()
