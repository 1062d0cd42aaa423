"""Settings: flags over environment over file over defaults, each value with its origin."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, NoReturn

from hermesguard.config.options import OPTIONS, OPTIONS_BY_KEY, TABLES, Option, Place, as_written
from hermesguard.config.paths import (
    OUTSIDE_VARIABLE,
    Whereabouts,
    configuration_files,
    default_sessions,
    default_store,
    expanded,
    volume_given,
)
from hermesguard.config.renamed import RENAMED
from hermesguard.errors import ExitCode, GuardError, nearest_of

FLAGS: Final = frozenset(OPTIONS_BY_KEY) | {"config"}
"""The names that `load` takes in `flags`."""

_DAY_SECONDS: Final = 86400.0
_MOST_BYTES: Final = 1024 * 1024


class Sources(NamedTuple):
    """Where settings were read from, so that a reload reads the same places again."""

    flags: Mapping[str, str | None]
    environment: Mapping[str, str]
    files: tuple[Path, ...] | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be chosen. Two settings are equal when their values are, wherever these came from.

    `origins` says for each field where its value came from: "flag --store", "environment HERMESGUARD_STORE",
    "/etc/hermesguard/hermesguard.toml" or "default".
    """

    sessions: Path
    """The sessions directory that these settings are about; of several, the first."""
    store: Path
    """Where its copies are; of a further directory, its part of the store (module parts)."""
    directories: tuple[Path, ...] = ()
    """The sessions directories that are named; none when they are to be found."""
    profile: str = ""
    """The one of several sessions directories that was asked for by name."""
    on_uncertain: Literal["restore", "keep"] = "restore"
    on_missing: Literal["restore", "warn"] = "restore"
    scan_interval_seconds: float = 10.0
    keep_deleted_seconds: float = _DAY_SECONDS
    keep_history_seconds: float = 30 * _DAY_SECONDS
    keep_versions: int = 50
    max_store_bytes: int | None = None
    cache_bytes: int = 64 * 1024 * 1024
    max_session_bytes: int | None = None
    alert_command: tuple[str, ...] = ()
    heartbeat_command: tuple[str, ...] = ()
    on_version_command: tuple[str, ...] = ()
    hook_timeout_seconds: float = 30.0
    metrics_textfile: Path | None = None
    metrics_port: int | None = None
    watch: Literal["auto", "polling"] = "auto"
    page_port: int = 17893
    page_idle_seconds: float = 300.0
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    sources: Sources | None = field(default=None, compare=False, repr=False)

    @property
    def is_auto(self) -> bool:
        """Return whether the sessions directories are to be found, by the application's own rules."""
        return not self.directories and self.sources is not None

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the environment that these settings were read in."""
        return self.sources.environment if self.sources else {}

    def keys_that_differ(self, other: "Settings") -> list[str]:
        """Return the keys whose values `other` has otherwise."""
        return [it.key for it in OPTIONS if getattr(self, it.field) != getattr(other, it.field)]

    def reloaded(self) -> "Settings":
        """Return the settings as the same flags, environment and files say them now; GuardError when one is wrong.

        The environment is the one of the first loading: it cannot change under a running process.
        """
        if self.sources is None:
            return self
        return load(self.sources.flags, self.sources.environment, self.sources.files)


def load(
    flags: Mapping[str, str | None],
    environment: Mapping[str, str],
    files: Iterable[Path] | None = None,
) -> Settings:
    """Return the settings that `flags`, `environment` and configuration files ask for.

    Flags are named as keys are ("store", "scan_interval", and "config" for the file itself); None means not given.
    `files` are read in order, later ones win; None means the files that `configuration_files` names. A file given by
    `--config` or HERMESGUARD_CONFIG must exist, the others need not.
    Raises GuardError (exit code 12) that names the place, the key, the value and what is allowed.
    """
    values: dict[str, object] = {}
    origins: dict[str, str] = {}

    def take(option: Option, raw: object, place: Place) -> None:
        values[option.field] = option.kind.read(option, raw, place)
        origins[option.field] = place.origin

    paths = None if files is None else tuple(files)
    for path, is_required in _files_to_read(flags, environment, paths):
        for key, raw in _read_file(path, is_required).items():
            option = OPTIONS_BY_KEY.get(key)
            if key in TABLES:
                _require_table(path, key, raw)
                continue
            if option is None:
                _refuse_key(path, key)
            take(option, raw, Place(str(path), f"{path}: {key}", "file", environment))
    for key in RENAMED:
        if environment.get(f"HERMESGUARD_{key.upper()}"):
            _refuse_renamed(f"The environment variable HERMESGUARD_{key.upper()}", key)
    for option in OPTIONS:
        text = environment.get(option.variable)
        if text:
            origin = f"environment {option.variable}"
            take(
                option,
                text,
                Place(origin, f"environment {option.variable}", "environment", environment),
            )
    for key, given in flags.items():
        if given is not None and key != "config":
            option = OPTIONS_BY_KEY[key]
            take(
                option,
                given,
                Place(f"flag {option.flag}", f"flag {option.flag}", "flag", environment),
            )

    named = values.get("directories")
    if isinstance(named, tuple) and named:
        values["sessions"], origins["sessions"] = named[0], origins["directories"]
    else:
        values["sessions"], origins["sessions"] = default_sessions(environment)
    if "store" not in values:
        values["store"], origins["store"] = default_store(environment)
    for option in OPTIONS:
        origins.setdefault(option.field, "default")
    given_values: Any = values
    settings = Settings(
        **given_values,
        origins=MappingProxyType(origins),
        sources=Sources(dict(flags), dict(environment), paths),
    )
    _refuse_nesting(settings)
    return settings


def tables_in_files(settings: Settings, name: str) -> list[tuple[Path, dict[str, object]]]:
    """Return the table `name` of each file that `settings` were read from, the winning one last; GuardError when one is wrong."""
    if settings.sources is None:
        return []
    flags, environment, files = settings.sources
    found = []
    for path, is_required in _files_to_read(flags, environment, files):
        table = _read_file(path, is_required).get(name)
        if table is not None:
            found.append((path, _require_table(path, name, table)))
    return found


def _require_table(path: Path, name: str, raw: object) -> dict[str, object]:
    if not isinstance(raw, dict):
        raise GuardError(
            f"{path}: {name} is a table",
            f"Write [{name}] on a line of its own, and its keys below it",
            ExitCode.CONFIG,
        )
    return raw


def _files_to_read(
    flags: Mapping[str, str | None],
    environment: Mapping[str, str],
    files: Sequence[Path] | None,
) -> list[tuple[Path, bool]]:
    if named := flags.get("config") or environment.get("HERMESGUARD_CONFIG"):
        return [(expanded(named, environment).absolute(), True)]
    return [(path, False) for path in (configuration_files(environment) if files is None else files)]


def _content(path: Path) -> bytes:
    """Return what the file holds; OSError when it cannot be read, also for a pipe, on which the start would hang."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is a pipe", str(path))
        if len(text := file.read(_MOST_BYTES + 1)) > _MOST_BYTES:
            raise OSError(errno.EFBIG, "it has more than 1 MiB", str(path))
    return text


def _read_file(path: Path, is_required: bool) -> dict[str, object]:
    try:
        text = _content(path).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        if not is_required:
            return {}
        problem = f"cannot be read: {error.strerror}"
    except OSError as error:
        if isinstance(error, PermissionError) and os.environ.get(OUTSIDE_VARIABLE):
            _refuse_volume(path)
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text at byte {error.start}"
    else:
        import tomllib  # most people have no such file

        try:
            return tomllib.loads(text)
        except ValueError as error:  # of tomllib, or of a number that has thousands of digits
            problem = f"is not TOML: {error}"
        except RecursionError:
            problem = "is not TOML that can be read: it is nested too deeply"
    raise GuardError(
        f"The configuration file {path} {problem}",
        "Correct it, or name another with --config FILE",
        ExitCode.CONFIG,
    )


def _refuse_volume(path: Path) -> None:
    """Raise GuardError where a container's user has no home: it lies in the volume for the copies, which is another's."""
    for directory in path.parents:
        with contextlib.suppress(OSError):
            owner = os.stat(directory).st_uid
            if owner == os.geteuid() or os.access(directory, os.X_OK):
                return
            raise GuardError(
                f"{directory} belongs to uid {owner}, and this is uid {os.geteuid()}",
                volume_given(directory),
                ExitCode.REFUSED,
            )


def _refuse_renamed(where: str, key: str) -> NoReturn:
    raise GuardError(f"{where} has another name now", f"Write {RENAMED[key]} instead", ExitCode.CONFIG)


def _refuse_key(path: Path, key: str) -> NoReturn:
    if key in RENAMED:
        _refuse_renamed(f"{path}: the key {as_written(key)}", key)
    remedy = nearest_of(key, OPTIONS_BY_KEY, "Keys are: " + ", ".join(OPTIONS_BY_KEY))
    raise GuardError(f"{path}: the key {as_written(key)} is unknown", remedy, ExitCode.CONFIG)


def _refuse_nesting(settings: Settings) -> None:
    store = Whereabouts(settings.store)
    named = {sessions: Whereabouts(sessions) for sessions in settings.directories or (settings.sessions,)}
    for sessions, where in named.items():
        for other, elsewhere in named.items():
            if other != sessions and elsewhere.is_inside(where):
                raise GuardError(
                    f"Of the sessions directories ({settings.origins['sessions']}) {other} is, or lies in, {sessions}",
                    "Name each directory once",
                    ExitCode.CONFIG,
                )
        if store.is_inside(where):
            _refuse_nested(settings, sessions, "inside")
        if where.is_inside(store):
            _refuse_nested(settings, sessions, "around")


def _refuse_nested(settings: Settings, sessions: Path, relation: str) -> NoReturn:
    raise GuardError(
        f"The store {settings.store} ({settings.origins['store']}) lies {relation} the sessions directory "
        f"{sessions} ({settings.origins['sessions']})",
        "The two must lie apart, for hermes-webui takes what is in there for its own: name another directory with "
        "--store DIR, HERMESGUARD_STORE or the key store",
        ExitCode.CONFIG,
    )
