"""What became of the messages, and of what hangs on them, from one state of a session to another."""
