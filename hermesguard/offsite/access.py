"""Keys and credentials: the age recipients on the machine, the identity of a restore, the key of the storage."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from hermesguard.config.secrets import read_secret
from hermesguard.errors import ExitCode, GuardError

_NAMES: Final = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}
_LONGEST_BYTES: Final = 64 * 1024
MISSING_LIBRARY: Final = (
    "Install what offsite copies need: pipx inject hermesguard obstore pyrage, or see docs/offsite.md"
)


class Credentials(NamedTuple):
    """The key of an S3 storage; `origin` says where it was read."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    origin: str


def recipients(texts: Iterable[str]) -> list[Any]:
    """Return the age recipients that files are encrypted for; GuardError for what is none, and for a private key."""
    age = _library()
    found: list[Any] = []
    for text in texts:
        if "SECRET" in text.upper():
            raise GuardError(
                "A private key stands in [offsite] recipients",
                "Write the public key there (age-keygen -y FILE prints it), and keep the private one away from this machine",
                ExitCode.CONFIG,
            )
        try:
            is_ssh = text.startswith("ssh-")
            found.append((age.ssh.Recipient if is_ssh else age.x25519.Recipient).from_str(text))
        except age.RecipientError:
            raise GuardError(
                f"[offsite] recipients: {ascii(text)[:80]} is no public key of age",
                'Write what age-keygen prints as "Public key" (age1...), or an ssh-ed25519 key',
                ExitCode.CONFIG,
            ) from None
    if not found:
        raise GuardError(
            "[offsite] recipients is empty: nobody could read the copies",
            "Make a key on another machine with age-keygen, and write its public key there",
            ExitCode.CONFIG,
        )
    return found


def identities(path: Path) -> list[Any]:
    """Return the private keys in a file, as age-keygen or ssh-keygen wrote it; GuardError when there is none."""
    age = _library()
    try:
        data = path.read_bytes()[:_LONGEST_BYTES]
    except OSError as error:
        raise GuardError(
            f"The identity {path} cannot be read: {error.strerror}", "Name the file that age-keygen wrote"
        ) from None
    if data.startswith((b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE")):
        raise GuardError(
            f"The identity {path} is encrypted itself",
            f"Decrypt it first: age --decrypt --output key.txt {path}",
        )
    try:
        if b"PRIVATE KEY-----" in data:
            return [age.ssh.Identity.from_buffer(data)]
        lines = [line.strip() for line in data.decode("utf-8").splitlines()]
        found = [age.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (age.IdentityError, ValueError):
        found = []
    if not found:
        raise GuardError(f"{path} holds no private key of age", "Name the file that age-keygen wrote")
    return found


def credentials(path: Path | None, environment: Mapping[str, str]) -> Credentials:
    """Return the key of the S3 storage: from the file, systemd's credential "offsite", or the environment; else GuardError."""
    is_systemds = False
    if path is None and (directory := environment.get("CREDENTIALS_DIRECTORY")):
        candidate = Path(directory) / "offsite"
        if candidate.exists():
            path, is_systemds = candidate, True
    if path is None:
        values = {name: environment.get(name.upper(), "") for name in _NAMES}
        return _complete(values, "the environment")
    text = read_secret(path, "the key of the storage", is_systemds)
    values = {}
    for line in text.splitlines():
        key, equals, value = line.removeprefix("export ").partition("=")
        if equals and not line.lstrip().startswith(("#", ";")):
            values[key.strip().lower()] = value.strip().strip("\"'")
    return _complete(values, str(path))


def _complete(values: Mapping[str, str], origin: str) -> Credentials:
    for name in ("aws_access_key_id", "aws_secret_access_key"):
        if not values.get(name):
            raise GuardError(
                f"There is no {name} in {origin}",
                "Write aws_access_key_id = ... and aws_secret_access_key = ... into a file of mode 0600, and name it: "
                '[offsite] credentials = "/etc/hermesguard/offsite.credentials"',
                ExitCode.CONFIG,
            )
    if not all(value.isascii() and value.isprintable() and " " not in value for value in values.values()):
        raise GuardError(
            f"The key of the storage in {origin} has a character that no such key has",
            "Copy it again from where the storage shows it",
            ExitCode.CONFIG,
        )
    return Credentials(
        values["aws_access_key_id"],
        values["aws_secret_access_key"],
        values.get("aws_session_token") or None,
        origin,
    )


def _library() -> Any:
    try:
        import pyrage
    except ModuleNotFoundError:
        raise GuardError("The Python module pyrage is missing", MISSING_LIBRARY) from None
    return pyrage
