"""`verify` and `drill`: proof that the store can be relied on."""

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hermesguard import control, files, screen, session
from hermesguard.compare import compare
from hermesguard.config import Settings
from hermesguard.errors import ExitCode
from hermesguard.library import Library
from hermesguard.machine import print_json
from hermesguard.mend import mend
from hermesguard.session import Unreadable
from hermesguard.units import about_size
from hermesguard.view import counted


def verify(arguments: argparse.Namespace, settings: Settings) -> int:
    """Have every copy read and checked, and say which are damaged."""
    answer = control.ask(settings, "verify")
    damaged = answer["damaged"]
    if arguments.json:
        print_json("verify", answer)
    else:
        here = screen.of()
        for entry in damaged:
            mended = "; made again from the live file" if entry.get("rebuilt") else ""
            here.write(here.safe(f"{entry['path']}: {entry['error']}{mended}"))
        read = f"{counted(answer['files'], 'file')} ({about_size(answer['size_bytes'])})"
        here.write(
            f"Read {read} of {counted(answer['sessions'], 'session')}: "
            + (f"{len(damaged):,} damaged." if damaged else "all good.")
        )
    return ExitCode.PROBLEM if damaged else ExitCode.OK


def drill(arguments: argparse.Namespace, settings: Settings) -> int:
    """Mend every session into a scratch directory, read it back, and look for each message of its shadow."""
    library = Library(settings)
    names = [name for name in library.sessions if library.store.has_shadow(name)]
    failed: dict[str, str] = {}
    messages = 0
    with tempfile.TemporaryDirectory(prefix="hermesguard-drill-") as scratch:
        for name in _with_progress(names, "restoring"):
            try:
                messages += _restored(library, name, Path(scratch))
            except (OSError, Unreadable) as error:
                failed[name] = str(error)
            except _Missing as missing:
                failed[name] = f"{counted(missing.count, 'message')} did not come back"
    restorable = len(names) - len(failed)
    if arguments.json:
        members: dict[str, Any] = {"sessions": len(names), "restorable": restorable, "messages": messages}
        print_json(
            "drill", {**members, "failed": [{"session": name, "error": why} for name, why in failed.items()]}
        )
    else:
        here = screen.of()
        for name, why in failed.items():
            here.write(here.safe(f"{name}: {why}"))
        here.write(f"{restorable:,} of {len(names):,} sessions restorable, {counted(messages, 'message')}.")
    return ExitCode.PROBLEM if failed else ExitCode.OK


class _Missing(Exception):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count


def _restored(library: Library, name: str, scratch: Path) -> int:
    """Return how many messages of the shadow came back; _Missing when not all did."""
    shadow = session.parse(library.store.read_shadow(name))
    target = scratch / f"{name}.json"
    target.write_bytes(mend(shadow))
    restored = session.parse(files.read(target)[0])
    target.unlink()
    comparison = compare(shadow.rows, restored.rows)
    if not comparison.whole:
        raise _Missing(len(comparison.missing) + len(comparison.shortened))
    return len(shadow.rows)


def _with_progress(names: Iterable[str], words: str) -> Iterator[str]:
    """Yield the names, with a bar on a terminal that lasts as long as they do."""
    import sys

    if not sys.stderr.isatty():
        yield from names
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(list(names), description=words, console=Console(stderr=True), transient=True)
