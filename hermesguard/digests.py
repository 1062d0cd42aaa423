"""SHA-256, by which the store knows contents, and BLAKE2, by which differences are told within one process.

`hashlib` loads OpenSSL, nearly four megabytes; a guard that has nothing to do needs none of it. BLAKE2 is the interpreter's own
in either case, and OpenSSL comes with the first SHA-256 that is wanted. Where it cannot come then, as when the system has got
another Python while the guard ran, the interpreter's own SHA-256 does, which takes longer: it was loaded at the start.
"""

import importlib
import sys
from _blake2 import blake2b
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["blake2b", "sha256"]


def _own() -> Any:
    try:
        return importlib.import_module("_sha2" if sys.version_info >= (3, 12) else "_sha256").sha256
    except ImportError:  # this Python was built to have OpenSSL's alone
        return importlib.import_module("hashlib").sha256


_OWN: Final = _own()


def sha256(data: bytes = b"") -> "_Hash":
    """Return the SHA-256 of what is there so far, as `hashlib` does."""
    try:
        import hashlib
    except (ImportError, OSError):
        return _OWN(data)  # type: ignore[no-any-return]
    return hashlib.sha256(data)
