"""Whatever two states of a session file hold, the judge has a verdict."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hermesguard.judge.judge import Action, Surroundings, judge, judge_missing
from hermesguard.webui import session
from tests.helpers.cases import NEW

VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-1, 3), st.floats(0, 3), st.sampled_from(["", "a", "Untitled"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=3,
)
MESSAGE_KEYS = (
    "role",
    "content",
    "timestamp",
    "_partial",
    "_error",
    "tool_calls",
    "tool_call_id",
    "attachments",
    "reasoning",
)
ANY_MESSAGE = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool"])},
        optional=dict.fromkeys(MESSAGE_KEYS[1:], VALUES),
    ),
)
KEYS = (
    "title",
    "created_at",
    "active_stream_id",
    "pending_user_message",
    "pending_started_at",
    "input_tokens",
    *NEW,
)
ANY_FILE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(KEYS, VALUES),
        **dict.fromkeys(
            ("messages", "context_messages", "tool_calls"),
            st.one_of(VALUES, st.lists(ANY_MESSAGE, max_size=4)),
        ),
    },
)


@given(ANY_FILE, ANY_FILE, st.booleans())
def test_whatever_json_is_judged(before: dict[str, Any], after: dict[str, Any], repaired: bool) -> None:
    shadow, live = session.parse(json.dumps(before).encode()), session.parse(json.dumps(after).encode())
    verdict = judge(shadow, live, Surroundings(repaired=repaired))
    assert verdict.rule
    if verdict.action is Action.GROWTH:
        assert verdict.comparison
        assert verdict.comparison.whole
    assert judge(shadow, shadow).action is Action.GROWTH
    judge_missing(shadow, Surroundings(gone=True))
