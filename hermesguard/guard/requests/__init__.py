"""What users ask of the guard: restore, undo, accept, purge, prune."""
