"""Telling people what the guard found: a process of its own, with the network, that follows the journal."""
