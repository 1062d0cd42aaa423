"""docs/judgement.md, generated from the rules themselves: `python -m tools.docs.rules` prints it."""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from hermesguard.guard import back_off as back_off
from hermesguard.guard.gone import brake
from hermesguard.judge.acts import ACTS, Part
from hermesguard.judge.judge import TABLE
from hermesguard.judge.rule import Entry
from hermesguard.judge.rules import FIRST_TURN_WAIT_SECONDS, RULES
from hermesguard.judge.rules_missing import (
    MISSING_RULES,
    MISSING_WAIT_SECONDS,
    PRUNED_WAIT_SECONDS,
    UNKNOWN_WAIT_SECONDS,
    UNLINKED_WAIT_SECONDS,
    UNREADABLE_RULES,
    UNREADABLE_WAIT_SECONDS,
)
from hermesguard.webui import benign, session
from hermesguard.webui.compare.parts import PARTS

_INTRODUCTION = """\
A session file changed. Was the change intended, or data loss? hermesguard compares its last good copy (the **shadow**) with
the file as it is now (**live**), message by message, and asks the rules below. The first one that applies decides. Every verdict
carries the evidence for it and what spoke against it; `hermesguard explain INCIDENT` and `hermesguard log` show both, in
sentences, without a word of the conversation.

| judgement | what is done |
|---|---|
| keep | growth, or nothing that counts: live becomes the shadow |
| intended | a user did it: live becomes the shadow, and the shadow before goes to the history |
| restore | a loss: the missing messages are brought back; what was live goes to the history |
| merge | as restore, and the new messages in live stay: each message once, in the order of the conversation |
| uncertain | as restore and merge (`on_uncertain = "restore"`, the default), or live is left (`"keep"`). Either way\
 both sides are in the history, and the log names the command that reverses it |
| deleted | the shadow goes to the history, and from there after `keep_deleted` |
| not known | the session stays away; the shadow goes to the history and is kept as long as that (`keep_history`), and an event\
 names the command that brings it back |
| renamed | shadow and history follow to the new id |

`hermesguard undo INCIDENT` reverses what was done, and the same drop is not repaired again; with `--merge` what was written since
stays. `hermesguard accept SID` makes live the good copy as it is.

Nothing is judged by the number of messages alone, and each write is judged by itself, as far as the watch sees each."""

_ACTS = """\
An act explains a change only if every part of the file is as the act leaves it, in the release that wrote it. What is left over
is the evidence for a loss: "an undo would not change `pinned`". The watch counts the saves between two looks: within several, as
many turns may go and settings may change as well; after a stop of the guard the number is not known, and then one turn may go.
A new `intentional_shrink_generation` or `clear_generation` that fits its boundary stands, whatever else the save changed. Keys
that are not in the table, as those of a later release, speak neither way."""

_PARTS = f"""\
Every message may be there, and something still be gone: {", ".join(f"`{part}`" for part in PARTS)}.
Live stays as it is; the state before is a version in the history, and the event `stripped` says what went. What a user sets
counts only where one save took away several of them, for each has an act of its own. A context that was compressed is shorter
by intent.

What is less than a part is a version too, without a word: the end of a reasoning, one of two attachments, a list that a later
release keeps in a message, the summary before the context, the context's order, a title, a project or an unsent draft alone.

## Messages of another session

Where messages are lost, and what live adds stands whole in another session's file (the same words with the same time stamp), it
was written into the wrong session: nothing of it is merged in, and it is in the history. Looked through are the 64 sessions that
were saved last, 32 MB of them at most, in the background where that is more than one; a branch of the session says nothing.

## What was taken back comes again

The recovery of hermes-webui (v0.50.285 to exp-v0.52.215) puts its own backup back at a start, whatever a user had cleared,
undone or deleted since; a second server may do so from an older memory. Such a save stands, for the application wrote it and
goes on from it. The event `returned` tells it once, with the command that takes the messages away again, as long as the history
has what was taken back (the last four acts of a session). No repair brings such messages again: where live lacks others, only
those come back.

## Which side knows better

What is not messages comes from live, but for three things: an older state that adds nothing (its time goes back) knows nothing
better than the shadow; a title that the session had before, or none at all, is that of an older memory; the anchors of a
compression belong to the context, and that is the shadow's where only the shadow was compressed. What is written from an empty
memory comes last, whatever the clock says."""

_SAME = """\
Two messages are the same when their role, their text (white space and the spelling of accents apart) and their tool ids are;
where both have a timestamp, it must agree too: who says "yes" again says something new. A message may be stamped, lose its
picture, or have its markup stripped, and is still the same. Messages without any timestamp are believed to be the same in
company: at the start, at the end, or where live takes up the end of the shadow.

Between messages that are the same, what is left is paired by tool id, time stamp, position and role: restamped, enriched,
redacted, cut, replaced by a marker, or under the tool ids of another provider, it is one message that was changed where it
stands. Its newer form stays, and the state before is a version in the history. A tool id is no sign where calls of other turns
have it too, or ask for something else at another time, as with providers that count anew in each turn, nor between the answers to
two questions, as where two servers count on from one place; of such calls the model is told of the first alone. The same words at
the same time are one message in any role. Words are like others where half of the longer text is in both. At the end, where two
writers may have said something else, messages were changed if one word took the place of others throughout, and they have their
time stamps yet, or all before them were stamped anew. An end that was cut off, also behind a mark that says so, comes back."""

_WAITING = f"""\
Some cases only time can decide. Nothing sleeps meanwhile: a later write is judged by itself, and may decide the case.

| rule | waits for | seconds |
|---|---|---|
| 1 | whoever writes the file to finish | {UNREADABLE_WAIT_SECONDS:g} |
| 11 | a new prompt (the first turn is said anew) | {FIRST_TURN_WAIT_SECONDS:g} |
| 18 | the file, when its entry in the index went with it | {PRUNED_WAIT_SECONDS:g} |
| 18 | the file, and others that go too, when the index went with it | {UNLINKED_WAIT_SECONDS:g} |
| 20 | a tombstone, or the file itself | {MISSING_WAIT_SECONDS:g} |
| 23 | the file, a tombstone, or an index | {UNKNOWN_WAIT_SECONDS:g} |"""

_GONE = """\
A file that is gone has three answers, each with its evidence and an event of its own:

| answer | what says so | what is done | event |
|---|---|---|---|
| **deleted** | a tombstone; its entry went from an index that was seen to list it; `_index.json` removed with it (before\
 v0.51.139); a title `btw:` or `bg:` that no user gave; no message in it\
 | it stays away; the copy is kept for `keep_deleted` | `deleted` |
| **lost** | the index lists it on; no tombstone where every deletion leaves one (v0.51.850 and later, told by `clear_generation`\
 in the newest save; sessions of messengers excepted); a clean-up just after its first turn | the file is put back | `missing` |
| **not known** | neither | it stays away; the copy is kept as long as the history | `not_known` |

What the application leaves behind a deletion, by release:

| release | a deletion | a clean-up of empty sessions |
|---|---|---|
| before v0.51.139 | the whole index goes, and is built anew by the next save | the whole index goes |
| v0.51.139 to v0.51.849 | the entry goes from the index | the whole index goes |
| v0.51.850 and later | the entry goes, and a tombstone is written (not for messengers) | the entry goes, without a tombstone |

An index that is not there is no evidence, least of all when the guard removed it after a repair. What it listed last is
remembered, over a restart too (`listed.json` in the store). Any save of another session drops the entries of files that are
gone, so an entry that went after such a save says nothing; nor does an index that was built anew or is an older one, or one
that never listed the session. The list of tombstones holds 1000 ids; an id that it would not hold is judged by the index
alone. A new session is this one under a new id only if it has the new id inside: a copy such as `abc-backup.json` is no
rename."""

_BRAKE = f"""\
What has evidence needs no brake: any number may be deleted at once, or cleaned up, and what is lost in the same minute comes
back. When more than {brake.MOST_SESSIONS} sessions vanish within {brake.SECONDS:g} seconds without any evidence of a deletion,
where a deletion would leave some; when more than {brake.LARGEST_BATCH} go that no index lists, and more than half of all; or when
the directory itself is gone or empty, then nothing is judged and nothing is purged. One event `mass_change_held` reports it.
The sessions are held, also over a restart, until they are back or a user decides: `hermesguard restore --all-missing`, or
`hermesguard purge` for each that was deleted on purpose. With `on_missing = "warn"` a single lost session is reported and not
restored.

Sessions that are there, and went back to an older state, are repaired each by itself, and with more than
{brake.MOST_SESSIONS} within {brake.SECONDS:g} seconds one incident `rolled_back` names all of them: a backup was restored, or a
tool that synchronises directories put older files over newer ones. Undoing that incident undoes all of it."""

_BACK_OFF = f"""\
When the same session is repaired {back_off.REPAIRS_BEFORE_BACK_OFF} times within {back_off.WINDOW_SECONDS:g} seconds,
a stale writer is at work. One event `backing_off` names its process, and the repairs slow down: after each
comes a pause of {back_off.COSTS_PER_PAUSE:g} times what it cost, at least {back_off.SHORTEST_PAUSE_SECONDS:g} and at most
{back_off.LONGEST_PAUSE_SECONDS:g} seconds. The pause ends when the writer's process does, and when the guard stops. New messages
are merged each time; one incident grows, and of the versions that this makes the newest {back_off.MOST_VERSIONS} are kept, and
each older one that holds a message which stands nowhere else. `back_off_ended` reports the end. A save that holds everything ends
the pauses at once. There is never more than one alert a minute about one session; what is held back is counted."""


def markdown() -> str:
    """Return docs/judgement.md."""
    return "\n\n".join(_sections()) + "\n"


def _sections() -> Iterator[str]:
    yield "<!-- Generated by: python -m tools.docs.rules -->\n\n# How hermesguard judges"
    yield _INTRODUCTION
    yield "## The rules"
    yield _table(("rule", "name", "what is seen", "judgement"), map(_rule, TABLE))
    yield (
        f"They are asked in this order. A file that cannot be read: {_order(UNREADABLE_RULES)}. A file that can be read:"
        f" {_order(RULES)}.\nA file that is not there: {_order(MISSING_RULES)}. (3 and 21 come before 2 because a session without"
        " any message can still lose a prompt;\n6a before 4 because a clear is also a marked shrink; 19 before 18 because what"
        " was renamed has no entry in the index either.)"
    )
    yield "## What each act leaves"
    yield _ACTS
    yield _table(("part", *(act.name for act in ACTS)), map(_part, Part))
    yield _table(("act", "releases", "rule"), ([act.name, act.releases, act.number] for act in ACTS))
    yield "## What hangs on messages"
    yield _PARTS
    yield "## The same message"
    yield _SAME
    yield "## What is harmless"
    yield (
        "hermes-webui itself drops and changes messages, in every release, unmarked. No rule counts these as missing. What\n"
        "repeats words that stand elsewhere leaves no version in the history either; before the others the shadow is kept."
    )
    yield _table(("messages that may go", ""), map(_kind, (*benign.SUPERSEDED, *benign.UNSAID)))
    yield _table(("messages that may change", ""), map(_kind, benign.CHANGING))
    yield "## Waiting"
    yield _WAITING
    yield "## A file that is gone"
    yield _GONE
    yield "## When much is missing at once"
    yield _BRAKE
    yield "## When it happens again and again"
    yield _BACK_OFF
    yield "## Which release wrote a file"
    yield (
        "By the keys that a release always writes, for each file and time: one directory may hold files of several.\n"
        "A file with none of them is older than all of these."
    )
    yield _table(("key", "since"), ([f"`{key}`", release] for key, release in reversed(session.WRITERS)))


def _rule(entry: Entry) -> Sequence[str]:
    return entry.number, entry.name, entry.evidence, entry.judgement


def _part(part: Part) -> Sequence[str]:
    return part, *(act.parts[part].words if part in act.parts else "" for act in ACTS)


def _kind(kind: Callable[..., Any]) -> Sequence[str]:
    return kind.__name__.replace("_", " "), inspect.getdoc(kind) or ""


def _order(rules: Sequence[Entry]) -> str:
    return ", ".join(rule.number for rule in rules)


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    table = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in table)


if __name__ == "__main__":
    sys.stdout.write(markdown())
