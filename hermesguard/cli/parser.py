"""The command line's grammar, made from the table of verbs."""

import argparse
import re
import sys
from collections.abc import Sequence
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
    ("4", "A problem was found: by `status`, `verify`, `scan`, and the like."),
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

            choices = [choice.strip("'") for choice in match[2].split(", ")]
            nearest = get_close_matches(match[1], choices, n=1)
            what = f"{ascii(match[1])[1:-1]} is not known here"
            message = what + (
                f", did you mean {nearest[0]}?" if nearest else f": choose from {', '.join(choices)}."
            )
        elif match := re.fullmatch(r"the following arguments are required: (\w+)", message):
            known = {action.dest: action.choices for action in self._actions}.get(match[1])
            message = f"say which: {', '.join(known)}." if known else f"{message}."
        else:
            message = message.encode("ascii", "backslashreplace").decode().removesuffix(".")
            message += "" if message.endswith("?") else "."
        from hermesguard.cli.output.complaint import complain  # only a mistake needs it

        complain(f"{self.prog}: {message} See: {self.prog} --help")
        self.exit(ExitCode.USAGE)

    def refuse(self, others: Sequence[str]) -> NoReturn:
        """Report arguments that are not known; of an option also the nearest one that is."""
        from difflib import get_close_matches  # only a mistake needs it

        option = others[0].partition("=")[0]
        nearest = (
            get_close_matches(option, self._option_string_actions, n=1, cutoff=0.8)
            if option[:2] == "--"
            else []
        )
        if nearest:
            self.error(f"{option} is not known here, did you mean {nearest[0]}?")
        self.error(f"unrecognized arguments: {' '.join(others)}")


class _TopParser(Parser):
    """The parser of the whole line. An option that is mistyped before the verb is reported as such: its value is no verb."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        words = [*(sys.argv[1:] if args is None else args)]
        while words and words[0].startswith("--") and words[0] != "--":
            option, has_value, _ = words.pop(0).partition("=")
            known = [
                action for name, action in self._option_string_actions.items() if name.startswith(option)
            ]
            if not known:
                self.refuse([option])
            if not has_value and known[0].nargs is None:
                del words[:1]
        return super().parse_known_args(args, namespace)


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
            self.refuse(others)
        return known, others


def build(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, or, to save time, one that knows only the verb `only`."""
    parser = _TopParser(
        prog="hermesguard",
        description=DESCRIPTION,
        epilog="example:\n  hermesguard status\n  hermesguard show 3f2a --last 10\n\nexit codes:\n"
        + "\n".join(f"  {code:5}  {meaning}" for code, meaning in EXIT_CODES).replace("`", ""),
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"hermesguard {__version__}")
    add_places(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", title="commands", parser_class=_VerbParser)
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
