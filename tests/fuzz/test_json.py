"""A session file means to us what it means to the application, whatever its values: what `json.loads` of its text says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesguard.webui import session
from hermesguard.webui.session import Unreadable

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=8),
    st.sampled_from(["\ud800", "<tag>", "\u2028", '"', "\\", "messages"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
messages = st.lists(
    st.one_of(
        st.dictionaries(st.sampled_from(["role", "content", "timestamp", "x"]), values, max_size=4), values
    ),
    max_size=4,
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.one_of(messages, values),
        "context_messages": st.one_of(messages, values),
        "title": values,
        "x": values,
        "message_count": values,
    },
)
layouts = st.sampled_from(
    [{"indent": 2}, {}, {"separators": (",", ":")}, {"indent": 1, "ensure_ascii": True}]
)


def encoded(value: Any, layout: dict[str, Any]) -> bytes:
    text = json.dumps(value, **{"ensure_ascii": False, **layout})
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, **{**layout, "ensure_ascii": True}).encode()


def same(one: Any, other: Any) -> bool:
    """Equal as Python's json reads them, NaN included."""
    return json.dumps(one) == json.dumps(other)


@given(documents, layouts)
def test_every_value_is_what_json_reads(value: dict[str, Any], layout: dict[str, Any]) -> None:
    data = encoded(value, layout)
    document = session.parse(data)
    read = json.loads(data.decode())
    assert document.keys == list(read)
    for key in read:
        assert same(json.loads(document.raw(key)), read[key])
        if key in ("messages", "context_messages") and isinstance(read[key], list):
            found = document.messages if key == "messages" else document.context
            assert same([message.value for message in found], read[key])
            assert same([json.loads(message.text) for message in found], read[key])
        else:
            assert same(document.get(key), read[key])


@given(documents, layouts, st.data())
def test_what_json_refuses_is_unreadable_and_nothing_else(
    value: dict[str, Any], layout: dict[str, Any], data: st.DataObject
) -> None:
    text = bytearray(encoded(value, layout))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        text[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b",", b"]", b"}", b"{", b'"', b"\xff", b" ", b"1", b":"])
        )
    broken = bytes(text)
    try:
        good = isinstance(json.loads(broken.decode("utf-8")), dict)
    except (ValueError, RecursionError):
        good = False
    if good:
        session.parse(broken)
    else:
        with pytest.raises(Unreadable):
            session.parse(broken)
