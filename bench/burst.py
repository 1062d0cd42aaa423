"""(g) Many sessions at once, beside the program in C that copies, syncs and renames: when all wipes are back, all growth kept."""

import json
import os
import shutil
import time
from functools import partial
from pathlib import Path

from bench.measuring import Conversation, Figure, Process, Run, document, median, running, short, until
from bench.wipe import contender
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.demo.files import dumps
from hermesguard.store import inventory
from hermesguard.store.store import Store

SESSIONS = 1_000
QUICK_SESSIONS = 200
MESSAGES = 50
GROWING_SESSIONS = 200
ROUNDS = 3
GROWTH_ROUNDS = 5
GROWTH_BOUNDS = (1.5, 1)
"""The aim is what as many copies by C take."""


def measure(run: Run) -> None:
    """Add the figures for 1,000 wipes of 40 KB at once, and for 200 sessions of 40 KB that grow at once."""
    _wipes(run)
    _growth(run)


def _wipes(run: Run) -> None:
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
            until(
                partial(_is_back, chat.path, good_bytes), f"the repair of {chat.path}", pause_seconds=0.0005
            )
        seconds = time.monotonic() - began
        if name == "guard":
            process.until_idle(0.5)
    return seconds


def _is_back(path: Path, good_bytes: int) -> bool:
    return path.stat().st_size >= good_bytes


def _growth(run: Run) -> None:
    seconds: dict[str, list[float]] = {"guard": [], "copy": []}
    cpu_ms: dict[str, list[float]] = {"guard": [], "copy": []}
    run.say(f"{GROWING_SESSIONS} sessions grow at once, {GROWTH_ROUNDS} times")
    for name in seconds:
        root = run.directory(f"grow-{name}")
        (root / "store").mkdir()
        with running(process := contender(name, root / "sessions", root / "store", 0, "synced")):
            for messages in range(MESSAGES, MESSAGES + GROWTH_ROUNDS + 1):
                taken, cpu = _grow_all(process, name, root, messages)
                if messages > MESSAGES:  # the first one made them
                    seconds[name].append(taken)
                    cpu_ms[name].append(cpu)
        shutil.rmtree(root)
    note = (
        f"median {short(median(seconds['guard']) * 1000)} ms over {short(median(seconds['copy']) * 1000)} ms, the renames of "
        f"the saves included; CPU {short(median(cpu_ms['guard']) / GROWING_SESSIONS)} ms a save over "
        f"{short(median(cpu_ms['copy']) / GROWING_SESSIONS)} ms; {GROWTH_ROUNDS} times"
    )
    name = f"{GROWING_SESSIONS} sessions of 40 KB grow at once, all kept, over C copy + fsync of each"
    run.add(Figure(name, median(seconds["guard"]) / median(seconds["copy"]), *GROWTH_BOUNDS, note=note))


def _grow_all(process: Process, name: str, root: Path, messages: int) -> tuple[float, float]:
    """Save all sessions with so many messages as fast as names can be given; return seconds until all are kept, and ms of CPU."""
    mark = "0123456789ab"
    text = dumps(document(root, mark, messages))
    pairs = []
    for number in range(GROWING_SESSIONS):
        session = f"{number:012x}"
        temporary = root / "sessions" / f"{session}.tmp.{os.getpid()}.1"
        temporary.write_text(text.replace(mark, session), encoding="utf-8")
        pairs.append((temporary, root / "sessions" / f"{session}.json"))
    os.sync()  # what the saves wait for is not what is measured
    store = Store(root / "store")
    before_ns = process.until_idle(0.5)
    began = time.monotonic()
    for temporary, path in pairs:
        os.rename(temporary, path)
    for _, path in pairs:
        is_kept = partial(_is_kept, store, name, path.stem, path.stat())
        until(is_kept, f"the copy of {path}", pause_seconds=0.0005)
    seconds = time.monotonic() - began
    return seconds, (process.until_idle(0.5) - before_ns) / 1e6


def _is_kept(store: Store, name: str, session: str, live: os.stat_result) -> bool:
    if name == "copy":
        copy = store.root / f"{session}.json"
        return copy.exists() and copy.stat().st_size == live.st_size
    kept = inventory.shadow_entry(store, session)
    return kept is not None and kept[1:3] == (live.st_size, live.st_mtime_ns)


def _require_incidents(store: Path, sessions: int) -> None:
    lines = (store / "incidents.jsonl").read_text(encoding="utf-8").splitlines()
    incidents = [line for line in map(json.loads, lines) if line["event"] == "restored"]
    if len(incidents) != sessions:
        raise SystemExit(f"{len(incidents)} of {sessions} repairs were written down")
