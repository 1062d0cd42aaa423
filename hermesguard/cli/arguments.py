"""The arguments of each verb, as argparse takes them; the table of the verbs is in module verbs."""

import argparse
from enum import Enum, auto
from typing import Any, Final

from hermesguard.config.options import OPTIONS
from hermesguard.webui.document import PARTS

LIST_STATES: Final = (
    *("fine", "shortened", "restored", "uncertain", "unrepaired", "unreadable", "lost"),
    *("missing", "deleted"),
)
SHELLS: Final = ("bash", "zsh", "fish")
LIST_ORDERS: Final = ("changed", "title", "messages", "versions", "incident")


class Completes(Enum):
    """What a shell offers for an argument."""

    SESSION = auto()
    INCIDENT = auto()
    SUBJECT = auto()
    FILE = auto()
    DIRECTORY = auto()


def completing(action: argparse.Action, completes: Completes) -> None:
    action.completes = completes  # type: ignore[attr-defined]


def add_places(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the flags that every verb has: which sessions, which store, which configuration."""
    places = parser.add_argument_group("places")
    for flag, metavar, text, completes in (
        ("--sessions", "DIR", "the sessions directory of hermes-webui", Completes.DIRECTORY),
        (
            "--profile",
            "NAME",
            "of several sessions directories only that of this profile; status shows the names",
            None,
        ),
        (
            "--store",
            "DIR",
            "where hermesguard keeps its copies; hermesguard@USER names the store of that service",
            Completes.DIRECTORY,
        ),
        ("--config", "FILE", "read this configuration file and no other", Completes.FILE),
    ):
        action = places.add_argument(flag, metavar=metavar, help=text, default=argparse.SUPPRESS)
        if completes:
            completing(action, completes)


def json_flag(parser: argparse.ArgumentParser, what: str = "one JSON object on stdout") -> None:
    parser.add_argument("--json", action="store_true", help=what)


def _dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _session(parser: argparse.ArgumentParser, metavar: str = "SID", **more: Any) -> None:
    text = "a session: its id, the start of it, or words of its title"
    if "@" in metavar:
        text += "; @VERSION is @latest, @live, @-2, a time such as @2026-11-22T10:00, or a name that history shows"
    completing(
        parser.add_argument("session", metavar=metavar, help=text, **more),
        Completes.SESSION,
    )


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def scan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 4 if something is wrong",
    )
    json_flag(parser)


def status(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object on stdout")
    form.add_argument(
        "--nagios",
        action="store_true",
        help="one line and the exit codes of a Nagios plugin (0, 1, 2, 3)",
    )


def list_sessions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="only sessions with these words in id or title",
    )
    parser.add_argument(
        "--state",
        choices=LIST_STATES,
        metavar="STATE",
        help=f"only sessions in this state: {', '.join(LIST_STATES)}",
    )
    parser.add_argument(
        "--sort",
        choices=LIST_ORDERS,
        default="changed",
        help="the order; default: newest change first",
    )
    json_flag(parser)


def lost(parser: argparse.ArgumentParser) -> None:
    _since(parser)
    parser.add_argument("--all", action="store_true", help="all of it, not only the newest")
    json_flag(parser)


def find(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="TEXT", help="words of the title or the text")
    parser.add_argument("--all", action="store_true", help="all that fit, not only the best")
    json_flag(parser)


def _since(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        metavar="WHEN",
        help='"2h", "3d", "today", or a time such as 2026-11-22T10:00',
    )


def history(parser: argparse.ArgumentParser) -> None:
    _session(parser)
    json_flag(parser)


def show(parser: argparse.ArgumentParser) -> None:
    _session(parser, "SID[@VERSION]")
    parser.add_argument("--last", type=_count, metavar="N", help="only the last N messages")
    parser.add_argument("--full", action="store_true", help="tool calls and their results in full")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the messages as one JSON object")
    form.add_argument("--markdown", action="store_true", help="the conversation as Markdown")
    parser.add_argument("--no-pager", action="store_true", help="never start a pager")


def diff(parser: argparse.ArgumentParser) -> None:
    _session(parser, "SID[@A]")
    parser.add_argument(
        "other",
        nargs="?",
        metavar="@B",
        help="the version to compare with; default: @live",
    )
    json_flag(parser)
    parser.add_argument("--no-pager", action="store_true", help="never start a pager")


def restore(parser: argparse.ArgumentParser) -> None:
    _session(parser, "SID[@VERSION]", nargs="?")
    parser.add_argument(
        "--all-missing",
        action="store_true",
        help="restore every session whose file is missing",
    )
    completing(
        parser.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            help="write it there (- is stdout), leave live alone",
        ),
        Completes.FILE,
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="take the version as it is, even if live has messages that it lacks",
    )
    parser.add_argument(
        "--part",
        metavar="PART",
        choices=PARTS,
        help=f"bring back only that of it, into live as it is: {', '.join(PARTS)}",
    )
    _dry_run(parser)
    json_flag(parser)


def salvage(parser: argparse.ArgumentParser) -> None:
    completing(
        parser.add_argument(
            "conversations",
            metavar="SID",
            nargs="*",
            help="only these sessions: what may have been taken back comes with them too; default: all that look shorter "
            "than some trace says",
        ),
        Completes.SESSION,
    )
    completing(
        parser.add_argument(
            "--hermes-home",
            metavar="DIR",
            help="the home of hermes-agent, with state.db; default: the one beside the sessions, else HERMES_HOME or ~/.hermes",
        ),
        Completes.DIRECTORY,
    )
    _dry_run(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--restore", action="store_true", help="make it live, not only a version in the history"
    )
    form.add_argument(
        "--show", action="store_true", help="print each message, with whether it would come back and why"
    )
    json_flag(parser)


def undo(parser: argparse.ArgumentParser) -> None:
    completing(
        parser.add_argument(
            "incident", metavar="INCIDENT", help="the number of an incident, as log shows it"
        ),
        Completes.INCIDENT,
    )
    parser.add_argument("--merge", action="store_true", help="keep what was written since")
    _dry_run(parser)
    json_flag(parser)


def accept(parser: argparse.ArgumentParser) -> None:
    _session(parser)
    _dry_run(parser)
    json_flag(parser)


def log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="go on, with each incident as it happens",
    )
    _since(parser)
    which = parser.add_mutually_exclusive_group()
    completing(
        which.add_argument("named", metavar="SID", nargs="?", help="only this session"), Completes.SESSION
    )
    completing(
        which.add_argument("--session", metavar="SID", help="the same, as an option"), Completes.SESSION
    )
    json_flag(parser, "one JSON object on stdout; with -f, one on each line")


def explain(parser: argparse.ArgumentParser) -> None:
    completing(
        parser.add_argument(
            "subject",
            metavar="EVENT|INCIDENT|SID",
            help="the number of an incident, a session, or an event's name or MESSAGE_ID",
        ),
        Completes.SUBJECT,
    )
    parser.add_argument("--fields", action="store_true", help="of an event, also its fields in the journal")
    json_flag(parser)


def report(parser: argparse.ArgumentParser) -> None:
    completing(
        parser.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            help="where to write the page (- is stdout); default: hermesguard-report.html here",
        ),
        Completes.FILE,
    )
    json_flag(parser, "what the page shows as one JSON object, and no page")


def prune(parser: argparse.ArgumentParser) -> None:
    _dry_run(parser)
    json_flag(parser)


def purge(parser: argparse.ArgumentParser) -> None:
    _session(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _dry_run(parser)
    json_flag(parser)


def notify(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--test", action="store_true", help="send a test message to each address now, and end")
    form.add_argument(
        "--once", action="store_true", help="send what there is without gathering more, and end: for a timer"
    )


def serve(parser: argparse.ArgumentParser) -> None:
    settings = parser.add_argument_group("settings", "each overrides its key in the configuration file")
    for option in OPTIONS:
        if option.key.startswith("page_"):
            settings.add_argument(
                option.flag,
                metavar="VALUE",
                default=argparse.SUPPRESS,
                help=(option.meaning + f" Default: {option.default}").replace("%", "%%").replace("`", ""),
            )


def open_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-browser", action="store_true", help="print the link, open no browser")
    parser.add_argument(
        "--new-key", action="store_true", help="make a new key: every page that is signed in is signed out"
    )
    json_flag(parser)


def extension(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("install", "remove", "status"),
        help="put it where hermes-webui finds it, take it away, or say what is there",
    )
    completing(
        parser.add_argument(
            "--directory",
            metavar="DIR",
            help="where hermes-webui looks for extensions; default: HERMES_WEBUI_EXTENSION_DIR, else the one beside the sessions",
        ),
        Completes.DIRECTORY,
    )
    json_flag(parser)


def config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("show", "check"), help="show every value, or check the files")
    parser.add_argument(
        "--network",
        action="store_true",
        help="check, too, whether the addresses can be reached; nothing is sent",
    )
    json_flag(parser)


def completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=(*SHELLS, "sessions", "incidents", "subjects"),
        help="the script for a shell, or the words that these scripts ask for",
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_count.__name__ = "number of messages"  # argparse puts it into its sentence
