"""Traces inside the backups that hermes-agent makes (`backups/*.zip`): session files, session logs and databases."""

import contextlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from hermesguard import files
from hermesguard.salvage.readers import copies
from hermesguard.salvage.readers.copies import Unusable
from hermesguard.salvage.readers.statedb import Database
from hermesguard.salvage.trace import Kind, Trace
from hermesguard.webui import session
from hermesguard.webui.session import Unreadable

_PIECE_BYTES: Final = 1024 * 1024
_MOST_DATABASE_BYTES: Final = 1024**3
_MOST_MEMBERS: Final = 200_000
_MOST_RATIO: Final = 200
_LARGE_BYTES: Final = 32 * 1024 * 1024
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    EOFError,
)


class Archive:
    """One backup. Raises Unusable when it is no archive that can be read; close it in any case."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.path = path
        self.notes: list[str] = []
        self._limit_bytes = limit_bytes
        self._stack = contextlib.ExitStack()
        try:
            descriptor, _ = files.opened(path, None)  # a pipe would be waited for
            self._zip = self._stack.enter_context(
                zipfile.ZipFile(self._stack.enter_context(os.fdopen(descriptor, "rb")))
            )
        except OSError as error:
            self._stack.close()
            raise Unusable(f"{path.name} cannot be read: {copies.reason(error)}. It is left out.") from None
        except _BROKEN as error:
            self._stack.close()
            raise Unusable(
                f"{path.name} is no zip archive that can be read ({error}). It is left out."
            ) from None
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist()[:_MOST_MEMBERS]:
            name = PurePosixPath(member.filename).name
            parent = PurePosixPath(member.filename).parent.name
            if (name.endswith(".json") and parent == "sessions") or name == "state.db":
                self._members.setdefault(name, member)
        self.database = self._database()

    def close(self) -> None:
        """Let go of it, and remove what was unpacked."""
        if self.database:
            self.database.close()
        self._stack.close()

    def traces(self, name: str) -> Iterator[Trace | str]:
        """Yield what the archive has of a conversation, and a sentence for what is of no use."""
        member = self._members.get(f"{name}.json")
        if member:
            place = f"{self.path.name}: {member.filename}"
            try:
                document = session.parse(self._bytes(member, self._limit_bytes))
                yield copies.document_trace(Kind.COPY, place, document, None)
            except Unusable as error:
                yield str(error)
            except Unreadable as error:
                yield f"{place} is no session file ({error}). It is left out."
        if self.database:
            try:
                if trace := self.database.trace(name):
                    yield trace
            except Unusable as error:
                yield str(error)

    def _database(self) -> Database | None:
        member = self._members.get("state.db")
        if member is None:
            return None
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="hermesguard-")))
        try:
            self._check(member, _MOST_DATABASE_BYTES)
            if member.file_size > shutil.disk_usage(directory).free // 2:
                raise Unusable(f"There is no room to unpack state.db of {self.path.name}. It is left out.")
            with (directory / "state.db").open("wb") as target:
                for piece in self._pieces(member, _MOST_DATABASE_BYTES):
                    target.write(piece)
            return Database(directory / "state.db", "default", self._limit_bytes)
        except Unusable as error:
            self.notes.append(f"{self.path.name}: {str(error).replace(f'{directory}/', '')}")
            return None

    def _bytes(self, member: zipfile.ZipInfo, limit_bytes: int) -> bytes:
        self._check(member, limit_bytes)
        return b"".join(self._pieces(member, limit_bytes))

    def _check(self, member: zipfile.ZipInfo, limit_bytes: int) -> None:
        # Nothing that people wrote is packed so tightly.
        bomb = member.file_size > _LARGE_BYTES and member.file_size > _MOST_RATIO * max(
            1, member.compress_size
        )
        if member.file_size > limit_bytes or bomb:
            raise Unusable(
                f"{self.path.name}: {member.filename} would unpack to {member.file_size:,} bytes from "
                f"{member.compress_size:,}. It is left out."
            )

    def _pieces(self, member: zipfile.ZipInfo, limit_bytes: int) -> Iterator[bytes]:
        """Yield what is in a member, and not more than its limit whatever its header says; raises Unusable."""
        size = 0
        try:
            file: IO[bytes]
            with self._zip.open(member) as file:
                while piece := file.read(_PIECE_BYTES):
                    size += len(piece)
                    if size > limit_bytes:
                        raise Unusable(
                            f"{self.path.name}: {member.filename} is larger than it says. It is left out."
                        )
                    yield piece
        except _BROKEN as error:
            is_encrypted = bool(member.flag_bits & 1)
            what = "encrypted" if is_encrypted else f"damaged ({error})"
            raise Unusable(f"{self.path.name}: {member.filename} is {what}. It is left out.") from None
