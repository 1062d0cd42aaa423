"""What people can type: every verb with its words, its example and its arguments.

The parser, the manual pages and the shell completion are made from this table, so none of them can drift. Nothing here
imports what a verb needs in order to run.
"""

import argparse
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from hermesguard.config.options import OPTIONS

LIST_STATES: Final = ("fine", "restored", "uncertain", "unrepaired", "deleted", "missing")
SHELLS: Final = ("bash", "zsh", "fish")
LIST_ORDERS: Final = ("changed", "title", "messages", "versions", "incident")


class Completes(Enum):
    """What a shell offers for an argument."""

    SESSION = auto()
    INCIDENT = auto()
    SUBJECT = auto()
    FILE = auto()
    DIRECTORY = auto()


class Verb(NamedTuple):
    """One verb. `run` names the function "module:function" that does it: (arguments, settings) -> exit code.

    `example` is shell input with a comment above each line; `reads_settings` is false for verbs that work without any.
    """

    name: str
    summary: str
    description: str
    example: str
    run: str
    arguments: Callable[[argparse.ArgumentParser], None]
    reads_settings: bool = True


def _completing(action: argparse.Action, completes: Completes) -> None:
    action.completes = completes  # type: ignore[attr-defined]


def add_places(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the flags that every verb has: which sessions, which store, which configuration."""
    places = parser.add_argument_group("places")
    for flag, metavar, text, completes in (
        (
            "--sessions",
            "DIR",
            "the sessions directory of hermes-webui",
            Completes.DIRECTORY,
        ),
        ("--store", "DIR", "where hermesguard keeps its copies", Completes.DIRECTORY),
        (
            "--config",
            "FILE",
            "read this configuration file and no other",
            Completes.FILE,
        ),
    ):
        _completing(
            places.add_argument(flag, metavar=metavar, help=text, default=argparse.SUPPRESS),
            completes,
        )


def _json(parser: argparse.ArgumentParser, what: str = "one JSON object on stdout") -> None:
    parser.add_argument("--json", action="store_true", help=what)


def _dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _session(parser: argparse.ArgumentParser, metavar: str = "SID", **more: Any) -> None:
    text = "a session: its id, the start of it, or words of its title"
    if "@" in metavar:
        text += "; @VERSION is @latest, @live, @-2, a time such as @2026-11-22T10:00, or a name that history shows"
    _completing(
        parser.add_argument("session", metavar=metavar, help=text, **more),
        Completes.SESSION,
    )


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def _guard(parser: argparse.ArgumentParser) -> None:
    settings = parser.add_argument_group("settings", "each overrides its key in the configuration file")
    for option in OPTIONS:
        if option.key not in ("sessions", "store"):
            settings.add_argument(
                option.flag,
                metavar="VALUE",
                default=argparse.SUPPRESS,
                help=(option.meaning + f" Default: {option.default}").replace("%", "%%"),
            )


def _scan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 4 if something is wrong",
    )
    _json(parser)


def _status(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object on stdout")
    form.add_argument(
        "--nagios",
        action="store_true",
        help="one line and the exit codes of a Nagios plugin (0, 1, 2, 3)",
    )


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="only sessions with these words in id or title",
    )
    parser.add_argument("--state", choices=LIST_STATES, help="only sessions in this state")
    parser.add_argument(
        "--sort",
        choices=LIST_ORDERS,
        default="changed",
        help="the order; default: newest change first",
    )
    _json(parser)


def _history(parser: argparse.ArgumentParser) -> None:
    _session(parser)
    _json(parser)


def _show(parser: argparse.ArgumentParser) -> None:
    _session(parser, "SID[@VERSION]")
    parser.add_argument("--last", type=_count, metavar="N", help="only the last N messages")
    parser.add_argument("--full", action="store_true", help="tool calls and their results in full")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the messages as one JSON object")
    form.add_argument("--markdown", action="store_true", help="the conversation as Markdown")
    parser.add_argument("--no-pager", action="store_true", help="never start a pager")


def _diff(parser: argparse.ArgumentParser) -> None:
    _session(parser, "SID[@A]")
    parser.add_argument(
        "other",
        nargs="?",
        metavar="@B",
        help="the version to compare with; default: @live",
    )
    _json(parser)
    parser.add_argument("--no-pager", action="store_true", help="never start a pager")


def _restore(parser: argparse.ArgumentParser) -> None:
    _session(parser, "SID[@VERSION]", nargs="?")
    parser.add_argument(
        "--all-missing",
        action="store_true",
        help="put back every session whose file vanished",
    )
    _completing(
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
    _dry_run(parser)
    _json(parser)


def _salvage(parser: argparse.ArgumentParser) -> None:
    _completing(
        parser.add_argument(
            "conversations",
            metavar="SID",
            nargs="*",
            help="only these sessions: what may have been taken back comes with them too; default: all that look shorter "
            "than some trace says",
        ),
        Completes.SESSION,
    )
    _completing(
        parser.add_argument(
            "--hermes-home",
            metavar="DIR",
            help="the home of hermes-agent, with state.db; default: the one beside the sessions, else HERMES_HOME or ~/.hermes",
        ),
        Completes.DIRECTORY,
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    form.add_argument(
        "--restore", action="store_true", help="make it live, not only a version in the history"
    )
    form.add_argument(
        "--show", action="store_true", help="print each message, with whether it would come back and why"
    )
    _json(parser)


def _undo(parser: argparse.ArgumentParser) -> None:
    _completing(
        parser.add_argument(
            "incident", metavar="INCIDENT", help="the number of an incident, as log shows it"
        ),
        Completes.INCIDENT,
    )
    parser.add_argument("--merge", action="store_true", help="keep what was written since")
    _dry_run(parser)
    _json(parser)


def _accept(parser: argparse.ArgumentParser) -> None:
    _session(parser)
    _dry_run(parser)
    _json(parser)


def _log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="go on, with each incident as it happens",
    )
    parser.add_argument(
        "--since",
        metavar="WHEN",
        help='"2h", "3d", "today", or a time such as 2026-11-22T10:00',
    )
    _completing(
        parser.add_argument("--session", metavar="SID", help="only this session"),
        Completes.SESSION,
    )
    _json(parser, "one JSON object on stdout; with -f, one on each line")


def _explain(parser: argparse.ArgumentParser) -> None:
    _completing(
        parser.add_argument(
            "subject",
            metavar="EVENT|INCIDENT",
            help="an event's name or MESSAGE_ID, or the number of an incident",
        ),
        Completes.SUBJECT,
    )
    _json(parser)


def _report(parser: argparse.ArgumentParser) -> None:
    _completing(
        parser.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            help="where to write the page (- is stdout); default: hermesguard-report.html here",
        ),
        Completes.FILE,
    )
    _json(parser, "what the page shows as one JSON object, and no page")


def _prune(parser: argparse.ArgumentParser) -> None:
    _dry_run(parser)
    _json(parser)


def _purge(parser: argparse.ArgumentParser) -> None:
    _session(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _dry_run(parser)
    _json(parser)


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("show", "check"), help="show every value, or check the files")
    _json(parser)


def _completion(parser: argparse.ArgumentParser) -> None:
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

VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "run",
        "guard the sessions until told to stop",
        "Watches the sessions directory, keeps a copy of every session, repairs what a write destroyed and tells the "
        "journal. SIGTERM ends it after the visit in hand; SIGHUP reads the configuration again.",
        "# guard the sessions that hermes-webui of this user would use\nhermesguard run\n"
        "# guard another directory, with a store of its own\n"
        "hermesguard run --sessions /srv/webui/sessions --store /srv/guard",
        "hermesguard.cli.commands.service.run:run",
        _guard,
    ),
    Verb(
        "scan",
        "look at every session once, without a daemon",
        "Does what the guard does at its start: looks at every session, repairs what is lost, and ends. With --check it "
        "changes nothing, and leaves with 4 if something is wrong.",
        "# is anything wrong?\nhermesguard scan --check",
        "hermesguard.cli.commands.service.run:scan",
        _scan,
    ),
    Verb(
        "status",
        "is everything well?",
        "Says in its first line whether all is well, then what the guard sees. Leaves with 0 if it is, with 4 if not. "
        "Works without a running guard too, and says so.",
        "hermesguard status\n# for a monitoring system\nhermesguard status --nagios",
        "hermesguard.cli.commands.service.status:status",
        _status,
    ),
    Verb(
        "list",
        "the sessions, newest first",
        "Lists the sessions: id, title, messages, last change, versions, last incident, and the state each is in.",
        "# what was restored?\nhermesguard list --state restored\n# find a conversation by its title\n"
        "hermesguard list garden",
        "hermesguard.cli.commands.inspect.list:list_sessions",
        _list,
    ),
    Verb(
        "history",
        "the life of one session, and its versions",
        "Draws how many messages the session had over time, with each loss and repair marked, and lists its versions "
        "with the name to type for each.",
        "hermesguard history 3f2a",
        "hermesguard.cli.commands.inspect.list:history",
        _history,
    ),
    Verb(
        "show",
        "read a conversation",
        "Prints a conversation for reading: who, when, what; tool calls folded. Without @VERSION, the newest good copy.",
        "hermesguard show 3f2a --last 10\n# as it was this morning\nhermesguard show 3f2a@2026-11-22T10:00",
        "hermesguard.cli.commands.inspect.show:show",
        _show,
    ),
    Verb(
        "diff",
        "what two versions of a session differ in, message by message",
        "Says which messages are gone, new or changed from A to B. Without @A, the good copy from before something was "
        "last taken away; without @B, the live file.",
        "hermesguard diff 3f2a\nhermesguard diff 3f2a@-2 @latest",
        "hermesguard.cli.commands.inspect.show:diff",
        _diff,
    ),
    Verb(
        "restore",
        "bring a version back",
        "Makes a version of a session live again; what it displaces is kept in the history. Messages that only the live "
        "file has are merged in, unless --replace says otherwise.",
        "# what would change?\nhermesguard restore 3f2a@-1 --dry-run\n# a copy elsewhere\n"
        "hermesguard restore 3f2a@-1 -o copy.json\n# after a directory was emptied\n"
        "hermesguard restore --all-missing",
        "hermesguard.cli.commands.recover.restore:restore",
        _restore,
    ),
    Verb(
        "salvage",
        "bring back what was lost before the guard came",
        "Finds conversations that are shorter than the application's journals, the agent's state.db and logs, temp files or "
        "backups say, rebuilds them from these, and puts the result into the history; with --restore it becomes live. What "
        "somebody took back or deleted stays so; what may have been taken back comes back only for a session that is named. "
        "Nothing is written but the store and, with --restore, the session files.",
        "# what is there?\nhermesguard salvage --dry-run\n# message by message\nhermesguard salvage 3f2a --show\n"
        "# bring it back; the answer names the command that reverses it\nhermesguard salvage --restore",
        "hermesguard.cli.commands.recover.salvage:salvage",
        _salvage,
    ),
    Verb(
        "undo",
        "reverse what the guard did in one incident",
        "The file that the guard displaced becomes live again, and the same change is not repaired a second time.",
        "hermesguard undo 7 --dry-run",
        "hermesguard.cli.commands.recover.restore:undo",
        _undo,
    ),
    Verb(
        "accept",
        "a session is right as it is now",
        "Makes the live file of a session the copy to trust; what is lost in it was meant. The copy until now goes to "
        "the history.",
        "hermesguard accept 3f2a",
        "hermesguard.cli.commands.recover.restore:accept",
        _accept,
    ),
    Verb(
        "log",
        "the incidents",
        "Lists what was lost and what was done about it, oldest first.",
        "hermesguard log --since 3d\n# wait for what comes\nhermesguard log -f",
        "hermesguard.cli.commands.inspect.log:log",
        _log,
    ),
    Verb(
        "explain",
        "what an event or an incident means, and what to do",
        "For an incident: what the guard saw, for and against, what it did, and how to reverse it. For an event: what it "
        "means and what to do.",
        "hermesguard explain 7\nhermesguard explain uncertain",
        "hermesguard.cli.commands.inspect.explain:explain",
        _explain,
    ),
    Verb(
        "report",
        "a page about the store, to keep or to send",
        "Writes one HTML page that needs no network and no script: how many sessions there were, what was lost and what "
        "became of it, how the store grew, and whether all is well. It shows titles and ids, and no text of messages.",
        "hermesguard report\nhermesguard report -o /tmp/october.html",
        "hermesguard.cli.commands.inspect.report:report",
        _report,
    ),
    Verb(
        "verify",
        "read every copy and check it against its digest",
        "Reads, decompresses and parses every shadow and version. Leaves with 4 if one is damaged; a damaged shadow is "
        "rebuilt from a good live file.",
        "hermesguard verify",
        "hermesguard.cli.commands.service.verify:verify",
        _json,
    ),
    Verb(
        "drill",
        "prove that every session can be restored",
        "Repairs every session into a scratch directory and checks that each message comes back. Changes nothing else.",
        "hermesguard drill",
        "hermesguard.cli.commands.service.verify:drill",
        _json,
    ),
    Verb(
        "prune",
        "remove versions that need not be kept",
        "Removes what the settings for keeping allow, and says for each version why it stays or goes.",
        "hermesguard prune --dry-run",
        "hermesguard.cli.commands.recover.restore:prune",
        _prune,
    ),
    Verb(
        "purge",
        "remove every trace of a session from the store",
        "Removes shadow, history and incident details of one session. Nothing brings them back. The live file stays.",
        "hermesguard purge 3f2a --dry-run",
        "hermesguard.cli.commands.recover.restore:purge",
        _purge,
    ),
    Verb(
        "config",
        "show or check the configuration",
        "show prints every value and where it comes from; check says whether the files are right.",
        "hermesguard config show\nhermesguard config check --config new.toml",
        "hermesguard.cli.commands.service.config:config",
        _config,
    ),
    Verb(
        "completion",
        "let the shell complete our words",
        "Prints the completion script for a shell; ids of sessions are completed too. Packages install it by themselves.",
        "# in bash, from now on\nhermesguard completion bash > ~/.local/share/bash-completion/completions/hermesguard\n"
        "# in zsh, with such a directory in fpath\nhermesguard completion zsh > ~/.zfunc/_hermesguard\n"
        "# in fish\nhermesguard completion fish > ~/.config/fish/completions/hermesguard.fish",
        "hermesguard.cli.commands.service.completion:completion",
        _completion,
    ),
    Verb(
        "demo",
        "see it work, on sessions made for the purpose",
        "Starts the real guard on a temporary directory, destroys conversations as they have been destroyed, and says "
        "what became of them. Leaves nothing behind.",
        "hermesguard demo",
        "hermesguard.cli.commands.service.run:demo",
        _no_arguments,
        reads_settings=False,
    ),
)
