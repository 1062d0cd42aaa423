"""The repaired file of a wipe, written before the wipe: then the repair of twenty megabytes is one number and one exchange.

A session that can be wiped (its stream is set) and has been quiet for a moment gets a file beside it,
`.hermesguard-<sid>.standby file`,
which the application neither reads nor scans away. It is all that the repair will put in place, but for the stub's `updated_at`,
for which a little room is left. It is an optimisation: what differs from what was awaited, or cannot be written, is staged when
it is needed (module staging). Nothing is kept in a standby file that the store has not: whoever finds one may remove it.
"""

import contextlib
from collections.abc import Container, Set
from pathlib import Path
from typing import NamedTuple

from hermesguard import files
from hermesguard.files import Stamp
from hermesguard.repair import exchange as staging
from hermesguard.repair.prepared import Answer
from hermesguard.webui.abridged import Piece
from hermesguard.webui.directory import SessionsDirectory

# A float as Python writes it has up to 24 characters; the white space that fills the rest is none of JSON's business.
PLACE_BYTES = 24


class _Standby(NamedTuple):
    answer: Answer
    like: Stamp
    """Of the live file when the standby file was made: owner, group and mode are as there."""
    written: Stamp
    """Of the standby file: whatever has been touched since is not used."""


class StandbyFiles:
    """The standby file files of one sessions directory, made by this guard."""

    def __init__(self, directory: SessionsDirectory) -> None:
        self._directory = directory
        self._standby: dict[str, _Standby] = {}

    @property
    def size_bytes(self) -> int:
        """How many bytes all standby have."""
        return sum(standby_file.written.size_bytes for standby_file in self._standby.values())

    def make(self, name: str, answer: Answer, limit_bytes: int) -> None:
        """Write a session's standby file, if all together then have no more than `limit_bytes`, and the disk has room for
        another.

        Never raises: without room or rights there is none, and of a lasting fault the repair itself will tell.
        """
        known = self._standby.get(name)
        if known and known.answer is answer:
            return
        live = self._directory.file(name)
        pieces = answer.pieces(b"0".ljust(PLACE_BYTES))
        others_bytes = self.size_bytes - (known.written.size_bytes if known else 0)
        try:
            like = files.stamp(live)
            if like is None or others_bytes + sum(map(len, pieces)) > limit_bytes:
                self.drop(name)
                return
            written = staging.write_standby(staging.standby_name(live), live, pieces, like)
        except OSError:
            self._standby.pop(name, None)
            self._remove(name)
        else:
            self._standby[name] = _Standby(answer, like, written)

    def take(
        self, name: str, answer: Answer | None, updated: bytes, like: Stamp
    ) -> tuple[Path, list[Piece]] | None:
        """Return the standby file, staged with `updated` in its place, and its pieces, and forget it; None when it does not fit.

        `answer` is what is to be put in place, `like` the stamp of the file that it is to displace.
        """
        standby_file = self._standby.get(name)
        if standby_file is None:
            return None
        is_alike = (standby_file.like.mode, standby_file.like.uid, standby_file.like.gid) == (
            like.mode,
            like.uid,
            like.gid,
        )
        if standby_file.answer is answer and is_alike and len(updated) <= PLACE_BYTES:
            live = self._directory.file(name)
            filled = updated.ljust(PLACE_BYTES)
            with contextlib.suppress(OSError):
                staged = staging.stage_standby(
                    staging.standby_name(live),
                    live,
                    standby_file.written,
                    filled,
                    answer.updated_offset_bytes,
                )
                del self._standby[name]
                return staged, answer.pieces(filled)
        return None

    def drop(self, name: str) -> None:
        """Remove a session's standby file, if there is one."""
        if self._standby.pop(name, None):
            self._remove(name)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            files.remove(staging.standby_name(self._directory.file(name)))

    def drop_others(self, names: Container[str]) -> None:
        """Remove the standby of the sessions that are not among these."""
        for name in [name for name in self._standby if name not in names]:
            self.drop(name)

    def remove_strays(self, found: Set[str]) -> None:
        """Remove, of the standby that were found, those that are none of ours, or could not be removed before."""
        for name in found - self._standby.keys():
            self._remove(name)
