"""The title at the beginning of a session file: by the short way as by the long one."""

import json

import pytest

from hermesguard.webui import header

TITLES = [
    "",
    "Untitled",
    "A garden",
    'with "quotes" and \\',
    "Ängste שלום 庭",
    "line\nend",
    "\x7f\x01",
    "😀",
    "a" * 5000,
]
DAMAGED = [
    b"",
    b"{",
    b"no JSON",
    b'{"session_id": "a", "title": "never ends',
    b'{"session_id": "a", "title": "bad \\x", "messages": []}',
    b'{"session_id": "a", "title": "\xff\xfe", "messages": []}',
    b'{"session_id": "a", "title": "\\ud800 alone", "messages": []}',
    b'{"session_id": "a", "title": "raw \n line", "messages": []}',
    b'{"session_id": "a", "title": 7, "messages": []}',
    b'{"session_id": "a", "title": null, "messages": []}',
    b'{"session_id": "a", "messages": [], "title": "too late"}',
    b'{"session_id": "a", "title": "first", "title": "second", "messages": []}',
    b'{"session_id": "a" "title": "no comma"}',
]


def both_ways(data):
    """Return the title as it is found alone, and among others."""
    return header.metadata(data, "title").get("title"), header.metadata(data, "title", "none").get("title")


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_the_title_is_what_was_written(title, indent, is_ascii):
    document = {"session_id": "20260101_000000_abcdef", "title": title, "messages": []}
    data = json.dumps(document, indent=indent, ensure_ascii=is_ascii).encode()
    assert both_ways(data) == (title, title)
    reordered = json.dumps({"title": title, **document}, indent=indent, ensure_ascii=is_ascii).encode()
    assert both_ways(reordered) == (title, title)


@pytest.mark.parametrize("data", DAMAGED)
def test_what_is_damaged_has_the_same_title_both_ways(data):
    short, long = both_ways(data)
    assert short == ("first" if b"first" in data else long)
