"""Reading copies back: is each object still what was given to the storage, and, with the key, what the store has?"""

import hashlib
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hermesguard import files
from hermesguard.offsite import batch
from hermesguard.offsite.back.restore import fetch
from hermesguard.offsite.bucket import Bucket, BucketError, Stored


@dataclass
class Verified:
    """What came of it."""

    objects: int = 0
    """Objects that the storage has."""
    checked: int = 0
    size_bytes: int = 0
    files: int = 0
    """Files whose digest was compared; none without a key."""
    wrong: list[tuple[str, str]] = field(default_factory=list)
    """Objects that are not what they should be, and why."""


def verify(
    bucket: Bucket,
    stored: Sequence[Stored],
    known: dict[str, tuple[int, str]],
    sample: int | None,
    keys: Sequence[Any] = (),
) -> Verified:
    """Read back `sample` objects chosen at random (None: all); BucketError when the storage refuses.

    `known` says of objects, by name, their size and digest; empty where no state is. Each that is known must be there.
    """
    result = Verified(objects=len(stored))
    there = {one.name for one in stored}
    result.wrong += [(name, "it is not there any more") for name in sorted(known) if name not in there]
    chosen = list(stored)
    if sample is not None and sample < len(chosen):
        chosen = sorted(random.sample(chosen, sample))
    with tempfile.TemporaryDirectory(prefix="hermesguard-verify-") as directory:
        for one in chosen:
            try:
                _check(bucket, one, known.get(one.name), keys, Path(directory) / "object", result)
            except FileNotFoundError:
                result.wrong.append((one.name, "it is not there any more"))
            except BucketError as error:
                if error.is_refusal:
                    raise
                result.wrong.append((one.name, f"it cannot be read: {error}"))
            except files.Damaged as error:
                result.wrong.append((one.name, str(error)))
    return result


def _check(
    bucket: Bucket,
    one: Stored,
    known: tuple[int, str] | None,
    keys: Sequence[Any],
    path: Path,
    result: Verified,
) -> None:
    fetch(bucket, one, path)
    hashed, size_bytes = hashlib.sha256(), 0
    for piece in files.pieces(path):
        hashed.update(piece)
        size_bytes += len(piece)
    result.checked += 1
    result.size_bytes += size_bytes
    if known and (size_bytes, hashed.hexdigest()) != known:
        raise files.Damaged("its content has another digest than what was given to the storage")
    if not keys:
        return
    found: dict[str, str] = {}
    index = None
    with batch.opened(path, keys) as tar:
        for name, content in batch.members(tar):
            if name == batch.INDEX:
                index = batch.read_index(content)
            elif name != batch.REMOVED:
                inner = hashlib.sha256()
                while piece := content.read(1024 * 1024):
                    inner.update(piece)
                found[name] = inner.hexdigest()
    if index is None or {item.path: item.sha256 for item in index.items} != found:
        raise files.Damaged("its files are not what its index says")
    result.files += len(found)
