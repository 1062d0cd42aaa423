"""Each fact of the evidence is said where it can be seen, and not beside that."""

from typing import Any

import pytest

from hermesguard.judge.facts import facts
from tests.helpers.cases import (
    FIVE,
    FOUR,
    GONE,
    NEW,
    NEWS,
    OLD,
    OTHER,
    RUNNING,
    STREAMING,
    V137,
    V720,
    V875,
    Value,
    answer,
    case,
    cut,
    file,
)

EARLIER = cut(truncation_watermark=1)
STUMP = [*FIVE[:9], answer("answ", 1055)]
SAID: Value = {"around": {"repaired": True, "before_repair": (file(FOUR),)}}


@pytest.mark.parametrize(
    ("words", "before", "after", "around", "is_said"),
    [
        ("2 of 10 messages are gone", (FIVE, OLD), (FOUR, OLD), {}, True),
        ("messages are gone", (FIVE, OLD), (FIVE, OLD), {}, False),
        ("no message is left", (FIVE, OLD), ([], OLD), {}, True),
        ("no message is left", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("an answer was cut short", (FIVE, OLD), (STUMP, OLD), {}, True),
        ("an answer was cut short", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("came after all", (STUMP, OLD), (FIVE, OLD), {}, True),
        ("came after all", (FIVE, OLD), (FIVE, OLD), {}, False),
        ("went from set to null", (FIVE, STREAMING), (FOUR, OLD), {}, True),
        ("went from set to null", (FIVE, STREAMING), (FOUR, STREAMING), {}, False),
        ("went from set to null", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("not yet answered is gone too", (FIVE, STREAMING), (FOUR, OLD), {}, True),
        ("not yet answered is gone too", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("2 user turns went in one write", (FIVE, OLD), (FIVE[:6], OLD), {}, True),
        ("user turns went in one write", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("went backwards", (FIVE, {"input_tokens": 9}), (FOUR, {"input_tokens": 8}), {}, True),
        ("went backwards", (FIVE, {"input_tokens": 9}), (FOUR, {"input_tokens": 9}), {}, False),
        ("has not saved yet what the guard repaired", (FIVE, OLD), (FOUR, OLD), {"repaired": True}, True),
        ("has not saved yet what the guard repaired", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("another process wrote it", (FIVE, OLD), (FOUR, OLD), {"writer": "another"}, True),
        ("another process wrote it", (FIVE, OLD), (FOUR, OLD), {"writer": "new"}, False),
        ("what it said before the repair", (FIVE, OLD), (FOUR, OLD), SAID["around"], True),
        ("what it said before the repair", (FIVE, OLD), (FIVE[:6], OLD), SAID["around"], False),
        ("live has 2 new messages", (FIVE, OLD), ([*FOUR, *NEWS], OLD), {}, True),
        ("new messages", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("and there is none", (FIVE, NEW), (FOUR, NEW), {}, True),
        ("and there is none", (FIVE, NEW), (FOUR, NEW | {"intentional_shrink_generation": "g"}), {}, False),
        ("and there is none", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("marks a clear by a new", (FIVE, V875), ([], V875), {}, True),
        ("marks a clear by a new", (FIVE, V875), ([], V875 | {"clear_generation": "c"}), {}, False),
        ("marks a clear by a new", (FIVE, V875), (FOUR, V875), {}, False),
        ("marks a clear by a new", (FIVE, V720), ([], V720), {}, False),
        ("the title is as it was", (FIVE, OLD), ([], OLD), {}, True),
        ("the title is as it was", (FIVE, OLD), ([], {"title": "Other"}), {}, False),
        ("the title is as it was", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("gone from the model's context too", (FIVE, OLD), (FOUR, OLD), {}, True),
        ("gone from the model's context too", (FIVE, GONE), (FOUR, OLD), {}, False),
        ("gone from the model's context too", (FIVE, OLD), (FOUR, {"context_messages": FIVE}), {}, False),
        ("created_at is another", (FIVE, OLD), (FOUR, {"created_at": 7.5}), {}, True),
        ("created_at is another", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("that of an earlier cut", (FIVE, EARLIER), (OTHER, cut(truncation_watermark=2)), {"repaired": True}, True),
        ("that of an earlier cut", (FIVE, EARLIER), (OTHER, cut(truncation_watermark=2)), {}, False),
        ("that of an earlier cut", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("shrink_generation was set anew", (FIVE, NEW), (FOUR, NEW | {"intentional_shrink_generation": "g"}), {}, True),
        ("shrink_generation was set anew", (FIVE, NEW), (FOUR, NEW), {}, False),
        ("clear_generation was set anew", (FIVE, V875), ([], V875 | {"clear_generation": "c"}), {}, True),
        ("clear_generation was set anew", (FIVE, V875), ([], V875), {}, False),
        ("watermark was set anew", (FIVE, V137), (FOUR, cut(truncation_watermark=1045)), {}, True),
        ("watermark was set anew", (FIVE, V137), (FOUR, V137), {}, False),
        ("boundary is the timestamp", (FIVE, V137), (FOUR, cut(truncation_watermark=1045)), {}, True),
        ("boundary is not the timestamp", (FIVE, V137), (FOUR, cut(truncation_watermark=1055)), {}, True),
        ("the timestamp of the last", (FIVE, V137), (FOUR, V137), {}, False),
        ("start of the conversation, unharmed", (FIVE, OLD), (FOUR, OLD), {}, True),
        ("start of the conversation, unharmed", (FIVE, OLD), (FIVE[2:], OLD), {}, False),
        ("one user turn is gone", (FIVE, OLD), (FOUR, OLD), {}, True),
        ("one user turn is gone", (FIVE, OLD), (FIVE[:6], OLD), {}, False),
        ("one user turn is gone", (FIVE, OLD), (FIVE[:9], OLD), {}, False),
        ("title was taken away", (FIVE, OLD), (FOUR, {"title": "Untitled"}), {}, True),
        ("title was taken away", (FIVE, OLD), (FOUR, OLD), {}, False),
        ("made anew from the first new question", (FIVE, OLD), (OTHER, {"title": "question 70"}), {}, True),
        ("made anew from the first new question", (FIVE, OLD), (OTHER, OLD), {}, False),
        ("a new prompt is pending", (FIVE, OLD), ([], RUNNING), {}, True),
        ("a new prompt is pending", (FIVE, OLD), (FOUR, RUNNING), {}, False),
        ("a new prompt is pending", (FIVE, RUNNING), ([], RUNNING), {}, False),
        ("still in the model's context", (FIVE, OLD), (FOUR, {"context_messages": FIVE}), {}, True),
        ("still in the model's context", (FIVE, OLD), (FOUR, OLD), {}, False),
    ],
)  # fmt: skip
def test_a_fact_is_said_where_it_can_be_seen_and_nowhere_else(
    words: str,
    before: tuple[list[Any], Value],
    after: tuple[list[Any], Value],
    around: Value,
    is_said: bool,
) -> None:
    said = [sentence for _, sentence in facts(case(before, after, **around)) if words in sentence]
    assert bool(said) == is_said
