"""What a guard costs that has 20,000 sessions, and files of 50, 200 and 2,000 MB among them: starts, memory, CPU at rest.

    .venv/bin/python -m bench.large [MEGABYTES ...]

Files are read up to the size that the limit of the unit allows (149 MiB); larger ones are copied by the kernel. Memory is the
most that the process had resident (VmHWM), which counts no page of a file that it only copied.
"""

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final

from bench.measuring import BUILD_DIRECTORY, Guard, Process, running, until
from bench.memory import peak, reset, save
from bench.start import make_sessions

SESSIONS: Final = 20_000
LIMIT_BYTES: Final = 149 * 1024 * 1024
REST_SECONDS: Final = 60
_MESSAGE_BYTES: Final = 4096
_PIECE_MESSAGES: Final = 2048
_until = partial(until, seconds=300.0, pause_seconds=0.02)


def main(sizes: list[int]) -> None:
    BUILD_DIRECTORY.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD_DIRECTORY) as place:
        _measure(Path(place), sizes)


def _measure(root: Path, sizes: list[int]) -> None:
    sessions = root / "sessions"
    sessions.mkdir()
    make_sessions(sessions, SESSIONS, 0)
    for megabytes in sizes:
        _write(sessions / f"long{megabytes}.json", megabytes * 1_000_000)
    print("| what | seconds | most memory |\n|---|---|---|", flush=True)
    shadows = root / "store" / "shadows"
    guard = Guard(sessions, root / "store", "--max-session-bytes", str(LIMIT_BYTES))
    with running(guard):
        _say("first start, until it is ready", guard.ready_seconds, guard)
        began = time.monotonic()
        for megabytes in sizes:
            _until((shadows / f"long{megabytes}.json").exists, f"the copy of {megabytes} MB")
        _say("until the long ones are copied", guard.ready_seconds + time.monotonic() - began, guard)
    guard = Guard(sessions, root / "store", "--max-session-bytes", str(LIMIT_BYTES))
    with running(guard):
        _say("start, nothing changed", guard.ready_seconds, guard)
        time.sleep(10)
        _reset(guard)
        before_ns = guard.cpu_ns()
        time.sleep(REST_SECONDS)
        share = (guard.cpu_ns() - before_ns) / 1e7 / REST_SECONDS
        _say(f"at rest: {share:.3f} % of a core", REST_SECONDS, guard)
        for megabytes in sizes:
            path = sessions / f"long{megabytes}.json"
            size = path.stat().st_size
            began = time.monotonic()
            stub = {"session_id": path.stem, "title": "Long", "messages": [], "updated_at": 9.5}
            save(path, stub | {"active_stream_id": None, "pending_user_message": None})
            is_back = partial(_is_larger, path, size - 1000)
            _until(is_back, f"the repair of {megabytes} MB")
            _say(f"a wipe of {megabytes} MB undone", time.monotonic() - began, guard)
            _reset(guard)


def _write(path: Path, size_bytes: int) -> None:
    head = {"session_id": path.stem, "title": "Long", "updated_at": 2.5, "active_stream_id": "s"}
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head, indent=2)[:-2] + ',\n  "pending_user_message": null,\n  "messages": [')
        separator, number = "\n    ", 0
        while file.tell() < size_bytes:
            said = (
                {
                    "role": ("user", "assistant")[at % 2],
                    "content": f"{at} " + "word " * (_MESSAGE_BYTES // 5),
                    "timestamp": at + 0.5,
                }
                for at in range(number, number + _PIECE_MESSAGES)
            )
            file.write(separator + ",\n    ".join(json.dumps(message) for message in said))
            separator, number = ",\n    ", number + _PIECE_MESSAGES
        file.write("\n  ]\n}")


def _say(what: str, seconds: float, guard: Process) -> None:
    print(f"| {what} | {seconds:.1f} | {peak(guard.popen) >> 20} MB |", flush=True)


def _is_larger(path: Path, size_bytes: int) -> bool:
    return path.stat().st_size > size_bytes


def _reset(guard: Process) -> None:
    reset(guard.popen)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [50, 200, 2000])
