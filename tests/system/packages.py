"""The life of the Debian package: installed, used, upgraded over itself, removed, purged."""

import gzip
import os
import shutil
import subprocess
from pathlib import Path

from machine import Unit, User, guard_of, messages, run, show, until, until_whole

DEB = Path("/root/hermesguard.deb")
CONFIGURATION = Path("/etc/hermesguard/hermesguard.toml")
LIBRARY = Path("/usr/lib/hermesguard")


def _dpkg(*arguments: str | Path) -> str:
    return run("dpkg", *arguments, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def installed() -> None:
    """After the installation everything is in its place, and nothing was enabled or started."""
    show(run("dpkg-query", "--show", "hermesguard").strip() + "; " + run("python3", "--version").strip())
    assert CONFIGURATION.as_posix() in run("dpkg-query", "--show", "--showformat=${Conffiles}", "hermesguard")
    for unit in ("hermesguard.service", "hermesguard@bob.service"):
        assert Unit(unit).value("ActiveState") == "inactive"
        assert Unit(unit).value("UnitFileState") == "disabled"
    for page in ("hermesguard", "hermesguard.toml"):
        assert run("man", "--where", page).strip().endswith(".gz")
    with gzip.open("/usr/share/man/man7/hermesguard.7.gz", "rt") as page:
        assert "MESSAGE_ID" in page.read()
    sourced = "source /usr/share/bash-completion/completions/hermesguard.bash && complete -p hermesguard"
    show(run("bash", "-c", sourced).strip())
    assert list(LIBRARY.glob("hermesguard/__pycache__/*.pyc")), "not compiled: every start would take longer"


def used() -> None:
    """The commands work: the demo, a report with charts, and a service for a user."""
    alice = User("alice")
    shown = alice.run("hermesguard", "demo")
    show("\n".join(shown.splitlines()[-3:]))
    (chat,) = alice.chats(1, turns=20)
    unit = guard_of(alice)
    run("systemctl", "enable", "--now", unit.name)
    alice.wipe(chat)
    show(f"wiped and restored after {until_whole(chat) * 1000:.1f} ms")
    alice.run(
        "hermesguard", "report", "--store", alice.store, "--sessions", alice.sessions, "-o", "report.html"
    )
    assert "<svg" in (alice.home / "report.html").read_text("utf-8")


def upgraded_over_itself() -> None:
    """An upgrade keeps what the administrator wrote, and what runs goes on with the new program, each user's own service too."""
    alice = User("alice")
    run("loginctl", "enable-linger", alice.name)
    until(lambda: Path(f"/run/user/{alice.uid}/bus").exists())
    own = ("systemctl", "--user", "show", "--property", "MainPID", "--value", "hermesguard.service")
    bob = User("bob")
    alice.run("systemctl", "--user", "start", "hermesguard", check=False)
    before = alice.run(*own).strip()
    unit, idle = guard_of(alice), guard_of(bob)
    pid = unit.pid
    CONFIGURATION.write_text(CONFIGURATION.read_text("utf-8") + "\nkeep_versions = 7\n")
    _dpkg("--install", DEB)
    assert "keep_versions = 7" in CONFIGURATION.read_text("utf-8")
    assert unit.pid not in (0, pid)
    assert unit.value("ActiveState") == "active"
    assert idle.value("ActiveState") == "inactive"
    until(lambda: alice.run(*own).strip() not in ("0", before), what="the user's own service, restarted")
    alice.run("systemctl", "--user", "stop", "hermesguard")
    (chat,) = alice.chats(1)
    alice.wipe(chat)
    show(f"process {pid}, now {unit.pid}; wiped and restored after {until_whole(chat) * 1000:.1f} ms")


def removed() -> None:
    """A removal stops every instance, and leaves configuration and copies where they are."""
    alice = User("alice")
    pid = guard_of(alice).pid
    _dpkg("--remove", "hermesguard")
    assert not Path(f"/proc/{pid}").exists()
    assert not LIBRARY.exists(), sorted(LIBRARY.rglob("*"))[:5]
    assert not Path("/usr/bin/hermesguard").exists()
    assert CONFIGURATION.exists()
    assert list((alice.store / "shadows").iterdir())
    show(f"stopped, {alice.store} and {CONFIGURATION} are there")


def purged_without_an_answer() -> None:
    """A purge that nobody answers keeps the copies and says where they are."""
    alice = User("alice")
    said = _dpkg("--purge", "hermesguard")
    show(next(line for line in said.splitlines() if line.startswith("hermesguard:")))
    assert alice.store.as_posix() in said
    assert list((alice.store / "shadows").iterdir())
    assert not CONFIGURATION.parent.exists()
    assert not Path("/etc/systemd/system/multi-user.target.wants/hermesguard@alice.service").is_symlink()


def _conversations(user: User) -> dict[str, bytes]:
    """Return all files of the application by name, without the guard's own temporary file, which goes with the guard."""
    own = ".hermesguard-"
    found = (path for path in user.sessions.iterdir() if not path.name.startswith(own))
    return {path.name: path.read_bytes() for path in found}


def purged_with_the_copies() -> None:
    """A purge that is told so removes every store, nothing else; the sessions are not touched."""
    alice = User("alice")
    _dpkg("--install", DEB)
    unit = guard_of(alice)
    unit.start()
    show(f"installed again: {unit.status()}")
    other = Path("/var/lib/hermesguard-other")
    other.mkdir()
    answer = "hermesguard hermesguard/purge-store boolean true\n"
    subprocess.run(["debconf-set-selections"], input=answer, text=True, check=True)
    kept = _conversations(alice)
    _dpkg("--purge", "hermesguard")
    assert not alice.store.exists()
    assert other.exists()
    assert _conversations(alice) == kept
    left = run("find", "/etc", "/usr", "/var/lib", "-xdev", "-name", "*hermesguard*", "-not", "-path", other)
    show(f"left of it: {left.strip() or 'nothing'}")
    assert not left
    shutil.rmtree(other)
    (chat,) = alice.chats(1)
    assert messages(chat) == 10
