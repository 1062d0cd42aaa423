"""The head of a session file: the metadata that stands before the messages, read without reading these.

The application itself needs all of it before the messages and within the first 64 KiB (docs/hermes-webui.md, section 1).
"""

import contextlib
import os
import re
from collections.abc import Generator
from json.decoder import JSONDecoder
from pathlib import Path
from typing import Any, Final

import orjson

from hermesguard.webui import session

HEAD_BYTES: Final = 64 * 1024
_FIRST_BYTES: Final = 2048
_BLANKS: Final = " \t\n\r"
# As the application writes it: the id, then the title. Of thousands of files the title alone is asked for.
_FIRST_TITLE: Final = re.compile(
    rb'\s*\{\s*"session_id":\s*"[\w-]*",\s*"title":\s*("(?:[^"\\\x00-\x1f]|\\.)*")\s*,'
)


def read(path: Path | str, *keys: str) -> dict[str, Any]:
    """Return the metadata in a session file, as `metadata` does; OSError when it cannot be read.

    A link is not followed, and a pipe not waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, _FIRST_BYTES)
        found = metadata(data, *keys)
        if not keys or any(key not in found for key in keys):
            found = metadata(data + os.read(descriptor, HEAD_BYTES - len(data)), *keys)
    finally:
        os.close(descriptor)
    return found


def metadata(data: bytes, *keys: str) -> dict[str, Any]:
    """Return the members that stand before the messages in the beginning of a session file; of these only `keys`, if given.

    What is no session, or cut off, gives what could be read until there.
    """
    found: dict[str, Any] = {}
    if keys == (session.TITLE,) and (match := _FIRST_TITLE.match(data)):
        with contextlib.suppress(ValueError):
            return {session.TITLE: orjson.loads(match[1])}
    try:
        # Closed by us and not by the interpreter, which would swallow an interrupt that comes just then.
        with contextlib.closing(_members(data.decode("utf-8", "ignore"))) as members:
            for key, value in members:
                if not keys or key in keys:
                    found[key] = value
                    if len(found) == len(keys):
                        break
    except (ValueError, IndexError, RecursionError):
        pass
    return found


def _members(text: str) -> Generator[tuple[str, Any], None, None]:
    decode = JSONDecoder().raw_decode
    position = text.index("{") + 1
    while True:
        key, position = decode(text, _skip(text, position))
        if key == session.MESSAGES:
            return
        position = _skip(text, position)
        value, position = decode(text, _skip(text, position + 1))
        yield key, value
        position = _skip(text, position)
        if text[position] != ",":
            return
        position += 1


def _skip(text: str, position: int) -> int:
    while text[position] in _BLANKS:
        position += 1
    return position


def title(found: dict[str, Any]) -> str:
    """Return the title in a session's metadata; empty when there is none."""
    value = found.get(session.TITLE)
    return value if isinstance(value, str) else ""
