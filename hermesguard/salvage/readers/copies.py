"""Traces that are JSON files: copies of the session file, a torn one, the agent's session logs and request dumps."""

import errno
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from json.decoder import JSONDecoder
from pathlib import Path
from typing import Any, Final

from hermesguard import files
from hermesguard.salvage.trace import Kind, Trace, messages_of
from hermesguard.webui import benign, header, session
from hermesguard.webui.session import Document, Message, Unreadable

_decode: Final = JSONDecoder().raw_decode


class Unusable(Exception):
    """A trace cannot be used; str() is the sentence that says why."""


def read_limited(path: Path, limit_bytes: int) -> tuple[bytes, files.Stamp]:
    """Return a file's content; Unusable when it is larger than the limit or cannot be read."""
    try:
        if (found := files.stamp(path)) and found.size_bytes > limit_bytes:
            raise Unusable(
                f"{path.name} has {found.size_bytes:,} bytes, more than may be held in memory ({limit_bytes:,}). "
                "It is left out; raise cache_bytes to use it."
            )
        return files.read(path)
    except OSError as error:
        raise Unusable(f"{path.name} cannot be read: {reason(error)}. It is left out.") from None


def reason(error: OSError) -> str:
    """Return in words why a file was not read."""
    if error.errno == errno.ELOOP:
        return "it is a symbolic link, and none is followed"
    return error.strerror or str(error)


def document_trace(kind: Kind, place: str, document: Document, taken_at: float | None) -> Trace:
    """Return a whole session file as a trace."""
    return Trace(
        kind,
        place,
        tuple(document.messages),
        saved_at(document) or taken_at,
        {key: document.get(key) for key in document.keys if key not in session.LISTS},
        tuple(document.context),
        tuple(call.value for call in document.tool_calls if isinstance(call.value, dict)),
        is_whole=True,
        document=document,
    )


def saved_at(document: Document) -> float | None:
    """Return when a session file says that it was saved last."""
    return session.number(document.get("updated_at"))


def copy(path: Path, name: str, limit_bytes: int) -> Trace:
    """Return a copy of a session file (a backup, a temp file); raises Unusable."""
    data, stamp = read_limited(path, limit_bytes)
    taken_at = stamp.mtime_ns / 1e9
    try:
        document = session.parse(data)
    except Unreadable:
        return torn(data, Kind.COPY, path.name, taken_at)
    if document.get("session_id") not in (None, name):
        raise Unusable(f"{path.name} holds another session. It is left out.")
    return document_trace(Kind.COPY, path.name, document, taken_at)


def torn(data: bytes, kind: Kind, place: str, taken_at: float | None) -> Trace:
    """Return what can be read of a session file that ends too early; raises Unusable when that is nothing."""
    text = data.decode("utf-8", "ignore")
    metadata = header.metadata(data[: header.HEAD_BYTES])
    messages = tuple(_elements(text, session.MESSAGES))
    context = tuple(_elements(text, session.CONTEXT))
    if not messages and not context and not metadata:
        what = "is empty" if not data.strip(b"\0 \n\r\t") else "is no session file"
        raise Unusable(f"{place} {what}. Nothing of it can be used.")
    return Trace(kind, place, messages, taken_at, metadata, context)


def _elements(text: str, key: str) -> Iterator[Message]:
    """Yield the elements of a top-level list as far as they are whole.

    It is found by the application's own two-space layout; in a file of another, it is the first of that name.
    """
    opening = f'\n  "{key}": ['
    at = text.find(opening) + len(opening)
    if at < len(opening):
        found = re.search(rf'"{key}"\s*:\s*\[', text)
        if found is None:
            return
        at = found.end()
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at >= len(text) or text[at] != "{":
            return
        try:
            value, end = _decode(text, at)
        except (ValueError, RecursionError):
            return
        yield Message(value, text[at:end])
        at = end


def log(path: Path, name: str, limit_bytes: int) -> Trace:
    """Return a session log of the agent (`session_<sid>.json`); raises Unusable."""
    value = _object(path, limit_bytes)
    if value.get("session_id") != name:
        raise Unusable(f"{path.name} holds another session. It is left out.")
    metadata = {"model": value.get("model"), "created_at": _seconds(value.get("session_start"))}
    taken_at = _seconds(value.get("last_updated"))
    messages = messages_of(value.get("messages"))
    # It is never written over by fewer messages, and so may still have what was taken back last.
    is_compressed = any(map(benign.is_compaction_marker, messages))
    context = messages if is_compressed else ()
    return Trace(
        Kind.LOG, path.name, messages, taken_at, _known(metadata), context, is_whole=not is_compressed
    )


def dump(path: Path, name: str, limit_bytes: int) -> Trace:
    """Return the model's context in a request that failed (`request_dump_<sid>_<time>.json`); raises Unusable."""
    value = _object(path, limit_bytes)
    request = value.get("request")
    body = request.get("body") if isinstance(request, dict) else None
    if value.get("session_id") not in (None, name) or not isinstance(body, dict):
        raise Unusable(f"{path.name} is no request of this session. It is left out.")
    return Trace(
        Kind.DUMP,
        path.name,
        messages_of(body.get("messages")),
        _seconds(value.get("timestamp")),
        _known({"model": body.get("model")}),
    )


def _object(path: Path, limit_bytes: int) -> dict[str, Any]:
    data, _ = read_limited(path, limit_bytes)
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise Unusable(f"{path.name} is not JSON, or torn. It is left out.") from None
    if not isinstance(value, dict):
        raise Unusable(f"{path.name} is another program's. It is left out.")
    return value


def _known(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if value not in (None, "")}


def _seconds(text: Any) -> float | None:
    """Return a time that the agent wrote, in local time or with its zone, in seconds since the epoch."""
    if (seconds := session.number(text)) is not None:
        return seconds
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
