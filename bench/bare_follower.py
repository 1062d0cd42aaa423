"""What no guard in Python can do without: hear of a save, read the file, append a line durably. `growth` measures it too.

Usage: python -m bench.bare_follower DIRECTORY LOG
"""

import os
import select
import sys
from pathlib import Path

from hermesguard.watcher.inotify import Inotify

_LINE = b"x" * 999 + b"\n"
_PAGES_BYTES = 4 * 1024 * 1024


def main(directory: Path, log_path: Path) -> None:
    """Follow every save in the directory until it is ended; "ready" is printed before the first."""
    watch = Inotify(directory)
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    log = os.open(log_path, os.O_RDWR | os.O_CREAT | os.O_DSYNC, 0o600)
    os.pwrite(log, bytes(_PAGES_BYTES), 0)  # as in the guard, what is appended mostly lies over NULs
    buffer, end = bytearray(_PAGES_BYTES), 0
    print("ready", flush=True)
    while poll.poll():
        for change in watch.take():
            file = os.open(directory / change.name, os.O_RDONLY | os.O_CLOEXEC)
            os.fstat(file)
            os.readv(file, [buffer])
            os.close(file)
            os.lstat(log_path)
            end += os.pwrite(log, _LINE, end)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
