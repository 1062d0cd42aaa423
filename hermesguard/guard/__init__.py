"""One visit to one session; the only place where a verdict becomes an act."""
