"""Putting a repaired file in the place of a live one, at one instant, whatever the file system can do.

Sources: rename(2), renameat2(2), link(2), statvfs(3).
"""

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from hermesguard import files
from hermesguard.webui.directory import staged_name

_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_NO_EXCHANGE = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EXDEV})

_libc = ctypes.CDLL(None, use_errno=True)


def stage(path: Path, pieces: Sequence[bytes | memoryview], like: files.Stamp | None) -> Path:
    """Write a file of these pieces beside `path`, with owner, group, mode and extended attributes of the file there.

    Returns where. `like` is that file's stamp, None when there is none. The name is one that the application neither reads
    nor scans away, and that nothing had until now: what an interrupted repair left is looked at first. Not synced: what
    stands in for it is durable in the store. Raises OSError, ENOSPC before a byte is written when there is no room; then
    nothing is left behind.
    """
    _require_room(path.parent, sum(map(len, pieces)))
    temporary, descriptor = _open_free(path, os.O_WRONLY)
    try:
        try:
            _fill(descriptor, path, pieces, like)
        finally:
            os.close(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return temporary


def _fill(
    descriptor: int, path: Path, pieces: Sequence[bytes | memoryview], like: files.Stamp | None
) -> None:
    for piece in pieces:
        files.write_all(descriptor, piece)
    if like:
        _copy_attributes(path, descriptor)
        _give(descriptor, like)
    os.fchmod(descriptor, like.mode if like else 0o600)


def write_standby(
    standby_file: Path, path: Path, pieces: Sequence[bytes | memoryview], like: files.Stamp
) -> files.Stamp:
    """Write `standby file` as `stage` writes, for the file at `path`, over what it holds; return its stamp. Not synced.

    Raises OSError, ENOSPC before a byte is written when there would not be as much room again afterwards.
    """
    _require_room(path.parent, 2 * sum(map(len, pieces)))
    # Over the pages that an older standby file has in memory: new ones cost three times as much.
    descriptor = os.open(
        standby_file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600
    )
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            # Someone planted it: written over, another file of the same inode would be lost.
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), str(standby_file))
        _fill(descriptor, path, pieces, like)
        os.ftruncate(descriptor, sum(map(len, pieces)))
        return files.Stamp.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def stage_standby(
    standby_file: Path, path: Path, written: files.Stamp, part: bytes, offset_bytes: int
) -> Path:
    """Write `part` into a standby file, which must be as it was `written`, and give it a staged name; return that.

    Raises OSError (ESTALE when someone has touched the standby file); then it still has its own name.
    """
    descriptor = os.open(standby_file, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if files.Stamp.of(os.fstat(descriptor)) != written:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(standby_file))
        os.pwrite(descriptor, part, offset_bytes)
        _copy_attributes(path, descriptor)
    finally:
        os.close(descriptor)
    # What is displaced will have this name, and must not be taken for a standby file after a crash.
    for number in count():
        staged = staged_name(path, number)
        if (error := _renameat2(standby_file, staged, _RENAME_NOREPLACE)) == 0:
            return staged
        if error != errno.EEXIST:
            raise OSError(error, os.strerror(error), str(standby_file))
    raise AssertionError("there is always another number")


def _open_free(path: Path, flags: int, kind: str = "") -> tuple[Path, int]:
    for number in count():
        temporary = staged_name(path, number, kind)
        with contextlib.suppress(FileExistsError):
            flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return temporary, os.open(temporary, flags, 0o600)
    raise AssertionError("there is always another number")


def _require_room(directory: Path, needed_bytes: int) -> None:
    found = os.statvfs(directory)
    blocks = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    # Some network and FUSE file systems know no numbers.
    if found.f_blocks and blocks * found.f_frsize < needed_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))


def _give(descriptor: int, like: files.Stamp) -> None:
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) == (like.uid, like.gid):
        return
    try:
        os.fchown(descriptor, like.uid, like.gid)
    except PermissionError:
        # Whoever owned the file must still own it; a group that we may not give away is the lesser loss.
        if own.st_uid != like.uid:
            raise


def _copy_attributes(source: Path, descriptor: int) -> None:
    try:
        names = os.listxattr(source, follow_symlinks=False)
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            os.setxattr(descriptor, name, os.getxattr(source, name, follow_symlinks=False))


def exchange(temporary: Path, path: Path) -> bool:
    """Swap the two names at one instant, so that `temporary` holds exactly what `path` was until then.

    Returns False where the file system refuses that (NFS, FUSE, 9p) and link + rename did it instead: whole at every
    instant too, but a write that falls between the two is not among what comes out. Raises OSError with live unchanged,
    or, without exchange, with what it was under another staged name.
    """
    number = _renameat2(temporary, path, _RENAME_EXCHANGE)
    if number == 0:
        return True
    if number not in _NO_EXCHANGE:
        raise OSError(number, os.strerror(number), str(path))
    _exchange_by_link(temporary, path)
    return False


def _renameat2(old: Path, new: Path, flags: int) -> int:
    """Return 0, or the error number (renameat2(2))."""
    done = _libc.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags)
    return 0 if done == 0 else ctypes.get_errno()


def _exchange_by_link(temporary: Path, path: Path) -> None:
    displaced = _second_name(path)
    os.rename(temporary, path)
    os.rename(displaced, temporary)


def _second_name(path: Path) -> Path:
    """Give a file another name beside it, or, without hard links, what it holds; return that name."""
    for number in count():
        displaced = staged_name(path, number, ".displaced")
        try:
            os.link(path, displaced)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in files.NO_LINK:
                raise
            break
        return displaced
    data = files.read(path)[0]
    displaced, descriptor = _open_free(path, os.O_WRONLY, ".displaced")
    try:
        files.write_all(descriptor, data)
    finally:
        os.close(descriptor)
    return displaced


def put_back(temporary: Path, path: Path) -> None:
    """Give `temporary` the name `path`, which must be free: FileExistsError when someone was faster."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in files.NO_LINK:
            raise
        if number := _renameat2(temporary, path, _RENAME_NOREPLACE):
            raise OSError(number, os.strerror(number), str(path)) from None
    else:
        os.unlink(temporary)
