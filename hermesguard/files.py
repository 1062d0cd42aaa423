"""Atomic, durable file operations; with appending.py and repair/exchange.py the only module that writes files.

Sources: rename(2), fsync(2), link(2), xattr(7).
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

NO_LINK = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_COMPARED_BYTES = 1024 * 1024
_MOST_NS = 2**63 - 1
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
Data = bytes | Iterable[bytes | memoryview]
TRIES = 3  # to read a file of NFS, which another machine may replace between opening and reading (ESTALE)
_DIGEST_ATTRIBUTE = "user.hermesguard"


class Stamp(NamedTuple):
    """What stat(2) says of a file, as far as it distinguishes two states of it or must be kept at a repair."""

    size_bytes: int
    mtime_ns: int
    inode: int
    device: int
    ctime_ns: int
    mode: int
    uid: int
    gid: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Stamp":
        """Return the stamp in a stat result."""
        return cls(
            found.st_size,
            found.st_mtime_ns,
            found.st_ino,
            found.st_dev,
            found.st_ctime_ns,
            stat.S_IMODE(found.st_mode),
            found.st_uid,
            found.st_gid,
        )


class Damaged(OSError):
    """A file is not what was written into it; str() says which and how."""


class TooLarge(OSError):
    """A file has more bytes than may be read into memory: it was not read."""

    def __init__(self, path: Path | str, stamp: Stamp, limit_bytes: int) -> None:
        super().__init__(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        self.stamp = stamp
        self.limit_bytes = limit_bytes


def read(path: Path, limit_bytes: int | None = None) -> tuple[bytes, Stamp]:
    """Return a regular file's content and its stamp, both of the same inode.

    Raises OSError, also for what is no regular file: a symlink could lead out of the directory, a pipe could hang.
    `TooLarge`, before a byte is read, when it has more than `limit_bytes`.
    """
    return _read(path, False, limit_bytes)[:2]


def read_noted(path: Path, limit_bytes: int | None = None) -> tuple[bytes, Stamp, bytes | None]:
    """Return what `read` returns and what was noted beside the content (`note`), all of the same inode."""
    return _read(path, True, limit_bytes)


def opened(path: Path | str, limit_bytes: int | None) -> tuple[int, os.stat_result]:
    """Open a regular file for reading; OSError when it is none, `TooLarge` when it has more than `limit_bytes`."""
    descriptor = os.open(path, _READING)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if limit_bytes is not None and found.st_size > limit_bytes:
            raise TooLarge(path, Stamp.of(found), limit_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found


def _read(path: Path, noted: bool, limit: int | None, left: int = TRIES) -> tuple[bytes, Stamp, bytes | None]:
    try:
        descriptor, found = opened(path, limit)
        try:
            data = read_open(descriptor, found.st_size)
            return data, Stamp.of(found), note(descriptor) if noted else None
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno != errno.ESTALE or left == 1:
            raise
    return _read(path, noted, limit, left - 1)


def stamp_if_same(path: Path, content: Iterable[bytes | memoryview]) -> Stamp | None:
    """Return the stamp of a regular file that holds this content, None when it holds another. Raises OSError as `read` does."""
    descriptor, found = opened(path, None)
    try:
        return Stamp.of(found) if holds(descriptor, content) else None
    finally:
        os.close(descriptor)


def holds(descriptor: int, content: Iterable[bytes | memoryview]) -> bool:
    """Return whether an open file holds this content from where it stands, and nothing behind it. Raises OSError."""
    for piece in content:
        for begin in range(0, len(piece), _COMPARED_BYTES):
            part = piece[begin : begin + _COMPARED_BYTES]
            if not _read_exactly(descriptor, len(part)).startswith(part):
                return False
    return not os.read(descriptor, 1)


def _read_exactly(descriptor: int, size_bytes: int) -> bytes:
    found = b""
    while len(found) < size_bytes and (more := os.read(descriptor, size_bytes - len(found))):
        found += more
    return found


def read_open(descriptor: int, size_bytes: int) -> bytes:
    """Return what an open file of about so many bytes holds from where it stands. Raises OSError."""
    parts = []
    while part := os.read(descriptor, max(size_bytes + 1, 4096)):
        parts.append(part)
        size_bytes -= len(part)  # what is asked for at the end is in memory twice for a moment
    return parts[0] if len(parts) == 1 else b"".join(parts)


def pieces(path: Path, size_bytes: int = 1024 * 1024) -> Iterator[bytes]:
    """Yield a file's content in pieces of at most so many bytes. Raises OSError."""
    descriptor = os.open(path, _READING)
    try:
        while piece := os.read(descriptor, size_bytes):
            yield piece
    finally:
        os.close(descriptor)


def lines(path: Path, limit_bytes: int, longest_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Yield the lines of a regular file, each with its end, and whether it is the rest of a line.

    A line that is longer than `longest_bytes` comes in parts that are no longer. Raises OSError; `TooLarge` as `read` does.
    """
    descriptor, _ = opened(path, limit_bytes)
    with os.fdopen(descriptor, "rb") as file:
        is_rest = False
        while limit_bytes > 0 and (line := file.readline(longest_bytes + 1)):
            yield line, is_rest
            is_rest = not line.endswith(b"\n")
            limit_bytes -= len(line)  # it may grow while it is read


def stamp(path: Path) -> Stamp | None:
    """Return the stamp of the regular file at `path`, or None when there is none."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Stamp.of(found) if stat.S_ISREG(found.st_mode) else None


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def sync_file(path: Path) -> None:
    """Make a file's content survive a power cut."""
    _sync(path, _READING)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(
    path: Path, data: Data, mtime_ns: int | None = None, note: bytes | None = None, is_lasting: bool = True
) -> None:
    """Put a file of mode 0600 at `path`, whole at every instant, and, if it `is_lasting`, durable when this returns.

    `mtime_ns` back-dates it; `note` goes into an extended attribute where the file system has them. A crash leaves the old
    file or the new one, and perhaps a temp file `.NAME.tmp` that the next write of that name replaces.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    write_new(temporary, data, mtime_ns, note, is_synced=is_lasting)
    try:
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if is_lasting:
        sync_directory(path.parent)


def write_new(
    path: Path, data: Data, mtime_ns: int | None, note: bytes | None, *, is_synced: bool = False
) -> None:
    """Write a new file of mode 0600, as `open_new` opens it; its name is not durable yet, and its content only if `is_synced`.

    Raises OSError, and then nothing is left of it.
    """
    descriptor = open_new(path)
    try:
        try:
            for piece in (data,) if isinstance(data, bytes) else data:
                write_all(descriptor, piece)
            if note is not None:
                write_note(descriptor, note)
            if mtime_ns is not None:
                os.utime(descriptor, ns=(known := kept_ns(mtime_ns), known))
            if is_synced:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def open_new(path: Path) -> int:
    """Open a new file of mode 0600 for writing, in place of one that a crash left there; never what someone planted."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileExistsError:
        os.unlink(path)
    return os.open(path, flags, 0o600)


def write_note(descriptor: int, note: bytes) -> None:
    """Note something beside the content of an open file, where the file system has extended attributes."""
    with contextlib.suppress(OSError):
        os.setxattr(descriptor, _DIGEST_ATTRIBUTE, note)


def note(file: Path | str | int) -> bytes | None:
    """Return what `write_durably` noted beside the content, None when nothing was or could be noted."""
    try:
        return os.getxattr(file, _DIGEST_ATTRIBUTE, follow_symlinks=isinstance(file, int))
    except OSError:
        return None


def append_durably(path: Path, line: bytes, create: bool = True) -> None:
    """Append a line to a file of mode 0600; durable when this returns. A torn last line is closed first.

    Raises OSError; then the line is taken back as far as the disk lets us, else it may be there in part, or whole.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        size = regular(descriptor, path).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        try:
            write_all(descriptor, line)
            os.fsync(descriptor)
            if size == 0:
                sync_directory(path.parent)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def regular(descriptor: int, path: Path) -> os.stat_result:
    """Return what stat(2) says of an open file. OSError when it is none but something else."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return found


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of it to an open file. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def kept_ns(mtime_ns: int) -> int:
    """Return a file's time as the store keeps it: in 64 bits. Anybody can give a file any time, and tmpfs or Btrfs keep it."""
    return max(-_MOST_NS, min(mtime_ns, _MOST_NS))


def prove_writable(directory: Path) -> None:
    """Write a little file into a directory, durably, and remove it; OSError when that cannot be done."""
    path = directory / ".proof.tmp"
    descriptor = open_new(path)
    try:
        write_all(descriptor, bytes(4096))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(path)


def make_directory(path: Path) -> None:
    """Make a directory of mode 0700, with its parents, if it is not there; its name survives a power cut."""
    if not path.is_dir():
        make_directory(path.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        sync_directory(path.parent)


def move(path: Path, target: Path) -> bool:
    """Give a file another name, durably; return False when it was not there."""
    try:
        os.rename(path, target)
    except FileNotFoundError:
        return False
    sync_directory(target.parent)
    if path.parent != target.parent:
        sync_directory(path.parent)
    return True


def link_durably(path: Path, target: Path) -> bool:
    """Give a file a second name, durably; return False where the file system has no hard links."""
    try:
        os.link(path, target)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        return False
    sync_directory(target.parent)
    return True


def set_mtime(path: Path, mtime_ns: int) -> None:
    """Set the time of a file's last change, as `kept_ns` gives it."""
    os.utime(path, ns=(known := kept_ns(mtime_ns), known), follow_symlinks=False)


def names(directory: Path) -> list[str]:
    """Return the names in a directory, none when it is not there. Raises OSError when it cannot be read."""
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def remove_directory(path: Path) -> None:
    """Remove a directory if nothing is in it."""
    with contextlib.suppress(OSError):
        os.rmdir(path)


def remove(path: Path) -> bool:
    """Remove a file; return whether there was one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
