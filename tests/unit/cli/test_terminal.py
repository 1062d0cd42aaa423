import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.tables import Cell, Column, facts, table
from hermesguard.cli.output.terminal import Screen, Style, columns_of, cut

HEBREW = "שלום עולם"
JAPANESE = "庭の手入れ"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def a_screen(width=80, *, is_terminal=False, has_colour=False, is_ascii=False):
    return Screen(io.StringIO(), width, 24, is_terminal, has_colour, is_ascii)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environment", "has_colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_only_where_they_are_wanted(environment, has_colour):
    assert screen.of(Terminal(), environment).has_colour is has_colour
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert not screen.of(pipe, environment).has_colour


@pytest.mark.parametrize(
    ("encoding", "environment", "is_ascii"),
    [
        ("utf-8", {}, False),
        ("UTF8", {"LANG": "C"}, False),
        ("utf-8", {"LC_ALL": "C"}, True),
        ("ascii", {}, True),
        ("iso-8859-1", {}, True),
    ],
)
def test_ascii_where_nothing_else_is_understood(encoding, environment, is_ascii):
    assert screen.of(io.TextIOWrapper(io.BytesIO(), encoding=encoding), environment).is_ascii is is_ascii


def test_a_pipe_gets_whole_lines_unless_columns_says_otherwise():
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert screen.of(pipe, {}).width == screen.UNBOUNDED
    assert screen.of(pipe, {"COLUMNS": "60"}).width == 60
    for wrong in ("wide", "0", "-5", "²", "9" * 20, "9" * 5000):
        assert screen.of(pipe, {"COLUMNS": wrong}).width == screen.UNBOUNDED


@pytest.mark.parametrize(
    ("text", "columns"),
    [("plain", 5), (HEBREW, 9), (JAPANESE, 10), ("e\u0301", 1), ("\u200eab\u200e", 2), ("", 0)],
)
def test_columns_of_text(text, columns):
    assert columns_of(text) == columns


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Cn", "Co"))), st.integers(0, 30))
def test_cut_text_fits_and_loses_nothing_that_would_fit(text, columns):
    short = cut(text, columns)
    assert columns_of(short) <= columns
    if columns_of(text) <= columns:
        assert short == text
    elif columns:
        assert short.endswith("…")
        assert text.startswith(short[:-1])


@given(st.text())
def test_no_text_can_command_the_terminal(text):
    for here in (a_screen(), a_screen(is_ascii=True)):
        for line in (here.safe(text), here.cell(text)):
            line = line.replace("\u200e", "")
            assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in line), line
            assert not any(
                unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "RLI") for c in line
            )
    assert a_screen(is_ascii=True).safe(text).isascii()


@given(st.text("ab \t\x1f\x7fé", max_size=8))
def test_a_cell_has_single_spaces_whatever_stood_there(text):
    assert a_screen().cell(text) == a_screen().safe(" ".join(text.split()))


def test_an_escape_sequence_in_a_title_is_shown_and_not_sent():
    assert a_screen().cell("\x1b]0;owned\x07 \x9b31m\u202eabc") == "\\x1b]0;owned\\x07 \\x9b31m\\u202eabc"


COLUMNS = (Column("ID"), Column("TITLE", least=8), Column("ROWS", is_right=True), Column("WHEN", rank=1))
ROWS = [
    ("3f2a", "The garden in spring, and what to plant", "1000", "2026-11-22 10:00"),
    ("9", HEBREW, Cell("7", Style.RED), "2026-11-22 10:01"),
    ("a1", JAPANESE, "12", "2026-11-22 10:02"),
    ("b2", FAMILY + " family", "3", "-"),
    ("c3", "one\nline\x1b[2J\t only", "3", "-"),
]


@pytest.mark.parametrize("width", [24, 30, 40, 60, 80, 200, screen.UNBOUNDED])
def test_tables_fit_and_stay_straight(width):
    lines = table(a_screen(width), COLUMNS, ROWS).splitlines()
    assert len(lines) == 1 + len(ROWS)
    assert max(map(columns_of, lines)) <= width
    start = lines[0].index("ROWS") + 4
    for line, number in zip(lines[1:], ("1000", "7", "12", "3", "3"), strict=True):
        reached, seen = 0, ""
        for character in line.replace("\u200e", ""):
            reached = columns_of(seen + character)
            seen += character
            if reached == start:
                break
        assert seen.endswith(number), line


def test_a_narrow_table_leaves_out_the_less_important_columns():
    wide = table(a_screen(200), COLUMNS, ROWS)
    assert "The garden in spring, and what to plant" in wide
    assert "2026-11-22 10:00" in wide
    narrow = table(a_screen(30), COLUMNS, ROWS)
    assert "WHEN" not in narrow
    assert "3f2a  The garden in spr…  1000" in narrow


def test_right_to_left_cells_are_fenced_so_that_their_neighbours_stay():
    line = table(a_screen(), COLUMNS, ROWS).splitlines()[2]
    assert f"\u200e{HEBREW}\u200e" in line
    narrow = table(a_screen(26), COLUMNS, ROWS).splitlines()[2]
    assert narrow.count("\u200e") == 2


def test_an_ascii_screen_gets_ascii():
    text = table(a_screen(30, is_ascii=True), COLUMNS, ROWS)
    assert text.isascii()
    assert "The garden in spr~" in text


def test_colours_do_not_move_columns():
    plain = table(a_screen(60), COLUMNS, ROWS)
    coloured = table(a_screen(60, has_colour=True), COLUMNS, ROWS)
    assert "\x1b[31m7\x1b[0m" in coloured
    for code in ("\x1b[31m", "\x1b[1m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_facts_stand_below_each_other():
    assert (
        facts(a_screen(), [("store", "/s"), ("last scan", "3 s ago")]) == "store      /s\nlast scan  3 s ago"
    )


def test_the_pager_is_only_for_terminals_that_are_too_small(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PAGER", f"cat > {tmp_path}/paged")
    text = "\n".join(map(str, range(100)))
    pipe = a_screen()
    pipe.page(text)
    assert pipe.stream.getvalue() == text + "\n"
    tall = Screen(io.StringIO(), 80, 200, True, False, False)
    tall.page(text)
    assert tall.stream.getvalue() == text + "\n"
    assert not (tmp_path / "paged").exists()
    small = a_screen(is_terminal=True)
    small.page(text)
    assert small.stream.getvalue() == ""
    assert (tmp_path / "paged").read_text() == text + "\n"
    monkeypatch.setenv("PAGER", "no-such-pager-anywhere")
    small.page(text)
    assert small.stream.getvalue() == text + "\n"
