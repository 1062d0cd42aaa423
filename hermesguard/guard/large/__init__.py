"""Sessions that are too large to be read at once, and work that would hold the loop."""
