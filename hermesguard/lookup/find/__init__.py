"""Searching the text of all copies."""
