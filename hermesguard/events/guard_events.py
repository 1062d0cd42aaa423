"""The events that are about the guard itself: its life, its watch, its store, and its surroundings."""

from typing import Final

from hermesguard.events.event import Event, Priority

_REMEDY: Final = "[ {remedy}.]"

GUARD_EVENTS: Final[tuple[Event, ...]] = (
    Event(
        "started",
        "64e7479ca6e840fa8c286d3f1561e061",
        Priority.INFO,
        "hermesguard started",
        "hermesguard[ {program_version}] started; it guards {path} and keeps its copies in {store}.",
        "No action required. It guards from the moment it says that it is ready.",
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
        "No action required. The watch is armed and every session was looked at once.",
        ("sessions", "messages", "path", "store", "mode", "duration_us"),
    ),
    Event(
        "stopping",
        "2ae97a29134243af9ca45ebedabb5ffb",
        Priority.INFO,
        "hermesguard is stopping",
        "Stopping[: {reason}].",
        "No action required if it was meant. Until it runs again nothing is guarded; what is lost meanwhile is\n"
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
        "watch_lost",
        "8e261079cf3243d3bbcdd6c4e2862a87",
        Priority.CRITICAL,
        "The guard does not see the sessions directory",
        "Watch lost: {reason}[ ({path})]. Periodic scans continue[ every {seconds} s]; re-establishing the watch."
        + _REMEDY,
        "Losses are found by the next scan only, not at once. If no entry `watch_restored` follows within a minute, look at\n"
        "the directory: was it moved, replaced, unmounted? `hermesguard status` says what the guard sees.",
        ("reason", "path", "error", "remedy", "seconds", "mode"),
    ),
    Event(
        "watch_restored",
        "c8d8ec42b06b4993b30951e236fbea3f",
        Priority.NOTICE,
        "The guard sees again",
        "Watch restored[ ({mode})][ after {seconds} s][ in {path}].",
        "No action required. Everything was scanned once; what was lost meanwhile is repaired.",
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
        "No action required. If it happens often: sysctl fs.inotify.max_queued_events=65536",
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
        "everything catches up by itself, and an entry `store_recovered` says so.",
        ("path", "error", "remedy", "session", "reason", "count"),
    ),
    Event(
        "store_recovered",
        "9c77124d3282418f933fa2af3c29dc7f",
        Priority.NOTICE,
        "The store works again",
        "The store {path} takes files again[; {count:session} caught up].",
        "No action required.",
        ("path", "count", "seconds"),
    ),
    Event(
        "set_aside",
        "0d6f1c3a5b8e47d29a40c7e2f1b6d835",
        Priority.WARNING,
        "Something in the store is none of hermesguard's",
        "Set aside {path}[, {count:line} of it]: {reason}.[ It is kept as {target}.]",
        "Nothing is lost: what hermesguard does not know is moved to the directory set-aside of the store, and the guard\n"
        "goes on without it. Look at it: a newer hermesguard, an editor or a failing disk may have written it.\n"
        "Remove it when nobody needs it.",
        ("path", "reason", "target", "count", "session"),
    ),
    Event(
        "over_limit",
        "a64254aee0eb4ee3afb9316cf2306904",
        Priority.WARNING,
        "The store is larger than it should be, and nothing may be given up",
        "The store {path} holds {size_bytes:byte}, more than the limit of {limit_bytes}, and nothing more may be removed.",
        "Nothing is lost. The newest copies and the versions of incidents that nobody has resolved are never given up.\n"
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
        "No action required: the promise is the same. It is told once. Network file systems and FUSE are like that.",
        ("path", "error", "reason"),
    ),
    Event(
        "pruned",
        "e3609c9ecb254d638d11d30cec18dfeb",
        Priority.INFO,
        "Old versions were given up",
        "Gave up {versions:old version}[ ({size_bytes:byte})].[ {reason}.]",
        "No action required. The rules are `keep_history`, `keep_versions` and `max_store_bytes`;\n"
        "hermesguard prune --dry-run says for each version why it stays or goes.",
        ("versions", "size_bytes", "sessions", "reason", "count", "files"),
    ),
    Event(
        "reloaded",
        "021555a8a00b4824814e22687dd09094",
        Priority.INFO,
        "The configuration was read again",
        "The configuration was read again[; {reason}].",
        "No action required. `hermesguard config show` prints each value and where it comes from.",
        ("reason", "path", "count"),
    ),
    Event(
        "config_invalid",
        "f917fa50ca454807bc9d136ed6c15663",
        Priority.ERROR,
        "The configuration cannot be used",
        "The configuration is not valid, and the one before stays: {error}." + _REMEDY,
        "The guard goes on with the configuration it had. Repair the file that the entry names, then:\n"
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
        "No action required.",
        ("files", "size_bytes", "sessions", "versions", "count", "duration_us", "seconds"),
    ),
    Event(
        "hook_failed",
        "7df12c869fe143788c6210491669b969",
        Priority.WARNING,
        "A configured command failed",
        "The {command} failed: {error}.[ {count} more were not run.]",
        "The guard itself works, but whoever should have heard of something may not have. Run the command by a user with\n"
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
        "A fault in hermesguard itself[, {reference}]: {error}[ ({reason})].[ {session} is looked at again at its next change.]",
        "The guard goes on. Please report it to the people who make hermesguard, with this entry and the ones around\n"
        "it; no entry contains text of a conversation.",
        ("error", "reason", "session", "path", "reference"),
    ),
)
