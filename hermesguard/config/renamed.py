"""Settings that had another name before 0.2.0: they are named in the error, with what replaces them."""

from typing import Final

RENAMED: Final = {
    "sweep_interval": "scan_interval",
    "on_doubt": "on_uncertain",
    "memory_bytes": "cache_bytes",
}
"""By the key that was: the key that is. A flag of the old name is still taken, with a word on stderr."""
