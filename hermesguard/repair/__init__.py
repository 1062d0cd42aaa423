"""Merging what was lost back, and the atomic exchange that makes it live."""
