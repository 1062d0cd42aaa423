"""The tables of the configuration file: settings of the processes beside the guard, which has no need of them.

A key is written as in TOML, "notify.urls": as a line of its own, or as `urls` below `[notify]`.
"""

import re
import shlex
from collections.abc import Mapping
from datetime import time
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from hermesguard.config.addresses import is_web_address
from hermesguard.config.offsite_options import OFFSITE
from hermesguard.config.options import FILE, Kind, Option, Place, as_written, choice, duration
from hermesguard.config.settings import Settings, tables_in_files
from hermesguard.errors import ExitCode, GuardError, nearest_of

_QUIET: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*-\s*([01]\d|2[0-3]):([0-5]\d)")
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.@\\-]{1,200}\.service")


class Span(NamedTuple):
    """A time of day, from and until, over midnight too."""

    begin: time
    end: time

    def has(self, moment: time) -> bool:
        """Return whether a time of day lies in it."""
        if self.begin <= self.end:
            return self.begin <= moment < self.end
        return moment >= self.begin or moment < self.end


def _parse_span(raw: object, place: Place) -> Span | None:
    if raw == "off":
        return None
    match = _QUIET.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        raise ValueError
    begin, end = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    if begin == end:
        raise ValueError
    return Span(begin, end)


def _write_span(span: Span | None) -> str:
    return '"off"' if span is None else f'"{span.begin:%H:%M}-{span.end:%H:%M}"'


def _parse_words(raw: object, place: Place) -> tuple[str, ...]:
    words = shlex.split(raw) if isinstance(raw, str) and place.source != "file" else raw
    if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
        raise TypeError
    return tuple(word.strip() for word in words)


def _parse_yes(raw: object, place: Place) -> bool:
    if isinstance(raw, bool):
        return raw
    if place.source == "file" or raw not in ("true", "false"):
        raise TypeError
    return raw == "true"


def _parse_unit(raw: object, place: Place) -> str:
    if raw != "off" and not (isinstance(raw, str) and _UNIT.fullmatch(raw)):
        raise ValueError
    return "" if raw == "off" else str(raw)


def _parse_web_address(raw: object, place: Place) -> str:
    if raw == "off":
        return ""
    if not is_web_address(raw):
        raise ValueError
    return str(raw)


def _hidden(addresses: tuple[str, ...]) -> str:
    """Return addresses without what is secret in them, which may be anything behind the first colon."""
    return "[" + ", ".join(f'"{address.partition(":")[0]}://..."' for address in addresses) + "]"


_SPAN = Kind('a time of day such as "22:00-07:00", or "off"', _parse_span, _write_span)
_ADDRESSES = Kind("a list of Apprise's addresses", _parse_words, _hidden)
_WORDS = Kind(
    'a list of "urgent", "alerts" and names of events',
    _parse_words,
    lambda words: "[" + ", ".join(f'"{word}"' for word in words) + "]",
)
_YES = Kind("true or false", _parse_yes, lambda value: str(value).lower())
_UNIT_NAME = Kind('the name of a service, or "off"', _parse_unit, lambda unit: f'"{unit or "off"}"')
_WEB_ADDRESS = Kind(
    'an address that begins with http:// or https://, or "off"',
    _parse_web_address,
    lambda url: f'"{url.partition(":")[0]}://..."' if url else '"off"',
)

NOTIFY: Final[tuple[Option, ...]] = (
    Option(
        "notify.urls",
        "urls",
        _ADDRESSES,
        "[]",
        '["ntfys://ntfy.example.org/my-topic"]',
        "Who hears of it: addresses as Apprise writes them. They are secrets, so a file that has them must be readable for "
        "nobody but its owner.",
    ),
    Option(
        "notify.urls_file",
        "urls_file",
        FILE,
        '"off"',
        '"/etc/hermesguard/notify.urls"',
        "File with more addresses, one a line, which only the user of `hermesguard notify` may read; a line that begins "
        "with `ping ` names the ping_url. The credential notify.urls of its unit (LoadCredential=) is read as well.",
    ),
    Option(
        "notify.events",
        "events",
        _WORDS,
        '["urgent"]',
        '["urgent", "restored"]',
        'What is told: "urgent" is what a user must hear of, "alerts" is every alert (priority warning or worse), the rest '
        "are names of events.",
    ),
    Option(
        "notify.gather",
        "gather_seconds",
        duration(),
        '"1m"',
        '"5m"',
        "How long is waited for more before a message is sent, so that many incidents are one message.",
    ),
    Option(
        "notify.quiet_hours",
        "quiet_hours",
        _SPAN,
        '"off"',
        '"22:00-07:00"',
        "Local time of day in which no message is sent; what comes then is in one message afterwards. Pings go on.",
    ),
    Option(
        "notify.titles",
        "titles",
        _YES,
        "false",
        "true",
        "Whether a message has the titles of conversations; otherwise it has their ids only. Text is never in it.",
    ),
    Option(
        "notify.unit",
        "unit",
        _UNIT_NAME,
        '"off"',
        '"hermesguard@alice.service"',
        "The service whose entries in the journal count. Off: what any process of the owner of the store has written. The "
        "packaged units set it.",
    ),
    Option(
        "notify.source",
        "source",
        choice("auto", "journal", "incidents"),
        '"auto"',
        '"incidents"',
        "Where is read what happened: the journal, or the incidents of the store. Auto: the journal where the guard writes "
        "into it and this user may read it.",
    ),
    Option(
        "notify.ping_url",
        "ping_url",
        _WEB_ADDRESS,
        '"off"',
        '"https://hc-ping.com/0f7a3c1e-5b7e-4f4e-9d51-2b1a6c3d9e10"',
        "Dead man's switch: visited once a minute while the guard proves that it sees changes and that its store is "
        "writable. It is a secret too.",
    ),
    Option(
        "notify.ping_style",
        "ping_style",
        choice("auto", "healthchecks", "kuma", "plain"),
        '"auto"',
        '"plain"',
        "How failure and start are told: /fail and /start behind the address, status=down of an Uptime Kuma push monitor, or "
        "not at all. Auto: kuma where the path begins with /api/push/, else healthchecks.",
    ),
)

_SECRET: Final = frozenset({"urls", "ping_url"})
OPTIONS_OF: Final[Mapping[str, tuple[Option, ...]]] = {"notify": NOTIFY, "offsite": OFFSITE}
"""By table: its options."""


class Table(NamedTuple):
    """The values of a table by field, and where each came from."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]


def load(settings: Settings, name: str) -> Table:
    """Return the table `name` as the files and the environment of `settings` say it: later files win, the environment over all.

    Raises GuardError (exit code 12) that names the place, the key, the value and what is allowed.
    """
    options = {option.key.partition(".")[2]: option for option in OPTIONS_OF[name]}
    environment = settings.sources.environment if settings.sources else {}
    values: dict[str, object] = {}
    origins: dict[str, str] = {}

    def take(option: Option, raw: object, place: Place) -> None:
        values[option.field] = _read(option, raw, place)
        origins[option.field] = place.origin

    for option in options.values():
        default = Place("default", option.key, "environment", {})
        take(option, _default(option), default)
    for path, table in tables_in_files(settings, name):
        for key, raw in table.items():
            if key not in options:
                _refuse_key(f"{path}: the key {as_written(f'{name}.{key}')}", key, options)
            take(options[key], raw, Place(str(path), f"{path}: {name}.{key}", "file", environment))
    for option in options.values():
        if text := environment.get(option.variable):
            origin = f"environment {option.variable}"
            take(option, text, Place(origin, origin, "environment", environment))
    return Table(MappingProxyType(values), MappingProxyType(origins))


def has_table(settings: Settings, name: str) -> bool:
    """Return whether anything is said of the table, in a file or by a variable."""
    environment = settings.sources.environment if settings.sources else {}
    return any(table for _, table in tables_in_files(settings, name)) or any(
        environment.get(option.variable) for option in OPTIONS_OF[name]
    )


def _read(option: Option, raw: object, place: Place) -> object:
    try:
        return option.kind.read(option, raw, place)
    except GuardError as error:
        if not (option.field in _SECRET or _holds_secret(raw)):
            raise
        # The sentence shows the value, and goes to the journal.
        raise GuardError(f"{place.where}: invalid value", error.remedy, error.exit_code) from None


def _holds_secret(raw: object) -> bool:
    """Return whether a value in a wrong place may be a secret: a private key, or what stands in an address beside its host."""
    text = str(raw)
    return "@" in text or "?" in text or "SECRET" in text.upper()


def _default(option: Option) -> object:
    import tomllib  # only these processes need it

    return tomllib.loads(f"value = {option.default}")["value"]


def _refuse_key(where: str, key: str, options: Mapping[str, Option]) -> None:
    remedy = nearest_of(key, options, "Keys are: " + ", ".join(options))
    raise GuardError(f"{where} is unknown", remedy, ExitCode.CONFIG)
