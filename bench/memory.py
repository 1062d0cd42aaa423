"""How much memory the guard takes for a long session: at the first start, while it grows, at its wipe, and at a repair.

    .venv/bin/python -m bench.memory [MEGABYTES ...]

Each row is one daemon with one session of that size (messages of about a kilobyte, one of them with an emoji, half of the
bytes in the model's context). `peak` is the most resident memory of the process (VmHWM, reset before each act), and what
stands in brackets is its share above an idle guard, as a multiple of the file.
"""

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench.measuring import until

_until = partial(until, seconds=120.0, pause_seconds=0.05)


def main(sizes: list[int]) -> None:
    print("| file | idle | first start | growth | wipe | repair with new messages |")
    print("|---|---|---|---|---|---|")
    for megabytes in sizes:
        with tempfile.TemporaryDirectory() as directory:
            print(row(Path(directory), megabytes), flush=True)


def row(root: Path, megabytes: int) -> str:
    sessions = root / "sessions"
    sessions.mkdir()
    path = sessions / "long.json"
    document = long_session(megabytes * 500)
    process, idle = start(root)
    began = time.monotonic()
    reset(process)
    save(path, document)
    size = path.stat().st_size
    incidents = root / "store" / "incidents.jsonl"
    shadow = root / "store" / "shadows" / "long.json"
    _until(lambda: shadow.exists() and shadow.stat().st_size == size, f"the first copy, {shadow}")
    took = [time.monotonic() - began]
    peaks = [peak(process)]
    for act in (grow, wipe, stale):
        time.sleep(1.5)
        reset(process)
        seen = lines(incidents)
        began = time.monotonic()
        act(path, document)
        if act is grow:
            _until((root / "store" / "shadows" / "long.delta").exists, "what it grew by")
        else:
            _until(partial(has_more, incidents, seen), "one more incident")
        took.append(time.monotonic() - began)
        time.sleep(1.0)
        peaks.append(peak(process))
    process.terminate()
    process.wait()
    cells = [
        f"{found >> 20} MB ({(found - idle) / size:.1f}), {seconds:.1f} s"
        for found, seconds in zip(peaks, took, strict=True)
    ]
    return f"| {size / 1e6:.0f} MB | {idle >> 20} MB | " + " | ".join(cells) + " |"


def long_session(count: int) -> dict[str, Any]:
    messages = [
        {
            "role": ("user", "assistant")[number % 2],
            "content": f"{number} " + "word " * 190,
            "timestamp": number + 0.5,
        }
        for number in range(count)
    ]
    messages[1]["content"] += "\U0001f600"
    context = [{"role": message["role"], "content": message["content"]} for message in messages]
    return {
        "session_id": "long",
        "title": "Long",
        "created_at": 1.5,
        "updated_at": 2.5,
        "active_stream_id": "s",
        "pending_user_message": None,
        "messages": messages,
        "tool_calls": [],
        "context_messages": context,
    }


def grow(path: Path, document: dict[str, Any]) -> None:
    document["messages"].append({"role": "user", "content": "more", "timestamp": 1e9})
    document["updated_at"] += 1
    save(path, document)


def wipe(path: Path, document: dict[str, Any]) -> None:
    stub = document | {"messages": [], "context_messages": [], "active_stream_id": None, "updated_at": 9.5}
    save(path, stub)


def stale(path: Path, document: dict[str, Any]) -> None:
    """A stale writer's save: two turns are gone, and one is new."""
    messages = document["messages"]
    new = {"role": "user", "content": "from a stale writer", "timestamp": 2e9}
    save(path, document | {"messages": [*messages[:-4], new], "active_stream_id": None, "updated_at": 11.5})


def save(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.stem}.tmp.1.1")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, indent=2)
    temporary.rename(path)


def start(root: Path) -> "tuple[subprocess.Popen[bytes], int]":
    command = [
        sys.executable,
        "-m",
        "hermesguard",
        "run",
        "--sessions",
        root / "sessions",
        "--store",
        root / "store",
    ]
    process = subprocess.Popen(command, stderr=(root / "log").open("wb"))
    _until(
        lambda: b"ready" in (root / "log").read_bytes() or (root / "store" / "control").exists(),
        "a guard that is ready",
    )
    time.sleep(1.0)
    return process, peak(process)


def lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def has_more(path: Path, seen: int) -> bool:
    return lines(path) > seen


def reset(process: "subprocess.Popen[bytes]") -> None:
    Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="ascii")


def peak(process: "subprocess.Popen[bytes]") -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [10, 50, 150])
