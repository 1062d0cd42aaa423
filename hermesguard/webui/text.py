"""The words in what the application writes, and values as it writes them. Pure."""

import json
import unicodedata
from collections.abc import Sequence
from typing import Any, Final


def said_of(error: ValueError) -> str:
    """Return why Python's `json` gave up on JSON that is well formed; it is asked for digits alone, of an integer."""
    is_too_long = "digits" in str(error)
    return "an integer has more digits than the application can read" if is_too_long else type(error).__name__


def written(value: Any, **layout: Any) -> str:
    """Return `value` as the application writes it; escaped where it holds what UTF-8 cannot, as no release writes it."""
    text = json.dumps(value, ensure_ascii=False, **layout)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, **layout)
    return text


_WORDS_CHARACTERS: Final = 64 * 1024


def words_of(text: str) -> str:
    """Return the words of a text, one space between two, in one spelling of its characters.

    A tool of a system that writes an accent as a character of its own says nothing new by that. Of a long text not all words are
    apart at a time.
    """
    words = " ".join(text.split()) if len(text) <= _WORDS_CHARACTERS else _words_of_long(text)
    is_spelled = words.isascii() or unicodedata.is_normalized("NFC", words)
    return words if is_spelled else unicodedata.normalize("NFC", words)


def _words_of_long(text: str) -> str:
    found: list[str] = []
    is_open = False  # the last piece ended within a word
    for start in range(0, len(text), _WORDS_CHARACTERS):
        part = text[start : start + _WORDS_CHARACTERS]
        if words := " ".join(part.split()):
            if found and not (is_open and not part[0].isspace()):
                found.append(" ")
            found.append(words)
        is_open = not part[-1].isspace() and (bool(words) or is_open)
    return "".join(found)


def list_text(texts: Sequence[str]) -> str:
    """Return the list of these messages, each a text of its own, as the application writes it."""
    return "[\n    " + ",\n    ".join(texts) + "\n  ]" if texts else "[]"


def text_of(content: Any) -> str:
    """Return the words in a message's content: a string, or a list of parts of which some are text.

    A picture counts as `[screenshot]`, which is what the application itself puts in its place.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(map(_part_text, content))
    return json.dumps(content, sort_keys=True)


def _part_text(part: Any) -> str:
    if not isinstance(part, dict):
        return text_of(part)
    if part.get("type") in ("image", "image_url", "input_image"):
        return "[screenshot]"
    for key in ("text", "content"):
        if key in part:
            return text_of(part[key])
    return json.dumps(part, sort_keys=True)


def tool_ids(value: Any) -> tuple[str, ...]:
    """Return the ids of the tool calls that a message makes or answers."""
    if not isinstance(value, dict):
        return ()
    answered, calls, content = value.get("tool_call_id"), value.get("tool_calls"), value.get("content")
    parts = [part for found in (calls, content) if isinstance(found, list) for part in found]
    if not parts:
        return (str(answered),) if answered else ()
    made = (part.get("tool_use_id") or part.get("id") for part in parts if isinstance(part, dict))
    return tuple(str(tool) for tool in (answered, *made) if tool)


class Offsets:
    """From characters of a text to bytes of its encoding."""

    def __init__(self, text: str, data: bytes) -> None:
        self._text = text
        self._is_plain = len(text) == len(data)
        self._last = (0, 0)

    def __call__(self, characters: int) -> int:
        if self._is_plain:
            return characters
        start, offset = self._last
        self._last = (characters, offset + len(self._text[start:characters].encode("utf-8")))
        return self._last[1]
