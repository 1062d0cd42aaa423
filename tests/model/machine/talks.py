"""One session of a model: what its user means to be in it, and what its server holds."""

import contextlib
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from hermesguard.demo import acts, quirks
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import tokens_of
from hermesguard.webui import benign
from hermesguard.webui.session import Message

PICTURE = [{"type": "text", "text": "Here it is"}, quirks.SCREENSHOT]
# Who says this says it often; it is never the only thing that tells two messages apart.
OFTEN = "yes"
SAID_OFTEN = {OFTEN, PICTURE[0]["text"]}


def words_of(messages: Sequence[Message]) -> list[str]:
    """What was said, without the messages that nobody said."""
    return [message.words for message in messages if not is_furniture(message)]


def is_furniture(message: Message) -> bool:
    """Whether the application put the message there, and nobody said it."""
    return bool(
        message.get("_partial")
        or benign.is_compaction_marker(message)
        or benign.is_control_message(message)
        or benign.is_interruption_marker(message)
        or not message.words.strip()
    )


def held_in(messages: list[dict[str, Any]]) -> list[str]:
    """What was said, in messages as they are in the file."""
    return words_of([Message(message, "") for message in messages])


class Server(App):
    """A server that leaves the index alone while it cannot build one, because a file is torn."""

    def write_index(self, chat: Chat | None = None, *, message_count: int | None = None) -> None:
        with contextlib.suppress(ValueError):
            super().write_index(chat, message_count=message_count)


Said = TypeVar("Said")


@dataclass(eq=False)
class Meant(Generic[Said]):
    """What every model of a session knows: what the user means to be in it, and what happened to it."""

    chat: Chat
    meant: list[Said] = field(default_factory=list)
    prompt: str = ""
    """Sent and not answered."""
    is_stale_writer: bool = False
    seen: set[str] = field(default_factory=set)
    """Whatever the guard saw in a good file."""
    ids: list[str] = field(default_factory=list)
    """The names that the session had before."""
    story: list[str] = field(default_factory=list)

    @property
    def era(self) -> Era:
        return self.chat.app.era


@dataclass(eq=False)
class Talk(Meant[str]):
    """A session of the machine: said is what can be told apart by its words alone."""

    is_asked: bool = False
    """The prompt stands among the messages (`intended` too)."""
    extra: set[str] = field(default_factory=set)
    """Taken back once, and brought back by the application itself."""
    sides: list[list[str]] = field(default_factory=list)
    """What two servers had before the guard merged it."""

    @property
    def cache(self) -> list[str]:
        return held_in(self.chat.messages)

    def ask(self) -> None:
        """The prompt is among the messages from here on."""
        if self.prompt and not self.is_asked:
            self.meant.append(self.prompt)
            self.is_asked = True

    def answered(self, *words: str) -> None:
        """The turn is over, and this was said in it."""
        self.ask()
        self.meant += words
        self.prompt, self.is_asked = "", False

    def reloaded(self) -> None:
        """The server has read the file again: what it holds is what the user sees."""
        self.meant = self.cache
        self.prompt = self.chat.document["pending_user_message"] or ""
        self.is_asked = self.prompt in self.meant

    def took(self) -> None:
        """A user took something away, and sees what is left."""
        self.meant = self.cache

    def save_again(self) -> None:
        """What empties a session is legible only when the server has saved all of it since the last repair."""
        self.chat.pin()

    def can_shrink(self) -> bool:
        """Whether the last prompt is one that a user can take back."""
        asked = [message for message in self.chat.messages if message.get("role") == "user"]
        return bool(asked) and benign.is_user_turn(Message(asked[-1], ""))  # nobody takes a compaction back

    def leaves_a_side(self) -> bool:
        """Whether an undo leaves just what one of two servers had before the guard merged it (guarantees, section 3)."""
        return held_in(self.chat.messages[: acts.last_prompt(self.chat.messages)]) in self.sides

    def would_be_behind(self, messages: int) -> bool:
        """Whether a server that is so many messages behind has lower token counters, as a real one has."""
        document = self.chat.document
        known = document["input_tokens"], document["output_tokens"]
        older = tokens_of(self.chat.messages[: len(self.chat.messages) - messages])
        return bool(self.cache) and older != known and all(map(operator.le, older, known))

    def is_first_cut(self) -> bool:
        """Whether the marks of a retry that nobody saw can be told from those of an earlier one."""
        document = self.chat.document
        cut = acts.last_prompt(self.chat.messages)
        stamps = [message.get("timestamp") for message in self.chat.messages]
        if not all(stamps) or cut == 0:
            return False
        return self.era.marks_shrink or document["truncation_watermark"] is None
