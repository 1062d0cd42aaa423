"""Whether a machine boots here at all."""

from machine import run, show


def systemd_runs() -> None:
    """A real systemd is booted."""
    show(run("systemctl", "--version").splitlines()[0])
    show(run("systemctl", "list-units", "--failed", "--plain", "--no-legend") or "no unit has failed")
