"""The sources of the package, each read and parsed once for all tests that look into them."""

import ast
import gc
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hermesguard"
SOURCES = tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return all that a file says, as the nodes of its syntax tree."""
    # To look through so many new objects for garbage, again and again, takes twice as long as to make them.
    gc.disable()
    try:
        return tuple(ast.walk(ast.parse(path.read_text("utf-8"))))
    finally:
        gc.enable()
