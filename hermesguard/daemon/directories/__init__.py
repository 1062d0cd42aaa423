"""The sessions directories that one guard guards: each watched and scanned for itself, all of them found and kept together."""
