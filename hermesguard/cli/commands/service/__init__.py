"""Commands about the guard itself: run, status, config, verify."""
