"""Fuzzers: what anyone could put into a session file, into the store, or into a request, against the guard."""
