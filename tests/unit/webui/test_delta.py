"""What makes one state of a file out of the one before: texts and places, found at the cost of what differs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesguard.webui import session
from hermesguard.webui.abridged import Abridged, abridge, follow, only_adds, rests_of, tightened
from hermesguard.webui.delta import Part, grown, parts, shared
from tests.helpers.cases import answer, turns, user

WORDS = "words enough for a run, wörds beyond ASCII among them, " * 20
BEFORE = [user(f"{number} {WORDS}", 1000.0 + number) for number in range(12)]


def whole(messages: list[Any], **members: Any) -> bytes:
    value = {"title": "T", "updated_at": 2.5, "messages": messages, "context_messages": messages, **members}
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def known(data: bytes) -> Abridged:
    return abridge(data, session.parse(data))


@pytest.mark.parametrize(
    ("before", "after", "lead", "end"),
    [
        ("", "", 0, 0),
        ("abc", "abc", 3, 0),
        ("abc", "abcd", 3, 0),
        ("abcd", "abc", 3, 0),
        ("abc", "xbc", 0, 2),
        ("abc", "axc", 1, 1),
        ("abc", "xyz", 0, 0),
        ("aa", "aaa", 2, 0),
        ("ab", "aab", 1, 1),
        ("xaby", "xaaby", 2, 2),
        # One byte of two, three or four is the same: none of them is shared.
        ("é", "è", 0, 0),
        ("aéb", "aèb", 1, 1),
        ("a€b", "a₭b", 1, 1),
        ("a😀b", "a😁b", 1, 1),
        ("a😀b", "a🠀b", 1, 1),
        ("é", "éé", 2, 0),
        ("aé", "a", 1, 0),
        ("aΩ", "a©", 1, 0),  # they end with the same byte
        ("ée", "èe", 0, 1),
    ],
)
def test_what_two_texts_have_in_common(before: str, after: str, lead: int, end: int) -> None:
    assert shared(before.encode(), after.encode()) == (lead, end)


@given(st.text("aé€😀", max_size=8), st.text("aé€😀", max_size=8))
def test_nothing_is_shared_twice_and_no_character_is_cut(before: str, after: str) -> None:
    old, new = before.encode(), after.encode()
    lead, end = shared(old, new)
    assert lead + end <= min(len(old), len(new))
    assert old[:lead] == new[:lead]
    assert old[len(old) - end :] == new[len(new) - end :]
    for text in (new[:lead], new[lead : len(new) - end], new[len(new) - end :]):
        text.decode()
    assert shared(old, old) == (len(old), 0)


def test_another_time_of_saving_alone_is_all_that_is_written() -> None:
    before = b'{\n  "title": "T",\n  "updated_at": 2.5,\n  "pinned": false\n}'
    after = before.replace(b"2.5", b"31.25")
    lead, end = shared(before, after)
    assert before[:lead] == b'{\n  "title": "T",\n  '
    assert before[len(before) - end :] == b'\n  "pinned": false\n}'
    more = after.replace(b"false", b"true")
    lead, end = shared(before, more)
    assert (before[:lead], before[len(before) - end :]) == (
        b'{\n  "title": "T",\n  "updated_at": ',
        b"e\n}",
    )


@pytest.mark.parametrize(
    "after",
    [
        whole([*BEFORE, *turns(1)], updated_at=9.5),
        whole([*BEFORE, answer("wörds", 2000)], updated_at=9.25, title="Ü"),
        whole(BEFORE, updated_at=9.5),
        whole(BEFORE),
        whole([*BEFORE, user("x")], context_messages=BEFORE),
        whole([*BEFORE[:-1], answer("another", 5)], draft="d"),
    ],
)
def test_the_parts_make_the_new_file_out_of_the_old_one(after: bytes) -> None:
    before = whole(BEFORE)
    old = known(before)
    new = follow(old, after)
    assert new
    made = parts(old, new)
    assert joined(made, before) == after
    assert sum(len(part) for part in made if isinstance(part, str)) < 1500, "what differs, and no more"
    assert all(part[1] > 0 if isinstance(part, list) else part for part in made)


def joined(made: list[Part], before: bytes) -> bytes:
    return b"".join(
        part.encode() if isinstance(part, str) else before[part[0] : part[0] + part[1]] for part in made
    )


# ---- saves that do nothing but add -------------------------------------------------------------------------------------


def agrees(old: Abridged, before: bytes, after: bytes) -> Abridged | None:
    """Return what `grown` makes of a save, held to what is found where all of it is read; None when it says nothing."""
    rests = rests_of(old, after)
    found = grown(old, rests, len(after)) if rests else None
    if found is None:
        return None
    (new, made), other = found, follow(old, after)
    assert other
    assert only_adds(old, other)
    assert new.data == after
    for name in (
        "rests",
        "holes",
        "count",
        "sizes",
        "rest_messages",
        "size_bytes",
        "stream",
        "prompt",
        "settings",
    ):
        assert getattr(new, name) == getattr(other, name), name
    assert new.document.text == other.document.text
    assert new.checksum() == other.checksum()
    assert [new.seam(number) for number in range(len(new.holes))] == [
        other.seam(number) for number in range(len(new.holes))
    ]
    assert joined(made, before) == after
    assert all(part[1] > 0 if isinstance(part, list) else part for part in made)
    return new


COUNTED: dict[str, Any] = {
    "message_count": 12,
    "input_tokens": 0,
    "compression_anchor_visible_idx": None,
    "note": "n",
}


def counted(messages: list[Any], **members: Any) -> bytes:
    lists = {"messages": messages, "context_messages": members.pop("context_messages", messages)}
    behind = {"behind": members.pop("behind", None)}
    value = {"title": "T", "updated_at": 2.5, **COUNTED, **members, **lists, **behind}
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("after", "is_growth"),
    [
        (counted([*BEFORE, *turns(1)], updated_at=9.5), True),
        (
            counted([*BEFORE, *turns(3)], updated_at=10, message_count=18, input_tokens=7),
            True,
        ),
        (counted([*BEFORE, user("ö")], context_messages=BEFORE, updated_at=9.5), True),
        (counted([*BEFORE, user("ö")], context_messages=[*BEFORE, user("other")]), True),
        (counted(BEFORE, updated_at=9.5), True),
        (counted(BEFORE), True),
        # What is more than that is found where all of it is read.
        (counted([*BEFORE, user("x")], note="m"), False),
        (counted([*BEFORE, user("x")], note=5), False),
        (counted([*BEFORE, user("x")], input_tokens=None), False),
        (counted([*BEFORE, user("x")], compression_anchor_visible_idx=3), False),
        (counted([*BEFORE, user("x")], title="U"), False),
        (counted([*BEFORE[:-1], user("x")]), False),
        (counted([*BEFORE, user("x")], context_messages=[*BEFORE[:-1], user("x")]), False),
        (counted([*BEFORE, user("x")], context_messages=[]), False),
        (counted([*BEFORE, user("x")], draft="d"), False),
        (counted([*BEFORE, user("x")], behind="ab"), False),  # as many bytes as before
        (counted([*BEFORE, json.loads("[" * 600 + "]" * 600)]), False),
    ],
)
def test_a_save_that_only_adds_is_known_without_reading_the_rest(after: bytes, is_growth: bool) -> None:
    before = counted(BEFORE)
    made = agrees(known(before), before, after)
    assert (made is not None) == is_growth
    if made:  # and so is the one behind it
        more = after.replace(b'"updated_at": ', b'"updated_at": 7')
        assert agrees(made, after, more)
        assert agrees(tightened(made), after, more)


@pytest.mark.parametrize(
    "number", ["9.5,", "", "09", "1_0", "nan", "+1", "true", "[1]", '"9"', "9,}", "9" * 400]
)
def test_what_no_reader_takes_for_a_number_is_no_counter(number: str) -> None:
    """The file is broken, then, or its members are others: that is for those who read all of it."""
    before = counted(BEFORE)
    after = counted([*BEFORE, user("x")]).replace(b'"updated_at": 2.5,', f'"updated_at": {number},'.encode())
    rests = rests_of(known(before), after)
    assert rests
    assert grown(known(before), rests, len(after)) is None


@pytest.mark.parametrize("number", ["9", "-9.25", "0", "1.8e9", "17958175023.123456"])
def test_any_number_is_one(number: str) -> None:
    before = counted(BEFORE)
    after = counted([*BEFORE, user("x")]).replace(b'"updated_at": 2.5,', f'"updated_at": {number},'.encode())
    assert agrees(known(before), before, after)


@pytest.mark.parametrize(
    "added", ["5", '{"role": "user"},', '{"role": "user"} ', '{"role": NaN}', '{"role"}', ""]
)
def test_what_is_not_read_at_once_as_messages_is_left_to_those_who_read_all(added: str) -> None:
    before = counted(BEFORE)
    end = before.index(b"\n  ]")
    after = before[:end] + f", {added}".encode() + before[end:]
    rests = rests_of(known(before), after)
    assert rests
    assert grown(known(before), rests, len(after)) is None


def test_a_number_within_what_a_user_set_is_no_counter() -> None:
    """A draft, an anchor and the messages of a short list may have keys of any name: what is gone of them the judge is asked."""
    before = counted(BEFORE, composer_draft={"text": "", "left_tokens": 5})
    after = counted([*BEFORE, user("x")], composer_draft={"text": "", "left_tokens": 0})
    assert agrees(known(before), before, after) is None
    compressed = counted(BEFORE, compression_anchor_saved_tokens=5)
    after = counted([*BEFORE, user("x")], compression_anchor_saved_tokens=6)
    assert agrees(known(compressed), compressed, after) is None
    short = counted(BEFORE, tool_calls=[{"tid": "a", "used_tokens": 5}])
    assert agrees(known(short), short, short.replace(b'_tokens": 5', b'_tokens": 6')) is None


@pytest.mark.parametrize("number", [b"7", b"31", b"0.5"])
def test_the_lines_that_differ_tell_whether_counters_alone_do(number: bytes) -> None:
    before = counted(BEFORE, input_tokens=3, title="3", pinned=3)
    after = counted([*BEFORE, user("x")], input_tokens=3, title="3", pinned=3)
    for key, is_growth in ((b"input_tokens", True), (b"updated_at", True), (b"pinned", False)):
        start = after.index(b'"' + key + b'": ') + len(key) + 4
        other = after[:start] + number + after[after.index(b",", start) :]
        assert (agrees(known(before), before, other) is not None) == is_growth, key
        counting = other.replace(b'"message_count": 12', b'"message_count": 14')
        assert (agrees(known(before), before, counting) is not None) == is_growth, key
        assert agrees(known(before), before, counting.replace(b'"T"', b'"U"').replace(b'"3"', b'"4"')) is None


def test_in_a_file_of_one_line_nothing_is_a_counter() -> None:
    before, after = (
        json.dumps(json.loads(text), separators=(",", ":")).encode()
        for text in (counted(BEFORE), counted([*BEFORE, user("x")]))
    )
    assert agrees(known(before), before, after)
    for number in (b"2", b"7.5", b"31.25"):
        assert (
            agrees(known(before), before, after.replace(b'"updated_at":2.5', b'"updated_at":' + number))
            is None
        )
    assert agrees(known(before), before, after.replace(b'"T"', b'"U"')) is None


TORN = [
    b"",
    b",",
    b"x",
    b",1",
    b",{",
    b",1,",
    b"1",
    b",1 2",
    b", [1",
    b",\xff",
    b',"\xc3',
    b",01",
    b",NaN",
    b",tru",
]


@given(
    st.sampled_from(TORN),
    st.sampled_from(TORN),
    st.sampled_from([b"9.5", b"-0", b"1.", b"01", b"1e5", b'"9"', b"null", b"9" * 19]),
)
def test_what_is_no_session_is_no_growth(here: bytes, there: bytes, time: bytes) -> None:
    before = whole(BEFORE)
    old = known(before)
    first, second = (old.seam(number)[1] for number in range(2))
    after = before.replace(b'"updated_at": 2.5', b'"updated_at": ' + time)
    places = [after.index(old.holes[0].chunks[0]) + old.holes[0].size_bytes + len(old.seam(0)[0])]
    places.append(len(after) - len(second))
    assert after[places[0] :].startswith(first)
    after = after[: places[0]] + here + after[places[0] : places[1]] + there + second
    agrees(old, before, after)


# ---- files that are followed -------------------------------------------------------------------------------------------


def test_a_small_file_is_known_as_it_stands_and_not_followed() -> None:
    data = whole(turns(2))
    document = session.parse(data)
    small = abridge(data, document)
    assert small.document is document
    assert not small.holes
    assert follow(small, whole(turns(3))) is None


def test_a_run_that_only_begins_the_same_is_not_followed() -> None:
    old = known(whole(BEFORE))
    changed = [*BEFORE[:4], user(f"4 {WORDS}?", 1004.0), *BEFORE[5:]]
    assert follow(old, whole(changed)) is None
    as_long = [*BEFORE[:4], user(f"4 {WORDS[:-1]}!", 1004.0), *BEFORE[5:]]
    assert len(whole(as_long)) == len(whole(BEFORE))
    assert follow(old, whole(as_long)) is None
    assert follow(old, whole(BEFORE[:6])) is None
    assert follow(old, whole([*BEFORE, user("x", 9.0)]))
