"""Every command that the pages for people name is a command, and the README shows the way to all of them."""

import re
from pathlib import Path

import pytest

from hermesguard.cli.verbs import VERBS

ROOT = Path(__file__).parents[2]
NAMES = {verb.name for verb in VERBS}
PAGES = sorted([*ROOT.glob("*.md"), *(path for path in ROOT.glob("docs/*.md"))])


def named(text: str) -> set[str]:
    """The verbs that a page names in code, as in `hermesguard status` or a line of a block."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    (.*)$", text, re.MULTILINE)
    code = [*re.findall(r"`([^`\n]+)`", text), *indented, *"".join(blocks).splitlines()]
    verbs = (re.match(r"(?:sudo )?hermesguard (?:--store \S+ )?([a-z]+)\b", line) for line in code)
    return {verb[1] for verb in verbs if verb}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    assert named(page.read_text("utf-8")) - NAMES == set()


def test_a_command_that_does_not_exist_is_found() -> None:
    assert named("`hermesguard frobnicate`\nhermesguard is prose\n```sh\nhermesguard status\n```\n") == {
        "frobnicate",
        "status",
    }
