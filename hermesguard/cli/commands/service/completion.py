"""`completion`: what a shell needs in order to complete our words."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from hermesguard.cli.arguments import SHELLS
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode

DIRECTORY: Final = Path(__file__).parents[2] / "completions"
FILES: Final[Mapping[str, str]] = {
    "bash": "hermesguard.bash",
    "zsh": "_hermesguard",
    "fish": "hermesguard.fish",
}
"""By shell: the name under which the shell looks for the script."""


def completion(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print a shell's script, or the words that the scripts ask for, one a line."""
    if arguments.what in SHELLS:
        sys.stdout.write((DIRECTORY / FILES[arguments.what]).read_text("utf-8"))
    else:
        sys.stdout.writelines(f"{word}\n" for word in _words(arguments.what, settings))
    return ExitCode.OK


def _words(what: str, settings: Settings) -> Iterable[str]:
    from hermesguard.store.directories.parts import meant
    from hermesguard.store.store import Store

    stores = [Store(part.root) for part in meant(settings)]
    for store in stores:
        store.open()
    if what == "sessions":
        return sorted({name for store in stores for name in store.sessions()})
    from hermesguard.store import incidents

    numbers = [
        incident.id for store in stores for incident in incidents.read(store.root) if not incident.is_by_user
    ]
    if what == "incidents":
        return numbers
    from hermesguard.events.catalog import EVENTS

    return [*numbers, *(event.name for event in EVENTS)]
