"""The storage, through obstore: every request is made once, counted before it is made, and fails in one sentence."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError
from hermesguard.offsite.access import MISSING_LIBRARY, Credentials

LARGE_BYTES: Final = 64 * 1024 * 1024
"""Objects above this size are uploaded in parts: a request for each."""
_PART_BYTES: Final = 16 * 1024 * 1024
_PAGE: Final = 1000
_TIMEOUT: Final = timedelta(seconds=300)
_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
_STATUS: Final = re.compile(r"status code: (\d{3}[^:\n]{0,60})")
_CODE: Final = re.compile(r"<Code>([\w.]{1,80})</Code>")


class BucketError(OSError):
    """A request failed; str() says why. `is_refusal`: the storage understood it and said no (key, bucket, rights)."""

    def __init__(self, sentence: str, is_refusal: bool = False) -> None:
        super().__init__(sentence)
        self.is_refusal = is_refusal


class Stored(NamedTuple):
    """An object as the storage lists it."""

    name: str
    size_bytes: int


class Bucket:
    """One place for copies: `url` is s3://BUCKET/PREFIX or file:///DIRECTORY.

    `count` is told how many requests come before they are made, and may refuse by raising.
    """

    def __init__(
        self,
        url: str,
        endpoint: str = "",
        region: str = "us-east-1",
        credentials: Credentials | None = None,
        count: Callable[[int], None] = lambda requests: None,
        timeout: timedelta = _TIMEOUT,
    ) -> None:
        try:
            import obstore
            from obstore import exceptions, store
        except ModuleNotFoundError:
            raise GuardError("The Python module obstore is missing", MISSING_LIBRARY) from None
        self._obstore: Any = obstore
        self._failures: tuple[type[Exception], ...] = (exceptions.BaseError, OSError, ValueError)
        self._refusals = (
            exceptions.PermissionDeniedError,
            exceptions.UnauthenticatedError,
            FileNotFoundError,
        )
        self._missing = (exceptions.NotFoundError, FileNotFoundError)
        self.count = count
        self.url = url
        parts = urlsplit(url)
        self.directory = Path(url.removeprefix("file://")) if parts.scheme == "file" else None
        if self.directory is not None:
            self._require_directory()
            self._store: Any = store.LocalStore(self.directory)
            return
        if credentials is None:
            raise ValueError("an S3 storage needs credentials")
        more: dict[str, Any] = {}
        if credentials.session_token:
            more["session_token"] = credentials.session_token
        if endpoint:
            more |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
        self._store = store.S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            region=region,
            access_key_id=credentials.access_key_id,
            secret_access_key=credentials.secret_access_key,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "timeout": timeout,
                "connect_timeout": min(timeout, _CONNECT_TIMEOUT),
            },
            # Each attempt is a request that is paid for: the caller decides when there is another one.
            retry_config={"max_retries": 0, "retry_timeout": timeout},
            **more,
        )

    def _require_directory(self) -> None:
        if self.directory is not None and not self.directory.is_dir():
            raise GuardError(
                f"{self.directory} is no directory",
                "Make it, or mount what belongs there: it is not made by itself, for a disk may be missing",
                ExitCode.CONFIG,
            )

    def put(self, name: str, source: Path) -> None:
        """Make the file `source` the object `name`: whole or not at all. Raises BucketError."""
        size_bytes = source.stat().st_size
        is_large = self.directory is None and size_bytes > LARGE_BYTES
        self.count(2 + -(-size_bytes // _PART_BYTES) if is_large else 1)
        with self._said():
            self._obstore.put(
                self._store,
                name,
                source if is_large else source.read_bytes(),
                use_multipart=is_large,
                chunk_size=_PART_BYTES,
                max_concurrency=2,
            )
        if self.directory is not None:
            with self._said():
                self._make_durable(name)

    def _make_durable(self, name: str) -> None:
        assert self.directory is not None
        path = self.directory / name
        files.sync_file(path)
        while path != self.directory:
            path = path.parent
            files.sync_directory(path)

    def fetch(self, name: str, target: Path) -> None:
        """Write the object to a file. Raises BucketError; FileNotFoundError when there is no such object."""
        self.count(1)
        with self._said(missing=name), open(target, "wb") as file:
            for piece in self._obstore.get(self._store, name).stream(min_chunk_size=1024 * 1024):
                file.write(piece)

    def names(self, folder: str = "") -> Iterator[Stored]:
        """Yield the objects in a folder of ours, or in all, in no order. Raises BucketError."""
        with self._said():
            self.count(1)
            pages = iter(self._obstore.list(self._store, prefix=folder or None, chunk_size=_PAGE))
        counted = 0
        while True:
            with self._said():
                page = next(pages, None)
            if page is None:
                return
            for meta in page:
                counted += 1
                yield Stored(str(meta["path"]), int(meta["size"]))
            if counted >= _PAGE:
                self.count(1)
                counted = 0

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error. Raises BucketError."""
        for begin in range(0, len(names), _PAGE):
            page = list(names[begin : begin + _PAGE])
            self.count(len(page) if self.directory is not None else 1)
            with contextlib.suppress(FileNotFoundError), self._said(missing="an object"):
                self._obstore.delete(self._store, page)

    @contextlib.contextmanager
    def _said(self, missing: str = "") -> Iterator[None]:
        """Turn what obstore raises into a BucketError."""
        if self.directory is not None and not self.directory.is_dir():
            raise BucketError(f"{self.directory} is not there: is its disk mounted?", is_refusal=True)
        try:
            yield
        except BucketError:
            raise
        except self._failures as error:
            if missing and isinstance(error, self._missing) and "NoSuchBucket" not in str(error):
                raise FileNotFoundError(f"{missing} is not in {self.url}") from None
            raise BucketError(_sentence(error), isinstance(error, self._refusals)) from None
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            # A fault in obstore is no reason to end: it is told, and tried again.
            raise BucketError(f"obstore has failed ({str(error)[:120]})") from None


def _sentence(error: Exception) -> str:
    """Return what went wrong in a few words: obstore's own run over a page."""
    text = str(error)
    if status := _STATUS.search(text):
        code = _CODE.search(text)
        return f"the storage answered {status[1].strip()}" + (f" ({code[1]})" if code else "")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    reason = re.findall(r'message: "([^"]{1,120})"|tcp connect error|operation timed out|dns error', text)
    kinds = [word for word in ("tcp connect error", "operation timed out", "dns error") if word in text]
    first = next(iter(text.splitlines()), "").rpartition(": ")[2][:160]
    return kinds[0] if kinds else next((word for word in reason if word), first) or type(error).__name__


def folders(stored: Iterable[Stored]) -> dict[str, list[Stored]]:
    """Return objects by the folder of the machine that made them, each list in the order of time."""
    found: dict[str, list[Stored]] = {}
    for one in stored:
        folder, slash, _ = one.name.partition("/")
        if slash:
            found.setdefault(folder, []).append(one)
    return {folder: sorted(objects) for folder, objects in sorted(found.items())}


def machine_folder(store: Path) -> str | None:
    """Return the folder of this machine and store, which tells neither; None without machine-id."""
    import hashlib
    import hmac

    with contextlib.suppress(OSError):
        identity = Path("/etc/machine-id").read_bytes().strip()
        if len(identity) >= 32:
            what = b"hermesguard offsite " + os.fsencode(os.path.realpath(store))
            return hmac.new(identity, what, hashlib.sha256).hexdigest()[:16]
    return None
