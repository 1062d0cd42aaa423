"""Shadows, history, incidents, retention, verification."""
