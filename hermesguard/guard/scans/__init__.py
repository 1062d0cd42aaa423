"""One pass over a directory: all of it, or what may have changed unheard; and what is known of each session."""
