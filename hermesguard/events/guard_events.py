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
        "hermesguard[ {program_version}] started: sessions in {path}, store in {store}.",
        "No action required. Sessions are guarded from the event `ready` on.",
        ("program_version", "path", "store"),
    ),
    Event(
        "waiting",
        "1df02b8f21864e0f9348703299501d86",
        Priority.WARNING,
        "The sessions directory is missing",
        "Waiting for the sessions directory {path}: {reason}.",
        "Nothing is guarded yet. This is normal before hermes-webui has run for the first time.\n"
        "If hermes-webui is in use, the guard watches the wrong directory: find out where the application keeps its\n"
        "sessions (HERMES_WEBUI_STATE_DIR, HERMES_HOME), set `sessions` in the configuration, and reload.\n"
        "If the directory was there before, it was moved, deleted or not mounted: bring it back. The copies in the\n"
        "store are whole; `hermesguard restore --all-missing` puts them into a directory that came back empty.",
        ("path", "store", "reason"),
    ),
    Event(
        "ready",
        "9f90ff141cca4306b125a78b8ccd9d33",
        Priority.NOTICE,
        "hermesguard is ready",
        "Guarding {sessions:session} with {messages:message} in {path}[ ({mode})]"
        "[, after {duration_us:duration}].",
        "No action required. The watch is established and every session was scanned once.",
        ("sessions", "messages", "path", "store", "mode", "duration_us"),
    ),
    Event(
        "stopping",
        "2ae97a29134243af9ca45ebedabb5ffb",
        Priority.INFO,
        "hermesguard is stopping",
        "Stopping[: {reason}].",
        "No action required if this was intended. Until it runs again nothing is guarded; what is lost meanwhile is\n"
        "restored at the next start.",
        ("reason",),
    ),
    Event(
        "stopped",
        "e2b8a61a623b4bc3a6fce5c37e67d5f4",
        Priority.NOTICE,
        "hermesguard stopped",
        "Stopped[ after {seconds} s][; {incidents:incident} in that time].",
        "Nothing is guarded now. If this was not intended: systemctl start hermesguard\n"
        "What is lost meanwhile is restored at the next start.",
        ("seconds", "incidents", "reason"),
    ),
    Event(
        "failed",
        "d02a6a5d11784c12aeb93c2179f6c4dd",
        Priority.CRITICAL,
        "hermesguard failed",
        "hermesguard failed: {error}." + _REMEDY,
        "Nothing is guarded now. systemd restarts it; if this event repeats, do what it says.\n"
        "`hermesguard config check` and `hermesguard status` show more.",
        ("error", "remedy", "reason", "path"),
    ),
    Event(
        "watch_lost",
        "8e261079cf3243d3bbcdd6c4e2862a87",
        Priority.CRITICAL,
        "Watch lost",
        "Watch lost: {reason}. Periodic scans continue[ every {seconds} s]; re-establishing the watch."
        + _REMEDY,
        "Losses are found by the next scan only, not at once. If no event `watch_restored` follows within a minute, check\n"
        "the directory: was it moved, replaced, unmounted? `hermesguard status` shows whether changes are seen.",
        ("reason", "path", "error", "remedy", "seconds", "mode"),
    ),
    Event(
        "watch_restored",
        "c8d8ec42b06b4993b30951e236fbea3f",
        Priority.NOTICE,
        "Watch restored",
        "Watch restored[ ({mode})][ after {seconds} s][ in {path}].",
        "No action required. Every session was scanned; what was lost meanwhile is repaired.",
        ("path", "mode", "seconds", "reason"),
    ),
    Event(
        "polling",
        "7220e26ab49f4149adc28a18cfd941b0",
        Priority.WARNING,
        "Changes are found by polling",
        "Watching {path} by polling: {reason}." + _REMEDY,
        "Losses are repaired within about a second instead of within milliseconds, so hermes-webui may read the\n"
        "damaged file first. The event names the cause, and what to change if it can be changed.",
        ("path", "reason", "remedy", "seconds", "mode", "error"),
    ),
    Event(
        "overflow",
        "55cf2e59606549108132256400e5e071",
        Priority.NOTICE,
        "Changes came faster than they could be read",
        "The kernel's queue of changes overflowed[ ({count:time})]; every session is scanned again.",
        "No action required. If it happens often: sysctl fs.inotify.max_queued_events=65536",
        ("path", "count", "remedy", "reason"),
    ),
    Event(
        "directory_found",
        "acba4808009c487d994b947fd15aea74",
        Priority.NOTICE,
        "One more sessions directory is guarded",
        "Guarding one more sessions directory: {path}; its copies are in {store}.",
        "No action required: hermes-webui of this user has begun to keep sessions there too, as those of a profile.\n"
        "`hermesguard status` shows each directory. To guard only some, name them: `sessions` in the configuration.",
        ("path", "store"),
    ),
    Event(
        "directory_refused",
        "d4870edcfaba4e19bc94a1eaf7282fc7",
        Priority.ERROR,
        "A sessions directory cannot be guarded",
        "The sessions directory {path} cannot be guarded: {error}." + _REMEDY,
        "The other directories are guarded; this one is tried again at every scan. If it needs no guard, name those that\n"
        "do: `sessions` in the configuration.",
        ("path", "error", "remedy"),
    ),
    Event(
        "elsewhere",
        "4fb9e8f3c94e48938eb6d12eb2c8b4d1",
        Priority.NOTICE,
        "Conversations seem to be elsewhere now",
        "Nobody writes into {path} any more[, where {sessions:session} are], since {target} has come alive.",
        "Both are guarded. If hermes-webui was moved to another profile or another HERMES_HOME on purpose, nothing is to\n"
        "be done. If not, people miss their conversations now: start it as it was started before. To find one in any of\n"
        "the directories: hermesguard find WORDS",
        ("path", "target", "sessions"),
    ),
    Event(
        "store_broken",
        "4e84afe2eef14d5b92d6a43a98e5f12f",
        Priority.CRITICAL,
        "Store is not writable",
        "Store {path} is not writable: {error}." + _REMEDY,
        "Act soon: repairs continue from the copies in memory and in the store, but new messages are not saved durably.\n"
        "Look for a full disk (df {path}), a read-only file system (mount) or wrong owners (ls -ld {path}).\n"
        "`hermesguard prune --dry-run` shows which versions could be removed. When the store is writable again,\n"
        "pending writes are retried by themselves, and an event `store_recovered` says so.",
        ("path", "error", "remedy", "session", "reason", "count"),
    ),
    Event(
        "store_recovered",
        "9c77124d3282418f933fa2af3c29dc7f",
        Priority.NOTICE,
        "Store is writable again",
        "Store {path} is writable again[; pending writes of {count:session} done].",
        "No action required.",
        ("path", "count", "seconds"),
    ),
    Event(
        "set_aside",
        "0d6f1c3a5b8e47d29a40c7e2f1b6d835",
        Priority.WARNING,
        "Unknown data in the store was set aside",
        "Set aside {path}[, {count:line} of it]: {reason}.[ It is kept as {target}.]",
        "Nothing is lost: data that hermesguard does not know is moved to the directory set-aside of the store, and the\n"
        "guard continues without it. Look at it: a newer hermesguard, an editor or a failing disk may have written it.\n"
        "Remove it when it is not needed.",
        ("path", "reason", "target", "count", "session"),
    ),
    Event(
        "over_limit",
        "a64254aee0eb4ee3afb9316cf2306904",
        Priority.WARNING,
        "The store exceeds its limit, and nothing more may be removed",
        "The store {path} holds {size_bytes:byte}, more than the limit of {limit_bytes}, and nothing more may be removed.",
        "Nothing is lost. The newest copies and the versions of unresolved incidents are never removed.\n"
        "Resolve these (hermesguard status, hermesguard accept SID), raise `max_store_bytes`, or use a larger disk.\n"
        "hermesguard prune --dry-run shows for each version why it stays.",
        ("path", "size_bytes", "limit_bytes", "versions", "reason"),
    ),
    Event(
        "exchange_unavailable",
        "5188f3bd08fe400e91e306d9d0eec0b5",
        Priority.WARNING,
        "The file system cannot exchange two files",
        "The file system of {path} cannot exchange files[ ({error})]; repairs use link and rename instead.",
        "No action required: the promises are the same. Reported once. Network file systems and FUSE have no exchange.",
        ("path", "error", "reason"),
    ),
    Event(
        "pruned",
        "e3609c9ecb254d638d11d30cec18dfeb",
        Priority.INFO,
        "Old versions were removed",
        "Removed {versions:old version}[ ({size_bytes:byte})].[ {reason}.]",
        "No action required. The rules are `keep_history`, `keep_versions` and `max_store_bytes`;\n"
        "hermesguard prune --dry-run shows for each version why it stays or goes.",
        ("versions", "size_bytes", "sessions", "reason", "count", "files"),
    ),
    Event(
        "reloaded",
        "021555a8a00b4824814e22687dd09094",
        Priority.INFO,
        "Configuration reloaded",
        "Configuration reloaded[; {reason}].",
        "No action required. `hermesguard config show` prints each value and where it comes from.",
        ("reason", "path", "count"),
    ),
    Event(
        "config_invalid",
        "f917fa50ca454807bc9d136ed6c15663",
        Priority.ERROR,
        "Configuration invalid",
        "Configuration invalid, the previous one stays in force: {error}." + _REMEDY,
        "The guard continues with the configuration it had. Fix the file that the event names, then:\n"
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
        "hermesguard verify reads the whole store and shows what is damaged. A damaged shadow is rebuilt from a\n"
        "good live file, if there is one; a damaged version cannot be.",
        ("session", "path", "version", "error", "remedy", "count"),
    ),
    Event(
        "verified",
        "9180a224fa694451a29194a45e83147e",
        Priority.INFO,
        "The whole store was verified",
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
        "The guard itself works, but an alert may not have been delivered. Run the command yourself with a line of JSON on\n"
        "its standard input and look at its output.",
        ("command", "error", "exit_status", "count", "duration_us", "remedy"),
    ),
    Event(
        "metrics_failed",
        "1b3c488379274fe4847aea91c7f373bc",
        Priority.WARNING,
        "Metrics cannot be published",
        "Metrics cannot be published: {error}[ ({path})]." + _REMEDY,
        "The guard itself works; only its metrics are missing. Check `metrics_textfile` and `metrics_port`.",
        ("error", "path", "remedy", "reason"),
    ),
    Event(
        "clock_changed",
        "67a8a69c26b94c6cab94497abc4bcaae",
        Priority.NOTICE,
        "The clock jumped",
        "The clock jumped by {seconds} s; nothing is removed for its age until the clock is trusted again.",
        "Nothing is lost. Check the time synchronisation of this machine: timedatectl",
        ("seconds", "reason"),
    ),
    Event(
        "dropped",
        "617d6571ace542ee8e3735e9bcd4eac7",
        Priority.WARNING,
        "Log entries were dropped",
        "{count:log entry} could not be written and were dropped[: {reason}].",
        "Sessions are not affected; every incident is in hermesguard log. The journal, or whatever reads the standard\n"
        "error of the guard, accepted no entries for a long time: systemctl status systemd-journald",
        ("count", "reason"),
    ),
    Event(
        "internal_error",
        "2213db6793294828b9b26c901a4847af",
        Priority.ERROR,
        "Internal error",
        "Internal error[ {reference}]: {error}[ ({reason})].[ {session} is visited again at its next change.]",
        "A fault of hermesguard; the guard continues. Please report it to the developers of hermesguard, with this event\n"
        "and the ones around it; no event contains text of a conversation.",
        ("error", "reason", "session", "path", "reference"),
    ),
    Event(
        "standby",
        "faf6d68165f1490e9cd7caf04c5b2f2b",
        Priority.NOTICE,
        "A guard stands by",
        "Standing by[: the Lease {lease} is held by {holder}][: the lock of the store {store} is still held by another guard].",
        "No action required: another machine guards. This one takes over when the Lease and the lock of the store are free.",
        ("lease", "holder", "store"),
    ),
    Event(
        "lease_held",
        "aea2797a8b7a45d998e2c7802665b080",
        Priority.NOTICE,
        "The Lease is ours",
        "The Lease[ {lease}] is ours; the guard starts.",
        "No action required. Sessions are guarded from the event `ready` on.",
        ("lease", "holder"),
    ),
    Event(
        "lease_unanswered",
        "17654078a3ea4170804c8f9835880598",
        Priority.NOTICE,
        "Nobody can tell whose the Lease is",
        "Nobody can tell whose the Lease[ {lease}] is: {error}. It is tried again.",
        "A guard that runs goes on for two thirds of the duration of the Lease, and is ended then. Look at the API server of\n"
        "the cluster, and at the network between it and this pod.",
        ("lease", "error"),
    ),
    Event(
        "lease_lost",
        "66887083201d405498d2130497b71533",
        Priority.WARNING,
        "The Lease is lost",
        "The Lease[ {lease}] is lost: {reason}. The guard ends, and stands by.",
        "Another machine guards as soon as it holds the Lease. If none does, nothing is guarded: kubectl get lease says who\n"
        "holds it, kubectl get pods whether the others run.",
        ("lease", "reason"),
    ),
    Event(
        "offsite_started",
        "4b1f0a0c5d6e4c0f9b0a5a3f6f0c7c11",
        Priority.INFO,
        "Offsite copies are made",
        "Copying the store {path} to {target}.",
        "No action required. `hermesguard offsite status` says what is safe.",
        ("path", "target"),
    ),
    Event(
        "offsite_failing",
        "b86b2e3e2f0a4a0d8f1b7f6d5b8e9a32",
        Priority.ERROR,
        "Offsite copies cannot be made",
        "The store cannot be copied off this machine: {error}[ (for {seconds} s)].",
        "Sessions are guarded, and their copies are on this machine only. Copying is tried again by itself.\n"
        "Look at `hermesguard offsite status`, the storage, its key and the network.",
        ("error", "seconds"),
    ),
    Event(
        "offsite_again",
        "0e6a4b3f8c3d4f5ea2d79d0b7f4c1d53",
        Priority.NOTICE,
        "Offsite copies are made again",
        "Copying off this machine works again.",
        "No action required. What waited is being copied.",
    ),
    Event(
        "offsite_held",
        "c9f3a7d15e8b4d7cb5a06e2f1d3b8c74",
        Priority.ERROR,
        "Many sessions vanished from the store: their offsite copies are held",
        "{sessions:session} ({files:file}) left the store without a reason; the offsite copies are kept.",
        "No rule of retention says that they should be gone: a disk, a mistake or an intruder may have removed them.\n"
        "If that was meant: `hermesguard offsite accept`. If not: `hermesguard offsite restore` brings them back.",
        ("sessions", "files"),
    ),
    Event(
        "offsite_skipped",
        "5d2c8e7b9a1f4b36a4e0d6c3f7b9e895",
        Priority.WARNING,
        "A damaged file is not copied off this machine",
        "[Session {session}: ]a damaged file of the store is not copied[: {error}].",
        "The offsite copies keep the good one. `hermesguard verify` says what is damaged and rebuilds what can be rebuilt.",
        ("session", "error"),
    ),
    Event(
        "version_kept",
        "c7f0b3ddee4543bd99ed98881306cfd6",
        Priority.DEBUG,
        "A version was added to the history",
        "{session}: version {version} is in the history[ ({messages_before:message})][, because of {reason}].",
        "No action required.",
        ("session", "version", "messages_before", "reason", "size_bytes", "path", "incident"),
    ),
    Event(
        "shadow_rebuilt",
        "56fc11ecf7414e12a4ccd6c9298ae312",
        Priority.WARNING,
        "A damaged shadow was rebuilt",
        "The damaged shadow of {session} was rebuilt from its live file[ ({messages_after:message})].",
        "Nothing is lost, but a disk that damages one file damages others: dmesg, smartctl -a, hermesguard verify",
        ("session", "path", "messages_after", "error", "reason"),
    ),
)
