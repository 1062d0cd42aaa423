"""What `hermesguard offsite` is to do: the table [offsite], and what follows from the places of the store."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hermesguard.config import tables
from hermesguard.config.offsite_options import OFFSITE
from hermesguard.config.options import Place
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError


@dataclass(frozen=True, slots=True)
class OffsiteSettings:
    """The table [offsite], and where the process keeps what it knows of the copies."""

    store: Path
    state: Path
    url: str
    recipients: tuple[str, ...]
    endpoint: str
    region: str
    credentials: Path | None
    interval_seconds: float
    requests_per_day: int
    lifetime_seconds: float | None
    keep_deleted_seconds: float
    keep_history_seconds: float
    keep_versions: int


def load(settings: Settings, flags: Mapping[str, str | None] | None = None) -> OffsiteSettings:
    """Return what [offsite] asks for, `flags` over it; GuardError (exit code 12) when a value is wrong."""
    table = tables.load(settings, "offsite")
    values = dict(table.values)
    for option in OFFSITE:
        key = option.key.partition(".")[2]
        if (text := (flags or {}).get(key)) is not None:
            values[option.field] = option.kind.read(
                option, text, Place(f"flag --{key}", f"flag --{key}", "flag", os.environ)
            )
    return OffsiteSettings(
        store=settings.store,
        state=state_directory(settings.store, os.environ),
        keep_deleted_seconds=settings.keep_deleted_seconds,
        keep_history_seconds=settings.keep_history_seconds,
        keep_versions=settings.keep_versions,
        **values,
    )


def require_url(options: OffsiteSettings) -> None:
    """Raise GuardError (exit code 12) when no place for the copies is named."""
    if not options.url:
        raise GuardError(
            "No place for offsite copies is configured",
            'Write [offsite], and below it url = "s3://BUCKET/PREFIX" and recipients = ["age1..."]: see docs/offsite.md',
            ExitCode.CONFIG,
        )


def state_directory(store: Path, environment: Mapping[str, str]) -> Path:
    """Return where the process keeps what it knows: a directory beside the store, unless HERMESGUARD_OFFSITE_STATE names it."""
    if named := environment.get("HERMESGUARD_OFFSITE_STATE"):
        return Path(named).absolute()
    return store.with_name(f"{store.name}.offsite")
