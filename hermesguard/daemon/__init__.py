"""The event loop and what hosts it: supervisor, control socket, systemd, maintenance."""
