"""Output for programs: one JSON object with `schema_version`, pure ASCII, so that no terminal and no locale can spoil it."""

import json
import sys
from typing import Any, Final

SCHEMA_VERSION: Final = 2
"""Rises when a documented member goes or changes its meaning; members may be added without."""


def print_json(kind: str, members: dict[str, Any], *, is_line: bool = False) -> None:
    """Print the object on stdout: `schema_version`, `kind`, then the members; on one line when it is one of many.

    NaN and Infinity, which only Python would read back, become null.
    """
    value = {"schema_version": SCHEMA_VERSION, "kind": kind, **members}
    try:
        text = json.dumps(value, indent=None if is_line else 2, allow_nan=False)
    except ValueError:
        known = json.loads(json.dumps(value), parse_constant=lambda constant: None)
        text = json.dumps(known, indent=None if is_line else 2)
    sys.stdout.write(text + "\n")
