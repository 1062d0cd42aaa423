"""Everything that can happen to a few sessions, to their servers and to the guard, in any order, beside what each person meant.

The world is in this process, its clock is turned by a user, and the guard looks at every save at once (as the daemon does when it
keeps up). Checked are the promises of the design: nothing seen is lost (1); a repair brings back what was lost, throws away
nothing new and says nothing twice (2); what was meant stands (3); live is a whole file at every exchange (4).

HERMESGUARD_MACHINE_EXAMPLES=3000 in the environment makes a long and random run of it, which says at its end how many examples
were tried, and how often each thing happened.
"""

import contextlib
import faulthandler
import itertools
import json
import operator
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from hermesguard.demo import acts, losses, quirks
from hermesguard.demo import app as app_module
from hermesguard.demo import chat as chat_module
from hermesguard.demo.app import INDEX, App
from hermesguard.demo.chat import NO_TITLE, Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import replace_file, tokens_of
from hermesguard.repair import exchange as staging
from hermesguard.repair.standby import QUIET_SECONDS
from hermesguard.webui import benign, session
from hermesguard.webui.session import Document, Message, Unreadable
from tests.helpers.world import World

EXAMPLES = int(os.environ.get("HERMESGUARD_MACHINE_EXAMPLES", "0"))
# Longer than the longest pause of a back-off, and than every question stays open.
SETTLING_SECONDS = 130.0
MOST_TALKS = 4
GUARDED_CALLS = ("rename", "link", "unlink", "fsync", "write", "mkdir", "ftruncate", "setxattr", "utime")
PICTURE = [{"type": "text", "text": "Here it is"}, quirks.SCREENSHOT]
# Who says this says it often; it is never the only thing that tells two messages apart.
OFTEN = "yes"
SAID_OFTEN = {OFTEN, PICTURE[0]["text"]}


class Crash(BaseException):
    """The guard's process ends here."""


def words_of(messages: list[Message]) -> list[str]:
    """What was said, without the messages that nobody said."""
    return [message.words for message in messages if not is_furniture(message)]


def is_furniture(message: Message) -> bool:
    return bool(
        message.get("_partial")
        or benign.is_compaction_marker(message)
        or benign.is_control_message(message)
        or benign.is_interruption_marker(message)
        or not message.words.strip()
    )


def held_in(messages: list[dict[str, Any]]) -> list[str]:
    return words_of([Message(message, "") for message in messages])


class Server(App):
    """A server that leaves the index alone while it cannot build one, because a file is torn."""

    def write_index(self, chat: Chat | None = None, *, message_count: int | None = None) -> None:
        with contextlib.suppress(ValueError):
            super().write_index(chat, message_count=message_count)


@dataclass(eq=False)
class Talk:
    """One session: what the user means to be in it, and what its server holds."""

    chat: Chat
    meant: list[str] = field(default_factory=list)
    prompt: str = ""
    """Sent and not answered."""
    is_asked: bool = False
    """The prompt stands among the messages (`intended` too)."""
    is_stale_writer: bool = False
    extra: set[str] = field(default_factory=set)
    """Taken back once, and brought back by the application itself."""
    seen: set[str] = field(default_factory=set)
    """Whatever the guard saw in a good file."""
    sides: list[list[str]] = field(default_factory=list)
    """What two servers had before the guard merged it."""
    ids: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)

    @property
    def era(self) -> Era:
        return self.chat.app.era

    @property
    def cache(self) -> list[str]:
        return held_in(self.chat.messages)

    def ask(self) -> None:
        """The prompt is among the messages from here on."""
        if self.prompt and not self.is_asked:
            self.meant.append(self.prompt)
            self.is_asked = True


class Machine(RuleBasedStateMachine):
    """The sessions, their servers, the guard, and everything that may happen."""

    on_uncertain = "restore"
    happened: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.happened["examples"] += 1
        shared_memory = Path("/dev/shm")
        self.root = Path(tempfile.mkdtemp(dir=shared_memory if shared_memory.is_dir() else None))
        self.stack = contextlib.ExitStack()
        self.stack.callback(shutil.rmtree, self.root)
        self.talks: list[Talk] = []
        self.gone: list[Talk] = []
        self.numbers = itertools.count(1)
        self.ticks = itertools.count(1_760_000_000.0, 0.75)
        self.in_guard = False
        self.steps_to_crash: int | None = None
        self.has_crashed = False
        self.injected: Callable[[], None] | None = None
        self.later: list[str] = []
        self._patch()
        self.world = World(self.root, on_uncertain=self.on_uncertain)
        self.servers: dict[Era, Server] = {}

    def teardown(self) -> None:
        self.steps_to_crash = None
        try:
            self.resolve()
        finally:
            self.stack.close()

    # ---- what is put between

    def _patch(self) -> None:
        for module in (chat_module, app_module):
            self.stack.enter_context(mock.patch.object(module, "replace_file", self._saved))
        for name in GUARDED_CALLS:
            self.stack.enter_context(mock.patch.object(os, name, self._counted(getattr(os, name))))
        refresh = Chat.refresh

        def refreshed(chat: Chat) -> None:
            with contextlib.suppress(ValueError):  # a torn file is no news
                refresh(chat)

        self.stack.enter_context(mock.patch.object(Chat, "refresh", refreshed))
        self.stack.enter_context(mock.patch.object(staging, "exchange", self._exchange(staging.exchange)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **more: Any) -> Any:
            if self.in_guard:
                self._step()
            return call(*arguments, **more)

        return counted

    def _step(self) -> None:
        """One system call of the guard; at the chosen one, and at all after it, there is no guard any more."""
        if self.steps_to_crash is None:
            return
        self.steps_to_crash -= 1
        if self.steps_to_crash <= 0:
            self.has_crashed = True
            raise Crash

    def _exchange(self, call: Callable[[Path, Path], bool]) -> Callable[[Path, Path], bool]:
        def exchange(temporary: Path, path: Path) -> bool:
            self._step()
            self._inject()
            session.parse(temporary.read_bytes())
            result = call(temporary, path)
            session.parse(path.read_bytes())
            self._step()
            self._inject()
            return result

        return exchange

    def _inject(self) -> None:
        if injected := self.injected:
            self.injected = None
            self.in_guard = False
            try:
                injected()
            finally:
                self.in_guard = True

    def _saved(self, path: Path, text: str, process_id: int) -> int:
        result = replace_file(path, text, process_id)
        name = session.session_id(path.name)
        if path.name == INDEX and self.world.watching and not self.is_repairing:
            with self.guarding():
                self.world.guard.index_changed()
        if name and self.world.watching:
            self.later.append(name)
            if not self.is_repairing:
                self.look()
        return result

    @property
    def is_repairing(self) -> bool:
        return self._depth > 0

    _depth = 0

    # ---- the guard

    @contextlib.contextmanager
    def guarding(self) -> Iterator[None]:
        """The guard is at work; when it crashes, it is started again."""
        self._depth += 1
        self.in_guard = True
        try:
            yield
        except Crash:
            pass
        finally:
            self.in_guard = False
            self._depth -= 1
        if self.has_crashed:
            self.has_crashed = False
            self.steps_to_crash = None
            self.start()
            self.catch_up()

    def catch_up(self) -> None:
        """Servers behind their file read it again: a guard that died before it wrote a repair down does not know of it."""
        for talk in self.talks:
            live = self.good(talk.chat.session_id)
            if (
                live
                and not talk.is_stale_writer
                and not talk.prompt
                and words_of(live.messages) != talk.cache
            ):
                talk.chat.reload()

    def start(self) -> None:
        with self.guarding():
            self.world.start()
        self.note_seen()

    def look(self, *names: str) -> None:
        """The watch saw something of these sessions, and of those that were saved meanwhile."""
        self.later += names
        while self.later:
            name = self.later.pop(0)
            before = self.good(name)
            with self.guarding():
                self.world.guard.visit(name, 4711)
            if self.world.watching:
                self.note_seen(name, before)

    def good(self, name: str) -> Document | None:
        try:
            return self.world.live(name)
        except (FileNotFoundError, Unreadable):
            return None

    def note_seen(self, name: str = "", *more: Document | None) -> None:
        for talk in self.talks:
            if name in ("", talk.chat.session_id):
                for document in (self.good(talk.chat.session_id), *more):
                    talk.seen.update(words_of(document.messages) if document else ())

    def resolve(self) -> None:
        """Let everything come to rest, and compare."""
        with self.guarding():
            self.world.pass_time(SETTLING_SECONDS)
        for _ in range(2):
            with self.guarding():
                self.world.scan()
            with self.guarding():
                self.world.pass_time(5)
        self.note_seen()
        for talk in self.talks:
            self.check(talk)
        for talk in self.gone:
            self.check_gone(talk)

    # ---- what must hold

    def check(self, talk: Talk) -> None:
        name = talk.chat.session_id
        path = self.world.sessions / f"{name}.json"
        live = session.parse(path.read_bytes())
        assert path.stat().st_mode & 0o777 == 0o644 & ~umask()
        said = [words for words in words_of(live.messages) if words not in talk.extra]
        expected = [words for words in talk.meant if words not in talk.extra]
        for prompt in {talk.prompt, live.prompt} - {""}:
            if prompt == live.prompt and prompt in expected:
                expected.remove(prompt)  # it runs, whether it is a message already or not
            if prompt in said and prompt not in expected:
                said.remove(prompt)
        story = f"{name} ({talk.era.name}): " + ", ".join(talk.story)
        if any(message.timestamp is None for message in live.messages):
            said, expected = sorted(said), sorted(expected)
        assert said == expected, story
        often = [words for words in words_of(live.messages) if words not in SAID_OFTEN]
        assert len(often) == len(set(often)), f"twice: {story}"
        assert self.world.guard.copies.store.read_shadow(name) == path.read_bytes(), story
        self.check_nothing_lost(talk)

    def check_nothing_lost(self, talk: Talk) -> None:
        kept = set()
        for name in (talk.chat.session_id, *talk.ids):
            if live := self.good(name):
                kept.update(words_of(live.messages))
        if talk.seen <= kept:
            return
        store = self.world.guard.copies.store
        for name in (talk.chat.session_id, *talk.ids):
            if store.has_shadow(name):
                kept.update(words_of(session.parse(store.read_shadow(name)).messages))
            for version in store.versions(name):
                with contextlib.suppress(Unreadable):
                    kept.update(words_of(session.parse(store.read_version(version)).messages))
        assert talk.seen <= kept, (talk.seen - kept, talk.story)

    def check_gone(self, talk: Talk) -> None:
        assert not (self.world.sessions / f"{talk.chat.session_id}.json").exists(), talk.story
        self.check_nothing_lost(talk)

    # ---- words

    def question(self, often: bool = False) -> str:
        return OFTEN if often else f"question {next(self.numbers)}"

    def answer(self) -> str:
        return f"answer {next(self.numbers)} is this"

    def server(self, era: Era) -> Server:
        if era not in self.servers:
            self.servers[era] = Server(
                self.world.sessions,
                era,
                clock=self.ticks.__next__,
                seed=10 + era,
                process_id=4000 + era,
            )
        return self.servers[era]

    def pick(self, number: int, story: str) -> Talk:
        talk = self.talks[number % len(self.talks)]
        talk.story.append(story)
        self.happened[story.rstrip(" 0123456789") or "turn"] += 1
        return talk

    def fresh(self, number: int, story: str) -> Talk:
        """A session whose server holds what the user means: one that is behind is restarted first."""
        talk = self.pick(number, story)
        if talk.is_stale_writer or talk.cache != talk.meant:
            self.resolve()
            talk.story.append("(restarted)")
            self.restarts(talk)
        if talk.prompt and not talk.chat.document["pending_user_message"]:
            # The server has read the file again, in which the guard had made a message of it.
            talk.ask()
            talk.prompt, talk.is_asked = "", False
        return talk

    def restarts(self, talk: Talk) -> None:
        """The server of a session is started again, and reads the file."""
        talk.chat.reload()
        talk.is_stale_writer = False
        talk.extra.clear()
        self.reloaded(talk)
        if not talk.era.marks_watermark:
            # By its shape alone an undo can only be told from a server that goes on from an old memory when the
            # application has saved what was repaired.
            talk.chat.pin()

    def reloaded(self, talk: Talk) -> None:
        """The server has read the file again: what it holds is what the user sees."""
        talk.meant = talk.cache
        talk.prompt = talk.chat.document["pending_user_message"] or ""
        talk.is_asked = talk.prompt in talk.meant

    def idle(self, number: int, story: str) -> Talk:
        """A fresh session in which no turn is running."""
        talk = self.fresh(number, story)
        if talk.prompt:
            self.finish(talk)
        return talk

    def is_saved(self, talk: Talk) -> bool:
        """Whether the file says what the server holds; where a loss was kept uncertain, it does not."""
        live = self.good(talk.chat.session_id)
        return live is not None and words_of(live.messages) == talk.cache

    def took(self, talk: Talk) -> None:
        """A user took something away, and sees what is left."""
        talk.meant = talk.cache

    def finish(self, talk: Talk) -> None:
        text = self.answer()
        talk.ask()
        talk.meant.append(text)
        talk.prompt, talk.is_asked = "", False
        talk.chat.finish(text)

    def send(self, talk: Talk, text: str) -> None:
        talk.prompt, talk.is_asked = text, False
        if talk.chat.app.eager:
            talk.ask()
        talk.chat.send(text)

    def emptying(self, talk: Talk) -> None:
        """What empties a session is legible only when the server has saved all of it since the last repair."""
        talk.chat.pin()

    # ---- what happens: people

    @initialize(era=st.sampled_from(list(Era)), turns=st.integers(0, 3))
    def first(self, era: Era, turns: int) -> None:
        self.create(era, turns)

    @precondition(lambda self: len(self.talks) < MOST_TALKS)
    @rule(era=st.sampled_from(list(Era)), turns=st.integers(0, 3))
    def create(self, era: Era, turns: int) -> None:
        talk = Talk(self.server(era).create("A chat"))
        talk.story.append(f"created with {turns}")
        self.talks.append(talk)
        self.look(talk.chat.session_id)
        for _ in range(turns):
            self.send(talk, self.question())
            self.finish(talk)

    TALK = st.integers(0, MOST_TALKS - 1)

    @rule(number=TALK, often=st.booleans())
    def turn(self, number: int, often: bool) -> None:
        talk = self.pick(number, "turn")
        if talk.prompt or (not talk.is_stale_writer and talk.cache != talk.meant):
            talk = self.idle(number, "")
        # What stands unanswered at the end is not said a second time when it is sent again.
        self.send(talk, self.question(often and talk.cache[-1:] != [OFTEN]))
        self.finish(talk)

    @rule(number=TALK)
    def ask_and_stop_there(self, number: int) -> None:
        talk = self.idle(number, "send")
        self.send(talk, self.question())

    @rule(number=TALK)
    def turn_with_tools(self, number: int) -> None:
        talk = self.idle(number, "tools")
        self.send(talk, self.question())
        results = [f"result {next(self.numbers)}" for _ in range(2)]
        text = self.answer()
        talk.ask()
        talk.meant += [*results, text]
        talk.prompt, talk.is_asked = "", False
        talk.chat.finish(text, tools=[("terminal", "ls", result) for result in results])

    @rule(number=TALK, times=st.integers(1, 3))
    def answer_streams(self, number: int, times: int) -> None:
        talk = self.idle(number, f"stream {times}")
        self.send(talk, self.question())
        text = self.answer()
        talk.ask()
        for count in range(times):
            talk.chat.stream(text[: 6 + 2 * count])
        talk.meant.append(text)
        talk.prompt, talk.is_asked = "", False
        talk.chat.finish(text)

    @rule(number=TALK)
    def interrupted(self, number: int) -> None:
        talk = self.fresh(number, "interrupted")
        if not talk.prompt:
            self.send(talk, self.question())
        talk.ask()
        talk.prompt, talk.is_asked = "", False
        talk.chat.interrupt()

    @rule(number=TALK)
    def pinned(self, number: int) -> None:
        self.pick(number, "pin").chat.pin()

    @rule(number=TALK)
    def named(self, number: int) -> None:
        talk = self.pick(number, "rename")
        talk.chat.rename(f"Title {next(self.numbers)}")

    def can_shrink(self, talk: Talk) -> bool:
        asked = [message for message in talk.chat.messages if message.get("role") == "user"]
        return bool(asked) and benign.is_user_turn(Message(asked[-1], ""))  # nobody takes a compaction back

    def leaves_a_side(self, talk: Talk) -> bool:
        """Whether an undo leaves just what one of two servers had before the guard merged it (guarantees, section 3)."""
        return held_in(talk.chat.messages[: acts.last_prompt(talk.chat.messages)]) in talk.sides

    @rule(number=TALK)
    def undone(self, number: int) -> None:
        talk = self.idle(number, "undo")
        if self.can_shrink(talk):
            if acts.last_prompt(talk.chat.messages) == 0 or self.leaves_a_side(talk):
                self.emptying(talk)
            acts.undo(talk.chat)
            self.took(talk)

    @rule(number=TALK)
    def retried(self, number: int) -> None:
        talk = self.idle(number, "retry")
        if self.can_shrink(talk):
            self.emptying(talk)
            acts.retry(talk.chat, self.answer())
            self.took(talk)

    @rule(number=TALK)
    def regenerated(self, number: int) -> None:
        talk = self.idle(number, "regenerate")
        if self.can_shrink(talk):
            self.emptying(talk)
            with contextlib.suppress(ValueError):  # the context begins behind the prompt
                acts.regenerate(talk.chat, self.answer())
                self.took(talk)

    @rule(number=TALK, first=st.booleans())
    def edited(self, number: int, first: bool) -> None:
        talk = self.idle(number, "edit the first" if first else "edit")
        if self.can_shrink(talk) and len(talk.chat.messages) <= 30:
            self.emptying(talk)
            acts.truncate(talk.chat, 0 if first else acts.last_prompt(talk.chat.messages))
            talk.chat.turn(self.question(), self.answer())
            self.took(talk)

    @rule(number=TALK, keep=st.integers(0, 12))
    def truncated(self, number: int, keep: int) -> None:
        talk = self.idle(number, f"truncate to {keep}")
        if talk.era.marks_shrink:
            acts.truncate(talk.chat, keep)
            self.took(talk)

    @rule(number=TALK, place=st.integers(0, 20))
    def message_deleted(self, number: int, place: int) -> None:
        talk = self.idle(number, f"delete message {place}")
        messages = talk.chat.messages
        pairs = [
            index
            for index, (one, other) in enumerate(itertools.pairwise(messages))
            if (one["role"], other["role"]) == ("user", "assistant") and not one.get("tool_calls")
        ]
        if talk.era.marks_shrink and pairs:
            acts.delete_message(talk.chat, pairs[place % len(pairs)])
            self.took(talk)

    @rule(number=TALK)
    def cleared(self, number: int) -> None:
        talk = self.idle(number, "clear")
        if talk.chat.document["title"] not in NO_TITLE or talk.era.clears_all:
            acts.clear(talk.chat)
            self.took(talk)

    @rule(number=TALK)
    def compressed(self, number: int) -> None:
        talk = self.idle(number, "compress")
        if self.can_shrink(talk) and words_of([Message(message, "") for message in talk.chat.messages[-1:]]):
            acts.compress(talk.chat)
            self.took(talk)

    @rule(number=TALK)
    def rotated(self, number: int) -> None:
        talk = self.idle(number, "rotate")
        self.resolve()
        if len(self.talks) == MOST_TALKS or not self.can_shrink(talk):
            return
        old = talk.chat.session_id
        stays = not talk.era.renames_on_rotation
        acts.rotate(talk.chat)
        self.look(old)
        if stays:
            left = Talk(talk.chat.app.open(old), list(talk.meant), seen=set(talk.seen), ids=list(talk.ids))
            left.story = [*talk.story, "is the old one"]
            self.talks.append(left)
            talk.seen = set()
        else:
            talk.ids.append(old)
        self.look(talk.chat.session_id)

    @precondition(lambda self: len(self.talks) > 1)
    @rule(number=TALK)
    def deleted(self, number: int) -> None:
        talk = self.pick(number, "deleted")
        self.resolve()
        talk.chat.app.write_index(talk.chat)
        self.talks.remove(talk)
        self.gone.append(talk)
        talk.chat.backup_path.unlink(missing_ok=True)
        acts.delete(talk.chat)
        self.look(talk.chat.session_id)
        talk.chat.app.write_index()  # the user looks at the list, and it is built anew where there is none
        self.resolve()

    @rule(kind=st.sampled_from(["btw", "bg"]))
    def asked_beside(self, kind: str) -> None:
        app = self.talks[0].chat.app
        self.look(acts.side_question(app, "what is it", "this", kind=kind))

    @rule(number=TALK, era=st.sampled_from(list(Era)))
    def upgraded(self, number: int, era: Era) -> None:
        """The server is another release from here on; also an earlier one."""
        talk = self.idle(number, f"now {era.name}")
        self.resolve()
        talk.chat = Chat(self.server(era), self.server(era).read(talk.chat.session_id))
        self.server(era).chats[talk.chat.session_id] = talk.chat

    @rule(number=TALK, flips=st.integers(1, 4))
    def harmless(self, number: int, flips: int) -> None:
        talk = self.idle(number, "quirks")
        self.send(talk, self.question())
        text = self.answer()
        talk.ask()
        talk.chat.stream(text[:6])
        for _ in range(flips):
            quirks.pile_up_partials(talk.chat, 4, text=text[:6])
            quirks.collapse_partials(talk.chat)
        talk.meant.append(text)
        talk.prompt, talk.is_asked = "", False
        talk.chat.finish(text)
        quirks.add_scaffolding(talk.chat)
        quirks.drop_scaffolding(talk.chat)

    @rule(number=TALK, what=st.sampled_from(["double", "picture", "markup", "stamp", "marker"]))
    def rewritten(self, number: int, what: str) -> None:
        """The application changes messages that stay what they are."""
        talk = self.idle(number, f"rewrites: {what}")
        if not words_of([Message(message, "") for message in talk.chat.messages]):
            return
        chat, last = talk.chat, talk.chat.messages[-1]
        if not self.is_saved(talk):
            return
        match what:
            case "double" if self.can_shrink(talk) and chat.messages[acts.last_prompt(chat.messages)] != last:
                quirks.double_prompt(chat)
                quirks.drop_double_prompts(chat)
                chat.backup_path.unlink(missing_ok=True)  # in which it stands twice
            case "picture" if not any(
                message["role"] == "tool" and message["content"] == PICTURE for message in chat.messages
            ):
                quirks.add_image(chat, f"call_{next(self.numbers)}")
                quirks.replace_images(chat)
            case "markup" if last["role"] == "assistant" and last["content"] and not last.get("_error"):
                last["content"] += " <function_calls>ls</function_calls>"
                chat.save()
                talk.seen.difference_update(held_in([last]))  # what is stripped is no loss
                quirks.strip_xml(chat)
            case "stamp":
                last.pop("timestamp", None)
                chat.save()
                quirks.stamp_timestamps(chat)
            case "marker":
                quirks.reword_interruption(chat)
                quirks.drop_interruption(chat)
        self.took(talk)

    @rule(number=TALK)
    def server_died_within_a_save(self, number: int) -> None:
        """Half a temp file is left, and who starts again reads the file."""
        talk = self.pick(number, "server died")
        self.resolve()
        data = talk.chat.path.read_bytes()
        talk.chat.path.with_suffix(f".tmp.{talk.chat.app.process_id}.1").write_bytes(data[: len(data) // 2])
        self.restarts(talk)

    # ---- what happens: losses

    def lost(self, talk: Talk) -> None:
        """A loss is repaired, and with it the prompt that was running becomes a message."""
        talk.ask()

    @rule(number=TALK, then=st.sampled_from(["reads again", "works on", "stale"]))
    def wiped(self, number: int, then: str) -> None:
        talk = self.fresh(number, f"wipe, {then}")
        if not talk.prompt:
            self.send(talk, self.question())
        self.lost(talk)
        if then == "stale":
            losses.stale_writer(talk.chat)
            talk.prompt, talk.is_asked = "", False
            talk.is_stale_writer = not talk.era.rereads
        else:
            losses.wipe(talk.chat)
        if then == "reads again":
            self.resolve()
            talk.chat.reload()
            self.reloaded(talk)

    @rule(number=TALK, behind=st.integers(1, 7))
    def stale(self, number: int, behind: int) -> None:
        talk = self.fresh(number, f"stale by {behind}")
        behind = min(behind, len(talk.chat.messages))
        if self.would_be_behind(talk, behind):
            self.lost(talk)
            losses.stale_process(talk.chat, messages_behind=behind)

    def would_be_behind(self, talk: Talk, messages: int) -> bool:
        """Whether a server that is so many messages behind has lower token counters, as a real one has."""
        document = talk.chat.document
        known = document["input_tokens"], document["output_tokens"]
        older = tokens_of(talk.chat.messages[: len(talk.chat.messages) - messages])
        return bool(talk.cache) and older != known and all(map(operator.le, older, known))

    @rule(number=TALK)
    def late(self, number: int) -> None:
        talk = self.idle(number, "late worker")
        if not self.is_saved(talk):
            self.resolve()
        messages = talk.chat.messages
        if sum(message["role"] == "user" for message in messages) > 1:
            text = self.answer()
            answered = acts.last_prompt(messages[: acts.last_prompt(messages)]) + 1
            broken = messages[answered]
            takes_place = (
                benign.is_interruption_marker(Message(broken, ""))
                and broken in talk.chat.on_disk()["messages"]
            )
            place = len(held_in(messages[:answered])) if takes_place else len(talk.meant)
            with contextlib.suppress(ValueError):  # the context begins later than the last two turns
                losses.late_worker(talk.chat, text)
                talk.meant.insert(place, text)

    @rule(number=TALK, place=st.integers(0, 20))
    def message_lost(self, number: int, place: int) -> None:
        talk = self.fresh(number, f"message lost {place}")
        messages = talk.chat.messages
        places = [
            index
            for index, message in enumerate(messages[:-1])
            if held_in([message]) not in ([], [OFTEN]) and held_in(messages[index + 1 :])
        ]
        if places:
            self.lost(talk)
            losses.lose_message(talk.chat, places[place % len(places)])

    @rule(number=TALK)
    def collapsed(self, number: int) -> None:
        talk = self.fresh(number, "collapse to the tail")
        if held_in(talk.chat.messages[:-2]):
            self.lost(talk)
            losses.collapse_to_tail(talk.chat)

    @rule(number=TALK, keep=st.integers(1, 8))
    def truncated_by_window(self, number: int, keep: int) -> None:
        talk = self.idle(number, f"window {keep}")
        gone = [Message(message, "") for message in talk.chat.messages[keep:]]
        if talk.era.truncates_by_window and sum(map(benign.is_user_turn, gone)) > 1:
            losses.window_truncate(talk.chat, keep=keep)

    @rule(number=TALK, messages=st.integers(1, 8))
    def truncated_to_a_negative_count(self, number: int, messages: int) -> None:
        talk = self.idle(number, "#3487")
        gone = [Message(message, "") for message in talk.chat.messages[-messages:]]
        if (
            talk.era.accepts_negative_keep
            and sum(map(benign.is_user_turn, gone)) > 1
            and len(talk.chat.messages) > messages
        ):
            losses.negative_keep(talk.chat, messages)

    @rule(number=TALK, keep=st.integers(0, 8))
    def cut_shorter_than_marked(self, number: int, keep: int) -> None:
        talk = self.idle(number, "shorter than marked")
        messages = talk.chat.messages
        if not talk.era.marks_shrink or not self.can_shrink(talk):
            return
        cut = acts.last_prompt(messages)
        boundary = messages[cut - 1].get("timestamp") if cut else None
        # Where messages were said in the same instant, as tools do, it may have cut between them.
        is_legible = boundary and all(
            message.get("timestamp") != boundary
            for message in (*messages[cut:], *messages[max(keep - 1, 0) : keep])
        )
        if is_legible and held_in(messages[keep:cut]):
            talk.meant = held_in(messages[:cut])
            losses.unfinished_shrink(talk.chat, keep=keep)

    @rule(number=TALK)
    def a_rename_destroyed_the_only_copy(self, number: int) -> None:
        talk = self.idle(number, "#2223")
        self.resolve()
        chat = talk.chat
        if not talk.era.renames_on_rotation or len(self.talks) == MOST_TALKS or not self.can_shrink(talk):
            return
        if not held_in(chat.messages[: acts.last_prompt(chat.messages)]):
            return
        if not self.is_saved(talk):
            return  # what was kept uncertain may stand in the new file as a whole: then it was a rename
        # A guard that dies when it has seen the new file, and not yet missed the old one, takes that for a deletion.
        self.steps_to_crash = None
        old, before = chat.session_id, deepcopy(chat.document)
        losses.rename_destroys(chat)
        talk.chat = Chat(chat.app, before)
        self.talks.append(Talk(chat, held_in(chat.messages), story=["was made by #2223"]))
        self.look(old, chat.session_id)
        self.resolve()

    @rule(number=TALK)
    def only_the_backup_was_left(self, number: int) -> None:
        talk = self.pick(number, "#2035")
        self.resolve()
        if talk.era.keeps_backup and held_in(talk.chat.on_disk()["messages"]):
            talk.chat.app.write_index(talk.chat)
            self.lost(talk)
            losses.only_backup_left(talk.chat)
            self.look(talk.chat.session_id)
            self.resolve()

    @rule(number=TALK, place=st.integers(0, 20))
    def rewritten_in_place(self, number: int, place: int) -> None:
        """The maintenance script writes into the same inode, and loses a message, or none."""
        talk = self.fresh(number, "in place")
        self.resolve()
        messages = talk.chat.on_disk()["messages"]
        index = place % (len(messages) + 1)
        said = held_in(messages[index : index + 1])
        if index < len(messages) - 1 and said == []:
            return  # the server would still hold a message that nobody said, and put it into what an undo leaves
        if index < len(messages) - 1 and said != [OFTEN] and held_in(messages[index + 1 :]):
            self.lost(talk)
            messages = messages[:index] + messages[index + 1 :]
        losses.rewrite_in_place(talk.chat, messages)
        self.look(talk.chat.session_id)

    @rule()
    def all_vanished(self) -> None:
        """The directory is emptied: nothing is judged, nothing purged, and a user brings it all back."""
        self.resolve()
        self.happened["all vanished"] += 1
        for talk in self.talks:
            self.lost(talk)
        for path in self.world.sessions.iterdir():
            path.unlink()
        self.look(*(talk.chat.session_id for talk in self.talks))
        with self.guarding():
            self.world.pass_time(SETTLING_SECONDS)
        self.start()
        for talk in self.talks:
            assert not talk.chat.path.exists(), talk.story
            assert self.world.guard.copies.store.has_shadow(talk.chat.session_id), talk.story
        self.world.hands().restore_all_missing()
        self.resolve()

    @rule(number=TALK)
    def emptied_over_a_turn(self, number: int) -> None:
        talk = self.fresh(number, "#4205")
        if not talk.cache:
            return
        if not talk.prompt:
            self.send(talk, self.question())
        self.lost(talk)
        losses.empty_over_active_turn(talk.chat)

    @rule(number=TALK)
    def recovered_from_backup(self, number: int) -> None:
        talk = self.idle(number, "recovered from .bak")
        if not talk.era.keeps_backup or not talk.chat.backup_path.exists():
            return
        self.resolve()
        if not self.is_saved(talk):
            return
        self.injected = None  # a server that starts saves nothing from what it held before
        backup = held_in(json.loads(talk.chat.backup_path.read_text())["messages"])
        if {*backup} & {
            *held_in([message for message in talk.chat.messages if not message.get("timestamp")])
        }:
            return  # a message without a stamp, and others around it: it may come twice (guarantees, section 2)
        if losses.recover_from_backup(talk.chat):
            talk.extra.update({*backup} - {*talk.meant} | {*backup} & {OFTEN})
            self.look(talk.chat.session_id)
            self.resolve()
            self.restarts(talk)

    @rule(number=TALK, share=st.sampled_from([0, 0.3, 0.99]), by_rename=st.booleans())
    def torn(self, number: int, share: float, by_rename: bool) -> None:
        talk = self.pick(number, "torn")
        if not talk.chat.path.exists():
            return
        self.lost(talk)
        (losses.tear_by_rename if by_rename else losses.tear)(talk.chat, share=share)
        self.look(talk.chat.session_id)

    @rule(number=TALK)
    def missing_files(self, number: int) -> None:
        talk = self.pick(number, "vanished")
        self.resolve()
        talk.chat.app.write_index(talk.chat)
        self.lost(talk)
        losses.vanish(talk.chat)
        self.look(talk.chat.session_id)
        self.resolve()  # else the index of another server drops its message while the guard is dead, as a deletion does

    @rule(number=TALK)
    def second_server_says_something(self, number: int) -> None:
        """It read the file before the last turn, and now saves its own over it."""
        talk = self.idle(number, "second server")
        self.resolve()
        second = Server(
            self.world.sessions, talk.era, clock=self.ticks.__next__, seed=next(self.numbers), process_id=5000
        ).open(talk.chat.session_id)
        self.send(talk, self.question())
        self.finish(talk)
        asked, said = self.question(), self.answer()
        talk.meant += [asked, said]
        second.send(asked)
        second.finish(said)
        talk.sides += [talk.cache, held_in(second.messages)]
        second.pin()

    # ---- what happens: the guard

    @rule(seconds=st.sampled_from([0.5, 3.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        with self.guarding():
            self.world.pass_time(seconds)
        self.note_seen()

    @rule()
    def scanned(self) -> None:
        with self.guarding():
            self.world.scan()
        self.note_seen()

    @rule()
    def made_ready(self) -> None:
        """It has been quiet for a moment: what a wipe would need is prepared."""
        with self.guarding():
            self.world.pass_time(QUIET_SECONDS)
            for _ in self.talks:
                self.world.guard.get_ready()
        self.note_seen()

    @rule()
    def rest(self) -> None:
        self.resolve()

    @rule()
    def restarted(self) -> None:
        self.start()

    @rule(steps=st.integers(1, 40))
    def will_crash(self, steps: int) -> None:
        """At its so-many-th next step the guard dies, and is started again."""
        self.steps_to_crash = steps

    @rule(number=TALK, what=st.sampled_from(["pin", "turn", "finish"]))
    def will_be_saved_during_a_repair(self, number: int, what: str) -> None:
        talk = self.talks[number % len(self.talks)]

        def save() -> None:
            if talk not in self.talks:
                return
            is_behind = not talk.is_stale_writer and talk.cache != talk.meant
            if what == "pin" or is_behind:
                talk.story.append("(pinned during a repair)")
                talk.chat.pin()
            elif not talk.prompt:
                talk.story.append("(turn during a repair)")
                self.send(talk, self.question())
                self.finish(talk)
            elif what == "finish" and not talk.is_stale_writer:
                talk.story.append("(finished during a repair)")
                self.finish(talk)

        self.injected = save

    @rule(
        number=TALK,
        what=st.sampled_from(["turns", "undo", "clear", "wipe", "tear", "vanish", "stale", "retry"]),
    )
    def happens_while_the_guard_is_down(self, number: int, what: str) -> None:
        talk = self.idle(number, f"down: {what}")
        if what == "undo" and self.can_shrink(talk) and self.leaves_a_side(talk):
            self.emptying(talk)
        self.resolve()
        self.injected = None
        self.world.watching = False
        chat = talk.chat
        match what:
            case "turns":
                for _ in range(2):
                    self.send(talk, self.question())
                    self.finish(talk)
            case "undo" if self.can_shrink(talk):
                if acts.last_prompt(chat.messages) == 0 or not words_of(
                    [Message(message, "") for message in chat.messages]
                ):
                    pass
                else:
                    acts.undo(chat)
                    self.took(talk)
            case "retry" if self.can_shrink(talk) and talk.era.marks_watermark:
                if self.is_first_cut(talk):
                    acts.retry(chat, self.answer())
                    self.took(talk)
            case "clear" if chat.document["title"] not in NO_TITLE or talk.era.clears_all:
                acts.clear(chat)
                self.took(talk)
            case "wipe":
                self.world.watching = True
                self.send(talk, self.question())
                self.resolve()
                self.world.watching = False
                self.lost(talk)
                losses.wipe(chat)
                talk.prompt, talk.is_asked = "", False
            case "tear":
                losses.tear(chat)
            case "vanish":
                chat.app.write_index(chat)
                losses.vanish(chat)
            case "stale" if self.would_be_behind(talk, 1):
                losses.stale_process(chat, messages_behind=1)
        self.world.watching = True
        self.start()
        self.resolve()

    def is_first_cut(self, talk: Talk) -> bool:
        """Whether the marks of a retry that nobody saw can be told from those of an earlier one."""
        document = talk.chat.document
        cut = acts.last_prompt(talk.chat.messages)
        stamps = [message.get("timestamp") for message in talk.chat.messages]
        if not all(stamps) or cut == 0:
            return False
        return talk.era.marks_shrink or document["truncation_watermark"] is None


def umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


class KeepingMachine(Machine):
    """The same with `on_uncertain = "keep"`: what is uncertain may be gone from live, but from nowhere else."""

    on_uncertain = "keep"

    def check(self, talk: Talk) -> None:
        name = talk.chat.session_id
        path = self.world.sessions / f"{name}.json"
        live = session.parse(path.read_bytes())
        often = [words for words in words_of(live.messages) if words not in SAID_OFTEN]
        assert len(often) == len(set(often)), f"twice: {name} {talk.story}"
        assert self.world.guard.copies.store.read_shadow(name) == path.read_bytes()
        self.check_nothing_lost(talk)
        talk.meant = words_of(live.messages)
        talk.is_asked = talk.prompt in talk.meant


@pytest.fixture(autouse=True)
def patience() -> None:
    """What is asked to take long does not hang."""
    if EXAMPLES:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="module", autouse=True)
def tally(request: pytest.FixtureRequest) -> Iterator[None]:
    """A long run says at its end what it has tried."""
    began = time.monotonic()
    yield
    if EXAMPLES:
        terminal = request.config.pluginmanager.get_plugin("capturemanager")
        with terminal.global_and_fixture_disabled():
            print(
                f"\n{Machine.happened.pop('examples')} examples in {time.monotonic() - began:.0f} s:", end=" "
            )
            print(", ".join(f"{what} {count}" for what, count in sorted(Machine.happened.items())))


BUDGET = settings(
    deadline=None,
    max_examples=EXAMPLES or 12,
    stateful_step_count=30,
    derandomize=not EXAMPLES,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=bool(EXAMPLES),
)
TestMachine = Machine.TestCase
TestMachine.settings = BUDGET
TestKeepingMachine = KeepingMachine.TestCase
TestKeepingMachine.settings = settings(BUDGET, max_examples=EXAMPLES // 4 or 4)
