"""A thousand random things that happen to fifty sessions and to their guard, beside a model of what must be there.

The real daemon, real renames, several releases of the application on one directory. The model knows what each user said and
took back; a session is compared with it whenever something happens to it again, and all of them at the end.

HERMESGUARD_RANDOM_OPERATIONS=20000 HERMESGUARD_RANDOM_SEED=7 in the environment make a longer and another history.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import text_of
from hermesguard.errors import ExitCode
from hermesguard.store.store import Store
from tests.helpers.daemon_process import Daemon, hermesguard
from tests.model.machine.invariants import words_kept
from tests.model.machine.talks import Meant

OPERATIONS = int(os.environ.get("HERMESGUARD_RANDOM_OPERATIONS", "1000"))
SEED = int(os.environ.get("HERMESGUARD_RANDOM_SEED", "1"))
SESSIONS = 50
# A back-off makes the guard wait up to a minute (issue: the same session lost again and again).
REST_SECONDS = 90.0

Said = tuple[str, str]
"""Whose message it is, and its text."""


@dataclass(eq=False)
class Talk(Meant[Said]):
    """One session: `prompt` is in no message yet."""

    is_open: bool = False
    """Something was lost, and the guard has not been seen to have put it back."""

    @property
    def marks_shrinks(self) -> bool:
        return self.era == Era.NEW

    def on_disk(self) -> list[Said] | None:
        try:
            return said_in(json.loads(self.chat.path.read_bytes())["messages"])
        except (FileNotFoundError, ValueError):
            return None


def said_in(messages: list[dict[str, Any]]) -> list[Said]:
    """What stands in messages as they are in the file."""
    return [(message["role"], text_of(message)) for message in messages]


class Server(App):
    """A server that leaves the index alone: it cannot build one anew where a file is torn."""

    def write_index(self, chat: Chat | None = None, *, message_count: int | None = None) -> None:
        """Do nothing."""


class History:
    """The directory, the guard, and the dice."""

    def __init__(self, daemon: Daemon, seed: int) -> None:
        self.daemon = daemon
        self.dice = random.Random(seed)
        self.number = 0
        self.done: Counter[str] = Counter()
        apps = [Server(daemon.sessions, era, seed=int(era)) for era in (Era.OLD, Era.V720, Era.NEW)]
        self.talks = [self.begun(apps[number % 3]) for number in range(SESSIONS)]

    def begun(self, app: App) -> Talk:
        chat = app.create("A title", turns=self.dice.randint(1, 6))
        return Talk(chat, said_in(chat.messages))

    def words(self, kind: str) -> str:
        self.number += 1
        return f"{kind} {self.number} {'and so on ' * self.dice.choice((0, 0, 1, 30))}".strip()

    # -- the guard

    @property
    def is_up(self) -> bool:
        return self.daemon.process is not None

    def restart(self, talk: Talk) -> None:
        self.daemon.stop()
        if self.dice.random() < 0.5:
            self.daemon.start()

    def kill(self, talk: Talk) -> None:
        """In the middle of something."""
        self.grow(talk)
        time.sleep(self.dice.choice((0, 0, 0.001, 0.005, 0.02)))
        self.daemon.kill()
        if self.dice.random() < 0.5:
            self.daemon.start()

    def is_kept(self, talk: Talk) -> bool:
        return self.daemon.shadow(talk.chat.path) == talk.chat.path.read_bytes()

    def come_to_rest(self, talk: Talk) -> None:
        """Wait until the session is as it must be, and kept."""
        if not self.is_up:
            self.daemon.start()
        try:
            self.daemon.until(lambda: talk.on_disk() == talk.meant and self.is_kept(talk), REST_SECONDS)
        except AssertionError:
            found = talk.on_disk() or []
            order = "" if found == talk.meant or sorted(found) != sorted(talk.meant) else ", in another order"
            kept = "" if self.is_kept(talk) else ", not kept"
            missing = [words for words in talk.meant if words not in found]
            more = [words for words in found if words not in talk.meant]
            twice = [words for words, count in Counter(found).items() if count > 1]
            era, name = talk.era.release, talk.chat.session_id
            reported = [event["message"] for event in self.daemon.events if event.get("session") == name]
            raise AssertionError(
                f"{name} ({era}) after {talk.story}: missing {missing}, too much {more}, twice {twice}{order}{kept}; {reported}"
            ) from None
        talk.seen.update(text for _, text in talk.meant)
        if talk.is_open and not talk.is_stale_writer:
            talk.chat.reload()
        talk.is_open = False

    def may_lose(self, talk: Talk) -> bool:
        """Whether the guard has seen what is there; what it never saw, it cannot bring back."""
        if self.is_up:
            self.come_to_rest(talk)
        return talk.on_disk() == talk.meant and self.is_kept(talk)

    # -- what people do

    def grow(self, talk: Talk) -> None:
        if talk.is_open:
            self.come_to_rest(talk)
        if not talk.prompt:
            self.send(talk)
        answer = self.words("answer")
        talk.chat.finish(answer)
        talk.meant += [("user", talk.prompt), ("assistant", answer)]
        talk.prompt = ""

    def send(self, talk: Talk) -> None:
        if talk.is_open:
            self.come_to_rest(talk)
        if not talk.prompt:
            talk.prompt = self.words("prompt")
            talk.chat.send(talk.prompt)

    def undo(self, talk: Talk) -> None:
        users = [number for number, (role, _) in enumerate(talk.meant) if role == "user"]
        if not talk.marks_shrinks or talk.prompt or not users:
            return self.grow(talk)
        if talk.is_open:
            self.come_to_rest(talk)
        acts.undo(talk.chat)
        del talk.meant[users[-1] :]

    def clear(self, talk: Talk) -> None:
        if not talk.marks_shrinks or talk.prompt:
            return self.grow(talk)
        if talk.is_open:
            self.come_to_rest(talk)
        acts.clear(talk.chat)
        talk.meant.clear()

    def write_in_place(self, talk: Talk) -> None:
        """A script rewrites the file as it is and adds to it, in the same inode."""
        if talk.prompt:
            return self.grow(talk)
        if talk.is_open or talk.is_stale_writer:
            self.come_to_rest(talk)
        messages = talk.chat.on_disk()["messages"]
        now = talk.chat.app.clock()
        added: list[dict[str, Any]] = [
            {"role": role, "content": self.words(role), "timestamp": now} for role in ("user", "assistant")
        ]
        losses.rewrite_in_place(talk.chat, messages + added)
        talk.meant += said_in(added)
        talk.is_stale_writer = False
        talk.chat.reload()

    # -- what goes wrong

    def lost(self, talk: Talk) -> None:
        """What was sent and not said is a message from now on."""
        if talk.prompt:
            talk.meant.append(("user", talk.prompt))
        talk.prompt = ""
        talk.is_open = True

    def stranded(self, talk: Talk) -> bool:
        """A stream that nobody ends is in the file, and the guard has seen it."""
        if talk.is_open:
            self.come_to_rest(talk)
        if talk.is_stale_writer:
            return False
        if not talk.prompt and not talk.chat.document["active_stream_id"]:
            talk.chat.document["active_stream_id"] = "stale"
            talk.chat.save()
        return self.may_lose(talk)

    def wipe(self, talk: Talk) -> None:
        if not self.stranded(talk):
            return self.grow(talk)
        losses.wipe(talk.chat)
        self.lost(talk)

    def wipe_and_go_on(self, talk: Talk) -> None:
        """The server that wiped the file holds all of it in memory, and saves the end of the turn at once."""
        if not self.stranded(talk):
            return self.grow(talk)
        losses.wipe(talk.chat)
        if talk.prompt:
            answer = self.words("answer")
            talk.chat.finish(answer)
            talk.meant += [("user", talk.prompt), ("assistant", answer)]
            talk.prompt = ""
        else:
            talk.chat.turn(prompt := self.words("prompt"), answer := self.words("answer"))
            talk.meant += [("user", prompt), ("assistant", answer)]
        talk.is_open = True

    def stale_writer(self, talk: Talk) -> None:
        if not self.stranded(talk):
            return self.grow(talk)
        losses.stale_writer(talk.chat)
        self.lost(talk)
        talk.is_stale_writer = talk.era == Era.OLD
        for _ in range(self.dice.randint(1, 3)):
            talk.is_open = talk.is_open and not talk.is_stale_writer
            self.grow(talk)
        talk.is_open = True

    def awake(self, talk: Talk) -> None:
        """The server of a stale writer is started again."""
        talk.is_stale_writer, talk.is_open = False, True
        self.come_to_rest(talk)

    def tear(self, talk: Talk) -> None:
        if not self.may_lose(talk):
            return self.grow(talk)
        share = self.dice.choice((0, 0.1, 0.5, 0.9))
        self.dice.choice((losses.tear, losses.tear_by_rename))(talk.chat, share=share)
        self.lost(talk)

    # -- all of it

    def play(self, operations: int) -> None:
        weights: dict[Callable[[Talk], None], float] = {
            self.grow: 34,
            self.send: 8,
            self.undo: 10,
            self.clear: 3,
            self.write_in_place: 8,
            self.wipe: 12,
            self.wipe_and_go_on: 6,
            self.stale_writer: 6,
            self.tear: 5,
            self.restart: 1,
            self.kill: 1.5,
        }
        for _ in range(operations):
            quiet = [talk for talk in self.talks if not talk.is_open]
            talk = self.dice.choice(quiet if quiet and self.dice.random() < 0.8 else self.talks)
            act = self.dice.choices(list(weights), list(weights.values()))[0]
            if talk.is_stale_writer and self.dice.random() < 0.5:
                act = self.awake
            if act in (self.restart, self.kill) and not self.is_up:
                self.daemon.start()
            talk.story.append(f"{act.__name__}{'' if self.is_up else ' (no guard)'}")
            self.done[act.__name__] += 1
            act(talk)
        for talk in self.talks:
            self.come_to_rest(talk)


@pytest.mark.slow
def test_a_random_history(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--scan-interval", "2s", level="info") as daemon:
        history = History(daemon, SEED)
        daemon.start()
        history.play(OPERATIONS)
        print(dict(history.done), len(daemon.incidents()), "incidents")
        store = Store(daemon.store)
        for talk in history.talks:
            assert talk.seen - words_kept(daemon.sessions, store, [talk.chat.session_id]) == set()
            document = talk.chat.on_disk()
            if talk.story[-1:] != ["write_in_place"]:  # that script leaves the count as it was
                assert document.get("message_count", len(talk.meant)) == len(talk.meant)
        assert daemon.stop() == ExitCode.OK
        done = hermesguard(
            tmp_path, "scan", "--check", "--sessions", daemon.sessions, "--store", daemon.store
        )
        assert done.returncode == ExitCode.OK, done.stdout + done.stderr
        assert [path.name for path in daemon.sessions.iterdir() if path.name.startswith(".")] == []
        assert daemon.heard("internal_error") == []
