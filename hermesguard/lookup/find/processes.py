"""Work on many things that is shared out among processes, one for each processor, for a command that somebody waits for."""

import marshal
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

_LEAST_SHARE: Final = 500
"""So many things are looked through sooner than a process is made."""
_MOST_PROCESSES: Final = 8
_MOST_PARTS: Final = 128
"""No more than a byte can number, and a pipe can hold."""


def share_out(names: Sequence[str], work: Callable[[Sequence[str]], Any]) -> list[Any]:
    """Return what `work` returns of each part of `names`, in no order; it must be of what `marshal` writes.

    Whoever is free takes the next part. What a process took and did not end is done by this one.
    """
    count = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES, 1 + len(names) // _LEAST_SHARE)
    if count == 1:
        return [work(names)]
    step = min(_MOST_PARTS, len(names))
    parts = [names[number::step] for number in range(step)]
    parent = os.getpid()
    queue, filler = os.pipe()
    os.write(filler, bytes(range(step)))
    os.close(filler)
    children: list[tuple[int, int]] = []
    for _ in range(1, count):
        reader, writer = os.pipe()
        try:
            pid = os.fork()
        except OSError:  # so many processes are not allowed here
            os.close(reader)
            os.close(writer)
            break
        if pid == 0:
            code = 1
            try:
                os.close(reader)
                with os.fdopen(writer, "wb") as file:
                    marshal.dump(_done(parts, work, queue, lambda: os.getppid() == parent), file)
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        children.append((pid, reader))
    done = _done(parts, work, queue, lambda: True)
    os.close(queue)
    for pid, reader in children:
        with os.fdopen(reader, "rb") as file:
            data = file.read()
        if _has_ended_well(pid):
            done |= marshal.loads(data)
    return [done[number] if number in done else work(part) for number, part in enumerate(parts)]


def _has_ended_well(pid: int) -> bool:
    """Wait for a process; return whether it ended well, False too where the kernel keeps no note of that (SIGCHLD is ignored)."""
    try:
        return os.waitpid(pid, 0)[1] == 0
    except ChildProcessError:
        return False


def _done(
    parts: Sequence[Sequence[str]],
    work: Callable[[Sequence[str]], Any],
    queue: int,
    is_wanted: Callable[[], bool],
) -> dict[int, Any]:
    """Do the parts whose numbers come from a pipe, until it is empty or nobody wants them; return what came of each."""
    done = {}
    while is_wanted() and (number := os.read(queue, 1)):
        done[number[0]] = work(parts[number[0]])
    return done
