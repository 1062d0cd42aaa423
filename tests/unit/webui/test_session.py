"""A session file means to us what it means to the application: what `json.loads` of its text says."""

import json
from typing import Any

import pytest

from hermesguard.webui import session
from hermesguard.webui.session import Unreadable


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n",
        b"[]",
        b'[{"messages": []}]',
        b"\xef\xbb\xbf{}",
        b'{"messages": [',
        b"{} {}",
        b'{"a": "\xff"}',
        b"null",
        b'{"a": 1,}',
    ],
)
def test_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        session.parse(data)


def test_nesting_as_deep_as_the_application_writes() -> None:
    deep: Any = "bottom"
    for _ in range(900):
        deep = [deep]
    data = json.dumps({"messages": [{"role": "user", "content": deep}]}).encode()
    assert session.parse(data).messages[0].get("content") == deep


def test_nesting_that_the_application_could_not_read_is_no_crash() -> None:
    with pytest.raises(Unreadable):
        session.parse(b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("0123456789ab.json", "0123456789ab"),
        ("20260430_151231_7209a0.json", "20260430_151231_7209a0"),
        ("reachy-voice-Kitchen.json", "reachy-voice-Kitchen"),
        ("_index.json", None),
        ("_deleted_webui_sessions.json", None),
        (".x.json", None),
        ("a.json.bak", None),
        ("a.tmp.12.34", None),
        ("a.json.recover.tmp", None),
        ("a b.json", None),
        ("..json", None),
        ("a\n.json", None),
        ("a" * 222 + ".json", "a" * 222),
        ("a" * 223 + ".json", None),
    ],
)
def test_which_names_are_sessions(name: str, found: str | None) -> None:
    assert session.session_id(name) == found


@pytest.mark.parametrize(
    ("keys", "writer"),
    [
        ({}, "before v0.50.82"),
        ({"compression_anchor_visible_idx": 1}, "v0.50.82 or later"),
        ({"truncation_watermark": None}, "v0.51.137 or later"),
        ({"truncation_watermark": None, "message_count": 0}, "v0.51.139 or later"),
        ({"clear_generation": None, "truncation_boundary": None}, "v0.51.875 or later"),
        ({"intentional_shrink_generation": None, "clear_generation": None}, "exp-v0.52.216 or later"),
    ],
)
def test_the_writer_is_told_from_the_keys(keys: dict[str, Any], writer: str) -> None:
    assert session.parse(json.dumps(keys).encode()).writer == writer


@pytest.mark.parametrize(
    "content",
    [
        "two words",
        " two\nwords ",
        [{"type": "text", "text": "two"}, {"type": "text", "text": "words"}],
        "[Workspace: /home/someone]\ntwo words",
        "[Workspace::v1: /home/someone]\ntwo words",
    ],
)
def test_identity_sees_through_dress(content: Any) -> None:
    message = {"role": "user", "content": content, "_anything": 1}
    document = session.parse(json.dumps({"messages": [message]}).encode())
    assert document.messages[0].identity == ("user", "two words", ())


@pytest.mark.parametrize("between", ["", ",", ";", " 1 ", '"', "::"])
def test_a_key_that_is_escaped_wants_its_colon_as_any(between: str) -> None:
    """What has no escape is read by one expression; the others are looked at one by one."""
    escaped = '{"t\\u0069tle"' + between + ' "T", "messages": []}'
    with pytest.raises(session.Unreadable):
        session.parse(escaped.encode())
    assert session.parse(b'{"t\\u0069tle": "T", "messages": []}').title == "T"
    assert session.parse(b'{"t\\u0069tle" : "T", "messages": []}').title == "T"
