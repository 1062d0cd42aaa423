"""The shells' completion, made from the parser by shtab: `python -m tools.docs.completion` writes the scripts anew.

Only who builds or tests hermesguard needs shtab; the scripts are part of the package (directory completions). What changes
from store to store (sessions, incidents) they ask of `hermesguard completion`.
"""

import argparse
import re
from collections.abc import Mapping
from typing import Any, Final

from hermesguard.cli.arguments import Completes
from hermesguard.cli.commands.service.completion import DIRECTORY, FILES
from hermesguard.cli.verbs import VERBS

_ASKED: Final = {
    Completes.SESSION: "sessions",
    Completes.INCIDENT: "incidents",
    Completes.SUBJECT: "subjects",
}


def script(shell: str) -> str:
    """Return the completion script of a shell."""
    import shtab

    from hermesguard.cli.parser import build

    known: dict[Completes, Any] = {
        what: shtab.cmd(f"hermesguard completion {words} 2>/dev/null") for what, words in _ASKED.items()
    }
    known |= {Completes.FILE: shtab.FILE, Completes.DIRECTORY: shtab.DIRECTORY}
    parser = build()
    _tell_shtab(parser, known)
    text = str(shtab.complete(parser, shell=shell))
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).rstrip() + "\n"


def _tell_shtab(parser: argparse.ArgumentParser, known: Mapping[Completes, Any]) -> None:
    for action in parser._actions:  # there is no public way to an ArgumentParser's actions
        if completes := getattr(action, "completes", None):
            action.complete = known[completes]  # type: ignore[attr-defined]
        elif action.choices and action.metavar and action.help:
            action.help = action.help.partition(":")[0]  # a shell shows the choices themselves
        if isinstance(action, argparse._SubParsersAction):
            summaries = {verb.name: verb.summary for verb in VERBS}
            for name, sub in action.choices.items():
                sub.description = summaries[name]
                _tell_shtab(sub, known)


def main() -> None:
    """Write the scripts."""
    for shell, name in FILES.items():
        (DIRECTORY / name).write_text(script(shell), "utf-8")


if __name__ == "__main__":
    main()
