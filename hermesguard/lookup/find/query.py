"""What is looked for, and where in a conversation it stands: what was said and the title, never the keys of the file."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from hermesguard.webui.session import Document

PHRASE: Final = 0
WORDS: Final = 1
_SPACE: Final = rb"(?:\\[nrt]|\s)+"
_EXCERPT_CHARACTERS: Final = 60
_NO_TEXT: Final = frozenset({"role", "type"})
# What no one has said: keys, and values that only name a kind. Within a text, a backslash stands before the second quote.
_STRUCTURE: Final = re.compile(rb'"(?:role|type)"\s*:\s*"\w*"|"\w+"\s*:')
# The keys of every session file. Of a word that stands in another one, the reading of the file tells that nobody said it.
_KEYS: Final = (
    "session_id title workspace created_workspace model model_provider model_explicit_pick_signature created_at updated_at "
    "pinned archived project_id profile input_tokens output_tokens estimated_cost cache_read_tokens cache_write_tokens "
    "personality active_stream_id pending_user_message pending_attachments pending_started_at pending_user_source "
    "compression_anchor_visible_idx compression_anchor_message_key compression_anchor_summary pre_compression_snapshot "
    "context_engine_state context_length threshold_tokens last_prompt_tokens post_compression_context_tokens_estimate "
    "compression_recovery recommended_recovery_action truncation_watermark truncation_boundary clear_generation "
    "intentional_shrink_generation gateway_routing_history llm_title_generated manual_title parent_session_id "
    "is_cli_session raw_source source_tag source_label read_only enabled_toolsets composer_draft message_count messages "
    "tool_calls tool_call_id context_messages role assistant user system type content text name function arguments "
    "timestamp reasoning attachments"
)


class Passage(NamedTuple):
    """Where the words stand: the number of the message, 0 for the title or what is no message; who; a piece of the text."""

    number: int
    role: str
    text: str


class Query:
    """What is looked for: words, in one run if possible, whatever their case and the white space between them."""

    def __init__(self, text: str) -> None:
        self.words = text.casefold().split()
        self._is_ascii = text.isascii()
        self._needles = [_needles(word) for word in self.words]
        self._may_be_keys = any(word in _KEYS for word in self.words)
        self._phrase = re.compile(
            _SPACE.join(b"(?:" + b"|".join(map(re.escape, it)) + b")" for it in self._needles)
        )

    def rank(self, data: bytes) -> int | None:
        """Return how well the bytes of a session file fit; None when a word is missing."""
        if self._is_ascii:
            folded = data.lower()
        else:
            folded = data.decode("utf-8", "replace").casefold().encode("utf-8", "replace")
        if not self._has_words(folded):
            return None
        if len(self.words) > 1 and self._phrase.search(folded):
            return PHRASE  # no key has several words
        if self._may_be_keys:
            folded = _STRUCTURE.sub(b'""', folded)
            if not self._has_words(folded):
                return None
        return PHRASE if len(self.words) == 1 else WORDS

    def _has_words(self, folded: bytes) -> bool:
        for needles in self._needles:
            if needles[0] not in folded and not (len(needles) > 1 and needles[1] in folded):
                return False
        return True

    def passage(self, document: Document, rank: int) -> Passage | None:
        """Return where the words stand in a session; None when they stand in nothing that people read."""
        if self._fits(document.title, rank):
            return Passage(0, "", "")
        for fits in (self._fits, self._fits_any):
            for number, message in enumerate(document.messages, 1):
                if fits(message.words, rank):
                    return Passage(number, message.role, self._excerpt(message.words))
        for number, message in enumerate(document.messages, 1):
            if self._fits(text := " ".join(_texts(message.value)), WORDS):
                return Passage(number, message.role, self._excerpt(text))
        if self._fits(document.prompt, rank):
            return Passage(0, "unsent", self._excerpt(document.prompt))
        return None

    def passage_of_torn(self, title: str, data: bytes) -> Passage | None:
        """As `passage`, of a file that breaks off: what stands before its messages is not looked through, but for the title."""
        said = data.partition(b'"messages"')[2]
        if self._fits(title, WORDS) or (said and self.rank(said) is not None):
            return Passage(0, "", "")
        return None

    def _fits(self, text: str, rank: int) -> bool:
        folded = " ".join(text.casefold().split())
        return " ".join(self.words) in folded or (
            rank == WORDS and all(word in folded for word in self.words)
        )

    def _fits_any(self, text: str, rank: int) -> bool:
        folded = text.casefold()
        return rank == WORDS and any(word in folded for word in self.words)

    def _excerpt(self, text: str) -> str:
        flat = " ".join(text.split())
        folded = flat.casefold()
        start = folded.find(" ".join(self.words))
        if start < 0:
            start = max(0, min((at for word in self.words if (at := folded.find(word)) >= 0), default=0))
        begin = max(0, start - _EXCERPT_CHARACTERS // 3)
        end = begin + 2 * _EXCERPT_CHARACTERS
        return ("…" if begin else "") + flat[begin:end] + ("…" if end < len(flat) else "")


def _needles(word: str) -> list[bytes]:
    """Return a word as a session file may have it: as it is, or with escapes."""
    forms = (json.dumps(word, ensure_ascii=False), json.dumps(word))
    return list(dict.fromkeys(form[1:-1].encode("utf-8", "replace") for form in forms))


def _texts(value: Any) -> Iterator[str]:
    """Yield each text in what a file says, of a message also what tools were asked and answered."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in _NO_TEXT:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
