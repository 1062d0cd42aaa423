"""Commands that only read: list, show, log, explain, report."""
