"""Many hosts, one question: systemd-journal-upload to systemd-journal-remote, as the examples set it up."""

import json
import re
import shutil
import time
from pathlib import Path

from machine import EXAMPLES, User, guard_of, run, show, until, until_whole

FLEET = EXAMPLES / "fleet"
REMOTE = Path("/var/log/journal/remote")


def one_question_to_all_hosts() -> None:
    """The incident of host-a is found on the collector, with one query over all hosts."""
    alice = User("alice")
    (chat,) = alice.chats(1)
    unit = guard_of(alice)
    unit.start()
    alice.wipe(chat)
    until_whole(chat)
    unit.until_reported("restored", session=chat.session_id)
    began = time.monotonic()
    # Both ends on one machine, without certificates: plain HTTP over the loopback.
    _configure("remote", "journal-remote.conf", r"^(Server|Trusted).*$", "")
    dropin = Path("/etc/systemd/system/systemd-journal-remote.service.d/http.conf")
    dropin.parent.mkdir(parents=True)
    dropin.write_text(
        "[Service]\nExecStart=\n"
        f"ExecStart=/usr/lib/systemd/systemd-journal-remote --listen-http=-3 --output={REMOTE}/\n"
    )
    _configure("upload", "journal-upload.conf", r"^(Server|Trusted).*$", "")
    text = Path("/etc/systemd/journal-upload.conf").read_text("utf-8")
    Path("/etc/systemd/journal-upload.conf").write_text(re.sub("URL=.*", "URL=http://127.0.0.1:19532", text))
    patience = Path("/etc/systemd/system/systemd-journal-upload.service.d/patience.conf")
    patience.parent.mkdir(parents=True)
    shutil.copy(FLEET / "upload-patience.conf", patience)
    REMOTE.mkdir(parents=True, exist_ok=True)
    shutil.chown(REMOTE, "systemd-journal-remote", "systemd-journal-remote")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "systemd-journal-remote.socket")
    run("systemctl", "start", "systemd-journal-upload.service")
    query = (FLEET / "hermesguard-fleet", f"HERMESGUARD_SESSION={chat.session_id}")

    def answers() -> list[str]:
        # Of a file of the journal that is just being made journalctl prints a warning.
        lines = run(*query, check=False).splitlines() if any(REMOTE.iterdir()) else []
        return [line for line in lines if line.startswith("{")]

    found = json.loads(until(answers, what="the incident on the collector")[0])
    show(f"hermesguard-fleet, {time.monotonic() - began:.1f} s after both were set up:")
    show(json.dumps(found)[:200])
    assert (found["host"], found["event"], found["session"]) == ("host-a", "restored", chat.session_id)
    for name in ("Restart", "StartLimitIntervalUSec"):
        show(
            f"{name}={run('systemctl', 'show', '-p', name, '--value', 'systemd-journal-upload.service').strip()}"
        )
    unit.stop()


def _configure(end: str, name: str, pattern: str, replacement: str) -> None:
    text = (FLEET / name).read_text("utf-8")
    text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    Path(f"/etc/systemd/journal-{end}.conf").write_text(text)
