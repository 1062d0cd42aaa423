"""Fixtures that every test can use."""

from world import world

__all__ = ["world"]
