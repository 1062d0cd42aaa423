"""Run Python in a namespace of its own, where a test may mount, unmount and lower limits without harm to anyone."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PRELUDE = """
import os, select, subprocess, sys
from pathlib import Path
from hermesguard.watcher.watcher import Change, Watch

def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)

def unmount(*arguments):
    subprocess.run(["umount", *map(str, arguments)], check=True)

def readable(watch):
    return bool(select.select([watch], [], [], 0)[0])

directory = Path(sys.argv[1])
"""


def run_in_namespace(program: str, directory: Path) -> str:
    """Run `program`, after the prelude above, as root of new user and mount namespaces; return what it printed.

    AssertionError with its traceback when it failed. Mounts end with it.
    """
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-W", "error", "-c"]
    done = subprocess.run(
        [*command, PRELUDE + program, str(directory)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
