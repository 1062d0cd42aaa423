"""Messages that were changed where they stand: which sign makes two of them one, and what is beside it and does not."""

from typing import Any

import pytest

from hermesguard.webui.compare.alike import alike
from hermesguard.webui.compare.diff import compare
from tests.helpers.cases import Value, answer, calling, tool, turns, user
from tests.helpers.comparisons import LONG, THREE, bare, in_words, later, messages, said


def _called(call: str, name: str) -> list[Value]:
    return [{"id": call, "type": "function", "function": {"name": name, "arguments": "{}"}}]


def _used(call: str, command: str) -> list[Value]:
    return [{"type": "tool_use", "id": call, "name": "bash", "input": {"command": command}}]


CASES: list[tuple[str, list[Any], list[Any], str]] = [
    (
        "the last answer in like words, whole second",
        [*THREE[:5], answer("one two three four", 1035)],
        [*THREE[:5], answer("one two three five", 1035)],
        "lead 5, same 5-5, changed 5-5",
    ),
    (
        "the last answer in other words, whole second",
        [*THREE[:5], answer("one two three four", 1035)],
        [*THREE[:5], answer("nothing of that", 1035)],
        "lead 5, gone 5, new 5",
    ),
    (
        "the last answer in other words, fine stamp",
        [*THREE[:5], answer("one two three four", 1035.25)],
        [*THREE[:5], answer("nothing of that", 1035.25)],
        "lead 5, same 5-5, changed 5-5",
    ),
    (
        "a question and its answer in other words, whole seconds",
        THREE,
        [*THREE[:4], user("quite another", 1030), answer("like answer 3", 1035)],
        "lead 4, gone 4 5, new 4 5",
    ),
    (
        "the same question, and another answer",
        THREE,
        [*THREE[:5], answer("zzz", 1035)],
        "lead 5, gone 5, new 5",
    ),
    (
        "three answers in other words at the same whole seconds",
        [THREE[0], answer("aa", 2), answer("bb", 3), answer("cc", 4)],
        [THREE[0], answer("dd", 2), answer("ee", 3), answer("ff", 4)],
        "lead 1, same 1-1 2-2 3-3, changed 1-1 2-2 3-3",
    ),
    (
        "two answers in other words at the same whole seconds",
        [THREE[0], answer("aa", 2), answer("bb", 3)],
        [THREE[0], answer("dd", 2), answer("ee", 3)],
        "lead 1, gone 1 2, new 1 2",
    ),
    (
        "a question and its answer in like words at the same whole seconds",
        [
            *THREE[:4],
            user("log in with hunter2, please", 1030),
            answer("hunter2 was right, you are in", 1035),
        ],
        [*THREE[:4], user("log in with ***, please", 1030), answer("*** was right, you are in", 1035)],
        "lead 4, same 4-4 5-5, changed 4-4 5-5",
    ),
    (
        "two words that gave way to one, at the same whole seconds",
        [
            *THREE[:4],
            user("log in as root9 with hunter2", 1030),
            answer("hunter2 was right, you are root9 again", 1035),
        ],
        [*THREE[:4], user("log in as *** with ***", 1030), answer("*** was right, you are *** again", 1035)],
        "lead 4, same 4-4 5-5, changed 4-4 5-5",
    ),
    (
        "two words that gave way to two, at the same whole seconds",
        [
            *THREE[:4],
            user("log in as root9 with hunter2", 1030),
            answer("hunter2 was right, you are root9 again", 1035),
        ],
        [*THREE[:4], user("log in as +++ with ***", 1030), answer("*** was right, you are +++ again", 1035)],
        "lead 4, gone 4 5, new 4 5",
    ),
    (
        "like words at the same whole seconds, and one more",
        [
            *THREE[:4],
            user("log in with hunter2, please", 1030),
            answer("hunter2 was right, you are in", 1035),
        ],
        [
            *THREE[:4],
            user("log in with ***, please", 1030),
            answer("*** was right, you are in", 1035),
            user("n", 1040),
        ],
        "lead 4, same 4-4 5-5, changed 4-4 5-5, new 6",
    ),
    (
        "like words of two servers at the same whole seconds",
        [*THREE[:4], user("said to B, in short", 1030), answer("10: said to B, in short", 1035)],
        [*THREE[:4], user("said to A, in short", 1030), answer("12: said to A, in short", 1035)],
        "lead 4, gone 4 5, new 4 5",
    ),
    (
        "a word more in like words at the same whole seconds",
        [*THREE[:4], user("said to B in short", 1030), answer("10: said to B in short", 1035)],
        [*THREE[:4], user("said to A here in short", 1030), answer("10: said to A here in short", 1035)],
        "lead 4, gone 4 5, new 4 5",
    ),
    (
        "a question and its answer in like words, stamps rounded to whole seconds",
        [*THREE[:4], user("said to B in short", 1030.5), answer("10: said to B in short", 1035.5)],
        [*THREE[:4], user("said to A here in short", 1030), answer("10: said to A here in short", 1035)],
        "lead 4, same 4-4 5-5, changed 4-4 5-5",
    ),
    (
        "another number at the same whole seconds",
        [*THREE[:4], user("what of chapter 41", 1030), answer("chapter 41 is long", 1035)],
        [*THREE[:4], user("what of chapter 42", 1030), answer("chapter 42 is long", 1035)],
        "lead 4, gone 4 5, new 4 5",
    ),
    (
        "no in the place of yes at the same whole seconds",
        [*THREE[:4], user("did you say yes to it", 1030), answer("yes is what I said", 1035)],
        [*THREE[:4], user("did you say no to it", 1030), answer("no is what I said", 1035)],
        "lead 4, gone 4 5, new 4 5",
    ),
    (
        "like words of two servers within the same seconds",
        [*THREE[:4], user("said to B in short", 1030.25), answer("10: said to B in short", 1035.25)],
        [
            *THREE[:4],
            user("said to A here in short", 1030.75),
            answer("10: said to A here in short", 1035.75),
        ],
        "lead 4, gone 4 5, new 4 5",
    ),
    (
        "short words, stamps rounded to whole seconds",
        [*THREE[:4], user("go 1 on", 1030.5), answer("go on it", 1035.5)],
        [*THREE[:4], user("go 1", 1030), answer("go", 1035)],
        "lead 4, gone 4 5, new 4 5",
    ),
    (
        "like words, one of them stamped otherwise",
        [
            *THREE[:4],
            user("log in with hunter2, please", 1030),
            answer("hunter2 was right, you are in", 1035),
        ],
        [*THREE[:4], user("log in with ***, please", 1030), answer("*** was right, you are in", 1036)],
        "lead 4, gone 4 5, new 4 5",
    ),
    (
        "six of eight in other words at the same whole seconds, and what is new",
        [user(f"old {number}", number) for number in range(1, 9)],
        [*[user(f"other {number}", number) for number in range(1, 7)], user("new", 99), answer("news", 100)],
        "lead 0, same 0-0 1-1 2-2 3-3 4-4 5-5, changed 0-0 1-1 2-2 3-3 4-4 5-5, gone 6 7, new 6 7",
    ),
    (
        "five of seven",
        [user(f"old {number}", number) for number in range(1, 8)],
        [*[user(f"other {number}", number) for number in range(1, 6)], user("new", 99), answer("news", 100)],
        "lead 0, gone 0 1 2 3 4 5 6, new 0 1 2 3 4 5 6",
    ),
    (
        "a conversation of six stamped anew, in like words, and one more",
        [said(one, f"{one['content']} with hunter2") for one in THREE],
        [*(later(said(one, f"{one['content']} with ***"), 900) for one in THREE), user("new", 9000)],
        "lead 0, same 0-0 1-1 2-2 3-3 4-4 5-5, changed 0-0 1-1 2-2 3-3 4-4 5-5, new 6",
    ),
    (
        "a conversation of six stamped anew, in like words, but one is missing",
        [said(one, f"{one['content']} with hunter2") for one in THREE],
        [later(said(one, f"{one['content']} with ***"), 900) for one in THREE[:5]],
        "lead 0, gone 0 1 2 3 4 5, new 0 1 2 3 4",
    ),
    (
        "a conversation of four stamped anew, in like words",
        [said(one, f"{one['content']} with hunter2") for one in THREE[:4]],
        [later(said(one, f"{one['content']} with ***"), 900) for one in THREE[:4]],
        "lead 0, gone 0 1 2 3, new 0 1 2 3",
    ),
    (
        "stamped anew, and the last two in like words",
        [*THREE[:4], *(said(one, f"{one['content']} with hunter2") for one in THREE[4:])],
        [
            *(later(one, 900) for one in THREE[:4]),
            *(later(said(one, f"{one['content']} with ***"), 900) for one in THREE[4:]),
        ],
        "lead 0, same 0-0 1-1 2-2 3-3 4-4 5-5, changed 4-4 5-5",
    ),
    (
        "a conversation of six said again with another number",
        [said(one, f"{one['content']} of chapter 41") for one in THREE],
        [later(said(one, f"{one['content']} of chapter 42"), 900) for one in THREE],
        "lead 0, gone 0 1 2 3 4 5, new 0 1 2 3 4 5",
    ),
    (
        "another conversation of six in like words",
        THREE,
        turns(3, 50, 9000),
        "lead 0, gone 0 1 2 3 4 5, new 0 1 2 3 4 5",
    ),
    (
        "stamped anew, and the last two in other words",
        THREE,
        [*(later(one, 900) for one in THREE[:4]), user("what else", 1930), answer("no more", 1935)],
        "lead 0, same 0-0 1-1 2-2 3-3, gone 4 5, new 4 5",
    ),
    (
        "the last answer without a stamp in like words",
        [*map(bare, THREE[:5]), answer("one two three four")],
        [*map(bare, THREE[:5]), answer("one two three five")],
        "lead 5, same 5-5, changed 5-5",
    ),
    (
        "the last answer without a stamp is another number",
        [*map(bare, THREE[:5]), answer("41")],
        [*map(bare, THREE[:5]), answer("42")],
        "lead 5, gone 5, new 5",
    ),
    (
        "the last answer without a stamp has another number in like words",
        [*map(bare, THREE[:5]), answer("the result is 41, I think")],
        [*map(bare, THREE[:5]), answer("the result is 42, I think")],
        "lead 5, gone 5, new 5",
    ),
    (
        "the last answer without a stamp in other words",
        [*map(bare, THREE[:5]), answer("one two three four")],
        [*map(bare, THREE[:5]), answer("nothing of that")],
        "lead 5, gone 5, new 5",
    ),
    (
        "the last question without a stamp in like words",
        [*map(bare, THREE[:4]), user("one two three four")],
        [*map(bare, THREE[:4]), user("one two three five")],
        "lead 4, gone 4, new 4",
    ),
    (
        "the last answer without a stamp in like words, and one more",
        [*map(bare, THREE[:5]), answer("one two three four")],
        [*map(bare, THREE[:5]), answer("one two three five"), user("n")],
        "lead 5, gone 5, new 5 6",
    ),
    (
        "the same id, called anew in each turn",
        [
            user("a", 1),
            calling("t0", 2),
            tool("aa", "t0", 3),
            user("b", 11),
            calling("t0", 12),
            tool("bb", "t0", 13),
        ],
        [
            user("a", 1),
            calling("t0", 2),
            tool("aa", "t0", 3),
            user("c", 21),
            calling("t0", 22),
            tool("cc", "t0", 23),
        ],
        "lead 3, gone 3 4 5, new 3 4 5",
    ),
    (
        "the same id, another call behind an answer",
        [*THREE[:2], calling("t0", 2000.25), tool("aa", "t0", 2001.25), answer("done", 2002.25)],
        [
            *THREE[:2],
            calling("t0", 3000.25, tool_calls=_called("t0", "browser")),
            tool("bb", "t0", 3001.25),
        ],
        "lead 2, gone 2 3 4, new 2 3",
    ),
    (
        "the same id, called once",
        [user("a", 1), user("b", 11), calling("t0", 12), tool("bb", "t0", 13)],
        [user("a", 1), user("b", 11), calling("t0", 22), tool("cc", "t0", 23)],
        "lead 2, same 2-2 3-3, changed 3-3",
    ),
    (
        "the same id for another call, after another question",
        [*THREE[:2], user("a", 1020), calling("t0", 1021), tool("aa", "t0", 1022), answer("so a", 1023)],
        [
            *THREE[:2],
            user("b", 1030),
            calling("t0", 1031, tool_calls=_called("t0", "browser")),
            tool("bb", "t0", 1032),
            answer("so b", 1033),
        ],
        "lead 2, gone 2 3 4 5, new 2 3 4 5",
    ),
    (
        "the same id for another call, unstamped",
        [*map(bare, THREE[:2]), user("a"), calling("t0"), tool("aa", "t0"), answer("so a")],
        [
            *map(bare, THREE[:2]),
            user("b"),
            calling("t0", tool_calls=_called("t0", "browser")),
            tool("bb", "t0"),
            answer("so b"),
        ],
        "lead 2, gone 2 3 4 5, new 2 3 4 5",
    ),
    (
        "the same id for another call, called in parts of the content",
        [*THREE[:2], user("a", 1020), answer(_used("t0", "ls"), 1021), tool("aa", "t0", 1022)],
        [*THREE[:2], user("b", 1030), answer(_used("t0", "date"), 1031), tool("bb", "t0", 1032)],
        "lead 2, gone 2 3 4, new 2 3 4",
    ),
    (
        "the same id for a call at the same time that asks for something else",
        [*THREE[:2], user("a", 1020), calling("t0", 1021), tool("aa", "t0", 1022)],
        [
            *THREE[:2],
            user("a", 1020),
            calling("t0", 1021, tool_calls=_called("t0", "browser")),
            tool("bb", "t0", 1023),
        ],
        "lead 4, same 4-4, changed 4-4",
    ),
    (
        "the output of a call, and that of a later call of the same id",
        [*THREE[:2], user("a", 1020), calling("t0", 1021), tool("aa", "t0", 1022)],
        [
            *THREE[:2],
            user("a", 1020),
            calling("t0", 1021),
            user("b", 1030),
            calling("t0", 1031),
            tool("bb", "t0", 1032),
        ],
        "lead 4, gone 4, new 4 5 6",
    ),
    (
        "three of four at the same whole seconds",
        [THREE[0], answer("aa", 2), answer("bb", 3), answer("cc", 4), answer("gg", 5)],
        [THREE[0], answer("dd", 2), answer("ee", 3), answer("ff", 4), answer("hh", 6)],
        "lead 1, gone 1 2 3 4, new 1 2 3 4",
    ),
    (
        "the same call under another id, at one fine stamp",
        [THREE[0], calling("t1", 2.25)],
        [THREE[0], calling("t2", 2.25)],
        "lead 1, same 1-1, changed 1-1",
    ),
    (
        "another call at one fine stamp",
        [THREE[0], calling("t1", 2.25)],
        [THREE[0], calling("t2", 2.25, tool_calls=_called("t2", "browser"))],
        "lead 1, gone 1, new 1",
    ),
    (
        "a call at the fine stamp of an answer",
        [THREE[0], answer("x", 2.25)],
        [THREE[0], calling("t2", 2.25, "y")],
        "lead 1, same 1-1, changed 1-1",
    ),
    (
        "two of one stamp are no sign",
        [THREE[0], answer("aa", 2.25), answer("bb", 2.25)],
        [THREE[0], answer("dd", 2.25), answer("ee", 2.25)],
        "lead 1, gone 1 2, new 1 2",
    ),
    (
        "another role at one fine stamp",
        [THREE[0], answer("aa", 2.25)],
        [THREE[0], user("dd", 2.25)],
        "lead 1, gone 1, new 1",
    ),
    ("a question at the end, stamped anew", THREE[:5], [*THREE[:4], later(THREE[4], 700)], "lead 5"),
    (
        "an answer at the end, stamped anew",
        [*THREE[:4], answer("so", 1030)],
        [*THREE[:4], answer("so", 2030)],
        "lead 5",
    ),
    (
        "two of three at the end, stamped anew",
        THREE[:5],
        [*THREE[:2], later(THREE[2], 700), later(THREE[3], 700)],
        "lead 2, gone 2 3 4, new 2 3",
    ),
    (
        "three questions at the end, stamped anew",
        [THREE[0], user("a", 2000), user("b", 2001), user("c", 2002)],
        [THREE[0], user("a", 3000), user("b", 3001), user("c", 3002)],
        "lead 1, gone 1 2 3, new 1 2 3",
    ),
    (
        "a compacted beginning, stamped anew",
        [user("[CONTEXT COMPACTION — REFERENCE ONLY] x", 2000), user("b", 2001), user("c", 2002)],
        [user("[CONTEXT COMPACTION — REFERENCE ONLY] x", 3000), user("b", 3001), user("c", 3002)],
        "lead 0, same 0-0 1-1 2-2",
    ),
    (
        "three at the end, the third in other words",
        [*THREE[:4], answer("so", 1030)],
        [THREE[0], later(THREE[1], 900), later(THREE[2], 900), answer("so it is", 3030)],
        "lead 1, gone 1 2 3 4, new 1 2 3",
    ),
    (
        "stamped anew with a tool id that came",
        [THREE[0], answer("x", 2000), answer("call", 2001), answer("y", 2002)],
        [THREE[0], answer("x", 3000), calling("t1", 3001, "call"), answer("y", 3002)],
        "lead 1, same 1-1 2-2 3-3",
    ),
    (
        "stamped anew, a tool id went",
        [THREE[0], answer("x", 2000), calling("t1", 2001, "call"), answer("y", 2002)],
        [THREE[0], answer("x", 3000), answer("call", 3001), answer("y", 3002)],
        "lead 1, gone 1 2 3, new 1 2 3",
    ),
    (
        "a recovered prompt, and the same said before it",
        [*THREE[:2], user("ask", 1020, _recovered=True)],
        [*THREE[:2], user("news", 500), user("ask", 600)],
        "lead 2, gone 2, new 2 3",
    ),
    (
        "a recovered prompt, and the same a second before it",
        [*THREE[:2], user("ask", 1020, _recovered=True)],
        [*THREE[:2], user("news", 500), user("ask", 1019)],
        "lead 2, same 2-3, sent 2-3, new 2",
    ),
    (
        "a recovered prompt, and the same without a stamp",
        [*THREE[:2], user("ask", 1020, _recovered=True)],
        [*THREE[:2], user("news", 500), user("ask")],
        "lead 2, same 2-3, new 2",
    ),
    (
        "a recovered prompt without a stamp",
        [*THREE[:2], user("ask", _recovered=True), user("o", 1)],
        [*THREE[:2], user("news", 500), user("ask", 700)],
        "lead 2, same 2-3, sent 2-3, gone 3, new 2",
    ),
    (
        "a prompt that was not recovered",
        [*THREE[:2], user("ask", 1020)],
        [*THREE[:2], user("news", 1500), user("ask", 1600)],
        "lead 2, gone 2, new 2 3",
    ),
    (
        "a recovered answer is no prompt",
        [*THREE[:2], answer("ask", 1020, _recovered=True)],
        [*THREE[:2], user("news", 1500), answer("ask", 1600)],
        "lead 2, gone 2, new 2 3",
    ),
    (
        "a recovered prompt, then another",
        [*THREE[:2], user("ask", 1020, _recovered=True), user("more", 1021)],
        [*THREE[:2], user("news", 1500), user("ask", 1600)],
        "lead 2, same 2-3, sent 2-3, gone 3, new 2",
    ),
    (
        "a question was emptied",
        [*THREE[:4], user("about it", 1030)],
        [*THREE[:4], user("", 1030)],
        "lead 4, cut 4-4",
    ),
    (
        "an answer was emptied, and calls",
        [*THREE[:3], answer(LONG, 1025)],
        [*THREE[:3], calling("t1", 1025)],
        "lead 3, gone 3, new 3",
    ),
    (
        "an answer was cut short, and another went",
        [*THREE[:3], answer(LONG, 1025), user("o", 1026)],
        [*THREE[:3], answer(LONG[:20], 1025)],
        "lead 3, cut 3-3, gone 4",
    ),
    *(
        (
            f"an answer was cut short, and ends with {mark}",
            [*THREE[:3], answer(3 * LONG, 1025)],
            [*THREE[:3], answer(LONG[:20] + mark, 1025)],
            "lead 3, cut 3-3",
        )
        for mark in (
            "...",
            "…",
            " [truncated]",
            "\n[... 12,000 characters omitted ...]",
            "… (output truncated)",
        )
    ),
    (
        "a question was cut short, and says so",
        [*THREE[:4], user(LONG, 1030), *THREE[:1]],
        [*THREE[:4], user(LONG[:20] + "...", 1030), *THREE[:1]],
        "lead 4, same 5-5, cut 4-4",
    ),
    *(
        (
            f"a password at the end of a question gave way to {mark}",
            [*THREE[:4], user(f"{LONG} and it is {'k' * 64}", 1030), *THREE[:1]],
            [*THREE[:4], user(f"{LONG} and it is {mark}", 1030), *THREE[:1]],
            "lead 4, same 4-4 5-5, changed 4-4",
        )
        for mark in ("...", "[omitted]")
    ),
    (
        "a secret at the end of an answer was taken out",
        [*THREE[:3], answer(f"{LONG} and the key is {'k' * 64}", 1025.5)],
        [*THREE[:3], answer(f"{LONG} and the key is [removed]", 1025.5)],
        "lead 3, same 3-3, changed 3-3",
    ),
    (
        "the second of two was cut short",
        [*THREE[:3], user("o", 1024), answer(LONG, 1025)],
        [*THREE[:3], user("n", 1023), answer(LONG[:20], 1025)],
        "lead 3, gone 3 4, new 3 4",
    ),
    (
        "cut short where nothing is the same before it",
        [answer(LONG, 1025), user("o", 1026)],
        [answer(LONG[:20], 1025), user("n", 5000)],
        "lead 0, cut 0-0, gone 1, new 1",
    ),
    (
        "cut short, one of them unstamped",
        [*THREE[:3], answer(LONG, 1025)],
        [*THREE[:3], answer(LONG[:20])],
        "lead 3, cut 3-3",
    ),
    (
        "between equal ones at one stamp that both have twice",
        [THREE[0], answer("aa", 2.5), answer("bb", 2.5), THREE[5]],
        [THREE[0], answer("ac", 2.5), answer("bd", 2.5), THREE[5]],
        "lead 1, same 1-1 2-2 3-3, changed 1-1 2-2",
    ),
    (
        "between equal ones, unstamped, of other words",
        [bare(THREE[0]), answer("aaaa"), bare(THREE[5])],
        [bare(THREE[0]), answer("zzzz"), bare(THREE[5])],
        "lead 1, same 2-2, gone 1, new 1",
    ),
    (
        "between equal ones, the same call under another id",
        [bare(THREE[0]), calling("t1"), bare(THREE[5])],
        [bare(THREE[0]), calling("t2"), bare(THREE[5])],
        "lead 1, same 1-1 2-2, changed 1-1",
    ),
    (
        "between equal ones, another call",
        [bare(THREE[0]), calling("t1"), bare(THREE[5])],
        [bare(THREE[0]), calling("t2", tool_calls=_called("t2", "browser")), bare(THREE[5])],
        "lead 1, same 2-2, gone 1, new 1",
    ),
    (
        "between equal ones, a call that came",
        [bare(THREE[0]), answer("ab"), bare(THREE[5])],
        [bare(THREE[0]), calling("t2", None, "ab"), bare(THREE[5])],
        "lead 1, same 1-1 2-2",
    ),
    (
        "between equal ones, one unstamped",
        [THREE[0], answer("aaaa", 2), THREE[5]],
        [THREE[0], answer("aaab"), THREE[5]],
        "lead 1, same 1-1 2-2, changed 1-1",
    ),
    (
        "between equal ones, tools in other words",
        [bare(THREE[0]), calling("t1"), tool("aa", "t1"), bare(THREE[5])],
        [bare(THREE[0]), calling("t1"), tool("zz", "t1"), bare(THREE[5])],
        "lead 2, same 2-2 3-3, changed 2-2",
    ),
    (
        "two changed, one in each gap",
        [THREE[0], answer("aaaa"), THREE[2], answer("bbbb"), THREE[4]],
        [THREE[0], answer("aaab"), THREE[2], answer("bbba"), THREE[4]],
        "lead 1, same 1-1 2-2 3-3 4-4, changed 1-1 3-3",
    ),
    (
        "one moved beside one that was changed",
        [THREE[0], answer("aaaa", 2.25), THREE[1], THREE[2]],
        [THREE[0], THREE[2], answer("aaab", 2.25), THREE[1]],
        "lead 1, same 3-1, moved 2-3, gone 1, new 2",
    ),
    (
        "a user's partial",
        [*THREE[:2], user("answer", 1017, _partial=True)],
        [*THREE[:2], answer("answer 2", 1018)],
        "lead 2, gone 2, new 2",
    ),
    (
        "a partial whose words only a user says",
        [*THREE[:2], answer("xyz", 1017, _partial=True)],
        [*THREE[:2], user("xyz is it", 1018)],
        "lead 2, gone 2, new 2",
    ),
    (
        "a partial beside the answer that has its words",
        [*THREE[:2], answer("xyz", 1017, _partial=True), user("o", 1018)],
        [*THREE[:2], user("o", 1018), answer("it is xyz indeed", 1019)],
        "lead 2, same 3-2, harmless 2:superseded_partial, new 3",
    ),
    (
        "a partial and a later partial of the same words",
        [*THREE[:2], answer("xyz", 1017, _partial=True), user("o", 1018)],
        [*THREE[:2], user("o", 1018), answer("xyz", 1019, _partial=True)],
        "lead 2, same 3-2, harmless 2:duplicate_partial, new 3",
    ),
    (
        "a partial and a later partial of more words",
        [*THREE[:2], answer("xyz", 1017, _partial=True), user("o", 1018)],
        [*THREE[:2], user("o", 1018), answer("xyz and more", 1019, _partial=True)],
        "lead 2, same 3-2, harmless 2:superseded_partial, new 3",
    ),
    (
        "a turn was replayed, stamped within the second, and one of the two is gone",
        [*THREE[:4], later(THREE[2], 0.4), later(THREE[3], 0.4)],
        THREE[:4],
        "lead 4, harmless 4:replay 5:replay",
    ),
    (
        "a turn was said again a second later, and is gone",
        [*THREE[:4], later(THREE[2], 1.0), later(THREE[3], 1.0)],
        THREE[:4],
        "lead 4, gone 4 5",
    ),
    (
        "one message said again within the second is gone",
        [*THREE[:4], later(THREE[3], 0.4)],
        THREE[:4],
        "lead 4, gone 4",
    ),
    (
        "a replay within the second had what the first has not",
        [*THREE[:4], later(THREE[2], 0.4), later(THREE[3], 0.4) | {"reasoning": "why"}],
        THREE[:4],
        "lead 4, gone 4 5",
    ),
    (
        "another question called under the ids of the first, as two writers count on from one place",
        [*THREE[:4], user("list the files", 1040), calling("c:0", 1041), tool("a b c", "c:0", 1042)],
        [*THREE[:4], user("what day is it?", 1050), calling("c:0", 1051), tool("Monday", "c:0", 1052)],
        "lead 4, gone 4 5 6, new 4 5 6",
    ),
    (
        "another question in a word more",
        [*THREE[:4], user("go on", 1040), calling("c:0", 1041), tool("a b c", "c:0", 1042)],
        [*THREE[:4], user("go on then", 1050), calling("c:0", 1051), tool("Monday", "c:0", 1052)],
        "lead 4, gone 4 5 6, new 4 5 6",
    ),
    (
        "answers in another role",
        THREE,
        [message | {"role": message["role"].replace("assistant", "model")} for message in THREE],
        "lead 1, same 1-1 2-2 3-3 4-4 5-5, changed 1-1 3-3 5-5",
    ),
    (
        "the same words in another role at another time",
        [*THREE[:5], answer("yes", 1035)],
        [*THREE[:5], user("yes", 1036)],
        "lead 5, gone 5, new 5",
    ),
    (
        "the same without stamps",
        [*THREE[:4], user("list the files"), calling("c:0"), tool("a b c", "c:0")],
        [*THREE[:4], user("what day is it?"), calling("c:0"), tool("Monday", "c:0")],
        "lead 4, gone 4 5 6, new 4 5 6",
    ),
    (
        "a question with a word taken out, stamped anew, and what its call brought was pruned",
        [
            *THREE[:4],
            user("list the files of hunter2", 1040),
            calling("c:0", 1041),
            tool("a b c", "c:0", 1042),
        ],
        [
            *THREE[:4],
            user("list the files of ***", 1050),
            calling("c:0", 1051),
            tool("[pruned]", "c:0", 1052),
        ],
        "lead 4, same 4-4 5-5 6-6, changed 4-4 6-6",
    ),
    (
        "a question in other words at its own time, and what its call brought was pruned",
        [*THREE[:4], user("my key is hunter2", 1040), calling("c:0", 1041), tool("a b c", "c:0", 1042)],
        [*THREE[:4], user("***", 1040), calling("c:0", 1041), tool("[pruned]", "c:0", 1042)],
        "lead 4, same 4-4 5-5 6-6, changed 4-4 6-6",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_makes_two_messages_one(old: list[Any], new: list[Any], expected: str) -> None:
    assert in_words(compare(messages(old), messages(new))) == expected


@pytest.mark.parametrize(
    ("before", "after", "are_alike"),
    [
        (user("the same"), user("the same"), True),
        (user("abcdefgh"), user("abcdxxxx"), True),
        (user("abcdefgh"), user("abcxxxxx"), False),
        (user("abcdefgh"), user("xxxxefgh"), True),
        (user("abcdefgh"), user("xxxxxfgh"), False),
        (user("abcdefgh"), user("abxxxxgh"), True),
        (user("abcdefgh"), user("axxxxxgh"), False),
        (user("abc"), user("abc and much more than there was before"), True),
        (user("abc"), user("much more than there was before, then abc"), True),
        (user("abc"), user("ab and much more than there was before, then c"), True),
        (user("a b c d e f g h"), user("x b x d e x g h"), True),
        (user("a b c d e f g h"), user("x b x d x f x h"), True),
        (user("a b c d e f g h"), user("x b x d x f x x"), False),
        (user("a b c d"), user("d a x x"), True),
        (user("abd"), user("ab and much more than there was before, then c"), False),
        (user("aaaa"), user("aaaaaaaaaaaaaaaa"), True),
        (user(""), user("abc"), False),
        (answer(""), answer("abc"), True),
        (calling("t1"), calling("t1", words="abc"), True),
        (tool("", "t1"), tool("abc", "t1"), True),
        (tool("abc", "t1"), tool("xyz", "t1"), True),
        (answer("abc"), answer("xyz"), False),
        (answer("the same"), answer("the same", reasoning="more"), True),
        (answer("<tool_call>run</tool_call>"), answer("abc"), False),
    ],
)
def test_half_of_the_text_or_of_the_words_makes_two_messages_alike(
    before: Value, after: Value, are_alike: bool
) -> None:
    [one, other] = messages([before, after])
    assert alike(one, other) == are_alike
