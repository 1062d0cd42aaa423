"""The page of the guarantees names tests that exist."""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions_of(path: str) -> set[str]:
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE)
    missing = [f"{path}::{name}" for path, name in named if name not in functions_of(path)]
    assert missing == []


def test_every_promise_names_its_limits_and_its_tests() -> None:
    promises = re.split(r"^## ", PAGE.split("\n# Retention")[0], flags=re.MULTILINE)[1:]
    assert [promise[0] for promise in promises] == list("123456789")
    for promise in promises:
        assert "Limits:" in promise
        assert NAMED.search(promise.split("Shown by")[1])
