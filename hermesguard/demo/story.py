"""The `demo` verb: the real guard on sessions made for the purpose, and what has destroyed conversations, played on them.

Everything lies in one temporary directory that is gone at the end, however the end comes. The story knows what each user
wrote and took back, and believes the files alone.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TextIO, TypeAlias

from hermesguard.demo import acts, losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import dumps, text_of
from hermesguard.demo.narrator import BOLD, GREEN, RED, Narrator, duration
from hermesguard.demo.stage import Guard, Observer, orderly_end
from hermesguard.errors import ExitCode

REPAIR_SECONDS = 20.0
STANDING_SECONDS = 1.5
UNSENT = "One more thing: who has the keys to the old rack?"

Words: TypeAlias = list[tuple[str, str]]


class Untold(Exception):
    """The story cannot go on, for the reason given: something did not come back, or did not stand."""


class Story:
    """The sessions, what has to be in each of them, and the guard that looks after them."""

    def __init__(self, directory: Path, narrator: Narrator) -> None:
        self.directory = directory
        self.narrator = narrator
        self.old = App(directory / "sessions", Era.OLD, seed=1)
        self.new = App(directory / "sessions", Era.NEW, seed=2)
        self.long = self.old.create("Moving the server room", turns=500)
        self.trip = self.old.create("Notes for the trip", turns=6)
        self.quiet = self.old.create("Bread without kneading", turns=4)
        self.code = self.new.create("A parser for dates", turns=12)
        self.chats = (self.long, self.trip, self.quiet, self.code)
        self.expected: dict[Chat, Words] = {chat: words_of(chat.messages) for chat in self.chats}
        self.quiet_bytes = self.quiet.path.read_bytes()
        self.guard: Guard

    def play(self, guard: Guard) -> None:
        """Play all steps; Untold when one does not end as it must."""
        self.guard = guard
        started = time.monotonic()
        guard.wait_until_ready()
        messages = sum(map(len, self.expected.values()))
        self.narrator.say(
            f"The guard is ready after {duration(1000 * (time.monotonic() - started))}: {len(self.chats)} sessions, "
            f"{messages} messages, the longest with {len(self.expected[self.long])}."
        )
        for step in (self.wipe, self.wipe_again, self.stale_writer, self.undo, self.torn):
            step()
        self.check()

    def wipe(self) -> None:
        """hermes-webui #1558, as it happened."""
        self.narrator.step("The wipe (hermes-webui #1558): its stream is dead, its prompt unanswered")
        self.strand()
        self.expected[self.long].append(("user", UNSENT))
        self.narrator.app(
            f'saves an empty stub over "{self.title(self.long)}": 1000 messages and the prompt are gone'
        )
        milliseconds = self.restored(self.long, lambda: losses.wipe(self.long))
        self.narrator.guard(f"restored 1001 messages after {duration(milliseconds)}, one of them the prompt")
        self.because(self.long)

    def wipe_again(self) -> None:
        """The same once more: the user sends the prompt again, and the stream dies again."""
        self.narrator.step("The same wipe again, after the prompt was sent once more")
        self.long.reload()
        self.strand()
        self.narrator.app("saves an empty stub over the 1001 messages")
        milliseconds = self.restored(self.long, lambda: losses.wipe(self.long))
        self.narrator.guard(
            f"restored 1001 messages after {duration(milliseconds)}; the prompt is there once"
        )

    def stale_writer(self) -> None:
        """An app that holds the empty session in memory."""
        self.narrator.step("A stale writer: the app holds the emptied session in memory, and goes on")
        self.long.reload()
        self.strand()
        self.narrator.app("saves the stub once more, and keeps the empty session")
        milliseconds = self.restored(self.long, lambda: losses.stale_writer(self.long))
        self.narrator.guard(f"restored 1001 messages after {duration(milliseconds)}; the app does not look")
        for number, (prompt, answer) in enumerate(STALE_TURNS, 1):
            self.long.send(prompt)
            self.restored(self.long, lambda: None)
            self.expected[self.long] += [("user", prompt), ("assistant", answer)]
            self.narrator.app(f"saves turn {number}, {2 * number} messages, over the whole conversation")
            milliseconds = self.restored(self.long, partial(self.long.finish, answer))
            count = len(self.expected[self.long])
            self.narrator.guard(
                f"merged after {duration(milliseconds)}: {count} messages, all the old and all the new"
            )
        self.because(self.long)

    def undo(self) -> None:
        """A user takes a turn back, with the mark that the newest releases leave."""
        self.narrator.step(f'An undo in "{self.title(self.code)}": intended, so it must stand')
        before = len(self.expected[self.code])
        acts.undo(self.code)
        left = dumps(self.code.document).encode()
        self.expected[self.code] = self.expected[self.code][:-2]
        self.narrator.app(f"removes the last turn, {before} -> {before - 2} messages")
        accepted = self.guard.wait(lambda: self.guard.has_shadow_like(self.code.path), REPAIR_SECONDS)
        self.guard.wait(lambda: self.code.path.read_bytes() != left, STANDING_SECONDS)
        if self.code.path.read_bytes() != left:
            self.fail("brought back what was removed on purpose", self.code)
        if not accepted:
            self.fail("has not made it the good copy", self.code)
        self.narrator.guard("leaves it so; the removed turn stays in the history for a while")
        seen = [event for event in self.guard.events if event.get("session") == self.code.session_id]
        self.narrator.because(seen[-1].get("evidence", ()) if seen else ())

    def torn(self) -> None:
        """A file of which half is missing."""
        self.narrator.step("A torn file, as a power cut leaves it")
        before = self.trip.path.read_bytes()
        self.narrator.app(
            f'leaves half of "{self.title(self.trip)}": {len(before)} -> {len(before) // 2} bytes'
        )
        started_ns = time.monotonic_ns()
        milliseconds = self.restored(self.trip, lambda: losses.tear(self.trip), started_ns)
        self.narrator.guard(
            f"waited for a writer that might finish it, restored after {duration(milliseconds)}"
        )
        self.because(self.trip)

    def strand(self) -> None:
        """A prompt is sent, the server dies: its stream and its prompt stay in the file."""
        self.long.send(UNSENT)
        self.guard.wait(lambda: self.guard.has_shadow_like(self.long.path), REPAIR_SECONDS)

    def restored(self, chat: Chat, act: Callable[[], None], started_ns: int = 0) -> float:
        """Play `act`, wait until the file is whole, return after how many milliseconds it was; Untold if it never is."""
        with Observer(chat.path) as eyes:
            act()
            if not self.guard.wait(lambda: words_on_disk(chat) == self.expected[chat], REPAIR_SECONDS):
                self.fail(f"has not brought the messages back within {REPAIR_SECONDS:.0f} s", chat)
            return eyes.milliseconds_since(started_ns or chat.app.saved_at_ns)

    def because(self, chat: Chat) -> None:
        """Show the evidence of the last incident."""
        self.guard.wait(lambda: bool(self.guard.incidents(chat.session_id)), REPAIR_SECONDS)
        incidents = self.guard.incidents(chat.session_id)
        self.narrator.because(incidents[-1].get("evidence", ()) if incidents else ())

    def fail(self, what: str, chat: Chat) -> None:
        """Untold, with what is wrong in this session."""
        self.narrator.guard(what, RED)
        raise Untold(f'"{self.title(chat)}": the guard {what}')

    def title(self, chat: Chat) -> str:
        """Return the session's title."""
        return str(chat.document["title"])

    def check(self) -> None:
        """Look at every file once more; Untold when a message is missing, twice, out of place or risen from the dead."""
        for chat in self.chats:
            if (found := words_on_disk(chat)) != self.expected[chat]:
                count = "no" if found is None else len(found)
                raise Untold(f'"{self.title(chat)}" has {count} messages, not its {len(self.expected[chat])}')
        if self.quiet.path.read_bytes() != self.quiet_bytes:
            raise Untold(f'"{self.title(self.quiet)}" was touched, though nobody did anything to it')
        document = self.long.on_disk()
        if document["active_stream_id"] is not None or document["pending_user_message"] is not None:
            raise Untold(f'"{self.title(self.long)}" still has the dead stream that lets it be wiped again')
        context = set(words_of(document["context_messages"]))
        if set(self.expected[self.long]) - context - {("user", UNSENT)}:
            raise Untold(f'"{self.title(self.long)}" is whole to the eye, but its model has lost messages')


STALE_TURNS = (
    ("Did the movers call?", "They did, at nine."),
    ("And the electrician?", "On Thursday."),
    ("Then we can begin.", "Then we can begin."),
)


def words_of(messages: list[dict[str, object]]) -> Words:
    """Return (role, text) of each message."""
    return [(str(message["role"]), text_of(message)) for message in messages]


def words_on_disk(chat: Chat) -> Words | None:
    """Return (role, text) of each message in the file; None when there is none that can be read."""
    try:
        return words_of(json.loads(chat.path.read_bytes())["messages"])
    except (FileNotFoundError, ValueError):
        return None


def run(out: TextIO | None = None) -> int:
    """Play the story on `out` (default: stdout) and return the exit code: 0 when every message is there, else 1.

    GuardError when the guard does not start, or ends by itself. Whatever happens, the guard's process and the temporary
    directory are gone afterwards, after Ctrl-C, SIGTERM and SIGHUP too; a SIGKILL alone leaves both.
    """
    narrator = Narrator(out or sys.stdout)
    started = time.monotonic()
    with orderly_end(), tempfile.TemporaryDirectory(prefix="hermesguard-demo-") as name:
        narrator.say(
            "How hermes-webui has lost conversations, and what hermesguard does about it", colour=BOLD
        )
        directory = Path(name)
        story = Story(directory, narrator)
        try:
            with Guard(directory / "sessions", directory / "store", directory / "empty.toml") as guard:
                story.play(guard)
        except Untold as untold:
            narrator.say()
            narrator.say(f"Not every message is as it must be: {untold}.", colour=RED)
            return ExitCode.FAILED
        total = sum(map(len, story.expected.values()))
    narrator.say()
    narrator.say(
        f"Every message is there, {total} of {total} in {len(story.chats)} sessions, each of them once; the undo "
        f"still stands. It took {duration(1000 * (time.monotonic() - started))} in all, and nothing is left behind.",
        colour=GREEN,
    )
    return ExitCode.OK
