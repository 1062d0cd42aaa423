"""Runs many command lines in a process that need not import everything again for each.

On stdin a JSON list of [how, words]; on stdout one of [exit code or minus signal, what it said on stderr]. `how` is "null"
(stdout goes nowhere), or, each in a child of its own that ends as a program does: "closed" (the reader of stdout is gone),
"full" (no room is left), or a number: Ctrl-C comes with that function call.
"""

import contextlib
import io
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

from hermesguard.cli import main as cli
from hermesguard.cli.verbs import VERBS

for verb in VERBS:
    import_module(verb.run.partition(":")[0])  # so that the children find it imported

OURS = str(Path(cli.__file__).parents[1])


def interrupt_at(call: int) -> None:
    """Let KeyboardInterrupt come with that call of a function of ours, as Ctrl-C comes with any.

    Not within the interpreter's own callbacks, where nobody can catch it.
    """
    left = call

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

    sys.setprofile(count)


def stdout_for(how: str | int) -> int:
    if how != "closed":
        return os.open("/dev/full" if how == "full" else os.devnull, os.O_WRONLY)
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def child(how: str | int, words: list[str], stderr: int) -> NoReturn:
    """What happens in the child; returns as a program does, so that the interpreter's own end is part of it."""
    os.dup2(stdout_for(how), 1)
    os.dup2(stderr, 2)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb"), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb"), encoding="utf-8", write_through=True)
    if isinstance(how, int):
        interrupt_at(how)
    code = cli.main(words)
    sys.setprofile(None)
    raise SystemExit(code)


def here(words: list[str]) -> list[int | str]:
    """What a command does in this process, its output thrown away."""
    err = io.StringIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())), contextlib.redirect_stderr(err):
        code = cli.main(words)
    return [code, err.getvalue()]


def main() -> None:
    results = []
    for how, words in json.load(sys.stdin):
        if how == "null":
            results.append(here(words))
            continue
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            child(how, words, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            said = file.read().decode()
        status = os.waitpid(pid, 0)[1]
        results.append([os.waitstatus_to_exitcode(status), said])
    print(json.dumps(results))


if __name__ == "__main__":
    main()
