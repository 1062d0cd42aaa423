"""Where to look for traces, by the settings."""

import os
from pathlib import Path
from typing import Final, NamedTuple

from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.salvage.readers.home import agent_home

_LEAST_LIMIT_BYTES: Final = 16 * 1024 * 1024


class Places(NamedTuple):
    """Where to look."""

    sessions: Path
    agent: Path | None
    """The home of hermes-agent; None when it is not known: then only the sessions directory is looked at."""
    store: Path | None = None
    """The guard's own store, whose history knows what was taken back."""
    limit_bytes: int = 64 * 1024 * 1024
    """No file, and no conversation in a database, larger than this is read into memory."""


def places_of(settings: Settings, hermes_home: str | None = None) -> Places:
    """Return where to look for traces; GuardError when the home that was named is no directory."""
    given = Path(hermes_home).expanduser().absolute() if hermes_home else None
    if given and not given.is_dir():
        raise GuardError(
            f"{given} is no directory", "Name the home of hermes-agent, where state.db is", ExitCode.USAGE
        )
    environment = settings.sources.environment if settings.sources else os.environ
    agent = agent_home(settings.sessions, given, environment)
    return Places(settings.sessions, agent, settings.store, max(settings.cache_bytes, _LEAST_LIMIT_BYTES))
