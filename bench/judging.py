"""(h) What it costs to judge: growth, a wipe, and to make what it is repaired by; each over reading the same file once.

One thread's CPU, everything warm: what the rules take, not what the guard takes, which `growth` and `wipe` say.
"""

import time
from collections.abc import Callable, Iterator

import orjson

from bench.measuring import Figure, Run, document, message, short
from hermesguard.demo.files import dumps
from hermesguard.judge.judge import judge
from hermesguard.pieces import around
from hermesguard.repair.merge import merge_documents
from hermesguard.webui import session
from hermesguard.webui.abridged import abridge, tightened
from hermesguard.webui.delta import grown

TIMES = 300
SLOW = 30
STREAM = "a" * 32


def measure(run: Run) -> None:
    """Add the figures for 100, 1000 and 5000 messages."""
    for messages in (100, 1000, 5000):
        run.say(f"judging {messages} messages")
        _measure(run, messages, min(TIMES, 3 * run.count))


def _measure(run: Run, messages: int, times: int) -> None:
    saves = list(_saves(run, messages, min(times, 60)))
    full, stub = session.parse(saves[0]), session.parse(_stub(run))
    known = abridge(saves[0], full)
    reading_us = _least_us(lambda: orjson.loads(saves[0]), SLOW)
    for what, taken_us in (
        ("growth judged", _growth_us(saves)),
        ("a wipe judged", _least_us(lambda: judge(known.document, stub), times)),
        ("a wipe judged, all read", _least_us(lambda: judge(full, stub), SLOW)),
        ("its repair made, all read", _least_us(lambda: merge_documents(full, stub), SLOW)),
    ):
        note = f"{short(taken_us)} us; orjson reads the file in {short(reading_us)} us"
        name = f"CPU of {what}, over reading the file, {messages:,} messages"
        run.add(Figure(name, taken_us / reading_us, note=note))


def _least_us(work: Callable[[], object], times: int) -> float:
    """Return the CPU of `work` in us, the least of so many times: what else the machine does only adds to it."""
    taken_ns = []
    for _ in range(times):
        began_ns = time.thread_time_ns()
        work()
        taken_ns.append(time.thread_time_ns() - began_ns)
    return min(taken_ns) / 1e3


def _growth_us(saves: list[bytes]) -> float:
    """Return the CPU of following a save that adds a message, the least of all that were saved."""
    known = abridge(saves[0], session.parse(saves[0]))
    buffer = bytearray(len(saves[-1]) + 1)
    taken_ns = []
    for data in saves[1:]:
        buffer[: len(data)] = data
        began_ns = time.thread_time_ns()
        rests = around(buffer, known.runs, len(data))
        found = grown(known, rests, len(data)) if rests else None
        taken_ns.append(time.thread_time_ns() - began_ns)
        assert found, "it grew, and nothing else"
        known = tightened(found[0])
    return min(taken_ns) / 1e3


def _saves(run: Run, messages: int, count: int) -> Iterator[bytes]:
    value = document(run.root, "0" * 12, messages)
    value["active_stream_id"] = STREAM
    for number in range(count):
        value["updated_at"] = 1_770_000_000.5 + number
        yield dumps(value).encode()
        for key in ("messages", "context_messages"):
            value[key] = [*value[key], message(messages + number)]  # type: ignore[misc]


def _stub(run: Run) -> bytes:
    """Return what bug #1558 leaves: the members of the file, and no message."""
    return dumps(document(run.root, "0" * 12, 0) | {"updated_at": 1_770_000_900.5}).encode()
