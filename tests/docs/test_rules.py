"""docs/judgement.md is what the rules say of themselves."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hermesguard.judge.judge import TABLE
from hermesguard.webui import benign, session
from tools.docs.rules import markdown

ROOT = Path(__file__).parents[2]


def test_the_page_is_current() -> None:
    command = [sys.executable, "-W", "error", "-m", "tools.docs.rules"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    committed = (ROOT / "docs/judgement.md").read_text(encoding="utf-8")
    assert printed == committed, "run: python -m tools.docs.rules > docs/judgement.md"


@pytest.mark.parametrize("number", [*map(str, range(1, 26)), "4b", "6a", "8b", "8c", "8d", "11b"])
def test_every_rule_is_on_the_page_once(number: str) -> None:
    [entry] = [entry for entry in TABLE if entry.number == number]
    [line] = re.findall(rf"^\| {number} \|.*$", markdown().split("\n## ")[1], re.MULTILINE)
    assert [cell.strip() for cell in line.strip("|").split(" | ")] == [
        number,
        entry.name,
        entry.evidence,
        entry.judgement,
    ]


def test_every_harmless_kind_and_every_key_is_on_the_page() -> None:
    page = markdown()
    for kind in (*benign.SUPERSEDED, *benign.UNSAID, *benign.CHANGING):
        assert f"| {kind.__name__.replace('_', ' ')} | {kind.__doc__} |" in page
    for key, release in session.WRITERS:
        assert f"| `{key}` | {release} |" in page
