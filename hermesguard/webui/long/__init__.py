"""Session files of megabytes, read piece by piece."""
