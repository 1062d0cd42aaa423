"""`verify` and `drill`: proof that the store can be relied on."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.cli.output.tables import counted
from hermesguard.cli.output.transcript import wrapped
from hermesguard.config.memory import session_limit_bytes
from hermesguard.config.settings import Settings
from hermesguard.config.units import about_size
from hermesguard.daemon import control
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.event import plain
from hermesguard.lookup.directories.together import library_of
from hermesguard.lookup.typed import as_typed
from hermesguard.repair.drill import drill as run_drill
from hermesguard.store.upkeep import verify as verification
from hermesguard.store.upkeep.verify import Damage, Progress, Tally


def verify(arguments: argparse.Namespace, settings: Settings) -> int:
    """Read every copy, have damaged ones made again where that is possible, and say which are damaged."""
    library = library_of(settings)
    tally, tallies = Tally(), []
    with _bar("reading") as progress:
        for part in library.libraries:
            part.store.limit_bytes = session_limit_bytes(part.settings.max_session_bytes)
            tallies.append(verification.verify(part.store, partial(_rebuilt, part.settings), progress))
            tally.add(tallies[-1], partial(library.name_in, part))
    lasting = [damage for damage in tally.damaged if not damage.rebuilt]
    if arguments.json:
        print_json("verify", tally.as_dict())
    else:
        here = screen.of()
        for damage in tally.damaged:
            repaired = "; rebuilt from a good live file" if damage.rebuilt else ""
            here.write(here.safe(f"{damage.path}: {damage.error}{repaired}"))
        read = f"{counted(tally.files, 'file')} ({about_size(tally.size_bytes)})"
        result = f"{len(tally.damaged):,} damaged." if tally.damaged else "all good."
        here.write(f"Read {read} of {counted(tally.sessions, 'session')}: {result}")
        for line in _advice(lasting):
            here.write("\n".join(wrapped(here, as_typed(line), "")))
    for part, found in zip(library.libraries, tallies, strict=True):
        left = sum(not damage.rebuilt for damage in found.damaged)
        try:
            control.ask(part.settings, "verified", files=found.files, damaged=left)
        except GuardError as error:
            print(
                f"hermesguard: This could not be noted for hermesguard status. {plain(str(error))}",
                file=sys.stderr,
            )
    return ExitCode.PROBLEM if tally.damaged else ExitCode.OK


def _rebuilt(settings: Settings, name: str) -> bool:
    """Have a damaged shadow made again; return whether it was."""
    try:
        return bool(control.ask(settings, "rebuild", name=name)["rebuilt"])
    except GuardError:
        return False


def _advice(lasting: Iterable[Damage]) -> Iterator[str]:
    """Yield what to do about damage that could not be repaired."""
    shadows = sorted({damage.session for damage in lasting if not damage.version and not damage.is_strange})
    if shadows:
        yield f"The newest copy of {', '.join(shadows)} is rebuilt at the next good save, or by: hermesguard accept {shadows[0]}"
    if any(damage.version for damage in lasting):
        yield "A damaged version cannot be rebuilt. To get rid of it, remove its file and verify again."
    if any(damage.is_strange for damage in lasting):
        yield "What is none of hermesguard's does not belong into the store: move it away, and verify again."


def drill(arguments: argparse.Namespace, settings: Settings) -> int:
    """Bring every session back into a scratch directory, and look for each message of its shadow."""
    library = library_of(settings)
    for store in (library.store, *(part.store for part in library.libraries)):
        store.limit_bytes = session_limit_bytes(settings.max_session_bytes)
    with _bar("restoring") as progress:
        found = run_drill(library.store, progress)
    if arguments.json:
        print_json(
            "drill",
            {
                "sessions": found.sessions,
                "restorable": found.restorable,
                "messages": found.messages,
                "failed": [{"session": name, "error": why} for name, why in found.failed.items()],
            },
        )
    else:
        here = screen.of()
        for name, why in found.failed.items():
            here.write(here.safe(f"{name}: {why}"))
        here.write(
            f"{found.restorable:,} of {counted(found.sessions, 'session')} restorable, "
            f"{counted(found.messages, 'message')}."
        )
    return ExitCode.PROBLEM if found.failed else ExitCode.OK


@contextmanager
def _bar(words: str) -> Iterator[Progress]:
    """Yield what takes the progress; on a terminal a bar shows it, and goes when the work is done."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
