"""What became of each message of one list in another: as it stands, moved, changed, cut short, lost, gone harmlessly, or new."""

from typing import Any

import pytest

from hermesguard.webui.compare.diff import compare
from tests.helpers.cases import answer, calling, tool, user
from tests.helpers.comparisons import LONG, THREE, bare, in_words, later, messages, said

CASES: list[tuple[str, list[Any], list[Any], str]] = [
    ("nothing, then nothing", [], [], "lead 0"),
    ("the same", THREE, THREE, "lead 6"),
    ("it grew", THREE[:4], THREE, "lead 4, new 4 5"),
    ("its end went", THREE, THREE[:4], "lead 4, gone 4 5"),
    ("its beginning went", THREE, THREE[2:], "lead 0, same 2-0 3-1 4-2 5-3, gone 0 1"),
    ("its middle went", THREE, [*THREE[:2], *THREE[4:]], "lead 2, same 4-2 5-3, gone 2 3"),
    ("the first and the last went", THREE, THREE[1:5], "lead 0, same 1-0 2-1 3-2 4-3, gone 0 5"),
    ("all but the first went", THREE, THREE[:1], "lead 1, gone 1 2 3 4 5"),
    (
        "something new between",
        THREE,
        [*THREE[:2], user("new", 1017), *THREE[2:]],
        "lead 2, same 2-3 3-4 4-5 5-6, new 2",
    ),
    (
        "something new before all",
        THREE,
        [user("new", 5), *THREE],
        "lead 0, same 0-1 1-2 2-3 3-4 4-5 5-6, new 0",
    ),
    (
        "another end",
        THREE,
        [*THREE[:4], user("new", 1030), answer("news", 1035)],
        "lead 4, gone 4 5, new 4 5",
    ),
    (
        "another end, said later",
        THREE,
        [*THREE[:4], user("new", 2030), answer("news", 2035)],
        "lead 4, gone 4 5, new 4 5",
    ),
    ("all is another", THREE, [user("x", 9000), answer("y", 9005)], "lead 0, gone 0 1 2 3 4 5, new 0 1"),
    (
        "two turns changed places",
        THREE,
        [*THREE[2:4], *THREE[:2], *THREE[4:]],
        "lead 0, same 0-2 1-3 4-4 5-5, moved 2-0 3-1",
    ),
    (
        "two turns without stamps changed places",
        [*map(bare, THREE)],
        [*map(bare, [*THREE[2:4], *THREE[:2], *THREE[4:]])],
        "lead 0, same 0-2 1-3 4-4 5-5, moved 2-0 3-1",
    ),
    (
        "two messages changed places",
        THREE,
        [THREE[0], THREE[1], THREE[3], THREE[2], THREE[4], THREE[5]],
        "lead 2, same 2-3 4-4 5-5, moved 3-2",
    ),
    (
        "two unstamped changed places, and nothing else",
        [*map(bare, THREE[:2])],
        [bare(THREE[1]), bare(THREE[0])],
        "lead 0, same 1-0, moved 0-1",
    ),
    (
        "one of the unstamped stands elsewhere, among others",
        [bare(THREE[0]), bare(THREE[1]), bare(THREE[2]), bare(THREE[3])],
        [bare(THREE[0]), user("x"), bare(THREE[1]), user("y"), user("z"), user("w")],
        "lead 1, gone 1 2 3, new 1 2 3 4 5",
    ),
    (
        "the end without stamps goes on",
        [*map(bare, THREE)],
        [*map(bare, THREE[4:]), user("new"), answer("news")],
        "lead 0, same 4-0 5-1, gone 0 1 2 3, new 2 3",
    ),
    (
        "a single unstamped message again, among new ones",
        [*map(bare, THREE)],
        [bare(THREE[4]), user("new"), answer("news")],
        "lead 0, gone 0 1 2 3 4 5, new 0 1 2",
    ),
    (
        "a single unstamped message, and nothing else",
        [*map(bare, THREE)],
        [bare(THREE[2])],
        "lead 0, same 2-0, gone 0 1 3 4 5",
    ),
    (
        "two unstamped in company",
        [*map(bare, THREE)],
        [user("new"), bare(THREE[2]), bare(THREE[3]), answer("news")],
        "lead 0, same 2-1 3-2, gone 0 1 4 5, new 0 3",
    ),
    (
        "one unstamped alone is not believed",
        [*map(bare, THREE)],
        [user("new"), bare(THREE[2]), answer("news")],
        "lead 0, gone 0 1 2 3 4 5, new 0 1 2",
    ),
    ("the stamps went", THREE, [*map(bare, THREE)], "lead 6"),
    ("stamps came", [*map(bare, THREE)], THREE, "lead 6"),
    (
        "the same word right behind the same question, unstamped",
        [user("yes", 1000), answer("ok"), user("yes"), answer("ok"), user("more")],
        [answer("ok", 1001), user("yes", 1010), answer("ok", 1011)],
        "lead 0, same 0-1 1-2, gone 2 3 4, new 0",
    ),
    (
        "three were stamped anew, and the first went",
        THREE[:4],
        [later(m, 500) for m in THREE[1:4]],
        "lead 0, same 1-0 2-1 3-2, gone 0",
    ),
    (
        "two were stamped anew, and the first went",
        THREE[:3],
        [later(m, 500) for m in THREE[1:3]],
        "lead 0, gone 0 1 2, new 0 1",
    ),
    ("all was stamped anew", THREE, [later(m, 500) for m in THREE], "lead 0, same 0-0 1-1 2-2 3-3 4-4 5-5"),
    ("the first was stamped anew, before the second", THREE, [later(THREE[0], 3), *THREE[1:]], "lead 6"),
    (
        "the first was stamped anew, behind the second",
        THREE,
        [later(THREE[0], 500), *THREE[1:]],
        "lead 0, same 0-0 1-1 2-2 3-3 4-4 5-5",
    ),
    ("one in the middle was stamped anew", THREE, [*THREE[:2], later(THREE[2], 2), *THREE[3:]], "lead 6"),
    (
        "one in the middle was stamped far behind",
        THREE,
        [*THREE[:2], later(THREE[2], 700), *THREE[3:]],
        "lead 2, same 2-2 3-3 4-4 5-5",
    ),
    ("the last was stamped anew", THREE, [*THREE[:5], later(THREE[5], 2)], "lead 6"),
    (
        "the last turn was said again",
        THREE,
        [*THREE[:4], later(THREE[4], 700), later(THREE[5], 700)],
        "lead 4, same 4-4 5-5",
    ),
    (
        "three at the end were stamped anew",
        THREE,
        [*THREE[:3], *(later(m, 700) for m in THREE[3:])],
        "lead 3, same 3-3 4-4 5-5",
    ),
    (
        "'yes' again is another",
        [user("yes", 10), answer("ok", 11)],
        [user("yes", 10), answer("ok", 11), user("yes", 20)],
        "lead 2, new 2",
    ),
    (
        "one of two equal ones went",
        [user("yes", 10), answer("ok", 11), user("yes", 20), answer("ok", 21)],
        [user("yes", 20), answer("ok", 21)],
        "lead 0, same 2-0 3-1, gone 0 1",
    ),
    (
        "equal ones without stamps: the end counts",
        [user("yes"), answer("ok"), user("yes"), answer("ok")],
        [user("yes"), answer("ok")],
        "lead 2, gone 2 3",
    ),
    (
        "a recovered prompt, then in fractions",
        [*THREE[:2], user("ask", 1020, _recovered=True)],
        [*THREE[:2], user("ask", 1020.7)],
        "lead 3",
    ),
    (
        "a recovered prompt, a second apart",
        [*THREE[:2], user("ask", 1020, _recovered=True), answer("x", 1030)],
        [*THREE[:2], user("ask", 1021.0), answer("x", 1030)],
        "lead 4",
    ),
    (
        "the same in fractions, not recovered, then said again",
        [*THREE[:2], user("ask", 1020), user("o", 1020.5)],
        [*THREE[:2], user("ask", 1020.7), user("o", 1020.5)],
        "lead 2, same 2-2 3-3",
    ),
    (
        "a recovered prompt, then its turn",
        [*THREE[:2], user("ask", 1020, _recovered=True)],
        [*THREE[:2], user("news", 1500), user("ask", 1600), answer("it is", 1601)],
        "lead 2, same 2-3, sent 2-3, new 2 4",
    ),
    (
        "an answered recovered prompt is another",
        [*THREE[:2], user("ask", 1020, _recovered=True), answer("so", 1021)],
        [*THREE[:2], user("x", 1500), user("ask", 1600), answer("it is", 1601)],
        "lead 2, gone 2 3, new 2 3 4",
    ),
    (
        "an answer went on",
        [*THREE[:3], answer("answer", 1025, _partial=True)],
        [*THREE[:3], answer("answer 2, and more of it", 1027)],
        "lead 4",
    ),
    (
        "an answer went on, not partial, same stamp",
        [*THREE[:3], answer("answer", 1025)],
        [*THREE[:3], answer("answer 2, and more of it", 1025)],
        "lead 4",
    ),
    (
        "an answer went on, not partial, other stamp",
        [*THREE[:3], answer("answer", 1025)],
        [*THREE[:3], answer("answer 2, and more of it", 1027)],
        "lead 3, gone 3, new 3",
    ),
    (
        "an answer in the middle went on",
        [*THREE[:3], answer("answer", 1025), *THREE[4:]],
        [*THREE[:3], answer("answer 2, and more of it", 1025), *THREE[4:]],
        "lead 3, same 3-3 4-4 5-5",
    ),
    (
        "a partial answer in the middle went on",
        [*THREE[:3], answer("answer", 1025, _partial=True), *THREE[4:]],
        [*THREE[:3], answer("answer 2, and more of it", 1025), *THREE[4:]],
        "lead 6",
    ),
    (
        "an answer was cut short",
        [*THREE[:3], answer(LONG, 1025)],
        [*THREE[:3], answer(LONG[:20], 1025)],
        "lead 3, cut 3-3",
    ),
    (
        "an answer was cut short, without stamps",
        [*map(bare, THREE[:3]), answer(LONG)],
        [*map(bare, THREE[:3]), answer(LONG[:20])],
        "lead 3, cut 3-3",
    ),
    (
        "an answer was cut short in the middle",
        [*THREE[:3], answer(LONG, 1025), *THREE[4:]],
        [*THREE[:3], answer(LONG[:20], 1025), *THREE[4:]],
        "lead 3, same 4-4 5-5, cut 3-3",
    ),
    (
        "an answer was said anew, shorter",
        [*THREE[:3], answer(LONG, 1025)],
        [*THREE[:3], answer(LONG[:20], 1999)],
        "lead 3, gone 3, new 3",
    ),
    (
        "an answer was cut short and is partial",
        [*THREE[:3], answer(LONG, 1025)],
        [*THREE[:3], answer(LONG[:20], 1999, _partial=True)],
        "lead 3, cut 3-3",
    ),
    (
        "an answer was emptied",
        [*THREE[:3], answer(LONG, 1025)],
        [*THREE[:3], answer("", 1025)],
        "lead 3, cut 3-3",
    ),
    (
        "an answer with calls was emptied",
        [*THREE[:3], calling("t1", 1025, LONG)],
        [*THREE[:3], calling("t1", 1025, "")],
        "lead 3, same 3-3, changed 3-3",
    ),
    (
        "a question was edited in place",
        THREE,
        [*THREE[:2], said(THREE[2], "question 2, but better"), *THREE[3:]],
        "lead 2, same 2-2 3-3 4-4 5-5, changed 2-2",
    ),
    (
        "a question was edited in place, whole seconds apart",
        THREE,
        [*THREE[:2], later(said(THREE[2], "question 2, but better"), 1), *THREE[3:]],
        "lead 2, same 3-3 4-4 5-5, gone 2, new 2",
    ),
    (
        "a question was replaced in place",
        THREE,
        [*THREE[:2], said(THREE[2], "x"), *THREE[3:]],
        "lead 2, same 2-2 3-3 4-4 5-5, changed 2-2",
    ),
    (
        "a question was replaced in place, fine stamp",
        [*THREE[:2], user("about it", 1020.25), *THREE[3:]],
        [*THREE[:2], user("x", 1020.25), *THREE[3:]],
        "lead 2, same 2-2 3-3 4-4 5-5, changed 2-2",
    ),
    (
        "the last question was replaced, whole seconds",
        THREE[:5],
        [*THREE[:4], said(THREE[4], "x")],
        "lead 4, gone 4, new 4",
    ),
    (
        "the last question was replaced, fine stamp",
        [*THREE[:4], user("about it", 1030.25)],
        [*THREE[:4], user("x", 1030.25)],
        "lead 4, same 4-4, changed 4-4",
    ),
    (
        "the last answer went on, whole seconds",
        THREE,
        [*THREE[:5], said(THREE[5], "answer 3, but in other words")],
        "lead 6",
    ),
    (
        "a tool's message was redacted",
        [*THREE[:2], calling("t1", 1016), tool("secret", "t1", 1017), answer("ok", 1018)],
        [*THREE[:2], calling("t1", 1016), tool("[redacted]", "t1", 1017), answer("ok", 1018)],
        "lead 3, same 3-3 4-4, changed 3-3",
    ),
    (
        "a tool's message was redacted and stamped anew",
        [*THREE[:2], calling("t1", 1016), tool("secret", "t1", 1017), answer("ok", 1018)],
        [*THREE[:2], calling("t1", 1016), tool("[redacted]", "t1", 1900), answer("ok", 1918)],
        "lead 3, same 3-3, changed 3-3, gone 4, new 4",
    ),
    (
        "a tool id came",
        [*THREE[:2], answer("calling", 1016), answer("ok", 1018)],
        [*THREE[:2], calling("t1", 1016, "calling"), answer("ok", 1018)],
        "lead 2, same 2-2 3-3",
    ),
    (
        "two calls changed places",
        [calling("t1", 1), tool("one", "t1", 2), calling("t2", 3), tool("two", "t2", 4)],
        [calling("t2", 3), tool("two", "t2", 4), calling("t1", 1), tool("one", "t1", 2)],
        "lead 0, same 2-0 3-1, moved 0-2 1-3",
    ),
    (
        "the same id twice is no sign",
        [calling("t1", 1), tool("one", "t1", 2), calling("t1", 3), tool("two", "t1", 4)],
        [calling("t1", 7), tool("x", "t1", 8)],
        "lead 0, gone 0 1 2 3, new 0 1",
    ),
    (
        "an empty message went",
        [*THREE[:2], answer("", 1017), *THREE[2:]],
        THREE,
        "lead 2, same 3-2 4-3 5-4 6-5, harmless 2:empty_message",
    ),
    (
        "the last of two equal partials went, and another before both",
        [
            *THREE[:2],
            answer("x", 1017, _partial=True),
            user("o", 1018),
            answer("p", 1019, _partial=True),
            user("q", 1021),
            answer("p", 1022, _partial=True),
        ],
        [*THREE[:2], user("o", 1018), answer("p", 1019, _partial=True), user("q", 1021)],
        "lead 2, same 3-2 4-3 5-4, gone 2 6",
    ),
    (
        "an equal partial went",
        [*THREE[:2], answer("p", 1017, _partial=True), answer("p", 1017, _partial=True), *THREE[2:]],
        [*THREE[:2], answer("p", 1017, _partial=True), *THREE[2:]],
        "lead 3, same 4-3 5-4 6-5 7-6, harmless 3:duplicate_partial",
    ),
    (
        "a doubled prompt went",
        [*THREE[:2], user("go", 1017), user("go", 1017), *THREE[2:]],
        [*THREE[:2], user("go", 1017), *THREE[2:]],
        "lead 3, same 4-3 5-4 6-5 7-6, harmless 3:duplicate_user",
    ),
    (
        "three of the same roles were reworded between equal ones",
        [*THREE[:1], answer("one two three", 2), user("four five six", 3), *THREE[5:]],
        [*THREE[:1], answer("one two tree", 2.5), user("four five sex", 3.5), *THREE[5:]],
        "lead 1, same 3-3, gone 1 2, new 1 2",
    ),
    (
        "as many between equal ones, of other roles",
        [*THREE[:1], answer("one two three", 2), user("four five six", 3), *THREE[5:]],
        [*THREE[:1], user("one two tree", 2.5), answer("four five sex", 3.5), *THREE[5:]],
        "lead 1, same 3-3, gone 1 2, new 1 2",
    ),
    (
        "as many between equal ones, of other words",
        [*THREE[:1], answer("one two three", 2), *THREE[5:]],
        [*THREE[:1], answer("nothing of it is alike", 2.5), *THREE[5:]],
        "lead 1, same 2-2, gone 1, new 1",
    ),
    (
        "as many between equal ones, of like words, unstamped",
        [*map(bare, THREE[:1]), answer("one two three"), *map(bare, THREE[5:])],
        [*map(bare, THREE[:1]), answer("one two tree"), *map(bare, THREE[5:])],
        "lead 1, same 1-1 2-2, changed 1-1",
    ),
    (
        "one more between equal ones",
        [*THREE[:1], answer("one two three", 2), *THREE[5:]],
        [*THREE[:1], answer("one two tree", 2.5), user("x", 2.7), *THREE[5:]],
        "lead 1, same 2-3, gone 1, new 1 2",
    ),
    (
        "an older copy, and new turns behind it",
        THREE,
        [*THREE[:2], user("n", 5000), answer("m", 5001)],
        "lead 2, gone 2 3 4 5, new 2 3",
    ),
    (
        "accents as characters of their own",
        [user("o\u00f9 ?", 1), answer("l\u00e0-bas", 2)],
        [user("ou\u0300 ?", 1), answer("la\u0300-bas", 2), user("n", 3)],
        "lead 2, new 2",
    ),
    (
        "a stale writer begins with what was merged",
        THREE,
        [THREE[4], THREE[5], user("n", 5000), answer("m", 5001)],
        "lead 0, same 4-0 5-1, gone 0 1 2 3, new 2 3",
    ),
    (
        "half is crossed and half is new",
        THREE,
        [THREE[5], user("n", 5000), THREE[0], answer("m", 5001)],
        "lead 0, same 5-0, moved 0-2, gone 1 2 3 4, new 1 3",
    ),
    (
        "what a /compress left without stamps is one, before what two servers said since",
        [user("card"), answer("yes"), user("n", 5000), answer("m", 5001)],
        [user("card"), user("why"), answer("yes"), user("o", 5002), answer("p", 5003)],
        "lead 1, same 1-2, gone 2 3, new 1 3 4",
    ),
    (
        "without any stamps a short answer alone is not",
        [user("card"), answer("yes"), user("n"), answer("m")],
        [user("card"), user("why"), answer("yes"), user("o"), answer("p")],
        "lead 1, gone 1 2 3, new 1 2 3 4",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_became_of_each_message(old: list[Any], new: list[Any], expected: str) -> None:
    assert in_words(compare(messages(old), messages(new))) == expected


def test_of_what_is_the_same_nothing_is_gone_or_new() -> None:
    for name, old, *_ in CASES:
        found = compare(messages(old), messages(old))
        assert in_words(found) == f"lead {len(old)}", name
        assert found.whole, name
        assert found.lost_messages == found.lost_turns == 0, name


def test_each_message_has_one_answer() -> None:
    for name, old, new, _ in CASES:
        found = compare(messages(old), messages(new))
        there = [*found.pairs, *found.moved, *found.shortened]
        gone = [*found.missing, *(index for index, _ in found.harmless)]
        assert sorted([*(a for a, _ in there), *gone]) == list(range(len(old))), name
        assert sorted([*(b for _, b in there), *found.added]) == list(range(len(new))), name
        assert list(found.pairs) == sorted(found.pairs), name
        assert sorted(b for _, b in found.pairs) == [b for _, b in found.pairs], name
        assert found.whole == (not found.missing and not found.shortened), name
        assert found.lost_messages == len(found.missing) + len(found.shortened), name
        assert found.lost_turns == sum(old[index]["role"] == "user" for index in found.missing), name
        assert {*found.changed, *found.sent} <= set(found.pairs), name


@pytest.mark.parametrize("is_newer_last", [False, True])
def test_a_merge_has_each_message_once_in_both_orders(is_newer_last: bool) -> None:
    for name, old, new, _ in CASES:
        found = compare(messages(old), messages(new))
        merged = list(found.merged(is_newer_last))
        places = {id(message): place for place, message in enumerate(merged)}
        assert len(places) == len(merged) == len(old) + len(found.added), name
        one = {**{a: found.new[b] for a, b in found.pairs}, **{a: found.old[a] for a, _ in found.shortened}}
        in_old = [places[id(one.get(index, message))] for index, message in enumerate(found.old)]
        assert in_old == sorted(in_old), name
        added = [places[id(found.new[index])] for index in found.added]
        assert added == sorted(added), name
        if is_newer_last and found.added and not found.pairs and not found.shortened:
            assert min(added) > max(in_old, default=-1), name
