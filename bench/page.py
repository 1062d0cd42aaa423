"""How quick the page is on a large store. Run: python bench/page.py [--sessions 10000] [--versions 5] [--messages 5000]

Makes the store that bench/commands.py measures commands on, with one long conversation beside it, a guard on it, and serves the
page as a process. Prints for each answer the first time (a process that has just been started, nothing read yet) and the
median of the later ones, and the guard's memory and CPU before and while it is asked. Exit code 1 when a limit is broken.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from bench.commands import furnish  # noqa: E402
from hermesguard.demo.app import App  # noqa: E402
from hermesguard.demo.eras import Era  # noqa: E402
from tests.helpers.daemon_process import Daemon  # noqa: E402
from tests.helpers.page_client import Serving  # noqa: E402

TOKEN = "a-token-for-measuring-0123456789"
FIRST_PAGE_MS, CONVERSATION_MS = 200.0, 500.0
LONG = "long_conversation"


def asked(page: Serving, method: str, path: str, body: Any = None) -> tuple[float, Any, int]:
    """Ask once; return how many milliseconds that took, the object, and how many bytes it had."""
    connection = HTTPConnection("127.0.0.1", page.port, timeout=60)
    data = None if body is None else json.dumps(body)
    headers = {"X-Hermes-Sidecar-Token": TOKEN, "Content-Type": "application/json"}
    began = time.perf_counter()
    connection.request(method, f"/api/v1{path}", data, headers)
    response = connection.getresponse()
    found = response.read()
    took = (time.perf_counter() - began) * 1000
    connection.close()
    assert response.status in (200, 202), found[:300]
    return took, json.loads(found), len(found)


def conversation(page: Serving) -> float:
    """Read all of the long conversation as the page does: its timeline, then every page; return the milliseconds of all."""
    took = asked(page, "GET", f"/sessions/{LONG}/timeline")[0]
    first: int | None = 1
    while first:
        more, found, _ = asked(
            page, "GET", f"/sessions/{LONG}/versions/latest/messages?from={first}&limit=500"
        )
        took, first = took + more, found["next"]
    return took


def found_after(page: Serving, words: str) -> float:
    """Search; return after how many milliseconds the result was there."""
    began = time.perf_counter()
    job = asked(page, "POST", "/find", {"words": words})[1]
    while job["state"] == "running":
        time.sleep(0.02)
        job = asked(page, "GET", f"/jobs/{job['job']}")[1]
    assert job["state"] == "done", job
    return (time.perf_counter() - began) * 1000


def used(pid: int) -> tuple[float, float]:
    """Return (seconds of CPU, MB of memory) of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    memory = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), memory / 1024


def measure(root: Path, messages: int, rounds: int) -> bool:
    """Print what was measured; return whether it is within the limits."""
    (root / "token").write_text(TOKEN)
    guard = Daemon(root, sessions=root / "sessions", store=root / "store")
    with guard:
        guard.start()
        assert guard.process
        pid = guard.process.pid
        before = used(pid)
        flags = {"HERMES_EXT_SIDECAR_TOKEN_FILE": str(root / "token")}
        began = time.perf_counter()
        with Serving(root, root / "store", root / "sessions", **flags) as page:
            start = (time.perf_counter() - began) * 1000
            ways = {
                "now": lambda: asked(page, "GET", "/now")[0],
                "pulse": lambda: asked(page, "GET", f"/pulse?session={LONG}")[0],
                "sessions, newest first": lambda: asked(page, "GET", "/sessions")[0],
                "sessions, by a word of the title": lambda: asked(page, "GET", "/sessions?search=called+77")[
                    0
                ],
                f"conversation of {messages:,}, whole": lambda: conversation(page),
                "its last 100": lambda: asked(
                    page, "GET", f"/sessions/{LONG}/versions/latest/messages?last=100"
                )[0],
                "its two versions compared": lambda: asked(
                    page, "GET", f"/sessions/{LONG}/diff?a=latest&b=live"
                )[0],
                "lost": lambda: asked(page, "GET", "/lost")[0],
                "find, in all copies": lambda: found_after(page, "zeppelin"),
            }
            print(f"process started and listening: {start:.0f} ms")
            first, later = {}, {}
            for name, way in ways.items():
                first[name] = way()
                later[name] = statistics.median(way() for _ in range(rounds if "find" not in name else 1))
                print(f"{name:36} first {first[name]:8.1f} ms   then {later[name]:8.1f} ms", flush=True)
            memory = used(page.process.pid)[1]
            after = used(pid)
        print(
            f"memory of the page: {memory:.0f} MB; of the guard: {before[1]:.0f} MB before, {after[1]:.0f} MB while asked"
        )
        print(f"CPU of the guard while asked {rounds} times for each: {after[0] - before[0]:.2f} s")
    long = next(name for name in first if name.startswith("conversation"))
    return first["now"] < FIRST_PAGE_MS and first[long] < CONVERSATION_MS


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--versions", type=int, default=5)
    parser.add_argument("--messages", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=7)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hermesguard-bench-") as place:
        root = Path(place)
        furnish(root, wanted.sessions, wanted.versions)
        app = App(root / "sessions", Era.NEW, clock=lambda: 1.76e9)
        app.create("A long conversation", session_id=LONG, turns=wanted.messages // 2)
        is_well = measure(root, wanted.messages, wanted.rounds)
    print("within the limits" if is_well else f"over {FIRST_PAGE_MS:.0f} or {CONVERSATION_MS:.0f} ms")
    return 0 if is_well else 1


if __name__ == "__main__":
    raise SystemExit(main())
