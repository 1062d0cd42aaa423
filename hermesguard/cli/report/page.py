"""The page that `report` writes: one HTML file that needs no network and no script. Titles and ids, no message text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from hermesguard.events.event import plain

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_STYLE: Final = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
.health { font-size: 1.1rem; padding: .7rem 1rem; border-left: .4rem solid; background: #f5f5f2; }
.well { border-color: #2d6a4f; }
.unwell { border-color: #9e2a2b; }
.faint, figcaption { color: #555; }
figure { margin: 0; }
svg { width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: start; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
td.number, th.number { text-align: end; padding-right: 1.6rem; }
td:first-child, td.time { white-space: nowrap; }
tr:target { outline: .15rem solid #2d6a4f; }
@media (max-width: 45rem) {
  figure { overflow-x: auto; }
  svg { min-width: 40rem; }
  table.list { display: block; overflow-x: auto; white-space: nowrap; }
}
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of plain text; `numbers` are the columns that are set to the right."""

    title: str
    columns: Sequence[str]
    messages: Sequence[Sequence[str]]
    empty: str
    numbers: frozenset[int] = frozenset()
    note: str = ""
    targets: int | None = None
    """The column with the ids that links lead to, each to its line here."""
    links: int | None = None
    """The column with ids that lead to such a line."""


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
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="faint">{_text(subtitle)}</p>',
        f'<p class="health {state}">{_text(health)}'
        + "".join(f"<br>{_text(remedy)}" for remedy in remedies)
        + "</p>",
        _messages("facts", (), list(facts), frozenset()),
    ]
    for figure in figures:
        parts.append(f"<h2>{_text(figure.title)}</h2>")
        parts.append(f"<figure>{figure.svg}<figcaption>{_text(figure.explanation)}</figcaption></figure>")
    for table in tables:
        parts.append(f"<h2>{_text(table.title)}</h2>")
        if table.messages:
            parts.append(
                _messages("list", table.columns, table.messages, table.numbers, table.targets, table.links)
            )
            parts.append(f'<p class="faint">{_text(table.note)}</p>' if table.note else "")
        else:
            parts.append(f"<p>{_text(table.empty)}</p>")
    body = "\n".join(filter(None, parts))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Nothing may be loaded and no script may run, even if something slipped in.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _messages(
    kind: str,
    columns: Sequence[str],
    messages: Sequence[Sequence[str]],
    numbers: frozenset[int],
    targets: int | None = None,
    links: int | None = None,
) -> str:
    def start(tag: str, place: int, cell: str) -> str:
        if place in numbers:
            return f'{tag} class="number"'
        return f'{tag} class="time"' if tag == "td" and _TIME.fullmatch(cell) else tag

    def cells(tag: str, message: Sequence[str]) -> str:
        found = []
        for place, cell in enumerate(message):
            text = f"<bdi>{_text(cell)}</bdi>"
            if place == links and tag == "td" and cell:
                text = f'<a href="#session-{_text(cell)}">{text}</a>'
            found.append(f"<{start(tag, place, cell)}>{text}</{tag}>")
        return "".join(found)

    def row(message: Sequence[str]) -> str:
        target = "" if targets is None else f' id="session-{_text(message[targets])}"'
        return f"<tr{target}>{cells('td', message)}</tr>"

    head = f"<thead><tr>{cells('th', columns)}</tr></thead>\n" if columns else ""
    body = "\n".join(map(row, messages))
    return f'<table class="{kind}">\n{head}<tbody>\n{body}\n</tbody>\n</table>'


def _text(text: str) -> str:
    return escape(plain(text))
