"""These tests need no disk."""

from tests.helpers.memory import tmp_path

__all__ = ["tmp_path"]
