"""How large a store is. A user waits for it, so no file is opened, and what is known of a history is not asked again."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_HISTORY: Final = "history"
Share = Callable[[Sequence[str], Callable[[Sequence[str]], dict[str, list[int]]]], list[dict[str, list[int]]]]


def size_bytes(
    root: Path, known: Mapping[str, list[int]], seen: dict[str, list[int]], share: Share | None = None
) -> int:
    """Return the sum of the sizes of all files in a store.

    A session's history whose directory is as `known` (inode, ctime_ns, size in bytes, by its path below the store) is not
    looked into, for versions do not change. What is so of each history is `seen`. What this user may not see has no size.
    `share` may have others do a part of the work: it returns what the work returns of each part.
    """
    top = len(str(root)) + 1

    def look(paths: Sequence[str]) -> dict[str, list[int]]:
        notes = {}
        for path in paths:
            with contextlib.suppress(FileNotFoundError, PermissionError):
                state = os.lstat(path)
                note = known.get(path[top:])
                if note is None or note[:2] != [state.st_ino, state.st_ctime_ns]:
                    note = [state.st_ino, state.st_ctime_ns, _sizes(path)[0]]
                notes[path[top:]] = note
        return notes

    total = 0
    directories = [str(root)]
    while directories:
        directory = directories.pop()
        size, inner = _sizes(directory)
        total += size
        if os.path.basename(directory) != _HISTORY:
            directories += inner
            continue
        for notes in share(inner, look) if share else [look(inner)]:
            seen |= notes
            total += sum(note[2] for note in notes.values())
    return total


def _sizes(directory: str) -> tuple[int, list[str]]:
    """Return the sum of the sizes of the files in a directory, and the directories in it."""
    total = 0
    inner: list[str] = []
    with contextlib.suppress(FileNotFoundError, PermissionError), os.scandir(directory) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
            except (FileNotFoundError, PermissionError):
                continue
    return total, inner
