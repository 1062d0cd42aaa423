"""Make a good session file out of a shadow and a live file: the messages of both, in order, nothing twice. Pure.

Values are never written anew where they can be spliced: every message and every member keeps the text that it has in the file it
comes from, so numbers beyond 64 bits, NaN and lone surrogates come out as they went in. Why so: docs/hermes-webui.md,
sections 1 (order of keys) and 6 (what the application makes of a repaired file).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hermesguard.pieces import Content, Piece, pieces_of
from hermesguard.repair.calls import merged_calls
from hermesguard.repair.splice import dump, file_of, list_parts, object_parts, text
from hermesguard.webui import session
from hermesguard.webui.compare.diff import Comparison, compare
from hermesguard.webui.compare.parts import is_compressed_since, says
from hermesguard.webui.session import Document, Message
from hermesguard.webui.text import list_text

_TRUNCATION = (session.WATERMARK, session.BOUNDARY)
# The title, and what says whose it is.
_TITLE = (session.TITLE, "llm_title_generated", "manual_title")
_SET = ("project_id", "pinned", "archived")
# A marker that live does not carry must not come back: its presence shows which release wrote the file.
_MARKERS = frozenset({session.GENERATION, session.CLEAR_GENERATION, *_TRUNCATION, session.MESSAGE_COUNT})


def merge_documents(
    shadow: Document,
    live: Document | None = None,
    keep_messages: int | None = None,
    *,
    is_newer: bool = False,
    titles: Sequence[str] = (),
) -> bytes:
    """Return the file that has every message of `shadow` and every new message of `live`, ready to take live's place.

    `live` is None when it could not be read. Of the shadow only the first `keep_messages` messages count, if that is given.
    The stream is null (a stale `active_stream_id` arms bug #1558 again) unless live has one of its own; a prompt that was
    sent and stands in no message becomes a message; `message_count` is true; `context_messages` and `tool_calls` follow.
    `is_newer`: live was written later, whatever its times say. `titles`: those that the session had before the shadow's.
    """
    return b"".join(pieces_of(merged_file(shadow, live, keep_messages, is_newer=is_newer, titles=titles)))


def merged_text(shadow: Document, live: Document | None = None, keep_messages: int | None = None) -> str:
    """As `merge_documents`, before it is encoded; an abridged shadow gives an abridged text (module abridge)."""
    return "".join(map(text, _Merger(shadow, live, keep_messages).file()))


def merged_file(
    shadow: Document,
    live: Document | None = None,
    keep_messages: int | None = None,
    *,
    is_newer: bool = False,
    titles: Sequence[str] = (),
) -> Content:
    """As `merge_documents`; a long file in pieces (`splice.file_of`)."""
    return file_of(_Merger(shadow, live, keep_messages, is_newer, titles).file())


class _Merger:
    def __init__(
        self,
        shadow: Document,
        live: Document | None,
        keep_messages: int | None,
        is_newer: bool = False,
        titles: Sequence[str] = (),
    ) -> None:
        self.shadow = shadow
        self.live = live
        self.titles = titles
        self.cut = keep_messages is not None and keep_messages < len(shadow.messages)
        old = shadow.messages[:keep_messages]
        self.runs_on = (
            live is not None
            and bool(live.stream)
            and live.stream != shadow.stream
            and not _was_answered(live, old)
        )
        new = live.messages if live else []
        self.sent: dict[int, float | None] = {}
        self.sent_before: set[int] = set()
        self.prompts = self._unsaid_prompts(old, new)
        self.is_newer_last = is_newer or (live is not None and _is_later(live, shadow))
        self.comparison: Comparison = compare(old, new)
        # An older state that adds nothing knows nothing better.
        adds = bool(self.comparison.added) or self.cut or self.runs_on
        is_older = live is not None and _is_later(shadow, live) and not adds
        self.base = live if live is not None and not is_older else shadow
        self.messages = self._with_prompts(self.comparison, self.comparison.merged(self.is_newer_last))

    # -- messages

    def _unsaid_prompts(self, old: Sequence[Message], new: Sequence[Message]) -> list[Message]:
        """Return the prompts of either side that were sent but stand in no message, as messages.

        Who sends again what stands unanswered at the end of the conversation says nothing new.
        """
        found: list[Message] = []
        for side in (None if self.cut else self.shadow, self.live):
            if side is None or not side.prompt.strip() or (side is self.live and self.runs_on):
                continue
            if self.live is not None and self.runs_on and side.prompt == self.live.prompt:
                continue
            message = _prompt_message(side)
            asked_last = any(
                messages and messages[-1].identity == message.identity for messages in (old, new)
            )
            if not asked_last and not any(_says(other, message) for other in (*old, *new, *found)):
                found.append(message)
                self.sent[id(message)] = started_seconds(side)
                if side is self.shadow:
                    self.sent_before.add(id(message))
        return found

    def _with_prompts(self, comparison: Comparison, merged: Iterable[Message]) -> list[Message]:
        messages = list(merged)
        added = {comparison.new[index].mark for index in comparison.added}
        for prompt in self.prompts:
            place = len(messages)
            while place > 0 and self._follows(messages[place - 1], prompt, messages[place - 1].mark in added):
                place -= 1
            messages.insert(place, prompt)
        return messages

    def _follows(self, message: Message, prompt: Message, is_added: bool) -> bool:
        """Return whether `message` was surely said later than `prompt` was sent.

        The moment of sending may be noted in whole seconds: of what was there with the prompt, only a message of a later
        second is later. What live adds was written after the shadow's prompt was sent, so that the same second is enough.
        """
        sent = self.sent[id(prompt)]
        if is_added and id(prompt) in self.sent_before:
            return sent is None or message.timestamp is None or message.timestamp >= int(sent)
        return sent is not None and (message.timestamp or 0) >= int(sent) + 1

    def _context(self) -> list[Message]:
        """Return what the model sees: the context of the side that knows better, and what belongs to messages that are added.

        It is no transcript: after a compression it is much shorter than the messages, and must stay so. A tool id that it
        holds already does not come again, unless the provider gives each turn the same ones.
        """
        if not self.shadow.context:
            return []
        new = self.live.context if self.live else []
        if self.live and knows_context_better(self.live, self.shadow):
            return list(new)
        comparison = compare(self._kept_context(), new)
        said = {self.comparison.new[index].said for index in self.comparison.added}
        calls = Counter(tool for m in comparison.old if m.role != "tool" for tool in m.identity[2])
        held = {tool for tool, often in calls.items() if often == 1}
        added = [new[index] for index in comparison.added]
        strangers = {m.mark for m in added if m.said not in said or not held.isdisjoint(m.identity[2])}
        merged = comparison.merged(self.is_newer_last)
        return self._with_prompts(comparison, (m for m in merged if m.mark not in strangers))

    def _kept_context(self) -> Sequence[Message]:
        """Return the shadow's context as far as it belongs to the messages that are to come back."""
        context = self.shadow.context
        if not self.cut:
            return context
        kept = {(message.said, message.timestamp) for message in self.comparison.old}
        ends = (
            index for index, message in enumerate(context, 1) if (message.said, message.timestamp) in kept
        )
        return context[: max(ends, default=0)]

    def _calls_text(self) -> Iterator[str | Piece]:
        """Return the tool calls; the shadow's own text where no message of its has another place now."""
        alone = session.TOOL_CALLS in self.shadow and not (self.live and self.live.tool_calls)
        old = self.comparison.old
        if (
            alone
            and len(self.messages) >= len(old)
            and all(a.mark == b.mark for a, b in zip(old, self.messages, strict=False))
        ):
            yield from self.shadow.raw_parts(session.TOOL_CALLS)
        else:
            yield list_text(merged_calls(self.shadow, self.live, self.comparison, self.messages))

    # -- members

    def file(self) -> Iterator[str | Piece]:
        """Yield the file in parts."""
        yield from object_parts((key, self._member(key)) for key in self._keys())

    def _keys(self) -> Iterator[str]:
        """Yield the base's keys in their order, and each key that only the shadow has behind the one it followed there."""
        order = self.base.keys
        present = set(order)
        place = -1
        for key in self.shadow.keys if self.base is not self.shadow else ():
            if key in present:
                place = order.index(key)
            elif key not in _MARKERS:
                place += 1
                order.insert(place, key)
        yield from order

    def _member(self, key: str) -> Iterator[str | Piece]:
        if key == session.MESSAGES:
            yield from self._messages_text(key, self.messages)
        elif key == session.CONTEXT:
            yield from self._messages_text(key, self._context())
        elif key == session.TOOL_CALLS and not self.cut:
            yield from self._calls_text()
        elif (text := self._made(key)) is not None:
            yield text
        else:
            yield from self._source_of(key).raw_parts(key)

    def _made(self, key: str) -> str | None:
        """Return what a member says that is neither side's; None when one side's counts."""
        if key == session.MESSAGE_COUNT:
            return str(sum(message.count for message in self.messages))
        if key == session.STREAM or key.startswith(session.PENDING_PREFIX):
            if self.runs_on and key in self.base:
                return None
            return "[]" if key == session.PENDING_ATTACHMENTS else "null"
        if key == session.WATERMARK and self.prompts and self._truncation_source(key).get(key):
            return dump(float(self.prompts[-1].timestamp or 0), level=1)
        return None

    def _source_of(self, key: str) -> Document:
        """Return the side whose member counts."""
        if key == session.TOOL_CALLS or key == session.STREAM or key.startswith(session.PENDING_PREFIX):
            return self.base
        if key in session.TOKEN_COUNTERS and key in self.base:
            return self._greater(key)
        if key in _TRUNCATION:
            return self._truncation_source(key)
        return self._source(key)

    def _messages_text(self, key: str, messages: Sequence[Message]) -> Iterator[str | Piece]:
        """Return a message list; where it is one side's own list, that side's text as it stands."""
        for side in (self.shadow, self.live):
            own = (side.messages if key == session.MESSAGES else side.context) if side else []
            if (
                side
                and key in side
                and len(own) == len(messages)
                and all(a.mark == b.mark for a, b in zip(own, messages, strict=True))
            ):
                yield from side.raw_parts(key)
                return
        yield from list_parts(messages)

    def _source(self, key: str) -> Document:
        """Return the side whose value counts: live's, unless the writer emptied what the shadow had, or never knew it."""
        if key not in self.base or (key in self.shadow and (self._emptied(key) or self._is_unknown(key))):
            return self.shadow
        return self.base

    def _greater(self, key: str) -> Document:
        """Return the side whose counter is the greater: the messages of both were paid for."""
        before, after = self.shadow.get(key), self.base.get(key)
        is_less = session.number(before) is not None and session.number(after) is not None and before > after
        return self.shadow if is_less else self.base

    def _emptied(self, key: str) -> bool:
        before, after = self.shadow.get(key), self.base.get(key)
        return isinstance(before, list | dict) and bool(before) and after in ([], {}, None)

    def _is_unknown(self, key: str) -> bool:
        """Return whether live says nothing where the shadow does, because its writer lacks messages of the shadow.

        A conversation that comes back has its title again. What a user sets may have been taken back by the same save: the
        shadow's counts only where counters or time of live show that its writer never knew it.
        """
        if self.live is None or self.cut or self.comparison.whole:
            return False
        if key in _TITLE:
            is_untitled = not says(self.live, session.TITLE) or self.live.title in self.titles
            return says(self.shadow, session.TITLE) and is_untitled
        if key.startswith(session.ANCHOR_PREFIX):
            # They belong to the context, which is the shadow's where only the shadow knows of the compression.
            return _is_compressed(self.shadow, self.live)
        unset = key in _SET and says(self.shadow, key) and not says(self.live, key)
        return unset and _is_behind(self.live, self.shadow)

    def _truncation_source(self, key: str) -> Document:
        """Return the side whose boundary counts: not live's when messages came back from behind it."""
        value = self.base.get(key)
        back = (
            key in self.shadow
            and not self.cut
            and value != self.shadow.get(key)
            and bool(self.comparison.missing)
        )
        return self.shadow if back else self.base


def _prompt_message(side: Document) -> Message:
    """Return the pending prompt as the message that the application makes of it at its own recovery."""
    value: dict[str, Any] = {"role": "user", "content": side.prompt}
    if (started := started_seconds(side)) is not None:
        value["timestamp"] = int(started)
    value["_recovered"] = True
    if attachments := side.get(session.PENDING_ATTACHMENTS):
        value["attachments"] = attachments
    return Message(value, dump(value, level=2))


def started_seconds(side: Document) -> float | None:
    """Return when the pending prompt was sent, None when that is not known."""
    return session.number(side.get(session.PENDING_STARTED))


def _says(message: Message, prompt: Message) -> bool:
    """Return whether `message` is the prompt, already said: the same words, not from before it was sent."""
    if message.identity != prompt.identity:
        return False
    return message.timestamp is None or prompt.timestamp is None or message.timestamp >= prompt.timestamp - 1


def knows_context_better(live: Document, shadow: Document) -> bool:
    """Return whether live's context is the newer one: compressed since, and not by a writer that forgot an earlier time."""
    return is_compressed_since(shadow, live) and not _is_compressed(shadow, live)


def _is_compressed(document: Document, other: Document) -> bool:
    """Return whether `document` shows a compression in its anchors that the `other` does not know."""
    anchors = [key for key in document.keys if key.startswith(session.ANCHOR_PREFIX)]
    return any(document.get(key) and not other.get(key) for key in anchors)


def _is_later(live: Document, shadow: Document) -> bool:
    """Return whether live was surely saved later than the shadow."""
    before, after = shadow.get(session.UPDATED), live.get(session.UPDATED)
    return isinstance(before, int | float) and isinstance(after, int | float) and after > before


def _is_behind(live: Document, shadow: Document) -> bool:
    """Return whether live is an older state than the shadow, as its token counters or its time show."""
    pairs = (
        (session.number(shadow.get(key)), session.number(live.get(key)))
        for key in (*session.TOKEN_COUNTERS, session.UPDATED)
    )
    return any(before is not None and after is not None and before > after for before, after in pairs)


def _was_answered(side: Document, messages: Sequence[Message]) -> bool:
    """Return whether `messages` hold the prompt that is pending in `side`, with an answer to it.

    An application that read an older file holds such a prompt, and would say it once more.
    """
    sent = started_seconds(side)
    if sent is None or not side.prompt.strip():
        return False
    prompt = _prompt_message(side)
    answered = False
    for message in reversed(messages):
        if (
            message.timestamp is not None
            and abs(message.timestamp - sent) < 1
            and message.identity == prompt.identity
        ):
            return answered
        answered |= message.get("role") == "assistant" and not message.get("_partial")
    return False
