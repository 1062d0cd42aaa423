"""The lists that the application keeps beside its sessions: its index, and the tombstones of what was deleted."""
