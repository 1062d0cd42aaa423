"""A real daemon is killed again and again beside a writer that does not wait for it: in the end every message is there.

HERMESGUARD_KILLS says how often (25 when it says nothing).
"""

import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from daemon_process import Daemon
from hermesguard import session
from hermesguard.demo import acts, losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.session import Unreadable

KILLS = int(os.environ.get("HERMESGUARD_KILLS", "25"))
CHATS_OF_EACH_ERA = 3
SECONDS_OF_PEACE = 60.0


class Writer:
    """People and their servers: what they say, what they take back, and what goes wrong."""

    def __init__(self, daemon: Daemon, chance: random.Random) -> None:
        self._daemon = daemon
        self._chance = chance
        self._numbers = itertools.count()
        self.said: dict[str, set[str]] = {}
        self.taken: dict[str, set[str]] = {}
        self.chats: list[Chat] = []
        self.done: dict[str, int] = {}
        for era in Era:
            app = App(daemon.sessions, era, seed=int(era))
            for _ in range(CHATS_OF_EACH_ERA):
                chat = app.create("Killing")
                self.chats.append(chat)
                self.said[chat.session_id], self.taken[chat.session_id] = set(), set()
                self.turn(chat)

    def act(self) -> None:
        """Something happens to one of the sessions."""
        chat = self._chance.choice(self.chats)
        if _words(chat) is None:
            return  # the application cannot open a torn file either
        act: Callable[[Chat], None] = self._chance.choices(
            [self.turn, self.wipe, self.wipe_over_prompt, self.undo, self.tear], [50, 20, 10, 10, 10]
        )[0]
        # A loss counts only of what the guard had a chance to see; a meant act is legible only on its own.
        if act != self.turn and self._daemon.shadow(chat.path) != chat.path.read_bytes():
            act = self.turn
        self.done[act.__name__] = self.done.get(act.__name__, 0) + 1
        act(chat)

    def _say(self, chat: Chat) -> str:
        text = f"message {next(self._numbers)} of {chat.session_id}"
        self.said[chat.session_id].add(text)
        return text

    def turn(self, chat: Chat) -> None:
        chat.turn(self._say(chat), self._say(chat))

    def wipe(self, chat: Chat) -> None:
        if not chat.app.era.marks_shrink and len(chat.messages) < 4:
            return self.turn(
                chat
            )  # emptied without a stream before: a single turn that was taken back (rule 11)
        losses.wipe(chat)

    def wipe_over_prompt(self, chat: Chat) -> None:
        chat.send(self._say(chat))
        losses.wipe(chat)
        chat.finish(self._say(chat))

    def undo(self, chat: Chat) -> None:
        if not chat.app.era.marks_shrink or len(chat.messages) < 4:
            return self.turn(chat)
        before = {str(row["content"]) for row in chat.messages}
        acts.undo(chat)
        self.taken[chat.session_id] |= before - {str(row["content"]) for row in chat.messages}

    def tear(self, chat: Chat) -> None:
        losses.tear_by_rename(chat)

    def wrong(self) -> list[str]:
        """What is not as it must be, in words."""
        found = []
        for chat in self.chats:
            name = chat.session_id
            words = _words(chat)
            if words is None:
                found.append(f"{chat.app.era.name} {name} cannot be read")
                continue
            for text in self.said[name] - self.taken[name] - set(words):
                found.append(f"{chat.app.era.name} {text} is missing")
            for text in self.taken[name] & set(words):
                found.append(f"{chat.app.era.name} {text} is back, although it was taken away")
            for text in {text for text in words if words.count(text) > 1}:
                found.append(f"{chat.app.era.name} {text} is there twice")
        return found


def _words(chat: Chat) -> list[str] | None:
    try:
        return [row.words for row in session.parse(chat.path.read_bytes()).rows]
    except (Unreadable, FileNotFoundError):
        return None


def test_killed_at_random_beside_a_writer(tmp_path: Path) -> None:
    seed = int(os.environ.get("HERMESGUARD_SEED", "1558"))
    chance = random.Random(seed)
    began = time.monotonic()
    with Daemon(tmp_path, level="notice") as daemon:
        writer = Writer(daemon, chance)
        before_ready = 0
        for _ in range(KILLS):
            told = len(daemon.heard("ready"))
            daemon.start(ready=chance.random() < 0.7)
            end = time.monotonic() + chance.uniform(0.02, 0.5)
            while time.monotonic() < end:
                writer.act()
                time.sleep(chance.uniform(0, 0.01))
            before_ready += len(daemon.heard("ready")) == told
            daemon.kill()
            for _ in range(chance.randrange(4)):
                writer.act()
        daemon.start()
        deadline = time.monotonic() + SECONDS_OF_PEACE
        while (wrong := writer.wrong()) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert wrong == [], f"seed {seed}"
        assert daemon.stop(signal.SIGTERM) == 0
        assert daemon.heard("internal_error") == []
    print(
        f"{KILLS} kills, {before_ready} of them before the guard was ready, in {time.monotonic() - began:.0f} s; "
        f"{sum(map(len, writer.said.values()))} messages said, {sum(map(len, writer.taken.values()))} taken back; {writer.done}"
    )
