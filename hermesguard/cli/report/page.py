"""The page that `report` writes: one HTML file that needs no network and no script. Titles and ids, no message text.

Where a browser runs its one script, which the page's own policy names by its hash, there is a field to search the tables.
"""

import base64
import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote

from hermesguard.events.event import plain

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_LONG_WORD: Final = 30
_STYLE: Final = """
:root { color-scheme: light dark; --text: #1b1b1b; --faint: #555; --line: #ddd; --page: #fff; --raised: #f5f5f2;
  --link: #1d5f8a; --well: #2d6a4f; --unwell: #9e2a2b; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e3; --faint: #a9a9a4; --line: #3d3d3b; --page: #171716; --raised: #242423;
    --link: #7fc1ea; --well: #5fb58d; --unwell: #e2686a; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: var(--text);
  background: var(--page); overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
a { color: var(--link); }
.health { font-size: 1.1rem; padding: .7rem 1rem; border-left: .4rem solid; background: var(--raised); }
.well { border-color: var(--well); }
.unwell { border-color: var(--unwell); }
.faint, figcaption { color: var(--faint); }
figure { margin: 0; }
svg { width: 100%; height: auto; }
svg text { fill: var(--text) !important; }
svg .axis path, svg .axis line { stroke: var(--line) !important; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: start; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: end; padding-right: 1.6rem; }
.list td { overflow-wrap: break-word; }
.list td.long, code span.long { overflow-wrap: anywhere; white-space: normal; }
.facts td:first-child, td.time, td.id, th { white-space: nowrap; overflow-wrap: normal; }
code { font-size: .9em; }
code span { display: inline-block; max-width: 100%; white-space: nowrap; }
tr, h2 { scroll-margin-top: 4rem; }
tr:target { outline: .15rem solid var(--well); }
#search { position: sticky; top: 0; background: var(--page); padding: .5rem 0; margin-top: 1.5rem; }
#search input { font: inherit; width: 100%; box-sizing: border-box; padding: .4rem .6rem; color: inherit;
  background: var(--raised); border: 1px solid var(--faint); border-radius: .3rem; }
[hidden] { display: none !important; }
@media (max-width: 60rem) {
  figure { overflow-x: auto; }
  svg { min-width: 40rem; }
  .list, .list tbody, .list tr, .list td { display: block; width: auto; }
  .list thead { display: none; }
  .list tr { padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .list td, .list td.number { border: 0; padding: .1rem 0 .1rem 6.5rem; text-align: start; }
  .list td { position: relative; min-height: 1.5em; }
  .list td::before { position: absolute; left: 0; color: var(--faint); white-space: nowrap; }
}
"""
_SCRIPT: Final = """
(() => {
  const bar = document.getElementById("search");
  const [field, found] = [bar.querySelector("input"), bar.querySelector("output")];
  const textOf = row => [...row.cells].map(cell => cell.textContent).join(" ").toLowerCase();
  const rows = [...document.querySelectorAll(".list tbody tr")].map(row => [row, textOf(row)]);
  const search = () => {
    const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const phrase = words.join(" ");
    // As they stand together, if they do anywhere, else wherever in a line.
    const isTogether = rows.some(([, text]) => text.includes(phrase));
    let count = 0;
    for (const [row, text] of rows) {
      row.hidden = !(isTogether ? text.includes(phrase) : words.every(word => text.includes(word)));
      count += !row.hidden;
    }
    found.textContent = words.length ? `${count} of ${rows.length} lines` : "";
  };
  const follow = () => {
    const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (row && row.hidden) {
      field.value = "";
      search();
      row.scrollIntoView();
    }
  };
  field.addEventListener("input", search);
  addEventListener("hashchange", follow);
  bar.hidden = false;
  search();
})();
"""
_SEARCH: Final = (
    '<p id="search" hidden><input type="search" placeholder="Search titles, ids, states" aria-label="Search the tables">'
    ' <output class="faint"></output></p>'
)
_HASH: Final = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
# Nothing may be loaded, and no script but this page's own may run, even if something slipped in.
_POLICY: Final = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of plain text; `numbers` are the columns that are set to the right."""

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    empty: str
    numbers: frozenset[int] = frozenset()
    note: str = ""
    targets: int | None = None
    """The column with the ids that links lead to, each to its line here."""
    links: int | None = None
    """The column with ids that lead to such a line, where there is one."""
    code: int | None = None
    """The column with what is to be typed."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart: its title, the SVG element, and what it shows in a sentence."""

    title: str
    svg: str
    explanation: str


def html(
    title: str,
    subtitle: str,
    health: str,
    remedies: Iterable[str],
    is_healthy: bool,
    facts: Iterable[tuple[str, str]],
    figures: Iterable[Figure],
    tables: Iterable[Table],
) -> str:
    """Return the page. Every text but the SVG is made safe here, whatever it holds."""
    state = "well" if is_healthy else "unwell"
    tables = list(tables)
    targets = {line[table.targets] for table in tables if table.targets is not None for line in table.lines}
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="faint">{_text(subtitle)}</p>',
        f'<p class="health {state}">{_text(health)}'
        + "".join(f"<br>{_text(remedy)}" for remedy in remedies)
        + "</p>",
        _facts(facts),
        "<p>"
        + " · ".join(
            f'<a href="#table-{number}">{_text(table.title)}</a> ({len(table.lines):,})'
            for number, table in enumerate(tables)
        )
        + "</p>",
    ]
    for figure in figures:
        parts.append(f"<h2>{_text(figure.title)}</h2>")
        parts.append(f"<figure>{figure.svg}<figcaption>{_text(figure.explanation)}</figcaption></figure>")
    parts.append(_SEARCH)
    for number, table in enumerate(tables):
        parts.append(f'<h2 id="table-{number}">{_text(table.title)}</h2>')
        if table.lines:
            parts.append(_list(f"list-{number}", table, targets))
            parts.append(f'<p class="faint">{_text(table.note)}</p>' if table.note else "")
        else:
            parts.append(f"<p>{_text(table.empty)}</p>")
    body = "\n".join(filter(None, parts))
    labels = "".join(_labels(f"list-{number}", table) for number, table in enumerate(tables))
    style = f"{_STYLE}@media (max-width: 60rem) {{\n{labels}}}\n"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    lines = (f"<tr><td>{_cell(name)}</td><td>{_cell(value)}</td></tr>" for name, value in facts)
    return '<table class="facts">\n<tbody>\n' + "\n".join(lines) + "\n</tbody>\n</table>"


def _labels(name: str, table: Table) -> str:
    """Return the style that writes the name of its column before each cell, where the table is too narrow for columns."""
    return "".join(
        f'#{name} td:nth-child({place})::before {{ content: "{_text(column)}"; }}\n'
        for place, column in enumerate(table.columns, 1)
    )


def _list(name: str, table: Table, targets: Collection[str]) -> str:
    def heading(place: int, column: str) -> str:
        kind = ' class="number"' if place in table.numbers else ""
        return f"<th{kind}>{_cell(column)}</th>"

    def cell(place: int, text: str) -> str:
        shown = _cell(text)
        kind = "time" if _TIME.fullmatch(text) else ""
        if place != table.code and max(map(len, text.split()), default=0) > _LONG_WORD:
            kind = "long"  # only such a word may be broken to keep the columns on the page
        if place in table.numbers:
            kind = "number"
        elif place == table.code:
            shown = f"<code>{' '.join(map(_typed, text.split(' ')))}</code>"
        elif place in (table.links, table.targets):
            kind = "id"
            if place == table.links and text in targets:
                shown = f'<a href="#session-{_text(quote(text))}">{shown}</a>'
        return f'<td class="{kind}">{shown}</td>' if kind else f"<td>{shown}</td>"

    def row(cells: Sequence[str]) -> str:
        target = "" if table.targets is None else f' id="session-{_text(cells[table.targets])}"'
        return f"<tr{target}>{''.join(cell(place, text) for place, text in enumerate(cells))}</tr>"

    head = "".join(heading(place, column) for place, column in enumerate(table.columns))
    body = "\n".join(map(row, table.lines))
    return f'<table class="list" id="{name}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>'


def _typed(word: str) -> str:
    """Return a word of a command: else a line would end after its "--"."""
    kind = ' class="long"' if len(word) > _LONG_WORD else ""
    return f"<span{kind}>{_text(word)}</span>"


def _cell(text: str) -> str:
    return f"<bdi>{_text(text)}</bdi>"


def _text(text: str) -> str:
    return escape(plain(text))
