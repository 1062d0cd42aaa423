"""What goes back to the page: JSON below the size that hermes-webui's proxy takes, and problems as sentences."""

import json
from collections.abc import Iterable
from typing import Any, Final

import orjson

from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.typed import as_typed
from hermesguard.page.access import Refusal

SCHEMA_VERSION: Final = 2
MOST_BYTES: Final = 512 * 1024 - 1024
"""hermes-webui's proxy takes answers of at most 512 KiB."""
_TITLE_CHARACTERS: Final = 1_000


class Problem(Exception):
    """A request that cannot be answered as it was meant; raised by whoever notices it."""

    def __init__(self, status: int, code: str, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.refusal = Refusal(status, code, what, remedy)


def answer(kind: str, members: dict[str, Any]) -> dict[str, Any]:
    """Return an answer as the API documents it."""
    return {"schema_version": SCHEMA_VERSION, "kind": kind, **members}


def error(refusal: Refusal) -> dict[str, Any]:
    """Return the answer that tells of a problem."""
    return answer("error", {"code": refusal.code, "what": refusal.what, "remedy": as_typed(refusal.remedy)})


def refusal_of(problem: GuardError) -> Refusal:
    """Return how the API says what commands say with an exit code."""
    status, code = _BY_EXIT_CODE.get(problem.exit_code, (422, "unreadable"))
    return Refusal(status, code, problem.what, problem.remedy)


_BY_EXIT_CODE: Final = {
    ExitCode.NOT_FOUND: (404, "not_found"),
    ExitCode.REFUSED: (409, "refused"),
    ExitCode.USAGE: (400, "usage"),
    ExitCode.NO_STORE: (503, "no_store"),
    ExitCode.LOCKED: (503, "no_guard"),
}


def encoded(value: Any) -> bytes:
    """Return a value as JSON in UTF-8; half a surrogate pair becomes U+FFFD, NaN and Infinity null."""
    try:
        return orjson.dumps(value)
    except TypeError:
        text = json.dumps(value, ensure_ascii=False, default=str)
        known = json.loads(text, parse_constant=lambda constant: None)
        text = json.dumps(known, ensure_ascii=False)
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def fitting(items: Iterable[Any], most_bytes: int) -> list[Any]:
    """Return the first of the items, as many as are no more than that many bytes together; one at least."""
    found: list[Any] = []
    size = 0
    for item in items:
        size += len(encoded(item)) + 1
        if found and size > most_bytes:
            break
        found.append(item)
    return found


def clipped(title: str) -> str:
    """Return a title no longer than anybody reads it."""
    return title[:_TITLE_CHARACTERS]


def whole_number(text: str | None, default: int, low: int, high: int, name: str) -> int:
    """Return a parameter as a number between the two; `Problem` when it is none."""
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise Problem(400, "usage", f"{name} is not a number")
    return max(low, min(int(text), high))
