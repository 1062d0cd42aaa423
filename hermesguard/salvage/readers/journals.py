"""Traces that are journals of hermes-webui: runs (what the page was sent while a turn ran) and turns (what the user sent)."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hermesguard import files
from hermesguard.salvage.readers.copies import Unusable, read_limited
from hermesguard.salvage.trace import Kind, Trace, message_of, messages_of
from hermesguard.webui.session import number

_TAIL_BYTES: Final = 256 * 1024
_DONE: Final = b'"event":"done"'
_MOST_SNAPSHOTS: Final = 8


def newest_first(directory: Path) -> list[Path]:
    """Return the journals of a session's runs, the newest first; none when they cannot be listed."""
    try:
        with os.scandir(directory) as entries:
            found = [
                (entry.stat(follow_symlinks=False).st_mtime_ns, entry.path)
                for entry in entries
                if entry.name.endswith(".jsonl")
            ]
    except OSError:
        return []
    return [Path(path) for _, path in sorted(found, reverse=True)]


def last_count(directory: Path) -> int | None:
    """Return how many messages the conversation had when its newest run ended, by the end of that journal; None if unknown."""
    for path in newest_first(directory)[:1]:
        try:
            with os.fdopen(files.opened(path, None)[0], "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                tail = file.read(_TAIL_BYTES)
        except OSError:
            return None
        for line in reversed(tail.splitlines()):
            if _DONE in line.replace(b'": "', b'":"')[:400]:
                payload = (_event(line) or {}).get("payload")
                found = payload.get("session") if isinstance(payload, dict) else None
                messages = found.get("messages") if isinstance(found, dict) else None
                return len(messages) if isinstance(messages, list) else None
        # A line longer than what was read began before it: a transcript of that size is worth a closer look.
        return None if size <= _TAIL_BYTES else -1
    return None


def runs(directory: Path, name: str, limit_bytes: int) -> Iterator[Trace | str]:
    """Yield of a session's runs the newest transcripts and what unfinished ones left, and a sentence for what is of no use."""
    snapshots = 0
    for path in newest_first(directory):
        if snapshots == _MOST_SNAPSHOTS:
            return
        try:
            data, _ = read_limited(path, limit_bytes)
        except Unusable as error:
            yield str(error)
            continue
        events = [event for line in data.splitlines() if (event := _event(line))]
        torn = sum(1 for line in data.splitlines() if line.strip()) - len(events)
        if torn:
            yield f"{path.name} has torn lines ({torn}). The others are used."
        events = [event for event in events if event.get("session_id") in (None, name)]
        done = next((event for event in reversed(events) if event.get("event") == "done"), None)
        trace = _snapshot(done, path.name) if done else _unfinished(events, path.name)
        if trace:
            snapshots += trace.kind is Kind.SNAPSHOT
            yield trace


def is_ephemeral(event: Mapping[str, Any]) -> bool:
    """Return whether a run was of a side question (btw, background), whose session is removed at its end."""
    payload = event.get("payload")
    return isinstance(payload, dict) and bool(payload.get("ephemeral"))


def _snapshot(event: Mapping[str, Any], place: str) -> Trace | None:
    payload = event.get("payload")
    found = payload.get("session") if isinstance(payload, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("messages"), list):
        return None
    messages = messages_of(found["messages"])
    counted = found.get("message_count")
    calls = found.get("tool_calls")
    aligned = len(messages) == len(found["messages"])
    return Trace(
        Kind.SNAPSHOT,
        place,
        messages,
        _created(event),
        {
            key: value
            for key, value in found.items()
            if key not in ("messages", "tool_calls", "context_messages")
        }
        | ({"ephemeral": True} if is_ephemeral(event) else {}),
        tool_calls=tuple(call for call in calls if isinstance(call, dict))
        if aligned and isinstance(calls, list)
        else (),
        is_whole=not isinstance(counted, int) or counted <= len(found["messages"]),
    )


def _unfinished(events: list[dict[str, Any]], place: str) -> Trace | None:
    """Return what a run that never ended had answered until then."""
    said, thought = "", ""
    began: float | None = None
    for event in events:
        payload = event.get("payload")
        text = payload.get("text") if isinstance(payload, dict) else None
        if event.get("event") in ("token", "reasoning") and isinstance(text, str):
            began = began or _created(event)
            if event["event"] == "token":
                said += text
            else:
                thought += text
    if not said.strip():
        return None
    value: dict[str, Any] = {"role": "assistant", "content": said, "_partial": True}
    if thought.strip():
        value["reasoning"] = thought
    if began:
        value["timestamp"] = began
    return Trace(Kind.UNFINISHED, place, (message_of(value),), began)


def prompts(paths: list[Path], name: str, limit_bytes: int) -> Iterator[Trace | str]:
    """Yield the prompts that the user sent, in their order, as one trace, and a sentence for what is of no use."""
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        try:
            data, _ = read_limited(path, limit_bytes)
        except Unusable as error:
            yield str(error)
            continue
        for line in data.splitlines():
            event = _event(line)
            if event is None:
                if line.strip():
                    yield f"{path.name} has a torn line. The others are used."
                continue
            content = event.get("content")
            if event.get("event") == "submitted" and event.get("session_id") in (None, name) and content:
                found.setdefault(str(event.get("turn_id") or len(found)), event)
    events = sorted(found.values(), key=lambda event: _created(event) or 0.0)
    if events:
        messages = tuple(message_of(_prompt(event)) for event in events)
        known = {key: event[key] for event in events for key in ("workspace", "model") if event.get(key)}
        yield Trace(Kind.PROMPTS, paths[0].name, messages, _created(events[-1]), known)


def _prompt(event: Mapping[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = {"role": "user", "content": event["content"]}
    if created := _created(event):
        value["timestamp"] = created
    if event.get("attachments"):
        value["attachments"] = event["attachments"]
    return value


def _created(event: Mapping[str, Any]) -> float | None:
    return number(event.get("created_at"))


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
