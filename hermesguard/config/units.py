"""Durations, sizes, times and counts as people write them: "10s", "1h30m", "2GiB", "12 messages"."""

import re
from datetime import UTC, datetime

from hermesguard.clock import local

DURATION_FORM = 'a duration such as "10s", "15m", "12h", "30d" or "0"'
SIZE_FORM = 'a size such as "64MiB", "2GiB" or a number of bytes'

_SECONDS_PER = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1, "ms": 0.001}
_BYTES_PER = {
    "": 1, "b": 1,
    "k": 1024, "kib": 1024, "kb": 1000,
    "m": 1024**2, "mib": 1024**2, "mb": 1000**2,
    "g": 1024**3, "gib": 1024**3, "gb": 1000**3,
    "t": 1024**4, "tib": 1024**4, "tb": 1000**4,
}  # fmt: skip
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|[wdhms])\s*", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII | re.IGNORECASE)
_LONGEST_SECONDS = 100 * 366 * 86400


def parse_duration(text: str) -> float:
    """Return seconds for "10s", "1h 30m", "2w" or "0"; ValueError for anything else, and for over a hundred years."""
    text = text.strip()
    if text == "0":
        return 0.0
    position, seconds = 0, 0.0
    while part := _DURATION_PART.match(text, position):
        seconds += float(part[1]) * _SECONDS_PER[part[2]]
        position = part.end()
    if not text or position != len(text) or seconds > _LONGEST_SECONDS:
        raise ValueError(f"no duration: {text}")
    return seconds


def parse_size(text: str) -> int:
    """Return bytes for "2GiB", "500 MB", "64M" (binary) or "1024"; ValueError for anything else."""
    match = _SIZE.fullmatch(text.strip())
    if not match or match[2].lower() not in _BYTES_PER:
        raise ValueError(f"no size: {text}")
    unit = _BYTES_PER[match[2].lower()]
    try:
        return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit
    except OverflowError:
        raise ValueError(f"no size: {text}") from None


def exact_duration(seconds: float) -> str:
    """Return the shortest text that `parse_duration` reads as exactly `seconds`: 90 is "90s", 86400 is "1d"."""
    if seconds == 0:
        return "0"
    for unit in ("d", "h", "m", "s"):
        count = seconds / _SECONDS_PER[unit]
        if count.is_integer():
            return f"{int(count)}{unit}"
    return f"{seconds:f}".rstrip("0") + "s"


def exact_size(size_bytes: int) -> str:
    """Return the shortest text that `parse_size` reads as exactly `size_bytes`: 67108864 is "64MiB"."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _BYTES_PER[unit.lower()] == 0:
            return f"{size_bytes // _BYTES_PER[unit.lower()]}{unit}"
    return str(size_bytes)


def about_duration(seconds: float) -> str:
    """Return a duration for reading, not for parsing: "0.16 ms", "12 s", "3 h", "5 d"."""
    if seconds < 0.01:
        return f"{seconds * 1000:.2g} ms" if seconds > 0 else "0 s"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, limit in (("s", 120), ("m", 120 * 60), ("h", 48 * 3600)):
        if seconds < limit:
            return f"{seconds / _SECONDS_PER[unit]:.0f} {'min' if unit == 'm' else unit}"
    return f"{seconds / 86400:.0f} d"


def about_size(size_bytes: int) -> str:
    """Return a size for reading: "0 B", "142 KiB", "1.4 GiB"."""
    amount = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def moment(when: datetime | float | None) -> str:
    """Return a time as the reader's clock shows it, "2026-11-22 10:00:03"; "-" for None and for what is no time."""
    try:
        known = datetime.fromtimestamp(when, UTC) if isinstance(when, int | float) else when
        return f"{local(known):%Y-%m-%d %H:%M:%S}" if known else "-"
    except (OverflowError, OSError, ValueError):
        return "-"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return "1 message", "2 messages", "12,345 messages"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
