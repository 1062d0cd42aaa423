"""Options, settings, paths."""
