"""A session file with some of its messages only, as a merge takes it. Pure."""

import json
from collections.abc import Container, Sequence

from hermesguard.webui import session
from hermesguard.webui.session import Document, Message
from hermesguard.webui.text import list_text


def without_messages(document: Document, indices: Container[int]) -> Document:
    """Return `document` without these of its messages, and without what belongs to them in its context and tool calls."""
    out = {document.messages[index].identity for index in range(len(document.messages)) if index in indices}
    if not out:
        return document
    kept = [message for index, message in enumerate(document.messages) if index not in indices]
    context = [message for message in document.context if message.identity not in out]
    calls = [call for call in document.tool_calls if call.get("assistant_msg_idx") not in indices]
    lists = {session.MESSAGES: kept, session.CONTEXT: context, session.TOOL_CALLS: calls}
    texts = {key: list_text([message.text for message in found]) for key, found in lists.items()}
    return _with_lists(document, texts)


def with_messages(document: Document, messages: Sequence[Message]) -> Document:
    """Return `document` with only these of its messages, its context and tool calls left out."""
    parts = (session.MESSAGES, session.CONTEXT, session.TOOL_CALLS)
    texts = {
        key: list_text([message.text for message in messages]) if key == session.MESSAGES else "[]"
        for key in parts
    }
    return _with_lists(document, texts)


def _with_lists(document: Document, texts: dict[str, str]) -> Document:
    members = (f"{json.dumps(key)}: {texts.get(key) or document.raw(key)}" for key in document.keys)
    return session.parse(("{" + ",".join(members) + "}").encode("utf-8"))
