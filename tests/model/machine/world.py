"""The world of the machine: a directory, its servers, the guard beside them, and what stands between.

A save is visited at once. The guard can die at any of its system calls, and a server can save while a repair is exchanged.
"""

import contextlib
import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from hermesguard.demo import app as app_module
from hermesguard.demo import chat as chat_module
from hermesguard.demo.app import INDEX
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import replace_file
from hermesguard.repair import exchange as staging
from hermesguard.webui import session
from hermesguard.webui.session import Document, Unreadable
from tests.helpers.world import World
from tests.model.machine import invariants
from tests.model.machine.talks import OFTEN, Server, Talk, words_of

# Longer than the longest pause of a back-off, and than every question stays open.
REST_SECONDS = 130.0
MOST_TALKS = 4
TALK = st.integers(0, MOST_TALKS - 1)
GUARDED_CALLS = (
    *("rename", "link", "unlink", "fsync", "write", "pwrite", "pwritev", "mkdir", "ftruncate", "setxattr"),
    "utime",
)


class Crash(BaseException):
    """The guard's process ends here."""


class Stage(RuleBasedStateMachine):
    """The sessions, their servers and the guard; nothing happens to them by itself."""

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
        self.deaths = 0
        self.injected: Callable[[], None] | None = None
        self.later: list[str] = []
        self._patch()
        self.world = World(self.root, on_uncertain=self.on_uncertain)
        self.servers: dict[Era, Server] = {}

    def teardown(self) -> None:
        self.steps_to_crash = None
        try:
            self.come_to_rest()
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
            self.deaths += 1
            self.has_crashed = False
            self.steps_to_crash = None
            self.start()
            self.catch_up()

    def catch_up(self) -> None:
        """Servers behind their file read it again: a guard that died before it wrote a repair down does not know of it."""
        for talk in self.talks:
            live = self.good(talk.chat.session_id)
            if live and not talk.prompt and words_of(live.messages) != talk.cache:
                talk.chat.reload()
                talk.is_stale_writer = False

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

    def come_to_rest(self) -> None:
        """Let everything come to rest, and compare."""
        with self.guarding():
            self.world.pass_time(REST_SECONDS)
        for _ in range(2):
            with self.guarding():
                self.world.scan()
            with self.guarding():
                self.world.pass_time(5)
        self.note_seen()
        for talk in self.talks:
            self.check(talk)
        for talk in self.gone:
            invariants.check_gone(self.world, talk)

    def check(self, talk: Talk) -> None:
        """Compare a session with what must be there."""
        invariants.check_as_meant(self.world, talk)

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
            self.come_to_rest()
            talk.story.append("(restarted)")
            self.restarts(talk)
        if talk.prompt and not talk.chat.document["pending_user_message"]:
            # The server has read the file again, in which the guard had made a message of it.
            talk.answered()
        return talk

    def restarts(self, talk: Talk) -> None:
        """The server of a session is started again, and reads the file."""
        talk.chat.reload()
        talk.is_stale_writer = False
        talk.extra.clear()
        talk.reloaded()
        if not talk.era.marks_watermark:
            # By its shape alone an undo can only be told from a server that goes on from an old memory when the
            # application has saved what was repaired.
            talk.chat.pin()

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

    def finish(self, talk: Talk) -> None:
        text = self.answer()
        talk.answered(text)
        talk.chat.finish(text)

    def send(self, talk: Talk, text: str) -> None:
        talk.prompt, talk.is_asked = text, False
        if talk.chat.app.eager:
            talk.ask()
        talk.chat.send(text)
