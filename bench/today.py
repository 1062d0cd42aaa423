"""(g) What people would do today: inotifywait + jq + cp, and commit-on-change with git, beside the guard."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

from bench.measuring import Conversation, Figure, Guard, Run, document, median, message, short
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.demo.files import dumps, replace_file

SESSION = "0123456789ab"
MESSAGES = 1000
PAUSE_SECONDS = 0.15
WAIT_SECONDS = 3.0

_INOTIFYWAIT = """
inotifywait -q -m -e moved_to --format %f "$1" | while read -r name; do
  case $name in *.json) ;; *) continue ;; esac
  now=$(jq '.messages | length' "$1/$name") || continue
  before=$(jq '.messages | length' "$2/$name" 2>/dev/null || echo 0)
  if [ "$now" -lt "$before" ]; then cp "$2/$name" "$1/.back" && mv "$1/.back" "$1/$name"; else cp "$1/$name" "$2/$name"; fi
done
"""
_GIT = """
cd "$1" && export GIT_DIR="$2/git" GIT_WORK_TREE="$1" && git init -q
git config user.name guard && git config user.email guard@localhost && git config gc.auto 0
inotifywait -q -m -e moved_to --format %f "$1" | while read -r name; do
  case $name in *.json) ;; *) continue ;; esac
  git add -- "$name" && git commit -q -m "$name"
done
"""


def measure(run: Run) -> None:
    """Add what the other ways cost for each save, and how they do at wipes."""
    missing = [tool for tool in ("inotifywait", "jq", "git") if not shutil.which(tool)]
    if missing:
        run.say(f"left out, for want of {', '.join(missing)}")
        return
    saves = min(run.count, 100)
    costs = {
        "hermesguard": _cost(run, None, saves),
        "inotifywait + jq + cp": _cost(run, _INOTIFYWAIT, saves),
        "commit-on-change with git": _cost(run, _GIT, saves),
    }
    for name, (share, note) in costs.items():
        run.add(
            Figure(
                f"CPU of all processes per save, share of the app's own: {name}", share, unit=" %", note=note
            )
        )
    for name, script in (("hermesguard", None), ("inotifywait + jq + cp", _INOTIFYWAIT)):
        restored, times = _wipes(run, script, wipes := min(run.count, 30))
        note = f"median {short(median(times))} ms to restore" if times else ""
        run.add(Figure(f"restored of {wipes} wipes 60 ms apart: {name}", restored, note=note))


def _start(root: Path, script: str | None) -> "subprocess.Popen[bytes] | Guard":
    if script is None:
        return Guard(root / "sessions", root / "store")
    (root / "store").mkdir()
    command = ["bash", "-c", script, "today", str(root / "sessions"), str(root / "store")]
    process = subprocess.Popen(
        command, start_new_session=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(1)
    return process


def _stop(process: "subprocess.Popen[bytes] | Guard") -> None:
    if isinstance(process, Guard):
        process.stop()
    else:
        # The end of inotifywait ends the loop behind it, and everything is waited for, and so counted.
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == "inotifywait":
                os.kill(int(child), signal.SIGTERM)
        process.wait()


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cost(run: Run, script: str | None, saves: int) -> tuple[float, str]:
    root = run.directory("today")
    path = root / "sessions" / f"{SESSION}.json"
    replace_file(path, dumps(document(root / "sessions", SESSION, MESSAGES)), os.getpid())
    run.say(
        f"{saves} saves beside {'inotifywait' if script == _INOTIFYWAIT else 'git' if script else 'the guard'}"
    )
    before = _children_seconds()
    process = _start(root, script)
    idle = 0.0
    if script is None:
        assert isinstance(process, Guard)
        idle = process.cpu_ns() / 1e9
    app_seconds = 0.0
    for number in range(saves):
        began = time.process_time()
        value = json.loads(path.read_text("utf-8"))
        for key in ("messages", "context_messages"):
            value[key].append(message(MESSAGES + number))
        replace_file(path, dumps(value), os.getpid())
        app_seconds += time.process_time() - began
        time.sleep(PAUSE_SECONDS)
    _stop(process)
    seconds = _children_seconds() - before - idle
    return seconds / app_seconds * 100, f"mean of {saves}: {short(seconds / saves * 1000)} ms"


def _wipes(run: Run, script: str | None, wipes: int) -> tuple[int, list[float]]:
    """Wipe one session after another, 60 ms apart; return how many are whole in the end, and the times of those seen."""
    root = run.directory("wipes")
    app = App(root / "sessions", Era.OLD)
    process = _start(root, script)
    chats = [Conversation(app, f"{number:012x}", 500) for number in range(wipes)]
    for chat in chats:
        chat.save()
        time.sleep(PAUSE_SECONDS)
    times = []
    for chat in chats:
        small = chat.path.stat().st_size // 2
        began_ns = chat.wipe()
        while (now_ns := time.monotonic_ns()) - began_ns < 60_000_000:
            if chat.path.stat().st_size > small:
                times.append((now_ns - began_ns) / 1e6)
                break
            time.sleep(0.0002)
        time.sleep(max(0.0, 0.06 - (time.monotonic_ns() - began_ns) / 1e9))
    time.sleep(WAIT_SECONDS)
    _stop(process)
    return sum(chat.messages >= 500 for chat in chats), times
