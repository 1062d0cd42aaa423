"""Commands that change something: restore, undo, accept, prune, purge."""
