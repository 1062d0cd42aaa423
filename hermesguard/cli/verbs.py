"""The table of commands: every verb with its help, its example and its arguments.

The parser, the manual pages and the shell completion are made from this table, so none of them can drift. Nothing here
imports what a verb needs to run.
"""

import argparse
from collections.abc import Callable
from typing import Final, NamedTuple

from hermesguard.cli import arguments, guard_arguments, offsite_arguments


class Verb(NamedTuple):
    """One verb. `run` names the function "module:function" that does it: (arguments, settings) -> exit code.

    `example` is shell input with a comment above each line; `reads_settings` is false for verbs that work without any.
    """

    name: str
    summary: str
    description: str
    example: str
    run: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    reads_settings: bool = True


VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "run",
        "guard the sessions until stopped",
        "Watches the sessions directories, keeps a copy of every session, repairs what a write destroyed and "
        "reports to the journal. SIGTERM stops it after the session in progress; SIGHUP reloads the configuration. With "
        "--lease it does so whenever this pod holds the Lease, and waits for it otherwise (docs/scale-out.md).",
        "# guard the sessions that hermes-webui of this user would use\nhermesguard run\n"
        "# guard another directory, with a store of its own\n"
        "hermesguard run --sessions /srv/webui/sessions --store /srv/guard\n"
        "# in a pod: only while it holds the Lease hermesguard of its namespace\n"
        "hermesguard run --lease hermesguard",
        "hermesguard.cli.commands.service.run:run",
        guard_arguments.guard,
    ),
    Verb(
        "scan",
        "scan every session once, without a daemon",
        "Does what the guard does at its start: reads every session, repairs losses, and ends. With --check it changes "
        "nothing. Exit code 4 if something is wrong.",
        "# is anything wrong?\nhermesguard scan --check",
        "hermesguard.cli.commands.service.run:scan",
        arguments.scan,
    ),
    Verb(
        "status",
        "show health and open problems",
        "Shows whether all is well, what may be missing, every open problem with its remedy, and the state of the guard. "
        "Exit code 0 if all is well, 4 if not. Works without a running guard too, and says so. With --nagios it also warns "
        "of what may be missing, until that is restored or accepted.",
        "hermesguard status\n# for a monitoring system\nhermesguard status --nagios",
        "hermesguard.cli.commands.service.status:status",
        arguments.status,
    ),
    Verb(
        "lost",
        "what may be missing, and the command for each",
        "Lists everything that a user may miss, newest first: what was repaired, what is uncertain or not known, what was "
        "shortened, cleared or deleted on purpose and is still kept, and what was lost before the guard came.",
        "hermesguard lost\n# only what happened today\nhermesguard lost --since today",
        "hermesguard.cli.commands.inspect.lost:lost",
        arguments.lost,
    ),
    Verb(
        "find",
        "a conversation by words of its title or its text",
        "Looks for words in live files, copies, older versions and what was deleted; says what state each conversation is "
        "in, and the command that brings it back. Conversations that have the words in one run come first. Of a store with more "
        "than 500 sessions it notes in ~/.cache/hermesguard which versions only repeat a newer copy (ids and file names, no "
        "text): the next search does not read them again.",
        "hermesguard find server room\n# all that fit, not only the best\nhermesguard find --all kneading",
        "hermesguard.cli.commands.inspect.find:find",
        arguments.find,
    ),
    Verb(
        "list",
        "list the sessions, newest first",
        "Lists the sessions: id, title, messages, last change, versions, last incident, and state.",
        "# what was restored?\nhermesguard list --state restored\n# find a conversation by its title\n"
        "hermesguard list garden",
        "hermesguard.cli.commands.inspect.list:list_sessions",
        arguments.list_sessions,
    ),
    Verb(
        "history",
        "message count over time, and saved versions",
        "Draws how many messages the session had over time, with each loss and repair marked, and lists its versions "
        "with the name to type for each.",
        "hermesguard history 3f2a",
        "hermesguard.cli.commands.inspect.list:history",
        arguments.history,
    ),
    Verb(
        "show",
        "read a conversation",
        "Prints a conversation for reading: who, when, what; tool calls folded. Without @VERSION, the newest good copy.",
        "hermesguard show 3f2a --last 10\n# as it was this morning\nhermesguard show 3f2a@2026-11-22T10:00",
        "hermesguard.cli.commands.inspect.show:show",
        arguments.show,
    ),
    Verb(
        "diff",
        "compare two versions of a session, message by message",
        "Shows which messages are gone, new or changed from A to B, and what is gone of messages that are there: reasoning, "
        "attachments, pictures, order, title and the like. Without @A, the good copy from before something was last taken "
        "away; without @B, the live file.",
        "hermesguard diff 3f2a\nhermesguard diff 3f2a@-2 @latest",
        "hermesguard.cli.commands.inspect.show:diff",
        arguments.diff,
    ),
    Verb(
        "restore",
        "make a version live again",
        "Makes a version of a session live again; what it displaces is kept in the history. Messages that only the live "
        "file has are merged in, unless --replace says otherwise.",
        "# what would change?\nhermesguard restore 3f2a@-1 --dry-run\n# a copy elsewhere\n"
        "hermesguard restore 3f2a@-1 -o copy.json\n# after a directory was emptied\n"
        "hermesguard restore --all-missing",
        "hermesguard.cli.commands.recover.restore:restore",
        arguments.restore,
    ),
    Verb(
        "salvage",
        "bring back what was lost before the guard came",
        "Finds conversations that are shorter than the application's journals, the agent's state.db and logs, temp files or "
        "backups say, rebuilds them from these, and puts the result into the history; with --restore it becomes live. What "
        "a user took back or deleted stays so; what may have been taken back comes back only for a session that is named. "
        "Nothing is written but the store and, with --restore, the session files.",
        "# what is there?\nhermesguard salvage --dry-run\n# message by message\nhermesguard salvage 3f2a --show\n"
        "# bring it back; the answer names the command that reverses it\nhermesguard salvage --restore",
        "hermesguard.cli.commands.recover.salvage:salvage",
        arguments.salvage,
    ),
    Verb(
        "undo",
        "reverse what the guard did in one incident",
        "The file that the guard displaced becomes live again, and the same change is not repaired a second time.",
        "hermesguard undo 7 --dry-run",
        "hermesguard.cli.commands.recover.restore:undo",
        arguments.undo,
    ),
    Verb(
        "accept",
        "accept the live file as the new good copy",
        "Makes the live file of a session its good copy, whatever is missing in it. The good copy until now goes to the "
        "history.",
        "hermesguard accept 3f2a",
        "hermesguard.cli.commands.recover.restore:accept",
        arguments.accept,
    ),
    Verb(
        "log",
        "list the incidents",
        "Lists what was lost and what was done about it, oldest first.",
        "hermesguard log --since 3d\n# wait for what comes\nhermesguard log -f",
        "hermesguard.cli.commands.inspect.log:log",
        arguments.log,
    ),
    Verb(
        "explain",
        "explain an incident, a session or an event, and what to do",
        "For an incident: what the guard saw, for and against, what it did, and how to reverse it. For a session: its "
        "newest incident, or why its file cannot be read. For an event: what it means and what to do.",
        "hermesguard explain 7\nhermesguard explain garden\nhermesguard explain uncertain",
        "hermesguard.cli.commands.inspect.explain:explain",
        arguments.explain,
    ),
    Verb(
        "report",
        "write an HTML page about the store",
        "Writes one HTML page that needs no network and no script (but has a field to search it where its own script runs): "
        "whether all is well, how many sessions there were, what was lost and repaired, how the store grew, what may be "
        "missing and how to have it back, and a line for each session. It shows titles and ids, and no text of messages.",
        "hermesguard report\nhermesguard report -o /tmp/october.html",
        "hermesguard.cli.commands.inspect.report:report",
        arguments.report,
    ),
    Verb(
        "notify",
        "tell people what the guard found",
        "Follows the journal, or the incidents of the store where there is no journal, and sends what a user must hear of to "
        "the addresses of the configuration: one message for many incidents, tried again until it is taken, none missed. "
        "Visits ping_url while the guard proves that it guards. Runs until stopped, as a service of its own. Exit code 4 "
        "with --once if a message still waits.",
        "# do the addresses work?\nhermesguard notify --test\n# as a service, beside hermesguard@alice\n"
        "systemctl enable --now hermesguard-notify@alice",
        "hermesguard.cli.commands.service.notify:notify",
        arguments.notify,
    ),
    Verb(
        "offsite",
        "encrypted copies on other storage, and the way back",
        "Copies every shadow and version to the storage of the configuration, encrypted by age for its owner, until stopped, "
        "as a service of its own. status says what is safe (exit code 4 if something is not well), verify reads a sample back "
        "and compares digests, restore makes a store again out of the storage and the private key alone.",
        "# as a service, beside hermesguard@alice\nsystemctl enable --now hermesguard-offsite@alice\n"
        "hermesguard offsite status\n# read ten objects back\nhermesguard offsite verify\n"
        "# on a bare machine, with the private key\n"
        "hermesguard offsite restore --url s3://my-bucket/guard --identity key.txt back\n"
        "# one session, as it was\nhermesguard offsite restore --identity key.txt --at 2026-11-22T10:00 3f2a back",
        "hermesguard.cli.commands.service.offsite:offsite",
        offsite_arguments.offsite,
    ),
    Verb(
        "verify",
        "read every copy and check it against its digest",
        "Reads, decompresses and parses every shadow and version. Exit code 4 if one is damaged; a damaged shadow is "
        "rebuilt from a good live file.",
        "hermesguard verify",
        "hermesguard.cli.commands.service.verify:verify",
        arguments.json_flag,
    ),
    Verb(
        "drill",
        "prove that every session can be restored",
        "Restores every session into a scratch directory and checks that each message is there. Changes nothing else.",
        "hermesguard drill",
        "hermesguard.cli.commands.service.verify:drill",
        arguments.json_flag,
    ),
    Verb(
        "prune",
        "remove versions by the retention rules",
        "Removes versions as keep_history, keep_versions and max_store_bytes allow, and shows for each why it stays or goes.",
        "hermesguard prune --dry-run",
        "hermesguard.cli.commands.recover.restore:prune",
        arguments.prune,
    ),
    Verb(
        "purge",
        "remove every trace of a session from the store",
        "Removes shadow, history and incident details of one session. This cannot be undone. The live file stays.",
        "hermesguard purge 3f2a --dry-run",
        "hermesguard.cli.commands.recover.restore:purge",
        arguments.purge,
    ),
    Verb(
        "config",
        "show or check the configuration",
        "show prints every value and where it comes from; check validates the files, the addresses of notify and the rights "
        "of files that hold secrets, and with --network whether what is named there can be reached (exit code 4 if not).",
        "hermesguard config show\nhermesguard config check --config new.toml\nhermesguard config check --network",
        "hermesguard.cli.commands.service.config:config",
        arguments.config,
    ),
    Verb(
        "open",
        "open the page: what was lost, and each conversation over time",
        "Prints a link to a page in the browser that is good once, for two minutes, and opens it where there is a screen. "
        "The page shows what was repaired, what needs a decision, and every conversation at any moment of its life; it "
        "brings back what is chosen. Starts the page where systemd does not. From another machine: "
        "ssh -L 17893:127.0.0.1:17893 HOST, then the link.",
        "hermesguard open\n# on a machine without a screen\nhermesguard open --no-browser",
        "hermesguard.cli.commands.page.serve:open_page",
        arguments.open_page,
    ),
    Verb(
        "serve",
        "serve the page, on the loopback address",
        "Answers the page of hermesguard open and the extension in hermes-webui, on 127.0.0.1 alone, and ends when nobody "
        "has asked for five minutes. Usually its systemd socket starts it. It can write nothing: the guard acts.",
        "# as systemd does: on demand\nsystemctl enable --now hermesguard-page@alice.socket\n"
        "# without systemd, on another port\nhermesguard serve --page-port 17894",
        "hermesguard.cli.commands.page.serve:serve",
        arguments.serve,
    ),
    Verb(
        "extension",
        "put the extension into hermes-webui, or take it away",
        "Copies the extension into the directory in which hermes-webui looks for extensions, enters it in its list, and says "
        "what is left to do there: one click of consent.",
        "hermesguard extension install\nhermesguard extension status",
        "hermesguard.cli.commands.page.extension:extension",
        arguments.extension,
    ),
    Verb(
        "completion",
        "print a completion script for the shell",
        "Prints the completion script for a shell; ids of sessions are completed too. Packages install it by themselves.",
        "# in bash, from now on\nhermesguard completion bash >> ~/.bash_completion\n"
        "# in zsh, with such a directory in fpath\nhermesguard completion zsh > ~/.zfunc/_hermesguard\n"
        "# in fish\nhermesguard completion fish > ~/.config/fish/completions/hermesguard.fish",
        "hermesguard.cli.commands.service.completion:completion",
        arguments.completion,
    ),
    Verb(
        "demo",
        "show losses and repairs on sessions made for the purpose",
        "Starts the real guard on a temporary directory, destroys conversations as hermes-webui has done, and shows "
        "how each is repaired. Leaves nothing behind.",
        "hermesguard demo",
        "hermesguard.cli.commands.service.run:demo",
        arguments.no_arguments,
        reads_settings=False,
    ),
)
