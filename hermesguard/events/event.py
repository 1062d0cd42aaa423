"""What an event is: a name, an id for alerts, a priority, the fields it may carry, and a sentence for people."""

import re
import string
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from typing import Final, NamedTuple

Value = str | int | float | bool | list[str]
_COMMANDS: Final = frozenset({"undo", "remedy"})
"""Fields that name commands."""


class Priority(IntEnum):
    """The priorities of syslog(3) that hermesguard uses; smaller is worse."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class Field(NamedTuple):
    """One thing that an event can say: the type of its value and its meaning, in words."""

    kind: type[str] | type[int] | type[float] | type[bool] | type[list[str]]
    meaning: str


class Event(NamedTuple):
    """One kind of event.

    `sentence` is a template: `{session}` stands for a field, `{count:message}` for a number with its noun in the right
    number, `{duration_us:duration}` for a time, and a part in [brackets] is left out when one of its fields is missing.
    `title` and `advice` are for `journalctl -x` and `hermesguard explain`: what happened, and what to do about it.
    """

    name: str
    message_id: str
    priority: Priority
    title: str
    sentence: str
    advice: str
    fields: tuple[str, ...] = ()

    def text(self, values: Mapping[str, Value]) -> str:
        """Return the sentence about `values`, on one line, without control characters; never raises."""
        return plain("".join(self._pieces(values)))

    def guidance(self, values: Mapping[str, Value]) -> str:
        """Return the advice with `values` in its commands; what is not known stands there as a word in capitals."""
        return self.advice.format_map(
            _Known({name: plain(in_words(value, "")) for name, value in values.items()})
        )

    def _pieces(self, values: Mapping[str, Value]) -> list[str]:
        pieces: list[str] = []
        for optional, parts in _parse(self.sentence):
            if optional and any(name and name not in values for _, name, _ in parts):
                continue
            for literal, name, spec in parts:
                pieces.append(literal)
                if name:
                    pieces.append(in_words(values[name], spec) if name in values else "?")
        return pieces


class _Known(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return name.upper()


def in_words(value: Value, spec: str) -> str:
    """Return `value` as people write it: lists with semicolons, `spec` "duration" as a time, else `spec` is its noun."""
    if isinstance(value, list):
        return "; ".join(value)
    if spec == "duration" and isinstance(value, (int, float)):
        return _duration(value / 1000)
    if spec:
        return f"{value} {spec if value == 1 else _plural(spec)}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _duration(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.{1 if milliseconds >= 0.1 else 2}f} ms"


def _plural(noun: str) -> str:
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


# C0, DEL and C1, line and paragraph separators, and what turns the direction of text: a path or an error could carry
# them, and none of them may reach a terminal.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Return `text` fit for one line of a log or a terminal: control characters and lone surrogates shown, not sent."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], encodable(text))


@cache
def _parse(template: str) -> tuple[tuple[bool, tuple[tuple[str, str, str], ...]], ...]:
    pieces = re.split(r"\[(.*?)\]", template)
    return tuple(
        (
            bool(index % 2),
            tuple(
                (literal, name or "", spec or "")
                for literal, name, spec, _ in string.Formatter().parse(piece)
            ),
        )
        for index, piece in enumerate(pieces)
    )


def fitted(value: object, kind: object) -> Value | None:
    """Return `value` as a field of that kind holds it, encodable in UTF-8; None when it is of another type."""
    if kind is str and isinstance(value, str):
        return encodable(value)
    if kind is bool:
        return value if isinstance(value, bool) else None
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return int(value)
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if (
        isinstance(value, (list, tuple))
        and kind == list[str]
        and all(isinstance(item, str) for item in value)
    ):
        return [encodable(item) for item in value]
    return None


_completed: Callable[[str], str] = str


def complete_commands(completed: Callable[[str], str]) -> None:
    """Let `completed` make of a command that an event names what must be typed for it here (`sudo -u`, `--store`)."""
    global _completed
    _completed = completed


def as_typed(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values of an event with their commands as they must be typed here."""
    return {
        name: _completed(value) if name in _COMMANDS and isinstance(value, str) else value
        for name, value in values.items()
    }


def encodable(text: str) -> str:
    """Return `text` with lone surrogates, as paths that are not UTF-8 have them, written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


# The catalogue's authors break sentences near column 110; a line that ends long before that ends on purpose.
_BROKEN_COLUMNS: Final = 90


def paragraphs(event: Event, values: dict[str, Value]) -> list[str]:
    """Return the advice of `event` about `values`, sentences in one piece, commands on lines of their own."""
    found: list[str] = []
    goes_on = False
    for template, line in zip(event.advice.splitlines(), event.guidance(values).splitlines(), strict=True):
        if goes_on:
            found[-1] += " " + line
        else:
            found.append(line)
        goes_on = len(template) >= _BROKEN_COLUMNS and not template.endswith((".", ":"))
    return found
