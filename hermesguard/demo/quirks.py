"""What hermes-webui rewrites without losing anything: messages go or change, unmarked even in the newest era.

Each saves the chat as the application does, except `partials` and the others that only prepare what is collapsed later.
"""

import re
from copy import deepcopy
from typing import Any

from hermesguard.demo.acts import COMPACTION
from hermesguard.demo.chat import Chat
from hermesguard.demo.files import Message

SCREENSHOT = {"type": "text", "text": "[screenshot]"}
IMAGE_TYPES = ("image", "image_url", "input_image")
_XML_CALLS = re.compile(r"<function_calls.*?(</function_calls>|\Z)", re.IGNORECASE | re.DOTALL)


def pile_up_partials(chat: Chat, count: int, *, text: str = "I am looking at it") -> None:
    """A turn that failed over and over left the same partial message many times."""
    now = int(chat.app.clock())
    chat.messages += [
        {"role": "assistant", "content": text, "_partial": True, "timestamp": now} for _ in range(count)
    ]
    chat.save()


def collapse_partials(chat: Chat) -> None:
    """The load that collapses adjacent identical partial messages, and saves what is left (#2592; 54 -> 5 messages seen)."""
    kept: list[Message] = []
    for message in chat.messages:
        if (
            kept
            and message.get("_partial")
            and kept[-1].get("_partial")
            and message["content"] == kept[-1]["content"]
        ):
            continue
        kept.append(message)
    chat.messages = kept
    chat.save(touch=False, index=False)


def add_scaffolding(chat: Chat) -> None:
    """The model's own helpers stand among the messages: a compaction marker and a pair of synthetic control messages."""
    now = chat.app.clock()
    chat.messages += [
        {"role": "assistant", "content": COMPACTION, "timestamp": now},
        {"role": "assistant", "content": "Done.", "_verification_stop_synthetic": True, "timestamp": now},
        {
            "role": "user",
            "content": "[System: You edited code.]",
            "_verification_stop_synthetic": True,
            "timestamp": now,
        },
    ]
    chat.save()


def drop_scaffolding(chat: Chat) -> None:
    """The end of a turn drops compaction markers, synthetic control messages and partial messages (11 -> 8 messages seen)."""
    chat.messages = [
        message
        for message in chat.messages
        if message.get("content") != COMPACTION
        and not message.get("_verification_stop_synthetic")
        and not message.get("_partial")
    ]
    chat.save()


def reword_interruption(chat: Chat) -> None:
    """The marker of an interrupted turn is replaced by one with other words."""
    for message in chat.messages:
        if message.get("_error"):
            message["content"] = "**Response interrupted.**\n\nPartial output may have been lost."
            message["timestamp"] = int(chat.app.clock())
    chat.save()


def drop_interruption(chat: Chat) -> None:
    """The marker of an interrupted turn goes, its output was found."""
    chat.messages = [message for message in chat.messages if not message.get("_error")]
    chat.save()


def double_prompt(chat: Chat) -> None:
    """A prompt stands twice, one message after the other."""
    number = max(number for number, message in enumerate(chat.messages) if message.get("role") == "user")
    chat.messages.insert(number, deepcopy(chat.messages[number]))
    chat.save()


def drop_double_prompts(chat: Chat) -> None:
    """Adjacent duplicate messages of the user are made one."""
    kept: list[Message] = []
    for message in chat.messages:
        if (
            kept
            and message.get("role") == "user" == kept[-1].get("role")
            and message["content"] == kept[-1]["content"]
        ):
            continue
        kept.append(message)
    chat.messages = kept
    chat.save()


def add_image(chat: Chat, call_id: str = "call_image") -> None:
    """A tool answers with an image."""
    parts: list[Any] = [
        {"type": "text", "text": "Here it is"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 40}},
    ]
    chat.messages.append(
        {"role": "tool", "content": parts, "tool_call_id": call_id, "timestamp": chat.app.clock()}
    )
    chat.save()


def replace_images(chat: Chat) -> None:
    """Image bytes in messages of tools become `[screenshot]`."""
    for message in chat.messages:
        if message.get("role") == "tool" and isinstance(message["content"], list):
            message["content"] = [
                SCREENSHOT if part["type"] in IMAGE_TYPES else part for part in message["content"]
            ]
    chat.save()


def strip_xml(chat: Chat) -> None:
    """`<function_calls>` blocks are cut out of answers (#702)."""
    for message in chat.messages:
        if message.get("role") == "assistant" and isinstance(message.get("content"), str):
            message["content"] = _XML_CALLS.sub("", message["content"]).strip()
    chat.save()


def drop_timestamps(chat: Chat) -> None:
    """Messages as they come back from the model, without a timestamp."""
    for message in chat.messages:
        message.pop("timestamp", None)
    chat.save()


def stamp_timestamps(chat: Chat) -> None:
    """Messages without a timestamp get the present one."""
    now = int(chat.app.clock())
    for message in chat.messages:
        message.setdefault("timestamp", now)
    chat.save()
