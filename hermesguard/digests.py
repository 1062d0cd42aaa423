"""SHA-256, by which the store knows contents, and BLAKE2, by which differences are told within one process.

`hashlib` loads OpenSSL, nearly four megabytes; a guard that has nothing to do needs none of it. BLAKE2 is the interpreter's own
in either case, and OpenSSL comes with the first SHA-256 that is wanted.
"""

from _blake2 import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["blake2b", "sha256"]


def sha256(data: bytes = b"") -> "_Hash":
    """Return the SHA-256 of what is there so far, as `hashlib` does."""
    import hashlib

    return hashlib.sha256(data)
