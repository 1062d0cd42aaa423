"""The packaged system service on a booted system: what an administrator sees, and what it survives."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.events.catalog import BY_NAME
from hermesguard.events.event import Priority
from machine import (
    Receiver,
    Unit,
    User,
    exit_code,
    exposure,
    guard_of,
    journal,
    messages,
    run,
    show,
    until,
    until_whole,
)

CONFIGURATION = Path("/etc/hermesguard/hermesguard.toml")
JOURNALD = "systemd-journald.service"


def ready_after_the_first_scan() -> None:
    """READY comes after the first scan, and `systemctl status` says in words what is guarded."""
    alice = User("alice")
    chats = alice.chats(40, turns=50)
    unit = guard_of(alice)
    began = time.monotonic()
    unit.start()
    show(f"systemctl start {unit.name}: {time.monotonic() - began:.2f} s")
    assert len(list((alice.store / "shadows").glob("*.json"))) == len(chats)
    ready = unit.until_reported("ready")
    assert (ready["HERMESGUARD_SESSIONS"], ready["HERMESGUARD_MESSAGES"]) == ("40", "4000")
    shown = run("systemctl", "status", "--no-pager", "--lines=0", unit.name)
    assert 'Status: "Guarding 40 sessions with 4000 messages' in shown
    show("\n".join(line for line in shown.splitlines() if re.search(r"Active|Status|Cache|Tasks", line)))
    assert alice.store.stat().st_mode & 0o7777 == 0o700
    assert alice.store.stat().st_uid == alice.uid


def a_wipe_is_restored_and_told() -> None:
    """A wipe in /home/USER/.hermes/webui/sessions is restored, and the journal has the entry with all fields."""
    alice = User("alice")
    (chat,) = alice.chats(1, turns=500)
    unit = guard_of(alice)
    alice.wipe(chat)
    show(f"1000 messages back after {until_whole(chat) * 1000:.1f} ms")
    assert messages(chat) == 1001
    assert chat.path.stat().st_uid == alice.uid
    entry = unit.until_reported("restored", session=chat.session_id)
    command = f"journalctl -o json MESSAGE_ID={BY_NAME['restored'].message_id}"
    show(f"{command}:")
    show(json.dumps({key: entry[key] for key in sorted(entry) if key.startswith("HERMESGUARD_")}, indent=1))
    always = "EVENT TIME SESSION VERDICT RULE EVIDENCE INCIDENT ACTION UNDO MESSAGES_BEFORE MESSAGES_LIVE MESSAGES_AFTER"
    always += " MESSAGES_LOST VERSION WRITER_PID DURATION_US"
    assert {f"HERMESGUARD_{name}" for name in always.split()} <= entry.keys()
    found = tuple(int(entry[f"HERMESGUARD_MESSAGES_{name}"]) for name in ("BEFORE", "LIVE", "AFTER", "LOST"))
    assert found == (1000, 0, 1001, 1000)
    assert entry["PRIORITY"] == str(int(Priority.WARNING))
    assert entry["SYSLOG_IDENTIFIER"] == "hermesguard"
    assert entry["_SYSTEMD_UNIT"] == unit.name
    assert int(entry["HERMESGUARD_WRITER_PID"]) == os.getpid()


def journalctl_explains_it() -> None:
    """`journalctl -x` prints below the entry what it means and what to do."""
    shown = run("journalctl", "-x", "--no-pager", f"MESSAGE_ID={BY_NAME['restored'].message_id}")
    show("\n".join(shown.splitlines()[:14]))
    assert "Subject: Lost messages were restored" in shown
    assert "hermesguard explain" in shown
    assert "Documentation: man:hermesguard(7)" in shown


def people_ask_the_running_guard() -> None:
    """The commands reach the guard in its sandbox; an undo by a user stands."""
    alice = User("alice")
    store = ("--store", alice.store, "--sessions", alice.sessions)
    shown = alice.run("hermesguard", "status", *store)
    show(shown.splitlines()[0])
    assert "All is well" in shown
    (chat,) = alice.chats(1, turns=10)
    alice.wipe(chat)
    until_whole(chat)
    entry = guard_of(alice).until_reported("restored", session=chat.session_id)
    show(alice.run("hermesguard", "undo", entry["HERMESGUARD_INCIDENT"], *store))
    assert messages(chat) == 0
    alice.run("hermesguard", "purge", "--yes", chat.session_id, *store)


def a_profile_that_comes_is_guarded() -> None:
    """A profile that comes while the unit runs is guarded, though its place was not there when the sandbox was made."""
    paula = User("paula")
    paula.chats(1)
    unit = guard_of(paula)
    unit.start()
    with paula.at_work():
        app = App(paula.home / ".hermes/profiles/work/webui/sessions", Era.OLD)
        chat = app.create("At work", turns=10)
    shadow = paula.store / "directories/work/shadows" / f"{chat.session_id}.json"
    until(lambda: shadow.exists() and shadow.read_bytes() == chat.path.read_bytes(), what="a copy of it")
    with paula.at_work():
        losses.wipe(chat)
    until(lambda: messages(chat) >= 20, what="its messages")
    show(paula.run("hermesguard", "status", "--store", paula.store))
    assert unit.until_reported("restored", session=chat.session_id)["HERMESGUARD_DIRECTORY"] == "work"
    unit.stop()


def killed() -> None:
    """After kill -9 it is up again within seconds, and what was wiped meanwhile is restored."""
    _wiped_while_away(signal.SIGKILL, 15)


def hanging() -> None:
    """After SIGSTOP the watchdog restarts it, and what was wiped meanwhile is restored; the hanging line is in the journal."""
    alice = User("alice")
    _wiped_while_away(signal.SIGSTOP, 60)
    deaths = journal("_PID=1", f"UNIT={guard_of(alice).name}", "MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c")
    show(deaths[-1]["MESSAGE"])
    assert "watchdog" in deaths[-1]["MESSAGE"]
    stack = [entry["MESSAGE"] for entry in guard_of(alice).entries() if "loop.py" in entry["MESSAGE"]]
    assert stack, "no stack in the journal"
    show(stack[0])


def the_end_of_the_last_guard_is_told() -> None:
    """Who finds no guard running is told how the last one ended: stopped, or killed."""
    alice = User("alice")
    unit = guard_of(alice)
    status = ("hermesguard", "status", "--store", alice.store, "--sessions", alice.sessions)
    unit.stop()
    until(lambda: f"of {unit.name} was stopped" in run(*status, check=False), what="the word of its end")
    unit.start()
    pid = unit.pid
    unit.drop_in("Restart=no")
    try:
        os.kill(pid, signal.SIGKILL)
        until(lambda: unit.value("ActiveState") == "failed", what="its end")
    finally:
        unit.drop_in()
    told = f"process {pid} of {unit.name} was killed (signal 9)"
    until(lambda: told in run(*status, check=False), what=told)
    show(run(*status, check=False).splitlines()[3])
    unit.start()


def _wiped_while_away(number: signal.Signals, seconds: float) -> None:
    alice = User("alice")
    (chat,) = alice.chats(1, turns=20)
    unit = guard_of(alice)
    with alice.at_work():
        chat.send("And now?")
    until(lambda: alice.keeps(chat))
    before = unit.pid
    os.kill(before, number)
    with alice.at_work():
        losses.wipe(chat)
    show(f"{number.name}: restored after {until_whole(chat, seconds):.1f} s")
    assert unit.pid not in (0, before)
    until(lambda: unit.value("ActiveState") == "active")


def reload() -> None:
    """A reload takes a good configuration, and keeps the old one when the new one is broken."""
    unit = guard_of(User("alice"))
    before = CONFIGURATION.read_text("utf-8")
    pid = unit.pid
    try:
        CONFIGURATION.write_text('scan_interval = "5s"\n')
        began = time.monotonic()
        show(unit.reload()["MESSAGE"] + f" [{time.monotonic() - began:.2f} s]")
        CONFIGURATION.write_text('scan_intervall = "5s"\n')
        run("systemctl", "reload", unit.name)
        complaint = unit.until_reported("config_invalid")
        show(complaint["MESSAGE"])
        assert "scan_interval" in complaint["MESSAGE"]
    finally:
        CONFIGURATION.write_text(before)
    unit.reload()
    until(lambda: unit.status().startswith("Guarding"))
    assert (unit.pid, unit.value("ActiveState")) == (pid, "active")


def an_alert_command_in_the_sandbox() -> None:
    """alert_command gets the event as JSON on its standard input, from within the sandbox."""
    alice = User("alice")
    unit = guard_of(alice)
    before = CONFIGURATION.read_text("utf-8")
    heard = alice.store / "heard"
    try:
        CONFIGURATION.write_text(f'alert_command = ["/usr/bin/tee", "-a", "{heard}"]\n')
        unit.reload()
        (chat,) = alice.chats(1)
        alice.wipe(chat)
        until_whole(chat)
        until(lambda: heard.exists() and heard.read_text("utf-8").endswith("\n"))
    finally:
        CONFIGURATION.write_text(before)
        unit.reload()
    reported = [json.loads(line) for line in heard.read_text("utf-8").splitlines()]
    show(json.dumps(reported[-1])[:160])
    assert (reported[-1]["event"], reported[-1]["session"]) == ("restored", chat.session_id)
    heard.unlink()


def journald_restarted() -> None:
    """journald is restarted while the guard runs: what happens afterwards is told."""
    alice = User("alice")
    (chat,) = alice.chats(1)
    run("systemctl", "restart", JOURNALD)
    alice.wipe(chat)
    until_whole(chat)
    show(guard_of(alice).until_reported("restored", session=chat.session_id)["MESSAGE"][:110])


def journald_hangs() -> None:
    """journald hangs for 15 s while 60 sessions are wiped: all are repaired at once, all entries are there afterwards."""
    alice = User("alice")
    chats = alice.chats(60)
    unit = guard_of(alice)
    journald = Unit(JOURNALD).pid
    # Hung for good: its queue is full before the first wipe.
    os.kill(journald, signal.SIGSTOP)
    took = []
    try:
        until_hung = time.monotonic() + 15
        _fill_the_journals_queue()
        for chat in chats:
            alice.wipe(chat)
            took.append(until_whole(chat))
            time.sleep(0.05)
        time.sleep(max(0.0, until_hung - time.monotonic()))
    finally:
        os.kill(journald, signal.SIGCONT)
    show(
        f"60 of 60 restored while it hung; median {sorted(took)[30] * 1000:.1f} ms, worst {max(took) * 1000:.0f} ms"
    )
    assert max(took) < 5

    def reported() -> set[str]:
        return {entry["HERMESGUARD_SESSION"] for entry in unit.entries("restored")}

    until(lambda: {chat.session_id for chat in chats} <= reported(), what="60 entries")
    assert not unit.entries("dropped")
    show("60 of 60 entries in the journal after SIGCONT, none dropped")
    run("systemctl", "is-active", unit.name)


def _fill_the_journals_queue() -> None:
    """Say so much that the next datagram would have to wait."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as speaker:
        speaker.connect("/run/systemd/journal/socket")
        try:
            while True:
                speaker.send(b"MESSAGE=before\n")
        except BlockingIOError:
            pass


def the_store_is_full() -> None:
    """The store's disk is full: repairs go on, one entry says so, and when there is room again everything catches up."""
    frank = User("frank")
    frank.store.mkdir()
    run(
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size=4m,uid={frank.uid},gid={frank.gid},mode=0700",
        "tmpfs",
        frank.store,
    )
    chats = frank.chats(3, turns=20)
    with frank.at_work():
        for chat in chats:
            chat.send("And now?")
    unit = guard_of(frank)
    unit.start()
    filler = frank.store / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError as error:
            show(str(error))
    with frank.at_work():
        losses.wipe(chats[0])
    show(f"restored after {until_whole(chats[0]) * 1000:.0f} ms")
    show(unit.until_reported("store_broken")["MESSAGE"])
    with frank.at_work():
        chats[1].add_turn("More?", "More.")
        chats[1].save()
        losses.wipe(chats[2])
    until_whole(chats[2])
    time.sleep(1)
    assert len(unit.entries("store_broken")) == 1
    filler.unlink()
    show(unit.until_reported("store_recovered")["MESSAGE"])
    until(lambda: frank.keeps(chats[1]))
    assert unit.value("NRestarts") == "0"
    unit.stop()
    run("umount", frank.store)


def a_directory_of_another_user() -> None:
    """A sessions directory of another user is refused with a sentence, and systemd does not try again and again."""
    bob, carol = User("bob"), User("carol")
    carol.chats(1)
    for mode in (0o755, 0o777):
        os.chown(carol.sessions, bob.uid, bob.gid)
        carol.sessions.chmod(mode)
        unit = guard_of(carol)
        reported = len(unit.entries("failed"))
        assert exit_code("systemctl", "start", unit.name) != 0
        show(unit.until_reported("failed", after=reported)["MESSAGE"])
        found = [unit.value(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")]
        assert found == ["failed", "14", "0"], found
        run("systemctl", "reset-failed", unit.name)


def a_directory_that_comes_later() -> None:
    """There is no ~/.hermes yet: the guard waits, says so, and guards what comes."""
    bob = User("bob")
    unit = guard_of(bob)
    unit.start()
    show(f"systemctl status: {unit.status()}")
    assert "Waiting" in unit.status()
    show(unit.until_reported("waiting")["MESSAGE"])
    (chat,) = bob.chats(1)
    appeared = time.monotonic()
    unit.until_reported("ready")
    show(f"guarded {time.monotonic() - appeared:.1f} s after it appeared")
    bob.wipe(chat)
    show(f"wiped and restored after {until_whole(chat) * 1000:.0f} ms")


def a_directory_that_is_replaced() -> None:
    """The sessions directory is replaced under the guard: it sees that, and guards the new one."""
    bob = User("bob")
    unit = guard_of(bob)
    moved = bob.webui / "sessions.old"
    with bob.at_work():
        bob.sessions.rename(moved)
        # The guard still renews its temporary file in there: not a conversation, and gone as one copies it.
        shutil.copytree(moved, bob.sessions, ignore=shutil.ignore_patterns(".hermesguard-*"))
    replaced = time.monotonic()
    show(unit.until_reported("watch_lost")["MESSAGE"])
    show(unit.until_reported("watch_restored")["MESSAGE"])
    show(f"the watch is back {time.monotonic() - replaced:.1f} s after the directory was replaced")
    app = App(bob.sessions, Era.OLD)
    with bob.at_work():
        chat = app.open(next(bob.sessions.glob("[0-9a-f]*.json")).stem)
    bob.wipe(chat)
    show(f"wiped and restored after {until_whole(chat) * 1000:.0f} ms")
    unit.stop()


def stopped_in_the_middle_of_a_scan() -> None:
    """It stops within 5 s during the first scan of 5000 sessions, and goes on where it was at the next start."""
    erin = User("erin")
    app = erin.app()
    with erin.at_work():
        text = app.create(turns=20).path.read_text("utf-8")
        for number in range(5000):
            name = f"20260430_151231_{number:06x}"
            (erin.sessions / f"{name}.json").write_text(
                re.sub('"session_id": "[^"]*"', f'"session_id": "{name}"', text)
            )
    unit = guard_of(erin)
    shadows = erin.store / "shadows"
    run("systemctl", "start", "--no-block", unit.name)
    until(lambda: shadows.is_dir() and any(shadows.glob("*.json")), pause_seconds=0.001)
    began = time.monotonic()
    unit.stop()
    took = time.monotonic() - began
    kept = len(list(shadows.glob("*.json")))
    show(f"stopped after {took:.2f} s, with {kept} of 5001 sessions kept")
    assert took < 5
    assert kept < 5001, "the scan was over"
    assert not unit.entries("ready")
    assert unit.value("Result") == "success"
    began = time.monotonic()
    unit.start()
    show(
        f"started again: ready after {time.monotonic() - began:.1f} s, {len(list(shadows.glob('*.json')))} kept"
    )
    assert len(list(shadows.glob("*.json"))) == 5001
    unit.stop()


def a_thousand_incidents_in_a_minute() -> None:
    """1000 incidents as fast as they come: every one is in the log, every line that matters in the journal, and no flood."""
    grace = User("grace")
    app = grace.app()
    with grace.at_work():
        # 100 sessions uncertain, 420 wiped once, 60 wiped eight times.
        doubted = [app.create(turns=12) for _ in range(100)]
        wiped = [app.create(turns=4) for _ in range(480)]
        for chat in wiped:
            _save_prompt(chat)
    often = wiped[:60]
    unit = guard_of(grace)
    unit.start()
    began = time.monotonic()
    with grace.at_work():
        for chat in doubted:
            losses.stale_process(chat, messages_behind=6)
        for chat in wiped:
            _save_stub(chat)
    for _ in range(7):
        for chat in often:
            until_whole(chat)
        with grace.at_work():
            for chat in often:
                _save_prompt(chat)
        for chat in often:
            until(lambda chat=chat: grace.keeps(chat), pause_seconds=0.001)
        with grace.at_work():
            for chat in often:
                _save_stub(chat)
    for chat in wiped:
        until_whole(chat)
    until(lambda: len(unit.entries("uncertain")) >= 100, what="100 doubts")
    took = time.monotonic() - began
    unit.stop()
    entries = unit.entries()
    log = [json.loads(line) for line in (grace.store / "incidents.jsonl").read_text("utf-8").splitlines()]
    counted = Counter(entry.get("HERMESGUARD_EVENT", "") for entry in entries)
    show(f"1000 losses in {took:.0f} s; incidents.jsonl: {Counter(entry['event'] for entry in log)}")
    show(f"the journal: {len(entries)} entries, {counted}")
    incidents = [entry for entry in log if entry["event"] not in ("intended", "lost_before")]
    assert len({entry["id"] for entry in incidents}) == len(incidents) == 1000
    reported = [entry for entry in entries if entry.get("HERMESGUARD_EVENT") in ("restored", "merged")]
    held_back = sum(int(entry["HERMESGUARD_COUNT"]) for entry in entries if "HERMESGUARD_COUNT" in entry)
    assert {entry["HERMESGUARD_SESSION"] for entry in reported} == {chat.session_id for chat in wiped}
    assert len(reported) + held_back == 900, (len(reported), held_back)
    uncertain = {entry["HERMESGUARD_SESSION"] for entry in unit.entries("uncertain")}
    assert uncertain == {chat.session_id for chat in doubted}
    assert not counted["dropped"]
    assert not journal(f"_SYSTEMD_UNIT={JOURNALD}", "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e")
    # Of each session that is wiped again and again there may be one alert a minute, and as often a word of those held back.
    assert len(entries) < 800 + 2 * len(often) * int(took // 60), "a flood"


def _save_prompt(chat: Chat) -> None:
    """Save a prompt that waits for its answer; the index stays as it is."""
    chat.document |= {
        "active_stream_id": "b2",
        "pending_user_message": "And now?",
        "pending_started_at": 1.7e9,
    }
    chat.save(index=False)


def _save_stub(chat: Chat) -> None:
    """Save the stub of #1558; the index stays as it is."""
    empty = {"messages": [], "tool_calls": [], "context_messages": []}
    idle = {"active_stream_id": None, "pending_user_message": None, "pending_started_at": None}
    Chat(chat.app, chat.document | empty | idle).save(index=False)


def people_are_told() -> None:
    """hermesguard-notify@USER posts what the journal has of the guard, once each, after a kill too; the forged is not told."""
    alice = User("alice")
    unit, notifier = guard_of(alice), Unit("hermesguard-notify@alice.service")
    receiver = Receiver()
    secrets = Path("/etc/hermesguard/notify-alice.urls")
    secrets.write_text(f"json://{receiver.place}/\nping http://{receiver.place}/ping\n")
    secrets.chmod(0o644)
    os.chown(secrets, alice.uid, alice.gid)
    before = CONFIGURATION.read_text("utf-8")
    try:
        CONFIGURATION.write_text(
            f'[notify]\nurls_file = "{secrets}"\nevents = ["urgent", "restored"]\ngather = "1s"\n'
        )
        assert exit_code("systemctl", "start", notifier.name) != 0
        show(notifier.until_said("chmod 600"))
        run("systemctl", "reset-failed", notifier.name)
        secrets.chmod(0o600)
        began = time.monotonic()
        run("systemctl", "start", notifier.name)
        show(f"systemctl start {notifier.name}: {time.monotonic() - began:.2f} s; {notifier.status()}")
        forged = f"MESSAGE_ID={BY_NAME['restored'].message_id}\nSYSLOG_IDENTIFIER=hermesguard\n"
        forged += "HERMESGUARD_EVENT=restored\nHERMESGUARD_SESSION=forged\nMESSAGE=forged\n"
        for user in ("alice", User("bob").name):
            command = ["runuser", "-u", user, "--", "logger", "--journald"]
            subprocess.run(command, input=forged, text=True, check=True)
        until(lambda: receiver.heard, what="what happened in the hour before")
        show(receiver.messages[0].splitlines()[0][:120])
        until(lambda: "/ping" in receiver.visited, what="a ping")
        (chat,) = alice.chats(1)
        alice.wipe(chat)
        until_whole(chat)
        until(lambda: any(chat.session_id in text for text in receiver.messages), what="a message")
        show("\n".join(next(text for text in receiver.messages if chat.session_id in text).splitlines()[:3]))
        known = len(receiver.heard)
        os.kill(notifier.pid, signal.SIGKILL)
        os.kill(unit.pid, signal.SIGKILL)
        death = f"{unit.name} died: signal"
        until(
            lambda: any(death in text for text in receiver.messages[known:]), 60, what="a word of the death"
        )
        until(lambda: unit.status().startswith("Guarding"))
        assert not any("forged" in text for text in receiver.messages)
        assert sum(chat.session_id in text for text in receiver.messages) == 1
        stored = alice.run(
            "hermesguard", "status", "--store", alice.store, "--sessions", alice.sessions, check=False
        )
        show(next(line for line in stored.splitlines() if line.startswith("notify")))
        inside = f"/proc/{notifier.pid}/root{alice.store}"
        shown = run("runuser", "-u", "alice", "--", "ls", f"{inside}/shadows", check=False)
        assert "Permission denied" in shown, shown
        found = exposure(unit=notifier.name)
        show(f"systemd-analyze security {notifier.name}: {found}")
        assert found <= 1.5
        assert not run("systemd-analyze", "verify", notifier.name, "hermesguard-notify.service")
    finally:
        CONFIGURATION.write_text(before)
        notifier.stop()
        receiver.close()


def the_recipes_work() -> None:
    """Every command that docs/journal.md recommends runs as it stands there."""
    Path("/var/log/journal/remote").mkdir(parents=True, exist_ok=True)
    commands = Path("/results/recipes").read_text("utf-8")
    for command in commands.splitlines():
        command = command.replace("=hermesguard.service", "=hermesguard@alice.service").replace(" -f ", " ")
        printed = run("bash", "-o", "pipefail", "-c", command)
        show(f"{len(printed.splitlines()):5} lines: {command[:100]}")


def the_page_starts_when_it_is_asked_and_ends_when_idle() -> None:
    """Only a socket until the first request; then an answer in its sandbox; then the socket alone. The guard does the acts."""
    alice = User("alice")
    socket_unit, page = Unit("hermesguard-page@alice.socket"), Unit("hermesguard-page@alice.service")
    page.drop_in("Environment=HERMESGUARD_PAGE_IDLE=3s")
    socket_unit.start()
    assert page.value("ActiveState") == "inactive"
    began = time.monotonic()
    said = alice.run("hermesguard", "open", "--no-browser", "--store", alice.store)
    (link,) = (line for line in said.splitlines() if line.startswith("http://127.0.0.1:17893/open?token="))
    show(f"the page answers {(time.monotonic() - began) * 1000:.0f} ms after hermesguard open was typed")
    assert int(page.value("ExecMainStartTimestampMonotonic")), (
        "it was started, though it may have ended since"
    )
    token = alice.home / ".hermes/webui/sidecar-auth/hermesguard.token"
    token.parent.mkdir(exist_ok=True)
    token.write_text("a-token-as-hermes-webui-makes-it-0001")
    os.chown(token, alice.uid, alice.uid)
    token.chmod(0o600)
    base = link.partition("/open")[0]
    status, now = _asked(f"{base}/api/v1/now", token.read_text())
    show(f"GET now: {status}, {now['status']['state']}, {now['status']['sessions']} sessions")
    assert now["status"]["page"]["can_act"], "it reaches the guard's socket"
    (chat,) = alice.chats(1, turns=10)
    alice.wipe(chat)
    until_whole(chat)
    number = guard_of(alice).until_reported("restored", session=chat.session_id)["HERMESGUARD_INCIDENT"]
    act = {"act": "undo", "incident": number}
    status, done = _asked(f"{base}/api/v1/acts", token.read_text(), act)
    assert (status, done["state"], messages(chat)) == (200, "done", 0)
    status, refused = _asked(f"{base}/api/v1/now", "another-token-another-token")
    assert (status, refused["code"]) == (401, "wrong_token")
    until(lambda: page.value("ActiveState") == "inactive", what="the end of a page that nobody asks")
    assert socket_unit.value("ActiveState") == "active"
    assert page.value("Result") == "success"
    socket_unit.stop()
    page.drop_in()
    alice.run("hermesguard", "purge", "--yes", chat.session_id, "--store", alice.store)


def _asked(url: str, token: str, body: object = None) -> tuple[int, Any]:
    """What the page answers to hermes-webui: the status and the object."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-Hermes-Sidecar-Token": token, "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def the_units_are_tight() -> None:
    """`systemd-analyze security` finds at most 0.4 for the system units."""
    for unit in (
        "hermesguard.service",
        "hermesguard@alice.service",
        "hermesguard-page.service",
        "hermesguard-page@alice.service",
    ):
        found = exposure(unit=unit)
        show(f"systemd-analyze security {unit}: {found}")
        assert found <= 0.4


def the_units_are_valid() -> None:
    """`systemd-analyze verify` has not a word to say about the units."""
    units = ["hermesguard.service", "hermesguard@alice.service"]
    units += [f"hermesguard-page{whose}.{kind}" for whose in ("", "@alice") for kind in ("socket", "service")]
    said = run("systemd-analyze", "verify", *units)
    show(f"systemd-analyze verify {' '.join(units)}: {said or 'nothing'}")
    assert not said


def every_store_is_in_order() -> None:
    """After all of this every store verifies, and nobody has met a fault of hermesguard."""
    for store in sorted(Path("/var/lib").glob("hermesguard-*/shadows")):
        unit = Unit(f"hermesguard@{store.parent.name.removeprefix('hermesguard-')}.service")
        user = User(store.parent.name.removeprefix("hermesguard-"))
        said = user.run("hermesguard", "verify", "--store", store.parent, "--sessions", user.sessions)
        show(f"{store.parent}: {said.splitlines()[0]}")
        assert not unit.entries("internal_error")
        everything = json.dumps(unit.entries())
        assert "does what part" not in everything
        assert "What was that about" not in everything
    show("no text of a conversation in the journal")
