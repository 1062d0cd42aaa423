"""Files with secrets: one rule for all of them. The file that is checked is the one that is read."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError

LARGEST_BYTES: Final = 64 * 1024


def read_secret(path: Path, what: str, is_of_systemd: bool = False) -> str:
    """Return the text of a file with secrets; GuardError (exit code 12) unless only this user, and root, may read it.

    `what` is in it, for the sentence. A credential that systemd has laid out is for this user whatever its mode says.
    """
    descriptor = _opened(path, what, LARGEST_BYTES)
    try:
        if not is_of_systemd:
            _require_private(path, os.fstat(descriptor), what)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(LARGEST_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise _unreadable(path, what, "it is not UTF-8 text") from None
    except OSError as error:
        raise _unreadable(path, what, error.strerror or str(error)) from None
    finally:
        os.close(descriptor)


def require_private(path: Path, what: str) -> None:
    """Raise GuardError (exit code 12) unless only this user, and root, may read or change a file that has secrets in it."""
    descriptor = _opened(path, what, None)
    try:
        _require_private(path, os.fstat(descriptor), what)
    finally:
        os.close(descriptor)


def _opened(path: Path, what: str, limit_bytes: int | None) -> int:
    try:
        return files.opened(os.path.realpath(path), limit_bytes)[0]  # a link is as good
    except files.TooLarge:
        raise _unreadable(path, what, f"it has more than {LARGEST_BYTES // 1024} KiB") from None
    except OSError as error:
        why = "it is no regular file" if error.errno == errno.EINVAL else error.strerror or str(error)
        raise _unreadable(path, what, why) from None


def _require_private(path: Path, found: os.stat_result, what: str) -> None:
    own = os.geteuid()
    # Root, who checks a configuration for others, reads whatever is theirs alone.
    if own != 0 and found.st_uid not in (0, own):
        raise GuardError(
            f"{path} belongs to uid {found.st_uid}, and has {what} in it, which is a secret",
            f"Make it this user's: chown {own} {path}",
            ExitCode.CONFIG,
        )
    if found.st_mode & 0o077:
        raise GuardError(
            f"{path} may be read by others (mode {stat.S_IMODE(found.st_mode):04o}), and has {what} in it, which is a secret",
            f"Do: chmod 600 {path}; or, where others need that file, keep the secret in one of its own",
            ExitCode.CONFIG,
        )


def _unreadable(path: Path, what: str, why: str) -> GuardError:
    return GuardError(
        f"{path}, which should have {what} in it, cannot be read: {why}",
        f"Correct the path, or give the file to the user that reads it (uid {os.geteuid()}), with mode 0600",
        ExitCode.CONFIG,
    )
