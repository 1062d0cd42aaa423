"""The events about sessions: what was lost, what was done about it, and what users did themselves."""

from typing import Final

from hermesguard.events.event import Event, Priority

_WRITER: Final = ("writer_pid", "writer_command")
_JUDGED: Final = (
    "session",
    "verdict",
    "rule",
    "evidence",
    "against",
    "messages_before",
    "messages_live",
    "version",
    *_WRITER,
)
_INCIDENT: Final = (
    *_JUDGED,
    *(
        "incident",
        "action",
        "undo",
        "messages_after",
        "messages_lost",
        "displaced",
        "duration_us",
        "reason",
        "error",
        "remedy",
    ),
)

_COUNTS: Final = "[; {messages_before:message} before][, {messages_live} found][, {messages_after} now]"
_TOOK: Final = "[ ({duration_us:duration})]"
_BY_WHOM: Final = "[; written by process {writer_pid}][ ({writer_command})]"
_WHY: Final = "[ Why: {evidence}.]"
_UNDO: Final = "[ Undo: {undo}]"
_REMEDY: Final = "[ {remedy}.]"

_LOOK: Final = (
    "To see what the guard saw: hermesguard explain {incident}\n"
    "To see the conversation now: hermesguard show {session}\n"
    "To compare with what was there before: hermesguard diff {session}"
)

SESSION_EVENTS: Final[tuple[Event, ...]] = (
    Event(
        "stripped",
        "f758036c4f4b4d29901780a63cdc19da",
        Priority.WARNING,
        "Something that belongs to messages is gone",
        "{session}: a save took away {parts}; every message is there[, {messages_live} of them]"
        + _BY_WHOM
        + "."
        "[ The state before is in the history: {version}.]",
        "The file stands as it was saved. See what went: hermesguard diff {session}@{version} @live\n"
        "To bring back one part alone ({parts}): hermesguard restore {session}@{version} --part PART",
        (*_JUDGED, "parts"),
    ),
    Event(
        "intended",
        "994592b0acf749a7bbba3c564fae9492",
        Priority.INFO,
        "Messages were removed on purpose",
        "{session} was shortened on purpose[: {messages_before:message} before][, {messages_live} now]"
        + _BY_WHOM
        + "."
        + _WHY
        + "[ The state before is in the history: {version}. Undo: hermesguard undo {incident}]",
        "No action required: the change carries evidence of an undo, a retry, an edit, a clear or a /compress, so it\n"
        "stands. What was there before is kept for a while: hermesguard history {session}\n"
        "If it was not intended after all: hermesguard undo {incident}",
        (*_JUDGED, "incident", "messages_after", "duration_us"),
    ),
    Event(
        "returned",
        "22e38319d5f84e5db63d26b897d7c429",
        Priority.WARNING,
        "Messages that had been removed on purpose are there again",
        "{session}: a save brought {count:message} again that had been removed on purpose[; {messages_before} before]"
        "[, {messages_live} now]" + _BY_WHOM + "." + _WHY + "[ To take them away again: {undo}]",
        "The file stands as it was saved: the recovery of hermes-webui (v0.50.285 and later) puts its own backup back at a\n"
        "start, also of a deleted conversation, and a second server may write from an older memory. If the messages may be\n"
        "there, no action is required.\n"
        "To take them away again: {undo}\n"
        "While hermes-webui runs, it may have them in its memory: reload the page, and look whether they stay away.",
        (*_JUDGED, "incident", "count", "displaced", "undo"),
    ),
    Event(
        "restored",
        "5624b3f52bf1461f9e740dd4db9878b0",
        Priority.WARNING,
        "Lost messages were restored",
        "Restored {session}[: {messages_lost:message} lost in one write]"
        + _COUNTS
        + _TOOK
        + _BY_WHOM
        + "."
        + _WHY
        + _UNDO,
        "No immediate action required: the messages are back in the file. If a browser still shows the conversation\n"
        "empty, reload the page; if that does not help, restart hermes-webui.\n"
        + _LOOK
        + "\nIf the messages had been removed on purpose: {undo}",
        _INCIDENT,
    ),
    Event(
        "merged",
        "7470db9fe0bf4b74ae6e6443f3021222",
        Priority.WARNING,
        "Lost messages were restored, and new ones kept",
        "Merged {session}[: {messages_lost:message} lost in one write that brought new ones]"
        + _COUNTS
        + _TOOK
        + _BY_WHOM
        + "."
        + _WHY
        + _UNDO,
        "No immediate action required: the file holds the old messages and the new ones. hermes-webui probably holds\n"
        "an emptied copy of this session in its memory and will write it again; each time it is merged again. Restart\n"
        "hermes-webui when convenient to end this.\n" + _LOOK,
        _INCIDENT,
    ),
    Event(
        "uncertain",
        "74c64d26b5e64a9baaaeced66587c9ac",
        Priority.ERROR,
        "Messages are gone, and it is uncertain whether that was intended",
        "Uncertain about {session}[: {messages_lost:message} gone in one write]"
        + _COUNTS
        + _BY_WHOM
        + ".[ What was done: {action}.]"
        + _WHY
        + "[ Against: {against}.]"
        + _UNDO,
        "Your decision is needed, but nothing is lost either way: both sides are in the history. Ask whoever used the\n"
        "session whether the messages were removed on purpose.\n" + _LOOK + "\n"
        "If the guard guessed wrong: {undo}\n"
        "If the file is right as it is: hermesguard accept {session}",
        _INCIDENT,
    ),
    Event(
        "unrepaired",
        "ad4aadcc0dc34e669da3b79b9a14ea0a",
        Priority.CRITICAL,
        "Lost messages could not be restored",
        "{session} lost messages[ ({messages_before} before][, {messages_live} found)] and could not be repaired: {error}."
        + _REMEDY
        + _WHY,
        "Act now: the file of the session is damaged, and only the store holds the messages. Look for a full disk\n"
        "(df), a read-only file system (mount) or wrong owners (ls -l) at the sessions directory, fix that, then:\n"
        "hermesguard scan\n"
        "or save a copy elsewhere: hermesguard restore {session} -o FILE\n"
        "The guard retries at every scan.",
        _INCIDENT,
    ),
    Event(
        "unreadable",
        "97d9e1622c694caabdf964be2a617d1f",
        Priority.ERROR,
        "A session file is damaged and there is no copy of it",
        "The file of {session} is not a session, and there is nothing to restore it from[: {error}].[ ({path})]",
        "The file was damaged before the guard saw a good one. Check whether the application's own copy is whole\n"
        "(the same name with .json.bak), or restore it from your backup of the sessions directory.\n"
        "Until then hermes-webui shows this session as empty or not at all.",
        (*_INCIDENT, "path"),
    ),
    Event(
        "lost_before",
        "5b0c9a4f3c1e4d6f8a7725e0c61d9b42",
        Priority.WARNING,
        "Conversations look lost from before the guard came",
        "In {path} {count:conversation} may have been lost before this guard came; to see which, and why: {remedy}.",
        "The guard did not see how it happened, and changes nothing about it. Each conversation, what tells that it was\n"
        "longer once, and what can be done about it: hermesguard lost\n"
        "To say that one is right as it is: hermesguard accept {session}",
        ("count", "path", "remedy", "session"),
    ),
    Event(
        "denied",
        "15fc6a7058be438181ae5048a6f72c15",
        Priority.ERROR,
        "No permission to read or replace a session file",
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
        "{session} is too large to be read: {size_bytes:byte}[, with a limit of {limit_bytes}]." + _REMEDY,
        "This session is copied and restored unread: when all of it is lost it comes back, but a smaller loss is not seen,\n"
        "and new messages are kept in the history instead of merged. The guard goes on with the others. To have it read,\n"
        "raise MemoryHigh= and MemoryMax= of the unit (systemctl edit hermesguard) by three times its size, and restart it.",
        ("session", "path", "size_bytes", "limit_bytes", "error", "remedy"),
    ),
    Event(
        "deleted",
        "041316af9f2c49de8c062d71ad5bdc35",
        Priority.INFO,
        "A session was deleted",
        "{session} was deleted on purpose[: {messages_before:message}]."
        + _WHY
        + "[ Its copy is purged in {seconds} s.][ Until then: {undo}]",
        "No action required. What a user deletes stays deleted; the copy is kept for `keep_deleted` (1 day unless\n"
        "configured) and then purged. To purge it now: hermesguard purge {session}",
        (*_JUDGED, "seconds", "undo", "incident", "action"),
    ),
    Event(
        "renamed",
        "4ead530b1692416c91a780e63a63a4f8",
        Priority.INFO,
        "A session got a new id",
        "{previous_session} is now {session}[ ({messages_before:message})]; its copy follows." + _WHY,
        "No action required. Releases of hermes-webui up to v0.51.59 rename a session when they compress it.",
        (*_JUDGED, "previous_session"),
    ),
    Event(
        "missing",
        "2c486c1eee3a4612ad75a878fcbece79",
        Priority.ERROR,
        "A session file is missing, without evidence of a deletion",
        "The file of {session} is missing[ ({messages_before:message})], and there is no evidence of a deletion."
        "[ What was done: {action}.]" + _WHY + "[ Against: {against}.]" + _UNDO,
        "Your decision is needed; the copy in the store is kept. Ask whoever used the session whether it was deleted.\n"
        "If it should be there: hermesguard restore {session}\n"
        "If it was deleted on purpose, and the guard has put it back: {undo}\n"
        "If it was deleted on purpose, and is still away: hermesguard purge {session}",
        _INCIDENT,
    ),
    Event(
        "not_known",
        "13d2f60475aa4447a2e53102cb1e52e2",
        Priority.WARNING,
        "A session file is gone, and whether it was deleted or lost cannot be known",
        "The file of {session} is gone[ ({messages_before:message})]; it may have been deleted, and stays away."
        "[ Its copy is version {version} of the history.]"
        + _WHY
        + "[ Against: {against}.][ To have it back: {undo}]",
        "No action required if it was deleted: releases of hermes-webui before v0.51.850 do not always leave a trace.\n"
        "If it should be there: {undo}\n"
        "To look at it first: hermesguard show {session}@{version}\n"
        "The copy is kept as long as the rest of the history (`keep_history`). To purge it now: hermesguard purge {session}",
        _INCIDENT,
    ),
    Event(
        "rolled_back",
        "4f47696844df4da8b3f65630c0a92b24",
        Priority.ERROR,
        "Many sessions went back to an older state at once",
        "{count:session} in {path} went back to an older state at once and were repaired: {names}. Incident {incident}."
        " To undo all of it: {undo}",
        "No message is missing now. A backup that was restored, or a tool that synchronises directories, has most likely\n"
        "put older files over newer ones: find out which, and keep it away from the sessions directory while\n"
        "hermes-webui runs. If the older state is what you want: {undo}\n"
        "To see the repairs one by one: hermesguard log",
        ("count", "path", "names", "incident", "undo"),
    ),
    Event(
        "two_writers",
        "88f266924190423fb532522330859ba2",
        Priority.WARNING,
        "Two processes save into the sessions directory by turns",
        "The processes {other_writer_pid} and {writer_pid} save sessions in {path} by turns.",
        "Each server of hermes-webui goes on from its own memory, and overwrites what the other has saved; the guard\n"
        "repairs that, and it will come again. Look at both (ps -fp {writer_pid},{other_writer_pid}) and stop one of them.\n"
        "In a container the numbers are those of its own processes.",
        ("path", "session", "writer_pid", "other_writer_pid"),
    ),
    Event(
        "mass_change_held",
        "c8406df3c7c44019a879297062bafed7",
        Priority.CRITICAL,
        "Many sessions vanished at once",
        "{count:session} vanished at once from {path}; held: nothing counts as deleted, nothing is purged.[ {reason}.]",
        "Act now: this looks like a directory that was moved, emptied, or is not mounted. The copies in the store are\n"
        "whole and stay. Find out what happened to the directory (mount, ls -la, the shell history of the users).\n"
        "When the directory is in its place: hermesguard restore --all-missing --dry-run\n"
        "then the same without --dry-run. If all of them were deleted on purpose, purge them one by one.",
        ("count", "path", "store", "reason", "seconds", "sessions"),
    ),
    Event(
        "mass_change_released",
        "963cf652189846de91a4fb2dcf59ba2b",
        Priority.NOTICE,
        "The vanished sessions are accounted for",
        "The sessions that had vanished from {path} are accounted for[: {count} came back].",
        "No action required. Deletions count as such again.",
        ("count", "path", "reason", "sessions"),
    ),
    Event(
        "backing_off",
        "46f246af9bfe491b92acc085602bddd0",
        Priority.ERROR,
        "One session is damaged again and again",
        "{session} was repaired {count:time}[ in {seconds} s] and is damaged again"
        + _BY_WHOM
        + "; repairs slow down until the writer stops.",
        "A process keeps writing a damaged copy of this session: usually a hermes-webui that holds the emptied session\n"
        "in its memory, or two servers on one directory. Restart hermes-webui; if there are two, stop one. Every new\n"
        "message is kept, and the file is repaired between the pauses, which last 10 s at most, and when the writer ends.\n"
        "Look at the versions: hermesguard history {session}",
        ("session", "incident", "count", "seconds", *_WRITER, "undo", "rule"),
    ),
    Event(
        "back_off_ended",
        "41d705b023c0448fae6ce5daa5a66d8d",
        Priority.NOTICE,
        "The back-off of a session ended",
        "{session} is no longer being damaged[; {count:repair} in all].",
        "No action required. The file holds every message.\nTo look: hermesguard show {session}",
        ("session", "incident", "count", "seconds", "messages_after"),
    ),
    Event(
        "resolved",
        "594433bc61844585a0ff522930dac7be",
        Priority.NOTICE,
        "An incident was resolved",
        "Resolved[ incident {incident}] of {session}[: {reason}].",
        "No action required. What the application saved later showed what had been uncertain.",
        ("session", "incident", "reason", "action", "evidence", "rule"),
    ),
    Event(
        "suppressed",
        "32086e18e616421596895ea18ad6854b",
        Priority.NOTICE,
        "Repeated alerts about one session were held back",
        "{session} was {action} {count:more time}[ in {seconds} s], reported here together.",
        "No action required beyond what the first event about this session asks for: there is at most one alert a\n"
        "minute about one session. Every incident is in the log: hermesguard log --session {session}",
        ("session", "count", "seconds", "action"),
    ),
    Event(
        "undone",
        "21e0302efe5a4586806e4f9929104f7e",
        Priority.NOTICE,
        "A repair was reversed by a user",
        "Undone: incident {incident}[ of {session}][; {messages_after:message} now].[ Reverse: {undo}]",
        "No action required: a user ran `hermesguard undo`. The same drop is not repaired a second time.",
        (
            "session",
            "incident",
            "messages_before",
            "messages_live",
            "messages_after",
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
        "Accepted {session} as it is[: {messages_after:message}][, {messages_before} in the copy before].",
        "No action required: a user ran `hermesguard accept`. The copy before is in the history.",
        ("session", "incident", "messages_before", "messages_live", "messages_after", "version", "action"),
    ),
    Event(
        "restored_by_user",
        "d50166c11cd2470a91d9936f6ea6447c",
        Priority.NOTICE,
        "A version was restored by a user",
        "Restored {session} by a user[ from {version}][: {messages_after:message} now][, {messages_live} before].[ Undo: {undo}]",
        "No action required: a user ran `hermesguard restore`. What was displaced is in the history.",
        (
            "session",
            "incident",
            "messages_before",
            "messages_live",
            "messages_after",
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
        "No action possible: every copy of this session is gone from the store, as asked for by `hermesguard purge`, or\n"
        "because it was deleted longer than `keep_deleted` ago.",
        ("session", "files", "size_bytes", "versions", "reason"),
    ),
)
