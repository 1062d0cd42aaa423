"""The other ways to run it as a service: a user's own service, the service for a user named hermeswebui, and the drop-ins."""

import os
import re
import shutil
import signal
import time
import urllib.request
from pathlib import Path

import pyrage

from machine import EXAMPLES, Receiver, Unit, User, exposure, journal, run, show, until, until_whole

UNIT = "hermesguard.service"


def _dora() -> User:
    """Return someone who has a service manager of her own."""
    dora = User("dora")
    run("loginctl", "enable-linger", dora.name)
    until(lambda: Path(f"/run/user/{dora.uid}/bus").exists(), what="a user's service manager")
    return dora


def _shown(dora: User, name: str) -> str:
    return dora.run("systemctl", "--user", "show", "--property", name, "--value", UNIT).strip()


def _line(dora: User, name: str) -> str:
    """Return the line of `hermesguard status` that begins so, whatever else the exit code says."""
    lines = dora.run("hermesguard", "status", check=False).splitlines()
    return next(line for line in lines if line.startswith(name))


def ones_own_service() -> None:
    """`systemctl --user enable --now hermesguard`: ready after the first scan, and a wipe is restored and told."""
    dora = _dora()
    dora.store = dora.home / ".local/state/hermesguard"
    (chat,) = dora.chats(1, turns=50)
    began = time.monotonic()
    dora.run("systemctl", "--user", "enable", "--now", UNIT)
    show(f"systemctl --user enable --now {UNIT}: {time.monotonic() - began:.2f} s")
    show(_shown(dora, "StatusText"))
    assert _shown(dora, "StatusText").startswith("Guarding 1 sessions with 100 messages")
    dora.wipe(chat)
    show(f"wiped and restored after {until_whole(chat) * 1000:.1f} ms")
    matches = (f"_SYSTEMD_USER_UNIT={UNIT}", f"_UID={dora.uid}", "HERMESGUARD_EVENT=restored")
    entry = until(lambda: journal(*matches))[0]
    assert entry["HERMESGUARD_SESSION"] == chat.session_id
    shown = dora.run("hermesguard", "status")
    show(shown.splitlines()[0])
    assert "All is well" in shown
    assert dora.store.stat().st_mode & 0o7777 == 0o700


def ones_own_service_is_started_again() -> None:
    """Killed, it is up again, and memory goes to it later than to what it guards."""
    dora = _dora()
    before = int(_shown(dora, "MainPID"))
    score = int(Path(f"/proc/{before}/oom_score_adj").read_text())
    other = int(Path(f"/proc/{Unit(f'user@{dora.uid}.service').pid}/oom_score_adj").read_text())
    show(f"oom_score_adj {score}; of what the user runs otherwise 200, of the manager itself {other}")
    assert score == 100
    os.kill(before, signal.SIGKILL)
    until(lambda: _shown(dora, "SubState") == "running" and int(_shown(dora, "MainPID")) not in (0, before))


def ones_own_service_is_tight_and_valid() -> None:
    """`systemd-analyze --user security` finds at most 1.6, and `verify` has not a word to say."""
    dora = _dora()
    user = ("runuser", "-u", dora.name, "--", "env", f"XDG_RUNTIME_DIR=/run/user/{dora.uid}")
    found = exposure("--user", unit=UNIT, prefix=user)
    show(f"systemd-analyze --user security {UNIT}: {found}")
    assert found <= 1.6
    said = dora.run("systemd-analyze", "--user", "verify", UNIT)
    show(f"systemd-analyze --user verify {UNIT}: {said or 'nothing'}")
    assert not said


def ones_own_notifier() -> None:
    """`systemctl --user enable --now hermesguard-notify` tells, from a configuration that nobody else may read."""
    dora = _dora()
    dora.store = dora.home / ".local/state/hermesguard"
    receiver = Receiver()
    configuration = dora.home / ".config/hermesguard/config.toml"
    with dora.at_work():
        configuration.parent.mkdir(parents=True, exist_ok=True)
        configuration.write_text(
            f'[notify]\nurls = ["json://{receiver.place}/"]\nevents = ["restored"]\ngather = "0"\n'
        )
        configuration.chmod(0o600)
    notifier = "hermesguard-notify.service"
    try:
        dora.run("systemctl", "--user", "enable", "--now", notifier)
        (chat,) = dora.chats(1)
        dora.wipe(chat)
        until_whole(chat)
        until(lambda: any(chat.session_id in text for text in receiver.heard), what="a message")
        show(_line(dora, "notify"))
        user = ("runuser", "-u", dora.name, "--", "env", f"XDG_RUNTIME_DIR=/run/user/{dora.uid}")
        found = exposure("--user", unit=notifier, prefix=user)
        show(f"systemd-analyze --user security {notifier}: {found}")
        assert found <= 1.9
        assert not dora.run("systemd-analyze", "--user", "verify", notifier)
    finally:
        dora.run("systemctl", "--user", "disable", "--now", notifier)
        configuration.unlink()
        receiver.close()


def ones_own_copies() -> None:
    """`systemctl --user enable --now hermesguard-offsite` copies to a disk that a drop-in names, and may write nowhere else."""
    dora = _dora()
    dora.store = dora.home / ".local/state/hermesguard"
    disk, copier = dora.home / "disk", "hermesguard-offsite.service"
    configuration = dora.home / ".config/hermesguard/config.toml"
    dropin = dora.home / f".config/systemd/user/{copier}.d"
    recipient = pyrage.x25519.Identity.generate().to_public()
    with dora.at_work():
        for directory in (disk, configuration.parent, dropin):
            directory.mkdir(parents=True, exist_ok=True)
        (dropin / "disk.conf").write_text("[Service]\nReadWritePaths=%h/disk\n")
        configuration.write_text(
            f'[offsite]\nurl = "file://{disk}"\nrecipients = ["{recipient}"]\ninterval = "1s"\n'
        )
    try:
        dora.run("systemctl", "--user", "daemon-reload")
        dora.run("systemctl", "--user", "enable", "--now", copier)
        until(
            lambda: "All is safe" in dora.run("hermesguard", "offsite", "status", check=False), what="copies"
        )
        show(_line(dora, "offsite"))
        assert list(disk.rglob("*.age"))
        user = ("runuser", "-u", dora.name, "--", "env", f"XDG_RUNTIME_DIR=/run/user/{dora.uid}")
        found = exposure("--user", unit=copier, prefix=user)
        show(f"systemd-analyze --user security {copier}: {found}")
        assert found <= 1.9
        assert not dora.run("systemd-analyze", "--user", "verify", copier)
    finally:
        dora.run("systemctl", "--user", "disable", "--now", copier)
        configuration.unlink()


def where_users_may_not_make_namespaces() -> None:
    """With the drop-in for kernels that allow users no namespaces it guards outside of any sandbox."""
    dora = _dora()
    dora.store = dora.home / ".local/state/hermesguard"
    dropin = dora.home / ".config/systemd/user/hermesguard.service.d"
    with dora.at_work():
        dropin.mkdir(parents=True)
        shutil.copy(EXAMPLES / "user-without-namespaces.conf", dropin)
    dora.run("systemctl", "--user", "daemon-reload")
    dora.run("systemctl", "--user", "restart", UNIT)
    pid = int(_shown(dora, "MainPID"))
    for name in ("user", "mnt", "net", "ipc"):
        assert os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/self/ns/{name}"), name
    (chat,) = dora.chats(1)
    dora.wipe(chat)
    show(f"wiped and restored after {until_whole(chat) * 1000:.1f} ms")
    dora.run("systemctl", "--user", "disable", "--now", UNIT)


def a_user_named_hermeswebui() -> None:
    """hermesguard.service guards, as shipped, the user hermeswebui."""
    webui = User("hermeswebui")
    webui.store = Path("/var/lib/hermesguard")
    (chat,) = webui.chats(1)
    unit = Unit(UNIT)
    unit.start()
    show(unit.status())
    webui.wipe(chat)
    show(f"wiped and restored after {until_whole(chat) * 1000:.1f} ms")
    unit.until_reported("restored", session=chat.session_id)


def alerts_over_the_network() -> None:
    """With the drop-in network.conf alert_command can reach a server; without it, it cannot."""
    webui = User("hermeswebui")
    webui.store = Path("/var/lib/hermesguard")
    unit = Unit(UNIT)
    receiver = Receiver()
    script = Path("/usr/local/bin/post")
    script.write_text(
        "#!/usr/bin/python3\nimport sys, urllib.request\n"
        f"urllib.request.urlopen('http://{receiver.place}/', sys.stdin.buffer.read(), timeout=10)\n"
    )
    script.chmod(0o755)
    configuration = Path("/etc/hermesguard/hermesguard.toml")
    before = configuration.read_text("utf-8")
    configuration.write_text(f'alert_command = ["{script}"]\n')
    dropin = Path("/etc/systemd/system/hermesguard.service.d")
    dropin.mkdir()
    try:
        unit.reload()
        (chat,) = webui.chats(1)
        webui.wipe(chat)
        show(unit.until_reported("hook_failed")["MESSAGE"])
        assert not receiver.heard
        shutil.copy(EXAMPLES / "network.conf", dropin)
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", UNIT)
        show(f"exposure with network.conf: {exposure(unit=UNIT)}")
        (chat,) = webui.chats(1)
        webui.wipe(chat)
        until(lambda: receiver.heard, what="an alert over the network")
        show(receiver.heard[0][:120])
        assert chat.session_id in receiver.heard[0]
    finally:
        configuration.write_text(before)
        shutil.rmtree(dropin)
        run("systemctl", "daemon-reload")
        receiver.close()
    unit.stop()


def metrics_in_the_sandbox() -> None:
    """With metrics.conf the figures are where the node exporter reads them; with network.conf the port can be scraped."""
    webui = User("hermeswebui")
    unit = Unit(UNIT)
    collected = Path("/var/lib/prometheus/node-exporter")
    collected.mkdir(parents=True)
    run("setfacl", f"--modify=user:{webui.name}:rwx", collected)
    configuration = Path("/etc/hermesguard/hermesguard.toml")
    before = configuration.read_text("utf-8")
    dropin = Path("/etc/systemd/system/hermesguard.service.d")
    dropin.mkdir()
    try:
        shutil.copy(EXAMPLES / "metrics.conf", dropin)
        configuration.write_text("metrics_port = 9664\n")
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", UNIT)
        show(unit.until_reported("metrics_failed")["MESSAGE"])
        textfile = collected / "hermesguard.prom"
        until(textfile.exists, what="the textfile")
        show(f"exposure with metrics.conf: {exposure(unit=UNIT)}")
        assert exposure(unit=UNIT) <= 0.4
        sessions = len(list(webui.sessions.glob("[0-9a-f]*.json")))
        expected = f'hermesguard_sessions{{store="/var/lib/hermesguard"}} {sessions}.0'
        read = ("runuser", "-u", "nobody", "--", "cat", textfile)
        until(lambda: expected in run(*read).splitlines(), what=expected)
        show(expected)
        shutil.copy(EXAMPLES / "network.conf", dropin)
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", UNIT)
        until(lambda: expected in _scraped(9664).splitlines(), what=f"{expected} at the port")
        show(f"{len(_scraped(9664).splitlines())} lines from http://127.0.0.1:9664/metrics")
    finally:
        configuration.write_text(before)
        shutil.rmtree(dropin)
        run("systemctl", "daemon-reload")
    unit.stop()


def _scraped(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return str(answer.read(), "utf-8")
    except OSError:
        return ""


def relaxed_as_the_documentation_says() -> None:
    """Each drop-in of docs/service.md is valid, and the guard guards with it."""
    text = (EXAMPLES.parent / "service.md").read_text("utf-8")
    blocks = re.findall(r"^### (.+?)\n.*?^```ini\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    webui = User("webui")
    webui.sessions = Path("/srv/webui/sessions")
    webui.sessions.mkdir(parents=True)
    for place in (webui.sessions.parent, webui.sessions):
        shutil.chown(place, webui.uid, webui.gid)
    dropin = Path("/etc/systemd/system/hermesguard.service.d")
    # A store knows one sessions directory: another one starts with an empty store.
    shutil.rmtree("/var/lib/hermesguard")
    for title, block in blocks:
        dropin.mkdir()
        (dropin / "relaxed.conf").write_text(block)
        run("systemctl", "daemon-reload")
        assert not run("systemd-analyze", "verify", UNIT)
        unit = Unit(UNIT)
        unit.start()
        show(f"{title}: {unit.status()}; exposure {exposure(unit=UNIT)}")
        user = webui if "User=webui" in block else User("hermeswebui")
        assert unit.value("User") == user.name
        user.store = Path("/var/lib/hermesguard")
        (chat,) = user.chats(1)
        user.wipe(chat)
        until_whole(chat)
        unit.stop()
        shutil.rmtree(dropin)
        shutil.rmtree(user.store)
    run("systemctl", "daemon-reload")
