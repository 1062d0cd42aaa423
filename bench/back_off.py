"""How long a conversation is whole while a stale writer saves it again and again from its memory.

    .venv/bin/python -m bench.back_off [-C TREE] [SECONDS [TURN_SECONDS ...]]

A process that holds the wiped conversation (#1558) goes on talking, three saves a turn, a turn each two and each ten seconds,
for so long; both at once, in directories of their own. What is whole is looked at 50 times a second. Then that process ends, as
for a restart, right behind a save: half a second later its successor reads the file. With -C, another checkout guards.
"""

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench.measuring import REPOSITORY, Process, document, message
from hermesguard.demo.files import Document, dumps, replace_file

MESSAGES = 1_000
LOOK_SECONDS = 0.02
NAME = "aaaaaaaaaaaa"


def main(arguments: list[str]) -> None:
    tree = REPOSITORY
    if arguments[:1] == ["-C"]:
        tree, arguments = Path(arguments[1]).resolve(), arguments[2:]
    seconds = float(arguments[0]) if arguments else 240.0
    turns = [float(text) for text in arguments[1:]] or [2.0, 10.0]
    print(
        "| a turn each | whole | last third | found after a restart | at the end | guard's CPU | versions, incidents |"
    )
    print("|---|---|---|---|---|---|---|")
    with ThreadPoolExecutor(len(turns)) as pool:
        for line in pool.map(partial(row, tree, seconds), turns):
            print(line, flush=True)


def row(tree: Path, seconds: float, turn_seconds: float) -> str:
    """Return the line of one writer."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "sessions").mkdir()
        path = root / "sessions" / f"{NAME}.json"
        whole = document(path.parent, NAME, MESSAGES) | {"active_stream_id": "running"}
        replace_file(path, dumps(whole), 1)
        guard = guarding(tree, root)
        try:
            return observed(root, path, guard, seconds, turn_seconds)
        finally:
            guard.stop()


def guarding(tree: Path, root: Path) -> Process:
    """Return the daemon of that checkout, when it has its copy."""
    python = tree / ".venv" / "bin" / "python"
    command = [python if python.exists() else sys.executable, "-m", "hermesguard", "run"]
    places = ["--sessions", root / "sessions", "--store", root / "store"]
    guard = Process([*command, *places], cwd=tree, stderr=subprocess.DEVNULL)
    shadow = root / "store" / "shadows" / f"{NAME}.json"
    while not shadow.exists() or guard.popen.poll() is not None:
        time.sleep(LOOK_SECONDS)
    time.sleep(1)
    return guard


def observed(root: Path, path: Path, guard: Process, seconds: float, turn_seconds: float) -> str:
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    writer = context.Process(target=talk, args=(path, turn_seconds, seconds, said))
    size_bytes = path.stat().st_size
    writer.start()
    said.get()  # it has wiped
    began, used = time.monotonic(), guard.cpu_ns()
    looks: list[bool] = []
    while writer.is_alive():
        with contextlib.suppress(OSError):
            looks.append(path.stat().st_size > 0.8 * size_bytes)
        time.sleep(LOOK_SECONDS)
    lasted, used = time.monotonic() - began, guard.cpu_ns() - used
    spoken = MESSAGES + said.get()
    writer.join()
    time.sleep(0.5)
    found = count(path)
    guard.stop()
    incidents = {json.loads(line)["id"] for line in (root / "store" / "incidents.jsonl").open()}
    versions = len(list((root / "store" / "history" / NAME).iterdir()))
    last = looks[-len(looks) // 3 :]
    return (
        f"| {turn_seconds:g} s | {share(looks)} | {share(last)} | {found} of {spoken} | {count(path)} of {spoken} "
        f"| {100 * used / 1e9 / lasted:.1f} % | {versions}, {len(incidents)} |"
    )


def talk(path: Path, turn_seconds: float, seconds: float, said: "multiprocessing.Queue[int]") -> None:
    """Wipe the conversation, and go on from that: what a process does that holds it so in its memory."""
    stale: Document = document(path.parent, NAME, 0)
    process_id = os.getpid()

    def save(**members: object) -> None:
        stale.update(members)
        replace_file(path, dumps(stale), process_id)
        time.sleep(turn_seconds / 3)

    replace_file(path, dumps(stale), process_id)
    said.put(0)
    began, number = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        question, answer = message(MESSAGES + number), message(MESSAGES + number + 1)
        started = time.time()
        question |= {"content": f"Question {number}: {question['content']}", "timestamp": started}
        answer |= {"content": f"Answer {number}: {answer['content']}", "timestamp": started + 1}
        save(pending_user_message=question["content"], pending_started_at=started, active_stream_id="running")
        save(pending_user_message=None, pending_started_at=None, messages=[*stale["messages"], question])
        stale.update(messages=[*stale["messages"], answer], active_stream_id=None)
        replace_file(path, dumps(stale), process_id)
        number += 2
        if time.monotonic() - began < seconds:
            time.sleep(turn_seconds / 3)
    said.put(number)


def count(path: Path) -> int:
    return len(json.loads(path.read_bytes())["messages"])


def share(looks: list[bool]) -> str:
    return f"{100 * sum(looks) / len(looks):.1f} %" if looks else ""


if __name__ == "__main__":
    main(sys.argv[1:])
