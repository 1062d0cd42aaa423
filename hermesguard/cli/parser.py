"""The command line's grammar, made from the table of verbs."""

import argparse
import re
from typing import Any, Final, NoReturn

from hermesguard import __version__
from hermesguard.cli.arguments import add_places
from hermesguard.cli.verbs import VERBS
from hermesguard.errors import ExitCode

DESCRIPTION: Final = "Keeps the conversations of hermes-webui from being lost."

EXIT_CODES: Final = (
    ("0", "Success."),
    ("1", "Error."),
    ("2", "Usage error."),
    ("4", "A problem was found: by `status`, `verify`, `drill` or `scan`."),
    ("10", "No store."),
    ("11", "The store is locked by another guard."),
    ("12", "Configuration invalid."),
    ("13", "No such session, version, incident or event."),
    ("14", "Refused."),
    ("128+n", "Ended by signal n."),
)


_ID_WITH_HYPHEN: Final = re.compile(r"-(?!-)(?:[\w-]*\d[\w-]{3,}(?:@\S*)?|[\w-]+@\S+)\Z", re.ASCII)


class _Help(argparse.HelpFormatter):
    """Wraps sentences, and leaves examples as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return "".join(indent + line for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose error is one sentence, with the nearest known word and how to get help."""

    def error(self, message: str) -> NoReturn:
        match = re.search(r"invalid choice: '?(.*?)'? \(choose from (.*?)\)", message, re.DOTALL)
        if match:
            from difflib import get_close_matches  # only a mistake needs it

            choices = re.findall(r"[a-z-]+", match[2])
            nearest = get_close_matches(match[1], choices, n=1)
            what = f"{ascii(match[1])[1:-1]} is not known here"
            message = what + (
                f", did you mean {nearest[0]}?" if nearest else f": choose from {', '.join(choices)}."
            )
        else:
            message = message.encode("ascii", "backslashreplace").decode() + "."
        self.exit(ExitCode.USAGE, f"{self.prog}: {message} See: {self.prog} --help\n")


class _VerbParser(Parser):
    """The parser of one verb; it reports unknown arguments itself, so that its own help is named.

    A session's id may begin with a hyphen, and is typed as it is printed: as argparse takes "-1" for a number, it takes
    that for no option.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._negative_number_matcher = _ID_WITH_HYPHEN

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        known, others = super().parse_known_args(args, namespace)
        if absorb := getattr(self, "absorb", None):
            others = absorb(known, others)
        if others:
            self.error(f"unrecognized arguments: {' '.join(others)}")
        return known, others


def build(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, or, to save time, one that knows only the verb `only`."""
    parser = Parser(
        prog="hermesguard",
        description=DESCRIPTION,
        epilog="example:\n  hermesguard status\n  hermesguard show 3f2a --last 10\n\nexit codes:\n"
        + "\n".join(f"  {code:5}  {meaning}" for code, meaning in EXIT_CODES).replace("`", ""),
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"hermesguard {__version__}")
    add_places(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs", parser_class=_VerbParser)
    for verb in VERBS if only is None else filter(lambda verb: verb.name == only, VERBS):
        sub = verbs.add_parser(
            verb.name,
            help=verb.summary,
            description=verb.description,
            epilog="example:\n" + "\n".join("  " + line for line in verb.example.splitlines()),
            formatter_class=_Help,
        )
        verb.add_arguments(sub)
        add_places(sub)
    return parser
