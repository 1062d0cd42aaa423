"""What a compression of the model's context does to a conversation in state.db. Pure.

Until spring 2026 the agent goes on under a new id; later it marks the rows as compacted, under the same id. Either way it then
writes what the model sees from there on: copies of the first messages, a summary, copies of the last messages. (Some releases
write nothing of that, and only what is new.) Copies have stamps of their own, so they are told by their words and their place.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from hermesguard.webui.session import Message

_MOST_REPEATED: Final = 400
_LEAST_REPEATED: Final = 2
_MOST_FIRST: Final = 20
_LEAST_SHARE: Final = 0.6


class Row(NamedTuple):
    """A message as the database has it."""

    message: Message
    is_withdrawn: bool = False
    """A user took it back."""
    is_compacted: bool = False
    """It left the model's context by a compression."""
    is_summary: bool = False
    """It is the summary that a compression wrote; nobody said it."""


def once(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without what some releases of the agent wrote more than once: a turn whose tool calls are there, and
    a prompt right behind itself."""
    found: list[Row] = []
    seen: set[tuple[str, bool]] = set()
    last: tuple[str, str, bool] | None = None
    for row in rows:
        role, words, tools = row.message.identity
        prefix = "result " if role == "tool" else ""
        ids = {(prefix + one, row.is_withdrawn) for one in tools}
        said = (role, words, row.is_withdrawn)
        if (ids and ids <= seen) or (not ids and said == last and role == "user"):
            continue
        seen |= ids
        last = said
        found.append(row)
    return found


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield the rows of one session in runs, of which each but the first begins with what a compression in place wrote anew."""
    begin = 0
    first = [row.message for row in rows if not row.is_summary][:_MOST_FIRST]
    for place, row in enumerate(rows):
        if not row.is_summary or not place:
            continue
        start = place - _copied(first, [one.message for one in rows[max(begin, place - _MOST_FIRST) : place]])
        if start > begin and (rows[start - 1].is_compacted or rows[start - 1].is_withdrawn):
            yield rows[begin:start]
            begin = start
    yield rows[begin:]


def _copied(first: Sequence[Message], before: Sequence[Message]) -> int:
    """Return how many messages right before a summary are copies of the conversation's first."""
    for count in range(min(len(first), len(before)), 0, -1):
        if all(map(_same, first[:count], before[-count:])):
            return count
    return 0


def repeated(before: Sequence[Message], batch: Sequence[Row]) -> set[int]:
    """Return which rows of a run that follows on `before` repeat messages of it, by index."""
    own = [row.message for row in batch[:_MOST_REPEATED]]
    if not before or not own:
        return set()
    summary = next((index for index, row in enumerate(batch[: len(own)]) if row.is_summary), None)
    if summary is None:
        return set(range(_repeated_block(before, own)))
    found = {index for index, pair in enumerate(zip(before, own[:summary], strict=False)) if _same(*pair)}
    return found | set(range(summary + 1, summary + 1 + _reach(before, own[summary + 1 :])))


def _reach(before: Sequence[Message], behind: Sequence[Message]) -> int:
    """Return how many messages behind a summary are copies: they reach to the end of what came before, place for place.

    One of them may have been shortened.
    """
    best, share = 0, _LEAST_SHARE
    for count in range(1, min(len(before), len(behind)) + 1):
        end = min(count, _LEAST_REPEATED)
        if not any(map(_same, before[-end:], behind[count - end : count])):
            continue
        equal = sum(map(_same, before[-count:], behind[:count])) / count
        if equal > share:
            best, share = count, equal
    return best


def _repeated_block(before: Sequence[Message], own: Sequence[Message]) -> int:
    """Return how many messages at the beginning are, one for one, the last of what came before."""
    for count in range(min(len(before), len(own)), _LEAST_REPEATED - 1, -1):
        if all(map(_same, before[-count:], own[:count])):
            return count
    return 0


def _same(one: Message, other: Message) -> bool:
    return one.identity == other.identity
