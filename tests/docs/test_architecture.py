"""docs/ARCHITECTURE.md is a map of the tree that is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hermesguard"
PAGE = (ROOT / "docs/ARCHITECTURE.md").read_text("utf-8")


def table() -> dict[str, list[str]]:
    """Return the packages, each with the files at which to start reading."""
    lines = re.findall(r"^\| `(\w+)/` \|.*\| ([^|]+) \|$", PAGE, re.MULTILINE)
    return {folder: re.findall(r"`([\w/]+\.py)`", files) for folder, files in lines}


def test_the_table_names_every_package_and_no_other() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert table().keys() == packages


def test_every_package_says_where_to_start() -> None:
    named = [PACKAGE / folder / file for folder, files in table().items() for file in files]
    assert len(named) >= len(table())
    assert [path for path in named if not path.exists()] == []


def test_every_module_that_is_named_is_there() -> None:
    named = set(re.findall(r"`([\w/]+/\w+\.py)`", PAGE))
    assert len(named) > 20
    roots = [ROOT, PACKAGE, *(PACKAGE / folder for folder in table())]
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []
