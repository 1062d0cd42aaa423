"""A session file with some of its messages only, as a merge takes it. Pure."""

from collections.abc import Container, Iterable

from hermesguard.pieces import Piece, pieces_of
from hermesguard.repair.splice import file_of, list_parts, object_parts
from hermesguard.webui import session
from hermesguard.webui.session import Document, Message


def without_messages(document: Document, indices: Container[int]) -> Document:
    """Return `document` without these of its messages, and without what belongs to them in its context and tool calls."""
    out = {document.messages[index].identity for index in range(len(document.messages)) if index in indices}
    if not out:
        return document
    kept = [message for index, message in enumerate(document.messages) if index not in indices]
    context = [message for message in document.context if message.identity not in out]
    calls = [call for call in document.tool_calls if not _is_in(call.get("assistant_msg_idx"), indices)]
    return _with_lists(
        document, {session.MESSAGES: kept, session.CONTEXT: context, session.TOOL_CALLS: calls}
    )


def _is_in(place: object, indices: Container[int]) -> bool:
    return isinstance(place, int) and place in indices


def with_messages(document: Document, messages: Iterable[Message]) -> Document:
    """Return `document` with only these of its messages, its context and tool calls left out."""
    return _with_lists(document, {session.MESSAGES: messages, session.CONTEXT: (), session.TOOL_CALLS: ()})


def _with_lists(document: Document, lists: dict[str, Iterable[Message]]) -> Document:
    def parts(key: str) -> Iterable[str | Piece]:
        return list_parts(lists[key]) if key in lists else document.raw_parts(key)

    return session.parse_pieces(pieces_of(file_of(object_parts((key, parts(key)) for key in document.keys))))
