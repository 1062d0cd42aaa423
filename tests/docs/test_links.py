"""Every link of the documentation leads somewhere, and no page names a document that the repository does not have."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("packaging/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> Iterator[str]:
    for link in LINK.findall(page.read_text("utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A heading\n[a](page.md#a-heading) [b](page.md#another) [c](none.md) [d](#a-heading)")
    assert list(broken(page)) == ["page.md#another", "none.md"]


def test_what_the_code_cites_of_the_application_is_a_section_of_our_page() -> None:
    sections = re.findall(r"^## (\d+)\. ", (ROOT / "docs/hermes-webui.md").read_text("utf-8"), re.MULTILINE)
    cited = [
        (path, number)
        for folder in ("hermesguard", "tests", "tools")
        for path in (ROOT / folder).rglob("*.py")
        for citation in re.findall(
            r"hermes-webui\.md,\s+sections? ((?:\d+[^.)\"]{0,60}?)+)[.)\"]", path.read_text("utf-8")
        )
        for number in re.findall(r"\b\d+\b", citation)
    ]
    assert len(cited) >= 8
    assert [f"{path}: section {number}" for path, number in cited if number not in sections] == []
