"""Copies off the machine, as packaged: the real unit, an S3 server on the loopback address, a disk, kills, and the way back."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyrage

from hermesguard.demo.chat import Chat
from machine import Receiver, Unit, User, exit_code, exposure, guard_of, run, show, until

CONFIGURATION = Path("/etc/hermesguard/hermesguard.toml")
SERVED = Path("/srv/s3")
RCLONE = Path("/usr/local/bin/rclone")
CREDENTIALS = "aws_access_key_id = LOOPBACK\naws_secret_access_key = loopback-secret\n"


class Storage:
    """`rclone serve s3` on the loopback address, which may be killed and started again."""

    def __init__(self) -> None:
        (SERVED / "copies").mkdir(parents=True, exist_ok=True)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.start()

    def start(self) -> None:
        address = ("--addr", f"127.0.0.1:{self.port}", "--auth-key", "LOOPBACK,loopback-secret")
        command = [str(RCLONE), "serve", "s3", *address, str(SERVED)]
        environment = {"HOME": "/root", "RCLONE_CONFIG": "/root/none", "PATH": os.environ["PATH"]}
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        until(self._answers, what="rclone serve s3")

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait()


def _configured(**values: object) -> None:
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    CONFIGURATION.write_text("\n".join(["[offsite]", *lines, ""]))


def _status(person: User) -> dict[str, Any]:
    """What `hermesguard offsite status` says to the owner."""
    said: dict[str, Any] = json.loads(
        person.run("hermesguard", "offsite", "status", "--json", "--store", person.store, check=False)
    )
    return said


def _is_safe(person: User) -> bool:
    said = _status(person)
    return bool(said["sessions"] == said["sessions_safe"] > 0 and not said["waiting_files"])


def _restored(person: User, key: pyrage.x25519.Identity, chats: list[Chat], *where: str) -> None:
    """All chats come back out of the storage and the private key alone, message by message."""
    into, identity = Path("/root/back"), Path("/root/key.txt")
    identity.write_text(str(key))
    shutil.rmtree(into, ignore_errors=True)
    show(run("hermesguard", "offsite", "restore", *where, "--identity", identity, into).splitlines()[-3])
    for chat in chats:
        back = json.loads((into / "shadows" / f"{chat.session_id}.json").read_text("utf-8"))
        assert back["messages"] == json.loads(chat.path.read_text("utf-8"))["messages"]
    run("hermesguard", "verify", "--store", into)


def _killed(unit: Unit) -> bool:
    """Kill the main process of a unit; return whether there was one: systemd may name one that is gone for a moment."""
    with suppress(ProcessLookupError):
        if pid := unit.pid:
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def copies_leave_the_machine() -> None:
    """hermesguard-offsite@USER copies to an S3 server as the package has it; killed, both of them, nothing is lost."""
    henry = User("henry")
    chats = henry.chats(5, turns=20)
    unit, copier = guard_of(henry), Unit("hermesguard-offsite@henry.service")
    unit.start()
    key, storage = pyrage.x25519.Identity.generate(), Storage()
    credentials = Path("/etc/hermesguard/offsite-henry.credentials")
    credentials.write_text(CREDENTIALS)
    os.chown(credentials, henry.uid, henry.gid)
    credentials.chmod(0o644)
    before = CONFIGURATION.read_text("utf-8")
    where = {"url": "s3://copies/of-henry", "endpoint": f"http://127.0.0.1:{storage.port}"}
    _configured(**where, recipients=[str(key.to_public())], credentials=str(credentials), interval="1s")
    copier.drop_in("RestartSec=100ms")
    try:
        run("systemctl", "start", copier.name)
        until(lambda: copier.value("ActiveState") == "failed", what="a refusal")
        show(copier.until_said("chmod 600"))
        assert (copier.value("ExecMainStatus"), copier.value("NRestarts")) == ("12", "0")
        credentials.chmod(0o600)
        began = time.monotonic()
        copier.start()
        until(lambda: _is_safe(henry), what="all of it safe")
        show(f"5 sessions safe {time.monotonic() - began:.1f} s after systemctl start {copier.name}")
        assert not copier.entries("offsite_failing")
        for number in range(3):
            chats += henry.chats(1, turns=3 + number)
            until(lambda: _killed(copier), what="its process")
        storage.kill()
        chats += henry.chats(1, turns=9)
        until(lambda: _status(henry)["error"], what="a word of the storage that is away")
        show(f"the storage is killed: {_status(henry)['error']}")
        storage.start()
        until(lambda: _is_safe(henry), what="what waited for it")
        show(
            f"killed three times, started again {copier.value('NRestarts')} times; the storage once; all safe"
        )
        status = ("hermesguard", "status", "--store", henry.store, "--sessions", henry.sessions)
        until(lambda: "All is well" in henry.run(*status, check=False), 90, what="a status that is well")
        stored = henry.run(*status)
        show(next(line for line in stored.splitlines() if line.startswith("offsite")))
        _restored(henry, key, chats, "--url", where["url"], "--endpoint", where["endpoint"],
                  "--credentials", str(credentials))  # fmt: skip
        inside = f"/proc/{copier.pid}/root"
        for place in (henry.store, henry.sessions, "/etc/hermesguard", "/srv"):
            said = run("runuser", "-u", "henry", "--", "touch", f"{inside}{place}/planted", check=False)
            assert "Read-only" in said or "denied" in said, said
        assert "loopback-secret" not in json.dumps(copier.entries())
        assert "loopback-secret" not in Path(f"/proc/{copier.pid}/cmdline").read_text()
        _tight(copier)
        assert unit.value("NRestarts") == "0"
    finally:
        copier.stop()
        storage.kill()
        CONFIGURATION.write_text(before)


def copies_go_to_a_disk() -> None:
    """With the drop-in of docs/offsite.md the copies go to a mounted disk; without the disk that is said, and nothing is made."""
    henry = User("henry")
    copier, disk = Unit("hermesguard-offsite@henry.service"), Path("/mnt/disk")
    disk.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size=16m,uid={henry.uid}", "tmpfs", disk)
    (disk / "copies").mkdir()
    os.chown(disk / "copies", henry.uid, henry.gid)
    key, before = pyrage.x25519.Identity.generate(), CONFIGURATION.read_text("utf-8")
    shutil.rmtree(f"{henry.store}.offsite")
    _configured(url=f"file://{disk}/copies", recipients=[str(key.to_public())], interval="1s")
    copier.drop_in("RestartSec=100ms", "ReadWritePaths=/mnt/disk")
    try:
        copier.start()
        until(lambda: _is_safe(henry), what="all of it on the disk")
        show(f"on the disk: {len(list(disk.rglob('*.age')))} objects")
        _restored(henry, key, [], "--url", f"file://{disk}/copies")
        copier.stop()
        run("umount", disk)
        run("systemctl", "start", copier.name)
        until(lambda: copier.value("ActiveState") == "failed", what="a refusal")
        show(copier.until_said("is no directory"))
        assert not list(disk.iterdir()), "nothing is written where the disk is missing"
    finally:
        copier.stop()
        CONFIGURATION.write_text(before)


def the_end_of_the_copies_is_told() -> None:
    """hermesguard-notify@USER tells that hermesguard-offsite@USER has stopped, and that it was started again."""
    henry = User("henry")
    copier, notifier = Unit("hermesguard-offsite@henry.service"), Unit("hermesguard-notify@henry.service")
    receiver = Receiver()
    secrets = Path("/etc/hermesguard/notify-henry.urls")
    secrets.write_text(f"json://{receiver.place}/\n")
    os.chown(secrets, henry.uid, henry.gid)
    secrets.chmod(0o600)
    before = CONFIGURATION.read_text("utf-8")
    wished = f'[notify]\nurls_file = "{secrets}"\ngather = "1s"\n'
    recipient = pyrage.x25519.Identity.generate().to_public()
    try:
        CONFIGURATION.write_text(
            f'{wished}[offsite]\nurl = "file:///nowhere"\nrecipients = ["{recipient}"]\n'
        )
        notifier.start()
        run("systemctl", "start", copier.name)
        stopped = f"{copier.name} ended: exit-code"
        until(lambda: any(stopped in text for text in receiver.messages), what="a word of its end")
        show(next(text for text in receiver.messages if stopped in text).splitlines()[0])
        Path("/mnt/disk/copies").mkdir(exist_ok=True)
        os.chown("/mnt/disk/copies", henry.uid, henry.gid)
        wished += f'[offsite]\nurl = "file:///mnt/disk/copies"\nrecipients = ["{recipient}"]\n'
        CONFIGURATION.write_text(wished)
        copier.start()
        until(lambda: any("Copying the store" in text for text in receiver.messages), what="that it is over")
        assert exit_code("systemctl", "is-active", "--quiet", copier.name) == 0
    finally:
        copier.stop()
        notifier.stop()
        CONFIGURATION.write_text(before)
        receiver.close()


def _tight(copier: Unit) -> None:
    found = exposure(unit=copier.name)
    show(f"systemd-analyze security {copier.name}: {found}")
    assert found <= 1.3
    said = run("systemd-analyze", "verify", copier.name, "hermesguard-offsite.service")
    assert not said, said
    owner = pwd.getpwuid(os.stat(f"/proc/{copier.pid}").st_uid).pw_name
    memory = [copier.value(name) for name in ("MemoryCurrent", "MemoryPeak")]
    show(f"runs as {owner}; memory now and at most: {memory}")
