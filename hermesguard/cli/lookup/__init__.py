"""What commands look up: which guard is meant, how a command is typed here, what a user may miss, where words stand."""
