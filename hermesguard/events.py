"""The catalogue of events: everything that hermesguard ever says, each with the constant id that alerts are made of.

`python -m hermesguard.events catalog` prints the journal's catalogue file, `python -m hermesguard.events markdown` the
page docs/journal.md. A MESSAGE_ID never changes and is never used again for something else: people's alerts hang on it.
"""

from collections.abc import Mapping
from typing import Final

from hermesguard.event import Event, Field, Priority, Value, fitted

FIELDS: Final[dict[str, Field]] = {
    "session": Field(str, "id of the session, the name of its file without .json"),
    "previous_session": Field(str, "id that the session had before it was renamed"),
    "incident": Field(
        str, "id of the incident, to be typed after `hermesguard undo` and `hermesguard explain`"
    ),
    "verdict": Field(str, "what the judge said: keep, deliberate, restore, merge, doubt, deleted, renamed"),
    "rule": Field(str, "name of the rule that decided"),
    "evidence": Field(list[str], "what spoke for the verdict, one sentence a line"),
    "against": Field(list[str], "what spoke against it, one sentence a line"),
    "action": Field(str, "what was done"),
    "undo": Field(str, "the command that reverses it"),
    "rows_before": Field(int, "messages in the last good copy"),
    "rows_live": Field(int, "messages in the file as it was found"),
    "rows_after": Field(int, "messages in the file now"),
    "rows_lost": Field(int, "messages that were missing in the file as it was found"),
    "version": Field(str, "name of the version in the history that holds what was there before"),
    "displaced": Field(str, "name of the version in the history that holds what a repair displaced"),
    "writer_pid": Field(int, "process that wrote the file, by the name of its temporary file"),
    "writer_command": Field(str, "command name of that process"),
    "duration_us": Field(int, "microseconds that it took"),
    "sessions": Field(int, "number of sessions"),
    "messages": Field(int, "number of messages"),
    "incidents": Field(int, "number of incidents"),
    "count": Field(int, "how many"),
    "versions": Field(int, "number of versions"),
    "files": Field(int, "number of files"),
    "size_bytes": Field(int, "size in bytes"),
    "limit_bytes": Field(int, "the configured limit in bytes"),
    "seconds": Field(float, "a span of time in seconds"),
    "path": Field(str, "the file or directory that is meant"),
    "store": Field(str, "directory in which the copies are kept"),
    "mode": Field(str, "how changes are seen: inotify or polling"),
    "reason": Field(str, "why"),
    "error": Field(str, "what went wrong, as the system says it"),
    "remedy": Field(str, "what to do about it"),
    "command": Field(str, "name of the configured command, not its arguments"),
    "exit_status": Field(int, "exit status of that command; negative: ended by that signal"),
    "program_version": Field(str, "version of hermesguard"),
}
"""Every field that an event may carry; in the journal `rows_before` stands as HERMESGUARD_ROWS_BEFORE."""

_WRITER: Final = ("writer_pid", "writer_command")
_JUDGED: Final = (
    "session",
    "verdict",
    "rule",
    "evidence",
    "against",
    "rows_before",
    "rows_live",
    "version",
    *_WRITER,
)
_INCIDENT: Final = (
    *_JUDGED,
    *(
        "incident",
        "action",
        "undo",
        "rows_after",
        "rows_lost",
        "displaced",
        "duration_us",
        "reason",
        "error",
        "remedy",
    ),
)

_BY_WHOM: Final = "[; written by process {writer_pid}][ ({writer_command})]"
_WHY: Final = "[ Why: {evidence}.]"
_UNDO: Final = "[ Undo: {undo}]"
_REMEDY: Final = "[ {remedy}.]"

_LOOK: Final = (
    "To see what the guard saw: hermesguard explain {incident}\n"
    "To see the conversation now: hermesguard show {session}\n"
    "To compare with what was there before: hermesguard diff {session}"
)

EVENTS: Final[tuple[Event, ...]] = (
    Event(
        "started",
        "64e7479ca6e840fa8c286d3f1561e061",
        Priority.INFO,
        "hermesguard started",
        "hermesguard[ {program_version}] started; it guards {path} and keeps its copies in {store}.",
        "Nothing has to be done. It guards from the moment it says that it is ready.",
        ("program_version", "path", "store"),
    ),
    Event(
        "waiting",
        "1df02b8f21864e0f9348703299501d86",
        Priority.WARNING,
        "The sessions directory is missing",
        "The sessions directory {path} is not there; waiting for it.",
        "Nothing is guarded yet. This is normal before hermes-webui has run for the first time.\n"
        "If hermes-webui is in use, the guard looks in the wrong place: find out where the application keeps its\n"
        "sessions (HERMES_WEBUI_STATE_DIR, HERMES_HOME), set `sessions` in the configuration, and reload.\n"
        "If the directory was there before, it was moved, deleted or not mounted: bring it back. The copies in the\n"
        "store are whole; `hermesguard restore --all-missing` puts them into a directory that came back empty.",
        ("path", "store", "reason"),
    ),
    Event(
        "ready",
        "9f90ff141cca4306b125a78b8ccd9d33",
        Priority.NOTICE,
        "hermesguard guards",
        "Guarding {sessions:session} with {messages:message} in {path}[ ({mode})]"
        "[, after {duration_us:duration}].",
        "Nothing has to be done. The watch is armed and every session was looked at once.",
        ("sessions", "messages", "path", "store", "mode", "duration_us"),
    ),
    Event(
        "stopping",
        "2ae97a29134243af9ca45ebedabb5ffb",
        Priority.INFO,
        "hermesguard is stopping",
        "Stopping[: {reason}].",
        "Nothing has to be done, if it was meant. Until it runs again nothing is guarded; what is lost meanwhile is\n"
        "restored at the next start.",
        ("reason",),
    ),
    Event(
        "stopped",
        "e2b8a61a623b4bc3a6fce5c37e67d5f4",
        Priority.NOTICE,
        "hermesguard stopped",
        "Stopped[ after {seconds} s][; {incidents:incident} in that time].",
        "Nothing is guarded now. If this was not meant: systemctl start hermesguard\n"
        "What is lost meanwhile is restored at the next start.",
        ("seconds", "incidents", "reason"),
    ),
    Event(
        "failed",
        "d02a6a5d11784c12aeb93c2179f6c4dd",
        Priority.CRITICAL,
        "hermesguard had to give up",
        "hermesguard ends: {error}." + _REMEDY,
        "Nothing is guarded now. systemd starts it again; if this entry comes again and again, do what it says.\n"
        "`hermesguard config check` and `hermesguard status` tell more.",
        ("error", "remedy", "reason", "path"),
    ),
    Event(
        "kept",
        "8e3c7b46772d47209bf6ab069c42af4b",
        Priority.DEBUG,
        "A session grew",
        "{session} is kept[: {rows_after:message}][, {rows_before} before][ ({duration_us:duration})].",
        "Nothing has to be done. This is the normal life of a session.",
        (*_JUDGED, "rows_after", "duration_us"),
    ),
    Event(
        "deliberate",
        "994592b0acf749a7bbba3c564fae9492",
        Priority.INFO,
        "Somebody removed messages on purpose",
        "{session} was shortened on purpose[: {rows_before:message} before][, {rows_live} now]"
        + _BY_WHOM
        + "."
        + _WHY
        + "[ The state before is in the history: {version}.]",
        "Nothing has to be done: an undo, a retry, an edit, a clear or a /compress carries evidence that it was meant,\n"
        "and it stands. If it was not meant after all: hermesguard history {session}\n"
        "then: hermesguard restore {session}@VERSION --dry-run",
        (*_JUDGED, "rows_after", "duration_us"),
    ),
    Event(
        "restored",
        "5624b3f52bf1461f9e740dd4db9878b0",
        Priority.WARNING,
        "Messages were lost, and are there again",
        "Restored {session}: [{rows_lost:message} lost in one write; ][{rows_before:message} before, ]"
        "[{rows_live} found, ][{rows_after} now][ ({duration_us:duration})]" + _BY_WHOM + "." + _WHY + _UNDO,
        "Nothing has to be done at once: the messages are back in the file. A browser that shows the conversation\n"
        "empty shows it whole after a reload of the page, or after hermes-webui has been restarted.\n"
        + _LOOK
        + "\nIf the messages had been removed on purpose: {undo}\n"
        "If it happens often, update hermes-webui: releases up to v0.50.283 lose sessions in this way (#1558).",
        _INCIDENT,
    ),
    Event(
        "merged",
        "7470db9fe0bf4b74ae6e6443f3021222",
        Priority.WARNING,
        "Old messages were lost while new ones came, and all are there",
        "Merged {session}: [{rows_lost:message} lost in one write that brought new ones; ]"
        "[{rows_before:message} before, ][{rows_live} found, ][{rows_after} now][ ({duration_us:duration})]"
        + _BY_WHOM
        + "."
        + _WHY
        + _UNDO,
        "Nothing has to be done at once: the file holds the old messages and the new ones. hermes-webui probably holds\n"
        "an emptied copy of this session in its memory and will write it again; each time it is merged again. Restart\n"
        "hermes-webui when it is convenient, and that ends.\n" + _LOOK,
        _INCIDENT,
    ),
    Event(
        "in_doubt",
        "74c64d26b5e64a9baaaeced66587c9ac",
        Priority.ERROR,
        "Messages vanished, and it is not certain that it was a loss",
        "In doubt about {session}: [{rows_lost:message} gone in one write; ][{rows_before:message} before, ]"
        "[{rows_live} found, ][{rows_after} now]"
        + _BY_WHOM
        + ". [What was done: {action}.]"
        + _WHY
        + "[ Against: {against}.]"
        + _UNDO,
        "A person has to look, but nothing is lost either way: both sides are in the history. Ask whoever used the\n"
        "session whether the messages were removed on purpose.\n" + _LOOK + "\n"
        "If the guard guessed wrong: {undo}\n"
        "If the file is right as it is: hermesguard accept {session}",
        _INCIDENT,
    ),
    Event(
        "unrepaired",
        "ad4aadcc0dc34e669da3b79b9a14ea0a",
        Priority.CRITICAL,
        "Messages were lost and could not be put back",
        "{session} lost messages[ ({rows_before} before][, {rows_live} found)] and could not be repaired: {error}."
        + _REMEDY
        + _WHY,
        "Act now: the file of the session is damaged, and only the store holds the messages. Look for a full disk\n"
        "(df), a read-only file system (mount) or wrong owners (ls -l) at the sessions directory, mend that, then:\n"
        "hermesguard scan\n"
        "or put a copy elsewhere: hermesguard restore {session} -o FILE\n"
        "The guard tries again by itself at every sweep.",
        _INCIDENT,
    ),
    Event(
        "unreadable",
        "97d9e1622c694caabdf964be2a617d1f",
        Priority.ERROR,
        "A session file is broken and there is no copy of it",
        "The file of {session} is not a session, and there is nothing to restore it from[: {error}].[ ({path})]",
        "The file was broken before the guard saw a good one. Look whether the application's own copy is whole\n"
        "(the same name with .json.bak), or restore it from your backup of the sessions directory.\n"
        "Until then hermes-webui shows this session as empty or not at all.",
        (*_INCIDENT, "path"),
    ),
    Event(
        "denied",
        "15fc6a7058be438181ae5048a6f72c15",
        Priority.ERROR,
        "A session file may not be read or replaced",
        "{session} cannot be guarded: {error}[ ({path})]." + _REMEDY,
        "This one session is not guarded. Compare the owner and the mode of its file (ls -l) with the user that the\n"
        "guard runs as (systemctl show -p User hermesguard), and make them the same.",
        ("session", "path", "error", "remedy"),
    ),
    Event(
        "too_large",
        "2789cdbeb3384ee19710c54a563b15dc",
        Priority.ERROR,
        "A session is too large for the memory that the guard may use",
        "{session} is too large to be guarded: {size_bytes:byte}[, with a limit of {limit_bytes}]." + _REMEDY,
        "This one session is not guarded; the guard goes on with the others. Raise MemoryMax= of the unit (systemctl\n"
        "edit hermesguard) to about eight times the size of the file, and restart the guard.",
        ("session", "path", "size_bytes", "limit_bytes", "error", "remedy"),
    ),
    Event(
        "deleted",
        "041316af9f2c49de8c062d71ad5bdc35",
        Priority.INFO,
        "Somebody deleted a session",
        "{session} was deleted on purpose[: {rows_before:message}]."
        + _WHY
        + "[ Its copy is purged in {seconds} s.][ Until then: {undo}]",
        "Nothing has to be done. What a person deletes stays deleted; the copy is kept for `keep_deleted` (1 day unless\n"
        "configured) and then purged. To purge it now: hermesguard purge {session}",
        (*_JUDGED, "seconds", "undo", "incident", "action"),
    ),
    Event(
        "renamed",
        "4ead530b1692416c91a780e63a63a4f8",
        Priority.INFO,
        "A session got a new id",
        "{previous_session} is now {session}[ ({rows_before:message})]; its copy follows." + _WHY,
        "Nothing has to be done. Releases of hermes-webui up to v0.51.59 rename a session when they compress it.",
        (*_JUDGED, "previous_session"),
    ),
    Event(
        "missing",
        "2c486c1eee3a4612ad75a878fcbece79",
        Priority.ERROR,
        "A session file is gone and nothing says that it was deleted",
        "The file of {session} is gone[ ({rows_before:message})] and nothing says that somebody deleted it."
        "[ What was done: {action}.]" + _WHY + "[ Against: {against}.]" + _UNDO,
        "A person has to look; the copy in the store is kept. Ask whoever used the session whether it was deleted.\n"
        "If it was deleted on purpose: hermesguard purge {session}\n"
        "If it should be there: hermesguard restore {session}",
        _INCIDENT,
    ),
    Event(
        "brake",
        "c8406df3c7c44019a879297062bafed7",
        Priority.CRITICAL,
        "Many sessions vanished at once",
        "{count:session} vanished at once from {path}; nothing is taken for deleted and nothing is purged.[ {reason}.]",
        "Act now: this looks like a directory that was moved, emptied, or is not mounted. The copies in the store are\n"
        "whole and stay. Find out what happened to the directory (mount, ls -la, the shell history of the users).\n"
        "When the directory is in its place: hermesguard restore --all-missing --dry-run\n"
        "then the same without --dry-run. If all of it was meant, purge the sessions one by one.",
        ("count", "path", "store", "reason", "seconds", "sessions"),
    ),
    Event(
        "brake_released",
        "963cf652189846de91a4fb2dcf59ba2b",
        Priority.NOTICE,
        "The sessions that had vanished are accounted for",
        "The sessions that had vanished from {path} are accounted for[: {count} came back].",
        "Nothing has to be done. Deletions are taken for deletions again.",
        ("count", "path", "reason", "sessions"),
    ),
    Event(
        "fight",
        "46f246af9bfe491b92acc085602bddd0",
        Priority.ERROR,
        "Something damages the same session again and again",
        "{session} was repaired {count:time}[ in {seconds} s] and is damaged again"
        + _BY_WHOM
        + "; repairs slow down until the writer stops.",
        "A process keeps writing a damaged copy of this session: mostly a hermes-webui that holds the emptied session\n"
        "in its memory, or two servers on one directory. Restart hermes-webui; if there are two, stop one. Every\n"
        "version that held new messages is kept, and the file is repaired within a minute after the writer stops.\n"
        "Look at the versions: hermesguard history {session}",
        ("session", "incident", "count", "seconds", *_WRITER, "undo", "rule"),
    ),
    Event(
        "calm",
        "41d705b023c0448fae6ce5daa5a66d8d",
        Priority.NOTICE,
        "The fight over a session is over",
        "{session} is no longer being damaged[; {count:repair} in all].",
        "Nothing has to be done. The file holds every message.\nTo look: hermesguard show {session}",
        ("session", "incident", "count", "seconds", "rows_after"),
    ),
    Event(
        "settled",
        "594433bc61844585a0ff522930dac7be",
        Priority.NOTICE,
        "An open question was answered",
        "{session}: the open question is settled[, {reason}].[ Incident {incident}.]",
        "Nothing has to be done. What the application wrote later made clear what had been in doubt.",
        ("session", "incident", "reason", "action", "evidence", "rule"),
    ),
    Event(
        "suppressed",
        "32086e18e616421596895ea18ad6854b",
        Priority.NOTICE,
        "Repeated alerts about one session were held back",
        "{session}: {count:more event} like the last one[ in {seconds} s] were not told one by one.",
        "Nothing has to be done beyond what the first event asks for. Every incident is in the log:\n"
        "hermesguard log --session {session}",
        ("session", "count", "seconds", "action", "reason", *_WRITER),
    ),
    Event(
        "blind",
        "8e261079cf3243d3bbcdd6c4e2862a87",
        Priority.CRITICAL,
        "The guard does not see the sessions directory",
        "Blind: {reason}[ ({path})]. Sweeps go on[ every {seconds} s], and the watch is armed anew."
        + _REMEDY,
        "Losses are found by the next sweep only, not at once. If no entry `sighted` follows within a minute, look at\n"
        "the directory: was it moved, replaced, unmounted? `hermesguard status` says what the guard sees.",
        ("reason", "path", "error", "remedy", "seconds", "mode"),
    ),
    Event(
        "sighted",
        "c8d8ec42b06b4993b30951e236fbea3f",
        Priority.NOTICE,
        "The guard sees again",
        "Sight is back[ ({mode})][ after {seconds} s][ in {path}].",
        "Nothing has to be done. Everything was swept once; what was lost meanwhile is repaired.",
        ("path", "mode", "seconds", "reason"),
    ),
    Event(
        "polling",
        "7220e26ab49f4149adc28a18cfd941b0",
        Priority.WARNING,
        "Changes are found by looking, not by being told",
        "Watching {path} by polling: {reason}." + _REMEDY,
        "Losses are repaired within about a second instead of within milliseconds, so that hermes-webui may have read\n"
        "the damaged file before. The entry names the cause and what to change, if it can be changed.",
        ("path", "reason", "remedy", "seconds", "mode", "error"),
    ),
    Event(
        "overflow",
        "55cf2e59606549108132256400e5e071",
        Priority.NOTICE,
        "Changes came faster than they could be read",
        "The kernel's queue of changes overflowed[ ({count:time})]; every session is looked at again.",
        "Nothing has to be done. If it happens often: sysctl fs.inotify.max_queued_events=65536",
        ("path", "count", "remedy", "reason"),
    ),
    Event(
        "store_broken",
        "4e84afe2eef14d5b92d6a43a98e5f12f",
        Priority.CRITICAL,
        "The store takes nothing",
        "The store {path} cannot be written: {error}." + _REMEDY,
        "Act soon: the guard still repairs from what it has in memory and in the store, but new messages are not kept\n"
        "durably. Look for a full disk (df {path}), a read-only file system (mount) or wrong owners (ls -ld {path}).\n"
        "`hermesguard prune --dry-run` says what old history could be given up. When the store takes files again,\n"
        "everything catches up by itself, and an entry `store_healed` says so.",
        ("path", "error", "remedy", "session", "reason", "count"),
    ),
    Event(
        "store_healed",
        "9c77124d3282418f933fa2af3c29dc7f",
        Priority.NOTICE,
        "The store works again",
        "The store {path} takes files again[; {count:session} caught up].",
        "Nothing has to be done.",
        ("path", "count", "seconds"),
    ),
    Event(
        "over_limit",
        "a64254aee0eb4ee3afb9316cf2306904",
        Priority.WARNING,
        "The store is larger than it should be, and nothing may be given up",
        "The store {path} holds {size_bytes:byte}, more than the limit of {limit_bytes}, and nothing more may be removed.",
        "Nothing is lost. The newest copies and the versions of incidents that nobody has settled are never given up.\n"
        "Settle them (hermesguard status, hermesguard accept SID), raise `max_store_bytes`, or give it a larger disk.\n"
        "hermesguard prune --dry-run says for each version why it stays.",
        ("path", "size_bytes", "limit_bytes", "versions", "reason"),
    ),
    Event(
        "exchange_unavailable",
        "5188f3bd08fe400e91e306d9d0eec0b5",
        Priority.WARNING,
        "The file system cannot exchange two files",
        "The file system of {path} has no exchange of files[ ({error})]; repairs use link and rename instead.",
        "Nothing has to be done: the promise is the same. It is told once. Network file systems and FUSE are like that.",
        ("path", "error", "reason"),
    ),
    Event(
        "undone",
        "21e0302efe5a4586806e4f9929104f7e",
        Priority.NOTICE,
        "A repair was reversed by hand",
        "Undone: incident {incident}[ of {session}][; {rows_after:message} now].[ Reverse: {undo}]",
        "Nothing has to be done: somebody typed `hermesguard undo`. The same drop is not repaired a second time.",
        (
            "session",
            "incident",
            "rows_before",
            "rows_live",
            "rows_after",
            "version",
            "displaced",
            "undo",
            "action",
        ),
    ),
    Event(
        "accepted",
        "16cb477ee8824a5eaac4094c17b85d3f",
        Priority.NOTICE,
        "A session was accepted as it is",
        "Accepted {session} as it is[: {rows_after:message}][, {rows_before} in the copy before].",
        "Nothing has to be done: somebody typed `hermesguard accept`. The copy before is in the history.",
        ("session", "incident", "rows_before", "rows_live", "rows_after", "version", "action"),
    ),
    Event(
        "restored_by_hand",
        "d50166c11cd2470a91d9936f6ea6447c",
        Priority.NOTICE,
        "A version was restored by hand",
        "Restored {session} by hand[ from {version}][: {rows_after:message} now][, {rows_live} before].[ Undo: {undo}]",
        "Nothing has to be done: somebody typed `hermesguard restore`. What was displaced is in the history.",
        (
            "session",
            "incident",
            "rows_before",
            "rows_live",
            "rows_after",
            "version",
            "displaced",
            "undo",
            "action",
            "path",
        ),
    ),
    Event(
        "purged",
        "bfae1213e11b4ff78880722ab55087d7",
        Priority.NOTICE,
        "A session was removed from the store",
        "Purged {session} from the store[: {files:file}][, {size_bytes:byte}].[ {reason}.]",
        "Nothing can be done: every copy of this session is gone from the store, as it was asked for, either by\n"
        "`hermesguard purge` or because the time of `keep_deleted` was over.",
        ("session", "files", "size_bytes", "versions", "reason"),
    ),
    Event(
        "pruned",
        "e3609c9ecb254d638d11d30cec18dfeb",
        Priority.INFO,
        "Old versions were given up",
        "Gave up {versions:old version}[ ({size_bytes:byte})].[ {reason}.]",
        "Nothing has to be done. The rules are `keep_history`, `keep_versions` and `max_store_bytes`;\n"
        "hermesguard prune --dry-run says for each version why it stays or goes.",
        ("versions", "size_bytes", "sessions", "reason", "count", "files"),
    ),
    Event(
        "version_kept",
        "c7f0b3ddee4543bd99ed98881306cfd6",
        Priority.DEBUG,
        "A version was put into the history",
        "{session}: version {version} is in the history[ ({rows_before:message})][, because of {reason}].",
        "Nothing has to be done.",
        ("session", "version", "rows_before", "reason", "size_bytes", "path", "incident"),
    ),
    Event(
        "index_removed",
        "87db29d264dd4124bcb9ca9b8803963a",
        Priority.DEBUG,
        "The application's index was removed so that it is built anew",
        "Removed {path}, which said a wrong number of messages for {session}; the application builds it anew.",
        "Nothing has to be done.",
        ("path", "session", "reason"),
    ),
    Event(
        "reloaded",
        "021555a8a00b4824814e22687dd09094",
        Priority.INFO,
        "The configuration was read again",
        "The configuration was read again[; {reason}].",
        "Nothing has to be done. `hermesguard config show` prints each value and where it comes from.",
        ("reason", "path", "count"),
    ),
    Event(
        "config_invalid",
        "f917fa50ca454807bc9d136ed6c15663",
        Priority.ERROR,
        "The configuration cannot be used",
        "The configuration is not valid, and the one before stays: {error}" + "[ {remedy}.]",
        "The guard goes on with the configuration it had. Mend the file that the entry names, then:\n"
        "hermesguard config check && systemctl reload hermesguard",
        ("error", "remedy", "path", "reason"),
    ),
    Event(
        "verify_failed",
        "e4081bdf02ed4f3b96bffcee2050f5a6",
        Priority.CRITICAL,
        "A copy in the store is damaged",
        "The copy[ of {session}] at {path} is damaged: {error}." + _REMEDY,
        "Act soon: a file in the store is not what was written into it. The disk may be failing (dmesg, smartctl -a).\n"
        "hermesguard verify reads the whole store and says what is damaged. A damaged newest copy is made again from\n"
        "a good file, if there is one; a damaged version of the history cannot be.",
        ("session", "path", "version", "error", "remedy", "count"),
    ),
    Event(
        "verified",
        "9180a224fa694451a29194a45e83147e",
        Priority.INFO,
        "The whole store was read and is good",
        "Verified {files:file}[ ({size_bytes:byte})] of {sessions:session}[; {count} damaged].",
        "Nothing has to be done.",
        ("files", "size_bytes", "sessions", "versions", "count", "duration_us", "seconds"),
    ),
    Event(
        "shadow_rebuilt",
        "56fc11ecf7414e12a4ccd6c9298ae312",
        Priority.WARNING,
        "A damaged copy was made again from the good file",
        "The damaged copy of {session} was made again from its file[ ({rows_after:message})].",
        "Nothing is lost, but a disk that damages one file damages others: dmesg, smartctl -a, hermesguard verify",
        ("session", "path", "rows_after", "error", "reason"),
    ),
    Event(
        "hook_failed",
        "7df12c869fe143788c6210491669b969",
        Priority.WARNING,
        "A configured command failed",
        "The {command} failed: {error}.[ {count} more were not run.]",
        "The guard itself works, but whoever should have heard of something may not have. Run the command by hand with\n"
        "a line of JSON on its standard input and look at what it says.",
        ("command", "error", "exit_status", "count", "duration_us", "remedy"),
    ),
    Event(
        "metrics_failed",
        "1b3c488379274fe4847aea91c7f373bc",
        Priority.WARNING,
        "Metrics cannot be given out",
        "Metrics cannot be given out: {error}[ ({path})]." + _REMEDY,
        "The guard itself works; only its figures are missing. Look at `metrics_textfile` and `metrics_port`.",
        ("error", "path", "remedy", "reason"),
    ),
    Event(
        "swept",
        "ea453f7a5c8e4afc9723e84b207b26ed",
        Priority.DEBUG,
        "Every session was looked at",
        "Swept {sessions:session}[ in {duration_us:duration}][; {count} had changed].",
        "Nothing has to be done.",
        ("sessions", "messages", "duration_us", "count"),
    ),
    Event(
        "clock_changed",
        "67a8a69c26b94c6cab94497abc4bcaae",
        Priority.NOTICE,
        "The clock jumped",
        "The clock jumped by {seconds} s; nothing is given up by its age until it is trusted again.",
        "Nothing is lost. Look at the time synchronisation of this machine: timedatectl",
        ("seconds", "reason"),
    ),
    Event(
        "dropped",
        "617d6571ace542ee8e3735e9bcd4eac7",
        Priority.WARNING,
        "Log entries were dropped",
        "{count:log entry} could not be written and were dropped[: {reason}].",
        "Sessions are not touched by this; every incident is in hermesguard log. The journal, or whatever reads the\n"
        "standard error of the guard, did not take entries for a long time: systemctl status systemd-journald",
        ("count", "reason"),
    ),
    Event(
        "internal_error",
        "2213db6793294828b9b26c901a4847af",
        Priority.ERROR,
        "hermesguard has a fault of its own",
        "A fault in hermesguard itself: {error}[ ({reason})].[ {session} is looked at again by the next sweep.]",
        "The guard goes on. Please report it to the people who make hermesguard, with this entry and the ones around\n"
        "it; no entry contains text of a conversation.",
        ("error", "reason", "session", "path"),
    ),
)

BY_NAME: Final[dict[str, Event]] = {event.name: event for event in EVENTS}


def accepted(event: Event, values: Mapping[str, object]) -> tuple[dict[str, Value], list[str]]:
    """Return the values that `event` may carry, and a complaint for each that it may not; None means not known.

    This is the gate that keeps text of conversations in: only declared fields pass, only of their declared types.
    """
    passed: dict[str, Value] = {}
    complaints: list[str] = []
    for name, value in values.items():
        if value is None:
            continue
        if name not in event.fields:
            complaints.append(f"{event.name} has no field {name}")
        elif (fit := fitted(value, FIELDS[name].kind)) is None:
            complaints.append(f"{event.name}: {name} is {type(value).__name__}")
        else:
            passed[name] = fit
    return passed, complaints


if __name__ == "__main__":
    from hermesguard.eventdocs import main

    raise SystemExit(main())
