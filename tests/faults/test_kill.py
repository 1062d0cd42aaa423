"""A real daemon is killed again and again beside a writer that does not wait for it: in the end every message is there.

HERMESGUARD_KILLS says how often (25 when it says nothing).
"""

import faulthandler
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hermesguard.demo import acts, losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.webui import session
from hermesguard.webui.session import Unreadable
from tests.helpers.daemon_process import Daemon

KILLS = int(os.environ.get("HERMESGUARD_KILLS", "25"))
CHATS_OF_EACH_ERA = 3
LONGEST_CHAT_MESSAGES = 200
ACTS_IN_A_LIFE = 5
LIVES_FOR_A_TORN_FILE = 5
SECONDS_OF_PATIENCE = 20.0
SECONDS_OF_QUIET = 60.0


class Writer:
    """People and their servers: what they say, what they take back, and what goes wrong."""

    def __init__(self, daemon: Daemon, chance: random.Random) -> None:
        self._daemon = daemon
        self._chance = chance
        self._numbers = itertools.count()
        self.said: dict[str, set[str]] = {}
        self.taken: dict[str, set[str]] = {}
        self.chats: list[Chat] = []
        self._open: list[Chat] = []
        self.done: Counter[str] = Counter()
        for era in Era:
            app = App(daemon.sessions, era, seed=int(era))
            for _ in range(CHATS_OF_EACH_ERA):
                self._begin(app)

    def _begin(self, app: App) -> None:
        chat = app.create("Killing")
        self.chats.append(chat)
        self._open.append(chat)
        self.said[chat.session_id], self.taken[chat.session_id] = set(), set()
        self.turn(chat)

    def act(self) -> None:
        """Something happens to one of the sessions."""
        act: Callable[[Chat], None] = self._chance.choices(
            [self.turn, self.wipe, self.wipe_over_prompt, self.undo, self.edit], [50, 20, 10, 10, 10]
        )[0]
        # Only a mark tells what was meant from what was lost, however many saves the guard sleeps through.
        has_marks = act in (self.undo, self.edit)
        chat = self._chance.choice(
            [chat for chat in self._open if chat.app.era.marks_shrink or not has_marks]
        )
        words = _words(chat)
        if words is None:
            return  # the application cannot open a torn file either
        if len(words) > LONGEST_CHAT_MESSAGES:
            self._open.remove(chat)
            self._begin(chat.app)
        # A loss counts only of what the guard had a chance to see; a meant act is legible only on its own.
        elif act == self.turn or (len(chat.messages) >= 4 and self._is_kept(chat)):
            self.done[act.__name__] += 1
            act(chat)

    def tear(self) -> bool:
        """A file is torn, if the guard has a copy of one; return whether it was."""
        kept = [chat for chat in self._open if self._is_kept(chat)]
        if kept:
            self.done["tear"] += 1
            losses.tear_by_rename(self._chance.choice(kept), share=self._chance.choice([0.0, 0.5, 0.99]))
        return bool(kept)

    def torn(self) -> list[str]:
        """The sessions that cannot be read."""
        return [chat.session_id for chat in self._open if _words(chat) is None]

    def _is_kept(self, chat: Chat) -> bool:
        return self._daemon.shadow(chat.path) == chat.path.read_bytes()

    def _say(self, chat: Chat) -> str:
        text = f"message {next(self._numbers)} of {chat.session_id}"
        self.said[chat.session_id].add(text)
        return text

    def turn(self, chat: Chat) -> None:
        chat.turn(self._say(chat), self._say(chat))

    def wipe(self, chat: Chat) -> None:
        losses.wipe(chat)

    def wipe_over_prompt(self, chat: Chat) -> None:
        chat.send(self._say(chat))
        losses.wipe(chat)
        chat.finish(self._say(chat))

    def undo(self, chat: Chat) -> None:
        before = _texts(chat)
        acts.undo(chat)
        self.taken[chat.session_id] |= before - _texts(chat)

    def edit(self, chat: Chat) -> None:
        before = _texts(chat)
        acts.edit(chat, self._say(chat), self._say(chat))
        self.taken[chat.session_id] |= before - _texts(chat)

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
        return [message.words for message in session.parse(chat.path.read_bytes()).messages]
    except (Unreadable, FileNotFoundError):
        return None


def _texts(chat: Chat) -> set[str]:
    return {str(message["content"]) for message in chat.messages}


def test_killed_at_random_beside_a_writer(tmp_path: Path) -> None:
    seed = int(os.environ.get("HERMESGUARD_SEED", "1558"))
    chance = random.Random(seed)
    began = time.monotonic()
    faulthandler.cancel_dump_traceback_later()  # many kills take long; every wait here has an end of its own
    with Daemon(tmp_path, level="notice") as daemon:
        writer = Writer(daemon, chance)
        before_ready = 0
        for life in range(KILLS):
            reported = len(daemon.heard("ready"))
            daemon.start(ready=chance.random() < 0.7)
            if life % LIVES_FOR_A_TORN_FILE == 1:
                daemon.until(writer.tear, SECONDS_OF_PATIENCE)
            end = time.monotonic() + chance.uniform(0.02, 0.5)
            for number in itertools.count():
                writer.act()
                time.sleep(chance.uniform(0, 0.01))
                if number >= ACTS_IN_A_LIFE and time.monotonic() >= end:
                    break
            if life % LIVES_FOR_A_TORN_FILE == LIVES_FOR_A_TORN_FILE - 1:
                # Whether a file stays torn takes a second to know, for which most lives are too short.
                daemon.until(lambda: writer.act() or not writer.torn(), SECONDS_OF_PATIENCE)
            before_ready += len(daemon.heard("ready")) == reported
            daemon.kill()
            for _ in range(chance.randrange(4)):
                writer.act()
        daemon.start()
        deadline = time.monotonic() + SECONDS_OF_QUIET
        while (wrong := writer.wrong()) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert wrong == [], f"seed {seed}"
        assert daemon.stop(signal.SIGTERM) == 0
        assert daemon.heard("internal_error") == []
    taken = sum(map(len, writer.taken.values()))
    if KILLS >= 25:
        assert writer.done.keys() == {"turn", "wipe", "wipe_over_prompt", "undo", "edit", "tear"}
        assert taken
    print(
        f"seed {seed}: {KILLS} kills, {before_ready} of them before the guard was ready, in {time.monotonic() - began:.0f} s; "
        f"{len(writer.chats)} sessions, {sum(map(len, writer.said.values()))} messages said, {taken} taken back; "
        + ", ".join(f"{number} times {kind}" for kind, number in writer.done.most_common())
    )
