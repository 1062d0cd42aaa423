"""The options, one entry each: files, flags, variables, `config show` and hermesguard.toml(5) come from here."""

import os
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from hermesguard.config.paths import expanded
from hermesguard.config.units import (
    DURATION_FORM,
    SIZE_FORM,
    exact_duration,
    exact_size,
    parse_duration,
    parse_size,
)
from hermesguard.errors import ExitCode, GuardError


class Place(NamedTuple):
    """Where a raw value stands: `origin` for `config show`, `where` for an error's first words."""

    origin: str
    where: str
    source: Literal["flag", "environment", "file"]
    environment: Mapping[str, str]


class Kind(NamedTuple):
    """A kind of value: `allowed` in words, `parse` from TOML or text (ValueError, TypeError: refused), `write` back."""

    allowed: str
    parse: Callable[[object, Place], object]
    write: Callable[[Any], str]

    def read(self, option: "Option", raw: object, place: Place) -> object:
        """Return the value of `option`, as it stands at `place`. GuardError (exit code 12) when it is invalid."""
        try:
            return self.parse(raw, place)
        except (TypeError, ValueError):
            raise GuardError(
                f"{place.where} = {as_written(raw)}: invalid value",
                f"Allowed: {self.allowed}, for example {option.key} = {option.example}",
                ExitCode.CONFIG,
            ) from None


class Option(NamedTuple):
    """One setting: its key in the file, its field in `Settings`, what it may be and what it is for."""

    key: str
    field: str
    kind: Kind
    default: str
    example: str
    meaning: str

    @property
    def flag(self) -> str:
        return "--" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        return "HERMESGUARD_" + self.key.upper().replace(".", "_")

    def written(self, settings: object) -> str:
        """Return the value as the configuration file would say it."""
        return self.kind.write(getattr(settings, self.field))


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise TypeError
    return raw


def _path(raw: object, place: Place) -> Path:
    path = expanded(_text(raw), place.environment)
    if place.source == "file" and not path.is_absolute():
        raise ValueError
    return path.absolute()


def _parse_directories(raw: object, place: Place) -> tuple[Path, ...]:
    """Return the directories that are named; none for "auto"."""
    if raw == "auto":
        return ()
    if isinstance(raw, list):
        paths = tuple(_path(one, place) for one in raw)
        if not paths:
            raise ValueError
        return tuple(dict.fromkeys(paths))
    if place.source == "file" or os.path.isdir(_text(raw)):
        return (_path(raw, place),)
    return tuple(dict.fromkeys(_path(one, place) for one in re.split(r":(?=[/~])", _text(raw))))


def _write_directories(paths: tuple[Path, ...]) -> str:
    if len(paths) == 1:
        return _quoted(paths[0])
    return "[" + ", ".join(map(_quoted, paths)) + "]" if paths else '"auto"'


def choice(*choices: str) -> Kind:
    """Return the kind whose values are these words."""

    def parse(raw: object, place: Place) -> str:
        if raw not in choices:
            raise ValueError
        return str(raw)

    return Kind(" or ".join(f'"{choice}"' for choice in choices), parse, _quoted)


def duration(at_least: str = "0") -> Kind:
    """Return the kind whose values are seconds, written as a duration, no shorter than that."""

    def parse(raw: object, place: Place) -> float:
        seconds = parse_duration("0" if raw == 0 and not isinstance(raw, bool) else _text(raw))
        if seconds < parse_duration(at_least):
            raise ValueError
        return seconds

    limit = "" if at_least == "0" else f", at least {at_least}"
    form = DURATION_FORM if at_least == "0" else DURATION_FORM.replace(' or "0"', "")
    return Kind(form + limit, parse, lambda seconds: _quoted(exact_duration(seconds)))


def _is_whole_number(raw: object) -> bool:
    return isinstance(raw, int) and not isinstance(raw, bool)


def _size(*, may_be_off: bool = False) -> Kind:
    def parse(raw: object, place: Place) -> int | None:
        if may_be_off and raw == "off":
            return None
        return parse_size(str(raw) if _is_whole_number(raw) else _text(raw))

    def write(size_bytes: int | None) -> str:
        return _quoted("off" if size_bytes is None else exact_size(size_bytes))

    return Kind(SIZE_FORM + (' or "off"' if may_be_off else ""), parse, write)


def number(low: int, high: int, *, may_be_off: bool = False) -> Kind:
    """Return the kind whose values are whole numbers, both bounds included; "off" is None."""

    def parse(raw: object, place: Place) -> int | None:
        if may_be_off and raw == "off":
            return None
        if not _is_whole_number(raw) and place.source == "file":
            raise TypeError
        number = int(str(raw))
        if not low <= number <= high:
            raise ValueError
        return number

    def write(number: int | None) -> str:
        return '"off"' if number is None else str(number)

    return Kind(f"a whole number from {low} to {high}" + (' or "off"' if may_be_off else ""), parse, write)


def _parse_command(raw: object, place: Place) -> tuple[str, ...]:
    words = shlex.split(raw) if isinstance(raw, str) and place.source != "file" else raw
    if not isinstance(words, list):
        raise TypeError
    return tuple(_text(word) for word in words)


def _parse_optional_path(raw: object, place: Place) -> Path | None:
    return None if raw == "off" else _path(raw, place)


def _quoted(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in text) + '"'


_DIRECTORIES = Kind(
    'an absolute path to a directory, a list of such paths, or "auto"', _parse_directories, _write_directories
)
_DIRECTORY = Kind("an absolute path to a directory", _path, _quoted)
FILE = Kind(
    'an absolute path to a file or "off"',
    _parse_optional_path,
    lambda path: _quoted("off" if path is None else path),
)
_COMMAND = Kind(
    "a list of words, the first being the program (it is never given to a shell)",
    _parse_command,
    lambda words: "[" + ", ".join(_quoted(word) for word in words) + "]",
)

OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        "sessions",
        "directories",
        _DIRECTORIES,
        '"auto"',
        '"/home/me/.hermes/webui/sessions"',
        "The sessions directories of hermes-webui that are guarded. Auto: all that hermes-webui of this user has by its own "
        "rules ($HERMES_WEBUI_STATE_DIR/sessions, $HERMES_HOME/webui/sessions, ~/.hermes/webui/sessions, and that of each "
        "profile, ~/.hermes/profiles/NAME/webui/sessions), those too that come while the guard runs. In the environment and "
        "on the command line several are separated by colons.",
    ),
    Option(
        "store",
        "store",
        _DIRECTORY,
        "$STATE_DIRECTORY (systemd), else $XDG_STATE_HOME/hermesguard, else ~/.local/state/hermesguard",
        '"/var/lib/hermesguard"',
        "Where shadows, history and incidents are kept. Never inside the sessions directory, nor around it.",
    ),
    Option(
        "on_uncertain",
        "on_uncertain",
        choice("restore", "keep"),
        '"restore"',
        '"keep"',
        "What to do when messages are gone and it is uncertain whether that was intended: restore them, or keep the file "
        "as it is. Either way both sides are in the history, and one command reverses it.",
    ),
    Option(
        "on_missing",
        "on_missing",
        choice("restore", "warn"),
        '"restore"',
        '"warn"',
        "What to do when a session's file is missing, without evidence of a deletion.",
    ),
    Option(
        "scan_interval",
        "scan_interval_seconds",
        duration(at_least="100ms"),
        '"10s"',
        '"10s"',
        "How often the directory is scanned, whatever inotify reports. As long as it reports, a scan of more than 256 sessions "
        "looks at a part of them, at each within 60 scans.",
    ),
    Option(
        "keep_deleted",
        "keep_deleted_seconds",
        duration(),
        '"1d"',
        '"0"',
        'How long a deleted session stays in the store; "0" removes it at once.',
    ),
    Option(
        "keep_history",
        "keep_history_seconds",
        duration(),
        '"30d"',
        '"90d"',
        "How long older versions are kept.",
    ),
    Option(
        "keep_versions",
        "keep_versions",
        number(1, 1_000_000),
        "50",
        "50",
        "How many older versions of one session are kept at most.",
    ),
    Option(
        "max_store_bytes",
        "max_store_bytes",
        _size(may_be_off=True),
        '"off"',
        '"2GiB"',
        "Size limit of the store; beyond it the oldest versions are removed. Shadows, and versions that an open incident "
        "needs, are never removed for it.",
    ),
    Option(
        "cache_bytes",
        "cache_bytes",
        _size(),
        '"64MiB"',
        '"64MiB"',
        "Size limit of the in-memory copy cache.",
    ),
    Option(
        "max_session_bytes",
        "max_session_bytes",
        _size(may_be_off=True),
        '"off"',
        '"256MiB"',
        "Size limit of sessions that are read into memory. Larger ones are copied unread, and restored unread when lost. "
        "Off: a third of what the memory limit of the guard leaves (MemoryHigh= of its unit, less 96 MiB), at most 1 GiB.",
    ),
    Option(
        "alert_command",
        "alert_command",
        _COMMAND,
        "[]",
        '["/usr/local/bin/notify-me"]',
        "Command run for each alert (priority warning or worse); its data comes as JSON on standard input.",
    ),
    Option(
        "heartbeat_command",
        "heartbeat_command",
        _COMMAND,
        "[]",
        '["curl", "-fsS", "https://example.org/ping/1234"]',
        "Command run at most once a minute after a successful scan: raise an alarm when it stays away.",
    ),
    Option(
        "on_version_command",
        "on_version_command",
        _COMMAND,
        "[]",
        '["/usr/local/bin/copy-elsewhere"]',
        "Command run for each version that enters the history; its data comes as JSON on standard input.",
    ),
    Option(
        "hook_timeout",
        "hook_timeout_seconds",
        duration(at_least="100ms"),
        '"30s"',
        '"30s"',
        "Time limit of each of the commands above.",
    ),
    Option(
        "metrics_textfile",
        "metrics_textfile",
        FILE,
        '"off"',
        '"/var/lib/prometheus/node-exporter/hermesguard.prom"',
        "File in which metrics are written for Prometheus' node exporter.",
    ),
    Option(
        "metrics_port",
        "metrics_port",
        number(1, 65535, may_be_off=True),
        '"off"',
        "9664",
        "Port of the loopback address on which metrics are served.",
    ),
    Option(
        "watch",
        "watch",
        choice("auto", "polling"),
        '"auto"',
        '"polling"',
        "How changes are noticed: inotify where available, else polling.",
    ),
    Option(
        "page_port",
        "page_port",
        number(1024, 65535),
        "17893",
        "17894",
        "Port of the loopback address on which `hermesguard serve` shows its page. A socket of systemd has its own "
        "(ListenStream= of hermesguard-page@.socket); the extension of hermes-webui names it too.",
    ),
    Option(
        "page_idle",
        "page_idle_seconds",
        duration(),
        '"5m"',
        '"30m"',
        "The page's process ends when nobody has asked it anything for so long; 0: never.",
    ),
)
TABLES: Final = frozenset({"notify", "offsite"})
"""Tables of the file that other processes read (`config.tables`); whatever stands there, the guard guards."""
OPTIONS_BY_KEY: Final[Mapping[str, Option]] = {option.key: option for option in OPTIONS}


def as_written(raw: object) -> str:
    """Return a value as the file has it, cut to 80 characters."""
    text = repr(raw) if not isinstance(raw, str) else _quoted(raw)
    return text if len(text) <= 80 else text[:77] + "..."
