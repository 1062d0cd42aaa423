"""(g) Many sessions wiped at once: when all of them are back, beside the program in C that copies, syncs and renames."""

import json
import os
import shutil
import time
from pathlib import Path

from bench.measuring import Conversation, Figure, Run, median, running, short
from bench.wipe import contender
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era

SESSIONS = 1_000
QUICK_SESSIONS = 200
MESSAGES = 50
ROUNDS = 3
WAIT_SECONDS = 60.0


def measure(run: Run) -> None:
    """Add the figure for 1,000 wipes of 40 KB at once."""
    sessions = QUICK_SESSIONS if run.is_quick else SESSIONS
    taken: dict[str, list[float]] = {"guard": [], "copy": []}
    for number in range(ROUNDS):
        run.say(f"{sessions} wipes at once, round {number + 1} of {ROUNDS}")
        for name, seconds in taken.items():
            root = run.directory(f"burst-{name}")
            seconds.append(_wipe_all(root, name, sessions))
            if name == "guard":
                _require_incidents(root / "store", sessions)
            shutil.rmtree(root)
    note = (
        f"median {short(median(taken['guard']))} s over {short(median(taken['copy']))} s, the renames of the wipes included; "
        f"{', '.join(map(short, taken['guard']))} over {', '.join(map(short, taken['copy']))}"
    )
    name = f"{sessions:,} wipes of 40 KB at once, all back, over C copy + fsync + rename of each"
    run.add(Figure(name, median(taken["guard"]) / median(taken["copy"]), 5, 1.5, note=note))


def _wipe_all(root: Path, name: str, sessions: int) -> float:
    """Wipe all sessions as fast as names can be given; return the seconds until all are back."""
    app = App(root / "sessions", Era.OLD)
    chats = [Conversation(app, f"{number:012x}", MESSAGES) for number in range(sessions)]
    (root / "store").mkdir()
    for chat in chats:
        chat.save()
    good_bytes = chats[0].path.stat().st_size // 2
    with running(process := contender(name, root / "sessions", root / "store", 2 * good_bytes)):
        for chat in chats:
            chat.save()
        process.until_idle(0.5)
        temporary = [chat.write_stub() for chat in chats]
        process.until_idle(0.5)
        began = time.monotonic()
        for chat, path in zip(chats, temporary, strict=True):
            os.rename(path, chat.path)
        for chat in chats:
            while chat.path.stat().st_size < good_bytes:
                if time.monotonic() - began > WAIT_SECONDS:
                    raise SystemExit(f"{chat.path} was not restored within {WAIT_SECONDS} s")
                time.sleep(0.0005)
        seconds = time.monotonic() - began
        if name == "guard":
            process.until_idle(0.5)
    return seconds


def _require_incidents(store: Path, sessions: int) -> None:
    lines = (store / "incidents.jsonl").read_text(encoding="utf-8").splitlines()
    incidents = [line for line in map(json.loads, lines) if line["event"] == "restored"]
    if len(incidents) != sessions:
        raise SystemExit(f"{len(incidents)} of {sessions} repairs were written down")
