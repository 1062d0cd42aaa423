"""The session file that a salvaged conversation makes, in the form that its release of hermes-webui writes. Pure."""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hermesguard.salvage.align import Pair, pairs
from hermesguard.salvage.merge import Entry
from hermesguard.salvage.trace import (
    BEST_FIRST,
    Kind,
    Trace,
    dumped,
    masks,
    message_of,
)
from hermesguard.webui import benign, session
from hermesguard.webui.session import Document, Identity, Message

# What every release of hermes-webui since v0.50 reads; used where no other session shows what the release in use writes.
_MEMBERS: Final[Mapping[str, Any]] = {
    "session_id": "",
    "title": "Untitled",
    "workspace": "",
    "model": "",
    "created_at": 0.0,
    "updated_at": 0.0,
    "pinned": False,
    "archived": False,
    "project_id": None,
    "profile": None,
    "input_tokens": 0,
    "output_tokens": 0,
    "estimated_cost": None,
    "personality": None,
    "active_stream_id": None,
    "pending_user_message": None,
    "pending_attachments": [],
    "pending_started_at": None,
    "messages": [],
    "tool_calls": [],
    "context_messages": [],
}
# What a new conversation takes over from the one beside it.
_SHARED: Final = frozenset({"workspace", "model", "model_provider", "profile", "created_workspace"})
_SNIPPET_CHARACTERS: Final = 200
_ARGUMENT_CHARACTERS: Final = 120
_MOST_ARGUMENTS: Final = 6
_TITLE_CHARACTERS: Final = 64
_FROM_OTHERS: Final = (
    "timestamp",
    "tool_calls",
    "tool_call_id",
    "name",
    "tool_name",
    "attachments",
    "reasoning",
    "finish_reason",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A conversation to be written: its messages in order, and what is known beside them."""

    session: str
    entries: Sequence[Entry]
    traces: Sequence[Trace]
    wanted: Collection[int]
    """The entries that the file is to have, by index."""
    file: Document | None
    """The file as it is now; None when it is missing or cannot be read."""
    metadata: Mapping[str, Any]
    """What the traces say beside the messages."""
    template: Document | None
    """Another session's file, of the release in use, for a conversation whose own is gone."""


def rebuilt(plan: Plan) -> Document:
    """Return the session file with the wanted messages."""
    return session.parse(_Builder(plan).text().encode("utf-8"))


class _Builder:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.order = [index for index in range(len(plan.entries)) if index in plan.wanted]
        self.messages = [best_form(plan.entries[index], plan.traces) for index in self.order]
        self.base = plan.file or next(
            (trace.document for trace in plan.traces if trace.kind is Kind.COPY and trace.document), None
        )

    def text(self) -> str:
        lists = {
            session.MESSAGES: _list_text([message.text for message in self.messages]),
            session.TOOL_CALLS: _list_text([dumped(call, level=2) for call in self._tool_calls()]),
            session.CONTEXT: _list_text([message.text for message in self._context()]),
        }
        members = dict(self._members())
        for key in (session.MESSAGES, session.TOOL_CALLS):
            members.setdefault(key, "")
        if self._context():
            members.setdefault(session.CONTEXT, "")
        lines = (
            f"  {json.dumps(key, ensure_ascii=False)}: {lists.get(key, text)}"
            for key, text in members.items()
        )
        return "{\n" + ",\n".join(lines) + "\n}"

    # -- members

    def _members(self) -> Iterator[tuple[str, str]]:
        if self.base:
            for key in self.base.keys:
                yield key, self._count_text(key) or self._better_title(key) or self.base.raw(key)
            return
        template = self.plan.template
        for key in template.keys if template else _MEMBERS:
            value = _neutral(key, template.get(key) if template else _MEMBERS[key])
            known = self._known(key)
            yield key, self._count_text(key) or dumped(value if known is None else known, level=1)

    def _count_text(self, key: str) -> str:
        return str(len(self.messages)) if key == session.MESSAGE_COUNT else ""

    def _better_title(self, key: str) -> str:
        """Return the title that the traces know, where the file has lost its own."""
        if key != session.TITLE or not self.base or self.base.title not in session.UNTITLED:
            return ""
        known = self.plan.metadata.get(session.TITLE)
        return json.dumps(known, ensure_ascii=False) if isinstance(known, str) and known.strip() else ""

    def _known(self, key: str) -> Any:
        stamps = [message.timestamp for message in self.messages if message.timestamp is not None]
        if key == "session_id":
            return self.plan.session
        if key == "title":
            return self.plan.metadata.get("title") or self._title()
        if key == session.CREATED:
            return self.plan.metadata.get(key) or min(stamps, default=0.0)
        if key == "updated_at":
            return self.plan.metadata.get(key) or max(stamps, default=0.0)
        if key == session.STREAM or key.startswith(session.PENDING_PREFIX) or key in session.LISTS:
            return None
        return self.plan.metadata.get(key)

    def _title(self) -> str:
        said = next((message.words for message in self.messages if benign.is_user_turn(message)), "")
        return " ".join(said.split())[:_TITLE_CHARACTERS] or "Untitled"

    # -- tool calls

    def _tool_calls(self) -> list[Mapping[str, Any]]:
        """Return the entries of `tool_calls`, in the order of the conversation, each pointing at its message."""
        place = {index: position for position, index in enumerate(self.order)}
        known: dict[str, tuple[int, Mapping[str, Any]]] = {}
        for number, trace in enumerate(self.plan.traces):
            where = {
                id(entry.forms[number]): place[index]
                for index, entry in enumerate(self.plan.entries)
                if number in entry.forms and index in place
            }
            for call in trace.tool_calls:
                at = call.get("assistant_msg_idx")
                if isinstance(at, int) and 0 <= at < len(trace.messages):
                    position = where.get(id(trace.messages[at]))
                    if position is not None:
                        key = str(call.get("tid") or dumped(call, 0))
                        known.setdefault(key, (position, {**call, "assistant_msg_idx": position}))
        for position, call in self._made_calls():
            known.setdefault(str(call["tid"]), (position, call))
        return [call for _, call in sorted(known.values(), key=lambda one: one[0])]

    def _made_calls(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield the entries that hermes-webui would make of the messages themselves."""
        asked: dict[str, tuple[int, str, Any]] = {}
        for position, message in enumerate(self.messages):
            for call in message.get("tool_calls") or () if message.role == "assistant" else ():
                function = call.get("function") if isinstance(call, dict) else None
                if isinstance(function, dict) and function.get("name"):
                    identity = str(call.get("id") or call.get("call_id") or "")
                    asked[identity] = position, str(function["name"]), function.get("arguments")
            identity = str(message.get("tool_call_id") or "")
            if message.role == "tool" and identity in asked:
                at, name, arguments = asked[identity]
                snippet = _snippet(message.words)
                made = {"name": name, "snippet": snippet, "tid": identity, "assistant_msg_idx": at}
                yield at, {**made, "args": _arguments(arguments)}

    # -- the model's context

    def _context(self) -> list[Message]:
        """Return what the model is to see: the context that is left, with what came back behind its beginning."""
        known = self._known_context()
        if not known:
            return [_for_model(message) for message in self.messages]
        found = pairs(known, self.messages)
        paired = {new: old for old, new in found}
        if not found:
            return [*known]
        begin = self._begin(known, found)
        result: list[Message] = []
        at = 0
        for position, message in enumerate(self.messages):
            if position in paired:
                result += known[at : paired[position] + 1]
                at = paired[position] + 1
            elif position >= begin and self._came_back(position):
                result.append(_for_model(message))
        return result + list(known[at:])

    def _begin(self, known: Sequence[Message], found: Sequence[Pair]) -> int:
        """Return from which message on the context is to have all: what lies before was compressed away."""
        summary = max((at for at, one in enumerate(known) if benign.is_compaction_marker(one)), default=None)
        if summary is not None:
            # A compression keeps copies of the first messages before its summary, and of the last behind it.
            return next((new for old, new in found if old > summary), len(self.messages))
        return found[0][1] if self._is_compacted() else 0

    def _known_context(self) -> Sequence[Message]:
        if self.plan.file and self.plan.file.context:
            return self.plan.file.context
        having = [trace for trace in self.plan.traces if trace.context]
        if not having:
            return ()
        gone = self._gone()
        newest = max(having, key=lambda trace: trace.taken_at or 0.0)
        return [_for_model(message) for message in newest.context if message.identity not in gone]

    def _gone(self) -> set[Identity]:
        """Return the messages that do not come back."""
        kept = {form.identity for index in self.order for form in self.plan.entries[index].forms.values()}
        left = (entry for index, entry in enumerate(self.plan.entries) if index not in self.plan.wanted)
        return {form.identity for entry in left for form in entry.forms.values()} - kept

    def _is_compacted(self) -> bool:
        """Return whether the context begins behind a compression that has left no summary in it."""
        anchors = self.base and any(
            self.base.get(key) for key in self.base.keys if key.startswith("compression_anchor")
        )
        return bool(anchors) or any(trace.compacted for trace in self.plan.traces)

    def _came_back(self, position: int) -> bool:
        entry = self.plan.entries[self.order[position]]
        if any(
            number < len(self.plan.traces) and form in _compacted(self.plan.traces[number])
            for number, form in entry.forms.items()
        ):
            return False
        return not self.plan.file or self.plan.traces[0].kind is not Kind.FILE or 0 not in entry.forms


def _compacted(trace: Trace) -> list[Message]:
    return [trace.messages[index] for index in trace.compacted]


def best_form(entry: Entry, traces: Sequence[Trace]) -> Message:
    """Return the message as the best trace has it, with what only others know of it. The file's own form stays as it is."""
    forms = sorted(entry.forms.items(), key=lambda form: BEST_FIRST.index(traces[form[0]].kind))
    best = forms[0][1]
    if traces[forms[0][0]].kind is Kind.FILE or not isinstance(best.value, dict):
        return best
    value = dict(best.value)
    hidden = masks(best)
    for _, form in forms[1:]:
        if hidden and masks(form) < hidden:
            value["content"], hidden = form.get("content"), masks(form)
        for key in _FROM_OTHERS:
            if value.get(key) in (None, "", []) and form.get(key) not in (None, "", []):
                value[key] = form.get(key)
    return best if value == best.value else message_of(value)


def _for_model(message: Message) -> Message:
    """Return the message without what the page alone needs."""
    if not isinstance(message.value, dict):
        return message
    kept = {
        key: value for key, value in message.value.items() if not key.startswith("_") and key != "attachments"
    }
    return message if len(kept) == len(message.value) else message_of(kept)


def _neutral(key: str, value: Any) -> Any:
    """Return what a member has in a conversation of which nothing is known."""
    if key in _SHARED:
        return value
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return 0
    if isinstance(value, float):
        return 0.0 if math.isfinite(value) and key.endswith("_at") else None
    if isinstance(value, list):
        return []
    return {} if isinstance(value, dict) else None


def _snippet(said: str) -> str:
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        said = str(value.get("output") or value.get("result") or value.get("error") or said)
    return said[:_SNIPPET_CHARACTERS]


def _arguments(text: Any) -> dict[str, str]:
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {
        str(key): str(one)[:_ARGUMENT_CHARACTERS] + ("..." if len(str(one)) > _ARGUMENT_CHARACTERS else "")
        for key, one in list(value.items())[:_MOST_ARGUMENTS]
    }


def _list_text(texts: Sequence[str]) -> str:
    return "[\n    " + ",\n    ".join(texts) + "\n  ]" if texts else "[]"
